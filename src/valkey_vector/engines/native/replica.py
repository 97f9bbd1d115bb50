"""The native engine's replica: vectors, tokens and numbers of one index as arrays in this process.

Rows are only ever added. A record that is overwritten gets a new row and its old one dies; when most rows are dead
the arrays are packed. A token is a list of the rows that have it, a numeric field a list of rows and
one of values, so a plan is evaluated with a few array operations.

The replica knows the sequence number up to which it has applied the server's change log, and the digest of the log's
numbers (see `valkey_vector.engines.native.scripts`). `valkey_vector.engines.native.shared_replica` keeps it current and holds a lock: it is
not thread-safe.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import chain
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.base import Near
from valkey_vector.engines.native.digest import DIGESTS, digest_of
from valkey_vector.engines.native.matrix import Mask, Matrix, Rows, resized
from valkey_vector.engines.native.postings import Inverted
from valkey_vector.filters.plan import (
    TAGS,
    AllOf,
    AnyOf,
    Complement,
    Everything,
    NoDocument,
    Plan,
    Range,
    Tokens,
    Words,
)
from valkey_vector.schema.schema import VectorField
from valkey_vector.storage.catalog import vector_name
from valkey_vector.storage.layout import CREATED, EXPIRES, VERSION
from valkey_vector.text.vocabulary import Vocabulary

__all__ = ["Replica"]

_ROOM = 1024


class _Numbers:
    """One numeric field: which rows have it, and their values."""

    __slots__ = ("rows", "values")

    def __init__(self) -> None:
        self.rows = array("q")
        self.values = array("d")


class Replica:
    """What one index holds, ready to be searched.

    Args:
        fields: the vectors that records can have.
        words: the hash fields of words and stems.

    Attributes:
        sequence: the change log is applied up to here; -1 for an empty replica.
        digest: of the sequence numbers of all that the change log has.
    """

    def __init__(self, fields: Sequence[VectorField], words: Sequence[str] = ()) -> None:
        self.sequence = -1
        self.digest = 0
        self._fields = tuple(fields)
        self._word_fields = tuple(words)
        self._clear()

    def _clear(self) -> None:
        self._ids: list[str] = []
        self._versions: list[bytes | None] = []
        self._row_of: dict[str, int] = {}
        self._matrices = {vector_name(field.name): Matrix(field, _ROOM) for field in self._fields}
        self._alive: Mask = np.zeros(_ROOM, dtype=np.bool_)
        self._created = np.zeros(_ROOM, dtype=np.float64)
        self._expires = np.full(_ROOM, math.inf, dtype=np.float64)
        self._numbered = np.zeros(_ROOM, dtype=np.float64)
        self._unsure = np.full(_ROOM, math.inf, dtype=np.float64)
        self._verified = np.zeros(_ROOM, dtype=np.int64)
        self._hidden: dict[str, int] = {}
        self._tokens: dict[str, array[int]] = {}
        self._numbers: dict[str, _Numbers] = {}
        self._vocabulary: Vocabulary | None = None
        self._inverted = {name: Inverted() for name in self._word_fields}
        self._expiring = False
        self._activity, self._activities = "", 1

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def logged(self) -> int:
        """How many ids the change log has, with and without a record."""
        return len(self._row_of) + len(self._hidden)

    def __contains__(self, id: str) -> bool:
        return id in self._row_of

    def put(
        self, id: str, fields: Mapping[str, bytes], sequence: int = 0, unsure: float = math.inf
    ) -> None:
        """Add a record, or replace it.

        A field that does not hold what it should counts as absent: other programs can write anything into a hash.

        Args:
            id: of the record.
            fields: its hash fields.
            sequence: number of its last write.
            unsure: the server's time in milliseconds from which on it must be looked up whether the record is still there.
        """
        self.remove(id)
        self.digest = (self.digest + digest_of(sequence)) % DIGESTS
        row = len(self._ids)
        if row == len(self._alive):
            self._grow()
        self._ids.append(id)
        self._versions.append(fields.get(VERSION))
        self._row_of[id] = row
        self._alive[row] = True
        self._numbered[row] = sequence
        self._unsure[row] = unsure
        self._verified[row] = 0
        self._created[row] = _number(fields.get(CREATED), 0.0)
        self._expires[row] = _number(fields.get(EXPIRES), math.inf)
        self._expiring |= EXPIRES in fields
        for name, matrix in self._matrices.items():
            matrix.put(row, fields.get(name))
        for token in fields.get(TAGS, b"").decode("ascii", "replace").split(","):
            rows = self._tokens.get(token)
            if rows is None:
                rows = self._tokens[token] = array("q")
            rows.append(row)
        self._put_values(row, fields)

    def _put_values(self, row: int, fields: Mapping[str, bytes]) -> None:
        """Add the words and numbers of a new row."""
        for name, value in fields.items():
            if name in self._inverted:
                if self._inverted[name].add(row, value.decode("utf-8", "replace")):
                    self._vocabulary = None
            elif name not in _NO_NUMBERS and name not in self._matrices:
                number = _number(value, math.nan)
                if not math.isnan(number):
                    column = self._numbers.setdefault(name, _Numbers())
                    column.rows.append(row)
                    column.values.append(number)

    def hide(self, id: str, sequence: int) -> None:
        """Note that the change log has an id under which there is no record."""
        self.remove(id)
        self.digest = (self.digest + digest_of(sequence)) % DIGESTS
        self._hidden[id] = sequence

    def lose(self, id: str) -> None:
        """Remove a record that is gone, while the change log still has it."""
        row = self._row_of.get(id)
        if row is not None:
            self.hide(id, int(self._numbered[row]))

    def remove(self, id: str) -> None:
        """Remove a record, and what is noted of its id; one that is not there is ignored."""
        row = self._row_of.pop(id, None)
        hidden = self._hidden.pop(id, None)
        if row is not None:
            self._alive[row] = False
            hidden = int(self._numbered[row])
        if hidden is not None:
            self.digest = (self.digest - digest_of(hidden)) % DIGESTS

    def pack(self) -> None:
        """Drop dead rows when they are the majority."""
        if len(self._ids) < 2 * _ROOM or len(self._row_of) * 2 > len(self._ids):
            return
        kept = np.flatnonzero(self._alive[: len(self._ids)])
        moved = np.full(len(self._ids), -1, dtype=np.int64)
        moved[kept] = np.arange(len(kept))
        self._ids = [self._ids[row] for row in kept]
        self._versions = [self._versions[row] for row in kept]
        self._row_of = {id: row for row, id in enumerate(self._ids)}
        room = max(_ROOM, len(kept))
        for matrix in self._matrices.values():
            matrix.keep(kept, room)
        self._alive = resized(self._alive[kept], room)
        self._created = resized(self._created[kept], room)
        self._expires = resized(self._expires[kept], room, math.inf)
        self._numbered = resized(self._numbered[kept], room)
        self._unsure = resized(self._unsure[kept], room, math.inf)
        self._verified = resized(self._verified[kept], room)
        tokens = ((token, moved[np.asarray(rows)]) for token, rows in self._tokens.items())
        self._tokens = {
            token: array("q", rows[rows >= 0].tobytes())
            for token, rows in tokens
            if (rows >= 0).any()
        }
        for column in self._numbers.values():
            rows = moved[np.asarray(column.rows, dtype=np.int64)]
            column.values = array("d", np.asarray(column.values)[rows >= 0].tobytes())
            column.rows = array("q", rows[rows >= 0].tobytes())
        for inverted in self._inverted.values():
            inverted.pack(moved)

    def select(self, plan: Plan, now: float) -> list[str]:
        """The ids a plan selects, oldest first. `now`: the server's time in milliseconds."""
        rows = self._selected(plan, now)
        order = np.argsort(self._created[rows], kind="stable")
        return [self._ids[row] for row in rows[order]]

    def count(self, plan: Plan, now: float) -> int:
        """How many records a plan selects."""
        return len(self._selected(plan, now))

    def unverified(self, plan: Plan, now: float, activity: str) -> list[str]:
        """The ids a plan selects that must be looked up before they are counted.

        Args:
            plan: which records.
            now: the server's time in milliseconds.
            activity: of the server (see `valkey_vector.engines.native.scripts.CHECK`). Records that were looked up and found
                under the same activity, and do not expire by themselves, are still there.
        """
        rows = self._selected(plan, now)
        if activity and activity == self._activity:
            seen = self._verified[rows] == self._activities
            rows = rows[~seen | (self._unsure[rows] <= now)]
        return self.ids(rows)

    def verify(self, ids: Sequence[str], activity: str) -> None:
        """Note that records were looked up, after the server had told its `activity`, and found."""
        if not activity:
            return
        if activity != self._activity:
            self._activity = activity
            self._activities += 1
        rows = [self._row_of[id] for id in ids if id in self._row_of]
        self._verified[rows] = self._activities

    def ranges(self, size: int) -> list[tuple[int, int]]:
        """The sequence numbers of all records, as ranges of at most `size` records."""
        numbers = np.sort(self._numbered[: len(self._ids)][self._alive[: len(self._ids)]])
        starts = range(0, len(numbers), size)
        return [(int(numbers[at]), int(numbers[at : at + size][-1])) for at in starts]

    def inverted(self, field: str) -> Inverted:
        """What is known of one field of words."""
        return self._inverted[field]

    def vocabulary(self) -> Vocabulary:
        """All words of all those fields, stems among them."""
        if self._vocabulary is None:
            words = (inverted.words() for inverted in self._inverted.values())
            self._vocabulary = Vocabulary(chain.from_iterable(words))
        return self._vocabulary

    def mask(self, plan: Plan, now: float) -> Mask:
        """Return for each row whether it is a record that a plan selects."""
        return self._living(plan, now)

    def rows_of(self, ids: Iterable[str]) -> list[int]:
        """Return the row of each record."""
        return [self._row_of[id] for id in ids]

    def ids(self, rows: Rows) -> list[str]:
        """The ids of rows."""
        return [self._ids[row] for row in rows]

    def versions(self, ids: Iterable[str]) -> dict[str, bytes | None]:
        """The versions of records, as far as they are here."""
        rows = ((id, self._row_of.get(id)) for id in ids)
        return {id: self._versions[row] for id, row in rows if row is not None}

    @property
    def size(self) -> int:
        """Rows, dead ones among them."""
        return len(self._ids)

    def nearest(self, near: Near, k: int, plan: Plan, now: float) -> list[tuple[float, str]]:
        """The k nearest of the records a plan selects: (distance, id), nearest first, ties by id."""
        rows = self._having(near.field, plan, now)
        if not len(rows):
            return []
        matrix = self._matrices[vector_name(near.field.name)]
        rows, exact = matrix.nearest(rows, len(self._ids), near.vector, k)
        return self._ordered(rows, exact)[:k]

    def within(self, near: Near, radius: float, plan: Plan, now: float) -> list[tuple[float, str]]:
        """The records a plan selects up to a distance: (distance, id), nearest first, ties by id."""
        rows = self._having(near.field, plan, now)
        exact = self._matrices[vector_name(near.field.name)].distances(rows, near.vector)
        return self._ordered(rows[exact <= radius], exact[exact <= radius])

    def _ordered(self, rows: Rows, exact: NDArray[np.float64]) -> list[tuple[float, str]]:
        ids = (self._ids[row] for row in rows)
        return sorted(zip(exact.tolist(), ids, strict=True))

    def _having(self, field: VectorField, plan: Plan, now: float) -> Rows:
        """The records a plan selects out of those that have a vector."""
        used = len(self._ids)
        present = self._matrices[vector_name(field.name)].present(used)
        return np.flatnonzero(self._living(plan, now) & present)

    def _selected(self, plan: Plan, now: float) -> Rows:
        return np.flatnonzero(self._living(plan, now))

    def _living(self, plan: Plan, now: float) -> Mask:
        used = len(self._ids)
        mask: Mask = self._alive[:used] & self._mask(plan, used)
        if self._expiring:
            mask &= self._expires[:used] > now
        return mask

    def _mask(self, plan: Plan, used: int) -> Mask:
        """Which rows a plan selects, dead ones among them."""
        match plan:
            case Everything():
                return np.ones(used, dtype=np.bool_)
            case NoDocument():
                return np.zeros(used, dtype=np.bool_)
            case Tokens(tokens):
                mask = np.zeros(used, dtype=np.bool_)
                for token in tokens:
                    rows = self._tokens.get(token)
                    if rows is not None:
                        mask[np.frombuffer(rows, dtype=np.int64)] = True
                return mask
            case Range(field, low, high, low_open, high_open):
                mask = np.zeros(used, dtype=np.bool_)
                column = self._numbers.get(field)
                if column is not None:
                    values = np.frombuffer(column.values, dtype=np.float64)
                    inside = values > low if low_open else values >= low
                    inside &= values < high if high_open else values <= high
                    mask[np.frombuffer(column.rows, dtype=np.int64)[inside]] = True
                return mask
            case Words(field, words):
                mask = np.zeros(used, dtype=np.bool_)
                for word in words:
                    mask[self._inverted[field].rows(word)] = True
                return mask
            case AllOf(parts):
                return reduce(np.logical_and, (self._mask(part, used) for part in parts))
            case AnyOf(parts):
                return reduce(np.logical_or, (self._mask(part, used) for part in parts))
            case Complement(part):
                return ~self._mask(part, used)
            case _:
                assert_never(plan)

    def _grow(self) -> None:
        room = 2 * len(self._alive)
        for matrix in self._matrices.values():
            matrix.keep(slice(None), room)
        self._alive = resized(self._alive, room)
        self._created = resized(self._created, room)
        self._expires = resized(self._expires, room, math.inf)
        self._numbered = resized(self._numbered, room)
        self._unsure = resized(self._unsure, room, math.inf)
        self._verified = resized(self._verified, room)


_NO_NUMBERS = frozenset({TAGS, CREATED, EXPIRES, VERSION})


def _number(value: bytes | None, otherwise: float) -> float:
    """The finite or infinite number a field holds, or another one if it holds none."""
    try:
        number = otherwise if value is None else float(value)
    except ValueError:
        return otherwise
    return otherwise if math.isnan(number) else number
