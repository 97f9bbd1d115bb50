"""The threads behind the asynchronous methods, apart from any event loop.

The commands themselves block, in a client that releases the interpreter lock while it waits. The
asynchronous methods run them in a pool of this module, so that they work from any event loop, from
several loops, and in a loop made after another one was closed; and so that they neither starve nor
are starved by what else uses the loop's own default executor.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

__all__ = ["offload", "writers"]

P = ParamSpec("P")
T = TypeVar("T")

OFFLOAD_THREADS = 32
WRITER_THREADS = 16


class _Pool(Executor):
    """A pool made on first use, and made anew in a forked child, which inherits no threads.

    When the main thread has ended, Python's own pools refuse work although other threads may go on for as long as they
    like. Each call then gets a thread of its own, for which the interpreter waits as it does for all.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._threads = threads
        self._reset()
        if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # A lock that some other thread held at the moment of a fork would stay held for ever.
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in one of the threads."""
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
            executor = self._executor
        try:
            return executor.submit(fn, *args, **kwargs)
        except RuntimeError as error:
            if "shutdown" not in str(error):
                raise
        return self._in_own_thread(partial(fn, *args, **kwargs))

    def _in_own_thread(self, call: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            future.set_running_or_notify_cancel()
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - raised where the future is waited for
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name=self._name, daemon=False).start()
        return future


_calls = _Pool("valkey-vector-call", OFFLOAD_THREADS)

_writers = _Pool("valkey-vector-write", WRITER_THREADS)


async def offload(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread of this library's pool, and await its result.

    The function sees the caller's context variables. Cancelling the await stops the waiting, not
    the function: a command that was sent is carried out by the server all the same.

    Args:
        function: what to call.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Returns:
        What the function returns.

    Raises:
        RuntimeError: the function raised StopIteration, which cannot pass through an await.
        Exception: whatever else the function raises.
    """

    def call() -> T:
        try:
            return function(*args, **kwargs)
        except StopIteration as stop:
            # Left alone it would leave the awaiting task waiting for ever (before Python 3.12).
            raise RuntimeError("the function raised StopIteration") from stop

    run = partial(contextvars.copy_context().run, call)
    return await asyncio.get_running_loop().run_in_executor(_calls, run)


def writers() -> Executor:
    """The pool for the batches of bulk writes.

    It is not the pool of `offload`: a write that runs there waits for its batches here, and in one pool enough such
    writes would wait for each other for ever.
    """
    return _writers
