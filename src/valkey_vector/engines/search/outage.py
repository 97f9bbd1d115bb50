"""Diagnosis of a failed search: find the node of a cluster that does not respond."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterable, Iterator

from valkey_vector.connection import Connection, SearchModule
from valkey_vector.connection.time_limits import is_over, seconds_left
from valkey_vector.engines.search.commands import index_is_missing
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError
from valkey_vector.storage.rows import StaleIndexError

__all__ = [
    "check_whole",
    "explained",
    "gave_up",
    "given_up",
    "in_disagreement",
    "is_inconsistent",
    "must_repeat",
    "silent_primaries",
]

_GAVE_UP = ("cancelled due to timeout", "timeout limit was reached")
_INCONSISTENT = ("consistency check failed", "fingerprint mismatch")
"""Errors with CONSISTENT, and with INCONSISTENT, which still checks that nodes agree about the index."""

_UNREACHABLE = (
    "failed to connect to all addresses",
    "failed to connect to remote host",
    "socket closed",
    "connection reset by peer",
)

_COARSE = 5
"""Milliseconds by which the server's clock may be coarse."""

_CUT = "the server used its whole TIMEOUT, so its reply may be cut off"
"""RediSearch returns what it has found when its time is over, unless its setting ON_TIMEOUT is ``fail``."""

_PAUSE = 0.01
"""Seconds before a search is sent again to nodes that disagree."""

_PROBE_SECONDS = 0.5
"""Time limit for a primary to accept a connection."""


def gave_up(error: ServerError) -> bool:
    """Return True if the server ended a search at its TIMEOUT, or because a node does not respond to another one."""
    message = error.message.lower()
    return any(words in message for words in (*_GAVE_UP, *_UNREACHABLE))


def check_whole(connection: Connection, elapsed: float, timeout: int) -> None:
    """Check that the server cannot have cut off its reply to a search.

    Args:
        connection: connection to the server.
        elapsed: seconds until the reply arrived.
        timeout: TIMEOUT of the search in milliseconds.

    Raises:
        RequestTimeoutError: the search may have used its whole time, and the server is RediSearch.
    """
    is_late = 1000 * elapsed + _COARSE >= timeout
    if is_late and connection.capabilities.module is not SearchModule.VALKEY_SEARCH:
        raise RequestTimeoutError(_CUT, "FT.SEARCH")


def is_inconsistent(error: ServerError) -> bool:
    """Return True if nodes of a cluster temporarily disagree about the index or the slots."""
    message = error.message.lower()
    return any(words in message for words in _INCONSISTENT)


def must_repeat(support: ServerSupport, errors: Iterable[ServerError]) -> bool:
    """Return True if searches must be sent again because of an error among their replies.

    Waits a moment if nodes of a cluster disagree. An option that the server rejects is not sent again.

    Raises:
        StaleIndexError: the index no longer exists.
        RequestTimeoutError: the server ended a search early.
    """
    again = False
    for error in errors:
        if index_is_missing(error.message):
            raise StaleIndexError from error
        if gave_up(error):
            raise given_up(error) from error
        if is_inconsistent(error):
            time.sleep(_PAUSE)
            again = True
        again = support.forget_option(error) or again
    return again


def in_disagreement(name: str) -> RequestTimeoutError:
    """Create the error for a search of an index about which the nodes of the cluster disagree for too long."""
    return RequestTimeoutError(
        f"the nodes of the cluster disagree about index {name!r} for too long; try again",
        "FT.SEARCH",
    )


def given_up(error: ServerError) -> RequestTimeoutError:
    """Create the error for a search that the server ended at its time limit."""
    return RequestTimeoutError(
        f"the server ended the search without a complete result: {error.message}", error.command
    )


def explained(connection: Connection, error: ServerError, known: Collection[str]) -> ServerError:
    """Create the error for a search that failed or could not be sent; it names the node that is down, if any.

    Args:
        connection: connection to the server.
        error: the original error.
        known: addresses of the primaries that responded before.
    """
    if is_over():
        return error
    if connection.capabilities.cluster and (silent := silent_primaries(connection, known)):
        return ConnectionLostError(
            f"{' and '.join(silent)} of the cluster does not respond, and its documents cannot be searched "
            f"({error.message})",
            error.command,
        )
    return error


def silent_primaries(connection: Connection, known: Collection[str]) -> list[str]:
    """The addresses of primaries that other nodes report as down, or that accept no connection.

    The request goes to a node that accepts connections, because any other may be the one that is down.
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
    """Address, flags and unanswered ping (True or False) of each primary with slots, from a CLUSTER NODES reply."""
    for line in nodes.splitlines():
        parts = line.split()
        flags = parts[2].split(",") if len(parts) > 8 else []
        if "master" in flags:
            yield parts[1].partition("@")[0], flags, parts[4] != "0"


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        seconds = seconds_left(_PROBE_SECONDS)
        socket.create_connection((host, int(port)), timeout=seconds).close()
    except OSError:
        return False
    return True
