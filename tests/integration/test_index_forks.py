"""Indexes in forked children, while the parent's other threads are busy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from child_processes import in_child
from valkey_vector import Index, Phrase, Record

# From Python 3.12 on a fork with threads warns; that it works all the same is what is tested here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


def test_a_child_works_although_it_was_forked_during_concurrent_searches_and_writes(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(full_text=True)
    records = [Record(id=str(n), content="alpha beta", vector=[1, n, 0, 0]) for n in range(500)]
    index.upsert(records)
    ended = threading.Event()

    def search() -> None:
        while not ended.is_set():
            index.search_text((Phrase("alpha beta"),))

    def write() -> None:
        while not ended.is_set():
            index.upsert(records[:50])

    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(task) for task in (search, search, search, write)]
        try:
            for _ in range(15):
                assert in_child(lambda: len(index.search([1, 0, 0, 0], k=9)) == 9)
        finally:
            ended.set()
        for future in futures:
            future.result(30)
