"""Link from a connection to the embedded server: starts it, reports its end, and starts the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from valkey_vector.connection.settings import ConnectionSettings
from valkey_vector.errors import ConnectionLostError, ValkeyVectorError

if TYPE_CHECKING:
    from valkey_vector.embedded import EmbeddedServer

__all__ = ["EmbeddedLink"]

# Maximum time until the supervisor reports the end of a server that no longer replies.
_END_SECONDS = 1.0


class EmbeddedLink:
    """Embedded server of a connection. It is started or joined on first use, and again after it has ended.

    Attributes:
        losses: number of temporary servers that ended and lost their data.
        ended: description of how the last server ended; empty if none has.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.losses = 0
        self.ended = ""
        self._settings = settings
        self._server: EmbeddedServer | None = None

    @property
    def running(self) -> bool:
        """False if the server is known to have ended. True before the first start."""
        server = self._server
        if server is None:
            return not self.ended
        return server.alive

    def await_end(self) -> bool:
        """Return True if the server has ended, or ends within a second."""
        server = self._server
        return server is not None and server.await_end(_END_SECONDS)

    def address(self) -> ConnectionSettings:
        """Return the settings with the server's socket as the address; start or join the server first.

        Raises:
            ConnectionLostError: the server has ended and cannot be restarted.
            ServerError, ConfigurationError, RequestTimeoutError: the first start failed.
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
        """Start or join the next server after the last one has ended.

        Raises:
            ConnectionLostError: the server cannot be restarted.
        """
        server, self._server = self._server, None
        if server is not None:
            self.ended = server.how_it_ended()
            self.losses += self._settings.embedded_directory is None
            server.close()
        self.address()

    def close(self) -> None:
        """Release the server."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
