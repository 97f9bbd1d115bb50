"""`ValkeyStore` beyond the comparison with the store in memory: sizes, round trips, times to live, ranked searches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import GetOp, ListNamespacesOp, Op, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

from langgraph_savers import trips
from langgraph_valkey import ValkeyStore
from round_trips import CommandLog
from valkey_vector import ConfigurationError, ConnectionLostError, FilterError, InvalidInputError
from valkey_vector.connection import Connection
from valkey_vector.stores import item_index, item_store

WORDS = ["apple", "pear", "plum", "car", "bus", "train", "red", "blue"]


class Words(Embeddings):
    """Counts words; a text without any of them has no direction."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(text.lower().count(word)) for word in WORDS] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


@pytest.fixture
def open_store(
    server_url: str, index_name: str, engine_name: Any
) -> Iterator[Callable[..., ValkeyStore]]:
    with Connection.open(server_url) as connection:

        def opened(**settings: Any) -> ValkeyStore:
            asked = {"namespace": index_name, "engine": engine_name, **settings}
            return ValkeyStore(connection=connection, **asked)

        yield opened


@pytest.fixture
def store(open_store: Callable[..., ValkeyStore]) -> ValkeyStore:
    return open_store()


def fields(*paths: str) -> Any:
    return {"embed": Words(), "dims": len(WORDS), "fields": list(paths) or ["$"]}


def keys(found: Any) -> list[str]:
    return [item.key for item in found]


def test_a_batch_of_everything_is_one_round_trip(store: ValkeyStore, commands: CommandLog) -> None:
    store.put(("u", "1"), "a", {"n": 1})
    commands.clear()
    results = store.batch(
        [
            PutOp(("u", "2"), "b", {"n": 2}),
            GetOp(("u", "1"), "a"),
            SearchOp(("u",), {"n": {"$gte": 1}}),
            ListNamespacesOp(),
            PutOp(("u", "1"), "a", None),
            GetOp(("u", "2"), "b"),
        ]
    )
    assert [len(trip) for trip in trips(commands)] == [1]
    assert results[0] is results[4] is results[5] is None  # reads see the state before the batch
    assert results[1].value == {"n": 1}  # type: ignore[union-attr]
    assert keys(results[2]) == ["a"]
    assert results[3] == [("u", "1")]
    assert keys(store.search(("u",))) == ["b"]


def test_a_namespace_does_not_see_one_that_begins_alike(store: ValkeyStore) -> None:
    for user in ("1", "10", "1*", "*", "{1}"):
        store.put(("u", user), "k", {"user": user})
    assert [item.value["user"] for item in store.search(("u", "1"))] == ["1"]
    assert [item.value["user"] for item in store.search(("u", "*"))] == ["*"]
    assert len(store.search(("u",))) == 5


def test_a_thousand_items_are_found_in_pages(store: ValkeyStore, commands: CommandLog) -> None:
    store.batch([PutOp(("u",), f"k{n:04}", {"n": n, "even": n % 2 == 0}) for n in range(1000)])
    commands.clear()
    found = store.search(("u",), filter={"even": True}, limit=1000)
    assert [item.value["n"] for item in found] == list(range(0, 1000, 2))
    assert len(trips(commands)) == 1
    pages = [store.search(("u",), limit=150, offset=150 * n) for n in range(7)]
    assert [item.value["n"] for page in pages for item in page] == list(range(1000))
    assert [
        item.value["n"] for item in store.search((), filter={"n": {"$gt": 990}}, limit=3, offset=2)
    ] == [993, 994, 995]
    assert keys(store.search((), limit=1, offset=999)) == ["k0999"]
    assert store.search((), limit=1, offset=1000) == []


def test_large_items_are_found_over_several_replies(
    store: ValkeyStore, commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_store, "PAGE_BYTES", 5000)
    for n in range(20):
        store.put(("u", str(n % 3)), f"k{n}", {"n": n, "text": "x" * 1000})
    expected = store.search(("u",), limit=20)
    assert sorted(item.value["n"] for item in expected) == list(range(20))
    commands.clear()
    batch: list[Op] = [
        SearchOp(("u",), limit=20),
        SearchOp(("u",), {"n": {"$gte": 15}}),
        PutOp(("u", "0"), "k0", None),
    ]
    everything, some, _ = store.batch(batch)
    assert len(trips(commands)) > 3
    assert keys(everything) == keys(expected)  # put off until the searches were done
    assert sorted(item.value["n"] for item in some) == [15, 16, 17, 18, 19]  # type: ignore[union-attr]
    assert store.get(("u", "0"), "k0") is None


