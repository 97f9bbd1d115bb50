"""Facts about a server with a search module beyond its version: its clock, identity and limits; shared per connection.

Reads carry a few small commands along from time to time, in the same round trip: the server's time, by which times to
live are judged (the client's clock may be wrong, and may be set while a process runs); the identity of each server process,
which changes when a server is restarted and may still be indexing its documents; and the limit on the keys that a
query without a vector looks at. Options of FT.SEARCH that a server refuses are remembered and no longer sent.
"""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from valkey_vector.connection import Argument, Connection, Reply, SearchModule
from valkey_vector.errors import ServerError

__all__ = ["ServerSupport", "search_timeout"]

_PERIOD = 0.25
"""Seconds after which a read carries the vital signs along again: less than any server needs to restart."""

_CAP_SETTING = "search.max-nonvector-search-results-fetched"
_DEFAULT_CAP = 100_000
"""Of Valkey-Search since 1.2, where the user may not read the setting."""

_SHARD_WORDS = ("ALLSHARDS", "CONSISTENT")
"""No part of an answer where a node of a cluster fails (Valkey-Search since 1.1)."""

_LONGEST_TIMEOUT = 60_000
"""Milliseconds; the most that Valkey-Search takes."""

_UNEXPECTED = re.compile(r"unexpected (?:argument|parameter)|unknown argument", re.IGNORECASE)
_RUN = re.compile(rb"^run_id:(\w+)", re.MULTILINE)

_supports: weakref.WeakKeyDictionary[Connection, ServerSupport] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _boot_time() -> float:
    """Seconds on a clock that nobody sets and that goes on while the machine is suspended, where there is one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def search_timeout(connection: Connection) -> int:
    """Milliseconds after which the server is to give up a search: before the client does."""
    whole = connection.settings.request_timeout * 1000
    return int(min(_LONGEST_TIMEOUT, max(1, whole - min(1000, whole / 5))))


class ServerSupport:
    """What is known of one server. Thread-safe.

    Attributes:
        run: identity of the server processes, compared with ``is``; another object after a restart or failover.
        cap: keys that a query without a vector looks at on one node at most; None for no limit.
        vector_range: whether VECTOR_RANGE is understood; None before it was tried.
        sort_by: False once the server refused SORTBY, although its version has it.
    """

    def __init__(self, connection: Connection) -> None:
        capabilities = connection.capabilities
        self._capped = capabilities.module is SearchModule.VALKEY_SEARCH and capabilities.sort_by
        self.run: object = None
        self.cap: int | None = _DEFAULT_CAP if self._capped else None
        self.vector_range: bool | None = None
        self.sort_by = capabilities.sort_by
        self._timeout = str(search_timeout(connection))
        words = capabilities.module is SearchModule.VALKEY_SEARCH and capabilities.filter_queries
        self._words: tuple[str, ...] = _SHARD_WORDS if words else ()
        self._times_out = True
        self._runs: Mapping[bytes, bytes] | None = None
        self._ahead: float | None = None
        self._learned = -_PERIOD
        self._refused: set[str] = set()

    @classmethod
    def of(cls, connection: Connection) -> ServerSupport:
        """What is known of the server of a connection."""
        support = _supports.get(connection)
        if support is None:
            made = cls(connection)  # asks the server; not with the lock held
            with _lock:
                support = _supports.setdefault(connection, made)
        return support

    def now(self) -> float:
        """The server's time in milliseconds."""
        if self._ahead is None:  # the server does not tell
            return float(int(time.time() * 1000))
        return float(int((_boot_time() + self._ahead) * 1000))

    @property
    def primaries(self) -> list[str]:
        """The addresses of the primaries of a cluster that answered last."""
        return [address.decode() for address in self._runs or () if address]

    @property
    def safe_total(self) -> float:
        """What a query without a vector may select so that its answer is complete for certain.

        Some less than the limit: what is written between two commands must not matter.
        """
        return float("inf") if self.cap is None else self.cap - max(1, self.cap // 50)

    @property
    def is_due(self) -> bool:
        """Whether the next read is to carry the vital signs along."""
        return _boot_time() - self._learned >= _PERIOD

    def vital_signs(self) -> list[list[Argument]]:
        """The commands to send along; `learn` takes their replies."""
        asked: list[list[Argument]] = [
            ["TIME"],
            ["INFO", "server"],
            ["CONFIG", "GET", _CAP_SETTING],
        ]
        return [command for command in asked if command[0] not in self._refused]

    def learn(
        self, commands: Sequence[Sequence[Argument]], replies: Sequence[Reply | ServerError]
    ) -> None:
        """Take note of the replies to `vital_signs`; one that is refused is not sent again."""
        takers: dict[Argument, Callable[[Any], None]] = {
            "TIME": self._learn_time,
            "INFO": self._learn_runs,
            "CONFIG": self._learn_cap,
        }
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, ServerError):
                self._refused.add(str(command[0]))
            else:
                takers[command[0]](reply)
        if self.run is None:
            self.run = object()
        self._learned = _boot_time()

    def equipped(self, command: Sequence[Argument]) -> Sequence[Argument]:
        """A command, with the options that make its answer whole or an error."""
        timeout = ["TIMEOUT", self._timeout] if self._times_out else []
        match command[0]:
            case "FT.SEARCH":
                return [*command, *timeout, *self._words]
            case "FT.AGGREGATE":
                return [*command, *timeout]
            case _:
                return command

    def unlearn(self, error: ServerError) -> bool:
        """Stop sending what the server refuses; returns whether it is worth sending the command again."""
        message = error.message
        if not _UNEXPECTED.search(message):
            return False
        refused = [word for word in self._words if word in message]
        self._words = tuple(word for word in self._words if word not in refused)
        if "TIMEOUT" in message and self._times_out:
            self._times_out = False
            return True
        if "SORTBY" in message and self.sort_by:
            self.sort_by = False
        return bool(refused)

    def _learn_time(self, reply: Any) -> None:
        seconds, micros = reply
        self._ahead = int(seconds) + int(micros) / 1_000_000 - _boot_time()

    def _learn_runs(self, reply: Any) -> None:
        """Of a cluster by node; another node is as good as another process: it may still be indexing."""
        nodes = reply if isinstance(reply, Mapping) else {b"": reply}
        found = {name: run[1] for name, text in nodes.items() if (run := _RUN.search(text))}
        if found != self._runs:
            self._runs = found
            self.run = object()

    def _learn_cap(self, reply: Any) -> None:
        found = reply.get(_CAP_SETTING.encode()) if isinstance(reply, Mapping) else None
        if found is not None:
            self.cap = int(found)
