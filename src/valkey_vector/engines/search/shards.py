"""Shards of a cluster: the primaries, their slots, and those that do not answer now; shared per connection."""

from __future__ import annotations

import binascii
import os
import threading
import time
import weakref
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any

from valkey_vector.concurrency.threads import nodes
from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.connection.time_limits import seconds_left, time_limit
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError

__all__ = ["Shard", "Shards", "send_to_each"]

_ANSWER_SECONDS = 0.5
"""Time limit for a primary to answer a question about the cluster."""

_MEMORY_SECONDS = 1.0
"""Seconds before a primary that did not answer is tried again."""

_CONNECTING_SECONDS = 5.0
_SPARE_SECONDS = 0.05
"""Time beyond a limit in which a request that ends at the limit returns."""

_SLOTS = 16_384

Answered = list[Reply | ServerError] | ServerError
"""Replies of one node, or the error of the whole request."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A primary.

    Attributes:
        address: host and port.
        ranges: first and last slot of each range that it serves.
    """

    address: str
    ranges: tuple[tuple[int, int], ...]

    def serves(self, key: Argument) -> bool:
        """Return True if a key is in one of its slots."""
        slot = _slot_of(key.encode() if isinstance(key, str) else key)
        return any(first <= slot <= last for first, last in self.ranges)


class Shards:
    """The primaries of one cluster. Thread-safe."""

    def __init__(self) -> None:
        self._all: tuple[Shard, ...] = ()
        self._down: frozenset[str] = frozenset()
        self._until = self._probed = 0.0
        self._probing = threading.Lock()

    @classmethod
    def of(cls, connection: Connection) -> Shards:
        """The shards of a connection's cluster."""
        return _known.setdefault(connection, cls())

    @property
    def living(self) -> list[Shard]:
        """The primaries that answered when they were last tried."""
        return [shard for shard in self._all if shard.address not in self._down]

    def has_down(self, connection: Connection, addresses: Collection[str]) -> bool:
        """Return True if a primary does not answer. Tries them again at most once in `_MEMORY_SECONDS`.

        Sends nothing while all primaries are thought to answer.
        """
        if self._down and time.monotonic() >= self._until and not self._probing.locked():
            return self.probe(connection, addresses)
        return bool(self._down)

    def probe(self, connection: Connection, addresses: Collection[str]) -> bool:
        """Request the primaries of the cluster from every primary. Returns True if one does not answer.

        Args:
            connection: connection to the cluster.
            addresses: primaries that answered before, or the addresses of the settings.

        Cost: one round trip to each primary, at the same time.
        """
        called = time.monotonic()
        with self._probing:
            if self._probed >= called:
                return bool(self._down)  # another thread tried them meanwhile
            known = dict.fromkeys([*(shard.address for shard in self._all), *addresses])
            answers = _asked(connection, known)
            found = next(((who, text) for who, text in answers.items() if text is not None), None)
            if found is None:
                self._down = frozenset(known)
            else:
                self._all = tuple(_shards_in(found[1], found[0]))
                new = [shard.address for shard in self._all if shard.address not in answers]
                answers |= _asked(connection, new)
                self._down = frozenset(
                    shard.address for shard in self._all if answers[shard.address] is None
                )
            self._probed = time.monotonic()
            # If none answers, it may be this process that stands still: the next read tries them again.
            self._until = self._probed if found is None else self._probed + _MEMORY_SECONDS
            return bool(self._down)

    def note_down(self, addresses: Iterable[str]) -> None:
        """Remember primaries that did not answer a search."""
        self._down |= frozenset(addresses)
        self._until = time.monotonic() + _MEMORY_SECONDS


_known: weakref.WeakKeyDictionary[Connection, Shards] = weakref.WeakKeyDictionary()

if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    # A lock that another thread held at the fork is never released. A forked child opens its indexes again.
    os.register_at_fork(after_in_child=_known.clear)


def send_to_each(
    connection: Connection, batches: dict[str, Sequence[Sequence[Argument]]]
) -> dict[str, Answered]:
    """Send a pipeline to each of several nodes at the same time.

    Args:
        connection: connection to the cluster.
        batches: address of a node → its commands.

    Returns:
        Address → replies, or the error if the node cannot be reached or does not reply in time.
    """

    def answer(address: str) -> Answered:
        try:
            return connection.pipeline_on(address, batches[address])
        except (ConnectionLostError, RequestTimeoutError) as error:
            return error

    answering = {address: nodes().submit(answer, address) for address in batches}
    # Connecting to a node that hangs has a time limit of its own, which may be longer.
    try:
        longest = seconds_left(connection.settings.request_timeout + _CONNECTING_SECONDS)
    except RequestTimeoutError:
        longest = 0.0
    done, _ = wait(answering.values(), longest + _SPARE_SECONDS)
    late = RequestTimeoutError("a node of the cluster does not reply in time", "FT.SEARCH")
    return {
        address: future.result() if future in done else late
        for address, future in answering.items()
    }


def _asked(connection: Connection, addresses: Iterable[str]) -> dict[str, str | None]:
    """The CLUSTER NODES reply of each node; None for a node that does not answer."""
    with time_limit(_ANSWER_SECONDS):
        answered = send_to_each(connection, {each: [["CLUSTER", "NODES"]] for each in addresses})
    return {address: _text(answer) for address, answer in answered.items()}


def _text(answer: Answered) -> str | None:
    reply: Any = answer[0] if isinstance(answer, list) else None
    return reply.decode(errors="replace") if isinstance(reply, bytes) else None


def _shards_in(nodes: str, address: str) -> Iterable[Shard]:
    """The primaries with slots in the CLUSTER NODES reply of a node with an address, which it may not know itself."""
    for line in nodes.splitlines():
        parts = line.split()
        if len(parts) > 8 and "master" in parts[2].split(","):
            bounds = [part.split("-") for part in parts[8:] if not part.startswith("[")]
            ranges = tuple((int(bound[0]), int(bound[-1])) for bound in bounds)
            if ranges:
                named = parts[1].partition("@")[0]
                yield Shard(address if named.startswith(":") else named, ranges)


def _slot_of(key: bytes) -> int:
    """The slot of a key: of its hash tag, if it has one."""
    opening = key.find(b"{")
    if opening >= 0 and (closing := key.find(b"}", opening + 1)) > opening + 1:
        key = key[opening + 1 : closing]
    return binascii.crc_hqx(key, 0) % _SLOTS
