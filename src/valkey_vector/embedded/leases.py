"""Leases of this process on private servers: one per server, shared by its handles, and valid in forked children."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Lease", "Process", "description", "process", "readable"]

# Maximum time until a supervisor reports how its server ended.
_FINAL_REPORT_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Lease:
    """Connection of this process to one supervisor, shared by all handles on the server.

    Attributes:
        descriptor: descriptor of the connection; None after `drop`.
        socket_path: path of the server's socket.
        server: descriptor of the server's process; None on systems without process descriptors.
        handles: number of open handles.
        ended: description of how the server ended; empty if not known yet.
    """

    descriptor: int | None
    socket_path: str
    server: int | None = None
    handles: int = 0
    ended: str = ""

    def alive(self) -> bool:
        """Return True if neither the server nor its supervisor is known to have ended."""
        return not self.await_end(0)

    def await_end(self, seconds: float) -> bool:
        """Wait up to `seconds` for the end of the server. Returns True if it has ended."""
        # After "ready" a supervisor reports only the end of its server. The end of the process can
        # be visible before that report.
        descriptors = [each for each in (self.descriptor, self.server) if each is not None]
        return self.descriptor is None or readable(descriptors, seconds)

    def how_it_ended(self) -> str:
        """Return the supervisor's report of the end, or that it sent none. Call it only after the server has ended."""
        if not self.ended:
            self.ended = self._final_report()
        return self.ended

    def _final_report(self) -> str:
        if self.descriptor is None:
            return "was closed"
        readable([self.descriptor], _FINAL_REPORT_SECONDS)
        with socket.socket(fileno=os.dup(self.descriptor)) as supervisor:
            supervisor.setblocking(False)
            try:
                # Forked processes share the lease: leave the report for them to read.
                report = supervisor.recv(65_536, socket.MSG_PEEK)
            except OSError:
                report = b""
        try:
            return str(json.loads(report.splitlines()[0])["reason"])
        except (LookupError, ValueError):
            return "ended, because its supervisor process was killed"

    def drop(self) -> None:
        """Release the server."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        if self.server is not None:
            os.close(self.server)
            self.server = None


class Process:
    """Leases and unfinished openings of this process.

    Attributes:
        guard: lock on all attributes; held briefly, and during a fork.
        leases: directory -> lease; None is the key of the temporary server.
        openings: directory -> lock that allows one opening at a time.
        unfinished: descriptors of openings in progress.
    """

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.leases: dict[str | None, Lease] = {}
        self.openings: dict[str | None, threading.Lock] = {}
        self.unfinished: set[int] = set()

    def before_fork(self) -> None:
        """Wait until no other thread changes the leases."""
        self.guard.acquire()

    def after_fork_in_parent(self) -> None:
        """Continue after a fork."""
        self.guard.release()

    def after_fork_in_child(self) -> None:
        """Keep the leases. Close the descriptors that other threads of the parent were opening."""
        self.guard = threading.RLock()
        self.openings.clear()
        for descriptor in self.unfinished:
            os.close(descriptor)
        self.unfinished.clear()

    def close_unfinished(self, descriptor: int) -> None:
        """Close the descriptor of an opening that failed."""
        with self.guard:
            self.unfinished.discard(descriptor)
            os.close(descriptor)


process = Process()
if sys.platform != "win32":
    os.register_at_fork(
        before=process.before_fork,
        after_in_parent=process.after_fork_in_parent,
        after_in_child=process.after_fork_in_child,
    )


def readable(descriptors: Iterable[int], seconds: float) -> bool:
    """Wait up to `seconds`. Returns True if a descriptor has data to read, or its other end was closed."""
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def description(directory: str | None) -> str:
    """Describe a server, for messages."""
    return (
        "the temporary embedded server"
        if directory is None
        else f"the embedded server for {directory!r}"
    )
