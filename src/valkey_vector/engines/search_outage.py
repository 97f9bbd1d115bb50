"""What a search that the server gave up, or a lost connection, means: which node of a cluster does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from valkey_vector.connection import Connection
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError

__all__ = ["explained", "gave_up", "is_inconsistent", "silent_primaries"]

_GAVE_UP = ("cancelled due to timeout", "timeout limit was reached")
_INCONSISTENT = "consistency check failed"
_UNREACHABLE = (
    "failed to connect to all addresses",
    "failed to connect to remote host",
    "socket closed",
)

_PROBE_SECONDS = 0.5
"""How long a primary may take to accept a connection."""


def gave_up(error: ServerError) -> bool:
    """Whether the server ended a search at its TIMEOUT, or because one of its nodes does not answer another."""
    message = error.message.lower()
    return any(words in message for words in (*_GAVE_UP, *_UNREACHABLE))


def is_inconsistent(error: ServerError) -> bool:
    """Whether nodes of a cluster know different states of the index or the slots, as they do for a moment."""
    return _INCONSISTENT in error.message.lower()


def explained(connection: Connection, error: ServerError) -> ServerError:
    """The error to raise for a search that was given up, or could not be sent."""
    if connection.capabilities.cluster and (silent := silent_primaries(connection)):
        return ConnectionLostError(
            f"{' and '.join(silent)} of the cluster does not answer, and its documents cannot be searched "
            f"({error.message})",
            error.command,
        )
    if isinstance(error, ConnectionLostError | RequestTimeoutError):
        return error
    return RequestTimeoutError(
        f"the server gave up the search after its time was over: {error.message}", error.command
    )


def silent_primaries(connection: Connection) -> list[str]:
    """The addresses of primaries that other nodes hold to be down, or that accept no connection."""
    try:
        reply = connection.execute("CLUSTER", "NODES")
    except ServerError:
        return []
    text = reply if isinstance(reply, bytes) else next(iter(reply.values()), b"")
    silent = []
    for address, flags in _primaries(text.decode(errors="replace")):
        if "fail" in flags or "fail?" in flags or not _accepts(address):
            silent.append(address)
    return silent


def _primaries(nodes: str) -> Iterator[tuple[str, list[str]]]:
    """Address and flags of each primary that serves slots, out of a reply to CLUSTER NODES."""
    for line in nodes.splitlines():
        parts = line.split()
        if len(parts) > 8 and "master" in parts[2].split(","):
            yield parts[1].partition("@")[0], parts[2].split(",")


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True
