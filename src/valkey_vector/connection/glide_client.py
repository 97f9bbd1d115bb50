"""One GLIDE client: made, bounded, kept honest about outages, and closed when nobody uses it.

Nothing else in the library imports GLIDE's clients; this module itself is imported on first use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import glide_sync as glide
from glide_shared.exceptions import GlideError

from valkey_vector.connection.error_mapping import translated
from valkey_vector.connection.reachability import check_reachable, reachable_address
from valkey_vector.connection.settings import (
    ConnectionSettings,
    IamSettings,
    Pem,
    TlsSettings,
)
from valkey_vector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)

_T = TypeVar("_T")

# Reconnecting waits at most 50 ms × 2⁴, so that a server which is back is noticed within a second.
_RECONNECT = (4, 50, 2)
# What a pipeline's timeout grows by for each command: inserting into a big HNSW graph is slow.
_SECONDS_PER_COMMAND = 0.02
# A user without a password (``nopass``) is let in with any; GLIDE sends no AUTH without one, and
# would silently be the default user instead.
_ANYTHING = "none"

# GLIDE writes its log to standard output, where programs that speak a protocol there (MCP servers,
# for one) cannot bear it. This leaves alone a logger that the application set up before; one that
# it wants later it gets through glide_sync.Logger.set_logger_config.
glide.Logger.init(glide.LogLevel.OFF)


class Lane:
    """A GLIDE client with a bound on the requests in flight; any thread may use it.

    Args:
        settings: where to connect; never embedded.
        cluster: whether to connect as a cluster client.

    Raises:
        ConnectionLostError, AuthenticationError, ConfigurationError: it cannot connect.
    """

    def __init__(self, settings: ConnectionSettings, *, cluster: bool) -> None:
        self.settings = settings
        self.cluster = cluster
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
        return self._answered(_name(command), lambda: self._client.custom_command(list(command)))

    def pipeline(self, commands: Sequence[Sequence[str | bytes]]) -> list[Any]:
        """Send commands in one go; a command's own error stands in its place."""
        seconds = self.settings.request_timeout + _SECONDS_PER_COMMAND * len(commands)
        timeout = _milliseconds(seconds)
        replies = self._answered("pipeline", lambda: self._sent(commands, timeout))
        return [
            self._translated(reply, _name(command)) if isinstance(reply, GlideError) else reply
            for command, reply in zip(commands, replies or (), strict=True)
        ]

    def _sent(self, commands: Sequence[Sequence[str | bytes]], timeout: int) -> list[Any] | None:
        client = self._client
        if isinstance(client, glide.GlideClusterClient):
            cluster_batch = glide.ClusterBatch(is_atomic=False)
            for command in commands:
                cluster_batch.custom_command(list(command))
            return client.exec(cluster_batch, False, glide.ClusterBatchOptions(timeout=timeout))
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
        return self._answered(_name(command), lambda: client.custom_command(list(command), route))

    def close(self) -> None:
        """Close the client as soon as no request is under way; may be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            idle = self._in_flight == 0
        if idle:
            self._client.close()

    def _answered(self, command: str, ask: Callable[[], _T]) -> _T:
        """Holds one place in flight, and turns GLIDE's errors into ours."""
        self._enter(command)
        try:
            seen = self._notice_outage()
            reply = ask()
        except GlideError as error:
            ours = self._translated(error, command)
            if isinstance(ours, ConnectionLostError):
                self._seen = None  # the next command looks whether the server is back
            if isinstance(ours, RequestTimeoutError):
                check_reachable(self.settings)
            # Not chained: the original may quote what ours hides.
            raise ours from None
        finally:
            self._leave()
        self._seen = seen
        return reply

    def _notice_outage(self) -> tuple[int, int] | None:
        """Fail now if the server is down, instead of when the command's timeout is over.

        GLIDE counts the live connections and clients of this process. Is that other than when this
        lane last got a reply, then the missing connection may be ours: try to reach the server.
        """
        if self.cluster:
            return None  # a cluster client fails at once by itself
        statistics = self._client.get_statistics()
        seen = (int(statistics["total_connections"]), int(statistics["total_clients"]))
        if seen != self._seen:
            check_reachable(self.settings)
        return seen

    def _enter(self, command: str) -> None:
        with self._lock:
            if self._closing or not self._has_a_place():
                self._wait_for_a_place(command)
            self._in_flight += 1

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
            raise ConfigurationError("the connection is closed; open a new one")

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
            return self._made(glide.NodeDiscoveryMode.STANDARD)
        except GlideError as error:
            ours = self._translated(error, "")
        if isinstance(ours, AuthenticationError) and "'info'" in ours.message and not self.cluster:
            # GLIDE asks every standalone server for its role, which this user may not do. That it
            # was asked shows that the connection itself works.
            try:
                return self._made(glide.NodeDiscoveryMode.STATIC)
            except GlideError as error:
                ours = self._translated(error, "")
        if isinstance(ours, ServerError):
            ours = type(ours)(f"cannot connect to {self.settings.location}: {ours.message}")
        raise ours

    def _made(self, discovery: glide.NodeDiscoveryMode) -> glide.TGlideClient:
        settings = self.settings
        common: dict[str, Any] = {
            "addresses": _addresses(settings),
            "use_tls": settings.tls is not None,
            "credentials": _credentials(settings),
            "read_from": glide.ReadFrom[settings.read_from.upper()],
            "client_az": settings.client_az,
            "request_timeout": _milliseconds(settings.request_timeout),
            "reconnect_strategy": glide.BackoffStrategy(*_RECONNECT),
            "database_id": settings.database,
            "client_name": settings.client_name,
            "client_info_tag": "valkey-vector",
            # Both search modules answer alike in RESP2 only.
            "protocol": glide.ProtocolVersion.RESP2,
        }
        timeout = _milliseconds(settings.connection_timeout)
        tls = _tls(settings.tls) if settings.tls else None
        client: glide.TGlideClient
        if self.cluster:
            cluster_config = glide.GlideClusterClientConfiguration(
                **common,
                advanced_config=glide.AdvancedGlideClusterClientConfiguration(
                    connection_timeout=timeout, tls_config=tls
                ),
            )
            try:
                client = glide.GlideClusterClient.create(cluster_config)
            finally:
                cluster_config.lazy_connect = True
            return client
        if settings.read_from != "primary" and len(settings.addresses) == 1:
            discovery = glide.NodeDiscoveryMode.DISCOVER_ALL
        config = glide.GlideClientConfiguration(
            **common,
            node_discovery_mode=discovery,
            advanced_config=glide.AdvancedGlideClientConfiguration(
                connection_timeout=timeout, tls_config=tls
            ),
        )
        try:
            client = glide.GlideClient.create(config)
        finally:
            # GLIDE makes the client anew, from this configuration, in every forked child, also one
            # that failed to connect. Connecting there and then would slow down children that never
            # use it, and break them in an outage.
            config.lazy_connect = True
        return client

    def _translated(self, error: GlideError, command: str) -> ServerError | ConfigurationError:
        return translated(error, command, self._secrets)


