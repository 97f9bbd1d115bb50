"""Diagnosis of a failed search: find the node of a cluster that does not respond."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator

from valkey_vector.connection import Connection
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError

__all__ = ["explained", "gave_up", "given_up", "is_inconsistent", "silent_primaries"]

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


def given_up(error: ServerError) -> RequestTimeoutError:
    """The error to raise for a search that the server gave up."""
    return RequestTimeoutError(
        f"the server gave up the search after its time was over: {error.message}", error.command
    )


def explained(connection: Connection, error: ServerError, known: Collection[str]) -> ServerError:
    """The error to raise for a search that was given up, or could not be sent: it names the node, if one is down.

    Args:
        connection: to the server.
        error: what it said.
        known: addresses of the primaries that answered before.
    """
    if connection.capabilities.cluster and (silent := silent_primaries(connection, known)):
        return ConnectionLostError(
            f"{' and '.join(silent)} of the cluster does not answer, and its documents cannot be searched "
            f"({error.message})",
            error.command,
        )
    return error


def silent_primaries(connection: Connection, known: Collection[str]) -> list[str]:
    """The addresses of primaries that other nodes hold to be down, or that accept no connection.

    A node that is known to accept connections is asked, not any one: that could be the one which does not answer.
    """
    accepting = [address for address in known if _accepts(address)]
    refusing = [address for address in known if address not in accepting]
    for address in accepting:
        try:
            text = connection.execute_on(address, "CLUSTER", "NODES").decode(errors="replace")
        except ServerError:
            continue
        return [
            primary
            for primary, flags, waits in _primaries(text)
            if primary in refusing or (waits and ("fail" in flags or "fail?" in flags))
        ]
    return refusing


def _primaries(nodes: str) -> Iterator[tuple[str, list[str], bool]]:
    """Of each primary that serves slots, out of a reply to CLUSTER NODES: address, flags, whether a ping is unanswered."""
    for line in nodes.splitlines():
        parts = line.split()
        flags = parts[2].split(",") if len(parts) > 8 else []
        if "master" in flags:
            yield parts[1].partition("@")[0], flags, parts[4] != "0"


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PROBE_SECONDS).close()
    except OSError:
        return False
    return True
