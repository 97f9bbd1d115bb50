"""What the stores and caches beside the index share: a connection that is theirs or given, and how it is let go."""

from __future__ import annotations

from valkey_vector.concurrency.closing import Closing
from valkey_vector.connection import Connection
from valkey_vector.errors import ConfigurationError

__all__ = ["Connected"]


class Connected(Closing):
    """Keeps a connection to one server.

    Args:
        url: the server (see `Connection.open`); by default ``VALKEY_URL`` or the embedded server.
        connection: an open connection to use instead; it is not closed with this.

    Raises:
        ConfigurationError: both are given.
    """

    def __init__(self, *, url: str | None = None, connection: Connection | None = None) -> None:
        if connection is not None and url is not None:
            raise ConfigurationError("give url or connection, not both")
        self._connection = connection if connection is not None else Connection.open(url)
        self._owns_connection = connection is None

    @property
    def connection(self) -> Connection:
        """The connection it uses."""
        return self._connection

    def close(self) -> None:
        """Let go of the connection, unless it was given."""
        if self._owns_connection:
            self._connection.close()
