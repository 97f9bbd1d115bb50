"""GLIDE client with a limit on the requests in flight and prompt detection of outages.

Only this module and `glide_configuration` import GLIDE's clients. They are imported on first use.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, assert_never

import glide_sync as glide
from glide_shared.exceptions import GlideError

from valkey_vector.connection.admission import check_admitted
from valkey_vector.connection.error_mapping import is_bad_database, translated
from valkey_vector.connection.glide_configuration import create_client, milliseconds
from valkey_vector.connection.observation import current_observation
from valkey_vector.connection.reachability import check_reachable, reachable_address
from valkey_vector.connection.recording import current_recorder, recorded
from valkey_vector.connection.refusal_details import withholds_info
from valkey_vector.connection.refusals import (
    ClientClosedError,
    NotSentError,
    from_other_slots,
    from_replica,
    is_not_ready,
    never_read,
)
from valkey_vector.connection.settings import ConnectionSettings, ReadFrom
from valkey_vector.connection.time_limits import current_deadline, has_time_limit, seconds_left
from valkey_vector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)

Commands = Sequence[Sequence[str | bytes]]

LEADS_TO_REPLICA = "leads to a replica: connect to the primary"

# Addition to a pipeline's timeout for each command: inserting into a large HNSW graph is slow.
_SECONDS_PER_COMMAND = 0.02
# Commands that block on the server as long as their arguments say; a batch would apply its own timeout.
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
# GLIDE's number of a command that it passes on unchanged. `Batch.custom_command` looks it up for each command.
_CUSTOM_COMMAND = glide.Batch(is_atomic=False).custom_command([""]).commands[0][0]
# Timeout of the check that an existing connection is alive when a new one is rejected.
_ALIVE_SECONDS = 0.5
# Timeout for each node of a failing cluster to accept a connection.
_SLOTS = 16_384
_SEEK_SECONDS = 0.5

# GLIDE writes its log to standard output, which breaks programs that speak a protocol there (such as
# MCP servers). This does not change a logger that the application has set up before. Later, the
# application can set one up with glide_sync.Logger.set_logger_config.
glide.Logger.init(glide.LogLevel.OFF)


class BoundedClient:
    """GLIDE client with a limit on the requests in flight. Thread-safe.

    Args:
        settings: address and other settings; not embedded.
        cluster: True connects as a cluster client.
        any_role: without a cluster, also accept the address of a replica.

    Attributes:
        created: time of creation, on the monotonic clock.
        demoted: True after the server answered as a replica: another one may be the primary now.

    Raises:
        ConnectionLostError, AuthenticationError, ConfigurationError: the client cannot connect.
    """

    def __init__(
        self, settings: ConnectionSettings, *, cluster: bool, any_role: bool = False
    ) -> None:
        self.settings = settings
        self.cluster = cluster
        self.any_role = any_role
        self.created = time.monotonic()
        self.demoted = False
        self._secrets = (settings.password,) if settings.password else ()
        # Without a cluster, GLIDE sends every batch to the primary.
        self._reads_singly = not cluster and settings.read_from != "primary"
        self.forget_requests()
        check_reachable(settings)
        self._client = self._connected()

    def forget_requests(self) -> None:
        """Reset the count of requests in flight: on creation, and in a forked child, which inherits none.

        In the child GLIDE creates a new client by itself.
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
        """Hold back new requests, and wait up to `seconds` for the requests in flight."""
        with self._changed:
            self._paused = True
            self._waiting += 1
            self._changed.wait_for(lambda: self._in_flight == 0, seconds)
            self._waiting -= 1

    def resume(self) -> None:
        """Accept requests again."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def execute(self, command: Sequence[str | bytes]) -> Any:
        """Send one command and return its reply."""
        name = _name(command)
        if name.upper() in _BLOCKING:
            return self._run(name, partial(self._client.custom_command, list(command)))
        if self._reads_singly and not has_time_limit():
            return self._run(name, partial(self._client.custom_command, list(command)), [command])
        # As a batch: GLIDE prints errors of single commands to standard error.
        (reply,) = self._replies([command], self.settings.request_timeout, None)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def pipeline(
        self, commands: Commands, *, any_primary: bool = False, raise_outage: bool = False
    ) -> list[Any]:
        """Send commands in one pipeline. The error of a command takes the place of its reply.

        Args:
            commands: the commands.
            any_primary: in a cluster, send all of them to one primary, or replica where `read_from` says so; another
                one each time.
            raise_outage: raise an outage that is the error of a command, unless the server was only not ready.
        """
        if self._reads_singly and len(commands) == 1 and not has_time_limit():
            return [self._reply_or_error(commands[0])]
        seconds = self.settings.request_timeout + _SECONDS_PER_COMMAND * len(commands)
        route = _some_node(self.settings.read_from) if any_primary else None
        return self._replies(commands, seconds, route, raise_outage)

    def _replies(
        self,
        commands: Commands,
        seconds: float,
        route: glide.TSingleNodeRoute | None,
        raise_outage: bool = False,
    ) -> list[Any]:
        first = commands[0][0] if len(commands) == 1 else "pipeline"
        name = first if type(first) is str else _name(commands[0])
        request = partial(self._sent, commands, seconds, route)
        replies: list[Any] | None = self._run(name, request, commands)
        if replies is None:
            raise ServerError("the client returned no replies; send the commands again", name)
        for position, reply in enumerate(replies):
            if isinstance(reply, GlideError):
                command = commands[position]
                error = self._after_error(reply, _name(command), command)
                is_outage = isinstance(error, ConnectionLostError | RequestTimeoutError)
                if raise_outage and is_outage and not is_not_ready(error):
                    raise error from None
                replies[position] = error
        return replies

    def _reply_or_error(self, command: Sequence[str | bytes]) -> Any:
        try:
            return self.execute(command)
        except (ConnectionLostError, RequestTimeoutError):
            raise
        except ServerError as error:
            return error

    def _sent(
        self, commands: Commands, seconds: float, route: glide.TSingleNodeRoute | None
    ) -> list[Any] | None:
        client: Any = self._client
        options: Any
        if current_deadline() is not None:
            seconds = seconds_left(seconds, _name(commands[0]))
        if self.cluster:
            # Without GLIDE's retries, whose delays can exceed the timeout and hide the server's error: see `retries`.
            batch: Any = glide.ClusterBatch(False)
            options = glide.ClusterBatchOptions(timeout=milliseconds(seconds), route=route)
        else:
            batch, options = glide.Batch(False), _batch_options(seconds)
        for command in commands:
            listed = command if type(command) is list else list(command)
            batch.commands.append((_CUSTOM_COMMAND, listed))
        return client.exec(batch, False, options)  # type: ignore[no-any-return]  # replies

    def execute_on_primaries(self, command: Sequence[str | bytes]) -> dict[bytes, Any]:
        """Send one command to every primary of a cluster. Returns address of a node -> its reply."""
        replies: dict[bytes, Any] = self._routed(command, glide.AllPrimaries())
        return replies

    def execute_on(self, address: bytes, command: Sequence[str | bytes]) -> Any:
        """Send one command to a node of a cluster. The address is a key of the result of `execute_on_primaries`."""
        route = glide.ByAddressRoute(address.decode())
        # As a batch: it can have a timeout of its own, and GLIDE prints errors of single commands to standard error.
        (reply,) = self._replies([command], self.settings.request_timeout, route)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def _routed(self, command: Sequence[str | bytes], route: glide.Route) -> Any:
        client = self._client
        if not isinstance(client, glide.GlideClusterClient):
            raise TypeError("the client is not a cluster client")
        seconds_left(self.settings.request_timeout, _name(command))
        request = partial(client.custom_command, list(command), route)
        return self._run(_name(command), request, [command])

    def close(self) -> None:
        """Close the client as soon as no request is in flight. Further calls have no effect."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            idle = self._in_flight == 0
        if idle:
            self._client.close()

    def _run(self, command: str, request: Callable[[], Any], sent: Commands = ()) -> Any:
        """Run a request within the limit of requests in flight, and convert GLIDE's errors."""
        with self._lock:
            free = self._in_flight < self.settings.max_in_flight
            if not free or self._paused or self._closing:
                self._wait_for_slot(command)
            self._in_flight += 1
            self._entered += 1
            ticket = self._entered if self._in_flight == 1 else None  # None: others are in flight
        try:
            # A cluster client raises at once by itself.
            seen = None if self.cluster else self._notice_outage(command)
            # `recorded` checks the same: a search takes a microsecond less without the call.
            is_noted = current_observation() is not None or current_recorder() is not None
            reply = recorded(request, sent) if is_noted else request()
        except GlideError as error:
            ours = self._after_error(error, command, sent[0] if len(sent) == 1 else ())
            if isinstance(ours, ConnectionLostError) and self.cluster:
                # A cluster client reports rejected credentials as a missing connection.
                with suppress(ConnectionLostError):
                    check_admitted(replace(self.settings, connection_timeout=_SEEK_SECONDS))
            if isinstance(ours, ConnectionLostError) and self.settings.unix_socket is not None:
                alone = ticket is not None and ticket == self._entered
                if never_read(ours, sent, alone=alone):
                    ours = NotSentError(ours.message, command)
            # Not chained: the original can contain secrets that the converted error hides.
            raise ours from None
        finally:
            with self._lock:
                self._in_flight -= 1
                is_last = self._in_flight == 0 and self._closing
                if self._paused or self._waiting:
                    self._notify()
            if is_last:
                # Closing during a request would free memory that the request uses.
                self._client.close()
        self._seen = seen
        return reply

    def _after_error(
        self, error: GlideError, command: str, sent: Sequence[str | bytes] = ()
    ) -> ServerError | ConfigurationError:
        """Convert an error of GLIDE, and record its consequences for the next commands."""
        ours = self._translated(error, command, sent)
        if isinstance(ours, ConnectionLostError):
            self._seen = None  # the next command checks whether the server is reachable
        if isinstance(ours, RequestTimeoutError) and not has_time_limit():
            check_admitted(self.settings)
        if isinstance(ours, ServerError) and from_other_slots(ours) and not self.cluster:
            hint = f"{self.settings.location} is part of a cluster: connect with cluster=true"
            return ServerError(f"{hint} ({ours.message})", command)
        if isinstance(ours, ServerError) and from_replica(ours) and not self.cluster:
            self.demoted = True
            hint = f"{self.settings.location} {LEADS_TO_REPLICA}"
            return ServerError(f"{ours.message.rstrip('.')} ({hint})", command)
        return ours

    def _notice_outage(self, command: str) -> tuple[int, int]:
        """Raise at once if the server is down, instead of after the command's timeout.

        GLIDE counts the live connections and clients of this process. If the counts differ from those at this client's
        last reply, its connection may be lost: check that the server is reachable and accepts the credentials.
        """
        statistics = self._client.get_statistics()
        seen = (statistics["total_connections"], statistics["total_clients"])
        if seen != self._seen:
            try:
                check_admitted(self.settings)
            except ConnectionLostError as error:
                raise NotSentError(error.message, command) from None
            except AuthenticationError as error:
                # A connection that was opened before the password was changed keeps working.
                if not self._alive():
                    raise AuthenticationError(error.message, command) from None
        return seen

    def _alive(self) -> bool:
        """Return True if the client still has an authenticated connection."""
        try:
            self._sent([["PING"]], _ALIVE_SECONDS, None)
        except GlideError:
            return False
        return True

    def _has_free_slot(self) -> bool:
        return not self._paused and self._in_flight < self.settings.max_in_flight

    def _wait_for_slot(self, command: str) -> None:
        """Wait until another request has ended. The caller holds the lock."""
        self._waiting += 1
        try:
            if not self._changed.wait_for(
                lambda: self._closing or self._has_free_slot(),
                seconds_left(self.settings.request_timeout, command),
            ):
                raise RequestTimeoutError(
                    f"{self.settings.max_in_flight} requests (max_in_flight) are in flight, and none ended in time",
                    command,
                )
        finally:
            self._waiting -= 1
        if self._closing:
            raise ClientClosedError("the connection is closed; open a new one")

    def _notify(self) -> None:
        """Wake up those who wait for the end of a request. The caller holds the lock."""
        if self._paused:
            self._changed.notify_all()
        else:
            self._changed.notify()

    def _connected(self) -> glide.TGlideClient:
        mode = glide.NodeDiscoveryMode
        discovery = mode.STATIC if self.any_role else mode.STANDARD
        try:
            return create_client(self.settings, self.cluster, discovery)
        except GlideError as error:
            ours = self._translated(error, "")
        if isinstance(ours, ServerError) and withholds_info(ours.message) and not self.cluster:
            # GLIDE queries the role of every standalone server with INFO. The rejection shows that the
            # connection itself works.
            try:
                return create_client(self.settings, self.cluster, mode.STATIC)
            except GlideError as error:
                ours = self._translated(error, "")
        location = self.settings.location
        if isinstance(ours, ServerError) and "No primary node found" in ours.message:
            ours = type(ours)(f"cannot connect: {location} {LEADS_TO_REPLICA}")
        elif isinstance(ours, ServerError):
            no_tls = self.settings.tls is not None and "timed out" in ours.message
            remedy = "; if this port does not speak TLS, write valkey://" if no_tls else ""
            ours = type(ours)(f"cannot connect to {location}: {ours.message}{remedy}")
        elif is_bad_database(ours):
            ours = ConfigurationError(
                f"cannot connect to {location}: the server has no database {self.settings.database}. Its setting "
                "`databases` is the number of databases (default 16), counted from 0"
            )
        raise ours

    def _translated(
        self, error: GlideError, command: str, sent: Sequence[str | bytes] = ()
    ) -> ServerError | ConfigurationError:
        return translated(error, command, self._secrets, sent)


