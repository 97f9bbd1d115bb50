"""`ServedIndex`: what a language model may read of one index."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from valkey_vector.concurrency.threads import offload
from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.filters.ast import Always, Filter
from valkey_vector.filters.evaluate import matches
from valkey_vector.index.index import Index
from valkey_vector.mcp_server.key_hints import key_hints
from valkey_vector.mcp_server.results import (
    FoundRecord,
    IndexSummary,
    KeyFacet,
    SearchResponse,
    ValueCount,
    found,
    json_value,
)
from valkey_vector.query.filter_like import FilterLike, as_filter
from valkey_vector.records.record import Hit, Record, Vector

__all__ = ["EmbedQuery", "SearchMethod", "ServedIndex"]

EmbedQuery: TypeAlias = Callable[[str], "Vector | Awaitable[Vector]"]
"""Returns the vector of a text, by the model of the index's vectors. May be async."""

SearchMethod: TypeAlias = Literal["text", "vector", "hybrid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedIndex:
    """One index, with what the tools may return of it. Nothing here writes.

    Attributes:
        index: an existing index.
        description: one sentence for the model: what the records are about.
        locked_filter: the tools see only records that match it, whatever filter the model passes. None for all.
        embed: embeds the text of a vector or hybrid search. None: text search only.
        max_results: maximum number of records of one call, >= 1.
        max_characters: maximum length of the text of a returned record, >= 1.
        sample: number of records that ``describe`` reads to find the metadata keys, >= 1.

    Raises:
        ConfigurationError: a limit is not a positive integer.
        FilterError: the locked filter is not valid.
    """

    index: Index
    description: str = ""
    locked_filter: FilterLike | None = None
    embed: EmbedQuery | None = None
    max_results: int = 20
    max_characters: int = 4_000
    sample: int = 200
    _locked: Filter = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("max_results", "max_characters", "sample"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"{name} must be an integer of at least 1, not {value!r}")
        locked = Always() if self.locked_filter is None else as_filter(self.locked_filter)
        object.__setattr__(self, "_locked", locked)

    @property
    def name(self) -> str:
        """Name of the index."""
        return self.index.name

    def search_methods(self) -> list[SearchMethod]:
        """Return the methods of `search` that the index supports, the default first."""
        text = self.index.schema.full_text is not None
        match (text, self.embed is not None):
            case (True, True):
                return ["hybrid", "vector", "text"]
            case (True, False):
                return ["text"]
            case (False, True):
                return ["vector"]
            case _:
                return []

    async def search(
        self,
        text: str,
        *,
        limit: int,
        filter: Mapping[str, Any] | None = None,
        method: SearchMethod | None = None,
    ) -> SearchResponse:
        """Return the best records for a text.

        Args:
            text: what to search for.
            limit: maximum number of records, 1 to `max_results`.
            filter: narrows the locked filter; the dict dialect.
            method: None for the first of `search_methods`.

        Raises:
            InvalidInputError: the index does not support the method, or an argument is not valid.
        """
        methods = await offload(self.search_methods)
        chosen = method or (methods[0] if methods else None)
        if chosen is None or chosen not in methods:
            available = " or ".join(repr(name) for name in methods) or "only similar_to an id"
            raise InvalidInputError(
                f"index {self.name!r} has no {chosen or 'text'} search: use {available}"
            )
        where, k = self._narrowed(filter), self._checked(limit)
        if chosen == "text" or self.embed is None:
            hits = await self.index.asearch_text(text, k=k, filter=where)
            return self._response("text", hits)
        vector = await _embedded(self.embed, text)
        if chosen == "vector":
            hits = await self.index.asearch(vector, k=k, filter=where)
        else:
            hits = await self.index.asearch_hybrid(vector, text, k=k, filter=where)
        return self._response(chosen, hits)

    async def similar(
        self, id: str, *, limit: int, filter: Mapping[str, Any] | None = None
    ) -> SearchResponse:
        """Return the records whose vectors are nearest to that of a record, without the record itself.

        Raises:
            InvalidInputError: the record has no vector, or the tools cannot see it.
        """
        where, k = self._narrowed(filter), self._checked(limit)
        [record] = await self._visible([id], with_vectors=True)
        if record is None or record.vector is None:
            what = "no record" if record is None else "no vector in the record"
            raise InvalidInputError(f"index {self.name!r} has {what} with the id {id!r}")
        hits = await self.index.asearch(record.vector, k=k + 1, filter=where)
        others = [hit for hit in hits if hit.record.id != id]
        return self._response("similar", others[:k])

    async def get(self, ids: Sequence[str]) -> list[FoundRecord]:
        """Return records by id. Leaves out ids that are not stored or that the tools cannot see."""
        if len(ids) > self.max_results:
            raise InvalidInputError(f"at most {self.max_results} ids can be fetched at once")
        records = await self._visible(ids)
        return [
            found(record, max_characters=self.max_characters)
            for record in records
            if record is not None
        ]

    async def count(self, *, filter: Mapping[str, Any] | None = None) -> int:
        """Count the records that match, among those that the tools can see."""
        return await self.index.acount(self._narrowed(filter))

    async def facets(
        self, keys: Sequence[str], *, limit: int, filter: Mapping[str, Any] | None = None
    ) -> list[KeyFacet]:
        """Count the records with each value of metadata keys, the most frequent values first."""
        facets = await self.index.afacets(
            keys, filter=self._narrowed(filter), limit=self._checked(limit)
        )
        return [
            KeyFacet(
                key=facet.key,
                values=[
                    ValueCount(value=json_value(value.value), count=value.count)
                    for value in facet.values
                ],
                distinct=facet.distinct,
                missing=facet.missing,
            )
            for facet in facets.values()
        ]

    async def describe(self) -> IndexSummary:
        """Describe the index, with the metadata keys of a sample of its records."""
        locked = self._locked
        sampled = await self.index.aselect(locked, limit=self.sample, with_content=False)
        return IndexSummary(
            name=self.name,
            description=self.description,
            records=await self.index.acount(locked),
            search_methods=[*await offload(self.search_methods), "similar"],
            keys=key_hints([record.metadata for record in sampled]),
            sampled=len(sampled),
        )

    def _narrowed(self, filter: Mapping[str, Any] | None) -> Filter:
        """Return the locked filter and the model's filter, combined with AND."""
        return self._locked if filter is None else self._locked & as_filter(filter)

    def _checked(self, limit: int) -> int:
        if not 1 <= limit <= self.max_results:
            raise InvalidInputError(f"limit must be 1 to {self.max_results}, not {limit}")
        return limit

    async def _visible(
        self, ids: Sequence[str], *, with_vectors: bool = False
    ) -> list[Record | None]:
        """Return the records by id; None for those that do not match the locked filter."""
        records = await self.index.aget(ids, with_vectors=with_vectors)
        return [
            record
            if record is not None
            and matches(
                self._locked,
                record.metadata,
                id=record.id,
                content=record.content,
                parent=record.parent,
            )
            else None
            for record in records
        ]

    def _response(
        self, method: Literal["text", "vector", "hybrid", "similar"], hits: Sequence[Hit]
    ) -> SearchResponse:
        return SearchResponse(
            method=method,
            records=[
                found(hit.record, max_characters=self.max_characters, score=hit.score)
                for hit in hits
            ],
        )


async def _embedded(embed: EmbedQuery, text: str) -> Vector:
    # A sync embedder may load a model or call a service: it must not stop the event loop.
    vector = await offload(embed, text)
    return await vector if isinstance(vector, Awaitable) else vector
