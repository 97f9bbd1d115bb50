"""Base class of stores and caches: owns a connection, or uses one that the caller opened."""

from __future__ import annotations

from valkey_vector.concurrency.closing import Closing
from valkey_vector.connection import Connection
from valkey_vector.errors import ConfigurationError

__all__ = ["Connected"]


class Connected(Closing):
    """Object with a connection to one server.

    Args:
        label: name shown by `repr`.
        url: URL of the server (see `Connection.open`). None uses ``VALKEY_URL`` or the embedded server.
        connection: open connection to use instead of a URL. `close` leaves it open.

    Raises:
        ConfigurationError: both url and connection are set.
    """

    def __init__(
        self, label: str, *, url: str | None = None, connection: Connection | None = None
    ) -> None:
        if connection is not None and url is not None:
            raise ConfigurationError("pass url or connection, not both")
        self._connection = connection if connection is not None else Connection.open(url)
        self._owns_connection = connection is None
        self._label = label

    @property
    def connection(self) -> Connection:
        """Connection to the server."""
        return self._connection

    def close(self) -> None:
        """Close the connection if this object opened it."""
        if self._owns_connection:
            self._connection.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._label!r}, {self._connection!r})"
