"""Read access to chosen indexes, for callers that are not trusted: a language model, or a program of another team.

A caller names an index, a filter and a limit. It cannot reach other indexes, widen a locked filter, write, or read more
records at a time than allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection import Connection
from valkey_vector.errors import ConfigurationError, IndexNotFoundError, InvalidInputError
from valkey_vector.execution.aggregates import Facet
from valkey_vector.filters import F, Filter, all_of
from valkey_vector.index.index import Index
from valkey_vector.operations.opening import open_own
from valkey_vector.operations.searching import SearchOutcome, SearchRequest, search
from valkey_vector.query.filter_like import FilterLike, as_filter
from valkey_vector.records.record import Record
from valkey_vector.records.validation import check_ids, check_k
from valkey_vector.schema.schema import MAIN_VECTOR

__all__ = ["GuardedIndex", "GuardedIndexes", "KeyHint"]

_SAMPLE = 100
_MAX_HINTS = 20
_MAX_VALUES = 5
_MAX_FACET_VALUES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHint:
    """What a metadata key holds, among the records that the caller may see.

    Attributes:
        key: the key.
        types: types of its values in a sample.
        values: its most frequent values, with the number of records. Empty for a key whose values hardly repeat.
        distinct: number of distinct values.
    """

    key: str
    types: tuple[str, ...]
    values: tuple[tuple[Any, int], ...]
    distinct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedIndex:
    """Description of an index for a caller.

    Attributes:
        name: name of the index.
        records: number of records that the caller may see.
        vectors: names of the vectors.
        text: the index can be searched by words.
        keys: metadata keys to filter on.
        max_records: limit of records in an answer.
    """

    name: str
    records: int
    vectors: tuple[str, ...]
    text: bool
    keys: tuple[KeyHint, ...]
    max_records: int


class GuardedIndexes:
    """Read access to chosen indexes, each with a locked filter. Safe for threads.

    A locked filter should require a value, such as ``{"tenant": "acme"}``: it then excludes records without the key.

    Args:
        connection: to the server.
        indexes: names of the indexes, each with the filter that all its answers must match; None for no filter.
        max_records: limit of records in an answer, >= 1.

    Raises:
        ConfigurationError: no index is named, or another program created one.
        FilterError: a locked filter is not valid.
        IndexNotFoundError: there is no index of a name.
    """

    def __init__(
        self,
        connection: Connection,
        indexes: Mapping[str, FilterLike | None],
        *,
        max_records: int = 20,
    ) -> None:
        if not indexes:
            raise ConfigurationError("name at least one index")
        self._max_records = check_k(max_records, "max_records")
        self._locked: dict[str, Filter | None] = {
            name: None if filter is None else as_filter(filter) for name, filter in indexes.items()
        }
        self._indexes: dict[str, Index] = {name: open_own(connection, name) for name in indexes}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the indexes."""
        return tuple(self._indexes)

    def describe(self, name: str) -> GuardedIndex:
        """Describe an index: its size, and what its metadata keys hold, among the records the caller may see.

        Raises:
            IndexNotFoundError: the index is not one of those chosen.

        Cost: reads the metadata of all these records.
        """
        index = self._index(name)
        schema = index.schema
        sample = index.select(self._within(name, None), limit=_SAMPLE, with_content=False)
        return GuardedIndex(
            name=name,
            records=self.count(name),
            vectors=(MAIN_VECTOR, *(each.name for each in schema.vectors)),
            text=schema.full_text is not None,
            keys=self._hints(name, sample),
            max_records=self._max_records,
        )

    def count(self, name: str, filter: FilterLike | None = None) -> int:
        """Count the records that match, among those the caller may see."""
        return self._index(name).count(self._within(name, filter))

    def search(
        self,
        name: str,
        *,
        text: str | None = None,
        like: str | None = None,
        filter: FilterLike | None = None,
        k: int = 10,
    ) -> SearchOutcome:
        """Search by words, by the vector of a record, by both, or by a filter alone.

        Args:
            name: name of the index.
            text: words to search for.
            like: id of a record that the caller may see.
            filter: only records that match, besides the locked filter.
            k: number of records, 1 to the limit.

        Raises:
            IndexNotFoundError: the index is not one of those chosen, or the caller may not see the record in `like`.
            InvalidInputError: `k` is above the limit, or an argument is not valid.
        """
        self._check_number(k, "k")
        index = self._index(name)
        if like is not None and not self.get(name, [like]):
            raise IndexNotFoundError(f"index {name!r} has no record {like!r}")
        request = SearchRequest(text=text, like=like, filter=self._within(name, filter), k=k)
        return search(index, request)

    def get(self, name: str, ids: Sequence[str]) -> list[Record]:
        """Return the records with these ids that the caller may see, in the order of the ids.

        Raises:
            InvalidInputError: there are more ids than the limit.
        """
        wanted = check_ids(ids)
        self._check_number(len(wanted), "the number of ids")
        chosen = F.id.in_(wanted)
        found = self._index(name).select(self._within(name, chosen))
        by_id = {record.id: record for record in found}
        return [by_id[id] for id in dict.fromkeys(wanted) if id in by_id]

    def facets(
        self, name: str, keys: Sequence[str], *, filter: FilterLike | None = None, limit: int = 20
    ) -> dict[str, Facet]:
        """Count the records with each value of metadata keys, among those the caller may see."""
        self._check_number(len(keys), "the number of keys")
        if not 1 <= limit <= _MAX_FACET_VALUES:
            raise InvalidInputError(f"limit must be from 1 to {_MAX_FACET_VALUES}, not {limit}")
        return self._index(name).facets(keys, filter=self._within(name, filter), limit=limit)

    def _index(self, name: str) -> Index:
        if name not in self._indexes:
            known = ", ".join(map(repr, self._indexes))
            raise IndexNotFoundError(f"there is no index {name!r}; there is {known}")
        return self._indexes[name]

    def _within(self, name: str, filter: FilterLike | None) -> Filter | None:
        """The locked filter and the filter of a caller together: both must match."""
        self._index(name)
        own = None if filter is None else as_filter(filter)
        parts = [each for each in (self._locked[name], own) if each is not None]
        return all_of(parts) if parts else None

    def _check_number(self, number: int, what: str) -> None:
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise InvalidInputError(f"{what} must be at least 1, not {number!r}")
        if number > self._max_records:
            raise InvalidInputError(f"{what} must be at most {self._max_records}, not {number}")

    def _hints(self, name: str, sample: Sequence[Record]) -> tuple[KeyHint, ...]:
        """What the most frequent metadata keys of a sample hold."""
        types: dict[str, dict[str, None]] = {}
        for record in sample:
            for key, value in record.metadata.items():
                types.setdefault(key, {})[type(value).__name__] = None
        keys = sorted(types)[:_MAX_HINTS]
        if not keys:
            return ()
        index = self._index(name)
        facets = index.facets(keys, filter=self._within(name, None), limit=_MAX_VALUES)
        return tuple(
            KeyHint(
                key=key,
                types=tuple(types[key]),
                values=tuple((v.value, v.count) for v in facets[key].values if v.count > 1),
                distinct=facets[key].distinct,
            )
            for key in keys
        )
