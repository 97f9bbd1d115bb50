"""Counts of records by the values of metadata keys, read from the tokens of the native engine's replica.

A token spells a text, a number or a boolean, so these need no record. Dates, dicts, NaN and long texts have tokens that do
not spell them: `grouped` returns the ids of such records, and the caller reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector.engines.base import Grouped
from valkey_vector.engines.native.matrix import Mask
from valkey_vector.engines.native.replica import Replica
from valkey_vector.engines.native.spelled_values import SpelledValues
from valkey_vector.engines.native.token_index import TokenIndex
from valkey_vector.filters.plan import Plan
from valkey_vector.records.tokens import kind_token, presence_tokens

__all__ = ["grouped"]

_MISSING, _UNREAD, _COUNTED = -1, -2, -3
"""No value; a value that no token spells; a list whose elements are counted one by one."""

_Codes = NDArray[np.intp]


def grouped(
    replica: Replica, plan: Plan, keys: Sequence[str], now: float, *, elements: bool
) -> Grouped:
    """Count the selected records by the values of keys.

    Args:
        replica: the replica; the caller holds its lock.
        plan: the plan that selects the records.
        keys: metadata keys, at least one.
        now: the server's time in milliseconds.
        elements: with a single key, count a list once for each distinct element that is not None.
    """
    used = replica.size
    selected = replica.mask(plan, now)
    columns = [_column(replica.tokens, key, used) for key in keys]
    counted = np.zeros(0, dtype=np.intp)
    if elements:
        counted = _element_counts(replica.tokens, keys[0], columns[0], selected)
    unread = np.zeros(used, dtype=np.bool_)
    for column in columns:
        unread |= column.codes == _UNREAD
    rows = np.flatnonzero(selected & ~unread)
    if len(columns) == 1:
        groups = _single(columns[0].codes[rows], columns[0])
    else:
        groups = _combined([column.codes[rows] for column in columns], columns)
    for code in np.flatnonzero(counted).tolist():
        groups.append(((columns[0].values[code],), int(counted[code])))
    return Grouped(groups, replica.ids(np.flatnonzero(selected & unread)))


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of one key.

    Attributes:
        codes: for each row the number of its value, `_MISSING`, `_UNREAD`, or `_COUNTED`.
        spelled: the values.
    """

    codes: _Codes
    spelled: SpelledValues

    @property
    def values(self) -> Sequence[Any]:
        """The values by number."""
        return self.spelled.values


def _column(tokens: TokenIndex, key: str, used: int) -> _Column:
    """Decode the tokens of a key."""
    spelled = tokens.spelled(key)
    rows, codes = tokens.pairs(spelled.read(tokens.of_key(key)))
    present = tokens.mask(presence_tokens(key), used)
    column = np.where(present, _UNREAD, _MISSING)
    column[rows] = codes
    # Other programs can write any tokens: a record with two values, or with a value and no kind, must be read.
    hits = np.bincount(rows, minlength=used)
    column[(hits > 1) | ((hits > 0) & ~present)] = _UNREAD
    column[tokens.mask_of(spelled.others, used) & ~present] = _UNREAD
    return _Column(column, spelled)


def _element_counts(tokens: TokenIndex, key: str, column: _Column, selected: Mask) -> _Codes:
    """Count the elements of lists, and mark those lists in `column` whose tokens spell all elements."""
    used = len(selected)
    whole, doubtful, spelled = [], list(tokens.hashed()), []
    for token, marked in tokens.of_key(key):
        match marked[:2]:
            case "lz":
                pass  # None, which is not counted
            case _ if marked[0] == "l":
                number = column.spelled.number_of_element(marked[1:])
                if number is None:
                    doubtful.append(token)
                else:
                    spelled.append((token, number))
            case _ if marked[0] == "q":
                whole.append(token)
    # A list that contains NaN has no token as a whole.
    lists = tokens.mask([kind_token(key, "q")], used) & tokens.mask_of(whole, used)
    lists &= (column.codes == _UNREAD) & ~tokens.mask_of(doubtful, used)
    for kind in "snytd":
        lists &= ~tokens.mask([kind_token(key, kind)], used)
    column.codes[lists] = _COUNTED
    rows, codes = tokens.pairs(spelled)
    return np.bincount(codes[(lists & selected)[rows]], minlength=len(column.values))


def _single(codes: _Codes, column: _Column) -> list[tuple[tuple[Any, ...], int]]:
    """Count the values of one key."""
    counts = np.bincount(codes - _COUNTED)
    found = np.flatnonzero(counts)
    pairs = zip((found + _COUNTED).tolist(), counts[found].tolist(), strict=True)
    return [
        ((None if code == _MISSING else column.values[code],), count)
        for code, count in pairs
        if code != _COUNTED
    ]


def _combined(
    codes: Sequence[_Codes], columns: Sequence[_Column]
) -> list[tuple[tuple[Any, ...], int]]:
    """Count the combinations of values."""
    combined = codes[0] + 3
    for each, column in zip(codes[1:], columns[1:], strict=True):
        _, combined = np.unique(combined * (len(column.values) + 3) + each + 3, return_inverse=True)
    _, first, counts = np.unique(combined, return_index=True, return_counts=True)
    groups = []
    for row, count in zip(first.tolist(), counts.tolist(), strict=True):
        positions = [int(each[row]) for each in codes]
        if _COUNTED not in positions:
            pairs = zip(columns, positions, strict=True)
            values = (None if at == _MISSING else column.values[at] for column, at in pairs)
            groups.append((tuple(values), count))
    return groups
