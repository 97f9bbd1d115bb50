"""Connection to one logical server: send commands, scan keys, detect capabilities."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from operator import methodcaller
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from valkey_vector.concurrency.closing import Closing
from valkey_vector.connection.capabilities import PROBES, Capabilities, capabilities_from
from valkey_vector.connection.clients import Clients
from valkey_vector.connection.refusals import is_not_ready
from valkey_vector.connection.replicas import lane_of
from valkey_vector.connection.retries import Retries
from valkey_vector.connection.settings import ConnectionSettings
from valkey_vector.connection.sharing import acquire_clients, release_clients
from valkey_vector.errors import (
    ConfigurationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)

if TYPE_CHECKING:
    from valkey_vector.connection.glide_client import BoundedClient

URL_VARIABLE = "VALKEY_URL"
DEFAULT_URL = "embedded://"

# Pauses in seconds before commands are sent again that a node of a cluster rejected.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5

# Attempts to scan a cluster while it is being resharded.
_SCANS = 5

Argument = str | bytes
Reply = Any
T = TypeVar("T")


class Connection(Closing):
    """Connection to one logical server: a standalone server, a cluster, or the private embedded server.

    The constructor sends nothing. The first command connects, and starts the embedded server if needed. Threads
    can share a connection, and so can a child process after ``os.fork``. A pickled connection unpickles
    as a new connection to the same server. During an outage, every command raises; once the server is reachable
    again, the same connection works again. If the embedded server ends, the next command restarts it. A temporary
    server has then lost its data; this raises `ConnectionLostError` once.

    A server that is not ready rejects commands without executing them: while it loads its data, while the cluster is
    down, while keys move to another node, or while a script blocks it (LOADING, CLUSTERDOWN, MASTERDOWN, TRYAGAIN,
    MOVED, ASK, BUSY). Such commands, also writes, are sent again until ``settings.request_timeout`` is over. Then the server's
    error is raised.

    Connections in one process with equal settings share their clients, sockets and memory. Closing the last
    of these connections closes the clients. Do not send commands that change the state of a client (SELECT,
    CLIENT REPLY) or block it (BLPOP): they affect every connection that shares it.

    ``lane`` selects one of the sockets to the server. Lane 0 is for ordinary commands. Lanes 1 to
    ``settings.write_connections`` are for bulk writers, because a search module blocks a client until its
    writes are indexed. Each of them connects on first use.

    Args:
        settings: the server's location and all other settings.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self._capabilities: Capabilities | None = None
        self._losses: int | None = None
        self._admitted = False
        self._nodes: dict[str, Connection] = {}
        self._clients: Clients | None = acquire_clients(self, settings)

    @classmethod
    def open(cls, url: str | None = None, **options: Any) -> Connection:
        """Create a connection to the server at a URL. The first command connects.

        Args:
            url: see :mod:`valkey_vector.connection.url`. None uses the environment variable
                ``VALKEY_URL``; if that is not set, a private temporary server (``embedded://``).
            options: attributes of :class:`ConnectionSettings`; they override the URL.

        Raises:
            ConfigurationError: the URL or an option is invalid.
        """
        chosen = url if url is not None else os.environ.get(URL_VARIABLE) or DEFAULT_URL
        return cls(ConnectionSettings.from_url(chosen, **options))

    def execute(self, *args: Argument, lane: int = 0, retry: bool = False) -> Reply:
        """Send one command and return its reply, as GLIDE decodes it (strings are bytes).

        Args:
            args: the command's name and arguments.
            lane: the lane to send on, 0 to ``settings.write_connections``.
            retry: retry after an outage. Use it only for reads that can run twice.

        Raises:
            ServerError: the server returned an error; the message is the server's.
            AuthenticationError: the server rejected the credentials, or the user lacks permission.
            ConnectionLostError: the server is unreachable. A command that was in flight may have
                been executed.
            RequestTimeoutError: no reply within ``settings.request_timeout``. The command may have been executed.
            ConfigurationError: a setting is invalid, or this connection is closed.

        Cost:
            One round trip.
        """
        if not args:
            raise ConfigurationError(
                "execute() was called without a command; pass its name and arguments"
            )
        return self._send_repeatedly(lane, methodcaller("execute", args), retry)

    def pipeline(
        self,
        commands: Sequence[Sequence[Argument]],
        *,
        lane: int = 0,
        retry: bool = False,
        any_primary: bool = False,
    ) -> list[Reply | ServerError]:
        """Send several commands together and return their replies.

        Args:
            commands: the name and arguments of each command.
            lane: the lane to send on, 0 to ``settings.write_connections``.
            retry: retry all commands after an outage. Use it only for reads that can run twice.
            any_primary: every primary of a cluster can execute the commands, so distribute calls over them; over
                the replicas if `read_from` names them and the caller allows it. Otherwise GLIDE chooses the node by
                the first argument, as if it were a key.

        Returns:
            One reply per command, in order. If the server rejected a command, its reply is the error.

        Raises:
            ConnectionLostError, RequestTimeoutError: an outage during any of the commands. Each
                of them may have been executed.
            AuthenticationError, ConfigurationError: the connection cannot be established.
            ConfigurationError: a command is empty; none is sent.

        Cost:
            One round trip; in a cluster, one per node.

        Atomicity:
            None: commands of other clients can run between them.
        """
        if not commands:
            return []
        if not all(commands):
            raise ConfigurationError(
                "pipeline() was called with an empty command; pass the name and arguments of each"
            )

        request = methodcaller("pipeline", commands, any_primary=any_primary, raise_outage=True)
        replies: list[Reply | ServerError] = self._send_repeatedly(lane, request, retry)
        if not _has_error(replies):
            return replies
        if not retry and any(map(is_not_ready, replies)) and self._is_cluster():
            replies = self._rejected_again(commands, replies, lane)
        for reply in replies:
            if _is_outage(reply):
                raise reply
        return replies

    def execute_on_primaries(
        self, *args: Argument, lane: int = 0, retry: bool = False
    ) -> dict[bytes, Reply]:
        """Send one command to every primary of a cluster. Arguments and errors are those of :meth:`execute`.

        Returns:
            Address of a node -> its reply.
        """
        return self._send_repeatedly(
            lane, lambda client: client.execute_on_primaries(args), retry, many_nodes=True
        )

    def execute_on(self, address: str, *args: Argument) -> Reply:
        """Send one command to one node of a cluster.

        Args:
            address: the node's address, a key of the result of `execute_on_primaries`.
            args: the command's name and arguments.
        """
        return self._send_repeatedly(
            0, lambda client: client.execute_on(address.encode(), args), retry=False
        )

    def pipeline_on(
        self, address: str, commands: Sequence[Sequence[Argument]]
    ) -> list[Reply | ServerError]:
        """Send several commands together to one node of a cluster, on a connection to that node alone.

        A node that hangs also delays GLIDE's requests to the other nodes of a cluster, but not those of this method.

        Args:
            address: the node's address, a key of the result of `execute_on_primaries`.
            commands: the name and arguments of each command. They are not sent again.

        Returns:
            One reply per command, in order. If the command failed, its reply is the error.

        Raises:
            ConnectionLostError, RequestTimeoutError: the node cannot be reached, or does not reply in time.

        Cost:
            One round trip.
        """
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes.setdefault(address, Connection(self.settings.of_node(address)))
        clients = node._ready()
        node._admit(clients)
        return clients.send(0, lambda client: client.pipeline(commands))

    def scan(self, pattern: str | bytes, *, count: int = 1000) -> Iterator[list[bytes]]:
        """Iterate over batches of keys that match a pattern, on every node of a cluster.

        Every key that exists during the whole scan is returned at least once.

        Args:
            pattern: a glob-style pattern of the SCAN command.
            count: approximate number of keys that the server examines for each batch.

        Yields:
            A batch of keys, never empty.

        Raises:
            ServerError: see :meth:`execute`.

        Cost:
            One round trip for each `count` keys of the database.
        """
        options: list[Argument] = ["MATCH", pattern, "COUNT", str(count)]
        if self._is_cluster():
            yield from self._scan_cluster(options)
            return
        first = self.execute("SCAN", "0", *options, retry=True)
        yield from _scanned(
            first, lambda cursor: self.execute("SCAN", cursor, *options, retry=True)
        )

    @property
    def capabilities(self) -> Capabilities:
        """The server's product, version and features. Detected once, then cached.

        Raises:
            ServerError: see :meth:`execute`.

        Cost:
            One round trip on first use.
        """
        if self._capabilities is None:
            # Connecting may have sent the probes already, to detect a cluster.
            self._is_cluster()
            probed = self._open_clients().take_probed()
            self._capabilities = capabilities_from(probed or self.pipeline(PROBES, retry=True))
        return self._capabilities

    def close(self) -> None:
        """Close this connection. Further calls have no effect.

        The last connection with these settings closes the shared clients, after the commands in
        flight have completed.
        """
        nodes, self._nodes = self._nodes, {}
        for node in nodes.values():
            node.close()
        clients, self._clients = self._clients, None
        if clients is not None:
            release_clients(self, clients)

    def __repr__(self) -> str:
        return f"Connection({self.settings.location!r})"

    def __reduce__(self) -> tuple[type[Connection], tuple[ConnectionSettings]]:
        settings = self.settings
        if settings.embedded and settings.embedded_directory is None:
            # Another process would start its own server: pickle the address of this one.
            settings = self._open_clients().address()
        return type(self), (settings,)

    def _scan_cluster(self, options: Sequence[Argument]) -> Iterator[list[bytes]]:
        """Scan every primary, and scan again if slots moved during the scan.

        GLIDE's cluster scan hangs while the cluster is down (GLIDE 2.6).
        """
        slots = self.execute("CLUSTER", "SLOTS", retry=True)
        for _ in range(_SCANS):
            firsts = self.execute_on_primaries("SCAN", "0", *options, retry=True)
            for address, first in firsts.items():

                def proceed(cursor: bytes, address: bytes = address) -> Any:
                    command = ["SCAN", cursor, *options]
                    return self._send_repeatedly(
                        0, lambda client: client.execute_on(address, command), retry=True
                    )

                yield from _scanned(first, proceed)
            before, slots = slots, self.execute("CLUSTER", "SLOTS", retry=True)
            if slots == before:
                return
        raise ServerError(
            f"the cluster's slots moved during each of {_SCANS} scans; retry when resharding has ended",
            "SCAN",
        )

    def _rejected_again(
        self,
        commands: Sequence[Sequence[Argument]],
        replies: Sequence[Reply | ServerError],
        lane: int,
    ) -> list[Reply | ServerError]:
        """Send the commands of a pipeline again that a node of a cluster was not ready to execute; the others ran.

        For half the request timeout: a caller that holds a lock must not write after it has lapsed. The commands on one key
        keep their order: a command is not sent again if a later one on its key has run.
        """
        found = list(replies)
        deadline = time.monotonic() + self.settings.request_timeout / 2
        pause = _FIRST_PAUSE
        while rejected := _repeatable(commands, found):
            if time.monotonic() + pause > deadline:
                break
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            again = [commands[at] for at in rejected]
            answered = self._ready().send(lane, methodcaller("pipeline", again))
            for at, reply in zip(rejected, answered, strict=True):
                found[at] = reply
        return found

    def _is_cluster(self) -> bool:
        """Return True if the server is a cluster; connects if needed."""
        return self._send_repeatedly(0, lambda client: client.cluster, retry=True)

    def _send_repeatedly(
        self,
        lane: int,
        request: Callable[[BoundedClient], T],
        retry: bool,
        *,
        many_nodes: bool = False,
    ) -> T:
        """Call `request` with the client of a lane; again as the policy of `Retries` says."""
        settings, begun = self.settings, time.monotonic()
        retries: Retries | None = None
        if lane or settings.read_from != "primary":
            lane = lane_of(settings, lane, retry=retry)
        while True:
            clients = self._clients
            if clients is None or clients.embedded:
                clients = self._ready()
            try:
                if not self._admitted:
                    self._admit(clients)
                reply = clients.send(lane, request)
            except ServerError as error:
                retries = retries or Retries(settings, retry, begun, many_nodes=many_nodes)
                if not retries.again(error):
                    raise
            else:
                if not _has_error(reply):
                    return reply
                retries = retries or Retries(settings, retry, begun, many_nodes=many_nodes)
                if not retries.again(reply):
                    return reply

    def _admit(self, clients: Clients) -> None:
        """Check once that the server accepts the settings of this connection."""
        if not self._admitted:
            clients.admit()
            self._admitted = True

    def _ready(self) -> Clients:
        """Return the clients, after restarting the embedded server if it has ended.

        Raises:
            ConnectionLostError: the embedded server cannot be restarted. Also raised once when
                the temporary server of this connection has ended and its data is lost.
        """
        clients = self._clients or self._open_clients()
        before, self._losses = self._losses, clients.revive()
        if before is not None and before != self._losses:
            self._capabilities = None
            raise ConnectionLostError(
                f"{clients.loss}. Its data is lost; an empty server has been started in its place"
            )
        return clients

    def _open_clients(self) -> Clients:
        clients = self._clients
        if clients is None:
            raise ConfigurationError("the connection is closed; open a new one")
        return clients


