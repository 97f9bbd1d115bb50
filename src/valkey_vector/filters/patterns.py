r"""Patterns of `Like`: ``%`` is any text, ``_`` any character, ``\`` escapes the next character.

A pattern is split at each ``%`` into pieces of fixed length. The text must start with the first piece and end with the
last. Each other piece is matched at its first occurrence, so one pass over the text is enough for any pattern. A single
regular expression for ``%a%b%c`` would backtrack over all ways to divide the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["LikePattern", "like_pattern"]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sequence of characters and wildcards of fixed length.

    Attributes:
        length: number of characters.
        literal: the characters if there is no wildcard and case matters, for a faster search; otherwise None.
        expression: a regular expression that matches exactly `length` characters.
    """

    length: int
    literal: str | None
    expression: re.Pattern[str]

    def stands_at(self, text: str, position: int) -> bool:
        if self.literal is not None:
            return text.startswith(self.literal, position)
        return self.expression.match(text, position) is not None

    def find(self, text: str, start: int, end: int) -> int:
        """Return the position of the first occurrence between two positions, or -1."""
        if self.literal is not None:
            return text.find(self.literal, start, end)
        found = self.expression.search(text, start, end)
        return -1 if found is None else found.start()


class LikePattern:
    """A compiled pattern. Thread-safe.

    Args:
        pattern: in the syntax of `Like`.
        ignore_case: ignore upper and lower case.
    """

    __slots__ = ("_first", "_last", "_least", "_middle")

    def __init__(self, pattern: str, ignore_case: bool) -> None:
        pieces = [_piece(characters, ignore_case) for characters in _cut(pattern)]
        self._least = sum(piece.length for piece in pieces)
        self._first = pieces[0]
        self._last = pieces[-1] if len(pieces) > 1 else None
        self._middle = [piece for piece in pieces[1:-1] if piece.length]

    def matches(self, text: str) -> bool:
        """Return True if the whole text matches the pattern."""
        if self._last is None:
            return len(text) == self._least and self._first.stands_at(text, 0)
        end = len(text) - self._last.length
        if len(text) < self._least or not self._first.stands_at(text, 0):
            return False
        if not self._last.stands_at(text, end):
            return False
        position = self._first.length
        for piece in self._middle:
            found = piece.find(text, position, end)
            if found < 0:
                return False
            position = found + piece.length
        return True


@lru_cache(maxsize=256)
def like_pattern(pattern: str, ignore_case: bool) -> LikePattern:
    """Compile a pattern; the 256 most recent are cached."""
    return LikePattern(pattern, ignore_case)


def _cut(pattern: str) -> list[list[str | None]]:
    """Split a pattern at ``%`` into pieces; None in a piece is any character."""
    pieces: list[list[str | None]] = [[]]
    literal = False
    for character in pattern:
        if literal or character not in "%_\\":
            pieces[-1].append(character)
            literal = False
        elif character == "\\":
            literal = True
        elif character == "_":
            pieces[-1].append(None)
        else:
            pieces.append([])
    if literal:
        pieces[-1].append("\\")
    return pieces


def _piece(characters: list[str | None], ignore_case: bool) -> _Piece:
    known = [character for character in characters if character is not None]
    certain = len(known) == len(characters) and not ignore_case
    spelt = "".join("." if each is None else re.escape(each) for each in characters)
    flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
    return _Piece(len(characters), "".join(known) if certain else None, re.compile(spelt, flags))
