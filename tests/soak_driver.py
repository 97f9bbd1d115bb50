"""Driver of worker processes against a server, which checks that its nodes keep answering."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any, Self
from urllib.parse import urlsplit

from servers import Server, ServerReplyError, send
from soak_workers import Plan, Report, run

SHORT_SECONDS = 2.0
"""For how long a soak test runs in the default suite."""
FREEZE_SECONDS = 10.0
"""Longest time without an answer to PING, in seconds."""
START_SECONDS = 60.0


def soak_seconds() -> float:
    """For how long to run: ``VALKEY_VECTOR_SOAK_SECONDS``, or a few seconds."""
    return float(os.environ.get("VALKEY_VECTOR_SOAK_SECONDS", SHORT_SECONDS))


def is_long() -> bool:
    """Return True if a long run was requested."""
    return soak_seconds() > SHORT_SECONDS


class FrozenServerError(AssertionError):
    """A node stopped answering."""


@dataclass(slots=True)
class Watch:
    """Sends PING to every node while the block runs, and BGSAVE in a loop on request.

    Attributes:
        nodes: host and port of each.
        save: whether to keep the nodes saving.
        frozen: the nodes that did not answer.
        longest: the longest answer to PING, in seconds.
    """

    nodes: Sequence[tuple[str, int]]
    save: bool = False
    frozen: list[str] = field(default_factory=list)
    longest: float = 0.0
    saves: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        loops = [self._ping, *([self._save] if self.save else [])]
        self._threads = [
            threading.Thread(target=loop, args=node, daemon=True)
            for node in self.nodes
            for loop in loops
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        """Raise if a node has stopped answering."""
        if self.frozen:
            raise FrozenServerError(f"no answer to PING within {FREEZE_SECONDS} s: {self.frozen}")

    def _ping(self, host: str, port: int) -> None:
        while not self._ended.wait(0.2):
            start = time.monotonic()
            try:
                send(host, port, "PING", timeout=FREEZE_SECONDS)
            except (OSError, EOFError) as error:
                self.frozen.append(f"{host}:{port} ({error})")
                return
            self.longest = max(self.longest, time.monotonic() - start)

    def _save(self, host: str, port: int) -> None:
        while not self._ended.wait(0.05):
            with suppress(OSError, EOFError, ServerReplyError):  # it is saving already, or frozen
                send(host, port, "BGSAVE", timeout=FREEZE_SECONDS)
                self.saves += 1


def nodes_of(server: Server) -> list[tuple[str, int]]:
    """The host and port of the server, or of every primary of its cluster."""
    parts = urlsplit(server.url)
    host, _, port = parts.netloc.rpartition("@")[2].split(",")[0].partition(":")
    address = host, int(port or 6379)
    try:
        listed = send(*address, "CLUSTER", "NODES")
    except ServerReplyError:
        return [address]
    assert isinstance(listed, bytes)
    rows = [line.split() for line in listed.decode().splitlines()]
    primaries = [row[1].partition("@")[0].rpartition(":") for row in rows if "master" in row[2]]
    return [(host, int(port)) for host, _, port in primaries]


def run_processes(
    target: Callable[..., None], arguments: Sequence[tuple[Any, ...]], seconds: float, watch: Watch
) -> None:
    """Run one process for each tuple of arguments until all have ended.

    Raises:
        FrozenServerError: a node stopped answering; the processes are ended.
    """
    context = get_context("spawn")
    processes: list[BaseProcess] = [
        context.Process(target=target, args=each, daemon=True) for each in arguments
    ]
    for process in processes:
        process.start()
    deadline = time.monotonic() + seconds + START_SECONDS
    try:
        while any(process.is_alive() for process in processes):
            watch.check()
            assert time.monotonic() < deadline, "a worker process does not end"
            time.sleep(0.05)
        watch.check()
    finally:
        for process in processes:
            process.kill()
            process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def run_plans(plans: Sequence[Plan], watch: Watch) -> Report:
    """Run the workers of a model checker; everything that happened in all of them."""
    run_processes(run, [(plan,) for plan in plans], plans[0].seconds, watch)
    whole = Report()
    for plan in plans:
        part: Report = pickle.loads(plan.report.read_bytes())  # noqa: S301  # written by our own processes
        whole.changes += part.changes
        whole.sights += part.sights
        whole.faults += part.faults
        whole.errors += part.errors
    return whole
