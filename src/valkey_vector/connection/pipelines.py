"""Pipelined operations: generators that yield requests, so that several operations share each round trip.

An operation is a generator. It yields requests, receives their replies and returns its result. A single operation
takes one round trip for each request. Operations that run together share their round trips.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeAlias, TypeVar

from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.errors import (
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
    ValkeyVectorError,
)

__all__ = [
    "Command",
    "Pipelined",
    "Request",
    "RequestSender",
    "noting_requests",
    "requesting",
    "run",
    "run_all",
    "send",
]

_T = TypeVar("_T")

Command: TypeAlias = Sequence[Argument]

_MAX_COMMANDS = 100
"""Maximum number of commands in one pipeline, unless a single request has more. Bounds the commands in flight."""


# Not frozen: a frozen dataclass takes three times as long to create, and each search creates two.
@dataclass(slots=True)
class Request:
    """One request of an operation.

    Attributes:
        commands: commands to send. The operation receives one reply per command.
        current: update the engine's replica in this process before sending.
        errors: return the error of a command in place of its reply, instead of raising it in the operation.
    """

    commands: Sequence[Command] = ()
    current: bool = False
    errors: bool = False


Pipelined: TypeAlias = Generator[Request, list[Any], _T]


class RequestSender(Protocol):
    """Object that sends requests to a server: an engine."""

    def send_requests(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """Send several requests in one round trip, and return their replies. An error takes the place of its reply.

        Raises:
            ConnectionLostError, RequestTimeoutError: an outage.
        """
        ...


def send(
    connection: Connection, requests: Sequence[Request], *, any_primary: bool = False
) -> list[list[Reply | ServerError]]:
    """Send several requests in one round trip, and return their replies. An error takes the place of its reply.

    Args:
        connection: the connection to send on.
        requests: requests with commands that can run twice: they are sent again after an outage.
        any_primary: see `Connection.pipeline`.

    Raises:
        ConnectionLostError, RequestTimeoutError: an outage.
    """
    if len(requests) == 1:
        commands = requests[0].commands
        return [connection.pipeline(commands, retry=True, any_primary=any_primary)]
    commands = [command for request in requests for command in request.commands]
    replies = iter(connection.pipeline(commands, retry=True, any_primary=any_primary))
    return [list(islice(replies, len(request.commands))) for request in requests]


def requesting(commands: Sequence[Command]) -> Pipelined[list[Any]]:
    """Operation of one request: sends commands and returns their replies."""
    return (yield Request(commands))


def noting_requests(operation: Pipelined[_T], requests: list[Request]) -> Pipelined[_T]:
    """Operation that does the same as another one, and appends its requests to a list."""
    try:
        request = next(operation)
        while True:
            requests.append(request)
            try:
                replies = yield request
            except ServerError as error:
                request = operation.throw(error)
            else:
                request = operation.send(replies)
    except StopIteration as end:
        result: _T = end.value
        return result


def run(sender: RequestSender, operation: Pipelined[_T]) -> _T:
    """Run one operation and return its result.

    Raises:
        ServerError: the server rejected a command, or is unreachable.
    """
    try:
        request = next(operation)
        while True:
            (replies,) = sender.send_requests([request])
            for reply in replies:
                if isinstance(reply, ServerError) and not request.errors:
                    request = operation.throw(reply)
                    break
            else:
                request = operation.send(replies)
    except StopIteration as end:
        result: _T = end.value
        return result


def run_all(
    sender: RequestSender, operations: Sequence[Pipelined[_T]]
) -> list[_T | ValkeyVectorError]:
    """Run several operations that share their round trips.

    Returns:
        One result per operation, in order. If an operation fails, its result is the error.

    Raises:
        ConnectionLostError, RequestTimeoutError: an outage. It affects all operations.
        StaleIndexError: the index was dropped or created again.
    """
    outcomes: dict[int, _T | ValkeyVectorError] = {}
    waiting: dict[int, Request] = {}

    def advance(position: int, next_request: Callable[[], Request]) -> None:
        try:
            waiting[position] = next_request()
        except StopIteration as end:
            outcomes[position] = end.value
        except (ConnectionLostError, RequestTimeoutError):
            raise
        except ValkeyVectorError as error:
            outcomes[position] = error

    for position, operation in enumerate(operations):
        advance(position, lambda operation=operation: next(operation))  # type: ignore[misc]  # the type of the lambda's default
    while waiting:
        for positions in list(_batches(waiting)):
            requests = [waiting.pop(position) for position in positions]
            answered = zip(positions, requests, sender.send_requests(requests), strict=True)
            for position, request, replies in answered:
                operation = operations[position]
                advance(position, _continued(operation, replies, errors=request.errors))
    return [outcomes[position] for position in range(len(operations))]


def _continued(
    operation: Pipelined[_T], replies: list[Any], *, errors: bool
) -> Callable[[], Request]:
    """Continue an operation with its replies. Unless `errors` is set, the first error among them is raised in it."""
    error = None if errors else _first_error(replies)
    return (lambda: operation.send(replies)) if error is None else (lambda: operation.throw(error))


def _first_error(replies: Sequence[Any]) -> ServerError | None:
    for reply in replies:
        if isinstance(reply, ServerError):
            return reply
    return None


def _batches(waiting: Mapping[int, Request]) -> Iterator[list[int]]:
    """Positions of the requests that one pipeline sends, in order."""
    batch: list[int] = []
    commands = 0
    for position, request in waiting.items():
        if batch and commands + len(request.commands) > _MAX_COMMANDS:
            yield batch
            batch, commands = [], 0
        batch.append(position)
        commands += len(request.commands)
    if batch:
        yield batch
