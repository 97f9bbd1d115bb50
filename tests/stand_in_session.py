"""Translation of each client command of the stand-in into commands for RediSearch, and of their replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dialect_keys import SCRIPTS, check_script, check_transaction
from dialect_rules import DialectError
from resp2 import Command, Failure, Reply
from stand_in_state import COMMANDS, State

Answer = Callable[[Sequence[Reply]], Reply]


def _first(replies: Sequence[Reply]) -> Reply:
    return replies[0]


@dataclass(frozen=True, slots=True)
class Exchange:
    """The commands to send for one command, and the function that turns their replies into one."""

    commands: Sequence[Command] = ()
    answer: Answer = _first

    @classmethod
    def failing(cls, text: str) -> Exchange:
        """An error without asking the server."""
        return cls(answer=lambda _: Failure(text))

    @classmethod
    def of(cls, reply: Reply) -> Exchange:
        """A reply without asking the server."""
        return cls(answer=lambda _: reply)


@dataclass(slots=True)
class Session:
    """One client connection.

    Attributes:
        state: of the stand-in.
        database: that the client selected.
    """

    state: State
    database: int = 0
    _transaction: list[Answer] | None = field(default=None)

    def translate(self, command: Command) -> Exchange:
        """Return the handling of a command."""
        name = command[0].decode("latin-1").upper() if command else ""
        if self._transaction is not None:
            return self._queued(name, command)
        if refusal := self._refused(name, command):
            return Exchange.failing(refusal)
        match name:
            case "MULTI":
                self._transaction = []
            case "SELECT" if len(command) == 2:
                self.database = int(command[1])
            case _:
                return self._exchange(name, command)
        return Exchange([command])

    def _exchange(self, name: str, command: Command) -> Exchange:
        from stand_in_identity import exchange_of
        from stand_in_search import module_exchange

        if name.startswith("FT."):
            if name not in COMMANDS:
                return Exchange.failing(_unknown(command))
            return module_exchange(name, command, self)
        return exchange_of(name, command, self.state)

    def _queued(self, name: str, command: Command) -> Exchange:
        """Inside MULTI: each command goes as one, and EXEC returns their answers."""
        assert self._transaction is not None
        answers = self._transaction
        if name in ("EXEC", "DISCARD"):
            self._transaction = None
            return Exchange([command], lambda replies: _executed(replies[0], answers))
        try:
            check_transaction(latin(command), self.state.prefixes)
        except DialectError as error:
            return Exchange.failing(f"STANDIN {error}")
        exchange = self._exchange(name, command)
        if len(exchange.commands) != 1:
            return Exchange.failing(f"STANDIN {name} is not supported inside MULTI")
        answers.append(exchange.answer)
        return Exchange(exchange.commands)

    def _refused(self, name: str, command: Command) -> str:
        """Why a script may not run: not the server's words, for the server would run it, and may freeze."""
        if name not in SCRIPTS:
            return ""
        try:
            check_script(latin(command), self.state.prefixes)
        except DialectError as error:
            return f"STANDIN {error}"
        return ""


def _executed(reply: Reply, answers: Sequence[Answer]) -> Reply:
    if not isinstance(reply, list):
        return reply
    return [answer([one]) for one, answer in zip(reply, answers, strict=True)]


def _unknown(command: Command) -> str:
    shown = "".join(f"'{word.decode('latin-1')}' " for word in command[1:])
    name = command[0].decode("latin-1")
    return f"ERR unknown command '{name}', with args beginning with: {shown}"


def latin(words: Sequence[bytes]) -> list[str]:
    """Words with one character for each byte."""
    return [word.decode("latin-1") for word in words]


def known_error(reply: Reply, name: str, session: Session) -> Reply:
    """A reply, with RediSearch's words for an unknown index replaced by those of Valkey-Search."""
    if isinstance(reply, Failure) and any(
        words in reply.text.lower() for words in ("no such index", "unknown index name")
    ):
        return Failure(f"Index with name '{name}' not found in database {session.database}")
    return reply
