"""LlamaIndex's filters mean here what they mean in LlamaIndex itself, on both engines."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from llama_index.vector_stores.valkey import ValkeyVectorStore
from llama_index.vector_stores.valkey.filters import to_filter
from llamaindex_filters import (
    Reachable,
    any_keys,
    any_metadata,
    deep,
    expected,
    flat,
    keys,
    metadata,
    pointed,
)
from servers import Server
from valkey_vector.filters import matches
from valkey_vector.index.settings import EngineChoice

EXAMPLES = 60
FILTERS = 12


def ours(filters: MetadataFilters, items: dict[str, Any], source: str | None = None) -> bool:
    filter = to_filter(filters)
    return filter is None or matches(filter, items, parent=source)


@settings(max_examples=1500)
@given(flat(keys), metadata)
def test_a_filter_means_what_it_means_in_llamaindex(
    filters: MetadataFilters, items: dict[str, Any]
) -> None:
    reference = build_metadata_filter_fn(lambda _: items, filters)
    try:
        answer = reference("")
    except TypeError:
        return  # which depends on the node: see the next test
    assert ours(filters, items) is answer


@settings(max_examples=1500)
@given(deep(any_keys), any_metadata | metadata, st.sampled_from(["s1", "s2", "x", None]))
def test_nested_filters_paths_and_source_documents_are_understood(
    filters: MetadataFilters, items: dict[str, Any], source: str | None
) -> None:
    assert ours(filters, items, source) is expected(filters, Reachable(items, source))


directions = st.lists(st.integers(-3, 3), min_size=4, max_size=4).filter(any)


@st.composite
def nodes(draw: st.DrawFn, number: int, items: st.SearchStrategy[dict[str, Any]]) -> TextNode:
    node = TextNode(
        id_=f"n{number}",
        text=draw(st.sampled_from(["", "x", "some text"])),
        # LlamaIndex's own store serialises what is no number to None.
        metadata=draw(items.filter(_finite)),
        embedding=[float(part) for part in draw(directions)],
    )
    source = draw(st.sampled_from(["s1", "s2", None]))
    if source is not None:
        node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=source)
    return node


def _finite(found: Any) -> bool:
    match found:
        case float():
            return math.isfinite(found)
        case list():
            return all(map(_finite, found))
        case dict():
            return all(map(_finite, found.values()))
        case _:
            return True


def written(
    draw: st.DataObject, stores: list[ValkeyVectorStore], items: st.SearchStrategy[dict[str, Any]]
) -> list[TextNode]:
    count = draw.draw(st.integers(3, 12))
    made = [draw.draw(nodes(number, items)) for number in range(count)]
    for store in stores:
        store.clear()
        assert store.add(made) == [node.node_id for node in made]
    return made


def opened(native: Server, search: Server, name: str) -> list[ValkeyVectorStore]:
    engines: list[tuple[Server, EngineChoice]] = [(native, "native"), (search, "search")]
    return [
        ValkeyVectorStore(server.url, index_name=name, engine=engine, dimension=4, algorithm="FLAT")
        for server, engine in engines
    ]


@pytest.mark.timeout(600)
def test_both_engines_find_what_llamaindex_finds(
    native_server: Server, search_server: Server, index_name: str
) -> None:
    """Nodes, order and similarities of `SimpleVectorStore`; what its filters cannot do is checked by the next test."""
    stores = opened(native_server, search_server, index_name)
    evaluations = telling = 0

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        nonlocal evaluations, telling
        made = written(data, stores, metadata)
        simple = SimpleVectorStore()
        simple.add(made)
        for _ in range(FILTERS):
            query = VectorStoreQuery(
                query_embedding=[float(part) for part in data.draw(directions)],
                similarity_top_k=data.draw(st.integers(1, 14)),
                filters=data.draw(st.none() | flat(keys)),
                node_ids=data.draw(
                    st.none()
                    | st.lists(st.sampled_from([node.node_id for node in made]), min_size=1)
                ),
            )
            try:
                answer = simple.query(query)
            except TypeError:
                continue
            found = dict(zip(answer.ids or [], answer.similarities or [], strict=True))
            evaluations += 1
            telling += 0 < len(found) < min(len(made), query.similarity_top_k)
            for store in stores:
                check_same(store, query, found)

    check()
    for store in stores:
        store.index.drop()
        store.close()
    assert evaluations >= 300
    assert telling >= 60


def check_same(store: ValkeyVectorStore, query: VectorStoreQuery, found: dict[str, float]) -> None:
    """The same nodes but for ties at the end, in the same order but for ties, with the same similarities."""
    answer = store.query(query)
    assert answer.ids is not None
    assert answer.similarities is not None
    assert answer.nodes is not None
    assert [node.node_id for node in answer.nodes] == answer.ids
    expected_similarities = sorted(found.values(), reverse=True)
    assert answer.similarities == pytest.approx(expected_similarities, abs=1e-5)
    if not found:
        return
    last = expected_similarities[-1]
    clear = {id for id, near in found.items() if near > last + 2e-5}
    assert clear <= set(answer.ids)
    for id, near in zip(answer.ids, answer.similarities, strict=True):
        if id in found:
            assert near == pytest.approx(found[id], abs=1e-5)


@pytest.mark.timeout(600)
def test_both_engines_filter_and_delete_by_any_filter(
    native_server: Server, search_server: Server, index_name: str
) -> None:
    stores = opened(native_server, search_server, index_name)
    seen: Counter[FilterOperator] = Counter()
    telling = 0

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        nonlocal telling
        made = written(data, stores, any_metadata | metadata)
        others = deep(any_keys)
        about = others | pointed([node.metadata for node in made], others)
        for _ in range(FILTERS):
            filters = data.draw(about)
            seen.update(operators_of(filters))
            kept = [
                node
                for node in made
                if expected(filters, Reachable(node.metadata, node.ref_doc_id))
            ]
            telling += 0 < len(kept) < len(made)
            for store in stores:
                assert store.get_nodes(filters=filters) == kept
        if to_filter(filters) is None:
            return
        left = [node for node in made if node not in kept]
        for store in stores:
            store.delete_nodes(filters=filters)
            assert store.get_nodes() == left

    check()
    for store in stores:
        store.index.drop()
        store.close()
    assert telling >= 100
    assert set(seen) == set(FilterOperator)


def operators_of(filters: MetadataFilters) -> list[FilterOperator]:
    return [
        operator
        for part in filters.filters
        for operator in (
            operators_of(part) if isinstance(part, MetadataFilters) else [part.operator]
        )
    ]


def metadata_filter(**fields: Any) -> MetadataFilters:
    """A filter past pydantic's checks."""
    part = MetadataFilter.model_construct(**fields)
    return MetadataFilters.model_construct(filters=[part], condition=None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"operator": "~=", "value": 1}, "unknown filter operator '~='"),
        ({"operator": ">", "value": None}, "NoneType"),
        ({"operator": ">", "value": [1]}, "list"),
        ({"operator": "in", "value": "x"}, "takes a list"),
        ({"operator": "nin", "value": None}, "takes a list"),
        ({"operator": "any", "value": "x"}, "takes a list"),
        ({"operator": "all", "value": 1}, "takes a list"),
        ({"operator": "contains", "value": None}, "NoneType"),
        ({"operator": "text_match", "value": 1}, "takes text"),
        ({"operator": "text_match_insensitive", "value": ["x"]}, "takes text"),
        ({"operator": "==", "value": {"a": 1}}, "dict"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named.replace("~=", r"~=")):
        to_filter(metadata_filter(key="k", **fields))


def test_an_unknown_condition_is_refused() -> None:
    part = MetadataFilter(key="k", value=1)
    with pytest.raises(ValueError, match="condition 'xor'"):
        to_filter(MetadataFilters.model_construct(filters=[part], condition="xor"))