def test_more_operations_than_one_call_takes(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_store, "_OPERATIONS", 7)
    store.batch([PutOp(("u",), str(n), {"n": n}) for n in range(40)])
    ops = [GetOp(("u",), str(n)) for n in range(20)]
    ops += [SearchOp(("u",), {"n": n}) for n in range(20)]  # type: ignore[misc]
    ops += [PutOp(("u",), str(n), None) for n in range(40)]  # type: ignore[misc]
    results: Any = store.batch(ops)
    assert [item.value["n"] for item in results[:20]] == list(range(20))
    assert [item.value["n"] for (item,) in results[20:40]] == list(range(20))
    assert store.search(()) == []


def test_created_at_is_kept_on_update(store: ValkeyStore) -> None:
    begin = datetime.now(UTC)
    store.put(("u",), "k", {"n": 1})
    first = store.get(("u",), "k")
    time.sleep(0.002)
    store.put(("u",), "k", {"n": 2})
    second = store.get(("u",), "k")
    assert first is not None
    assert second is not None
    assert first.created_at == first.updated_at == second.created_at
    assert second.updated_at > second.created_at
    assert abs((first.created_at - begin).total_seconds()) < 5


def test_values_are_returned_unchanged(store: ValkeyStore) -> None:
    value = {
        "big": 10**30, "float": 0.1, "none": None, "list": [1, 1.0, True, {"a": []}], "": "", "é\0": "\0日本",
        "date": date(2024, 1, 31), "time": datetime(2024, 1, 31, 12, tzinfo=UTC), "$date": {"$date": "x"},
    }  # fmt: skip
    store.put(("u",), "k", value)
    found = store.get(("u",), "k")
    assert found is not None
    assert repr(found.value) == repr(value)
    with pytest.raises(InvalidInputError, match="item 'k'"):
        store.put(("u",), "k", {"x": object()})
    with pytest.raises(InvalidInputError, match="surrogate"):
        store.batch([PutOp(("u",), "other", {}), PutOp(("\ud800",), "k", {})])
    assert store.get(("u",), "other") is None


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ({"n": 1}, "abc"),
        ({"n": True}, "abc"),
        ({"n": {"$ne": 1}}, "def"),
        ({"n": {"$gt": 1}}, "d"),
        ({"n": {"$gte": 1, "$lt": 2}}, "abc"),
        ({"n": {"$gt": 2**53}}, "d"),
        ({"n": {"$lt": 2**53 + 1}}, "abc"),
        ({"n": {"$gte": "1"}}, "abcd"),
        ({"n": None}, "ef"),
        ({"n": {"$exists": True}}, "abcd"),
        ({"n": {"$in": [1, None]}}, "abcef"),
        ({"n": {"$nin": [1, None]}}, "d"),
        ({"n": {"$between": [1, 3]}}, "abc"),
        ({"day": {"$gte": "2024-02", "$lt": "A"}}, "bc"),
        ({"day": {"$like": "2024-0_-%"}}, "abc"),
        ({"day": {"$ilike": "%JAN%"}}, "d"),
        ({"tags": {"$contains": "x"}}, "ab"),
        ({"tags": ["x", "y"]}, "b"),
        ({"tags": [{"$in": ["x", "z"]}]}, "a"),
        ({"deep": {"a": {"$gt": 1}}}, "b"),
        ({"deep": {"a": {"b": None}}}, ""),
        ({"$or": [{"day": "Jan"}, {"deep": {"a": 1}}]}, "ad"),
        ({"$and": [{"n": 1}, {"$not": {"tags": ["x"]}}]}, "bc"),
        ({"n": {"$not": {"$gt": 0}}}, "ef"),
        ({}, "abcdef"),
    ],
    ids=str,
)
def test_filters_are_exact(store: ValkeyStore, filter: dict[str, Any], found: str) -> None:
    items: dict[str, dict[str, Any]] = {
        "a": {"n": 1, "day": "2024-01-31", "tags": ["x"], "deep": {"a": 1}},
        "b": {"n": 1.0, "day": "2024-02-01", "tags": ["x", "y"], "deep": {"a": 2}},
        "c": {"n": True, "day": "2024-03-01", "tags": [], "deep": {"a": "x"}},
        "d": {"n": 2**53 + 1, "day": "Jan", "tags": "x"},
        "e": {"n": None},
        "f": {},
    }
    store.batch([PutOp(("u",), key, value) for key, value in items.items()])
    assert "".join(keys(store.search(("u",), filter=filter))) == found


