"""LangGraph's own suite for checkpointers, complete: sync and async, on every kind of server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES, DetectedCapabilities
from langgraph.checkpoint.conformance.spec.test_copy_thread import ALL_COPY_THREAD_TESTS
from langgraph.checkpoint.conformance.spec.test_delete_for_runs import ALL_DELETE_FOR_RUNS_TESTS
from langgraph.checkpoint.conformance.spec.test_delete_thread import ALL_DELETE_THREAD_TESTS
from langgraph.checkpoint.conformance.spec.test_get_tuple import ALL_GET_TUPLE_TESTS
from langgraph.checkpoint.conformance.spec.test_list import ALL_LIST_TESTS
from langgraph.checkpoint.conformance.spec.test_prune import ALL_PRUNE_TESTS
from langgraph.checkpoint.conformance.spec.test_put import ALL_PUT_TESTS
from langgraph.checkpoint.conformance.spec.test_put_writes import ALL_PUT_WRITES_TESTS

from clusters import three_nodes
from langgraph_savers import SyncHalf
from langgraph_valkey import ValkeySaver
from servers import Server

Saver = BaseCheckpointSaver[Any]
SUITE: list[Callable[[Saver], Awaitable[None]]] = [
    *ALL_PUT_TESTS,
    *ALL_PUT_WRITES_TESTS,
    *ALL_GET_TUPLE_TESTS,
    *ALL_LIST_TESTS,
    *ALL_DELETE_THREAD_TESTS,
    *ALL_DELETE_FOR_RUNS_TESTS,
    *ALL_COPY_THREAD_TESTS,
    *ALL_PRUNE_TESTS,
]


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    with three_nodes() as url:
        yield url


@pytest.fixture(scope="module", params=["native", "search", "cluster"])
def valkey_saver(request: pytest.FixtureRequest) -> Iterator[ValkeySaver]:
    if request.param == "cluster":
        url: str = request.getfixturevalue("cluster_url")
    else:
        server: Server = request.getfixturevalue(f"{request.param}_server")
        url = server.url
    with ValkeySaver(url, namespace=f"t{uuid4().hex}") as saver:
        yield saver
        saver._core.clear()


@pytest.fixture(params=["sync", "async"])
def saver(request: pytest.FixtureRequest, valkey_saver: ValkeySaver) -> Saver:
    return valkey_saver if request.param == "async" else SyncHalf(valkey_saver)


@pytest.mark.parametrize("test", SUITE, ids=lambda test: test.__name__)
async def test_conformance(test: Callable[[Saver], Awaitable[None]], saver: Saver) -> None:
    await test(saver)


def test_the_suite_is_complete_and_so_is_the_saver(valkey_saver: ValkeySaver) -> None:
    assert len(SUITE) == 81
    assert len({test.__name__ for test in SUITE}) == 81
    assert DetectedCapabilities.from_instance(valkey_saver).detected == ALL_CAPABILITIES
