"""Phrase frequency: count occurrences of a phrase in a text, exact or with words in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import AnyStr

__all__ = ["occurrences"]


def occurrences(
    words: Sequence[AnyStr], wanted: Sequence[frozenset[AnyStr]], slop: int, *, in_order: bool
) -> int:
    """Return the number of words of a text at which an occurrence of a phrase begins.

    Args:
        words: words of the text, in order.
        wanted: alternative words for each position of the phrase; at least one position.
        slop: maximum number of other words between the first and the last word, >= 0.
        in_order: require the words in the order of the phrase.
    """
    found = 0
    reach = len(wanted) + slop
    starts = wanted[0] if in_order else wanted[0].union(*wanted[1:])
    for start, word in enumerate(words):
        if word in starts:
            window = words[start : start + reach]
            found += _follows(window, wanted) if in_order else _holds(window, wanted)
    return found


def _follows(window: Sequence[AnyStr], wanted: Sequence[frozenset[AnyStr]]) -> bool:
    """Return whether the wanted words occur in order. Taking each as early as possible misses none."""
    at = 0
    for choice in wanted:
        while at < len(window) and window[at] not in choice:
            at += 1
        if at == len(window):
            return False
        at += 1
    return True


def _holds(window: Sequence[AnyStr], wanted: Sequence[frozenset[AnyStr]]) -> bool:
    """Return whether each position has a word of the window of its own (a matching, by augmenting paths).

    The first word of the window can always be in the matching: it can replace the word found for its position.
    """
    holder: dict[int, int] = {}

    def placed(choice: int, tried: set[int]) -> bool:
        for at, word in enumerate(window):
            if word in wanted[choice] and at not in tried:
                tried.add(at)
                if at not in holder or placed(holder[at], tried):
                    holder[at] = choice
                    return True
        return False

    return all(placed(choice, set()) for choice in range(len(wanted)))
