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
from array import array
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import chain
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.base import Near
from valkey_vector.engines.native.digest import DIGESTS, digest_of, digest_of_all
from valkey_vector.engines.native.matrix import Mask, Matrix, Rows, resized
from valkey_vector.engines.native.numeric_columns import NumericColumns, all_parsed
from valkey_vector.engines.native.packed_keys import (
    ChosenTexts,
    PackedKeys,
    PackedValues,
    packed_keys,
)
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
        packs: number of times that rows were renumbered.
    """

    def __init__(self, fields: Sequence[VectorField], terms: Sequence[str] = ()) -> None:
        self.sequence = -1
        self.digest = 0
        self.packs = 0
        self._fields = tuple(fields)
        self._term_fields = tuple(terms)
        self._clear()

    def _clear(self) -> None:
        self._ids = PackedKeys()
        self._row_of_id = array("i")
        self._id_of_row = array("I")
        self._versions = PackedValues()
        self._records = 0
        self._matrices = {vector_name(field.name): Matrix(field, _ROOM) for field in self._fields}
        self._alive: Mask = np.zeros(_ROOM, dtype=np.bool_)
        self._created = np.zeros(_ROOM, dtype=np.float64)
        self._expires = np.zeros(_ROOM, dtype=np.float64)
        self._numbered = np.zeros(_ROOM, dtype=np.int64)
        self._unsure = np.zeros(_ROOM, dtype=np.float64)
        self._verified = np.zeros(_ROOM, dtype=np.int64)
        self._hidden: dict[str, int] = {}
        self.tokens = TokenIndex()
        self._numbers = NumericColumns()
        self._vocabulary: Vocabulary | None = None
        self._inverted = {name: Inverted() for name in self._term_fields}
        self._expiring = False
        self._activity, self._activities = "", 1

    def __len__(self) -> int:
        return self._records

    @property
    def logged(self) -> int:
        """Number of ids in the change log, with and without a record."""
        return self._records + len(self._hidden)

    def __contains__(self, id: str) -> bool:
        return self._row(id) >= 0

    def put(self, page: Page, now: float) -> None:
        """Add records, or replace them; an id without a record is noted as hidden.

        A field with an invalid value counts as absent, because other programs can write anything into a hash.

        Args:
            page: the documents; each id occurs once.
            now: the server's time in milliseconds when they were read.
        """
        if not page.ids:
            return
        ids, every_exists = page.ids, bool(page.exists.all())
        if not every_exists:
            for at in np.flatnonzero(~page.exists).tolist():
                self.hide(page.ids[at], int(page.sequences[at]))
            ids = [id for id, exists in zip(ids, page.exists, strict=True) if exists]
        if not ids:
            return
        self.reserve(len(ids))
        first = self.size
        rows = np.arange(first, first + len(ids))
        self._replace(ids, rows)
        sequences = page.sequences[page.exists]
        self.digest = (self.digest + digest_of_all(sequences)) % DIGESTS
        self._alive[rows] = True
        self._numbered[rows] = sequences
        row_at = np.full(len(page.ids), -1)
        row_at[page.exists] = rows
        left = page.left.copy()
        left[page.columns[EXPIRES].positions] = -1
        if (left >= 0).any():
            self._unsure[rows] = np.where(left >= 0, now + left, 0)[page.exists]
        versions = [b""] * len(ids)
        for name, every in page.columns.items():
            column = every if every_exists else every.among(page.exists)
            new = row_at[column.positions]
            if name == VERSION and len(new) == len(ids):
                versions = list(column.values)
            elif name == VERSION:
                for row, value in zip((new - first).tolist(), column.values, strict=True):
                    versions[row] = value
            elif len(new):
                self._put_values(name, new, column.values)
        self._versions.extend(versions)

    def _replace(self, ids: Sequence[str], rows: Rows) -> None:
        """Make new rows those of these ids."""
        numbers = self._ids.add_all(ids)
        added = len(self._ids) - len(self._row_of_id)
        self._row_of_id.extend([-1] * added)
        known = np.frombuffer(self._row_of_id, dtype=np.intc)
        before = known[numbers]
        self._die(before[before >= 0].astype(np.intp))
        known[numbers] = rows
        del known  # the array cannot grow while it is in use
        self._id_of_row.frombytes(numbers.astype(np.uint32).tobytes())
        self._records += len(ids)
        for id in ids if self._hidden else ():
            self._show(id)

    def _die(self, rows: Rows) -> None:
        """Remove the records of rows."""
        self._alive[rows] = False
        self._records -= len(rows)
        self.digest = (self.digest - digest_of_all(self._numbered[rows])) % DIGESTS

    def _put_values(self, name: str, rows: Rows, values: Sequence[bytes]) -> None:
        """Add the values of one field to new rows."""
        if name in self._matrices:
            self._matrices[name].put(rows, values)
            return
        if name == TAGS:
            self.tokens.add(rows, values)
        elif name in self._inverted:
            if self._inverted[name].add(rows, values):
                self._vocabulary = None
        elif name == CREATED:
            self._created[rows] = all_parsed(values, 0.0)
        elif name == EXPIRES:
            moments = np.maximum(all_parsed(values, math.inf), 1)
            self._expires[rows] = np.where(np.isinf(moments), 0, moments)
            self._expiring = True
        else:
            self._numbers.add(name, rows, values)

    def reserve(self, added: int) -> None:
        """Allocate arrays for additional rows."""
        wanted = self.size + added
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
        row = self._row(id)
        if row >= 0:
            self.hide(id, int(self._numbered[row]))

    def remove(self, id: str) -> None:
        """Remove an id, with its record if it has one; an unknown id is ignored."""
        row = self._row(id)
        if row >= 0:
            self._row_of_id[self._id_of_row[row]] = -1
            self._die(np.array([row]))
        self._show(id)

    def _show(self, id: str) -> None:
        """Forget that an id was hidden."""
        hidden = self._hidden.pop(id, None)
        if hidden is not None:
            self.digest = (self.digest - digest_of(hidden)) % DIGESTS

    def _row(self, id: str) -> int:
        """Return the row of an id; -1 if it has no record."""
        number = self._ids.find(id)
        return -1 if number < 0 else self._row_of_id[number]

    def pack(self) -> None:
        """Remove dead rows when they are the majority."""
        self._ids.settle()
        if self.size < 2 * _ROOM or self._records * 2 > self.size:
            return
        rows = np.flatnonzero(self._alive[: self.size])
        moved = np.full(self.size, -1, dtype=np.int64)
        moved[rows] = np.arange(len(rows))
        ids, versions = self.ids(rows), self._versions.many(rows)
        self._ids, self._versions = packed_keys(ids), PackedValues()
        self._versions.extend(versions)
        self._row_of_id = array("i", range(len(rows)))
        self._id_of_row = array("I", range(len(rows)))
        room = max(_ROOM, len(rows))
        for matrix in self._matrices.values():
            matrix.retain(rows, room)
        self._alive = resized(self._alive[rows], room)
        self._created = resized(self._created[rows], room)
        self._expires = resized(self._expires[rows], room)
        self._numbered = resized(self._numbered[rows], room)
        self._unsure = resized(self._unsure[rows], room)
        self._verified = resized(self._verified[rows], room)
        self.packs += 1
        self.tokens.pack(moved)
        self._numbers.pack(moved)
        for inverted in self._inverted.values():
            inverted.pack(moved)

    def select(self, plan: Plan, now: float) -> ChosenTexts:
        """Return the ids that a plan selects, oldest first. `now`: the server's time in milliseconds."""
        rows = self.rows(plan, now)
        order = np.argsort(self._created[rows], kind="stable")
        return ChosenTexts(self._ids, np.frombuffer(self._id_of_row, dtype=np.uint32)[rows[order]])

    def count(self, plan: Plan, now: float) -> int:
        """Count the records that a plan selects."""
        return len(self.rows(plan, now))

    def unverified(self, plan: Plan, now: float, activity: str) -> Rows:
        """Return the rows that a plan selects and whose records must be looked up before they are counted.

        Args:
            plan: the plan.
            now: the server's time in milliseconds.
            activity: the activity of the server (see `valkey_vector.engines.native.scripts.CHECK`). A record that was found
                under the same activity, and has no TTL, still exists.
        """
        rows = self.rows(plan, now)
        if activity and activity == self._activity:
            seen = self._verified[rows] == self._activities
            rows = rows[~seen | _over(self._unsure[rows], now)]
        return rows

    def verify(self, rows: Rows, packs: int, activity: str) -> None:
        """Note that the records of rows were found under an activity of the server.

        Args:
            rows: result of `unverified`, without the rows of missing records.
            packs: `packs` at that time; ignored if rows were renumbered since then.
            activity: the activity of the server.
        """
        if not activity or packs != self.packs:
            return
        if activity != self._activity:
            self._activity = activity
            self._activities += 1
        self._verified[rows] = self._activities

    def ranges(self, size: int) -> list[tuple[int, int]]:
        """Return the sequence numbers of all records, as ranges of at most `size` records."""
        numbers = np.sort(self._numbered[: self.size][self._alive[: self.size]])
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

    def ended(self, ids: Iterable[str], now: float) -> set[str]:
        """Return the ids of the records whose time to live is over."""
        if not self._expiring:
            return set()
        return {id for id in ids if (row := self._row(id)) >= 0 and 0 < self._expires[row] <= now}

    def rows_of(self, ids: Iterable[str]) -> list[int]:
        """Return the row of each record."""
        return [self._row(id) for id in ids]

    def ids(self, rows: Rows) -> list[str]:
        """Return the ids of rows."""
        return self._ids.texts(np.frombuffer(self._id_of_row, dtype=np.uint32)[rows])

    def identities(self, rows: Rows) -> list[Row]:
        """Return the ids of rows, with versions as their only field."""
        pairs = zip(self.ids(rows), self._versions.many(rows), strict=True)
        return [Row(id, {VERSION: version} if version else {}) for id, version in pairs]

    def versions(self, ids: Iterable[str]) -> dict[str, bytes | None]:
        """Return the versions of the records that the replica has."""
        rows = ((id, self._row(id)) for id in ids)
        return {id: self._versions[row] or None for id, row in rows if row >= 0}

    def created(self, rows: Rows) -> NDArray[np.float64]:
        """Return the times of creation of rows in microseconds."""
        return self._created[rows]

    def numbers(self, field: str) -> NDArray[np.float64]:
        """Return the number of each row in a numeric field; NaN for rows without one."""
        return self._numbers.values(field, self.size)

    @property
    def size(self) -> int:
        """Number of rows, including dead ones."""
        return len(self._id_of_row)

    def nearest(self, near: Near, k: int, plan: Plan, now: float) -> list[tuple[float, str]]:
        """Return the k nearest of the selected records: (distance, id), nearest first, ties by id."""
        matrix = self._matrices[vector_name(near.field.name)]
        rows, exact = matrix.nearest(self.mask(plan, now), near.vector, k)
        return self._ordered(rows, exact)[:k]

    def within(self, near: Near, radius: float, plan: Plan, now: float) -> list[tuple[float, str]]:
        """Return the selected records up to a distance: (distance, id), nearest first, ties by id."""
        rows = self._having(near.field, plan, now)
        matrix = self._matrices[vector_name(near.field.name)]
        return self._ordered(*matrix.within(rows, near.vector, radius))

    def _ordered(self, rows: Rows, exact: NDArray[np.float64]) -> list[tuple[float, str]]:
        return sorted(zip(exact.tolist(), self.ids(rows), strict=True))

    def _having(self, field: VectorField, plan: Plan, now: float) -> Rows:
        """The selected rows that have a vector."""
        used = self.size
        present = self._matrices[vector_name(field.name)].present(used)
        return np.flatnonzero(self.mask(plan, now) & present)

    def mask(self, plan: Plan, now: float) -> Mask:
        """A mask of all rows: True for a record that a plan selects."""
        used = self.size
        mask: Mask = self._alive[:used] & self._mask(plan, used)
        if self._expiring:
            mask &= ~_over(self._expires[:used], now)
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
        self._expires = resized(self._expires, room)
        self._numbered = resized(self._numbered, room)
        self._unsure = resized(self._unsure, room)
        self._verified = resized(self._verified, room)


def _over(moments: NDArray[np.float64], now: float) -> Mask:
    """True for each moment that is past; 0 stands for none, so that rows without one use no memory."""
    return (moments > 0) & (moments <= now)
