"""Asks in the plainest way whether a server is there at all: can one connect to it?

GLIDE reconnects a standalone connection in the background and lets commands wait for that, for as
long as their timeout allows, and then reports a timeout. This probe tells at once a server that is
down from one that is slow.
"""

from __future__ import annotations

import socket

from valkey_vector.connection.settings import Address, ConnectionSettings
from valkey_vector.errors import ConnectionLostError


def reachable_address(settings: ConnectionSettings) -> Address:
    """The first address that accepts a connection.

    Raises:
        ConnectionLostError: none does; the message says why.
    """
    reasons = []
    for address in settings.addresses:
        try:
            socket.create_connection(address, settings.connection_timeout).close()
        except OSError as error:
            reasons.append(f"{address}: {_reason(error)}")
        else:
            return address
    raise ConnectionLostError(f"cannot reach {settings.location} ({'; '.join(reasons)})")


def check_reachable(settings: ConnectionSettings) -> None:
    """Make sure that the server, or one of its nodes, accepts connections.

    Raises:
        ConnectionLostError: it does not; the message says why.
    """
    if settings.unix_socket is None:
        reachable_address(settings)
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(settings.connection_timeout)
        try:
            probe.connect(settings.unix_socket)
        except OSError as error:
            raise ConnectionLostError(
                f"cannot reach {settings.location} ({_reason(error)})"
            ) from None


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
