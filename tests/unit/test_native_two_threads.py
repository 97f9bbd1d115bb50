"""Blocks are worked on exactly once, however many threads are free."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from valkey_vector.engines.native import two_threads
from valkey_vector.engines.native.two_threads import in_two_threads


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_threads, "_processors", lambda: 2)


def test_both_threads_work_and_each_block_is_done_once() -> None:
    done: list[int] = []
    threads: set[int] = set()
    both = threading.Barrier(2, timeout=10)

    def work(block: int) -> None:
        if threading.get_ident() not in threads:
            threads.add(threading.get_ident())
            both.wait()
        done.append(block)

    in_two_threads(work, range(100))
    assert sorted(done) == list(range(100))
    assert len(threads) == 2


def test_one_thread_does_all_the_work_while_the_pool_is_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(two_threads, "writers", lambda: pool)
        release = threading.Event()
        pool.submit(release.wait)
        done: list[int] = []
        in_two_threads(done.append, range(10))
        release.set()
    assert sorted(done) == list(range(10))


def test_an_error_of_the_other_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    class AtOnce(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_running_or_notify_cancel()
            try:
                future.set_result(fn(*args, **kwargs))
            except ValueError as error:
                future.set_exception(error)
            return future

    def work(block: int) -> None:
        if block == 0:
            raise ValueError("block 0")

    monkeypatch.setattr(two_threads, "writers", AtOnce)
    with pytest.raises(ValueError, match="block 0"):
        in_two_threads(work, range(10))


def test_one_block_needs_no_other_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_threads, "writers", lambda: pytest.fail("a thread"))
    done: list[int] = []
    in_two_threads(done.append, [1])
    assert done == [1]


def test_one_thread_does_all_the_work_when_the_interpreter_exits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From Python 3.12 on, a search in an atexit handler can start no thread."""

    class Exiting(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(two_threads, "writers", Exiting)
    done: list[int] = []
    in_two_threads(done.append, range(10))
    assert sorted(done) == list(range(10))


def test_other_errors_of_the_pool_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue may have taken the work already, so it must not be done twice."""

    class Full(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(two_threads, "writers", Full)
    with pytest.raises(RuntimeError, match="new thread"):
        in_two_threads(lambda _: None, range(10))
