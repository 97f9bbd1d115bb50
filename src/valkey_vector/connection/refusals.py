"""Tells replies and errors after which a command may be sent again: it certainly was not carried out."""

from __future__ import annotations

from collections.abc import Sequence

from valkey_vector.errors import ConfigurationError, ConnectionLostError, ServerError

__all__ = ["ClientClosedError", "NotSentError", "from_replica", "never_read", "refused"]

# What a client surely writes at once and a server reads at once.
_AT_ONCE_BYTES = 8192


class ClientClosedError(ConfigurationError):
    """The client was closed before the command was sent."""


class NotSentError(ConnectionLostError):
    """The server was found to be down before it read the command."""


def from_replica(error: object) -> bool:
    """Whether a replica has refused a write."""
    return isinstance(error, ServerError) and error.message.startswith("READONLY ")


def never_read(error: ServerError, sent: Sequence[Sequence[str | bytes]], *, alone: bool) -> bool:
    """Whether an error shows that a server on a unix socket ended before it read what was sent.

    A broken pipe means that at least the end could not be written. A unix socket is reset only if
    its other end was closed with something unread, which is the end of this if it was sent alone.
    One command without its end is not carried out; several neither, if they are read at once.
    """
    size = sum(len(part) * 4 + 16 for command in sent for part in command)
    if len(sent) != 1 and size > _AT_ONCE_BYTES:
        return False
    reset = alone and "Connection reset by peer" in error.message
    return bool(sent) and (reset or "Broken pipe" in error.message)


def refused(reply: object) -> bool:
    """Whether a replica has refused all that was sent: an error, or the replies of a pipeline."""
    if isinstance(reply, list):
        return bool(reply) and all(map(from_replica, reply))
    return from_replica(reply)
