"""State of a server with a search module: clock, process identity and limits; shared per connection.

From time to time a read also sends a few small commands, in the same round trip. They return the server time, which
expirations are compared with (the client's clock may be wrong, and may be changed while a process runs); the identity of
each server process, which changes with a restart, after which the server indexes its documents again; and the limit on the
keys that a query without a vector reads. Options of FT.SEARCH that the server rejects are not sent again.
"""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from valkey_vector.connection import Argument, Connection, Reply, SearchModule
from valkey_vector.connection.time_limits import current_deadline, has_time_limit, seconds_left
from valkey_vector.engines.read_scope import current_scope
from valkey_vector.engines.search.primaries import Primaries, has_replicas
from valkey_vector.errors import ServerError
from valkey_vector.query.read_options import Consistency

__all__ = ["ServerSupport", "search_timeout"]

_PERIOD = 0.25
"""Seconds after which a read sends the status commands again; less than any server needs to restart."""

_CAP_SETTING = "search.max-nonvector-search-results-fetched"
_DEFAULT_CAP = 100_000
"""Limit of Valkey-Search since 1.2 if the user may not read the setting."""

_WHOLE = ("ALLSHARDS", "CONSISTENT")
_SHARD_WORDS: Mapping[Consistency, tuple[str, ...]] = {
    "strict": _WHOLE,
    "partial": _WHOLE,
    "loose": ("ALLSHARDS", "INCONSISTENT"),
}
"""Options about the nodes of a cluster (Valkey-Search since 1.1). ALLSHARDS: the search fails if a node fails.
CONSISTENT: and if two nodes disagree about the slots; that they agree about the index is always checked."""

_ONE_NODE = ("LOCALONLY", "SOMESHARDS", "INCONSISTENT")
"""Options of a search of one node. With SOMESHARDS it returns what it has found when its time is over."""

_LONGEST_TIMEOUT = 60_000
"""Largest TIMEOUT of Valkey-Search in milliseconds."""

_UNEXPECTED = re.compile(r"unexpected (?:argument|parameter)|unknown argument", re.IGNORECASE)
_RUN = re.compile(rb"^run_id:(\w+)", re.MULTILINE)

_supports: weakref.WeakKeyDictionary[Connection, ServerSupport] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


_BOOT_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)

_boot_time: Callable[[], float] = (
    time.monotonic if _BOOT_CLOCK is None else partial(time.clock_gettime, _BOOT_CLOCK)
)
"""Seconds of a clock that is never set and, where available, runs while the machine is suspended."""


def search_timeout(connection: Connection) -> int:
    """TIMEOUT of a search in milliseconds; it ends before the client's request timeout."""
    return _timeout_within(connection.settings.request_timeout)


def _timeout_within(request_timeout: float) -> int:
    """TIMEOUT of a search in milliseconds that ends before a request timeout and the time limit of the operation."""
    return _milliseconds(seconds_left(request_timeout, "FT.SEARCH"))


def _milliseconds(seconds: float) -> int:
    """TIMEOUT of a search that ends before a client's timeout."""
    whole = seconds * 1000
    return int(min(_LONGEST_TIMEOUT, max(1, whole - min(1000, whole / 5))))


