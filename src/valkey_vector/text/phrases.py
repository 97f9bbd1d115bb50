"""Phrase frequency: count occurrences of a phrase in a text, exact or with words in between."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["occurrences"]


def occurrences(
    words: Sequence[str], wanted: Sequence[frozenset[str]], slop: int, *, in_order: bool
) -> int:
    """How many words of a text begin an occurrence of a phrase.

    Args:
        words: of the text, in order.
        wanted: for each place of the phrase the words that may stand there; at least one.
        slop: how many other words may stand between the first and the last.
        in_order: whether the words must come in the phrase's order.
    """
    found = 0
    reach = len(wanted) + slop
    starts = wanted[0] if in_order else frozenset().union(*wanted)
    for start, word in enumerate(words):
        if word in starts:
            window = words[start : start + reach]
            found += _follows(window, wanted) if in_order else _holds(window, wanted)
    return found


def _follows(window: Sequence[str], wanted: Sequence[frozenset[str]]) -> bool:
    """Whether the wanted words come in order; taking each as early as possible misses none."""
    at = 0
    for choice in wanted:
        while at < len(window) and window[at] not in choice:
            at += 1
        if at == len(window):
            return False
        at += 1
    return True


def _holds(window: Sequence[str], wanted: Sequence[frozenset[str]]) -> bool:
    """Whether each wanted word has a word of the window to itself (a matching, by augmenting paths).

    The window's first word can always be one of them: it may take the place of the one found for its choice.
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
