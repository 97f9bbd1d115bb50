"""Records that describe themselves: every field follows from one number, the seed.

So whoever reads a record can tell, by the record alone, whether it is one that was written or a mixture
of two, and which id it belongs to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector import F, Record
from valkey_vector.filters.ast import Filter

DIMENSION = 8
IDS = 120
GROUPS = 5
UNTOUCHED = 60
MARK = "mark"


class MixtureError(AssertionError):
    """A record whose fields are not those of one write."""


def id_of(seed: int) -> str:
    """The id of the record with a seed."""
    return f"r{seed % IDS}" if seed >= 0 else f"u{-seed}"


def group_of(seed: int) -> int:
    """The group of the record with a seed, by which it is filtered."""
    return seed // IDS % GROUPS


def vector_of(seed: int) -> NDArray[np.float32]:
    """The vector of the record with a seed."""
    drawn = np.random.default_rng(abs(seed) * 2 + (seed < 0)).standard_normal(DIMENSION)
    return drawn.astype(np.float32)


def record_of(seed: int) -> Record:
    """The whole record with a seed; negative seeds belong to records that are never changed."""
    return Record(
        id=id_of(seed),
        content=f"record {seed}",
        vector=vector_of(seed),
        metadata=_metadata(seed),
        parent=f"parent {seed}",
        payload=b"%d" % seed,
    )


def untouched() -> list[Record]:
    """The records that no worker changes."""
    return [record_of(-number) for number in range(1, UNTOUCHED + 1)]


def in_group(group: int) -> Filter:
    """The filter for the changing records of a group."""
    return F("group") == group


UNTOUCHED_ONLY: Filter = F("kind") == "untouched"


def _metadata(seed: int) -> dict[str, Any]:
    kind = "changing" if seed >= 0 else "untouched"
    group = group_of(seed) if seed >= 0 else -1
    return {"seed": seed, "kind": kind, "group": group, "name": f"name {seed}", "list": [seed, "x"]}


def state_of(record: Record) -> tuple[int, int]:
    """The seed of a record that was read, and the mark an update left in it (0: none).

    Vector and payload are compared if the record has them.

    Raises:
        MixtureError: the fields are not those of one write.
    """
    metadata = dict(record.metadata)
    seed, mark = metadata.get("seed"), metadata.pop(MARK, 0)
    if not isinstance(seed, int) or not isinstance(mark, int):
        raise MixtureError(f"{record.id!r} was never written so: metadata {metadata}")
    expected = {
        "id": (record.id, id_of(seed)),
        "content": (record.content, f"record {seed}"),
        "parent": (record.parent, f"parent {seed}"),
        "metadata": (metadata, _metadata(seed)),
        "payload": (record.payload, b"%d" % seed),
    }
    if record.payload is None:
        del expected["payload"]
    differing = [name for name, (found, written) in expected.items() if found != written]
    if record.vector is not None and not np.array_equal(record.vector, vector_of(seed)):
        differing.append("vector")
    if differing:
        raise MixtureError(
            f"{record.id!r} has the seed {seed}, but not its {differing}: {metadata}"
        )
    return seed, mark