@lru_cache(maxsize=64)
def _batch_options(seconds: float) -> glide.BatchOptions:
    """Options of a batch without a cluster, which GLIDE only reads."""
    return glide.BatchOptions(timeout=milliseconds(seconds))


def single_node(settings: ConnectionSettings) -> ConnectionSettings:
    """Return the settings for one reachable node, to detect its capabilities."""
    if settings.unix_socket is None and len(settings.addresses) != 1:
        settings = replace(settings, addresses=(reachable_address(settings),))
    return settings if settings.read_from == "primary" else replace(settings, read_from="primary")


def probing_client(settings: ConnectionSettings) -> BoundedClient:
    """Connect to one node, to detect whether it belongs to a cluster; there it may be a replica.

    Raises:
        ConnectionLostError, AuthenticationError, ConfigurationError: as for any client.
    """
    try:
        return BoundedClient(settings, cluster=False)
    except ConnectionLostError as error:
        if LEADS_TO_REPLICA not in error.message:
            raise
        return BoundedClient(settings, cluster=False, any_role=True)


def _name(command: Sequence[str | bytes]) -> str:
    first = command[0] if command else ""
    return first if isinstance(first, str) else first.decode(errors="replace")


def _some_node(read_from: ReadFrom) -> glide.SlotIdRoute:
    """Route to a node of a random slot: its primary, a replica, or either, as `read_from` says."""
    match read_from:
        case "primary":
            kind = glide.SlotType.PRIMARY
        case "all_nodes" | "az_affinity_all_nodes":
            kind = random.choice((glide.SlotType.PRIMARY, glide.SlotType.REPLICA))
        case "prefer_replica" | "az_affinity" | "az_affinity_replicas_and_primary":
            kind = glide.SlotType.REPLICA
        case _:
            assert_never(read_from)
    return glide.SlotIdRoute(kind, random.randrange(_SLOTS))
