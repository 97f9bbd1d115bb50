"""Indexes whose name begins with a hash tag: all keys in one slot, on one node, on any cluster; searches of others are distributed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from clusters import TestCluster
from valkey_vector import (
    ConfigurationError,
    F,
    Index,
    Record,
    UnsupportedFeatureError,
    list_indexes,
)
from valkey_vector.cache import SemanticCache
from valkey_vector.connection import Connection
from valkey_vector.operations.privileges import key_patterns
from valkey_vector.storage.catalog import Catalog, name_of_catalog, own_key, own_keys

RECORDS = [
    Record(id=str(n), content=f"text {n}", vector=[1.0, float(n)], metadata={"n": n, "odd": n % 2})
    for n in range(40)
]


@pytest.fixture(scope="module")
def plain_cluster() -> Iterator[Connection]:
    """Three primaries without a search module."""
    with TestCluster() as cluster, Connection.open(cluster.url) as connection:
        yield connection


@pytest.fixture
def tagged() -> str:
    return f"{{t{uuid4().hex[:8]}}}articles"


def slots_of(connection: Connection, pattern: str) -> set[int]:
    keys = [key for batch in connection.scan(pattern) for key in batch]
    assert keys
    return {connection.execute("CLUSTER", "KEYSLOT", key) for key in keys}


def use(index: Index) -> None:
    """Write, read and remove, and compare with what was written."""
    index.upsert(RECORDS)
    assert [hit.record.id for hit in index.search([1.0, 7.0], k=1)] == ["7"]
    odd = index.search([1.0, 8.0], k=20, filter=F("odd") == 1)
    assert sorted(int(hit.record.id) for hit in odd) == list(range(1, 40, 2))
    assert index.count(F("n") >= 30) == 10
    assert [record.id for record in index.select(order_by="n", limit=3)] == ["0", "1", "2"]
    assert index.update_metadata(["3"], {"odd": 7}) == 1
    assert [record.id for record in index.select(F("odd") == 7)] == ["3"]
    assert index.delete(["3", "4"]) == 2
    assert index.delete_by_filter(F("n") < 10) == 8
    assert index.count() == 30
    assert index.facets(["odd"])["odd"].distinct == 2
    assert index.verify().ok


def test_an_index_with_a_hash_tag_works_on_a_cluster_without_a_search_module(
    plain_cluster: Connection, tagged: str
) -> None:
    index = Index.open(tagged, connection=plain_cluster)
    use(index)
    assert index.info().engine == "native"
    tag = tagged.partition("}")[0] + "}"
    assert len(slots_of(plain_cluster, f"{tag}*")) == 1
    assert index.drop() == 30
    assert [key for batch in plain_cluster.scan(f"{tag}*") for key in batch] == []


def test_many_tenants_share_a_cluster(plain_cluster: Connection) -> None:
    run = uuid4().hex[:8]
    indexes = [
        Index.open(f"{{{run}{number}}}articles", connection=plain_cluster) for number in range(30)
    ]
    for number, index in enumerate(indexes):
        index.upsert([Record(id="a", content=str(number), vector=[1.0, 0.0])])
    for number, index in enumerate(indexes):
        [hit] = index.search([1.0, 0.0], k=5)
        assert hit.record.content == str(number)
    assert len(slots_of(plain_cluster, f"{{{run}*")) >= 20
    listed = {each.name for each in list_indexes(connection=plain_cluster)}
    assert listed >= {index.name for index in indexes}


def test_a_semantic_cache_with_a_hash_tag_works_on_a_cluster_without_a_search_module(
    plain_cluster: Connection, tagged: str
) -> None:
    def embed(text: str) -> list[float]:
        return [1.0, float(len(text))]

    with SemanticCache(
        embed, name=tagged, connection=plain_cluster, on_error="raise", max_entries=5
    ) as cache:
        assert cache.get_or_compute("prompt", str.upper) == "PROMPT"
        assert cache.get_or_compute("prompt", str.lower) == "PROMPT"
        assert cache.stats().exact_hits == 1
        cache.drop()


def test_without_a_hash_tag_the_cure_is_named(plain_cluster: Connection) -> None:
    index = Index.open("articles", connection=plain_cluster, dimension=2, engine="native")
    with pytest.raises(UnsupportedFeatureError, match=r"'\{tenant\}articles'"):
        index.create()


def test_an_index_with_a_hash_tag_works_on_every_engine(
    server_url: str, index_name: str, engine_name: Any
) -> None:
    name = f"{{{index_name}}}articles"
    with Connection.open(server_url) as connection:
        index = Index.open(name, connection=connection, engine=engine_name)
        use(index)
        if connection.capabilities.cluster:
            assert len(slots_of(connection, f"{{{index_name}}}*")) == 1
        index.drop()


def test_indexes_of_similar_names_do_not_share_keys(server_url: str, index_name: str) -> None:
    names = [index_name, f"{{{index_name}}}a", f"{{{index_name}}}ab", f"{{{index_name}}}index"]
    with Connection.open(server_url) as connection:
        indexes = [Index.open(name, connection=connection) for name in names]
        for number, index in enumerate(indexes):
            index.upsert(
                [Record(id=str(n), vector=[1.0, 0.0]) for n in range(number + 1)], progress=False
            )
        assert [index.count() for index in indexes] == [1, 2, 3, 4]
        for number, index in enumerate(indexes):
            assert index.drop() == number + 1
            assert [each.count() for each in indexes[number + 1 :]] == [
                n + 1 for n in range(number + 1, 4)
            ]


@pytest.mark.parametrize(
    "name",
    ["{}a", "{a", "{a}", "a{b}", "{a}_b", "{a:b}c", "{a}{b}c", "{a}b:c", "{a b}c", "x{a}", "{{a}b"],
)
def test_a_name_with_another_form_of_braces_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="hash tag"):
        Index.open(name)


@pytest.mark.parametrize("name", ["articles", "{a}articles", "{1.2-x_}a.b-c_", "index", "{a}index"])
def test_the_key_of_a_catalog_tells_the_name_of_its_index(name: str) -> None:
    catalog = Catalog(Connection.open("valkey://127.0.0.1:1"), name)
    assert name_of_catalog(catalog.key) == name
    for key in own_keys(name):
        assert name_of_catalog(key) is None


def test_all_keys_of_a_name_match_its_key_patterns() -> None:
    assert key_patterns("{t}articles") == ("~{t}articles:*", "~{t}:articles:*")
    assert own_key("{t}articles", "index") == "{t}:articles:index"
    assert own_key("articles", "index") == "{articles}:index"


def searches_by_node(connection: Connection) -> dict[bytes, int]:
    """Return the number of FT.SEARCH that each primary has executed."""
    found = {}
    for address, text in connection.execute_on_primaries("INFO", "commandstats").items():
        lines = text.decode().lower().splitlines()
        counts = [line.partition("calls=")[2] for line in lines if "cmdstat_ft.search:" in line]
        found[address] = int(counts[0].partition(",")[0]) if counts else 0
    return found


def test_searches_of_an_index_on_all_nodes_are_distributed_over_them(
    server_url: str, index_name: str
) -> None:
    with Connection.open(server_url) as connection:
        index = Index.open(index_name, connection=connection)
        index.upsert(RECORDS)
        index.search([1.0, 7.0], k=1)
        if not connection.capabilities.cluster:
            return  # one node executes them all
        before = searches_by_node(connection)
        for n in range(90):
            assert index.search([1.0, float(n % 40)], k=1)[0].record.id == str(n % 40)
        after = searches_by_node(connection)
        assert min(after[node] - before[node] for node in after) >= 10
        index.drop()


def test_searches_of_an_index_in_one_slot_go_to_its_node(server_url: str, index_name: str) -> None:
    with Connection.open(server_url) as connection:
        index = Index.open(f"{{{index_name}}}articles", connection=connection)
        index.upsert(RECORDS)
        index.search([1.0, 7.0], k=1)
        if not connection.capabilities.cluster:
            return
        before = searches_by_node(connection)
        for n in range(60):
            index.search([1.0, float(n)], k=1)
        after = searches_by_node(connection)
        assert sorted(after[node] - before[node] >= 60 for node in after) == [False, False, True]
        index.drop()
