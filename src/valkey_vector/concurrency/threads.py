"""Thread pools of the async methods, independent of any event loop.

Commands block in a client that releases the interpreter lock while it waits. The async methods run
them in a pool of this module. So they work in any event loop, in several loops, and in a loop that
was created after another one was closed. They do not compete with other users of the loop's default
executor.
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

__all__ = ["nodes", "offload", "writers"]

P = ParamSpec("P")
T = TypeVar("T")

OFFLOAD_THREADS = 32
WRITER_THREADS = 16
NODE_THREADS = 32


class _Pool(Executor):
    """Thread pool that is created on first use, and again in a forked child, which inherits no threads.

    After the main thread has ended, Python's own pools reject work, although other threads can still be running. Each
    call then gets its own thread. The interpreter waits for it, as for all threads.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._threads = threads
        self._reset()
        if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # A lock that another thread held at the fork is never released.
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread of the pool, with the caller's context variables."""
        call = partial(contextvars.copy_context().run, fn, *args, **kwargs)
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
            executor = self._executor
        try:
            return executor.submit(call)
        except RuntimeError as error:
            if "shutdown" not in str(error):
                raise
        return self._in_own_thread(call)

    def _in_own_thread(self, call: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            future.set_running_or_notify_cancel()
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - raised to the caller that waits for the future
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name=self._name, daemon=False).start()
        return future


_calls = _Pool("valkey-vector-call", OFFLOAD_THREADS)

_writers = _Pool("valkey-vector-write", WRITER_THREADS)

_nodes = _Pool("valkey-vector-node", NODE_THREADS)


async def offload(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread of this library's pool, and await its result.

    The function sees the caller's context variables. Cancelling the await stops the waiting, not
    the function: the server still executes a command that was sent.

    Args:
        function: the function to call.
        args: positional arguments.
        kwargs: keyword arguments.

    Returns:
        The result of the function.

    Raises:
        RuntimeError: the function raised StopIteration, which cannot pass through an await.
        Exception: any other error of the function.
    """

    def call() -> T:
        try:
            return function(*args, **kwargs)
        except StopIteration as stop:
            # Otherwise the awaiting task would wait forever (before Python 3.12).
            raise RuntimeError("the function raised StopIteration") from stop

    return await asyncio.get_running_loop().run_in_executor(_calls, call)


def writers() -> Executor:
    """Return the pool for the batches of bulk writes.

    It is separate from the pool of `offload`, in which a write waits for its batches. In a single pool, enough
    concurrent writes would deadlock.
    """
    return _writers


def nodes() -> Executor:
    """Return the pool for requests to several nodes of a cluster at the same time. Its work waits for no other work."""
    return _nodes
