"""The native engine's replica: vectors, tokens and numbers of one index as arrays in this process.

Rows are only added. Overwriting a record adds a row and marks the old one as dead. When most rows are dead, the arrays
are packed. A token holds the list of its rows, a numeric field a list of rows and one of values, so a plan is evaluated
with a few array operations.

The replica knows the last sequence number that it has applied from the change log of the server, and the digest of the
numbers in the log (see `valkey_vector.engines.native.scripts`). It is not thread-safe:
`valkey_vector.engines.native.shared_replica` keeps it current under a lock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import chain
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.base import Near
from valkey_vector.engines.native.digest import DIGESTS, digest_of
from valkey_vector.engines.native.matrix import Mask, Matrix, Rows, resized
from valkey_vector.engines.native.numeric_columns import NumericColumns, parsed
from valkey_vector.engines.native.page import Page
from valkey_vector.engines.native.postings import Inverted
from valkey_vector.engines.native.token_index import TokenIndex
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
from valkey_vector.storage.rows import Row
from valkey_vector.text.vocabulary import Vocabulary

__all__ = ["Replica"]

_ROOM = 1024


class Replica:
    """The searchable content of one index.

    Args:
        fields: the vector fields of the index.
        terms: the hash fields that hold terms and stems.

    Attributes:
        sequence: number of the last applied change; -1 for an empty replica.
        digest: digest of the sequence numbers of all ids in the change log.
    """

    def __init__(self, fields: Sequence[VectorField], terms: Sequence[str] = ()) -> None:
        self.sequence = -1
        self.digest = 0
        self._fields = tuple(fields)
        self._term_fields = tuple(terms)
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
        self.tokens = TokenIndex()
        self._numbers = NumericColumns()
        self._vocabulary: Vocabulary | None = None
        self._inverted = {name: Inverted() for name in self._term_fields}
        self._expiring = False
        self._activity, self._activities = "", 1

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def logged(self) -> int:
        """Number of ids in the change log, with and without a record."""
        return len(self._row_of) + len(self._hidden)

    def __contains__(self, id: str) -> bool:
        return id in self._row_of

    def put(self, page: Page, now: float) -> None:
        """Add records, or replace them; an id without a record is noted as hidden.

        A field with an invalid value counts as absent, because other programs can write anything into a hash.

        Args:
            page: the documents; each id occurs once.
            now: the server's time in milliseconds when they were read.
        """
        if not page.ids:
            return
        for id, sequence, exists in zip(page.ids, page.sequences, page.exists, strict=True):
            if not exists:
                self.hide(id, sequence)
            elif id in self._row_of or id in self._hidden:
                self.remove(id)
        first = len(self._ids)
        ids = [id for id, exists in zip(page.ids, page.exists, strict=True) if exists]
        sequences = [
            number for number, is_one in zip(page.sequences, page.exists, strict=True) if is_one
        ]
        self.reserve(len(ids))
        rows = np.arange(first, first + len(ids))
        self._ids += ids
        self._versions += [None] * len(ids)
        self._row_of.update(zip(ids, rows.tolist(), strict=True))
        self.digest = (self.digest + sum(map(digest_of, sequences))) % DIGESTS
        self._alive[rows] = True
        self._numbered[rows] = sequences
        row_at = np.full(len(page.ids), -1)
        row_at[np.asarray(page.exists)] = rows
        left = np.asarray(page.left)
        left[list(page.columns[EXPIRES].positions)] = -1
        self._unsure[rows] = np.where(left >= 0, now + left, math.inf)[np.asarray(page.exists)]
        for name, column in page.columns.items():
            new = row_at[list(column.positions)]
            values = column.values
            if (new < 0).any():
                values = [
                    value for row, value in zip(new.tolist(), values, strict=True) if row >= 0
                ]
                new = new[new >= 0]
            if values:
                self._put_values(name, new, values)

    def _put_values(self, name: str, rows: Rows, values: Sequence[bytes]) -> None:
        """Add the values of one field to new rows."""
        if name in self._matrices:
            self._matrices[name].put(rows, values)
            return
        pairs = zip(rows.tolist(), values, strict=True)
        if name == VERSION:
            for row, value in pairs:
                self._versions[row] = value
        elif name == TAGS:
            for row, value in pairs:
                self.tokens.add(row, value.decode("ascii", "replace").split(","))
        elif name in self._inverted:
            for row, value in pairs:
                if self._inverted[name].add(row, value.decode("utf-8", "replace")):
                    self._vocabulary = None
        elif name == CREATED:
            self._created[rows] = [parsed(value, 0.0) for value in values]
        elif name == EXPIRES:
            self._expires[rows] = [parsed(value, math.inf) for value in values]
            self._expiring = True
        else:
            self._numbers.add(name, pairs)

    def reserve(self, added: int) -> None:
        """Allocate arrays for additional rows."""
        wanted = len(self._ids) + added
        if wanted > len(self._alive):
            # The spare quarter uses no memory before rows are added (see `resized`).
            self._resize(max(wanted + wanted // 4, 2 * len(self._alive)))

    def hide(self, id: str, sequence: int) -> None:
        """Note that the change log has an id without a record."""
        self.remove(id)
        self.digest = (self.digest + digest_of(sequence)) % DIGESTS
        self._hidden[id] = sequence

    def lose(self, id: str) -> None:
        """Remove a record that no longer exists, while the change log still has its id."""
        row = self._row_of.get(id)
        if row is not None:
            self.hide(id, int(self._numbered[row]))

    def remove(self, id: str) -> None:
        """Remove an id, with its record if it has one; an unknown id is ignored."""
        row = self._row_of.pop(id, None)
        hidden = self._hidden.pop(id, None)
        if row is not None:
            self._alive[row] = False
            hidden = int(self._numbered[row])
        if hidden is not None:
            self.digest = (self.digest - digest_of(hidden)) % DIGESTS

    def pack(self) -> None:
        """Remove dead rows when they are the majority."""
        if len(self._ids) < 2 * _ROOM or len(self._row_of) * 2 > len(self._ids):
            return
        rows = np.flatnonzero(self._alive[: len(self._ids)])
        moved = np.full(len(self._ids), -1, dtype=np.int64)
        moved[rows] = np.arange(len(rows))
        self._ids = [self._ids[row] for row in rows]
        self._versions = [self._versions[row] for row in rows]
        self._row_of = {id: row for row, id in enumerate(self._ids)}
        room = max(_ROOM, len(rows))
        for matrix in self._matrices.values():
            matrix.retain(rows, room)
        self._alive = resized(self._alive[rows], room)
        self._created = resized(self._created[rows], room)
        self._expires = resized(self._expires[rows], room, math.inf)
        self._numbered = resized(self._numbered[rows], room)
        self._unsure = resized(self._unsure[rows], room, math.inf)
        self._verified = resized(self._verified[rows], room)
        self.tokens.pack(moved)
        self._numbers.pack(moved)
        for inverted in self._inverted.values():
            inverted.pack(moved)

    def select(self, plan: Plan, now: float) -> list[str]:
        """Return the ids that a plan selects, oldest first. `now`: the server's time in milliseconds."""
        rows = self.rows(plan, now)
        order = np.argsort(self._created[rows], kind="stable")
        return [self._ids[row] for row in rows[order]]

    def count(self, plan: Plan, now: float) -> int:
        """Count the records that a plan selects."""
        return len(self.rows(plan, now))

    def unverified(self, plan: Plan, now: float, activity: str) -> list[str]:
        """Return the ids that a plan selects and whose existence must be checked before they are counted.

        Args:
            plan: the plan.
            now: the server's time in milliseconds.
            activity: the activity of the server (see `valkey_vector.engines.native.scripts.CHECK`). A record that was found
                under the same activity, and has no TTL, still exists.
        """
        rows = self.rows(plan, now)
        if activity and activity == self._activity:
            seen = self._verified[rows] == self._activities
            rows = rows[~seen | (self._unsure[rows] <= now)]
        return self.ids(rows)

    def verify(self, ids: Sequence[str], activity: str) -> None:
        """Note that records were found under an activity of the server."""
        if not activity:
            return
        if activity != self._activity:
            self._activity = activity
            self._activities += 1
        rows = [self._row_of[id] for id in ids if id in self._row_of]
        self._verified[rows] = self._activities

    def ranges(self, size: int) -> list[tuple[int, int]]:
        """Return the sequence numbers of all records, as ranges of at most `size` records."""
        numbers = np.sort(self._numbered[: len(self._ids)][self._alive[: len(self._ids)]])
        starts = range(0, len(numbers), size)
        return [(int(numbers[at]), int(numbers[at : at + size][-1])) for at in starts]

    def inverted(self, field: str) -> Inverted:
        """Return the inverted index of one field."""
        return self._inverted[field]

    def vocabulary(self) -> Vocabulary:
        """All terms of all text fields, including stems."""
        if self._vocabulary is None:
            terms = (inverted.terms() for inverted in self._inverted.values())
            self._vocabulary = Vocabulary(chain.from_iterable(terms))
        return self._vocabulary

    def rows(self, plan: Plan, now: float) -> Rows:
        """Return the rows that a plan selects, ascending."""
        return np.flatnonzero(self.mask(plan, now))

    def rows_of(self, ids: Iterable[str]) -> list[int]:
        """Return the row of each record."""
        return [self._row_of[id] for id in ids]

    def ids(self, rows: Rows) -> list[str]:
        """Return the ids of rows."""
        return [self._ids[row] for row in rows]

    def identities(self, rows: Rows) -> list[Row]:
        """Return the ids of rows, with versions as their only field."""
        pairs = ((self._ids[row], self._versions[row]) for row in rows)
        return [Row(id, {} if version is None else {VERSION: version}) for id, version in pairs]

    def versions(self, ids: Iterable[str]) -> dict[str, bytes | None]:
        """Return the versions of the records that the replica has."""
        rows = ((id, self._row_of.get(id)) for id in ids)
        return {id: self._versions[row] for id, row in rows if row is not None}

    def created(self, rows: Rows) -> NDArray[np.float64]:
        """Return the times of creation of rows in microseconds."""
        return self._created[rows]

    def numbers(self, field: str) -> NDArray[np.float64]:
        """Return the number of each row in a numeric field; NaN for rows without one."""
        return self._numbers.values(field, len(self._ids))

    @property
    def size(self) -> int:
        """Number of rows, including dead ones."""
        return len(self._ids)

    def nearest(self, near: Near, k: int, plan: Plan, now: float) -> list[tuple[float, str]]:
        """Return the k nearest of the selected records: (distance, id), nearest first, ties by id."""
        rows = self._having(near.field, plan, now)
        if not len(rows):
            return []
        matrix = self._matrices[vector_name(near.field.name)]
        rows, exact = matrix.nearest(rows, len(self._ids), near.vector, k)
        return self._ordered(rows, exact)[:k]

    def within(self, near: Near, radius: float, plan: Plan, now: float) -> list[tuple[float, str]]:
        """Return the selected records up to a distance: (distance, id), nearest first, ties by id."""
        rows = self._having(near.field, plan, now)
        exact = self._matrices[vector_name(near.field.name)].distances(rows, near.vector)
        return self._ordered(rows[exact <= radius], exact[exact <= radius])

    def _ordered(self, rows: Rows, exact: NDArray[np.float64]) -> list[tuple[float, str]]:
        ids = (self._ids[row] for row in rows)
        return sorted(zip(exact.tolist(), ids, strict=True))

    def _having(self, field: VectorField, plan: Plan, now: float) -> Rows:
        """The selected rows that have a vector."""
        used = len(self._ids)
        present = self._matrices[vector_name(field.name)].present(used)
        return np.flatnonzero(self.mask(plan, now) & present)

    def mask(self, plan: Plan, now: float) -> Mask:
        """A mask of all rows: True for a record that a plan selects."""
        used = len(self._ids)
        mask: Mask = self._alive[:used] & self._mask(plan, used)
        if self._expiring:
            mask &= self._expires[:used] > now
        return mask

    def _mask(self, plan: Plan, used: int) -> Mask:
        """A mask of the rows that a plan selects, including dead ones."""
        match plan:
            case Everything():
                return np.ones(used, dtype=np.bool_)
            case NoDocument():
                return np.zeros(used, dtype=np.bool_)
            case Tokens(tokens):
                return self.tokens.mask(tokens, used)
            case Range():
                return self._numbers.mask(plan, used)
            case Words(field, terms):
                mask = np.zeros(used, dtype=np.bool_)
                for term in terms:
                    mask[self._inverted[field].rows(term)] = True
                return mask
            case AllOf(parts):
                return reduce(np.logical_and, (self._mask(part, used) for part in parts))
            case AnyOf(parts):
                return reduce(np.logical_or, (self._mask(part, used) for part in parts))
            case Complement(part):
                return ~self._mask(part, used)
            case _:
                assert_never(plan)

    def _resize(self, room: int) -> None:
        for matrix in self._matrices.values():
            matrix.retain(slice(None), room)
        self._alive = resized(self._alive, room)
        self._created = resized(self._created, room)
        self._expires = resized(self._expires, room, math.inf)
        self._numbered = resized(self._numbered, room)
        self._unsure = resized(self._unsure, room, math.inf)
        self._verified = resized(self._verified, room)
