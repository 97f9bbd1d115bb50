"""Check that a server accepts connections.

GLIDE reconnects a standalone connection in the background. Meanwhile commands wait until their
timeout, and then raise a timeout error. This probe distinguishes at once a server that is down from
one that is slow.
"""

from __future__ import annotations

import socket

from valkey_vector.connection.settings import Address, ConnectionSettings
from valkey_vector.connection.time_limits import seconds_left
from valkey_vector.errors import ConnectionLostError

__all__ = ["check_reachable", "plainly_connected", "reachable_address"]


def reachable_address(settings: ConnectionSettings) -> Address:
    """Return the first address that accepts a connection.

    Raises:
        ConnectionLostError: no address accepts a connection; the message names the reasons.
    """
    connection, address = _connected_by_tcp(settings)
    connection.close()
    return address


def check_reachable(settings: ConnectionSettings) -> None:
    """Check that the server, or one of its nodes, accepts connections.

    Raises:
        ConnectionLostError: no address accepts a connection; the message names the reasons.
    """
    plainly_connected(settings)[0].close()


def plainly_connected(settings: ConnectionSettings) -> tuple[socket.socket, str]:
    """Connect a plain socket, without TLS, to the server or one of its nodes.

    Returns:
        The socket, and the name of the host; empty for a unix socket.

    Raises:
        ConnectionLostError: no address accepts a connection; the message names the reasons.
    """
    if settings.unix_socket is None:
        connection, address = _connected_by_tcp(settings)
        return connection, address.host
    seconds = seconds_left(settings.connection_timeout)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(seconds)
        connection.connect(settings.unix_socket)
    except OSError as error:
        connection.close()
        raise ConnectionLostError(f"cannot reach {settings.location} ({_reason(error)})") from None
    return connection, ""


def _connected_by_tcp(settings: ConnectionSettings) -> tuple[socket.socket, Address]:
    reasons = []
    for address in settings.addresses:
        seconds = seconds_left(settings.connection_timeout)
        try:
            return socket.create_connection(address, seconds), address
        except OSError as error:
            reasons.append(f"{address}: {_reason(error)}")
    raise ConnectionLostError(f"cannot reach {settings.location} ({'; '.join(reasons)})")


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
