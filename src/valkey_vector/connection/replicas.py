"""Reads that replicas may answer: whoever starts a read allows it, and everything else stays on primaries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from valkey_vector.connection.clients import READS
from valkey_vector.connection.settings import ConnectionSettings
from valkey_vector.errors import ConfigurationError

__all__ = ["are_replicas_allowed", "lane_of", "replicas_allowed"]

_allowed: ContextVar[bool] = ContextVar("valkey_vector_replicas_allowed", default=False)


@contextmanager
def replicas_allowed() -> Iterator[None]:
    """Allow replicas to answer the reads in this block, if `read_from` names replicas.

    Such a reply may be older than a write that was acknowledged before. Do not base a change on it.
    """
    token = _allowed.set(True)
    try:
        yield
    finally:
        _allowed.reset(token)


def are_replicas_allowed(settings: ConnectionSettings) -> bool:
    """Return True if replicas may answer the current read."""
    return settings.read_from != "primary" and _allowed.get()


def lane_of(settings: ConnectionSettings, lane: int, *, retry: bool) -> int:
    """Return the lane for a request: the lane of reads if replicas may answer it.

    Args:
        settings: settings of the connection.
        lane: the requested lane.
        retry: True for a request that only reads.

    Raises:
        ConfigurationError: there is no such lane.
    """
    if not 0 <= lane <= settings.write_connections:
        raise ConfigurationError(
            f"lane must be from 0 to {settings.write_connections} (write_connections), not {lane}"
        )
    if lane == 0 and retry and are_replicas_allowed(settings):
        return READS
    return lane
