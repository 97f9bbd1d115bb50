"""One GLIDE client: bounded, kept honest about outages, and closed when nobody uses it.

Nothing but this and `glide_configuration` imports GLIDE's clients; this module is imported on first use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import glide_sync as glide
from glide_shared.exceptions import GlideError

from valkey_vector.connection.admission import check_admitted
from valkey_vector.connection.error_mapping import is_bad_database, translated
from valkey_vector.connection.glide_configuration import made, milliseconds
from valkey_vector.connection.reachability import check_reachable, reachable_address
from valkey_vector.connection.recording import recorded
from valkey_vector.connection.refusal_details import withholds_info
from valkey_vector.connection.refusals import (
    LaneClosedError,
    NotSentError,
    from_replica,
    never_read,
)
from valkey_vector.connection.settings import (
    ConnectionSettings,
)
from valkey_vector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)

_T = TypeVar("_T")
Commands = Sequence[Sequence[str | bytes]]

# What a pipeline's timeout grows by for each command: inserting into a big HNSW graph is slow.
_SECONDS_PER_COMMAND = 0.02
# Commands that wait on the server as long as they say; in a batch they would have the batch's timeout.
_BLOCKING = frozenset(
    [
        "BLPOP",
        "BRPOP",
        "BLMOVE",
        "BLMPOP",
        "BRPOPLPUSH",
        "BZPOPMIN",
        "BZPOPMAX",
        "BZMPOP",
        "WAIT",
        "WAITAOF",
        "XREAD",
        "XREADGROUP",
    ]
)
# How long a client may take to show that its connection is alive, where a new one is refused.
_ALIVE_SECONDS = 0.5
# How long each node of a cluster that fails may take to accept a connection.
_SEEK_SECONDS = 0.5

# GLIDE writes its log to standard output, where programs that speak a protocol there (MCP servers,
# for one) cannot bear it. This leaves alone a logger that the application set up before; one that
# it wants later it gets through glide_sync.Logger.set_logger_config.
glide.Logger.init(glide.LogLevel.OFF)


class Lane:
    """A GLIDE client with a bound on the requests in flight; any thread may use it.

    Args:
        settings: where to connect; never embedded.
        cluster: whether to connect as a cluster client.

    Attributes:
        made: when, on the monotonic clock.
        demoted: whether the server answered as a replica: another one may be the primary now.

    Raises:
        ConnectionLostError, AuthenticationError, ConfigurationError: it cannot connect.
    """

    def __init__(self, settings: ConnectionSettings, *, cluster: bool) -> None:
        self.settings = settings
        self.cluster = cluster
        self.made = time.monotonic()
        self.demoted = False
        self._secrets = (settings.password,) if settings.password else ()
        self.forget_requests()
        check_reachable(settings)
        self._client = self._connected()

    def forget_requests(self) -> None:
        """Start with no request under way: at first, and in a forked child, which inherits none.

        In the child GLIDE makes a new client by itself.
        """
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        self._in_flight = 0
        self._entered = 0
        self._paused = False
        self._closing = False
        self._seen: tuple[int, int] | None = None

    def pause(self, seconds: float) -> None:
        """Let no further request in, and wait for those under way, but no longer than some seconds."""
        with self._changed:
            self._paused = True
            self._waiting += 1
            self._changed.wait_for(lambda: self._in_flight == 0, seconds)
            self._waiting -= 1

    def resume(self) -> None:
        """Let requests in again."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def execute(self, command: Sequence[str | bytes]) -> Any:
        """Send one command and return its reply."""
        name = _name(command)
        if name.upper() in _BLOCKING:
            return self._answered(name, lambda: self._client.custom_command(list(command)))
        # As a batch: GLIDE prints the errors of what is sent alone on standard error.
        timeout = milliseconds(self.settings.request_timeout)
        replies = self._answered(name, lambda: self._sent([command], timeout), [command])
        (reply,) = replies or (None,)
        if isinstance(reply, GlideError):
            raise self._after_error(reply, name, command) from None
        return reply

    def pipeline(self, commands: Commands) -> list[Any]:
        """Send commands in one go; a command's own error stands in its place."""
        seconds = self.settings.request_timeout + _SECONDS_PER_COMMAND * len(commands)
        timeout = milliseconds(seconds)
        replies = self._answered("pipeline", lambda: self._sent(commands, timeout), commands)
        return [
            self._after_error(reply, _name(command), command)
            if isinstance(reply, GlideError)
            else reply
            for command, reply in zip(commands, replies or (), strict=True)
        ]

    def _sent(self, commands: Commands, timeout: int) -> list[Any] | None:
        client = self._client
        if isinstance(client, glide.GlideClusterClient):
            cluster_batch = glide.ClusterBatch(is_atomic=False)
            for command in commands:
                cluster_batch.custom_command(list(command))
            # One command alone may be tried again while slots move: no order is lost.
            retries = glide.BatchRetryStrategy(retry_server_error=len(commands) == 1)
            options = glide.ClusterBatchOptions(timeout=timeout, retry_strategy=retries)
            return client.exec(cluster_batch, False, options)
        batch = glide.Batch(is_atomic=False)
        for command in commands:
            batch.custom_command(list(command))
        return client.exec(batch, False, glide.BatchOptions(timeout=timeout))

    def execute_on_primaries(self, command: Sequence[str | bytes]) -> dict[bytes, Any]:
        """Send one command to every primary of a cluster; the replies by the node's address."""
        replies: dict[bytes, Any] = self._routed(command, glide.AllPrimaries())
        return replies

    def execute_on(self, address: bytes, command: Sequence[str | bytes]) -> Any:
        """Send one command to a node of a cluster, by its address as `execute_on_primaries` gives it."""
        return self._routed(command, glide.ByAddressRoute(address.decode()))

    def _routed(self, command: Sequence[str | bytes], route: glide.Route) -> Any:
        client = self._client
        if not isinstance(client, glide.GlideClusterClient):
            raise TypeError("this lane is no cluster client")
        return self._answered(
            _name(command), lambda: client.custom_command(list(command), route), [command]
        )

    def close(self) -> None:
        """Close the client as soon as no request is under way; may be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            idle = self._in_flight == 0
        if idle:
            self._client.close()

    def _answered(self, command: str, ask: Callable[[], _T], sent: Commands = ()) -> _T:
        """Holds one place in flight, and turns GLIDE's errors into ours."""
        ticket = self._enter(command)
        try:
            seen = self._notice_outage(command)
            reply = recorded(ask, sent)
        except GlideError as error:
            ours = self._after_error(error, command, sent[0] if len(sent) == 1 else ())
            if isinstance(ours, ConnectionLostError) and self.cluster:
                # A cluster client reports refused credentials as a connection that is not there.
                with suppress(ConnectionLostError):
                    check_admitted(replace(self.settings, connection_timeout=_SEEK_SECONDS))
            if isinstance(ours, ConnectionLostError) and self.settings.unix_socket is not None:
                alone = ticket is not None and ticket == self._entered
                if never_read(ours, sent, alone=alone):
                    ours = NotSentError(ours.message, command)
            # Not chained: the original may quote what ours hides.
            raise ours from None
        finally:
            self._leave()
        self._seen = seen
        return reply

    def _after_error(
        self, error: GlideError, command: str, sent: Sequence[str | bytes] = ()
    ) -> ServerError | ConfigurationError:
        """Our error for one of GLIDE's, after noting what follows from it for the next commands."""
        ours = self._translated(error, command, sent)
        if isinstance(ours, ConnectionLostError):
            self._seen = None  # the next command looks whether the server is back
        if isinstance(ours, RequestTimeoutError):
            check_admitted(self.settings)
        if isinstance(ours, ServerError) and from_replica(ours) and not self.cluster:
            self.demoted = True
            place = self.settings.location
            hint = f"{place} leads to a replica: connect to the primary"
            return ServerError(f"{ours.message.rstrip('.')} ({hint})", command)
        return ours

    def _notice_outage(self, command: str) -> tuple[int, int] | None:
        """Fail now if the server is down, instead of when the command's timeout is over.

        GLIDE counts the live connections and clients of this process. Is that other than when this
        lane last got a reply, then the missing connection may be ours: try to reach the server, and to be let in.
        """
        if self.cluster:
            return None  # a cluster client fails at once by itself
        statistics = self._client.get_statistics()
        seen = (int(statistics["total_connections"]), int(statistics["total_clients"]))
        if seen != self._seen:
            try:
                check_admitted(self.settings)
            except ConnectionLostError as error:
                raise NotSentError(error.message, command) from None
            except AuthenticationError as error:
                # A connection from before the password was changed goes on.
                if not self._alive():
                    raise AuthenticationError(error.message, command) from None
        return seen

    def _alive(self) -> bool:
        """Whether the client still has a connection that is let in."""
        try:
            self._sent([["PING"]], milliseconds(_ALIVE_SECONDS))
        except GlideError:
            return False
        return True

    def _enter(self, command: str) -> int | None:
        """Take a place; returns its number if no other request is under way."""
        with self._lock:
            if self._closing or not self._has_a_place():
                self._wait_for_a_place(command)
            self._in_flight += 1
            self._entered += 1
            return self._entered if self._in_flight == 1 else None

    def _has_a_place(self) -> bool:
        return not self._paused and self._in_flight < self.settings.max_in_flight

    def _wait_for_a_place(self, command: str) -> None:
        """With the lock held: wait until another request has ended."""
        self._waiting += 1
        try:
            if not self._changed.wait_for(
                lambda: self._closing or self._has_a_place(),
                self.settings.request_timeout,
            ):
                raise RequestTimeoutError(
                    f"{self.settings.max_in_flight} requests are in flight, and none ended in time",
                    command,
                )
        finally:
            self._waiting -= 1
        if self._closing:
            raise LaneClosedError("the connection is closed; open a new one")

    def _leave(self) -> None:
        with self._lock:
            self._in_flight -= 1
            last = self._closing and self._in_flight == 0
            if self._paused:
                self._changed.notify_all()
            elif self._waiting:
                self._changed.notify()
        if last:
            # Closing under a running request would free memory that the request uses.
            self._client.close()

    def _connected(self) -> glide.TGlideClient:
        try:
            return made(self.settings, self.cluster, glide.NodeDiscoveryMode.STANDARD)
        except GlideError as error:
            ours = self._translated(error, "")
        if isinstance(ours, ServerError) and withholds_info(ours.message) and not self.cluster:
            # GLIDE asks every standalone server for its role by INFO. That it was asked shows that the
            # connection itself works.
            try:
                return made(self.settings, self.cluster, glide.NodeDiscoveryMode.STATIC)
            except GlideError as error:
                ours = self._translated(error, "")
        location = self.settings.location
        if isinstance(ours, ServerError) and "No primary node found" in ours.message:
            ours = type(ours)(
                f"cannot connect: {location} leads to a replica: connect to the primary"
            )
        elif isinstance(ours, ServerError):
            no_tls = self.settings.tls is not None and "timed out" in ours.message
            cure = "; if this port does not speak TLS, write valkey://" if no_tls else ""
            ours = type(ours)(f"cannot connect to {location}: {ours.message}{cure}")
        elif is_bad_database(ours):
            ours = ConfigurationError(
                f"cannot connect to {location}: the server has no database {self.settings.database}. Its setting "
                "`databases` says how many there are (16 unless it was changed), counted from 0"
            )
        raise ours

    def _translated(
        self, error: GlideError, command: str, sent: Sequence[str | bytes] = ()
    ) -> ServerError | ConfigurationError:
        return translated(error, command, self._secrets, sent)


def single_node(settings: ConnectionSettings) -> ConnectionSettings:
    """The settings for one node that can be reached, to ask it what it is."""
    if settings.unix_socket is not None or len(settings.addresses) == 1:
        return settings
    return replace(settings, addresses=(reachable_address(settings),), read_from="primary")


def _name(command: Sequence[str | bytes]) -> str:
    first = command[0] if command else ""
    return first if isinstance(first, str) else first.decode(errors="replace")
