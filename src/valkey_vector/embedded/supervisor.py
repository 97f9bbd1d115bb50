"""Run one private valkey-server as long as a process holds a lease on it.

``valkey_vector.embedded`` runs this file as a separate script, isolated from the site packages, so
it uses only the standard library::

    python -I -S supervisor.py BINARY BASE                    a temporary server
    python -I -S supervisor.py BINARY BASE DIRECTORY LOCK     a persistent server

A lease is an open connection. The kernel closes it when its holder ends for any reason, and forked
children share it, so no process has to release it explicitly. Descriptor 0 is the starter's lease.
Other processes connect to the control socket of a persistent server. On every lease the supervisor
reports its state, one JSON object per line, until the state is "ready" or "failed". After "ready" it
reports only the end of the server, so a readable lease means that the server has ended.

LOCK is a descriptor with an exclusive ``flock`` on the directory. The server inherits it. If an
orphaned server outlives its supervisor, the directory stays locked, and two servers never write to
the same append-only file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUN_PREFIX = "valkey-vector-"
RECORD_NAME = "server.json"
LOG_NAME = "server.log"
PREVIOUS_LOG_NAME = "server.previous.log"

# A persistent server outlives its last lease for a moment, so that a program that is run again joins it.
GRACE_SECONDS = 0.5
PROBE_SECONDS = 0.02
PROBE_REPLY_SECONDS = 1.0
# Shutting down at most flushes the append-only file; a server that takes longer hangs.
STOP_SECONDS = 30.0
LOG_LINES_SHOWN = 12
PR_SET_PDEATHSIG = 1


class RunDirectory:
    """Private directory with a short path, for sockets: their paths are limited to 103 bytes.

    It contains a locked file, which the server inherits. The lock distinguishes a directory in use from
    one whose supervisor was killed. Creating the next directory removes abandoned ones.
    """

    def __init__(self, base: Path) -> None:
        self._remove_abandoned(base)
        self.path = base / f"{RUN_PREFIX}{os.urandom(6).hex()}"
        self.path.mkdir(mode=0o700)
        # Renamed after it is locked: a file with the final name is never unlocked while in use.
        unlocked = self.path / "lock.new"
        self.lock = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        unlocked.rename(self.path / "lock")

    @property
    def data_socket(self) -> str:
        """Path of the server's socket."""
        return str(self.path / "data.sock")

    @property
    def control_socket(self) -> str:
        """Path of the socket on which the supervisor of a persistent server grants leases."""
        return str(self.path / "control.sock")

    def remove(self) -> None:
        """Remove the directory and its contents."""
        shutil.rmtree(self.path, ignore_errors=True)

    @staticmethod
    def _remove_abandoned(base: Path) -> None:
        for path in base.glob(f"{RUN_PREFIX}*"):
            # Skip directories of other users, directories in use, and those that another process removes.
            with contextlib.suppress(OSError):
                if path.lstat().st_uid != os.geteuid():
                    continue
                lock = os.open(path / "lock", os.O_RDWR | os.O_NOFOLLOW)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(lock)


