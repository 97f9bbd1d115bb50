"""`ValkeyCache`: results of nodes by namespace and key, each with its time to live."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy

from langgraph_valkey import ValkeyCache
from round_trips import CommandLog
from valkey_vector import ConfigurationError, ConnectionLostError, InvalidInputError
from valkey_vector.connection import Connection


@pytest.fixture
def open_cache(server_url: str, index_name: str) -> Iterator[Callable[..., ValkeyCache[Any]]]:
    with Connection.open(server_url) as connection:

        def opened(**settings: Any) -> ValkeyCache[Any]:
            return ValkeyCache(connection=connection, **{"namespace": index_name, **settings})

        yield opened


@pytest.fixture
def cache(open_cache: Callable[..., ValkeyCache[Any]]) -> ValkeyCache[Any]:
    return open_cache()


def test_results_are_returned_in_one_round_trip(
    cache: ValkeyCache[Any], commands: CommandLog
) -> None:
    names = [(("a", "b"), "k"), (("a",), "b:k"), ((), ""), (("a*",), "\0")]
    assert cache.get(names) == {}  # connects
    commands.clear()
    cache.set({name: ((number, [None, {"x": b"y"}]), None) for number, name in enumerate(names)})
    assert len(commands.round_trips) == 1
    commands.clear()
    found = cache.get([*names, (("a",), "k")])
    assert found == {name: [number, [None, {"x": b"y"}]] for number, name in enumerate(names)}
    assert len(commands.round_trips) == 1
    assert cache.get([]) == {}


def test_clear_removes_a_namespace_and_none_below_or_beside_it(cache: ValkeyCache[Any]) -> None:
    namespaces = [("a",), ("a", "b"), ("ab",), ("a*",), ("*",)]
    cache.set({(namespace, "k"): (1, None) for namespace in namespaces})
    cache.clear([("a",), ("*",)])
    assert set(cache.get([(namespace, "k") for namespace in namespaces])) == {
        (("a", "b"), "k"), (("ab",), "k"), (("a*",), "k")
    }  # fmt: skip
    cache.clear()
    assert cache.get([(namespace, "k") for namespace in namespaces]) == {}


async def test_each_result_has_a_time_to_live_of_its_own(cache: ValkeyCache[Any]) -> None:
    await cache.aset({(("a",), "short"): (1, 0.05), (("a",), "long"): (2, 60)})  # type: ignore[dict-item]
    names = [(("a",), "short"), (("a",), "long")]
    assert len(await cache.aget(names)) == 2
    time.sleep(0.1)  # noqa: ASYNC251
    assert await cache.aget(names) == {names[1]: 2}
    await cache.aclear([("a",)])
    assert await cache.aget(names) == {}
    with pytest.raises(InvalidInputError, match="ttl"):
        cache.set({names[0]: (1, 0)})
    with pytest.raises(InvalidInputError, match="cannot be stored"):
        cache.set({names[0]: (object(), None)})


def test_a_graph_computes_a_node_once(cache: ValkeyCache[Any]) -> None:
    class State(TypedDict):
        n: int

    calls = []

    def square(state: State) -> State:
        calls.append(state["n"])
        return {"n": state["n"] ** 2}

    builder = StateGraph(State)
    builder.add_node("square", square, cache_policy=CachePolicy(ttl=60))
    builder.add_edge(START, "square")
    for n in (3, 3, 4, 3):
        assert builder.compile(cache=cache).invoke({"n": n}) == {"n": n**2}
    assert calls == [3, 4]


def test_a_server_that_fails_is_a_miss_by_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    name = ("a",), "k"
    dead: ValkeyCache[int] = ValkeyCache("valkey://127.0.0.1:1")
    with caplog.at_level(logging.WARNING):
        assert dead.get([name]) == {}
        dead.set({name: (1, None)})
    assert len(caplog.records) == 2
    with pytest.raises(ConnectionLostError):
        dead.clear()
    strict: ValkeyCache[int] = ValkeyCache("valkey://127.0.0.1:1", on_error="raise")
    with pytest.raises(ConnectionLostError):
        strict.get([name])
    with pytest.raises(ConfigurationError, match="on_error"):
        ValkeyCache(on_error="ignore")  # type: ignore[arg-type]


def test_what_cannot_be_read_is_a_miss(
    open_cache: Callable[..., ValkeyCache[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    cache, name = open_cache(), (("a",), "k")
    cache._core.put({name: (b"pickle\0harm", None)})
    with caplog.at_level(logging.WARNING):
        assert cache.get([name]) == {}
    assert "cannot be read" in caplog.text
