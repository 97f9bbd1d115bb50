"""Changes of documents by small batches: the indexed fields before and after, which writers note on the server.

A reader that keeps counts adds the changes since then instead of counting again. A count of a plan changes by the number
of documents that it selects after the change, less those that it selected before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from valkey_vector.connection import Argument
from valkey_vector.filters.plan import TAGS, Plan, plan_fields, selects
from valkey_vector.storage.catalog import CatalogEntry, own_key
from valkey_vector.text.fields import indexed_texts

__all__ = [
    "LONGEST",
    "Change",
    "after",
    "are_counted",
    "counted_fields",
    "packed",
    "unpacked",
    "writes_key",
]


LONGEST = 60.0
"""Seconds for which changes are added to a count. Then it is counted again, and so shows what another program changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """Change of one document.

    Attributes:
        old: its counted fields before; None if it did not exist.
        new: its counted fields after; None if it was deleted.
    """

    old: Mapping[str, bytes] | None
    new: Mapping[str, bytes] | None

    def of(self, plan: Plan) -> int:
        """Return by how much the number of documents changes that a plan selects (see `are_counted`)."""
        return _selected(plan, self.new) - _selected(plan, self.old)


def writes_key(name: str) -> str:
    """Return the key of the changes that the last small batches noted."""
    return own_key(name, "writes")


def counted_fields(entry: CatalogEntry) -> tuple[str, ...]:
    """Return the hash fields that a change holds: those of which a plan reads the value that the server indexes.

    Fields that the server splits into words itself are not among them.
    """
    texts = [text for text in indexed_texts(entry.schema) if text.is_marked]
    slots = [f"n{number}" for number in range(entry.schema.numeric_slots)]
    fields = [name for text in texts for name in (text.words, text.length)]
    return (TAGS, *slots, *entry.declared_numeric_fields, *fields)


def are_counted(entry: CatalogEntry, plans: Iterable[Plan]) -> bool:
    """Return True if changes hold all fields that plans read."""
    counted = set(counted_fields(entry))
    return all(counted.issuperset(plan_fields(plan)) for plan in plans)


def after(
    old: Mapping[str, bytes], commands: Iterable[Sequence[Argument]], fields: Collection[str]
) -> dict[str, bytes]:
    """Return the counted fields of a document after the commands that change it.

    Args:
        old: its counted fields before.
        commands: HSET, HDEL and PERSIST of its key.
        fields: the counted fields.

    Raises:
        ValueError: a command of another kind; its effect on the fields is not known.
    """
    new = dict(old)
    for command in commands:
        if command[0] == "HSET":
            for name, value in zip(command[2::2], command[3::2], strict=True):
                text = _text(name)
                if text in fields:
                    new[text] = _bytes(value)
        elif command[0] == "HDEL":
            for name in command[2:]:
                new.pop(_text(name), None)
        elif command[0] != "PERSIST":
            raise ValueError(f"the effect of {command[0]!r} on the fields is not known")
    return new


def packed(changes: Sequence[Change]) -> bytes:
    """Encode the changes of one batch."""
    return msgspec.msgpack.encode([(each.old, each.new) for each in changes])


def unpacked(data: bytes) -> list[Change]:
    """Decode the changes of one batch.

    Raises:
        msgspec.DecodeError: the data is damaged.
    """
    return [Change(old, new) for old, new in _decoder().decode(data)]


@lru_cache(maxsize=1)
def _decoder() -> msgspec.msgpack.Decoder[
    list[tuple[dict[str, bytes] | None, dict[str, bytes] | None]]
]:
    kind = list[tuple[dict[str, bytes] | None, dict[str, bytes] | None]]
    return msgspec.msgpack.Decoder(kind)


def _selected(plan: Plan, fields: Mapping[str, bytes] | None) -> bool:
    return fields is not None and selects(plan, fields)


def _text(name: Argument) -> str:
    return name if isinstance(name, str) else name.decode()


def _bytes(value: Argument) -> bytes:
    return value.encode() if isinstance(value, str) else value
