"""Start, join and release the private Valkey server of ``embedded://`` URLs.

The server runs under a supervisor process (``supervisor``), which stops it when no process holds a
lease. A lease is an open connection to the supervisor, one per process and server. The kernel closes
it when the process ends for any reason, so no exit handler is needed. A forked child inherits its
parent's lease and uses the same server. If the child closes its handle or ends, the parent is not
affected.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from valkey_vector.embedded.joining import ServerRecord, holder, join, take_lock
from valkey_vector.embedded.leases import Lease, description, process
from valkey_vector.embedded.starting import start
from valkey_vector.errors import ConfigurationError, RequestTimeoutError

__all__ = ["EmbeddedServer"]

_RETRY_SECONDS = 0.02


class EmbeddedServer:
    """Handle on a private Valkey server that listens only on a unix socket.

    Attributes:
        socket_path: path of the socket.
        directory: directory of the data; None for a temporary server.
    """

    __slots__ = ("_closed", "_lease", "directory", "socket_path")

    def __init__(self, lease: Lease, directory: Path | None) -> None:
        self._lease = lease
        self._closed = False
        self.socket_path = lease.socket_path
        self.directory = directory

    @classmethod
    def open(
        cls, directory: str | os.PathLike[str] | None = None, *, start_timeout: float = 20.0
    ) -> EmbeddedServer:
        """Start a server, or join the running one.

        Args:
            directory: directory of the data; created if missing. Any number of processes can open
                the same directory. They share one server, which ends soon after the last process
                has closed it or has ended. None starts a temporary server in memory for this
                process and its forked children. It ends with them.
            start_timeout: seconds until the server is ready, including loading stored data; > 0.

        Raises:
            ConfigurationError: the server is not installed or does not run on this platform, or
                the directory cannot be used.
            ServerError: the server did not start; the message contains the end of its log.
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
        """True if this handle is open and its server is not known to have ended."""
        with process.guard:
            return not self._closed and self._lease.alive()

    def await_end(self, seconds: float) -> bool:
        """Wait up to `seconds` for the end of the server. Returns True if it has ended."""
        return self._lease.await_end(seconds)

    def how_it_ended(self) -> str:
        """Describe the server and how it ended. Call it only after the server has ended."""
        with process.guard:
            directory = None if self.directory is None else str(self.directory)
            return f"{description(directory)} {self._lease.how_it_ended()}"

    def close(self) -> None:
        """Close this handle. Further calls have no effect.

        The last handle in the process releases a persistent server. The temporary server runs until
        the process ends, so that it can be opened again.
        """
        with process.guard:
            if self._closed:
                return
            self._closed = True
            if self.directory is None:
                return
            self._lease.handles -= 1
            if self._lease.handles == 0:
                self._lease.drop()
                if process.leases.get(str(self.directory)) is self._lease:
                    del process.leases[str(self.directory)]

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
        directory = "temporary" if self.directory is None else repr(str(self.directory))
        return f"<EmbeddedServer {directory}{' closed' if self._closed else ''}>"


def _canonical(directory: str) -> str:
    if not directory or "\0" in directory:
        raise ConfigurationError(
            f"the directory of the embedded server must be a path that is not empty, without NUL, not {directory!r}"
        )
    try:
        return os.path.realpath(Path(directory).expanduser())
    except RuntimeError as error:  # ~ without a home
        raise ConfigurationError(f"{directory!r}: {error}") from None


def _share(key: str | None, timeout: float) -> Lease:
    """Return the process's lease on a directory's server; start or join the server if there is no live lease."""
    deadline = time.monotonic() + timeout
    with process.guard:
        opening = process.openings.setdefault(key, threading.Lock())
    if not opening.acquire(timeout=timeout):
        raise RequestTimeoutError(f"{description(key)} is still being opened by another thread")
    try:
        with process.guard:
            lease = process.leases.get(key)
            if lease is not None and lease.alive():
                lease.handles += 1
                return lease
        fresh = start(None, None, deadline) if key is None else _start_or_join(key, deadline)
        with process.guard:
            if lease is not None:
                lease.how_it_ended()  # other handles can report it later
                lease.drop()
            fresh.handles = 1
            process.leases[key] = fresh
            if fresh.descriptor is not None:
                process.unfinished.discard(fresh.descriptor)
        return fresh
    finally:
        opening.release()


def _start_or_join(directory: str, deadline: float) -> Lease:
    """Join the directory's server, or start it if its lock is free, until the deadline.

    A lost race is retried. If a supervisor is shutting down, its lock will be free. If another process
    took the lock first, this process can join its server.
    """
    while True:
        record = ServerRecord.read(directory)
        if record is not None and (lease := join(directory, record, deadline)) is not None:
            return lease
        lock = take_lock(directory)
        if lock is not None:
            try:
                return start(directory, lock, deadline)
            finally:
                process.close_unfinished(lock)
        if time.monotonic() >= deadline:
            raise RequestTimeoutError(
                f"{description(directory)} is held by {holder(record)} and could not be joined in time"
            )
        time.sleep(_RETRY_SECONDS)
