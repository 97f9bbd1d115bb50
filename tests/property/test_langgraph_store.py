"""`ValkeyStore` answers every sequence of batches as LangGraph's `InMemoryStore` does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore

from clusters import three_nodes
from langgraph_valkey import ValkeyStore
from servers import Server

LABELS = st.sampled_from(["a", "b", "ab", "a*", "*", "1", "10", "é", "a.b", "\0", "", "{"])
NAMESPACES = st.lists(LABELS, max_size=3).map(tuple)
KEYS = st.sampled_from(["k", "k1", "", "*", "\0k"])
NUMBERS = st.sampled_from([0, 1, -1, 2.5, 10, 1e300, -0.0, True, False, 2**53])
PLAIN = st.none() | NUMBERS | st.sampled_from(["", "x", "X", "10", "é", "}", "2024-01-31"])
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "b.c"]), inner, max_size=2)
    ),
    max_leaves=4,
)
FIELDS = st.sampled_from(["n", "s", "d", "a.b"])
ITEMS = st.dictionaries(FIELDS, VALUES, max_size=3).map(lambda value: {"n": 0, **value})
# The reference raises where an item has no order with the operand, so these are compared with numbers alone.
ORDERED = st.dictionaries(
    st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), NUMBERS, min_size=1, max_size=2
)
CONDITIONS = VALUES | st.dictionaries(st.sampled_from(["$eq", "$ne"]), VALUES, min_size=1)
FILTERS = st.none() | st.dictionaries(
    FIELDS.filter(lambda name: name != "n"), CONDITIONS, max_size=2
)
MATCHES = st.builds(MatchCondition, st.sampled_from(["prefix", "suffix"]), NAMESPACES)
OPERATIONS: st.SearchStrategy[Op] = st.one_of(
    # From tuples: st.builds would make up what is not given here.
    st.tuples(NAMESPACES, KEYS, ITEMS | st.none()).map(lambda given: PutOp(*given)),
    st.tuples(NAMESPACES, KEYS).map(lambda given: GetOp(*given)),
    st.tuples(NAMESPACES, FILTERS, st.integers(0, 8), st.integers(0, 3)).map(
        lambda given: SearchOp(*given)
    ),
    st.tuples(
        st.lists(MATCHES, max_size=2).map(tuple),
        st.none() | st.integers(0, 3),
        st.integers(0, 8),
        st.integers(0, 3),
    ).map(lambda given: ListNamespacesOp(*given)),
)
BATCHES = st.lists(st.lists(OPERATIONS, min_size=1, max_size=8), min_size=1, max_size=6)


class _Namespaces(dict[Any, Any]):
    """Is not changed by being looked into."""

    def __missing__(self, namespace: Any) -> Any:
        return {}


class Reference(InMemoryStore):
    """Has no namespaces without items; the original keeps them, even those that were only read."""

    def __init__(self) -> None:
        super().__init__()
        self._data = _Namespaces()

    def _apply_put_ops(self, put_ops: Any) -> None:
        for (namespace, key), op in put_ops.items():
            if op.value is not None:
                self._data.setdefault(namespace, {})
            super()._apply_put_ops({(namespace, key): op})
            if not self._data[namespace]:
                self._data.pop(namespace, None)


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    with three_nodes() as url:
        yield url


@pytest.fixture(scope="module", params=["native", "search", "cluster"])
def store(request: pytest.FixtureRequest) -> Iterator[ValkeyStore]:
    if request.param == "cluster":
        url: str = request.getfixturevalue("cluster_url")
    else:
        server: Server = request.getfixturevalue(f"{request.param}_server")
        url = server.url
    with ValkeyStore(url, namespace=f"t{uuid4().hex}") as opened:
        yield opened
        opened.clear()


def plain(result: Any) -> Any:
    """A result without its times, which the reference does not keep."""
    if isinstance(result, list):
        return [plain(one) for one in result]
    if isinstance(result, Item):
        return result.namespace, result.key, result.value, getattr(result, "score", "none")
    return result


@given(batches=BATCHES)
def test_it_answers_as_the_store_in_memory(store: ValkeyStore, batches: list[list[Op]]) -> None:
    store.clear()
    reference = Reference()
    for batch in batches:
        expected = reference.batch(batch)
        found = store.batch(batch)
        assert [plain(one) for one in found] == [plain(one) for one in expected]
    everything = SearchOp((), limit=1000)
    assert plain(store.batch([everything])) == plain(reference.batch([everything]))


@settings(max_examples=40)
@given(
    items=st.lists(
        st.dictionaries(st.just("n"), NUMBERS | st.sampled_from(["10", "-3.5"]), min_size=1)
    ),
    condition=ORDERED,
)
def test_it_orders_numbers_as_the_store_in_memory(
    store: ValkeyStore, items: list[dict[str, Any]], condition: dict[str, Any]
) -> None:
    store.clear()
    reference = Reference()
    for each in (store, reference):
        for number, value in enumerate(items):
            each.put(("a",), str(number), value)
    search = SearchOp(("a",), {"n": condition}, limit=100)
    assert plain(store.batch([search])) == plain(reference.batch([search]))
