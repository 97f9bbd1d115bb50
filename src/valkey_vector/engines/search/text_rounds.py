"""Text search in a large index: list ids by the frequency of terms, then score the documents that can be among the best.

A list of ids costs the server a tenth of the documents. Ids come from the rare terms first. A document in no list of a
term has the term at most as often as the lists that were not fetched allow, which bounds its score. The documents with the
highest bounds are scored; the k-th best score is the threshold. It ends when no other document, listed or not, has a bound
that reaches the threshold. So the result is exact, with any lists in any order.

A term that many more documents have than were listed is not listed, but the listed documents with it: the others lack it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.text_candidates import Candidates, Term
from valkey_vector.filters.plan import Plan, Range, all_of, any_of
from valkey_vector.text.bm25 import Scorer

if TYPE_CHECKING:
    from valkey_vector.engines.search.text import Collected, TextSearch

__all__ = ["Rounds"]

_RARE = 6_000
"""Ids of rare terms that the first round lists. With fewer, more documents are compared and scored later, which takes longer."""

_LISTED = 20_000
"""Ids that a further round lists before the threshold is computed again, by estimate."""

_SAMPLE = 60
"""Documents that are scored between two lists, for a higher threshold."""

_ENOUGH = 60
"""Documents that are scored at once instead of listing more ids."""

_DOCUMENT = 8
"""Cost of a document, in ids."""

_COMPARED = 2
"""Cost of a listed document of which the server checks whether it has a term, in ids."""

_MARGIN = 1.0 + 1e-9
"""Factor on bounds, far above the rounding errors of a sum of scores."""


@dataclass(frozen=True, slots=True)
class _List:
    """Ids to list.

    Attributes:
        term: the clause.
        level: level that the documents have at least.
        among: list only documents that were listed before.
    """

    term: Term
    level: int
    among: bool = False


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
        self._compared: set[Term] = set()
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

    def _first(self) -> list[_List]:
        """Return the lists of the rare terms, and of several occurrences of others; at least one list of each."""
        lists: list[_List] = []
        total = 0
        for term in self._terms:
            total += term.size(1)
            if total <= _RARE:
                lists += [_List(term, level) for level in (2, 1) if level <= term.floor]
            elif term.floor > 1:
                levels = range(term.floor, 1, -1)
                few = [at for at in levels if at == term.floor or term.size(at) <= _RARE]
                lists += [_List(term, at) for at in few]
        return lists or [_List(term, term.floor) for term in self._terms]

    def _next(self, needed: float, number: int) -> list[_List]:
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
        if not floors or (not outside and number <= _ENOUGH):
            return []
        if not outside:
            return self._excluding(number)
        lists: list[_List] = []
        size = 0
        while floors:
            at = max(floors, key=lambda each: self._gain(each, floors[each]))
            term, level = self._terms[at], floors[at]
            size += term.size(level)
            if lists and size > _LISTED:
                break
            lists.append(_List(term, level))
            rest -= term.bounds[level] - term.bounds[level - 1]
            floors[at] -= 1
            if not floors[at]:
                del floors[at]
            if rest < needed:
                break
        return lists

    def _gain(self, at: int, level: int) -> float:
        """Return by how much a list lowers the bound of other documents, per id."""
        term = self._terms[at]
        return (term.bounds[level] - term.bounds[level - 1]) / term.size(level)

    def _excluding(self, number: int) -> list[_List]:
        """Return lists that exclude open documents; none if they cost more than scoring these documents.

        Args:
            number: number of documents that lists can exclude.
        """
        among = 0 if self._closed else _COMPARED * len(self._candidates)
        found: list[tuple[float, int, _List]] = []
        for term in self._terms:
            if not term.floor or term in self._compared:
                continue
            size = term.size(term.floor)
            gain = (term.bounds[term.floor] - term.bounds[term.floor - 1]) / size
            best = gain, size, _List(term, term.floor)
            if among and term.bounds[term.floor] / among > gain:
                best = term.bounds[term.floor] / among, among, _List(term, 1, among=True)
            found.append(best)
        found.sort(key=lambda each: -each[0])
        lists: list[_List] = []
        left = min(_LISTED, number * _DOCUMENT)
        for _, size, each in found:
            if size <= left:
                left -= size
                lists.append(each)
        return lists

    def _list(self, lists: Sequence[_List], *, short: bool = False) -> Pipelined[bool]:
        """List ids; with `short`, those of short texts, too. Returns False if a list is not complete."""
        plans = [self._plan_of(each) for each in lists]
        if short:
            plans.append(self._short_texts())
        queries = []
        for part in plans:
            plan = self._search.joined(self._plan, part)
            query = None if plan is None else self._search.query_of_ids(plan)
            if query is None:
                return False
            queries.append(query)
        entry, limit = self._search.entry, self._search.largest_list
        requested = [commands.ids_command(entry, query, limit) for query in queries]
        replies = (yield Request(requested)) if requested else []
        if any(commands.total(reply) >= limit for reply in replies):
            return False
        before = len(self._candidates)  # documents that `among` means
        for each, reply in zip(lists, replies, strict=not short):
            at = self._terms.index(each.term)
            if each.among:
                self._candidates.take_among(at, commands.keys(reply), before)
                self._compared.add(each.term)
            else:
                self._candidates.take(at, each.level, commands.keys(reply))
        if short:
            self._candidates.add_short(commands.keys(replies[-1]))
        return True

    def _plan_of(self, each: _List) -> Plan:
        """Return the plan of a list."""
        if not each.among:
            return each.term.plan(each.level)
        listed = [term.plan(term.floor + 1) for term in self._terms if term.is_listed]
        if self._usual > 1:
            listed.append(self._short_texts())
        return all_of([each.term.plan(1), any_of(listed)])

    def _short_texts(self) -> Plan:
        """Return the plan of the texts that are bounded separately."""
        (text,) = self._matching.texts
        return Range(text.length, low=1.0, high=float(self._usual - 1))

    def _list_all(self) -> Pipelined[bool]:
        """List the documents with all clauses. Returns False if the list is not complete."""
        plan = self._search.joined(self._plan, self._matching.plan())
        query = None if plan is None else self._search.query_of_ids(plan)
        if query is None:
            return False
        entry, limit = self._search.entry, self._search.largest_list
        (reply,) = yield Request([commands.ids_command(entry, query, limit)])
        self._candidates.add_all(commands.keys(reply))
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