def server_arguments(data_socket: str, *, persistent: bool) -> list[str]:
    """Arguments of the server: a unix socket only, and an append-only file if persistent.

    The data directory is the server's working directory, so its name, which can contain special
    characters, is not part of the configuration.
    """
    options = {
        "port": "0",
        "unixsocket": data_socket,
        "unixsocketperm": "700",
        "dir": ".",
        "logfile": LOG_NAME,
        "loglevel": "notice",
        "daemonize": "no",
        "supervised": "no",
        "maxmemory-policy": "noeviction",
        "save": "",
        "appendonly": "yes" if persistent else "no",
        "appendfsync": "everysec",
        "aof-use-rdb-preamble": "yes",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def death_signal() -> Callable[[], None] | None:
    """Function to run in the server's process before it starts, so that it ends when its supervisor is killed.

    Linux only. On other systems the inherited lock prevents damage by an orphaned server.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes
    except ImportError:  # a Python built without libffi
        return None
    library = ctypes.CDLL(None)
    supervisor = os.getpid()

    def request_signal() -> None:
        library.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != supervisor:  # it was killed before the request
            os._exit(1)

    return request_signal


class Supervisor:
    """Supervisor of one server and its leases."""

    def __init__(
        self,
        binary: str,
        base: Path,
        first: socket.socket,
        directory: Path | None,
        lock: int | None,
    ) -> None:
        self._binary = binary
        self._base = base
        self._directory = directory
        self._lock = lock
        self._report: dict[str, Any] = {"state": "starting", "supervisor": os.getpid()}
        self._selector = selectors.DefaultSelector()
        self._leases: set[socket.socket] = set()
        self._unleased_since = 0.0
        self._terminated = False
        self._run: RunDirectory | None = None
        self._listener: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._wakeup = self._receive_signals()
        self._add_lease(first)

    def supervise(self) -> None:
        """Start the server, wait until it has ended or no process needs it, and clean up."""
        try:
            self._start()
            while self._needed():
                self._wait()
            if self._server is not None and self._server.poll() is not None:
                self._announce("failed", reason=self._last_log_lines())
            self._announce_end()
        except OSError as error:
            self._announce("failed", reason=str(error))
        finally:
            self._stop()

    # -- starting -------------------------------------------------------------------------------

    def _start(self) -> None:
        self._run = run = RunDirectory(self._base)
        inherited = [run.lock]
        if self._lock is not None:
            self._listener = self._listen(run.control_socket)
            inherited.append(self._lock)
        log = self._log_path(run)
        with contextlib.suppress(FileNotFoundError):
            log.replace(log.with_name(PREVIOUS_LOG_NAME))
        options = server_arguments(run.data_socket, persistent=self._directory is not None)
        # The log also receives output from before the server opens it, such as errors of the loader.
        with log.open("ab") as output:
            self._server = subprocess.Popen(  # noqa: S603 - the binary that the package names
                [self._binary, *options],
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                preexec_fn=death_signal(),  # noqa: PLW1509 - there are no threads here
            )
        self._report.update(server=self._server.pid, socket=run.data_socket)
        if self._directory is not None:
            self._publish(self._directory / RECORD_NAME, run.control_socket)

    def _log_path(self, run: RunDirectory) -> Path:
        return (self._directory or run.path) / LOG_NAME

    def _listen(self, path: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(128)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        return listener

    def _publish(self, path: Path, control: str) -> None:
        """Write the record by which other processes join. It is replaced atomically, so it is never incomplete."""
        record = {key: self._report[key] for key in ("supervisor", "server", "socket")}
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps({**record, "control": control}), encoding="utf-8")
        unfinished.replace(path)

    def _receive_signals(self) -> socket.socket:
        # A signal mask inherited from the starter's thread would block the signals used here.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._selector.register(reader, selectors.EVENT_READ, self._drain)
        self._signal_writer = writer
        return reader

    def _terminate(self, *_: object) -> None:
        self._terminated = True

    def _drain(self, _: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup.recv(4096)

    # -- running --------------------------------------------------------------------------------

    def _needed(self) -> bool:
        if self._terminated or self._server is None or self._server.poll() is not None:
            return False
        return bool(self._leases) or self._grace_left() > 0

    def _grace_left(self) -> float:
        if self._directory is None:  # no process can join a temporary server
            return 0.0
        return self._unleased_since + GRACE_SECONDS - time.monotonic()

    def _wait(self) -> None:
        """Wait for the next event, or for the next probe while the server is starting."""
        timeout = None if self._leases else max(0.0, self._grace_left())
        if self._report["state"] != "ready":
            self._probe()
            timeout = PROBE_SECONDS if self._report["state"] != "ready" else timeout
        for key, _ in self._selector.select(timeout):
            key.data(key.fileobj)

    def _probe(self) -> None:
        reply = b""
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.settimeout(PROBE_REPLY_SECONDS)
            probe.connect(self._report["socket"])
            probe.sendall(b"PING\r\n")
            reply = probe.recv(256)
        if reply.startswith(b"+PONG"):
            self._announce("ready")
            redirect_to_null(2)
        elif reply.startswith(b"-LOADING") and self._report["state"] != "loading":
            self._announce("loading")

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(
            OSError
        ):  # the client closed the connection before it was accepted
            self._add_lease(listener.accept()[0])

    def _add_lease(self, lease: socket.socket) -> None:
        lease.setblocking(False)
        self._leases.add(lease)
        self._selector.register(lease, selectors.EVENT_READ, self._read_lease)
        if self._server is None or self._server.poll() is None:
            self._send(lease)

    def _read_lease(self, lease: socket.socket) -> None:
        try:
            if lease.recv(4096):
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # reset, because the holder was killed: the same as closed
        self._selector.unregister(lease)
        self._leases.discard(lease)
        lease.close()
        self._unleased_since = time.monotonic()

    def _announce(self, state: str, **facts: str) -> None:
        if self._report["state"] in ("ready", "failed"):
            return
        self._report.update(state=state, **facts)
        for lease in self._leases:
            self._send(lease)

    def _announce_end(self) -> None:
        """Report how a server that was ready ended, to all remaining leases."""
        if self._report["state"] == "ready":
            self._report.update(state="ended", reason=self._ending())
            for lease in self._leases:
                self._send(lease)

    def _ending(self) -> str:
        status = None if self._server is None else self._server.poll()
        match status:
            case None:
                return "ended, because its supervisor process received SIGTERM"
            case -9:
                return "was killed (SIGKILL: the kernel sends it when memory is exhausted)"
            case _ if status < 0:
                return f"was ended by signal {-status}"
            case _:
                return f"exited with status {status}"

    def _send(self, lease: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the holder has ended; reading the lease reports it
            lease.sendall(json.dumps(self._report).encode() + b"\n")

    # -- ending ---------------------------------------------------------------------------------

    def _stop(self) -> None:
        # In this order: no new leases, no server, no lock. A process whose connection was not
        # accepted sees it closed and retries.
        if self._listener is not None:
            self._listener.close()
        if self._directory is not None and self._server is not None:
            with contextlib.suppress(OSError):
                (self._directory / RECORD_NAME).unlink()
        if self._server is not None:
            self._end_server(self._server)
        if self._run is not None:
            self._run.remove()

    @staticmethod
    def _end_server(server: subprocess.Popen[bytes]) -> None:
        if server.poll() is None:
            server.terminate()  # the same as SHUTDOWN, and it works even if all connections are in use
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def _last_log_lines(self) -> str:
        if self._run is None or self._server is None:
            return ""
        try:
            text = self._log_path(self._run).read_text(encoding="utf-8", errors="replace")
            lines = text.splitlines()
        except OSError as error:
            lines = [str(error)]
        ending = f"valkey-server exited with status {self._server.returncode}"
        return "\n".join([ending, *lines[-LOG_LINES_SHOWN:]])


def redirect_to_null(descriptor: int) -> None:
    """Detach a standard stream from the starter."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, descriptor)
    os.close(null)


def main(arguments: list[str]) -> None:
    """Detach from the starter and supervise."""
    binary, base, *persistent = arguments
    directory, lock = (Path(persistent[0]), int(persistent[1])) if persistent else (None, None)
    # The starter waits only for this process. The supervisor is not its child, so a program that
    # waits for its children never sees it.
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    if lock is not None:
        os.set_inheritable(lock, False)
    first = socket.socket(fileno=os.dup(0))
    redirect_to_null(0)
    Supervisor(binary, Path(base), first, directory, lock).supervise()


if __name__ == "__main__":
    main(sys.argv[1:])
