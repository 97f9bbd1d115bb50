"""Lua scripts that live in ``.lua`` files beside the code, sent by their digest once the server knows them.

A connection sends the source of a script at its first use, and its digest from then on. A server that was restarted has
forgotten it and refuses the digest, which GLIDE reports on standard error; then the source is sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import ServerError

__all__ = ["Call", "Script"]

_UNKNOWN = "NOSCRIPT"

Call: TypeAlias = tuple[Sequence[Argument], Sequence[Argument]]
"""The keys and the arguments of one call of a script. All keys of a call lie in one slot."""

_known: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()
"""The digests that each connection has sent the source of."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the digest by which the server remembers it.

    Attributes:
        source: the Lua code.
        digest: its SHA-1 digest in hexadecimal, as EVALSHA takes it.
    """

    source: str
    digest: str

    @classmethod
    def load(cls, *names: str, only_reads: bool = False) -> Script:
        """Join files of this package to one script.

        Args:
            names: file names without ``.lua``. A file may use what the files before it define.
            only_reads: the script writes nothing: it also runs on a server that is full or whose writes are paused.
                It finds this in the local variable ``READ_ONLY``.
        """
        begin = (
            "#!lua flags=no-writes\nlocal READ_ONLY = true"
            if only_reads
            else "local READ_ONLY = false"
        )
        source = f"{begin}\n{read_lua(__package__, *names)}"
        digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        return cls(source, digest)

    def run(
        self,
        connection: Connection,
        keys: Sequence[Argument],
        arguments: Sequence[Argument],
        *,
        retry: bool = False,
    ) -> Any:
        """Run the script. One round trip.

        A server that has forgotten the script takes a second one, and a cluster one more at the first use, which sends the
        script to every node.

        Args:
            connection: where.
            keys: in one slot.
            arguments: of the script.
            retry: send it again after an outage. Only for what may run twice.

        Raises:
            ServerError: the script failed, or the server cannot be reached.
        """
        call = keys, arguments
        if self._is_known(connection):
            try:
                return connection.execute(*self._by_digest(call), retry=retry)
            except ServerError as error:
                if not error.message.startswith(_UNKNOWN):
                    raise
        reply = connection.execute(*self._by_source(call), retry=retry)
        self._note(connection)
        return reply

    def run_many(
        self, connection: Connection, calls: Sequence[Call], *, retry: bool = False
    ) -> list[Any]:
        """Run the script several times, in one pipeline; otherwise as `run`.

        A server that has forgotten the script runs the calls that it refused after the others. So only calls that do not
        depend on each other belong in one pipeline.

        Raises:
            ServerError: one of the calls failed, or the server cannot be reached.
        """
        commands = [self._by_digest(call) for call in calls]
        if calls and not self._is_known(connection):
            commands[0] = self._by_source(calls[0])
        replies = connection.pipeline(commands, retry=retry)
        for position, reply in enumerate(replies):
            if isinstance(reply, ServerError):
                if not reply.message.startswith(_UNKNOWN):
                    raise reply
                replies[position] = connection.execute(
                    *self._by_source(calls[position]), retry=retry
                )
        self._note(connection)
        return list(replies)

    def _is_known(self, connection: Connection) -> bool:
        """Whether the digest can be sent. Sends the source to every node of a cluster that does not know it."""
        if self.digest in _known.get(connection, ()):
            return True
        if not connection.capabilities.cluster:
            return False
        connection.execute_on_primaries("SCRIPT", "LOAD", self.source, retry=True)
        self._note(connection)
        return True

    def _note(self, connection: Connection) -> None:
        _known.setdefault(connection, set()).add(self.digest)

    def _by_digest(self, call: Call) -> list[Argument]:
        return self._command("EVALSHA", self.digest, call)

    def _by_source(self, call: Call) -> list[Argument]:
        return self._command("EVAL", self.source, call)

    @staticmethod
    def _command(name: str, script: str, call: Call) -> list[Argument]:
        keys, arguments = call
        return [name, script, str(len(keys)), *keys, *arguments]
