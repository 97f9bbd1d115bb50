"""Start, join and let go of the private Valkey server that ``embedded://`` stands for.

The server runs under a supervisor process (``supervisor``), which keeps it for as long as
a lease is held. A lease is an open connection to the supervisor, one per process and server; the
kernel drops it however the process ends, so no exit handler is needed. A forked child inherits its
parent's lease and uses the same server; what the child closes or how it ends is no matter to the
parent.
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
    """A handle on a private Valkey server, listening on a unix socket only.

    Attributes:
        socket_path: where the server listens.
        directory: where its data are kept; None for a temporary server.
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
        with process.guard:
            return not self._closed and self._lease.alive()

    def await_end(self, seconds: float) -> bool:
        """Whether the server has ended, or does within so many seconds."""
        return self._lease.await_end(seconds)

    def how_it_ended(self) -> str:
        """Which server it was and how it ended, in words; only after it has."""
        with process.guard:
            kept = None if self.directory is None else str(self.directory)
            return f"{description(kept)} {self._lease.how_it_ended()}"

    def close(self) -> None:
        """Let go of the server; closing twice is harmless.

        A persistent server is let go of when its last handle in the process is closed. The
        temporary one stays until the process ends, for whoever asks next.
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
        kept = "temporary" if self.directory is None else repr(str(self.directory))
        return f"<EmbeddedServer {kept}{' closed' if self._closed else ''}>"


def _canonical(directory: str) -> str:
    if not directory or "\0" in directory:
        raise ConfigurationError(f"not a directory the embedded server could use: {directory!r}")
    try:
        return os.path.realpath(Path(directory).expanduser())
    except RuntimeError as error:  # ~ without a home
        raise ConfigurationError(f"{directory!r}: {error}") from None


def _share(key: str | None, timeout: float) -> Lease:
    """The process's lease on this directory's server, taken now if there is none alive."""
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
                lease.how_it_ended()  # other handles may have to tell
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

    Every race ends in another round: with a supervisor that is shutting down, its lock is soon
    free; with another process that took the lock first, its server can soon be joined.
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
