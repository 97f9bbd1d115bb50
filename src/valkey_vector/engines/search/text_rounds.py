"""Text search in a large index: list ids by the frequency of terms, then score the documents that can be among the best.

A list of ids costs the server a tenth of the documents. Ids come from the rare terms first. A document in no list of a
term has the term at most as often as the lists that were not fetched allow, which bounds its score. The documents with the
highest bounds are scored; the k-th best score is the threshold. It ends when no other document, listed or not, has a bound
that reaches the threshold. So the result is exact, with any lists in any order.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from operator import itemgetter
from typing import TYPE_CHECKING

from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.search import commands
from valkey_vector.filters.plan import Plan
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

_FEWER = 4
"""Estimated ratio between the documents with a term n times and n + 1 times."""

_MARGIN = 1.0 + 1e-9
"""Factor on bounds, far above the rounding errors of a sum of scores."""


class _Term:
    """The ids of the documents with one clause of the query.

    Args:
        levels: plans and bounds (see `valkey_vector.text.bm25.Part.levels`).
        expected: number of documents with the clause.

    Attributes:
        floor: highest level of documents that are not in `known`; 0 if all documents with the clause are.
        known: key → level.
        bounds: highest score of each level; 0 for documents without the clause.
    """

    __slots__ = ("_expected", "_levels", "bounds", "floor", "known")

    def __init__(self, levels: Sequence[tuple[Plan, float]], expected: int) -> None:
        self._levels = levels
        self._expected = expected
        self.bounds = [0.0, *(bound for _, bound in levels)]
        self.floor = len(levels)
        self.known: dict[bytes, int] = {}

    def plan(self, level: int) -> Plan:
        """Return the plan of the documents of at least a level."""
        return self._levels[level - 1][0]

    def size(self, level: int) -> int:
        """Estimate how many documents have at least a level."""
        return 1 + self._expected // int(_FEWER ** (level - 1))

    def take(self, level: int, keys: Iterable[bytes]) -> None:
        """Record all documents of at least a level. Those that are not known yet are below the level above."""
        listed = dict.fromkeys(keys, max(level, self.floor))
        listed.update(self.known)
        self.known = listed
        self.floor = min(self.floor, level - 1)


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
        pairs = sorted(zip(expected, scorer.levels(), strict=True), key=lambda pair: pair[0])
        self._terms = [_Term(levels, count) for count, levels in pairs if count]
        self._incomplete = len(self._terms) < len(scorer.clauses)
        self._seen: list[bytes] = []
        self._several: frozenset[bytes] | None = None
        self._scored: set[bytes] = set()
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
            complete = yield from self._list(self._first())
        sample = _SAMPLE
        while complete:
            yield from self._score(heapq.nlargest(sample, self._open(sample), key=itemgetter(1)))
            sample *= 2
            left = list(self._open(None))
            lists = self._next(self._needed, self._excludable(left))
            if not lists:
                yield from self._score(sorted(left, key=lambda pair: (-pair[1], pair[0])))
                return
            complete = yield from self._list(lists)
        # A list that one query cannot fetch: score every document that matches.
        candidates = self._search.fitting(self._plan, self._matching)
        yield from self._search.collecting(candidates, self._collected)

    @property
    def _needed(self) -> float:
        """The bound without which a document is not among the best."""
        threshold = self._collected.threshold
        return 0.0 if threshold is None else threshold / _MARGIN

    def _first(self) -> list[tuple[_Term, int]]:
        """Return the lists of the rare terms, and of several occurrences of others; at least one list of each."""
        lists: list[tuple[_Term, int]] = []
        total = 0
        for term in self._terms:
            total += term.size(1)
            if total <= _RARE:
                lists += [(term, level) for level in (2, 1) if level <= term.floor]
            elif term.floor > 1:
                levels = range(term.floor, 1, -1)
                lists += [(term, at) for at in levels if at == term.floor or term.size(at) <= _RARE]
        return lists or [(term, term.floor) for term in self._terms]

    def _next(self, needed: float, number: int) -> list[tuple[_Term, int]]:
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
        lists: list[tuple[_Term, int]] = []
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

    def _list(self, lists: Sequence[tuple[_Term, int]]) -> Pipelined[bool]:
        """List ids. Returns False if a list is not complete."""
        queries = []
        for term, level in lists:
            plan = self._search.joined(self._plan, term.plan(level))
            query = None if plan is None else self._search.query_of_ids(plan)
            if query is None:
                return False
            queries.append(query)
        entry, limit = self._search.entry, self._search.largest_list
        requested = [commands.ids_command(entry, query, limit) for query in queries]
        replies = (yield Request(requested)) if requested else []
        for (term, level), reply in zip(lists, replies, strict=True):
            if commands.total(reply) >= limit:
                return False
            term.take(level, commands.keys(reply))
        self._several = None
        return True

    def _list_all(self) -> Pipelined[bool]:
        """List the documents with all clauses. Returns False if the list is not complete."""
        plan = self._search.joined(self._plan, self._matching.plan())
        query = None if plan is None else self._search.query_of_ids(plan)
        if query is None:
            return False
        entry, limit = self._search.entry, self._search.largest_list
        (reply,) = yield Request([commands.ids_command(entry, query, limit)])
        self._seen = commands.keys(reply)
        self._closed = True
        return commands.total(reply) < limit

    def _open(self, most: int | None) -> Iterator[tuple[bytes, float]]:
        """Iterate over the open documents and their bounds, in any order.

        A document is open if it was listed, but not scored, and its bound reaches the threshold.

        Args:
            most: documents of equal bounds to return at most, if they have one clause only; None for no limit.
        """
        needed, scored, terms = self._needed, self._scored, self._terms
        rest = sum(term.bounds[term.floor] for term in terms)
        gains = [[bound - term.bounds[term.floor] for bound in term.bounds] for term in terms]
        several = self._in_several()
        columns = []
        for term, gain in zip(terms, gains, strict=True):
            known, floor = term.known.get, term.floor
            columns.append([gain[known(key, floor)] for key in several])
        sums = map(sum, zip(*columns, strict=True)) if columns else repeat(0.0)
        for key, gained in zip(several, sums, strict=bool(columns)):
            if rest + gained >= needed and key not in scored:
                yield key, rest + gained
        if self._closed:
            return
        # Most documents have one clause only. All of one level have the same bound.
        for term, gain in zip(terms, gains, strict=True):
            for level in range(term.floor + 1, len(gain)):
                bound = rest + gain[level]
                if bound >= needed:
                    single = (
                        (key, bound)
                        for key, at in term.known.items()
                        if at == level and key not in several and key not in scored
                    )
                    yield from islice(single, most)

    def _in_several(self) -> frozenset[bytes]:
        """Return the listed documents with several clauses; with `_closed`, all listed ones."""
        if self._closed:
            return frozenset(self._seen)
        if self._several is None:
            seen: set[bytes] = set()
            several: set[bytes] = set()
            for term in self._terms:
                known = term.known.keys()
                several |= known & seen
                seen |= known
            self._several = frozenset(several)
        return self._several

    def _excludable(self, left: Sequence[tuple[bytes, float]]) -> int:
        """Return how many open documents more lists can exclude: those that need terms that are not listed."""
        needed = self._needed
        terms = [(term.known, term.bounds) for term in self._terms]
        listed = (sum(bounds[known.get(key, 0)] for known, bounds in terms) for key, _ in left)
        return sum(bound < needed for bound in listed)

    def _score(self, found: Sequence[tuple[bytes, float]]) -> Pipelined[None]:
        """Score documents, the highest bound first, until the bounds do not reach the threshold."""
        entry = self._search.entry
        start, size = 0, _ENOUGH
        while start < len(found):
            needed = self._needed
            batch = [key for key, most in found[start : start + size] if most >= needed]
            if not batch:
                break
            self._scored.update(batch)
            ids = [commands.id_of(key, entry) for key in batch]
            yield from self._search.scoring(ids, self._collected)
            start, size = start + size, 2 * size
