"""Tells replies and errors after which a command may be sent again: it certainly was not carried out."""

from __future__ import annotations

from valkey_vector.errors import ConfigurationError, ConnectionLostError, ServerError

__all__ = ["LaneClosedError", "NotSentError", "from_replica", "refused"]


class LaneClosedError(ConfigurationError):
    """The lane was closed before the command was sent."""


class NotSentError(ConnectionLostError):
    """The server was found to be down before the command was sent."""


def from_replica(error: object) -> bool:
    """Whether a replica has refused a write."""
    return isinstance(error, ServerError) and error.message.startswith("READONLY ")


def refused(reply: object) -> bool:
    """Whether a replica has refused all that was sent: an error, or the replies of a pipeline."""
    if isinstance(reply, list):
        return bool(reply) and all(map(from_replica, reply))
    return from_replica(reply)
