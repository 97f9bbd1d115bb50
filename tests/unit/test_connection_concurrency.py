"""The thread pools behind the asynchronous methods."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from valkey_vector.concurrency.threads import offload, writers

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def name() -> str:
    return threading.current_thread().name


async def test_functions_run_in_threads_of_this_library() -> None:
    assert (await offload(name)).startswith("valkey-vector-call")


async def test_arguments_and_results_and_errors_pass_through() -> None:
    assert await offload(int, "ff", base=16) == 255
    with pytest.raises(ZeroDivisionError):
        await offload(divmod, 1, 0)


async def test_the_function_sees_the_callers_context() -> None:
    variable.set("mine")
    assert await offload(variable.get) == "mine"


async def test_a_stop_iteration_does_not_leave_the_caller_waiting() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(offload(next, iter(())), 10)


def test_any_number_of_loops_can_be_used_one_after_another_and_at_once() -> None:
    async def many() -> list[int]:
        return await asyncio.gather(*(offload(abs, -number) for number in range(50)))

    assert asyncio.run(many()) == list(range(50))
    assert asyncio.run(many()) == list(range(50))
    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(lambda: asyncio.run(many())) for _ in range(2)]:
            assert future.result(30) == list(range(50))


async def test_cancelling_stops_the_waiting_and_not_the_function() -> None:
    entered, leave, left = threading.Event(), threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        leave.wait(10)
        left.set()

    task = asyncio.create_task(offload(slow))
    assert await asyncio.to_thread(entered.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    leave.set()
    assert await asyncio.to_thread(left.wait, 10)


async def test_calls_that_wait_for_writers_do_not_block_them() -> None:
    def write() -> str:
        return writers().submit(name).result(10)

    names = await asyncio.wait_for(asyncio.gather(*(offload(write) for _ in range(100))), 30)
    assert all(one.startswith("valkey-vector-write") for one in names)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_pools_of_its_own() -> None:
    asyncio.run(_call())
    assert writers().submit(abs, -1).result(10) == 1
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if asyncio.run(_call()) == 255 and writers().submit(abs, -7).result(10) == 7:
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


async def _call() -> int:
    return await asyncio.wait_for(offload(int, "ff", base=16), 10)
