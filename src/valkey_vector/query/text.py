"""`TextQuery`: records ranked by BM25. Text from users is split into terms and never parsed as syntax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.query.base import check_filter, check_flags
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.read_options import Consistency, check_read_options
from valkey_vector.records.validation import check_k

__all__ = ["Clause", "Fuzzy", "Phrase", "Prefix", "Term", "TextQuery", "check_words"]

MAX_DISTANCE = 3
"""Largest edit distance of a `Fuzzy` term."""


@dataclass(frozen=True, slots=True)
class Term:
    """One term. If the index uses stemming, other forms match too: ``run`` finds ``running``.

    Attributes:
        text: the word. If the analyzer splits it (``e-mail``), its parts must be adjacent.
        field: search only this field: a declared `TextField`, or ``content``. None: the query's `fields`.
    """

    text: str
    field: str | None = None

    def __post_init__(self) -> None:
        _check_text(self.text, "a Term's text")
        _check_field(self.field)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Adjacent words, without stemming; stop words are ignored in the phrase and in the records.

    Attributes:
        text: the words.
        slop: maximum number of other words between the first and the last word, 0 or more.
        in_order: require the words in this order.
        field: as for `Term`.
    """

    text: str
    slop: int = 0
    in_order: bool = True
    field: str | None = None

    def __post_init__(self) -> None:
        _check_text(self.text, "a Phrase's text")
        _check_field(self.field)
        if not isinstance(self.slop, int) or isinstance(self.slop, bool) or self.slop < 0:
            raise InvalidInputError(f"slop must be an integer >= 0, not {self.slop!r}")
        if not isinstance(self.in_order, bool):
            raise InvalidInputError(f"in_order must be True or False, not {self.in_order!r}")


@dataclass(frozen=True, slots=True)
class Prefix:
    """Any word with this prefix.

    Attributes:
        text: the prefix. If it has several words (``new yo``), the last is the prefix and the others must precede it.
        field: as for `Term`.
    """

    text: str
    field: str | None = None

    def __post_init__(self) -> None:
        _check_text(self.text, "a Prefix's text")
        _check_field(self.field)


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """Any word within an edit distance.

    Attributes:
        text: the word. If there are several, each may be misspelled, and they must be adjacent.
        distance: maximum number of insertions, deletions, replacements and swaps of neighboring characters, 1 to 3.
        field: as for `Term`.
    """

    text: str
    distance: int = 1
    field: str | None = None

    def __post_init__(self) -> None:
        _check_text(self.text, "a Fuzzy's text")
        _check_field(self.field)
        whole = isinstance(self.distance, int) and not isinstance(self.distance, bool)
        if not whole or not 1 <= self.distance <= MAX_DISTANCE:
            raise InvalidInputError(
                f"distance must be an integer from 1 to {MAX_DISTANCE}, not {self.distance!r}"
            )


Clause: TypeAlias = Term | Phrase | Prefix | Fuzzy


@dataclass(frozen=True, slots=True)
class TextQuery:
    """The k records with the highest BM25 scores; only records that match the text.

    Attributes:
        text: the user's text, in which every word becomes a `Term`; or a tuple of clauses. Text without
            terms, such as stop words only, matches no record.
        k: number of records, at least 1.
        match: require ``any`` or ``all`` of the terms or clauses.
        fields: text fields to search: ``content``, and declared `TextField`s by path. A term may match in any
            of them; the scores are added.
        filter: return only records that match.
        with_vectors: also return the vectors.
        with_payloads: also return the payloads.
        stop_words: words that a text with ``match="any"`` does not search, such as ``how`` and ``do`` in a
            question. If the text has no other words, all are searched. Tuples of clauses and ``match="all"``
            search all words. None uses `QUERY_STOP_WORDS` of the index's language, or no stop words if the
            index has its own `FullText.stop_words`. ``()`` turns them off.
        consistency, timeout: see `ReadOptions`.

    Raises:
        InvalidInputError: an attribute has the wrong type or is out of range.
    """

    text: str | tuple[Clause, ...]
    k: int = 4
    match: Literal["any", "all"] = "any"
    fields: tuple[str, ...] = ("content",)
    filter: FilterLike | None = None
    with_vectors: bool = False
    with_payloads: bool = False
    stop_words: tuple[str, ...] | None = None
    consistency: Consistency = "strict"
    timeout: float | None = None

    def __post_init__(self) -> None:
        check_filter(self.filter)
        check_words(self.text, self.match, self.fields, self.stop_words)
        check_k(self.k, "k")
        check_flags(self, "with_vectors", "with_payloads")
        check_read_options(self.consistency, self.timeout)


def check_words(text: object, match: object, fields: object, stop_words: object) -> None:
    """Validate the attributes that define a text search.

    Raises:
        InvalidInputError: an attribute is invalid; the message names it.
    """
    if isinstance(text, tuple):
        for clause in text:
            if not isinstance(clause, Clause):
                raise InvalidInputError(
                    f"a clause is a Term, Phrase, Prefix or Fuzzy, not {clause!r}"
                )
    elif not isinstance(text, str):
        raise InvalidInputError(f"text must be text or a tuple of clauses, not {text!r}")
    if match not in ("any", "all"):
        raise InvalidInputError(f"match must be 'any' or 'all', not {match!r}")
    named = isinstance(fields, tuple) and all(isinstance(field, str) for field in fields)
    if not named or not fields:
        raise InvalidInputError(f"fields must be a tuple of names of text fields, not {fields!r}")
    if stop_words is not None and (
        not isinstance(stop_words, tuple) or not all(isinstance(word, str) for word in stop_words)
    ):
        raise InvalidInputError(f"stop_words must be a tuple of words, not {stop_words!r}")


def _check_text(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise InvalidInputError(f"{what} must be text, not {value!r}")


def _check_field(field: object) -> None:
    if field is not None and not isinstance(field, str):
        raise InvalidInputError(f"field must be the name of a text field, not {field!r}")
