"""Asks in the plainest way whether a server is there at all: can one connect to it?

GLIDE reconnects a standalone connection in the background and lets commands wait for that, for as
long as their timeout allows, and then reports a timeout. This probe tells at once a server that is
down from one that is slow.
"""

from __future__ import annotations

import socket

from valkey_vector.connection.settings import Address, ConnectionSettings
from valkey_vector.errors import ConnectionLostError

__all__ = ["check_reachable", "plainly_connected", "reachable_address"]


def reachable_address(settings: ConnectionSettings) -> Address:
    """The first address that accepts a connection.

    Raises:
        ConnectionLostError: none does; the message says why.
    """
    connection, address = _connected_by_tcp(settings)
    connection.close()
    return address


def check_reachable(settings: ConnectionSettings) -> None:
    """Make sure that the server, or one of its nodes, accepts connections.

    Raises:
        ConnectionLostError: it does not; the message says why.
    """
    plainly_connected(settings)[0].close()


def plainly_connected(settings: ConnectionSettings) -> tuple[socket.socket, str]:
    """A connection without encryption to the server, or one of its nodes, and the host's name.

    Raises:
        ConnectionLostError: it does not accept connections; the message says why.
    """
    if settings.unix_socket is None:
        connection, address = _connected_by_tcp(settings)
        return connection, address.host
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(settings.connection_timeout)
        connection.connect(settings.unix_socket)
    except OSError as error:
        connection.close()
        raise ConnectionLostError(f"cannot reach {settings.location} ({_reason(error)})") from None
    return connection, ""


def _connected_by_tcp(settings: ConnectionSettings) -> tuple[socket.socket, Address]:
    reasons = []
    for address in settings.addresses:
        try:
            return socket.create_connection(address, settings.connection_timeout), address
        except OSError as error:
            reasons.append(f"{address}: {_reason(error)}")
    raise ConnectionLostError(f"cannot reach {settings.location} ({'; '.join(reasons)})")


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