@pytest.mark.parametrize(
    "filter",
    [
        {"n": {"$gtt": 1}},
        {"n": {"$gt": 1, "x": 2}},
        {"n": {"$in": 1}},
        {"$or": {}},
        {"n": {"$between": [1]}},
    ],
    ids=str,
)
def test_an_invalid_filter_is_an_error(store: ValkeyStore, filter: dict[str, Any]) -> None:
    with pytest.raises(FilterError):
        store.search(("u",), filter=filter)


def test_namespaces_are_listed_by_prefix_suffix_wildcard_and_depth(store: ValkeyStore) -> None:
    for path in ("a/b/c", "a/b/d/e", "a/b/d/i", "a/b/f", "a/c/f", "b/b/c", "a"):
        store.put(tuple(path.split("/")), "k", {})
    assert store.list_namespaces(prefix=("a", "b"), max_depth=3) == [
        ("a", "b", "c"),
        ("a", "b", "d"),
        ("a", "b", "f"),
    ]
    assert store.list_namespaces(prefix=("a", "*", "f")) == [("a", "b", "f"), ("a", "c", "f")]
    assert store.list_namespaces(suffix=("b", "*")) == [
        ("a", "b", "c"),
        ("a", "b", "f"),
        ("b", "b", "c"),
    ]
    assert store.list_namespaces(prefix=("a",), suffix=("f",)) == [("a", "b", "f"), ("a", "c", "f")]
    assert store.list_namespaces(max_depth=1) == [("a",), ("b",)]
    assert store.list_namespaces(limit=2, offset=1) == [("a", "b", "c"), ("a", "b", "d", "e")]
    store.delete(("a", "b", "c"), "k")
    assert ("a", "b", "c") not in store.list_namespaces()
    with pytest.raises(InvalidInputError, match="limit"):
        store.list_namespaces(limit=-1)


def test_items_expire_and_reading_begins_their_time_again(
    open_store: Callable[..., ValkeyStore],
) -> None:
    store = open_store(ttl={"default_ttl": 1.2 / 60})
    minute = open_store(ttl={"default_ttl": 1, "refresh_on_read": False})
    store.put(("u",), "short", {"n": 1})
    store.put(("u", "deep"), "gone", {"n": 1})
    store.put(("u",), "kept", {"n": 1}, ttl=None)
    minute.put(("u",), "minute", {})
    for n in range(4):
        time.sleep(0.6)
        if n % 2:
            assert keys(store.search(("u",), filter={"n": 1})) == ["short", "kept"]
        else:
            assert store.get(("u",), "short") is not None
    assert store.get(("u", "deep"), "gone") is None
    assert store.list_namespaces() == [("u",)]
    time.sleep(0.8)
    assert store.get(("u",), "short", refresh_ttl=False) is not None
    time.sleep(0.6)
    assert keys(store.search(("u",))) == ["kept", "minute"]
    assert store.get(("u",), "short") is None
    with pytest.raises(InvalidInputError, match="ttl"):
        store.put(("u",), "k", {}, ttl=-1)


def test_many_expired_items_are_removed_a_thousand_at_a_time(
    store: ValkeyStore, commands: CommandLog
) -> None:
    store.put(("u", "last"), "k", {})
    store.batch([PutOp(("u", str(n)), "k", {}, ttl=3 / 60) for n in range(2500)])
    time.sleep(3.1)
    commands.clear()
    assert store.list_namespaces() == [("u", "last")]
    assert len(trips(commands)) == 3
    sizes = [store._core.connection.execute("MEMORY", "USAGE", key) for key in store._core._keys]
    assert sizes[4] is None
    assert sum(size or 0 for size in sizes) < 5000


