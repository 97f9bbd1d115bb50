"""Named, ordered sequences of JSON objects with atomic edits: the basis of chat stores.

A sequence is a list, ``_sequence:<namespace>:{<number>}:<name>``. In the same cluster slot, a sorted set
``_sequence:<namespace>:{<number>}`` contains the names by the time of their creation. So every edit is one script, names
are listed without a scan of the server's keys, and an empty sequence can exist. The checksum of a name selects one of a
fixed number of slots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Argument, Reply
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import InvalidInputError
from valkey_vector.records.metadata import dump, load
from valkey_vector.storage.keyspace import check_texts, succeeded
from valkey_vector.stores.collections import JsonObject, Namespaced, bucket_of, readable

__all__ = ["Sequences"]

BUCKETS = 64
"""Number of slots of a namespace. Part of the stored layout: with another number, stored sequences are not found."""


_APPEND = read_lua(__package__, "sequences_register", "sequences_append")

_REPLACE = read_lua(__package__, "sequences_register", "sequences_replace")

_INSERT = read_lua(__package__, "sequences_register", "sequences_insert")

_POP = read_lua(__package__, "sequences_pop")

_REMOVE = read_lua(__package__, "sequences_remove")


class Sequences(Namespaced):
    """Store of sequences of JSON objects by name. Each method has an async version with the prefix ``a``.

    Cost: one round trip for each call except `drop`.

    Atomicity: each call except `drop` is one step.
    """

    kind = "sequence"

    def append(self, name: str, items: Iterable[JsonObject]) -> None:
        """Append objects. Creates the sequence if it does not exist.

        Raises:
            InvalidInputError: an object cannot be stored without change; nothing was added.
        """
        self._edit(_APPEND, name, *_encoded(name, items))

    def replace(self, name: str, items: Iterable[JsonObject]) -> None:
        """Replace all objects of a sequence. The sequence can become empty.

        Raises:
            InvalidInputError: an object cannot be stored without change; nothing was changed.
        """
        self._edit(_REPLACE, name, *_encoded(name, items))

    def insert(self, name: str, position: int, item: JsonObject) -> None:
        """Insert an object before a position, as `list.insert`; a negative position counts from the end.

        Raises:
            InvalidInputError: the object cannot be stored without change; nothing was changed.
        """
        self._edit(_INSERT, name, _position(position), *_encoded(name, [item]))

    def read(self, name: str) -> list[dict[str, Any]]:
        """Return the objects of a sequence in order. Returns no objects if the sequence does not exist.

        Objects of other programs that cannot be read are skipped. A warning in the log names their positions.
        """
        key = self._keys(name)[1]
        return _readable(name, self.connection.execute("LRANGE", key, "0", "-1", retry=True))

    def pop(self, name: str, position: int = -1) -> dict[str, Any] | None:
        """Remove and return the object at a position. Returns None if it does not exist.

        Args:
            name: name of the sequence.
            position: position of the object; a negative position counts from the end.

        Raises:
            ServerError: the object cannot be read. It is removed nevertheless.
        """
        taken = self._edit(_POP, name, _position(position))
        return None if taken is None else load(taken, _owner(name, position))

    def remove(self, name: str) -> list[dict[str, Any]] | None:
        """Remove a sequence and return its objects, like `read`. Returns None if it did not exist."""
        existed, items = self._edit(_REMOVE, name)
        return _readable(name, items) if existed else None

    def names(self) -> list[str]:
        """Return the names of all sequences, oldest first."""
        commands: list[list[Argument]] = [
            ["ZRANGE", self._names(number), "0", "-1", "WITHSCORES"] for number in range(BUCKETS)
        ]
        replies = succeeded(self.connection.pipeline(commands, retry=True))
        created = [pair for reply in replies for pair in _scored(reply)]
        return [name.decode() for _, name in sorted(created)]

    aappend = async_version(append)
    areplace = async_version(replace)
    ainsert = async_version(insert)
    aread = async_version(read)
    apop = async_version(pop)
    aremove = async_version(remove)
    anames = async_version(names)

    def _edit(self, script: str, name: str, *arguments: Argument) -> Reply:
        return self.connection.execute("EVAL", script, "2", *self._keys(name), name, *arguments)

    def _keys(self, name: str) -> tuple[bytes, bytes]:
        """Keys of the sorted set of names, and of the list of one sequence."""
        (checked,) = check_texts([name], "name")
        names = self._names(bucket_of(checked, BUCKETS))
        return names, names + b":" + checked.encode()

    def _names(self, number: int) -> bytes:
        return self._keyspace.key(f"{{{number}}}")


def _encoded(name: str, items: Iterable[JsonObject]) -> list[bytes]:
    encoded = []
    for position, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise InvalidInputError(
                f"item {position} for sequence {name!r} is a {type(item).__name__}, not a dict"
            )
        encoded.append(dump(item, f"item {position} for sequence {name!r}"))
    return encoded


def _readable(name: str, items: Iterable[bytes]) -> list[dict[str, Any]]:
    loaded = [readable(item, _owner(name, n)) for n, item in enumerate(items)]
    return [item for item in loaded if item is not None]


def _owner(name: str, position: int) -> str:
    return f"item {position} of sequence {name!r}"


def _position(position: int) -> str:
    if not isinstance(position, int) or isinstance(position, bool):
        raise InvalidInputError(f"a position must be an integer, not {position!r}")
    return str(position)


def _scored(reply: Any) -> list[tuple[float, bytes]]:
    """Decode members with scores: a dict, or a flat list."""
    pairs = (
        reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    )
    return [(float(score), member) for member, score in pairs]
