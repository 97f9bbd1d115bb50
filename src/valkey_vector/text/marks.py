"""Marks beside the words of a stored text: its stems, and the terms that occur several times.

A text is stored as its words, separated by blanks. A word with another stem is followed by the stem, marked with ``A``.
At the end are the terms that occur at least twice, three and four times, marked with ``B``, ``C`` and ``D``: they bound the
score of a document before it is fetched. A term is a stem, or a word if the text is not stemmed. A mark is a capital
letter, which no word and no stem contains: ``running Arun runs Arun fox Brun``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = [
    "MOST_MARKED",
    "is_mark",
    "is_repeated",
    "number_of_words",
    "repeated_term",
    "stem_mark",
    "stored_terms",
    "words_and_stems",
]

_STEM = "A"
_REPEATED = "BCD"
MOST_MARKED = 1 + len(_REPEATED)
"""Largest number of occurrences that is marked."""

_FIRST, _LAST = ord("A"), ord("Z")
_CAPITALS = bytes(range(_FIRST, _LAST + 1))


def stored_terms(words: Sequence[str], stems: Sequence[str]) -> str:
    """Return the stored form of a text.

    Args:
        words: words of the text, in order.
        stems: the stem of each word; the words again if the text is not stemmed.
    """
    terms: list[str] = []
    for word, stem in zip(words, stems, strict=True):
        terms.append(word)
        if stem != word:
            terms.append(_STEM + stem)
    for stem, times in Counter(stems).items():
        if times > 1:
            terms += [mark + stem for mark in _REPEATED[: times - 1]]
    return " ".join(terms)


def stem_mark(stem: str) -> str:
    """Return the mark of a word with this stem."""
    return _STEM + stem


def repeated_term(term: str, times: int) -> str:
    """Return the mark of a term that occurs at least so often, 2 to `MOST_MARKED` times."""
    return _REPEATED[times - 2] + term


def is_mark(term: str) -> bool:
    """Return True if a stored term is not a word."""
    return "A" <= term[0] <= "Z"


def is_repeated(term: str) -> bool:
    """Return True if a stored term only marks that another occurs several times."""
    return term[0] in _REPEATED


def number_of_words(text: bytes, terms: int) -> int:
    """Return the number of words of a stored text with so many terms: all terms but the marks."""
    return terms - (len(text) - len(text.translate(None, _CAPITALS)))


def words_and_stems(terms: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return the words of a stored text, and for each its mark, or the word itself if it is its stem."""
    words: list[bytes] = []
    stems: list[bytes] = []
    mark = _STEM.encode()
    for term in terms:
        if term.startswith(mark):
            stems[-1] = term
        elif not _FIRST <= term[0] <= _LAST:
            words.append(term)
            stems.append(term)
    return words, stems