def test_puts_of_many_threads_are_all_there(store: ValkeyStore) -> None:
    def put(worker: int) -> None:
        for n in range(25):
            store.put(("u", str(worker % 4)), f"{worker}-{n}", {"worker": worker})
            store.put(("u", "same"), "same", {"worker": worker})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(16)))
    found = store.search(("u",), limit=1000)
    assert len(found) == 16 * 25 + 1
    assert len(set(keys(found))) == len(found)
    assert len(store.list_namespaces()) == 5


def test_an_outage_raises() -> None:
    dead = ValkeyStore("valkey://127.0.0.1:1")
    with pytest.raises(ConnectionLostError):
        dead.get(("u",), "k")
    with pytest.raises(ConnectionLostError):
        dead.search(("u",))
    with pytest.raises(ConnectionLostError):
        dead.put(("u",), "k", {})


async def test_the_async_methods_do_the_same(open_store: Callable[..., ValkeyStore]) -> None:
    store = open_store(index=fields("text"))
    await asyncio.gather(*(store.aput(("u",), str(n), {"text": WORDS[n]}) for n in range(6)))
    assert keys(await store.asearch(("u",), query="a red bus", limit=1)) == ["4"]
    assert (await store.aget(("u",), "3")).value == {"text": "car"}  # type: ignore[union-attr]
    assert await store.alist_namespaces() == [("u",)]
    await store.adelete(("u",), "4")
    assert keys(await store.asearch(("u",), query="bus", filter={"text": "plum"})) == ["2"]


def test_an_item_counts_once_by_its_best_text(
    open_store: Callable[..., ValkeyStore], commands: CommandLog, engine_name: str
) -> None:
    store = open_store(index=fields("title", "notes[*].text"))
    store.put(
        ("u", "1"), "fruit", {"title": "plum", "notes": [{"text": "apple pear"}, {"text": "pear"}]}
    )
    store.put(("u", "1"), "cars", {"title": "car", "notes": [{"text": "red car"}]})
    store.put(("u", "10"), "other", {"title": "pear", "notes": []})
    store.put(("u", "1"), "silent", {"title": "pear"}, index=False)
    store.put(("u", "1"), "own", {"title": "bus", "line": "pear"}, index=["line"])
    assert store.search(("u", "1"), query="pear", limit=2)  # the index looks up what it is
    commands.clear()
    found = store.search(("u", "1"), query="pear", limit=2)
    # If a search module returns fewer than requested, the store checks for more.
    assert len(trips(commands)) == (2 if engine_name == "native" else 3)
    assert set(keys(found)) == {"fruit", "own"}
    assert [round(item.score or 0, 4) for item in found] == [1.0, 1.0]
    everything = store.search(("u", "1"), query="pear")
    assert [(item.key, item.score) for item in everything][3:] == [("silent", None)]
    assert keys(store.search(("u", "1"), query="pear", offset=2, limit=1)) == ["cars"]
    assert "other" in keys(store.search(("u",), query="pear", limit=3))


def test_a_filter_of_a_ranked_search_is_exact_however_few_match(
    open_store: Callable[..., ValkeyStore],
) -> None:
    store = open_store(index=fields("text"))
    puts = [
        PutOp(("u",), f"k{n}", {"text": "apple " * (n % 7 + 1) + "red", "n": n}) for n in range(150)
    ]
    store.batch(puts)
    found = store.search(("u",), query="red", filter={"n": {"$in": [7, 77, 147]}}, limit=2)
    assert set(keys(found)) <= {"k7", "k77", "k147"}
    assert len(found) == 2
    reference = InMemoryStore(index=fields("text"))
    for op in puts:  # in one batch the reference confuses items of the same text
        reference.batch([op])
    expected = reference.search(("u",), query="red apple", limit=150)
    ours = store.search(("u",), query="red apple", limit=150)
    assert [round(item.score or 0, 5) for item in ours] == [
        round(item.score or 0, 5) for item in expected
    ]


