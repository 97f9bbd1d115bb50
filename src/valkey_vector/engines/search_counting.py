"""What the search engine tells of documents without bringing them: how many there are, and what a field holds."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from valkey_vector.catalog import CatalogEntry
from valkey_vector.connection import Argument, Capabilities
from valkey_vector.document import EXPIRES
from valkey_vector.engines import search_commands as commands
from valkey_vector.engines.base import Row
from valkey_vector.engines.documents import in_batches
from valkey_vector.filters.plan import NoDocument, Plan, Range, all_of

__all__ = ["CountingSearchEngine"]

_BATCH = 100
"""Counts in one round trip, so that a single one stays well within the time a request may take."""


class CountingSearchEngine(ABC):
    """The counting half of `valkey_vector.engines.search.SearchEngine`."""

    entry: CatalogEntry
    _capabilities: Capabilities
    _server_ahead: float

    @abstractmethod
    def select(self, plan: Plan, fields: Sequence[str]) -> Iterator[list[Row]]:
        """All documents a plan selects, oldest first."""

    @abstractmethod
    def _ask(self, asked: Sequence[Sequence[Argument]]) -> list[Any]:
        """The replies to searches, in one round trip."""

    @abstractmethod
    def _make_ready(self) -> None:
        """Before the first search: wait for the server's index, and compare clocks."""

    @abstractmethod
    def _pieces(self, plan: Plan) -> list[Plan]:
        """Plans whose union is the plan, each within the server's limits."""

    @abstractmethod
    def _selecting(self, plan: Plan) -> str:
        """The query for a plan within the limits."""

    def count(self, plan: Plan) -> int:
        """How many documents a plan selects."""
        return self.counts([plan])[0]

    def counts(self, plans: Sequence[Plan]) -> list[int]:
        """How many documents each of several plans selects, in one round trip for each 100.

        Keys past their time to live stay in the server's index until it reclaims them, so they are counted
        in the same round trip and subtracted.
        """
        known: dict[Plan, int] = {}
        for batch in in_batches(list(dict.fromkeys(filter(self._is_one_query, plans))), _BATCH):
            known.update(zip(batch, self._totals(batch), strict=True))
        return [
            known[plan] if plan in known else sum(len(page) for page in self.select(plan, ()))
            for plan in plans
        ]

    def values(self, plan: Plan, fields: Sequence[str], most: int) -> list[list[str] | None]:
        """What hash fields hold among the documents a plan selects, in one round trip."""
        if isinstance(plan, NoDocument):
            return [[] for _ in fields]
        if not self._is_one_query(plan):
            return [None] * len(fields)
        query = self._selecting(plan)
        replies = self._ask(
            [commands.group_command(self.entry, query, field, most + 1) for field in fields]
        )
        held = (commands.groups(reply, field) for reply, field in zip(replies, fields, strict=True))
        return [None if len(values) > most else values for values in held]

    def _totals(self, plans: Sequence[Plan]) -> Iterator[int]:
        self._make_ready()
        now = float(int((time.time() + self._server_ahead) * 1000))
        queries = [
            self._selecting(each)
            for plan in plans
            for each in (plan, all_of([plan, Range(EXPIRES, high=now)]))
        ]
        replies = self._ask([commands.count_command(self.entry, query) for query in queries])
        totals = [commands.total(reply) for reply in replies]
        for there, expired in zip(totals[::2], totals[1::2], strict=True):
            yield max(0, there - expired)

    def _is_one_query(self, plan: Plan) -> bool:
        """Whether a single query without a vector selects what the plan does."""
        return (
            not isinstance(plan, NoDocument)
            and self._capabilities.filter_queries
            and len(self._pieces(plan)) == 1
        )
