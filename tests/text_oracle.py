"""The meaning of text queries in plain Python: document by document, character by character."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import permutations, product

from snowballstemmer.english_stemmer import EnglishStemmer

from valkey_vector import Fuzzy, Phrase, Prefix, Term
from valkey_vector.query import Clause
from valkey_vector.text.stop_words import QUERY_STOP_WORDS

STOP_WORDS = {
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
}  # fmt: skip

_stemmer = EnglishStemmer()


@cache
def words_of(text: str) -> list[str]:
    """All words, stop words among them."""
    for mark in "\u2120\u2122\U0001f16a\U0001f16b\U0001f16c":
        text = text.replace(mark, f" {mark} ")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = [""]
    for character in folded:
        category = unicodedata.category(character)
        code = ord(character)
        own_icon = 0xE000 <= code < 0xE080
        new_emoji = category == "Cn" and 0x1F000 <= code < 0x1FC00
        if category == "Cf" or ignorable(code):
            continue
        if category == "So" or new_emoji or (category == "Co" and not own_icon):
            words += [character, ""]
        elif (
            category[0] in "ZPS"
            or category in ("Cc", "Cs", "Me")
            or own_icon
            or code % 0x10000 in (0xFFFE, 0xFFFF)
            or 0xFDD0 <= code <= 0xFDEF
            or character in "\u115f\u1160\u3164\uffa0"
        ) and character != "_":
            words.append("")
        else:
            words[-1] += character
    return [
        shortened(word[first_letter(word) :])
        for word in words
        if any(each != "_" and unicodedata.category(each)[0] != "M" for each in word)
    ]


def first_letter(word: str) -> int:
    """Where the marks end that a word begins with."""
    return next(n for n, each in enumerate(word) if unicodedata.category(each)[0] != "M")


def ignorable(code: int) -> bool:
    """Return True for Unicode's default ignorable code points that are marks or not assigned."""
    return (
        code in (0x34F, 0x17B4, 0x17B5)
        or 0x180B <= code <= 0x180F
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0000 <= code <= 0xE0FFF
    )


def shortened(word: str) -> str:
    """As much of a word as 100 characters and 120 bytes hold."""
    word = word[:100]
    while len(word.encode()) > 120:
        word = word[:-1]
    return word


def kept(text: str) -> list[str]:
    return [word for word in words_of(text) if word not in STOP_WORDS]


@cache
def stem(word: str) -> str:
    return word if len(word) < 4 else str(_stemmer.stemWord(word))


def distance(first: str, second: str) -> int:
    """Changes between two words: put in, left out, replaced, two neighbours swapped."""
    table = [
        [i + j if not i or not j else 0 for j in range(len(second) + 1)]
        for i in range(len(first) + 1)
    ]
    for i, j in product(range(1, len(first) + 1), range(1, len(second) + 1)):
        table[i][j] = min(
            table[i - 1][j] + 1,
            table[i][j - 1] + 1,
            table[i - 1][j - 1] + (first[i - 1] != second[j - 1]),
        )
        swapped = (
            i > 1 and j > 1 and first[i - 1] == second[j - 2] and first[i - 2] == second[j - 1]
        )
        if swapped:
            table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


def times(words: Sequence[str], wanted: Sequence[set[str]], slop: int, in_order: bool) -> int:
    """At how many words of a text an occurrence begins, by trying every choice of places."""
    count = len(wanted)
    if count == 1:
        return sum(word in wanted[0] for word in words)
    found = set()
    for start in range(len(words)):
        reach = range(start, min(len(words), start + count + slop))
        for places in permutations(reach, count):
            ordered = not in_order or list(places) == sorted(places)
            pairs = zip(places, wanted, strict=True)
            if start in places and ordered and all(words[at] in choice for at, choice in pairs):
                found.add(start)
    return len(found)


def searched(asked: str, stop_words: Sequence[str] | None) -> list[str]:
    """Return the searched words of a question: without stop words, or all if it has no others.

    A stop word of several words, such as "I'm", is one where all of them stand in a row; the longest counts.
    """
    words = words_of(asked)
    if stop_words is None:
        stop_words = QUERY_STOP_WORDS["english"]
    rows = sorted((words_of(stop) for stop in stop_words), key=len, reverse=True)
    rest, left = words, list[str]()
    while rest:
        row = next((row for row in rows if row and rest[: len(row)] == row), None)
        if row is None:
            left.append(rest[0])
        rest = rest[len(row or [""]) :]
    return [word for word in left or words if word not in STOP_WORDS]


def answers(
    texts: Mapping[str, str],
    asked: str | Sequence[Clause],
    *,
    every: bool,
    stop_words: Sequence[str] | None = None,
) -> dict[str, float]:
    """The BM25 score of each matching document.

    `stop_words`: those of the query; None for the list of English.
    """
    taken = {id: kept(text) for id, text in texts.items()}
    vocabulary = {word for words in taken.values() for word in words}
    if isinstance(asked, str):
        words = kept(asked) if every else searched(asked, stop_words)
        parts = [([{stem(word)}], True, 0, True) for word in words]
    else:
        parts = [part for clause in asked if (part := _part(clause, vocabulary))[0]]
    if not parts:
        return {}
    documents = sum(bool(words) for words in taken.values())
    average = sum(map(len, taken.values())) / max(1, documents)
    stems = {id: [stem(word) for word in words] for id, words in taken.items()}
    rarities = [
        sum(
            _rarity(
                sum(
                    not choice.isdisjoint(words) for words in (stems if stemmed else taken).values()
                ),
                documents,
            )
            for choice in wanted
        )
        for wanted, stemmed, _, _ in parts
    ]
    scores: dict[str, float] = {}
    for id in texts:
        total, hits = 0.0, 0
        for (wanted, stemmed, slop, in_order), rarity in zip(parts, rarities, strict=True):
            words = (stems if stemmed else taken)[id]
            frequency = times(words, wanted, slop, in_order)
            norm = 1.2 * (0.25 + 0.75 * len(words) / (average or 1.0))
            if frequency:
                total += rarity * frequency * 2.2 / (frequency + norm)
                hits += 1
        if hits == len(parts) or (hits and not every):
            scores[id] = total
    return scores


def _part(clause: Clause, vocabulary: set[str]) -> tuple[list[set[str]], bool, int, bool]:
    match clause:
        case Term(text):
            return [{stem(word)} for word in kept(text)], True, 0, True
        case Phrase(text, slop, in_order):
            return [{word} for word in kept(text)], False, slop, in_order
        case Prefix(text):
            *before, last = words_of(text) or [""]
            wanted = [{word} for word in before if word not in STOP_WORDS]
            if last:
                wanted.append({word for word in vocabulary if word.startswith(last)})
            return wanted, False, 0, True
        case Fuzzy(text, furthest):
            return (
                [
                    {word for word in vocabulary if distance(word, asked) <= furthest}
                    for asked in words_of(text)
                ],
                False,
                0,
                True,
            )


def _rarity(frequency: int, documents: int) -> float:
    return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))