def test_texts_follow_their_item(open_store: Callable[..., ValkeyStore]) -> None:
    store = open_store(index=fields("text"))
    assert store._texts is not None
    index = store._texts.index
    store.put(("u",), "k", {"text": "apple"})
    store.put(("u",), "k", {"text": "car"})
    assert [round(item.score or 0, 4) for item in store.search(("u",), query="apple")] == [0.0]
    assert index.count() == 1
    store.put(("u",), "k", {"text": "car"}, index=False)
    assert index.count() == 0
    store.put(("u",), "k", {"text": "bus"}, ttl=1 / 60)
    store.batch([PutOp(("u",), "a", {"text": "bus"}), PutOp(("u",), "a", {"text": "car"})])
    assert index.count() == 2
    time.sleep(1.1)
    assert keys(store.search(("u",), query="bus")) == ["a"]
    assert index.count() == 1
    store.delete(("u",), "a")
    assert index.count() == 0
    store.put(("u",), "nothing", {"text": "no such word"})
    assert index.count() == 0
    assert [(item.key, item.score) for item in store.search(("u",), query="bus")] == [
        ("nothing", None)
    ]


def test_a_query_without_any_direction_still_finds_items(
    open_store: Callable[..., ValkeyStore],
) -> None:
    store = open_store(index=fields("text"))
    store.batch([PutOp(("u",), word, {"text": word}) for word in WORDS[:4]])
    assert set(keys(store.search(("u",), query="no such word"))) == set(WORDS[:4])


def test_records_of_no_item_are_ignored_and_removed_once_they_are_old(
    open_store: Callable[..., ValkeyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(index=fields("text"))
    store.put(("u",), "k", {"text": "apple"})
    assert store._texts is not None
    # As an outage leaves them: their item was never put.
    store._texts.add([((("u",), "lost"), [item_index.ItemText("apple", [1.0] * 8)])])
    assert keys(store.search(("u",), query="apple")) == ["k"]
    assert store._texts.index.count() == 2
    monkeypatch.setattr(item_index, "STALE_SECONDS", -1.0)
    assert keys(store.search(("u",), query="apple")) == ["k"]
    assert store._texts.index.count() == 1


def test_the_search_is_by_words_or_by_both(
    open_store: Callable[..., ValkeyStore], index_name: str
) -> None:
    text = open_store(index={"fields": ["text"]}, search="text")
    hybrid = open_store(
        index=fields("text"),
        search="hybrid",
        namespace=index_name + "h",
        index_name=index_name + "h",
    )
    for store in (text, hybrid):
        store.put(("u",), "a", {"text": "the invoice number is XK-77"})
        store.put(("u",), "b", {"text": "a red apple"})
        store.put(("u",), "c", {"text": "a red car"})
    assert keys(text.search(("u",), query="invoices", limit=1)) == ["a"]
    assert keys(text.search(("u",), query="apples", limit=1)) == ["b"]
    found = hybrid.search(("u",), query="apple invoice")
    assert keys(found)[0] == "b"
    assert set(keys(found)) == {"a", "b", "c"}
    assert all(item.score is not None for item in found)


def test_invalid_settings_are_refused(open_store: Callable[..., ValkeyStore]) -> None:
    with pytest.raises(ConfigurationError, match="no 'embed'"):
        open_store(index={"dims": 3})
    with pytest.raises(ConfigurationError, match="search"):
        open_store(index=fields(), search="words")
    with pytest.raises(InvalidInputError, match="unknown operation"):
        open_store().batch([object()])  # type: ignore[list-item]


def test_a_graph_remembers_across_threads(store: ValkeyStore) -> None:
    def node(state: MessagesState, runtime: Runtime[Any]) -> dict[str, Any]:
        assert runtime.store is not None
        seen = len(runtime.store.search(("seen",)))
        runtime.store.put(("seen",), str(seen), {"text": state["messages"][-1].content})
        return {"messages": [AIMessage(f"seen {seen} before")]}

    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    graph = builder.compile(store=store)
    for n in range(3):
        state = graph.invoke({"messages": [HumanMessage(f"hi {n}")]})
        assert state["messages"][-1].content == f"seen {n} before"
