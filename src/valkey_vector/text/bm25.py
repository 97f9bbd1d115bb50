"""BM25: the clauses of a compiled text query, and the score of a document.

A part of a query adds ``idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length / average))`` to the score, where
``idf = ln(1 + (N - n + 0.5) / (n + 0.5))``. N is the number of documents with such a text, n the number with the term,
and tf the frequency of the term in this document. Lengths are in terms. Lucene has the same formula without the factor
K1 + 1. Both engines add the same parts in the same order, so scores are equal to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from valkey_vector.filters.plan import Plan, Words, all_of, any_of
from valkey_vector.text.fields import IndexedText
from valkey_vector.text.marks import (
    MOST_MARKED,
    number_of_words,
    repeated_term,
    words_and_stems,
)
from valkey_vector.text.phrases import occurrences

__all__ = [
    "K1",
    "B",
    "Clause",
    "FieldClause",
    "Level",
    "Matching",
    "Part",
    "Position",
    "Scored",
    "Scorer",
    "Statistics",
]

Numbers = TypeVar("Numbers", float, NDArray[np.float64])

K1 = 1.2
"""Saturation: the weight of repeated occurrences of a term."""
B = 0.75
"""Length normalization: 0 (none) to 1 (full)."""

_FEW = 4
"""Alternative terms that are counted one by one."""

_LONGER = 1.2
"""Ratio of lengths from which shorter texts are bounded separately."""

Level: TypeAlias = tuple[Plan, float]
"""Plan of documents, and highest score of those that the next plan does not select."""


@dataclass(frozen=True, slots=True)
class Position:
    """The alternative terms at one position of a clause, in one hash field.

    Attributes:
        field: hash field of the terms.
        words: the terms.
        as_tags: True if the server indexes the field as tags.
        repeated: term whose number of occurrences is marked (see `valkey_vector.text.marks`); '' if none is.
    """

    field: str
    words: tuple[str, ...]
    as_tags: bool = False
    repeated: str = ""


@dataclass(frozen=True, slots=True)
class FieldClause:
    """A clause in one text field: one term (or any of several), or a sequence of terms.

    Attributes:
        text: text field to search.
        positions: terms at each position of the sequence, all in the same hash field; at least one position.
        slop: maximum number of other terms between the first and the last.
        in_order: require the order of the positions.
        weight: number of occurrences of the clause in the query.
        stemmed: compare stems, not words.
    """

    text: IndexedText
    positions: tuple[Position, ...]
    slop: int = 0
    in_order: bool = True
    weight: int = 1
    stemmed: bool = False

    @property
    def field(self) -> str:
        """The hash field to search."""
        return self.positions[0].field

    def plan(self) -> Plan:
        """Return the plan of the documents that match; a superset for several positions.

        The client checks the order of terms: Valkey-Search 1.2.1 finds nothing for a phrase in one field that is
        followed by a term in another.
        """
        return all_of(any_of([_words(position)]) for position in self.positions)


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of a query: it matches if it matches in at least one text field."""

    fields: tuple[FieldClause, ...]

    def plan(self) -> Plan:
        """Return the plan of the documents that match, or of a superset."""
        return any_of(field.plan() for field in self.fields)


@dataclass(frozen=True)
class Matching:
    """A text query compiled to the terms of one index.

    Attributes:
        clauses: clauses of the query; without any, nothing matches.
        every: require all clauses instead of at least one.
    """

    clauses: tuple[Clause, ...]
    every: bool

    @cached_property
    def positions(self) -> tuple[Position, ...]:
        """The distinct positions, whose document frequencies the scores need."""
        found = (position for each in self._field_clauses for position in each.positions)
        return tuple(dict.fromkeys(position for position in found if position.words))

    @cached_property
    def texts(self) -> tuple[IndexedText, ...]:
        """The text fields it searches."""
        return tuple(dict.fromkeys(each.text for each in self._field_clauses))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The hash fields needed to score a document."""
        return tuple(dict.fromkeys(each.field for each in self._field_clauses))

    @property
    def _field_clauses(self) -> Iterator[FieldClause]:
        return (field for clause in self.clauses for field in clause.fields)

    def plan(self) -> Plan:
        """Return the plan of the documents that match, or of a superset."""
        parts = [clause.plan() for clause in self.clauses]
        return all_of(parts) if self.every and parts else any_of(parts)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of an index for BM25.

    Attributes:
        documents: number of documents with terms in each text field, by the name of the field.
        lengths: total number of terms in each text field.
        frequencies: number of documents with any of the terms of each position.
        shortest: number of terms of the shortest text of a field, if it is known.
        usual: number of terms that only a few texts of a field are below, if it is known.
    """

    documents: Mapping[str, int]
    lengths: Mapping[str, float]
    frequencies: Mapping[Position, int]
    shortest: Mapping[str, int] = field(default_factory=dict)
    usual: Mapping[str, int] = field(default_factory=dict)


