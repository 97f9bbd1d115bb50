"""Facts about a version of Valkey-Search and about an index for the dialect guard, and its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WHITE_SPACE = " \t\n\v\f\r"
PUNCTUATION = ",.<>{}[]\"':;!@#$%^&*()-+=~/\\|?"
STOP_WORDS = frozenset(
    [
        "a",
        "is",
        "the",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    ]
)


class DialectError(AssertionError):
    """A command that Valkey-Search rejects or answers differently from the intention.

    Attributes:
        reply: the server's own error where it is known to the letter.
    """

    def __init__(self, message: str, *, reply: str | None = None) -> None:
        super().__init__(message)
        self.reply = reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The commands and limits of one version of Valkey-Search."""

    version: tuple[int, int, int]
    complete: bool = False
    """True if a search must request all shards consistently, because it may otherwise get a partial result."""

    @property
    def text(self) -> bool:
        return self.version >= (1, 2, 0)

    @property
    def sort_by(self) -> bool:
        return self.version >= (1, 2, 0)

    @property
    def filter_queries(self) -> bool:
        return self.version >= (1, 1, 0)

    @property
    def match_all(self) -> bool:
        return self.version >= (1, 3, 0)

    @property
    def vector_range(self) -> bool:
        return self.version >= (1, 3, 0)

    @property
    def sort_by_score(self) -> bool:
        return self.version >= (1, 3, 0)

    @property
    def exponents(self) -> bool:
        return self.version >= (1, 2, 0)

    @property
    def tag_escapes(self) -> bool:
        return self.version >= (1, 2, 0)

    @property
    def max_nodes(self) -> int:
        return 1000 if self.version >= (1, 2, 0) else 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """One attribute of an index, as FT.CREATE declared it."""

    identifier: str
    kind: str  # TAG, NUMERIC, TEXT or VECTOR
    separator: str = ","
    suffix_trie: bool = False
    algorithm: str = ""
    metric: str = ""
    dimension: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSchema:
    """The attributes of an index by the alias that queries use."""

    fields: Mapping[str, SchemaField]
    prefixes: tuple[str, ...] = ("",)
    offsets: bool = True
    stop_words: frozenset[str] = STOP_WORDS

    @property
    def has_text(self) -> bool:
        return any(one.kind == "TEXT" for one in self.fields.values())
