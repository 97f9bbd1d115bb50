"""Check on a separate connection that the server accepts the credentials.

GLIDE keeps reconnecting with credentials that the server no longer accepts, and commands wait
until their timeout. This check reports rejected credentials at once.
"""

from __future__ import annotations

import socket
import ssl

from valkey_vector.connection.reachability import plainly_connected
from valkey_vector.connection.settings import ConnectionSettings, TlsSettings
from valkey_vector.connection.time_limits import seconds_left
from valkey_vector.errors import AuthenticationError

__all__ = ["ANY_PASSWORD", "check_admitted", "tls_context"]

ANY_PASSWORD = "none"  # noqa: S105 - not a password
"""Password sent for users without a password (``nopass``): the server accepts any. Without a password GLIDE sends
no AUTH, and the connection would silently use the default user."""

# If the server takes longer to reply, GLIDE handles it.
_REPLY_SECONDS = 1.0
_REFUSALS = (b"-NOAUTH", b"-WRONGPASS")
_MAX_REPLY_BYTES = 4096


def check_admitted(settings: ConnectionSettings) -> None:
    """Check that the server is reachable and does not reject the credentials.

    Cases that cannot be decided pass: IAM, a slow server, a TLS handshake that Python does not support.

    Raises:
        ConnectionLostError: no address accepts connections; the message names the reason.
        AuthenticationError: the server rejects the credentials.

    Cost:
        One round trip on a new socket.
    """
    connection, host = plainly_connected(settings)
    with connection:
        if settings.iam is not None:
            return
        seconds = seconds_left(_REPLY_SECONDS)
        try:
            connection.settimeout(seconds)
            if settings.tls is None:
                replies = _replies(connection, settings)
            else:
                with tls_context(settings.tls).wrap_socket(
                    connection, server_hostname=host
                ) as secure:
                    replies = _replies(secure, settings)
        except (OSError, ValueError):
            return
    for reply in replies:
        if reply.startswith(_REFUSALS):
            message = reply[1:].decode(errors="replace")
            raise AuthenticationError(f"{settings.location} rejects the credentials: {message}")


def _replies(connection: socket.socket, settings: ConnectionSettings) -> list[bytes]:
    """Reply lines to AUTH, if there are credentials, and to PING."""
    commands = [["PING"]]
    if settings.username is not None or settings.password is not None:
        names = [] if settings.username is None else [settings.username]
        commands.insert(0, ["AUTH", *names, settings.password or ANY_PASSWORD])
    connection.sendall(b"".join(map(_encoded, commands)))
    received = b""
    while received.count(b"\r\n") < len(commands) and len(received) < _MAX_REPLY_BYTES:
        chunk = connection.recv(_MAX_REPLY_BYTES)
        if not chunk:
            break
        received += chunk
    return received.split(b"\r\n")


def _encoded(command: list[str]) -> bytes:
    parts = [part.encode() for part in command]
    bulks = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%s" % (len(parts), bulks)


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Create an SSL context that trusts the same certificates as GLIDE.

    Raises:
        ssl.SSLError: Python does not support the settings.
    """
    context = ssl.create_default_context()
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if isinstance(tls.ca, bytes):
        context.load_verify_locations(cadata=tls.ca.decode("ascii"))
    elif tls.ca is not None:
        context.load_verify_locations(cafile=tls.ca)
    if isinstance(tls.certificate, bytes) or isinstance(tls.key, bytes):
        raise ssl.SSLError("Python reads client certificates from files only")
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context
