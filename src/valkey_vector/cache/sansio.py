"""Sans-I/O operations of a cache, which run blocking or async.

An operation alternates between the server, the embedder and functions of the application. It is written once, as a
generator that yields each of these as a step and receives its result. Two small loops run the steps. An error of a step
is raised in the generator, so its ``try`` and ``finally`` work in both.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, assert_never

from valkey_vector.cache.embedder import TextEmbedder
from valkey_vector.concurrency.threads import offload
from valkey_vector.errors import ConfigurationError
from valkey_vector.records.record import Vector

__all__ = [
    "Ask",
    "Call",
    "Embedding",
    "Flow",
    "Pause",
    "Step",
    "Wait",
    "arun",
    "ask",
    "awaited",
    "blocking",
    "is_coroutine_function",
    "run",
]

_T = TypeVar("_T")
_P = ParamSpec("_P")
_Self = TypeVar("_Self", bound="_Embedding")
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request to the server. The call blocks, so the async version runs it in a thread of this library."""

    call: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Embedding:
    """Embed texts. The result is a list of vectors."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function or coroutine function of the application."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a future. The result is True if it is done, False after the timeout."""

    future: Future[Any]
    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Sleep."""

    seconds: float


Step: TypeAlias = Ask | Embedding | Call | Wait | Pause
Flow: TypeAlias = Generator[Step, Any, _T]


def ask(call: Callable[[], _T]) -> Flow[_T]:
    """`Ask` with a typed reply."""
    reply: _T = yield Ask(call)
    return reply


def run(flow: Flow[_T], embedder: TextEmbedder) -> _T:
    """Run an operation, blocking."""
    advance: Callable[[], Step] = flow.__next__
    while True:
        try:
            step = advance()
        except StopIteration as stop:
            result: _T = stop.value
            return result
        try:
            advance = _sending(flow, _carried_out(step, embedder))
        except BaseException as error:  # noqa: BLE001 - raised in the flow, and out of it
            advance = _throwing(flow, error)


async def arun(flow: Flow[_T], embedder: TextEmbedder) -> _T:
    """Run an operation, async. Awaits async embedders and functions, and runs blocking ones in threads."""
    advance: Callable[[], Step] = flow.__next__
    while True:
        try:
            step = advance()
        except StopIteration as stop:
            result: _T = stop.value
            return result
        try:
            advance = _sending(flow, await _awaited(step, embedder))
        except GeneratorExit:
            flow.close()  # the event loop is closed: nothing can be awaited
            raise
        except BaseException as error:  # noqa: BLE001 - likewise; a cancellation is raised in the flow, too
            advance = _throwing(flow, error)


class _Embedding(Protocol):
    _embedder: TextEmbedder


def blocking(
    method: Callable[Concatenate[_Self, _P], Flow[_T]],
) -> Callable[Concatenate[_Self, _P], _T]:
    """Create the blocking method of an operation. Its name is the operation's without the underscore."""

    @wraps(method)
    def call(self: _Self, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return run(method(self, *args, **kwargs), self._embedder)

    return _renamed(call, method.__name__.removeprefix("_"))


def awaited(
    method: Callable[Concatenate[_Self, _P], Flow[_T]],
) -> Callable[Concatenate[_Self, _P], Coroutine[Any, Any, _T]]:
    """Create the async method of an operation. Its name has ``a`` in place of the underscore."""

    @wraps(method)
    async def call(self: _Self, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await arun(method(self, *args, **kwargs), self._embedder)

    return _renamed(call, "a" + method.__name__.removeprefix("_"))


def _renamed(function: _Function, name: str) -> _Function:
    function.__name__ = name
    function.__qualname__ = f"{function.__qualname__.rpartition('.')[0]}.{name}"
    return function


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Return True for a coroutine function, or an object whose ``__call__`` is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - it is not asked whether it can be called
    )


def _sending(flow: Flow[Any], result: Any) -> Callable[[], Step]:
    return lambda: flow.send(result)


def _throwing(flow: Flow[Any], error: BaseException) -> Callable[[], Step]:
    return lambda: flow.throw(error)


def _carried_out(step: Step, embedder: TextEmbedder) -> Any:
    match step:
        case Ask(call):
            return call()
        case Embedding(texts):
            return embedder.embed(texts)
        case Call(function, arguments):
            result = function(*arguments)
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise ConfigurationError(
                    f"{_named(function)} is asynchronous: use it with the async methods"
                )
            return result
        case Wait(future, seconds):
            return bool(wait([future], timeout=max(0.0, seconds)).done)
        case Pause(seconds):
            time.sleep(seconds)
            return None
        case _:
            assert_never(step)


async def _awaited(step: Step, embedder: TextEmbedder) -> Any:
    match step:
        case Ask(call):
            return await offload(call)
        case Embedding(texts):
            vectors: list[Vector] = await embedder.aembed(texts)
            return vectors
        case Call(function, arguments):
            # Not in this library's threads: slow functions would block requests to the server.
            if is_coroutine_function(function):
                result = function(*arguments)
            else:
                result = await asyncio.to_thread(function, *arguments)
            return await result if inspect.isawaitable(result) else result
        case Wait(future, seconds):
            # A timeout or cancellation here does not cancel the future, which others wait for, too.
            done, _ = await asyncio.wait([asyncio.wrap_future(future)], timeout=max(0.0, seconds))
            return bool(done)
        case Pause(seconds):
            return await asyncio.sleep(seconds)
        case _:
            assert_never(step)


def _named(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)
