"""BM25: the clauses of a compiled text query, and the score of a document.

For each part of a query a document gets ``idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length / average))``, with
``idf = ln(1 + (N - n + 0.5) / (n + 0.5))``: N documents have such a text, n of them the word, this one tf times;
length and average are those of texts, in words. So does Lucene, but for the factor K1 + 1. Both engines add up the same parts in the same
order, so that they agree to the last bit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from valkey_vector.filters.plan import Plan, Words, all_of, any_of
from valkey_vector.text.fields import IndexedText
from valkey_vector.text.phrases import occurrences

__all__ = [
    "K1",
    "B",
    "Clause",
    "Matching",
    "Part",
    "Place",
    "Scored",
    "Scorer",
    "Sought",
    "Statistics",
]

Numbers = TypeVar("Numbers", float, NDArray[np.float64])

K1 = 1.2
"""How much a word's further occurrences count."""
B = 0.75
"""How much a text's length counts."""


@dataclass(frozen=True, slots=True)
class Place:
    """The words that may stand at one place of what is sought, in one hash field."""

    field: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sought:
    """Words sought in one text: one word (or any of several), or several in a row.

    Attributes:
        text: where.
        places: what may stand at each place of the row, all in the same hash field; at least one.
        slop: how many other words may stand between.
        in_order: whether the order of the places counts.
        weight: how often the query has it.
    """

    text: IndexedText
    places: tuple[Place, ...]
    slop: int = 0
    in_order: bool = True
    weight: int = 1

    @property
    def field(self) -> str:
        """The hash field it is sought in."""
        return self.places[0].field

    def plan(self) -> Plan:
        """What documents must have for it; exact for a single place, otherwise a superset.

        The order of words is seen to here: Valkey-Search 1.2.1 finds nothing for a phrase in one field that is followed by
        a word in another.
        """
        return all_of(any_of([_words(place)]) for place in self.places)


@dataclass(frozen=True, slots=True)
class Clause:
    """One part of a query: it matches where at least one of these does."""

    sought: tuple[Sought, ...]

    def plan(self) -> Plan:
        """What documents must have to match it, or a superset."""
        return any_of(sought.plan() for sought in self.sought)


@dataclass(frozen=True)
class Matching:
    """A text query as words of one index.

    Attributes:
        clauses: its parts; without any, nothing matches.
        every: whether all of them must match, or at least one.
    """

    clauses: tuple[Clause, ...]
    every: bool

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Everything whose document frequency the scores need, once each."""
        found = (place for each in self.clauses for one in each.sought for place in one.places)
        return tuple(dict.fromkeys(place for place in found if place.words))

    @cached_property
    def texts(self) -> tuple[IndexedText, ...]:
        """The texts it looks into."""
        return tuple(dict.fromkeys(one.text for each in self.clauses for one in each.sought))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The hash fields needed to score a document."""
        return tuple(dict.fromkeys(one.field for each in self.clauses for one in each.sought))

    def plan(self) -> Plan:
        """What documents must have to match, or a superset."""
        parts = [clause.plan() for clause in self.clauses]
        return all_of(parts) if self.every and parts else any_of(parts)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What BM25 has to know about an index.

    Attributes:
        documents: how many have words in each text, by its name.
        lengths: how many words each text has in all of them together.
        frequencies: how many documents have any of the words of each place.
    """

    documents: Mapping[str, int]
    lengths: Mapping[str, float]
    frequencies: Mapping[Place, int]


class Part:
    """What is sought, ready to be scored in one index.

    Args:
        sought: the words.
        statistics: with the frequency of each of its places.

    Attributes:
        sought: the words.
    """

    __slots__ = ("_average", "_wanted", "_weight", "sought")

    def __init__(self, sought: Sought, statistics: Statistics) -> None:
        self.sought = sought
        documents = statistics.documents[sought.text.name]
        self._average = statistics.lengths[sought.text.name] / max(1, documents) or 1.0
        self._wanted = [frozenset(place.words) for place in sought.places]
        frequencies = (statistics.frequencies.get(place, 0) for place in sought.places)
        self._weight = sought.weight * sum(_rarity(each, documents) for each in frequencies)

    @property
    def single(self) -> frozenset[str]:
        """The words of the only place; of several places, none."""
        return self._wanted[0] if len(self._wanted) == 1 else frozenset()

    @property
    def bound(self) -> float:
        """What no document gets for it."""
        return self._weight * (K1 + 1)

    def worth(self, times: Numbers, length: Numbers) -> Numbers:
        """What a document gets for having it so many times.

        Args:
            times: how often; one number, or an array of those of many documents.
            length: how many words the text has; likewise.
        """
        norm = K1 * (1 - B + B * length / self._average)
        return self._weight * (times * (K1 + 1) / (times + norm))

    def times(self, words: Sequence[str], counts: Mapping[str, int]) -> int:
        """How often a text has it.

        Args:
            words: of the text, in order.
            counts: how often it has each word of `single`, if it has it at all.
        """
        wanted, sought = self._wanted, self.sought
        if len(wanted) > 1:
            return occurrences(words, wanted, sought.slop, in_order=sought.in_order)
        if len(wanted[0]) <= len(counts):
            return sum(counts[word] for word in wanted[0] if word in counts)
        return sum(count for word, count in counts.items() if word in wanted[0])


class Scorer:
    """Scores documents for one query and index.

    Args:
        matching: the query.
        statistics: with the frequency of every place of the query.

    Attributes:
        matching: the query.
        clauses: the parts of each of its clauses.
    """

    def __init__(self, matching: Matching, statistics: Statistics) -> None:
        self.matching = matching
        self.clauses = [
            [Part(sought, statistics) for sought in clause.sought] for clause in matching.clauses
        ]
        self._counted: dict[str, set[str]] = {name: set() for name in matching.fields}
        for part in chain.from_iterable(self.clauses):
            self._counted[part.sought.field] |= part.single

    def bounds(self) -> list[tuple[float, Clause]]:
        """For each clause what no document's score for it reaches."""
        sums = (sum(part.bound for part in parts) for parts in self.clauses)
        return list(zip(sums, self.matching.clauses, strict=True))

    def score(self, fields: Mapping[str, bytes]) -> float | None:
        """The score of a document by its words and stems; None if it does not match.

        Args:
            fields: those of `Matching.fields` that it has.
        """
        texts: dict[str, tuple[list[str], Counter[str]]] = {}
        for name, counted in self._counted.items():
            words = fields[name].decode().split() if name in fields else []
            texts[name] = words, Counter([word for word in words if word in counted])
        total, matched, every = 0.0, False, self.matching.every
        for parts in self.clauses:
            found = False
            for part in parts:
                words, counts = texts[part.sought.places[0].field]
                times = part.times(words, counts)
                if times:
                    found = matched = True
                    total += part.worth(float(times), float(len(words)))
            if every and not found:
                return None
        return total if matched else None


Scored: TypeAlias = tuple[float, str]
"""A document's score and id."""


def _rarity(frequency: int, documents: int) -> float:
    """The inverse document frequency; documents being written meanwhile cannot make it undefined."""
    documents = max(documents, frequency)
    return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))


def _words(place: Place) -> Plan:
    return Words(place.field, place.words) if place.words else any_of([])
