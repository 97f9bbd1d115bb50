"""The connection to one logical server, shared by everything that talks to it."""

from __future__ import annotations

import copy
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from valkey_vector.concurrency.closing import Closing
from valkey_vector.connection.capabilities import (
    PROBES,
    Capabilities,
    capabilities_from,
    is_cluster,
)
from valkey_vector.connection.glide_version import check_glide
from valkey_vector.connection.settings import ConnectionSettings
from valkey_vector.errors import (
    ConfigurationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
    ValkeyVectorError,
)

if TYPE_CHECKING:
    from valkey_vector.connection.glide_client import Lane
    from valkey_vector.embedded import EmbeddedServer

URL_VARIABLE = "VALKEY_URL"
DEFAULT_URL = "embedded://"

# How long a fork is put off for commands under way in other threads.
_QUIET_SECONDS = 0.5
# How often a cluster is looked through before a scan that its resharding disturbs gives up.
_SCANS = 5

Argument = str | bytes
Reply = Any
T = TypeVar("T")

_open_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


class _Resources:
    """What a connection holds open; apart from it, so that it can be closed after it is gone."""

    def __init__(self) -> None:
        self.lanes: dict[int, Lane] = {}
        self.embedded: EmbeddedServer | None = None

    def close(self) -> None:
        lanes, self.lanes = self.lanes, {}
        embedded, self.embedded = self.embedded, None
        for lane in lanes.values():
            lane.close()
        if embedded is not None:
            embedded.close()


