"""Reads with ``consistency="partial"``: complete if every shard answers, otherwise the answer of the others.

First a request is sent as for a strict read. Only if that fails, and a primary does not answer, each of the others is sent
the search with LOCALONLY, and the replies are merged here. SOMESHARDS alone does not help with Valkey-Search 1.2.1: the
node that receives the search waits for a dead node until TIMEOUT, and then fails, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Protocol

from valkey_vector.connection import Argument, Connection, Reply
from valkey_vector.connection.observation import note_fallback
from valkey_vector.connection.pipelines import Command, Request
from valkey_vector.connection.time_limits import seconds_left, time_limit
from valkey_vector.engines.read_scope import current_scope
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.primaries import merged
from valkey_vector.engines.search.shards import Answered, Shard, Shards, send_to_each
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["PartialReads"]

LIVING_SHARDS = "the shards that answer"
"""Name of this fallback in explanations and telemetry."""

_FIRST_SECONDS = 2.0
"""Longest first attempt. After it, each primary is checked."""

_KEYED = frozenset({"HMGET", "HGET", "HGETALL", "JSON.GET", "EXISTS", "ZRANGEBYSCORE"})


class WholeReads(Protocol):
    """The part of the search engine that sends a request as for a strict read."""

    support: ServerSupport

    def attempt(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """Send requests to the whole cluster."""
        ...

    def make_ready(self) -> None:
        """Wait until every node has indexed its documents."""
        ...


class PartialReads:
    """Sends the requests of partial reads of one index.

    Args:
        engine: sends requests to the whole cluster.
        connection: connection to the cluster.
    """

    def __init__(self, engine: WholeReads, connection: Connection) -> None:
        self._engine = engine
        self._connection = connection
        self._support = engine.support
        self._shards = Shards.of(connection)

    def send(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """Send requests to the whole cluster or, if that fails, to the shards that answer.

        Raises:
            StaleIndexError: the index was dropped or created again.
            ConnectionLostError, RequestTimeoutError: no shard answers, or the time is over.
        """
        failure: ServerError | None = None
        attempts = 0
        # After one request without a shard, the others of the same read are sent to the same shards.
        while attempts < 2 and not current_scope().partial and not self._has_down():
            attempts += 1
            left = seconds_left(self._connection.settings.request_timeout, "FT.SEARCH")
            try:
                with time_limit(min(_FIRST_SECONDS, left / 3) if attempts == 1 else left / 2):
                    answered = self._engine.attempt(requests)
            except (ConnectionLostError, RequestTimeoutError) as error:
                failure = error
                if self._shards.probe(self._connection, self._addresses):
                    break
            else:
                failure = _failure_in(requests, answered)
                if failure is None:
                    return answered
                self._shards.probe(self._connection, self._addresses)
                break
        return self._from_living(requests, failure)

    def await_ready(self) -> None:
        """Wait until the index is complete, or find out which shards do not answer."""
        if not self._has_down():
            left = seconds_left(self._connection.settings.request_timeout, "FT.SEARCH")
            try:
                with time_limit(min(_FIRST_SECONDS, left / 3)):
                    self._engine.make_ready()
            except (ConnectionLostError, RequestTimeoutError):
                self._shards.probe(self._connection, self._addresses)
            else:
                return
        if self._support.knows_time or not self._shards.living:
            return
        first = self._shards.living[0].address
        replies = send_to_each(self._connection, {first: [["TIME"]]})[first]
        if isinstance(replies, list) and not isinstance(replies[0], ServerError):
            self._support.learn_time(replies[0])

    def _has_down(self) -> bool:
        return self._shards.has_down(self._connection, self._addresses)

    @property
    def _addresses(self) -> list[str]:
        """Addresses of primaries that answered before, or of the settings."""
        return self._support.primaries or [
            f"{each.host}:{each.port}" for each in self._connection.settings.addresses
        ]

    def _from_living(
        self, requests: Sequence[Request], failure: ServerError | None
    ) -> list[list[Reply | ServerError]]:
        """Send requests to each shard that answers, and merge the replies.

        Cost: one round trip to each shard, at the same time.
        """
        living = self._shards.living
        if not living:
            raise failure or ConnectionLostError("no primary of the cluster answers", "FT.SEARCH")
        current_scope().partial = True
        note_fallback(LIVING_SHARDS)
        wanted = [command for request in requests for command in request.commands]
        sent: dict[str, list[int]] = {}
        batches: dict[str, Sequence[Command]] = {}
        for shard in living:
            positions = [at for at, command in enumerate(wanted) if _is_for(shard, command)]
            if positions:
                sent[shard.address] = positions
                batches[shard.address] = [self._support.on_one_node(wanted[at]) for at in positions]
        answers = send_to_each(self._connection, batches)
        lost = [each for each, answer in answers.items() if isinstance(answer, ServerError)]
        if lost:
            self._shards.note_down(lost)
        merged = iter(
            [_merged(command, _replies_to(at, sent, answers)) for at, command in enumerate(wanted)]
        )
        found = [list(islice(merged, len(request.commands))) for request in requests]
        _check(found)
        return found


def _is_for(shard: Shard, command: Command) -> bool:
    """Return True if a shard has a part of the reply to a command."""
    name = _text(command[0])
    if name == "FT.AGGREGATE":
        return False  # it has no LOCALONLY, and would wait for the shard that does not answer
    return name not in _KEYED or shard.serves(command[1])


def _replies_to(
    position: int, sent: Mapping[str, list[int]], answers: Mapping[str, Answered]
) -> list[Reply | ServerError]:
    """The replies of the shards to one command."""
    replies: list[Reply | ServerError] = []
    for address, positions in sent.items():
        answer = answers[address]
        if position in positions:
            at = positions.index(position)
            replies.append(answer[at] if isinstance(answer, list) else answer)
    return replies


def _merged(command: Command, replies: Sequence[Reply | ServerError]) -> Reply | ServerError:
    """One reply from those of the shards; an error only if every shard failed."""
    good = [reply for reply in replies if not isinstance(reply, ServerError)]
    name = _text(command[0])
    if name == "FT.AGGREGATE":
        # Nothing: what it would return is verified by counts, and read from the records instead.
        return []
    if name in _KEYED:
        refused = next((reply for reply in replies if _refuses_reads(reply)), None)
        if refused is not None:
            return refused
        return good[0] if good else _absent(command)
    if not good:
        return replies[0]
    return merged(command, good) if name == "FT.SEARCH" else good[0]


def _absent(command: Command) -> Reply | ServerError:
    """The reply for a record of a shard that does not answer; an error for a key that is not a record's."""
    match _text(command[0]):
        case "HMGET":
            return [None] * (len(command) - 2)
        case "HGETALL":
            return {}
        case "JSON.GET":
            return None
        case "EXISTS":
            return 0
        case name:
            return ConnectionLostError(
                f"the shard with the key {_text(command[1])!r}, which the read needs, does not answer",
                name,
            )