def _repeatable(
    commands: Sequence[Sequence[Argument]], replies: Sequence[Reply | ServerError]
) -> list[int]:
    """Positions of the rejected commands on keys on which no later command has run."""
    rejected = [at for at, reply in enumerate(replies) if is_not_ready(reply)]
    first: dict[Argument, int] = {}
    for at in rejected:
        first.setdefault(_key_of(commands[at]), at)
    overtaken = {
        key
        for at, reply in enumerate(replies)
        if not is_not_ready(reply) and at > first.get(key := _key_of(commands[at]), at)
    }
    return [at for at in rejected if _key_of(commands[at]) not in overtaken]


def _key_of(command: Sequence[Argument]) -> Argument:
    """The first key of a command; scripts have it after their text and the number of keys."""
    name = command[0] if isinstance(command[0], str) else command[0].decode()
    place = 3 if name.upper().startswith("EVAL") else 1
    key = command[place] if len(command) > place else b""
    return key.encode() if isinstance(key, str) else key


def _has_error(reply: object) -> bool:
    """Return True if a reply is that of a pipeline, with an error in place of one of its replies."""
    if isinstance(reply, list):
        for one in reply:
            if isinstance(one, ServerError):
                return True
    return False


def _is_outage(reply: object) -> TypeGuard[ConnectionLostError | RequestTimeoutError]:
    return isinstance(reply, ConnectionLostError | RequestTimeoutError)


def _scanned(reply: Any, proceed: Callable[[bytes], Any]) -> Iterator[list[bytes]]:
    """Iterate over the keys of a first SCAN reply and of the replies that follow it."""
    while True:
        cursor, keys = reply
        if keys:
            yield keys
        if cursor == b"0":
            return
        reply = proceed(cursor)
