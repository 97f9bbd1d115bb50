"""Text search in a large index: list ids by the frequency of terms, then score the documents that can be among the best.

A list of ids costs the server a tenth of the documents. Ids come from the rare terms first. A document in no list of a
term has the term at most as often as the lists that were not fetched allow, which bounds its score. The documents with the
highest bounds are scored; the k-th best score is the threshold. It ends when no other document, listed or not, has a bound
that reaches the threshold. So the result is exact, with any lists in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.text_candidates import Candidates, Term
from valkey_vector.filters.plan import Plan, Range
from valkey_vector.text.bm25 import Scorer

if TYPE_CHECKING:
    from valkey_vector.engines.search.text import Collected, TextSearch

__all__ = ["Rounds"]

_RARE = 3_000
"""Ids of rare terms that the first round lists."""

_LISTED = 20_000
"""Ids that a further round lists before the threshold is computed again, by estimate."""

_SAMPLE = 60
"""Documents that are scored between two lists, for a higher threshold."""

_ENOUGH = 60
"""Documents that are scored at once instead of listing more ids. More of them if the shortest list is long."""

_DOCUMENT = 8
"""Cost of a document, in ids."""

_MARGIN = 1.0 + 1e-9
"""Factor on bounds, far above the rounding errors of a sum of scores."""


class Rounds:
    """The rounds of one query.

    Args:
        search: the index's text search.
        plan: documents to search.
        scorer: scorer of the query.
        expected: number of documents with each clause, at most.
        collected: takes the scores.
    """

    def __init__(
        self,
        search: TextSearch,
        plan: Plan,
        scorer: Scorer,
        expected: Sequence[int],
        collected: Collected,
    ) -> None:
        self._search = search
        self._plan = plan
        self._matching = scorer.matching
        self._collected = collected
        self._usual = 1 if scorer.matching.every else scorer.usual
        levels = zip(expected, scorer.levels(self._usual), scorer.levels(), strict=True)
        rarest = sorted(levels, key=lambda each: each[0])
        self._terms = [Term(usual, short, count) for count, usual, short in rarest if count]
        self._incomplete = len(self._terms) < len(scorer.clauses)
        self._candidates = Candidates(self._terms)
        self._closed = False

    def run(self) -> Pipelined[None]:
        """Score all documents that can be among the best.

        Cost: three or four round trips mostly, and more if all terms are common.
        """
        if self._matching.every:
            if self._incomplete:
                return
            complete = yield from self._list_all()
        else:
            complete = yield from self._list(self._first(), short=self._usual > 1)
        sample = _SAMPLE
        candidates = self._candidates
        while complete:
            yield from self._score(*candidates.open(self._needed), sample)
            sample *= 2
            needed = self._needed
            left, bounds = candidates.open(needed)
            lists = self._next(needed, candidates.excludable(left, needed))
            if not lists:
                yield from self._score(left, bounds)
                return
            complete = yield from self._list(lists)
        # A list that one query cannot fetch: score every document that matches.
        matching = self._search.fitting(self._plan, self._matching)
        yield from self._search.collecting(matching, self._collected)

    @property
    def _needed(self) -> float:
        """The bound without which a document is not among the best."""
        threshold = self._collected.threshold
        return 0.0 if threshold is None else threshold / _MARGIN

    def _first(self) -> list[tuple[Term, int]]:
        """Return the lists of the rare terms, and of several occurrences of others; at least one list of each."""
        lists: list[tuple[Term, int]] = []
        total = 0
        for term in self._terms:
            total += term.size(1)
            if total <= _RARE:
                lists += [(term, level) for level in (2, 1) if level <= term.floor]
            elif term.floor > 1:
                levels = range(term.floor, 1, -1)
                lists += [(term, at) for at in levels if at == term.floor or term.size(at) <= _RARE]
        return lists or [(term, term.floor) for term in self._terms]

    def _next(self, needed: float, number: int) -> list[tuple[Term, int]]:
        """Return lists by which no document outside the lists can reach a bound, or fewer of the open documents.

        Args:
            needed: the bound.
            number: number of listed documents that more lists can exclude.

        Returns:
            The lists; none if all open documents are to be scored instead.
        """
        floors = {at: term.floor for at, term in enumerate(self._terms) if term.floor}
        rest = sum(self._terms[at].bounds[floor] for at, floor in floors.items())
        outside = not self._closed and rest >= needed
        cheapest = min((self._terms[at].size(floor) for at, floor in floors.items()), default=0)
        if not floors or (not outside and number <= max(_ENOUGH, cheapest // _DOCUMENT)):
            return []
        # Listing must cost less than scoring the documents that it can exclude.
        budget = _LISTED if outside else min(_LISTED, number * _DOCUMENT)
        lists: list[tuple[Term, int]] = []
        size = 0
        while floors:
            at = max(floors, key=lambda each: self._gain(each, floors[each]))
            term, level = self._terms[at], floors[at]
            size += term.size(level)
            if lists and size > budget:
                break
            lists.append((term, level))
            rest -= term.bounds[level] - term.bounds[level - 1]
            floors[at] -= 1
            if not floors[at]:
                del floors[at]
            if outside and rest < needed:
                break
        return lists

    def _gain(self, at: int, level: int) -> float:
        """Return by how much a list lowers the bound of other documents, per id."""
        term = self._terms[at]
        return (term.bounds[level] - term.bounds[level - 1]) / term.size(level)

    def _list(self, lists: Sequence[tuple[Term, int]], *, short: bool = False) -> Pipelined[bool]:
        """List ids; with `short`, those of short texts, too. Returns False if a list is not complete."""
        plans = [term.plan(level) for term, level in lists]
        if short:
            (text,) = self._matching.texts
            plans.append(Range(text.length, low=1.0, high=float(self._usual - 1)))
        queries = []
        for each in plans:
            plan = self._search.joined(self._plan, each)
            query = None if plan is None else self._search.query_of_ids(plan)
            if query is None:
                return False
            queries.append(query)
        entry, limit = self._search.entry, self._search.largest_list
        requested = [commands.ids_command(entry, query, limit) for query in queries]
        replies = (yield Request(requested)) if requested else []
        if any(commands.total(reply) >= limit for reply in replies):
            return False
        for (term, level), reply in zip(lists, replies, strict=not short):
            self._candidates.take(self._terms.index(term), level, commands.keys(reply))
        if short:
            self._candidates.add_short(commands.keys(replies[-1]))
        return True

    def _list_all(self) -> Pipelined[bool]:
        """List the documents with all clauses. Returns False if the list is not complete."""
        plan = self._search.joined(self._plan, self._matching.plan())
        query = None if plan is None else self._search.query_of_ids(plan)
        if query is None:
            return False
        entry, limit = self._search.entry, self._search.largest_list
        (reply,) = yield Request([commands.ids_command(entry, query, limit)])
        self._candidates.add(commands.keys(reply))
        self._closed = True
        return commands.total(reply) < limit

    def _score(
        self, found: NDArray[np.intp], bounds: NDArray[np.float64], most: int | None = None
    ) -> Pipelined[None]:
        """Score documents, the highest bound first, until the bounds do not reach the threshold.

        Args:
            found: positions of the documents.
            bounds: their bounds.
            most: largest number of documents; None for no limit.
        """
        entry = self._search.entry
        order = np.argsort(-bounds, kind="stable")[:most]
        found, bounds = found[order], bounds[order]
        start, size = 0, _ENOUGH
        while start < found.size:
            batch = found[start : start + size][bounds[start : start + size] >= self._needed]
            if not batch.size:
                break
            ids = [commands.id_of(key, entry) for key in self._candidates.scored(batch)]
            yield from self._search.scoring(ids, self._collected)
            start, size = start + size, 2 * size
