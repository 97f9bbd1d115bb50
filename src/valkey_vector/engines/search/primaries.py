"""Searches of every primary of a cluster that has replicas.

Valkey-Search 1.2.1 lets one node of each shard answer a search, the primary or a replica at random
(``ComputeSearchTargets`` in ``src/commands/commands.cc``). A replica may not have the newest writes. So each primary gets
the search itself here, with ``LOCALONLY``, and the replies are merged.

A search is complete if every slot belonged to one of these primaries from before the search until after it. Each primary
reports its slots, and the epoch of its last change of them, after its search. The report must be the one from before.
While a slot moves, its records are on two nodes for a moment. Then the node that gives the slot away is searched first, so no
record is missed, and records are counted by their keys.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.connection.pipelines import Command, Request
from valkey_vector.engines.search.shards import send_to_each
from valkey_vector.errors import ServerError
from valkey_vector.storage.layout import CREATED

__all__ = ["Primaries", "exchange", "has_replicas", "merged"]

_SLOTS = 16_384
_ALL = "1000000"
"""LIMIT of a search that counts keys."""

_REPORT: Command = ("CLUSTER", "NODES")


@dataclass(frozen=True, slots=True)
class _Ownership:
    """The slots of one primary, by its own report.

    Attributes:
        epoch: number that rises whenever the node takes over slots.
        slots: the slots, as in the reply to CLUSTER NODES; slots that move are in brackets.
    """

    epoch: bytes
    slots: bytes

    @property
    def gives_away(self) -> bool:
        """True if a slot is moving to another node."""
        return b"->-" in self.slots

    @property
    def is_open(self) -> bool:
        """True if a slot is moving."""
        return b"[" in self.slots

    def numbers(self) -> list[int]:
        """The slots, each once."""
        found: list[int] = []
        for part in self.slots.split():
            if not part.startswith(b"["):
                first, _, last = part.partition(b"-")
                found += range(int(first), int(last or first) + 1)
        return found


Owners = Mapping[bytes, _Ownership]
"""Address -> slots of each primary."""


class Primaries:
    """Searches all primaries of one cluster of Valkey-Search. Thread-safe."""

    def __init__(self) -> None:
        self._owners: Owners | None = None

    def search(
        self, connection: Connection, searches: Sequence[Command]
    ) -> list[Reply | ServerError] | None:
        """Send searches to every primary, and merge the replies.

        Args:
            connection: connection to the cluster.
            searches: FT.SEARCH commands that begin at the first result.

        Returns:
            One reply per search; an error takes the place of its reply. None if slots changed: send them again.

        Raises:
            ConnectionLostError, RequestTimeoutError: an outage.

        Cost:
            One round trip to each primary, at once; one after another while slots move.
        """
        owners = self._owners or self._learn(connection)
        if owners is None:
            return None
        moving = any(owner.is_open for owner in owners.values())
        sent = [_listing(search) if moving else search for search in searches]
        commands: list[Command] = [[*search, "LOCALONLY"] for search in sent]
        order = sorted(owners, key=lambda address: not owners[address].gives_away)
        answered = self._ask(connection, [*commands, _REPORT], order, at_once=not moving)
        if any(_own(replies[-1]) != owners[address] for address, replies in answered.items()):
            self._owners = None
            return None
        return [
            _error_of(replies) or merged(search, replies)
            for search, *replies in zip(searches, *answered.values(), strict=False)
        ]

    def _ask(
        self,
        connection: Connection,
        commands: Sequence[Command],
        order: Sequence[bytes],
        *,
        at_once: bool,
    ) -> dict[bytes, list[Any]]:
        """Send the same commands to each primary. Returns address -> replies."""
        groups = [order] if at_once else [[address] for address in order]
        found: dict[bytes, list[Any]] = {}
        for group in groups:
            batches = {address.decode(): commands for address in group}
            for address, answer in send_to_each(connection, batches).items():
                if isinstance(answer, ServerError):
                    self._owners = None
                    raise answer
                found[address.encode()] = answer
        return found

    def _learn(self, connection: Connection) -> Owners | None:
        """Read the slots of every primary. Returns None if they are not all slots, each once.

        The client may not know a primary that took over yet. Then the request goes to the primaries that the others name.
        """
        reports = connection.execute_on_primaries(*_REPORT, retry=True)
        owners = _with_slots({address: _own(report) for address, report in reports.items()})
        if not _are_complete(owners):
            named = {address for report in reports.values() for address in _primaries_in(report)}
            answers = send_to_each(connection, {each: [_REPORT] for each in named})
            owners = {
                address.encode(): _own(answer[0])
                for address, answer in answers.items()
                if isinstance(answer, list) and isinstance(answer[0], bytes)
            }
            owners = _with_slots(owners)
        self._owners = owners if _are_complete(owners) else None
        return self._owners


def _with_slots(owners: Owners) -> Owners:
    """The primaries that have slots. A node without any may be a replica by now, with the records of its primary."""
    return {address: owner for address, owner in owners.items() if owner.slots}


def exchange(
    connection: Connection, primaries: Primaries, requests: Sequence[Request]
) -> list[list[Reply | ServerError]] | None:
    """Send requests: searches of all shards to every primary, other commands as usual. Returns None to send them again.

    FT.AGGREGATE has no LOCALONLY, so the server chooses who answers it.

    Raises:
        ConnectionLostError, RequestTimeoutError: an outage.
    """
    commands = [command for request in requests for command in request.commands]
    everywhere = [
        command[0] == "FT.SEARCH" and "ALLSHARDS" in command and "LIMIT" in map(_text, command)
        for command in commands
    ]
    searches = [command for command, whole in zip(commands, everywhere, strict=True) if whole]
    others = [command for command, whole in zip(commands, everywhere, strict=True) if not whole]
    found = primaries.search(connection, searches) if searches else []
    if found is None:
        return None
    replies = iter(found)
    other_replies = iter(connection.pipeline(others, retry=True))
    answered = iter([next(replies if whole else other_replies) for whole in everywhere])
    return [list(islice(answered, len(request.commands))) for request in requests]


def _error_of(replies: Sequence[Any]) -> ServerError | None:
    return next((reply for reply in replies if isinstance(reply, ServerError)), None)


def has_replicas(slots: Any) -> bool:
    """Return True if a shard has replicas, according to the reply to CLUSTER SLOTS."""
    return isinstance(slots, list) and any(len(part) > 3 for part in slots)


def merged(search: Command, replies: Sequence[Any]) -> Any:
    """Merge the replies of several nodes to a search.

    Args:
        search: the search; it begins at the first result.
        replies: the reply of each node, all to this search or, while slots move, to one that lists all keys.
    """
    words = [_text(word) for word in search]
    limit = int(words[_limit_at(words)])
    rows: dict[bytes, Any] = {}
    total = repeated = 0
    for reply in replies:
        total += int(reply[0])
        if len(reply) > 1:
            repeated += sum(1 for key in reply[1] if key in rows)
            rows.update(reply[1])
    total -= repeated
    if limit == 0:
        return [total]
    keys = list(rows)
    if (order := _order_of(words)) is not None:
        keys.sort(key=lambda key: order.place(rows[key]))
    return [total, {key: rows[key] for key in keys[:limit]}]


@dataclass(frozen=True, slots=True)
class _Order:
    """Order of a search: the field with the numbers, and 1 for ascending or -1 for descending."""

    field: bytes
    sign: int

    def place(self, fields: Mapping[bytes, bytes] | None) -> float:
        """The number by which a row is sorted; infinity if it has none."""
        try:
            found = float((fields or {})[self.field])
        except (KeyError, ValueError):
            return math.inf
        return found * self.sign if math.isfinite(found) else math.inf


def _order_of(words: Sequence[str]) -> _Order | None:
    """The order of the results of a search; None if it has none."""
    for word, field, direction in zip(words[3:], words[4:], words[5:], strict=False):
        if word == "SORTBY" and direction in ("ASC", "DESC"):
            return _Order(field.encode(), -1 if direction == "DESC" else 1)
    nearest = re.search(r"=>\[KNN .* AS (\w+)\]$", words[2])
    return None if nearest is None else _Order(nearest[1].encode(), 1)


def _listing(search: Command) -> list[Argument]:
    """A search that lists the keys that another one counts; any other search is unchanged."""
    words = list(search)
    at = _limit_at([_text(word) for word in words])
    if _text(words[at]) != "0":
        return words
    return [*words[:at], _ALL, *words[at + 1 :], "RETURN", "1", CREATED]


def _limit_at(words: Sequence[str]) -> int:
    """The position of the number of results in a search. A field may have the name LIMIT, too."""
    return len(words) - words[::-1].index("LIMIT") + 1


def _are_complete(owners: Owners) -> bool:
    """Return True if the primaries have all slots, each once."""
    numbers = [number for owner in owners.values() for number in owner.numbers()]
    return len(numbers) == _SLOTS == len(set(numbers))


def _primaries_in(report: bytes) -> Iterator[str]:
    """The addresses of the primaries with slots that a node knows and does not hold to be down."""
    for line in report.decode(errors="replace").splitlines():
        parts = line.split()
        flags = parts[2].split(",") if len(parts) > 8 else []
        if "master" in flags and "fail" not in flags:
            yield parts[1].partition("@")[0]


def _own(report: bytes) -> _Ownership:
    """The slots of the node that reports; none if it is a replica."""
    at = report.find(b"myself")
    line = report[report.rfind(b"\n", 0, at) + 1 :].partition(b"\n")[0]
    parts = line.split(b" ", 8)
    primary = b"master" in parts[2]
    return _Ownership(parts[6], parts[8] if primary and len(parts) > 8 else b"")


def _text(word: Argument) -> str:
    return word if isinstance(word, str) else word.decode("latin-1")
