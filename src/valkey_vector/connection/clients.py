"""GLIDE clients of one server, shared by all connections of this process with equal settings."""

from __future__ import annotations

import copy
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from valkey_vector.connection.admission import check_admitted
from valkey_vector.connection.capabilities import PROBES, is_cluster
from valkey_vector.connection.embedded_link import EmbeddedLink
from valkey_vector.connection.glide_version import check_glide
from valkey_vector.connection.refusals import ClientClosedError, NotSentError, refused
from valkey_vector.connection.settings import ConnectionSettings
from valkey_vector.errors import ConfigurationError, ConnectionLostError, ValkeyVectorError

if TYPE_CHECKING:
    from valkey_vector.connection.glide_client import BoundedClient

__all__ = ["READS", "Clients"]

READS = -1
"""Lane of the reads that replicas may answer. All other lanes read from primaries only."""

# Maximum delay of a fork by commands in flight in other threads.
_QUIET_SECONDS = 0.5
# Minimum age of a client before it is replaced because a replica answered it.
_MIN_CLIENT_SECONDS = 1.0

T = TypeVar("T")


class _Resources:
    """Open clients and embedded server of `Clients`. A separate object, so that a finalizer can close them."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.clients: dict[int, BoundedClient] = {}
        self.embedded = EmbeddedLink(settings) if settings.embedded else None

    def close_clients(self) -> None:
        clients, self.clients = self.clients, {}
        for client in clients.values():
            client.close()

    def close(self) -> None:
        self.close_clients()
        if self.embedded is not None:
            self.embedded.close()


class Clients:
    """One client per lane in use, connected on first use and replaced when its server is no longer the primary.

    Attributes:
        settings: settings of the clients.
        embedded: True if the server is the private embedded one, which `revive` restarts.
        users: connections that use the clients.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self.embedded = settings.embedded
        self.users: weakref.WeakSet[object] = weakref.WeakSet()
        self._cluster: bool | None = settings.cluster
        self._probed: list[Any] = []
        self._closed = False
        self._failure: tuple[float, ValkeyVectorError] | None = None
        self._lock = threading.RLock()
        self._resources = _Resources(settings)
        # Not at exit: the end of the process closes everything, and other threads may still be running.
        weakref.finalize(self, self._resources.close).atexit = False

    def revive(self) -> int:
        """Start or join the embedded server again if it has ended.

        Returns:
            Number of temporary servers that ended and lost their data.

        Raises:
            ConnectionLostError: the server cannot be restarted; the message says why it ended and why the restart failed.
        """
        embedded = self._resources.embedded
        if embedded is None:
            return 0
        if not embedded.running:
            with self._lock:
                if not embedded.running and not self._closed:
                    self._resources.close_clients()
                    embedded.renew()
        return embedded.losses

    @property
    def loss(self) -> str:
        """Description of how the temporary embedded server ended, for messages."""
        return self._resources.embedded.ended if self._resources.embedded is not None else ""

    def send(self, lane: int, request: Callable[[BoundedClient], T]) -> T:
        """Send a request through the client of a lane. Send it again once if the server certainly did not execute it.

        Raises:
            ValkeyVectorError: as `Connection.execute`.
        """
        for last in (False, True):
            client = self._resources.clients.get(lane) or self.client(lane)
            try:
                reply = request(client)
            except ClientClosedError:
                # Another thread has replaced the client, or the last user has closed it.
                if last or self._closed:
                    raise
                continue
            except NotSentError as error:
                if last or not self._await_end():
                    raise ConnectionLostError(error.message, error.command) from None
                self.revive()
                continue
            except ConnectionLostError:
                self._await_end()
                raise
            except ValkeyVectorError as error:
                if not client.demoted or not self._replace(client) or last or not refused(error):
                    raise
                continue
            if client.demoted and self._replace(client) and not last and refused(reply):
                continue
            return reply
        raise AssertionError("the last attempt returns or raises")

    def admit(self) -> None:
        """Check that the server still accepts these settings.

        Clients that are already in use can be older than the current password.

        Raises:
            ConnectionLostError: the server is unreachable.
            AuthenticationError: the server rejects the credentials.
        """
        if self._resources.clients:
            check_admitted(self.address())

    def client(self, lane: int) -> BoundedClient:
        """Return the client of a lane; connect it on first use."""
        client = self._resources.clients.get(lane)
        return client if client is not None else self._new_client(lane)

    def take_probed(self) -> list[Any]:
        """Return the replies to `PROBES` once, if connecting sent them; otherwise an empty list."""
        probed, self._probed = self._probed, []
        return probed

    def address(self) -> ConnectionSettings:
        """Return the settings with a real address; start or join the embedded server first."""
        with self._lock:
            embedded = self._resources.embedded
            return self.settings if embedded is None else embedded.address()

    def close(self) -> None:
        """Close the clients after the commands in flight have completed."""
        with self._lock:
            self._closed = True
            self._resources.close()

    def _await_end(self) -> bool:
        """Return True if the embedded server has ended, or its supervisor reports that within a moment."""
        embedded = self._resources.embedded
        return embedded is not None and embedded.await_end()

    def _replace(self, client: BoundedClient) -> bool:
        """Close all clients, so that the next commands connect again. Returns False if that happened just now."""
        with self._lock:
            if time.monotonic() - client.created < _MIN_CLIENT_SECONDS:
                return False
            if client in self._resources.clients.values():
                self._resources.close_clients()
            return True

    def _new_client(self, lane: int) -> BoundedClient:
        requested = time.monotonic()
        with self._lock:
            if self._closed:
                raise ConfigurationError("the connection is closed; open a new one")
            if lane not in self._resources.clients:
                if self._failure is not None and self._failure[0] > requested:
                    # Another thread failed to connect while this one waited: do not wait again.
                    raise copy.copy(self._failure[1])
                try:
                    self._resources.clients[lane] = self._connect(lane)
                except ValkeyVectorError as error:
                    self._failure = (time.monotonic(), error)
                    raise
            return self._resources.clients[lane]

    def _connect(self, lane: int) -> BoundedClient:
        """Connect the client of a lane, after detecting whether the server is a cluster."""
        check_glide()
        from valkey_vector.connection.glide_client import BoundedClient, probing_client, single_node

        settings = self.address()
        if lane != READS:
            settings = replace(settings, read_from="primary")
        if self._cluster is None:
            node = single_node(settings)
            client = probing_client(node)
            try:
                self._probed = client.pipeline(PROBES)
            except ValkeyVectorError:
                client.close()
                raise
            # GLIDE has no cluster clients on unix sockets; a single node works without one.
            self._cluster = settings.unix_socket is None and is_cluster(self._probed)
            if not self._cluster and node == settings and not client.any_role:
                return client
            client.close()
        if lane == READS and not self._cluster and _is_alone(settings):
            settings = replace(settings, read_from="primary")
        return BoundedClient(settings, cluster=self._cluster)

    def before_fork(self) -> None:
        """Wait a moment for the commands in flight in other threads."""
        for client in list(self._resources.clients.values()):
            client.pause(_QUIET_SECONDS)

    def after_fork_in_parent(self) -> None:
        """Continue after a fork."""
        for client in list(self._resources.clients.values()):
            client.resume()

    def after_fork_in_child(self) -> None:
        """Replace the locks: a lock that another thread of the parent held at the fork is never released."""
        self._lock = threading.RLock()
        for client in self._resources.clients.values():
            client.forget_requests()


def _is_alone(settings: ConnectionSettings) -> bool:
    """Return True if the only address is of a primary without replicas. GLIDE 2.6 finds no node from there."""
    from valkey_vector.connection.glide_client import probing_client, single_node

    if len(settings.addresses) != 1:
        return False
    client = probing_client(single_node(settings))
    try:
        (reply,) = client.pipeline([["INFO", "replication"]])
    finally:
        client.close()
    return isinstance(reply, bytes) and b"connected_slaves:0" in reply and b"role:master" in reply