def single_node(settings: ConnectionSettings) -> ConnectionSettings:
    """The settings for one node that can be reached, to ask it what it is."""
    if settings.unix_socket is not None or len(settings.addresses) == 1:
        return settings
    return replace(settings, addresses=(reachable_address(settings),), read_from="primary")


def _name(command: Sequence[str | bytes]) -> str:
    first = command[0] if command else ""
    return first if isinstance(first, str) else first.decode(errors="replace")


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _addresses(settings: ConnectionSettings) -> list[glide.NodeAddress]:
    if settings.unix_socket is not None:
        return [glide.NodeAddress(unix_socket_path=settings.unix_socket)]
    return [glide.NodeAddress(host, port) for host, port in settings.addresses]


def _credentials(settings: ConnectionSettings) -> glide.ServerCredentials | None:
    if settings.iam is not None:
        return glide.ServerCredentials(username=settings.username, iam_config=_iam(settings.iam))
    if settings.username is None and settings.password is None:
        return None
    return glide.ServerCredentials(settings.password or _ANYTHING, settings.username)


def _iam(iam: IamSettings) -> glide.IamAuthConfig:
    return glide.IamAuthConfig(
        iam.cluster_name,
        glide.ServiceType[iam.service.upper()],
        iam.region,
        iam.refresh_interval,
    )


def _tls(tls: TlsSettings) -> glide.TlsAdvancedConfiguration:
    ca = _pem("ca", tls.ca)
    certificate, key = _pem("certificate", tls.certificate), _pem("key", tls.key)
    if isinstance(tls.certificate, bytes) or isinstance(tls.key, bytes):
        return glide.TlsAdvancedConfiguration(tls.insecure, ca, certificate, key)
    return glide.TlsAdvancedConfiguration(
        tls.insecure, ca, client_cert_path=tls.certificate, client_key_path=tls.key
    )


def _pem(name: str, source: Pem | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    try:
        content = Path(source).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read tls {name}: {error}") from None
    if not content:
        raise ConfigurationError(f"the tls {name} file is empty: {source!s}")
    return content
