"""Questions to a server in steps, so that many operations can share each round trip.

An operation is a generator: it yields what it asks, is sent the replies and returns its result. Alone it makes one
round trip for each step; several together share them.
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

__all__ = ["Asked", "Command", "Pipelined", "Request", "requesting", "run", "run_all", "send"]

_T = TypeVar("_T")

Command: TypeAlias = Sequence[Argument]

_MOST = 100
"""Commands in one pipeline, unless a single operation asks more at once: bounds what is under way at a time."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an operation asks in one step.

    Attributes:
        commands: to send; their replies are what the operation gets.
        current: before anything is sent, bring what the engine holds in this process up to date.
        errors: the operation takes a command's own error in its place, instead of failing.
    """

    commands: Sequence[Command] = ()
    current: bool = False
    errors: bool = False


Pipelined: TypeAlias = Generator[Request, list[Any], _T]


class Asked(Protocol):
    """Who is asked: an engine."""

    def ask(self, asks: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """The replies to each, in one round trip for all commands.

        Raises:
            ConnectionLostError: an outage; likewise the other errors of a connection.
        """
        ...


def send(connection: Connection, asks: Sequence[Request]) -> list[list[Reply | ServerError]]:
    """Send the commands of several steps, all of them reads, in one round trip; an error in its command's place.

    Raises:
        ConnectionLostError: an outage; likewise the other errors of a connection.
    """
    commands = [command for ask in asks for command in ask.commands]
    if len(commands) == 1:
        reply = _executed(connection, commands[0])
        return [[reply] if ask.commands else [] for ask in asks]
    replies = iter(connection.pipeline(commands, retry=True))
    return [list(islice(replies, len(ask.commands))) for ask in asks]


def _executed(connection: Connection, command: Command) -> Reply | ServerError:
    try:
        return connection.execute(*command, retry=True)
    except (ConnectionLostError, RequestTimeoutError):
        raise
    except ServerError as error:
        return error


def requesting(commands: Sequence[Command]) -> Pipelined[list[Any]]:
    """The operation of one step: commands, and their replies."""
    return (yield Request(commands))


def run(asked: Asked, steps: Pipelined[_T]) -> _T:
    """The result of one operation.

    Raises:
        ServerError: the server refused a command, or could not be asked.
    """
    try:
        request = next(steps)
        while True:
            (replies,) = asked.ask([request])
            request = _continued(steps, replies, errors=request.errors)()
    except StopIteration as end:
        result: _T = end.value
        return result


def run_all(asked: Asked, many: Sequence[Pipelined[_T]]) -> list[_T | ValkeyVectorError]:
    """The results of several operations that share their round trips; in place of one that fails, its error.

    Raises:
        ConnectionLostError: an outage, which is nobody's own failure; likewise the other errors of a connection.
        StaleIndexError: the index is not what it was.
    """
    outcomes: dict[int, _T | ValkeyVectorError] = {}
    waiting: dict[int, Request] = {}

    def advance(position: int, step: Callable[[], Request]) -> None:
        try:
            waiting[position] = step()
        except StopIteration as end:
            outcomes[position] = end.value
        except (ConnectionLostError, RequestTimeoutError):
            raise
        except ValkeyVectorError as error:
            outcomes[position] = error

    for position, steps in enumerate(many):
        advance(position, lambda steps=steps: next(steps))  # type: ignore[misc]
    while waiting:
        for positions in list(_portions(waiting)):
            asks = [waiting.pop(position) for position in positions]
            for position, ask, replies in zip(positions, asks, asked.ask(asks), strict=True):
                advance(position, _continued(many[position], replies, errors=ask.errors))
    return [outcomes[position] for position in range(len(many))]


def _continued(steps: Pipelined[_T], replies: list[Any], *, errors: bool) -> Callable[[], Request]:
    """The next step: with the replies, or with the error that one of them is unless `errors` are taken as they are."""
    error = (
        None
        if errors
        else next((reply for reply in replies if isinstance(reply, ServerError)), None)
    )
    return (lambda: steps.send(replies)) if error is None else (lambda: steps.throw(error))


def _portions(waiting: Mapping[int, Request]) -> Iterator[list[int]]:
    """Who is asked together, in their order."""
    portion: list[int] = []
    commands = 0
    for position, ask in waiting.items():
        if portion and commands + len(ask.commands) > _MOST:
            yield portion
            portion, commands = [], 0
        portion.append(position)
        commands += len(ask.commands)
    if portion:
        yield portion