class Part:
    """A clause in one text field, with its weight in one index.

    Args:
        clause: the clause.
        statistics: statistics with the frequency of each of its positions.

    Attributes:
        clause: the clause.
        bound: no document gets a higher score for the clause.
    """

    __slots__ = ("_average", "_terms", "_wanted", "_weight", "bound", "clause")

    def __init__(self, clause: FieldClause, statistics: Statistics) -> None:
        self.clause = clause
        documents = statistics.documents[clause.text.name]
        self._average = statistics.lengths[clause.text.name] / max(1, documents) or 1.0
        self._wanted = [
            frozenset(word.encode() for word in position.words) for position in clause.positions
        ]
        few = len(self._wanted) == 1 and len(self._wanted[0]) <= _FEW
        self._terms = tuple(self._wanted[0]) if few else None
        frequencies = (statistics.frequencies.get(each, 0) for each in clause.positions)
        self._weight = clause.weight * sum(_rarity(each, documents) for each in frequencies)
        self.bound = self._weight * (K1 + 1)

    def worth(self, times: Numbers, length: Numbers) -> Numbers:
        """Return the score of a document for the clause.

        Args:
            times: frequency of the clause in the text: a number, or an array for many documents.
            length: number of terms of the text, likewise.
        """
        norm = K1 * (1 - B + B * length / self._average)
        return self._weight * (times * (K1 + 1) / (times + norm))

    def levels(self, shortest: int) -> list[Level]:
        """Return plans of documents with a growing frequency of the clause, with a bound of the scores of each.

        Args:
            shortest: number of terms that no shorter text has, >= 1.

        Returns:
            Plan of the documents that match, and maximum score of those that the next plan does not select; then the
            same for documents in which the term occurs at least twice, and so on. One plan if nothing is marked.
        """
        (position, *others) = self.clause.positions
        levels = [(self.clause.plan(), self.bound)]
        if not others and position.repeated and position.words:
            for times in range(2, MOST_MARKED + 1):
                plan, bound = levels.pop()
                most = min(bound, self.worth(float(times - 1), float(shortest)))
                mark = (repeated_term(position.repeated, times),)
                levels += [(plan, most), (Words(position.field, mark, True), self.bound)]
        return levels

    def times(self, text: bytes, words: Sequence[bytes]) -> int:
        """Return the frequency of the clause in a text.

        Args:
            text: terms of the text, separated by blanks.
            words: the same terms, split.
        """
        if self._terms is not None:
            times = 0
            for term in self._terms:
                # Most texts lack the term, and this rules them out without comparing term by term.
                if term in text:
                    times += words.count(term)
            return times
        if len(self._wanted) > 1:
            clause = self.clause
            if clause.text.is_marked:
                words = words_and_stems(words)[clause.stemmed]
            return occurrences(words, self._wanted, clause.slop, in_order=clause.in_order)
        wanted = self._wanted[0]
        return len([word for word in words if word in wanted])


class Scorer:
    """Scores of documents for one query in one index.

    Args:
        matching: the query.
        statistics: statistics with the frequency of every position of the query.

    Attributes:
        matching: the query.
        clauses: the parts of each clause.
    """

    def __init__(self, matching: Matching, statistics: Statistics) -> None:
        self.matching = matching
        self._shortest = statistics.shortest
        self._usual = statistics.usual
        self.clauses = [
            [Part(field, statistics) for field in clause.fields] for clause in matching.clauses
        ]

    @property
    def usual(self) -> int:
        """Number of terms that only a few texts are below; 1 if it is unknown or hardly more than the shortest text."""
        texts = self.matching.texts
        if len(texts) != 1 or any(len(parts) != 1 for parts in self.clauses):
            return 1
        name = texts[0].name
        usual = self._usual.get(name, 1)
        return usual if usual > _LONGER * self._shortest.get(name, 1) else 1

    def levels(self, shortest: int = 1) -> list[list[Level]]:
        """Return the plans of each clause with bounds of its scores (see `Part.levels`).

        Args:
            shortest: number of terms of the shortest text to bound.
        """
        found = []
        for clause, parts in zip(self.matching.clauses, self.clauses, strict=True):
            if len(parts) == 1:
                name = parts[0].clause.text.name
                found.append(parts[0].levels(max(shortest, self._shortest.get(name, 1))))
            else:
                found.append([(clause.plan(), sum(part.bound for part in parts))])
        return found

    def score(self, fields: Mapping[str, bytes]) -> float | None:
        """Return the score of a document; None if it does not match.

        Args:
            fields: the document's hash fields of `Matching.fields`.
        """
        texts = {name: fields.get(name, b"") for name in self.matching.fields}
        words = {name: text.split() for name, text in texts.items()}
        lengths = {
            name: float(number_of_words(text, len(words[name]))) for name, text in texts.items()
        }
        total, matched, every = 0.0, False, self.matching.every
        for parts in self.clauses:
            found = False
            for part in parts:
                name = part.clause.field
                times = part.times(texts[name], words[name])
                if times:
                    found = matched = True
                    total += part.worth(float(times), lengths[name])
            if every and not found:
                return None
        return total if matched else None


Scored: TypeAlias = tuple[float, str]
"""Score and id of a document."""


def _rarity(frequency: int, documents: int) -> float:
    """Return the inverse document frequency. Concurrent writes cannot make it undefined."""
    documents = max(documents, frequency)
    return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))


def _words(position: Position) -> Plan:
    if not position.words:
        return any_of([])
    return Words(position.field, position.words, position.as_tags)
