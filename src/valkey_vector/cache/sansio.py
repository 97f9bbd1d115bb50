"""Sans-I/O operations of a cache, which run blocking or async.

An operation alternates between the server, the embedder and functions of the application. It is written once, as a
generator that yields each of these as a step and receives its result. Two small loops run the steps. An error of a step
is raised in the generator, so its ``try`` and ``finally`` work in both.

`valkey_vector.connection.pipelines` is the other driver of generators. Its operations yield commands only, so that
several of them share one round trip. A step here is any blocking or async call, and an operation runs alone.
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
    "Call",
    "Embedding",
    "Operation",
    "Pause",
    "ServerCall",
    "Step",
    "Wait",
    "arun",
    "awaited",
    "blocking",
    "call_server",
    "is_coroutine_function",
    "run",
]

_T = TypeVar("_T")
_P = ParamSpec("_P")
_Self = TypeVar("_Self", bound="_Embedding")
_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ServerCall:
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


Step: TypeAlias = ServerCall | Embedding | Call | Wait | Pause
Operation: TypeAlias = Generator[Step, Any, _T]


def call_server(call: Callable[[], _T]) -> Operation[_T]:
    """`ServerCall` with a typed reply."""
    reply: _T = yield ServerCall(call)
    return reply


def run(operation: Operation[_T], embedder: TextEmbedder) -> _T:
    """Run an operation, blocking."""
    advance: Callable[[], Step] = operation.__next__
    while True:
        try:
            step = advance()
        except StopIteration as stop:
            result: _T = stop.value
            return result
        try:
            advance = _sending(operation, _perform(step, embedder))
        except BaseException as error:  # noqa: BLE001 - raised in the operation, and out of it
            advance = _throwing(operation, error)


async def arun(operation: Operation[_T], embedder: TextEmbedder) -> _T:
    """Run an operation, async. Awaits async embedders and functions, and runs blocking ones in threads."""
    advance: Callable[[], Step] = operation.__next__
    while True:
        try:
            step = advance()
        except StopIteration as stop:
            result: _T = stop.value
            return result
        try:
            advance = _sending(operation, await _perform_async(step, embedder))
        except GeneratorExit:
            operation.close()  # the event loop is closed: nothing can be awaited
            raise
        except BaseException as error:  # noqa: BLE001 - likewise; a cancellation is raised in the operation, too
            advance = _throwing(operation, error)


class _Embedding(Protocol):
    _embedder: TextEmbedder


def blocking(
    method: Callable[Concatenate[_Self, _P], Operation[_T]],
) -> Callable[Concatenate[_Self, _P], _T]:
    """Create the blocking method of an operation. Its name is the operation's without the underscore."""

    @wraps(method)
    def call(self: _Self, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return run(method(self, *args, **kwargs), self._embedder)

    return _renamed(call, method.__name__.removeprefix("_"))


def awaited(
    method: Callable[Concatenate[_Self, _P], Operation[_T]],
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
        getattr(function, "__call__", None)  # noqa: B004 - reads the method; does not check that the object is callable
    )


def _sending(operation: Operation[Any], result: Any) -> Callable[[], Step]:
    return lambda: operation.send(result)


def _throwing(operation: Operation[Any], error: BaseException) -> Callable[[], Step]:
    return lambda: operation.throw(error)


def _perform(step: Step, embedder: TextEmbedder) -> Any:
    match step:
        case ServerCall(call):
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


async def _perform_async(step: Step, embedder: TextEmbedder) -> Any:
    match step:
        case ServerCall(call):
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
