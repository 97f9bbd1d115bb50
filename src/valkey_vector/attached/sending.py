"""`Sender`: sends the searches and the reads by key of an attached index, at the consistency of the read that runs now."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from valkey_vector.attached.definition import IndexDefinition
from valkey_vector.attached.server import describe_index
from valkey_vector.concurrency.waiting import wait_until_indexed
from valkey_vector.connection import Connection, Reply, SearchModule
from valkey_vector.connection.pipelines import Command, Request, send
from valkey_vector.connection.time_limits import is_over, seconds_left
from valkey_vector.engines.read_scope import current_scope
from valkey_vector.engines.search.outage import (
    check_whole,
    explained,
    in_disagreement,
    must_repeat,
)
from valkey_vector.engines.search.partial import PartialReads
from valkey_vector.engines.search.primaries import exchange
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.errors import (
    ConnectionLostError,
    IndexNotFoundError,
    RequestTimeoutError,
    ServerError,
)
from valkey_vector.storage.rows import StaleIndexError

__all__ = ["Sender"]

_HASH_TAG = re.compile(r"[^{]*\{[^}]+\}")
"""Beginning of a name with a hash tag. Valkey-Search keeps such an index, and all of its documents, in one slot."""

_PAUSE = 0.01


class Sender:
    """Sends the requests of one attached index. Thread-safe.

    Args:
        connection: to the server.
        definition: of the index.

    Attributes:
        connection: see above.
        definition: see above.
        support: state of the server.
    """

    def __init__(self, connection: Connection, definition: IndexDefinition) -> None:
        self.connection = connection
        self.definition = definition
        self.support = ServerSupport.of(connection)
        self._complete_run: object = None
        self._partial = PartialReads(self, connection)

    def search(self, command: Command) -> Any:
        """Send a search and return its reply.

        Raises:
            IndexNotFoundError: the index no longer exists.
            ServerError: the server rejected the search, or its reply would be incomplete.
        """
        (reply,) = self.send([command])
        if isinstance(reply, ServerError):
            raise reply
        return reply

    def send(self, commands: Sequence[Command]) -> list[Reply | ServerError]:
        """Send commands in one round trip. An error takes the place of its reply.

        Raises:
            IndexNotFoundError: the index no longer exists.
            ConnectionLostError: a node of the cluster does not respond; the message names it.
            RequestTimeoutError: the server ended a search early, or is still indexing its documents.
        """
        requests = [Request(commands)]
        try:
            if self._answers_partially:
                (replies,) = self._partial.send(requests)
                return replies
            try:
                (replies,) = self.attempt(requests)
            except (ConnectionLostError, RequestTimeoutError) as error:
                raise explained(self.connection, error, self.support.primaries) from error
        except StaleIndexError as error:
            raise IndexNotFoundError(
                f"the index {self.definition.name!r} no longer exists"
            ) from error
        return replies

    def attempt(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]]:
        """Send requests to the whole cluster; repeats searches while its nodes temporarily disagree."""
        if not any(_is_search(command) for each in requests for command in each.commands):
            return send(self.connection, requests)
        limit = self.connection.settings.request_timeout
        deadline = time.monotonic() + seconds_left(limit, "FT.SEARCH")
        while True:
            self.make_ready()
            answered = self._searched(requests)
            if answered is not None:
                return answered
            if time.monotonic() > deadline:
                raise in_disagreement(self.definition.name)

    def make_ready(self) -> None:
        """Before the first search, and after a restart of the server, wait until its index is complete."""
        support = self.support
        if support.is_due:
            signs = support.status_commands()
            support.learn(signs, self.connection.pipeline(signs, retry=True))
        if support.run is not self._complete_run:
            run = support.run
            limit = seconds_left(self.connection.settings.request_timeout, "FT.SEARCH")
            wait_until_indexed(self.indexed_share, self.definition.name, limit, progress=False)
            self._complete_run = run

    def scan(self, pattern: bytes) -> Iterator[list[bytes]]:
        """Iterate over batches of the keys that match a pattern; see `Connection.scan`.

        Raises:
            ConnectionLostError: a shard does not answer, also in a partial read.
        """
        failure: ServerError | None = None
        if not current_scope().partial or not self._answers_partially:
            try:
                yield from self.connection.scan(pattern)
            except (ConnectionLostError, RequestTimeoutError) as error:
                if not self._answers_partially or is_over():
                    raise
                failure = error
            else:
                return
        raise ConnectionLostError(
            "a shard does not answer, and this read scans all keys, which needs every shard: pass a filter that selects "
            "fewer documents",
            "SCAN",
        ) from failure

    def indexed_share(self) -> float:
        """Return the share of the index that is searchable, 0 to 1."""
        if self._is_spread:
            described = describe_index(self.connection, self.definition.name, "cluster")
            return described.backfill.share
        return describe_index(self.connection, self.definition.name).backfill.share

    @property
    def _is_spread(self) -> bool:
        """Return True if the server reports the index on all nodes together."""
        capabilities = self.connection.capabilities
        return capabilities.cluster and capabilities.module is SearchModule.VALKEY_SEARCH

    @property
    def _spans_nodes(self) -> bool:
        """True if searches read several nodes of a cluster."""
        checked = self._is_spread and self.support.checks_shards
        return checked and not _HASH_TAG.match(self.definition.name)

    @property
    def _answers_partially(self) -> bool:
        return current_scope().consistency == "partial" and self._spans_nodes

    def _searched(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]] | None:
        """Send requests with searches; returns the replies, or None if the requests must be sent again."""
        support = self.support
        completed = [
            Request([support.with_options(command) for command in each.commands])
            for each in requests
        ]
        timeout, begun = support.timeout, time.monotonic()
        answered = self._exchanged(completed)
        if answered is None:
            time.sleep(_PAUSE)
            return None
        check_whole(self.connection, time.monotonic() - begun, timeout)
        errors = [each for replies in answered for each in replies if isinstance(each, ServerError)]
        if must_repeat(support, errors):
            return None
        if current_scope().consistency == "loose" and self._spans_nodes:
            current_scope().partial = len(support.primaries) != 1
        return answered

    def _exchanged(self, requests: Sequence[Request]) -> list[list[Reply | ServerError]] | None:
        """Send requests, to every primary if replicas would answer, too. Returns None to send them again."""
        alone = self.support.primaries_alone
        if alone is None or not self._spans_nodes or current_scope().consistency == "loose":
            return send(self.connection, requests)
        return exchange(self.connection, alone, requests)


def _is_search(command: Command) -> bool:
    return command[0] == "FT.SEARCH"