class ServerSupport:
    """State of one server. Thread-safe.

    Attributes:
        run: identity of the server processes, compared with ``is``; another object after a restart or failover.
        cap: largest number of keys that a query without a vector reads on one node; None for no limit.
        vector_range: True if the server supports VECTOR_RANGE; None before the first attempt.
        sort_by: False after the server rejected SORTBY, although its version has it.
        primaries_alone: searches only the primaries of a cluster; None unless Valkey-Search would also search replicas.
    """

    def __init__(self, connection: Connection) -> None:
        capabilities = connection.capabilities
        self._capped = capabilities.module is SearchModule.VALKEY_SEARCH and capabilities.sort_by
        self.run: object = None
        self.cap: int | None = _DEFAULT_CAP if self._capped else None
        self.vector_range: bool | None = None
        self.sort_by = capabilities.sort_by
        self._request_timeout = connection.settings.request_timeout
        self._knows_words = (
            capabilities.module is SearchModule.VALKEY_SEARCH and capabilities.filter_queries
        )
        self._refused_words: set[str] = set()
        self._shard_words = self._usable_words()
        self._times_out = True
        self._whole_timeout = "TIMEOUT", str(_milliseconds(self._request_timeout))
        self._runs: Mapping[bytes, bytes] | None = None
        self._ahead: float | None = None
        self._learned = -_PERIOD
        self._refused: set[str] = set()
        self._finds_replicas = self._knows_words and capabilities.cluster
        self._primaries = Primaries()
        self.primaries_alone: Primaries | None = None

    @classmethod
    def of(cls, connection: Connection) -> ServerSupport:
        """The state of a connection's server."""
        support = _supports.get(connection)
        if support is None:
            created = cls(connection)  # sends commands, so the lock is not held
            with _lock:
                support = _supports.setdefault(connection, created)
        return support

    def now(self) -> float:
        """Server time in milliseconds."""
        if self._ahead is None:  # the server rejects TIME
            return float(int(time.time() * 1000))
        return float(int((_boot_time() + self._ahead) * 1000))

    @property
    def primaries(self) -> list[str]:
        """The addresses of the primaries in the last reply of a cluster."""
        return [address.decode() for address in self._runs or () if address]

    @property
    def safe_total(self) -> float:
        """The number of keys below which the reply to a query without a vector is certainly complete.

        It is 2 % below the server's limit, because documents may be written between two commands.
        """
        return float("inf") if self.cap is None else self.cap - max(1, self.cap // 50)

    @property
    def is_due(self) -> bool:
        """True if the next read must send the status commands."""
        return _boot_time() - self._learned >= _PERIOD

    def status_commands(self) -> list[list[Argument]]:
        """The commands to send with a read; `learn` parses their replies."""
        status: list[list[Argument]] = [
            ["TIME"],
            ["INFO", "server"],
            ["CONFIG", "GET", _CAP_SETTING],
        ]
        if self._finds_replicas:
            status.append(["CLUSTER", "SLOTS"])
        return [command for command in status if command[0] not in self._refused]

    def learn(
        self, commands: Sequence[Sequence[Argument]], replies: Sequence[Reply | ServerError]
    ) -> None:
        """Parse the replies to `status_commands`; a rejected command is not sent again."""
        takers: dict[Argument, Callable[[Any], None]] = {
            "TIME": self.learn_time,
            "INFO": self._learn_runs,
            "CONFIG": self._learn_cap,
            "CLUSTER": self._learn_replicas,
        }
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, ServerError):
                self._refused.add(str(command[0]))
            else:
                takers[command[0]](reply)
        if self.run is None:
            self.run = object()
        self._learned = _boot_time()

    def with_options(self, command: Sequence[Argument]) -> Sequence[Argument]:
        """The command with the options that make its reply complete or an error; see `current_scope`."""
        if command[0] == "FT.SEARCH":
            words = self._shard_words[current_scope().consistency]
            if self._times_out and current_deadline() is None:
                return [*command, *self._whole_timeout, *words]
            return [*command, *self._timeout(), *words]
        if command[0] == "FT.AGGREGATE":
            return [*command, *self._timeout()]
        return command

    def on_one_node(self, command: Sequence[Argument]) -> Sequence[Argument]:
        """The command with the options that restrict a search to the node that receives it."""
        if command[0] != "FT.SEARCH":
            return command
        return [*command, *self._timeout(), *_ONE_NODE]

    def _usable_words(self) -> Mapping[Consistency, tuple[str, ...]]:
        """The options of `_SHARD_WORDS` that the server accepts."""
        if not self._knows_words:
            return dict.fromkeys(_SHARD_WORDS, ())
        return {
            consistency: tuple(word for word in words if word not in self._refused_words)
            for consistency, words in _SHARD_WORDS.items()
        }

    def _timeout(self) -> tuple[str, ...]:
        if not self._times_out:
            return ()
        return ("TIMEOUT", str(self.timeout)) if has_time_limit() else self._whole_timeout

    @property
    def timeout(self) -> int:
        """TIMEOUT of the next search in milliseconds."""
        return _timeout_within(self._request_timeout)

    @property
    def checks_shards(self) -> bool:
        """True if the server has options about the nodes of a cluster."""
        return self._knows_words

    @property
    def knows_time(self) -> bool:
        """True if the server's time is known."""
        return self._ahead is not None

    def forget_option(self, error: ServerError) -> bool:
        """Stop sending an option that the server rejects; returns True if the command should be sent again."""
        message = error.message
        if not _UNEXPECTED.search(message):
            return False
        words = {word for words in _SHARD_WORDS.values() for word in words}
        refused = {word for word in words if re.search(rf"\b{word}\b", message)}
        refused -= self._refused_words
        self._refused_words |= refused
        self._shard_words = self._usable_words()
        if "TIMEOUT" in message and self._times_out:
            self._times_out = False
            return True
        if "SORTBY" in message and self.sort_by:
            self.sort_by = False
        return bool(refused)

    def learn_time(self, reply: Any) -> None:
        """Parse a reply to TIME."""
        seconds, micros = reply
        self._ahead = int(seconds) + int(micros) / 1_000_000 - _boot_time()

    def _learn_runs(self, reply: Any) -> None:
        """Compare the process of each node; a new node counts like a restarted one: it may still be indexing."""
        nodes = reply if isinstance(reply, Mapping) else {b"": reply}
        found = {name: run[1] for name, text in nodes.items() if (run := _RUN.search(text))}
        if found != self._runs:
            self._runs = found
            self.run = object()

    def _learn_replicas(self, reply: Any) -> None:
        self.primaries_alone = self._primaries if has_replicas(reply) else None

    def _learn_cap(self, reply: Any) -> None:
        found = reply.get(_CAP_SETTING.encode()) if isinstance(reply, Mapping) else None
        if found is not None:
            self.cap = int(found)
