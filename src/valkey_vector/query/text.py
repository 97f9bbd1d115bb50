"""`TextQuery`: records by the words of their texts. Text from users is always words, never syntax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.query.base import check_filter, check_flags
from valkey_vector.records.validation import FilterLike, check_k

__all__ = ["Clause", "Fuzzy", "Phrase", "Prefix", "Term", "TextQuery", "check_words"]

FURTHEST = 3
"""Changes that a `Fuzzy` word may differ by."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word, also in other forms of it (``run`` finds ``running``) if the index stems.

    Attributes:
        text: the word. If it is taken apart (``e-mail``), its parts must stand next to each other.
        field: the declared `TextField` it must be in, or ``content``; None: the query's `fields`.
    """

    text: str
    field: str | None = None

    def __post_init__(self) -> None:
        _check_text(self.text, "a Term's text")
        _check_field(self.field)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words next to each other, as they are; stop words count neither here nor in the texts.

    Attributes:
        text: the words.
        slop: how many other words may stand between the first and the last of them.
        in_order: whether they must come in this order.
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
            raise InvalidInputError(f"slop must be a whole number from 0 on, not {self.slop!r}")
        if not isinstance(self.in_order, bool):
            raise InvalidInputError(f"in_order must be True or False, not {self.in_order!r}")


@dataclass(frozen=True, slots=True)
class Prefix:
    """Any word that begins so.

    Attributes:
        text: the beginning. Words before the last one must stand before it: ``new yo``.
        field: as for `Term`.
    """

    text: str
    field: str | None = None

    def __post_init__(self) -> None:
        _check_text(self.text, "a Prefix's text")
        _check_field(self.field)


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """Any word that is spelt nearly so.

    Attributes:
        text: the word; of several, each may be misspelt, and they must stand next to each other.
        distance: how many characters may be put in, left out, replaced or swapped with the next, 1 to 3.
        field: as for `Term`.
    """

    text: str
    distance: int = 1
    field: str | None = None

    def __post_init__(self) -> None:
        _check_text(self.text, "a Fuzzy's text")
        _check_field(self.field)
        whole = isinstance(self.distance, int) and not isinstance(self.distance, bool)
        if not whole or not 1 <= self.distance <= FURTHEST:
            raise InvalidInputError(
                f"distance must be a whole number from 1 to {FURTHEST}, not {self.distance!r}"
            )


Clause: TypeAlias = Term | Phrase | Prefix | Fuzzy


@dataclass(frozen=True, slots=True)
class TextQuery:
    """The k records that answer a text best, by BM25; only records that match at all.

    Attributes:
        text: what a user wrote, of which every word becomes a `Term`; or clauses of your own. Text without
            any word, such as stop words alone, matches nothing.
        k: how many, at least 1.
        match: ``any`` of the words or clauses, or ``all`` of them.
        fields: the texts to look into: ``content``, and declared `TextField`s by their path. A word in any
            of them matches, the scores are added.
        filter: only records that match.
        with_vectors: bring the vectors, too.
        with_payloads: bring the payloads, too.

    Raises:
        InvalidInputError: a value is of the wrong kind or out of range.
    """

    text: str | tuple[Clause, ...]
    k: int = 4
    match: Literal["any", "all"] = "any"
    fields: tuple[str, ...] = ("content",)
    filter: FilterLike | None = None
    with_vectors: bool = False
    with_payloads: bool = False

    def __post_init__(self) -> None:
        check_filter(self.filter)
        check_words(self.text, self.match, self.fields)
        check_k(self.k, "k")
        check_flags(self, "with_vectors", "with_payloads")


def check_words(text: object, match: object, fields: object) -> None:
    """Check the parts that say what to find in texts.

    Raises:
        InvalidInputError: names the one that is not acceptable.
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
        raise InvalidInputError(f"fields must be a tuple of names of texts, not {fields!r}")


def _check_text(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise InvalidInputError(f"{what} must be text, not {value!r}")


def _check_field(field: object) -> None:
    if field is not None and not isinstance(field, str):
        raise InvalidInputError(f"field must be the name of a text, not {field!r}")