class Connection(Closing):
    """One logical server: a standalone server, a cluster, or the private embedded server.

    Making one touches nothing: the first command connects (and starts the embedded server). It may
    be used by any number of threads, and after ``os.fork`` by the child, too. It can be pickled:
    what arrives is a new connection to the same server. An outage raises; when the server is back,
    the same connection works again.

    ``lane`` chooses among connections to the server: 0 is for everything ordinary; 1 to
    ``settings.write_connections`` are for bulk writers, because a search module holds a connection
    back until what it wrote is indexed. Each is made on first use.

    Args:
        settings: where the server is, and everything else.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self._resolved: ConnectionSettings | None = None
        self._cluster: bool | None = settings.cluster
        self._probed: list[Any] = []
        self._capabilities: Capabilities | None = None
        self._closed = False
        self._failure: tuple[float, ValkeyVectorError] | None = None
        self._lock = threading.RLock()
        self._resources = _Resources()
        # Not at exit: the end of the process closes everything, and other threads may still run.
        weakref.finalize(self, self._resources.close).atexit = False
        _open_connections.add(self)

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
        return self._repeated(lambda: self._lane(lane).execute(args), retry)

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

        def attempt() -> list[Reply | ServerError]:
            replies = self._lane(lane).pipeline(commands)
            for reply in replies:
                if isinstance(reply, ConnectionLostError | RequestTimeoutError):
                    raise reply
            return replies

        return self._repeated(attempt, retry)

    def execute_on_primaries(
        self, *args: Argument, lane: int = 0, retry: bool = False
    ) -> dict[bytes, Reply]:
        """Send one command to every primary of a cluster; otherwise as :meth:`execute`.

        Returns:
            The replies by the address of the node.
        """
        return self._repeated(lambda: self._lane(lane).execute_on_primaries(args), retry)

    def execute_on(self, address: str, *args: Argument) -> Reply:
        """Send one command to one node of a cluster, by its address as `execute_on_primaries` gives it."""
        return self._lane(0).execute_on(address.encode(), args)

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
        if self._lane(0).cluster:
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
            self._repeated(lambda: self._lane(0), retry=True)
            self._capabilities = capabilities_from(
                self._probed or self.pipeline(PROBES, retry=True)
            )
        return self._capabilities

    def close(self) -> None:
        """Let go of the server, after commands under way have ended. May be called twice."""
        with self._lock:
            self._closed = True
            self._resources.close()
        _open_connections.discard(self)

    def __repr__(self) -> str:
        return f"Connection({self.settings.location!r})"

    def __reduce__(self) -> tuple[type[Connection], tuple[ConnectionSettings]]:
        settings = self.settings
        if settings.embedded and settings.embedded_directory is None:
            # Another process would start a server of its own: send it to this one.
            with self._lock:
                settings = self._resolve()
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
                        lambda: self._lane(0).execute_on(address, command), retry=True
                    )

                yield from _scanned(first, proceed)
            before, slots = slots, self.execute("CLUSTER", "SLOTS", retry=True)
            if slots == before:
                return
        raise ServerError(f"the cluster's slots moved during each of {_SCANS} scans", "SCAN")

    def _repeated(self, attempt: Callable[[], T], retry: bool) -> T:
        delay = self.settings.retry_delay
        for _ in range(self.settings.retries if retry else 0):
            try:
                return attempt()
            except ConnectionLostError:
                time.sleep(delay)
                delay *= self.settings.retry_factor
        return attempt()

    def _lane(self, number: int) -> Lane:
        lane = self._resources.lanes.get(number)
        return lane if lane is not None else self._new_lane(number)

    def _new_lane(self, number: int) -> Lane:
        if not 0 <= number <= self.settings.write_connections:
            raise ConfigurationError(
                f"lane {number} is not one of 0 to {self.settings.write_connections}"
            )
        asked = time.monotonic()
        with self._lock:
            if self._closed:
                raise ConfigurationError("the connection is closed; open a new one")
            if number not in self._resources.lanes:
                if self._failure is not None and self._failure[0] > asked:
                    # Another thread failed while this one waited for it: do not wait once more.
                    raise copy.copy(self._failure[1])
                try:
                    self._resources.lanes[number] = self._connect()
                except ValkeyVectorError as error:
                    self._failure = (time.monotonic(), error)
                    raise
            return self._resources.lanes[number]

    def _connect(self) -> Lane:
        """A new lane, after finding out whether the server is a cluster."""
        check_glide()
        from valkey_vector.connection.glide_client import Lane, single_node

        settings = self._resolve()
        if self._cluster is None:
            node = single_node(settings)
            lane = Lane(node, cluster=False)
            try:
                self._probed = lane.pipeline(PROBES)
            except ValkeyVectorError:
                lane.close()
                raise
            # GLIDE has no cluster clients on unix sockets; a lone node works without.
            self._cluster = settings.unix_socket is None and is_cluster(self._probed)
            if not self._cluster and node == settings:
                return lane
            lane.close()
        return Lane(settings, cluster=self._cluster)

    def _resolve(self) -> ConnectionSettings:
        """The settings with a real address: starts or joins the embedded server."""
        if self._resolved is None:
            settings = self.settings
            if settings.embedded:
                from valkey_vector.embedded import EmbeddedServer

                self._resources.embedded = EmbeddedServer.open(settings.embedded_directory)
                settings = settings.with_unix_socket(self._resources.embedded.socket_path)
            self._resolved = settings
        return self._resolved

    def _before_fork(self) -> None:
        for lane in list(self._resources.lanes.values()):
            lane.pause(_QUIET_SECONDS)

    def _after_fork_in_parent(self) -> None:
        for lane in list(self._resources.lanes.values()):
            lane.resume()

    def _after_fork_in_child(self) -> None:
        # Locks that the parent's other threads held at the fork would stay held for ever.
        self._lock = threading.RLock()
        for lane in self._resources.lanes.values():
            lane.forget_requests()


def _scanned(reply: Any, proceed: Callable[[bytes], Any]) -> Iterator[list[bytes]]:
    """The keys of a first reply to SCAN, and of those that continue it."""
    while True:
        cursor, keys = reply
        if keys:
            yield keys
        if cursor == b"0":
            return
        reply = proceed(cursor)


def _pause_connections() -> None:
    for connection in list(_open_connections):
        connection._before_fork()


def _resume_connections() -> None:
    for connection in list(_open_connections):
        connection._after_fork_in_parent()


def _renew_connections_in_child() -> None:
    for connection in list(_open_connections):
        connection._after_fork_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    # What GLIDE was in the midst of at a fork stays half done in the child, whose own commands may then wait
    # for it until their timeout (seen with GLIDE 2.6, three forks in a hundred on a busy machine).
    os.register_at_fork(
        before=_pause_connections,
        after_in_parent=_resume_connections,
        after_in_child=_renew_connections_in_child,
    )
