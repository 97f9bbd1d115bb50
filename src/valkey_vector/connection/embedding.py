"""A connection's hold on the embedded server: which one it is, how it ended, and the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from valkey_vector.connection.settings import ConnectionSettings
from valkey_vector.errors import ConnectionLostError, ValkeyVectorError

if TYPE_CHECKING:
    from valkey_vector.embedded import EmbeddedServer

__all__ = ["EmbeddedLink"]

# How long the supervisor may take to report the end of a server that no longer answers.
_END_SECONDS = 1.0


class EmbeddedLink:
    """The embedded server of some settings, started or joined on first use and again after it has ended.

    Attributes:
        losses: how many times a temporary server ended, and its data with it.
        ended: how the last server that ended did, in words; empty if none has.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.losses = 0
        self.ended = ""
        self._settings = settings
        self._server: EmbeddedServer | None = None

    @property
    def running(self) -> bool:
        """Whether the server has not ended, as far as is known; also before it was ever started."""
        server = self._server
        if server is None:
            return not self.ended
        return server.alive

    def await_end(self) -> bool:
        """Whether the server has ended, or does within a second."""
        server = self._server
        return server is not None and server.await_end(_END_SECONDS)

    def address(self) -> ConnectionSettings:
        """The settings with the server's socket as the address.

        Raises:
            ConnectionLostError: the server ended before, and cannot be started again.
            ServerError, ConfigurationError, RequestTimeoutError: it does not start.
        """
        from valkey_vector.embedded import EmbeddedServer

        if self._server is None:
            try:
                self._server = EmbeddedServer.open(self._settings.embedded_directory)
            except ValkeyVectorError as error:
                if not self.ended:
                    raise
                raise ConnectionLostError(
                    f"{self.ended}. It could not be started again: {error}"
                ) from error
        return self._settings.with_unix_socket(self._server.socket_path)

    def renew(self) -> None:
        """Start or join the next server, after the last one has ended.

        Raises:
            ConnectionLostError: it cannot be started again.
        """
        server, self._server = self._server, None
        if server is not None:
            self.ended = server.how_it_ended()
            self.losses += self._settings.embedded_directory is None
            server.close()
        self.address()

    def close(self) -> None:
        """Let go of the server."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
