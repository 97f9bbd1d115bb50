"""What this process holds of private servers: a lease each, shared by its handles and kept right through forks."""

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

# How long a supervisor may take to say how its server ended.
_LAST_WORDS_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Lease:
    """This process's connection to one supervisor, shared by all its handles."""

    descriptor: int | None
    socket_path: str
    server: int | None = None  # a descriptor of the server's process, where the system has such
    handles: int = 0
    ended: str = ""

    def alive(self) -> bool:
        """Whether neither the server nor its supervisor has ended, as far as is known."""
        return not self.await_end(0)

    def await_end(self, seconds: float) -> bool:
        """Whether the server has ended, or does within so many seconds."""
        # After "ready" a supervisor says nothing but how its server ended. A process can be seen to
        # have ended before that.
        descriptors = [each for each in (self.descriptor, self.server) if each is not None]
        return self.descriptor is None or readable(descriptors, seconds)

    def how_it_ended(self) -> str:
        """What the supervisor last said, or that it said nothing; only after the server has ended."""
        if not self.ended:
            self.ended = self._last_words()
        return self.ended

    def _last_words(self) -> str:
        if self.descriptor is None:
            return "was closed"
        readable([self.descriptor], _LAST_WORDS_SECONDS)
        with socket.socket(fileno=os.dup(self.descriptor)) as supervisor:
            supervisor.setblocking(False)
            try:
                # Forked processes share the lease: leave what is said to them as well.
                said = supervisor.recv(65_536, socket.MSG_PEEK)
            except OSError:
                said = b""
        try:
            return str(json.loads(said.splitlines()[0])["reason"])
        except (LookupError, ValueError):
            return "ended, because its supervisor process was killed"

    def drop(self) -> None:
        """Let go of the server."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        if self.server is not None:
            os.close(self.server)
            self.server = None


class Process:
    """What this process holds. The guard is taken for moments only, and while the process forks."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.leases: dict[str | None, Lease] = {}  # by directory; None is the temporary server
        self.openings: dict[str | None, threading.Lock] = {}  # one opening of each at a time
        self.unfinished: set[int] = set()  # descriptors of openings under way

    def before_fork(self) -> None:
        """Let no other thread be half-way."""
        self.guard.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self.guard.release()

    def after_fork_in_child(self) -> None:
        """Keep the leases, but nothing of what other threads of the parent were about to open."""
        self.guard = threading.RLock()
        self.openings.clear()
        for descriptor in self.unfinished:
            os.close(descriptor)
        self.unfinished.clear()

    def close_unfinished(self, descriptor: int) -> None:
        """Close a descriptor of an opening that came to nothing."""
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
    """Whether one has something to read, or its other end is gone, within so many seconds."""
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def description(directory: str | None) -> str:
    """A server in words, for messages."""
    return (
        "the temporary embedded server"
        if directory is None
        else f"the embedded server for {directory!r}"
    )
