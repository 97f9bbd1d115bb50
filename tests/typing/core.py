"""Programs over the core that type checkers judge; nothing here is run."""

from __future__ import annotations

from typing import assert_type

from valkey_vector import (
    AttachedDocument,
    AttachedHit,
    AttachedIndex,
    Connection,
    CountQuery,
    F,
    Facet,
    FieldExpression,
    Filter,
    FilterQuery,
    Hit,
    Index,
    IndexInfo,
    Record,
    SearchResult,
    VectorQuery,
    WriteResult,
    all_of,
)
from valkey_vector.cache import CacheHit, CacheStatistics, SemanticCache
from valkey_vector.secondary import NumericIndex
from valkey_vector.stores import ByteStore


def filters() -> None:
    assert_type(F("year"), FieldExpression)
    assert_type(F("year") >= 2020, Filter)
    assert_type((F("year") == 2020) & ~F("tags").contains("db"), Filter)
    assert_type(all_of([F("a") == 1, F("b") == 2]), Filter)


def blocking(connection: Connection) -> None:
    with Index.open("articles", dimension=3, connection=connection) as index:
        assert_type(index, Index)
        assert_type(index.upsert([Record(id="1", vector=[1.0, 0.0, 0.0])]), WriteResult)
        assert_type(index.search([1.0, 0.0, 0.0], k=5, filter={"year": 2024}), SearchResult[Hit])
        assert_type(index.search_text("fox", filter=F("year") > 2020), SearchResult[Hit])
        assert_type(index.search_hybrid([1.0, 0.0, 0.0], "fox"), SearchResult[Hit])
        assert_type(index.query(VectorQuery(vector=[1.0, 0.0, 0.0])), SearchResult[Hit])
        assert_type(index.query(FilterQuery(limit=5)), SearchResult[Record])
        assert_type(index.query(CountQuery()), int)
        assert_type(index.count(F("year") > 2020), int)
        assert_type(index.facets(["year"]), dict[str, Facet])
        assert_type(index.info(), IndexInfo)
    attached = Index.attach("other", connection=connection)
    assert_type(attached, AttachedIndex)
    assert_type(attached.search([1.0], timeout=1.0), SearchResult[AttachedHit])
    assert_type(attached.select(consistency="partial"), SearchResult[AttachedDocument])
    assert_type(attached.count(consistency="loose"), int)


async def awaited(index: Index) -> None:
    assert_type(await index.aupsert([Record(id="1")]), WriteResult)
    assert_type(await index.asearch([1.0, 0.0, 0.0], k=5), SearchResult[Hit])
    assert_type(await index.asearch_text("fox"), SearchResult[Hit])
    assert_type(await index.aquery(CountQuery()), int)
    assert_type(await index.acount(), int)
    assert_type(await index.aget(["1"]), list[Record | None])
    async for record in index.aiterate():
        assert_type(record, Record)


def embed(text: str) -> list[float]:
    return [float(len(text))]


def count_letters(prompt: str) -> int:
    return len(prompt)


async def count_letters_awaited(prompt: str) -> int:
    return len(prompt)


async def computed(cache: SemanticCache) -> None:
    assert_type(cache.get_or_compute("a question", count_letters), int)
    assert_type(cache.get_or_compute("a question", embed, tokens=len), list[float])
    assert_type(await cache.aget_or_compute("a question", count_letters), int)
    assert_type(await cache.aget_or_compute("a question", count_letters_awaited), int)


def beside(connection: Connection) -> None:
    with SemanticCache(embed, threshold=0.9, connection=connection) as cache:
        assert_type(cache.lookup("a question"), CacheHit | None)
        assert_type(cache.stats(), CacheStatistics)
    numbers = NumericIndex("ages", connection=connection)
    assert_type(numbers.range(ge=18), list[str])
    assert_type(numbers.count(), int)
    assert_type(ByteStore("bytes", connection=connection).mget(["a"]), list[bytes | None])
