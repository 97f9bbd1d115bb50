"""One store used from several event loops, threads and processes, and by thousands of concurrent tasks."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from child_processes import search_once
from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyVectorStore
from valkey_vector import F

# From Python 3.12 on a fork with threads warns; that it works all the same is what is tested here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

DOCUMENTS = 50


@pytest.fixture(params=["embedded", "native", "search"])
def store(request: pytest.FixtureRequest, index_name: str) -> Iterator[ValkeyVectorStore]:
    settings: dict[str, Any] = {"url": "embedded://"}
    if request.param != "embedded":
        settings = {
            "url": request.getfixturevalue(f"{request.param}_server").url,
            "engine": request.param,
        }
    with opened(TableEmbeddings(), index_name, **settings) as store:
        store.add_texts(
            [f"text {n}" for n in range(DOCUMENTS)],
            [{"n": n} for n in range(DOCUMENTS)],
            ids=[f"d{n}" for n in range(DOCUMENTS)],
        )
        yield store
        store.index.drop()


async def found_by_all(store: ValkeyVectorStore, searches: int) -> list[str | None]:
    answers = await asyncio.gather(
        *(
            store.asimilarity_search(f"text {n % DOCUMENTS}", k=1, filter=F("n") == n % DOCUMENTS)
            for n in range(searches)
        )
    )
    return [answer[0].id for answer in answers]


def expected(searches: int) -> list[str]:
    return [f"d{n % DOCUMENTS}" for n in range(searches)]


def test_two_thousand_concurrent_searches_all_return(store: ValkeyVectorStore) -> None:
    assert asyncio.run(asyncio.wait_for(found_by_all(store, 2000), 60)) == expected(2000)


def test_a_second_event_loop_works_like_the_first(store: ValkeyVectorStore) -> None:
    for _ in range(3):
        assert asyncio.run(asyncio.wait_for(found_by_all(store, 20), 20)) == expected(20)
    assert search_once(store, "text 4") == "d4"


def test_a_loop_in_each_of_several_threads_works(store: ValkeyVectorStore) -> None:
    def run(_: int) -> list[str | None]:
        return asyncio.run(asyncio.wait_for(found_by_all(store, 50), 30))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(run, range(4))) == [expected(50)] * 4


def test_a_forked_child_uses_the_store_and_so_does_the_parent_afterwards(
    store: ValkeyVectorStore,
) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            answers = [search_once(store, "text 3"), *asyncio.run(found_by_all(store, 5))]
            store.add_texts(["of the child"], ids=["child"])
            status = 0 if answers == ["d3", *expected(5)] else 2
        finally:
            os._exit(status)
    deadline = time.monotonic() + 30
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < deadline, "the child hangs"
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert search_once(store, "of the child") == "child"
    assert asyncio.run(found_by_all(store, 5)) == expected(5)


def test_a_spawned_child_uses_the_store_that_it_is_sent(store: ValkeyVectorStore) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        work = [(store, f"text {n}") for n in range(8)]
        assert pool.starmap_async(search_once, work).get(60) == expected(8)
    assert search_once(store, "text 1") == "d1"


async def test_a_search_during_concurrent_writes_finds_earlier_records(
    store: ValkeyVectorStore,
) -> None:
    async def write(part: int) -> None:
        for n in range(10):
            await store.aadd_texts([f"new {part} {n}"], [{"n": 1000}], ids=[f"new-{part}-{n}"])

    async def search() -> None:
        for _ in range(10):
            assert await found_by_all(store, 5) == expected(5)

    await asyncio.wait_for(asyncio.gather(*map(write, range(8)), *(search() for _ in range(8))), 60)
    assert await store.index.acount(F("n") == 1000) == 80


async def test_a_cancelled_search_leaves_the_store_usable(store: ValkeyVectorStore) -> None:
    tasks = [asyncio.create_task(store.asimilarity_search("text 1")) for _ in range(50)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await found_by_all(store, 5) == expected(5)
