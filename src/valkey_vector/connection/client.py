"""The connection to one logical server, as all other modules use it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from valkey_vector.concurrency.closing import Closing
from valkey_vector.connection.capabilities import PROBES, Capabilities, capabilities_from
from valkey_vector.connection.clients import Clients
from valkey_vector.connection.settings import ConnectionSettings
from valkey_vector.connection.sharing import join, leave
from valkey_vector.errors import (
    ConfigurationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)

if TYPE_CHECKING:
    from valkey_vector.connection.glide_client import Lane

URL_VARIABLE = "VALKEY_URL"
DEFAULT_URL = "embedded://"

# How often a cluster is looked through before a scan that its resharding disturbs gives up.
_SCANS = 5

Argument = str | bytes
Reply = Any
T = TypeVar("T")


class Connection(Closing):
    """One logical server: a standalone server, a cluster, or the private embedded server.

    Making one touches nothing: the first command connects (and starts the embedded server). It may
    be used by any number of threads, and after ``os.fork`` by the child, too. It can be pickled:
    what arrives is a new connection to the same server. An outage raises; when the server is back,
    the same connection works again. If the embedded server ends, the next command starts it again;
    a temporary one has then lost its data, which raises `ConnectionLostError` once.

    Connections of a process with equal settings share their clients, and with them sockets and
    memory. The last connection that is closed closes them. So a command that changes the state of
    a client (SELECT, CLIENT REPLY) or blocks it (BLPOP) concerns all of them: do not send such commands.

    ``lane`` chooses among connections to the server: 0 is for everything ordinary; 1 to
    ``settings.write_connections`` are for bulk writers, because a search module holds a connection
    back until what it wrote is indexed. Each is made on first use.

    Args:
        settings: where the server is, and everything else.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self._capabilities: Capabilities | None = None
        self._losses: int | None = None
        self._admitted = False
        self._clients: Clients | None = join(self, settings)

    @classmethod
    def open(cls, url: str | None = None, **options: Any) -> Connection:
        """A connection to the server at a URL.

        Args:
            url: see :mod:`valkey_vector.connection.url`; None: the environment variable
                ``VALKEY_URL``, and without it a private temporary server (``embedded://``).
            options: any attribute of :class:`ConnectionSettings`; wins over the URL.

        Raises:
            ConfigurationError: the URL or an option is wrong.
        """
        chosen = url if url is not None else os.environ.get(URL_VARIABLE) or DEFAULT_URL
        return cls(ConnectionSettings.from_url(chosen, **options))

    def execute(self, *args: Argument, lane: int = 0, retry: bool = False) -> Reply:
        """Send one command and return its reply, as GLIDE decodes it (texts are bytes).

        Args:
            args: the command's name and arguments.
            lane: which connection to use.
            retry: try again after an outage. Only for reads that may run twice.

        Raises:
            ServerError: the server answered with an error, in its own words.
            AuthenticationError: the credentials or the user's rights do not suffice.
            ConnectionLostError: the server cannot be reached. Whether it carried out a command
                that was under way is unknown.
            RequestTimeoutError: no reply within ``settings.request_timeout``; likewise.
            ConfigurationError: a setting is wrong, or this connection is closed.
        """
        if not args:
            raise ConfigurationError("execute needs a command")
        return self._repeated(lane, lambda client: client.execute(args), retry)

    def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, lane: int = 0, retry: bool = False
    ) -> list[Reply | ServerError]:
        """Send several commands in one round trip (in a cluster: one per node), not atomically.

        Args:
            commands: each with its name and arguments.
            lane: which connection to use.
            retry: try all again after an outage. Only for reads that may run twice.

        Returns:
            The replies in the order of the commands; for a command the server refused, the error.

        Raises:
            ConnectionLostError, RequestTimeoutError: an outage, also if it met only some of the
                commands. Which of them were carried out is unknown.
            AuthenticationError, ConfigurationError: it cannot connect.
        """
        if not commands:
            return []

        def attempt(client: Lane) -> list[Reply | ServerError]:
            replies = client.pipeline(commands)
            for reply in replies:
                if isinstance(reply, ConnectionLostError | RequestTimeoutError):
                    raise reply
            return replies

        return self._repeated(lane, attempt, retry)

    def execute_on_primaries(
        self, *args: Argument, lane: int = 0, retry: bool = False
    ) -> dict[bytes, Reply]:
        """Send one command to every primary of a cluster; otherwise as :meth:`execute`.

        Returns:
            The replies by the address of the node.
        """
        return self._repeated(lane, lambda client: client.execute_on_primaries(args), retry)

    def execute_on(self, address: str, *args: Argument) -> Reply:
        """Send one command to one node of a cluster, by its address as `execute_on_primaries` gives it."""
        return self._repeated(
            0, lambda client: client.execute_on(address.encode(), args), retry=False
        )

    def scan(self, pattern: str | bytes, *, count: int = 1000) -> Iterator[list[bytes]]:
        """Batches of keys that match a pattern, on every node of a cluster.

        A key that exists throughout is found; one can be found more than once.

        Args:
            pattern: a glob-style pattern, as of the SCAN command.
            count: how many keys the server looks at for each batch, roughly.

        Yields:
            Keys, never none.

        Raises:
            ServerError: as :meth:`execute`.
        """
        wanted: list[Argument] = ["MATCH", pattern, "COUNT", str(count)]
        if self._repeated(0, lambda client: client.cluster, retry=True):
            yield from self._scan_cluster(wanted)
            return
        first = self.execute("SCAN", "0", *wanted, retry=True)
        yield from _scanned(first, lambda at: self.execute("SCAN", at, *wanted, retry=True))

    @property
    def capabilities(self) -> Capabilities:
        """What the server is and can do; asked once, in one round trip.

        Raises:
            ServerError: as :meth:`execute`.
        """
        if self._capabilities is None:
            # Connecting may ask already, to see whether the server is a cluster.
            self._repeated(0, lambda client: client, retry=True)
            probed = self._open_clients().take_probed()
            self._capabilities = capabilities_from(probed or self.pipeline(PROBES, retry=True))
        return self._capabilities

    def close(self) -> None:
        """Let go of the server. May be called twice.

        The last connection with these settings closes the clients, after commands under way have
        ended.
        """
        clients, self._clients = self._clients, None
        if clients is not None:
            leave(self, clients)

    def __repr__(self) -> str:
        return f"Connection({self.settings.location!r})"

    def __reduce__(self) -> tuple[type[Connection], tuple[ConnectionSettings]]:
        settings = self.settings
        if settings.embedded and settings.embedded_directory is None:
            # Another process would start a server of its own: send it to this one.
            settings = self._open_clients().address()
        return type(self), (settings,)

    def _scan_cluster(self, wanted: Sequence[Argument]) -> Iterator[list[bytes]]:
        """SCAN on every primary, again if slots moved meanwhile.

        GLIDE's own cluster scan never returns while the cluster is down (GLIDE 2.6).
        """
        slots = self.execute("CLUSTER", "SLOTS", retry=True)
        for _ in range(_SCANS):
            firsts = self.execute_on_primaries("SCAN", "0", *wanted, retry=True)
            for address, first in firsts.items():

                def proceed(at: bytes, address: bytes = address) -> Any:
                    command = ["SCAN", at, *wanted]
                    return self._repeated(
                        0, lambda client: client.execute_on(address, command), retry=True
                    )

                yield from _scanned(first, proceed)
            before, slots = slots, self.execute("CLUSTER", "SLOTS", retry=True)
            if slots == before:
                return
        raise ServerError(f"the cluster's slots moved during each of {_SCANS} scans", "SCAN")

    def _repeated(self, lane: int, send: Callable[[Lane], T], retry: bool) -> T:
        delay = self.settings.retry_delay
        for _ in range(self.settings.retries if retry else 0):
            clients = self._ready()
            try:
                return self._ask(clients, lane, send)
            except ConnectionLostError:
                time.sleep(delay)
                delay *= self.settings.retry_factor
        return self._ask(self._ready(), lane, send)

    def _ask(self, clients: Clients, lane: int, send: Callable[[Lane], T]) -> T:
        if not self._admitted:
            clients.admit()
            self._admitted = True
        return clients.ask(lane, send)

    def _ready(self) -> Clients:
        """The clients, with the embedded server running.

        Raises:
            ConnectionLostError: the embedded server cannot be started again; or, once, the
                temporary server that this connection has used is gone, and its data with it.
        """
        clients = self._open_clients()
        before, self._losses = self._losses, clients.revive()
        if before is not None and before != self._losses:
            self._capabilities = None
            raise ConnectionLostError(
                f"{clients.loss}. Its data are lost; an empty server has been started in its place"
            )
        return clients

    def _open_clients(self) -> Clients:
        clients = self._clients
        if clients is None:
            raise ConfigurationError("the connection is closed; open a new one")
        return clients


def _scanned(reply: Any, proceed: Callable[[bytes], Any]) -> Iterator[list[bytes]]:
    """The keys of a first reply to SCAN, and of those that continue it."""
    while True:
        cursor, keys = reply
        if keys:
            yield keys
        if cursor == b"0":
            return
        reply = proceed(cursor)