def _failure_in(
    requests: Sequence[Request], answered: Sequence[Sequence[Reply | ServerError]]
) -> ServerError | None:
    """The error of a search that another shard may have caused."""
    for request, replies in zip(requests, answered, strict=True):
        for command, reply in zip(request.commands, replies, strict=True):
            if isinstance(reply, ServerError) and _text(command[0]) == "FT.SEARCH":
                return reply
    return None


def _check(found: Sequence[Sequence[Reply | ServerError]]) -> None:
    """Raise the error that affects the whole read.

    Raises:
        StaleIndexError: no shard has the index.
        ConnectionLostError: the cluster does not serve reads by key.
    """
    for reply in (reply for replies in found for reply in replies):
        if not isinstance(reply, ServerError):
            continue
        if commands.index_is_missing(reply.message):
            raise StaleIndexError from reply
        if isinstance(reply, RequestTimeoutError):
            raise reply
        if _refuses_reads(reply):
            raise ConnectionLostError(
                "a shard does not answer, and the others refuse to read records by their keys "
                f"({reply.message}): set cluster-allow-reads-when-down to yes on every node",
                reply.command,
            ) from reply


def _refuses_reads(reply: object) -> bool:
    return isinstance(reply, ServerError) and reply.message.startswith("CLUSTERDOWN")


def _text(word: Argument) -> str:
    return word if isinstance(word, str) else word.decode("latin-1")
