"""Lua scripts of the stores, loaded from ``.lua`` files and sent by digest.

A connection sends the source of a script on its first use, and only its digest from then on. After a restart the server
does not know the script and rejects the digest, which GLIDE prints to standard error. Then the source is sent again.
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
"""Keys and arguments of one call of a script. All keys of a call are in one cluster slot."""

_known: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()
"""Connection -> digests of the scripts whose source it has sent."""


@dataclass(frozen=True, slots=True)
class Script:
    """Script with its digest, by which the server identifies it.

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
            names: file names without ``.lua``. A file can use the definitions of the files before it.
            only_reads: the script does not write, so it also runs on a server that is full or whose writes are paused.
                The script finds this value in the local variable ``READ_ONLY``.
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
        """Run the script.

        Args:
            connection: connection to the server.
            keys: keys of the script, in one cluster slot.
            arguments: arguments of the script.
            retry: send the script again after an outage. Use it only if the script can run twice.

        Raises:
            ServerError: the script failed, or the server is unreachable.

        Cost: one round trip; a second one if the server does not know the script. On its first use in a cluster, another
            round trip sends the script to every node.
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
        """Run the script several times in one pipeline; otherwise like `run`.

        If the server does not know the script, the rejected calls run after the others. So calls in one pipeline must
        not depend on each other.

        Raises:
            ServerError: a call failed, or the server is unreachable.
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
        """Return True if the digest can be sent. In a cluster, sends the source to every node first."""
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
