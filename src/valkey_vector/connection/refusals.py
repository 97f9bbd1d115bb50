"""Detection of replies and errors that prove that the server did not execute a command, so that it can be sent again."""

from __future__ import annotations

from collections.abc import Sequence

from valkey_vector.errors import ConfigurationError, ConnectionLostError, ServerError

__all__ = [
    "ClientClosedError",
    "NotSentError",
    "from_other_slots",
    "from_replica",
    "is_not_ready",
    "never_read",
    "refused",
]

# The server answers with these codes before it executes a command: while it loads its data, while the cluster or the
# replica's primary is down, while the keys of a slot are moved or have been moved, and while a script runs for too long.
_NOT_READY_CODES = frozenset(
    {"LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY"}
)

# Valkey-Search newer than 1.2 (`search.max-query-queue-depth`) answers with this before a search starts.
_OVERLOADED = "query queue depth exceeded"

# Bytes that a client writes at once and a server reads at once.
_AT_ONCE_BYTES = 8192


class ClientClosedError(ConfigurationError):
    """The client was closed before the command was sent."""


class NotSentError(ConnectionLostError):
    """The server was down before it read the command."""


def from_replica(error: object) -> bool:
    """Return True if a replica rejected a write."""
    return isinstance(error, ServerError) and error.message.startswith("READONLY ")


def is_not_ready(outcome: object) -> bool:
    """Return True if a server that was not ready, or overloaded, rejected a command before executing it."""
    if not isinstance(outcome, ServerError):
        return False
    message = outcome.message
    return message.partition(" ")[0] in _NOT_READY_CODES or _OVERLOADED in message


def from_other_slots(outcome: object) -> bool:
    """Return True if a node of a cluster rejected a command, because another node has the slot."""
    return isinstance(outcome, ServerError) and outcome.message.startswith(("MOVED ", "ASK "))


def never_read(error: ServerError, sent: Sequence[Sequence[str | bytes]], *, alone: bool) -> bool:
    """Return True if an error proves that a server on a unix socket ended before it read the commands.

    A broken pipe means that at least the last bytes were not written. A unix socket is reset only if its other end
    was closed with unread bytes; these are the last bytes of this request if it was sent alone. The server does not
    execute an incomplete command. Several commands are not executed either, if they are read at once.
    """
    size = sum(len(part) * 4 + 16 for command in sent for part in command)
    if len(sent) != 1 and size > _AT_ONCE_BYTES:
        return False
    reset = alone and "Connection reset by peer" in error.message
    return bool(sent) and (reset or "Broken pipe" in error.message)


def refused(reply: object) -> bool:
    """Return True if a replica rejected every command: an error, or the replies of a pipeline."""
    if isinstance(reply, list):
        return bool(reply) and all(map(from_replica, reply))
    return from_replica(reply)
