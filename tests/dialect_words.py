"""The arguments of a command, consumed one by one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dialect_rules import DialectError


class Words:
    """A cursor over arguments; keywords are compared without regard to case."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._words)

    @property
    def last(self) -> str:
        """The argument that was taken last."""
        return self._words[self._position - 1]

    def peek(self) -> str:
        """The next argument in capitals, or nothing at the end."""
        return self._words[self._position].upper() if self else ""

    def next(self, what: str) -> str:
        """Consume the next argument; ``what`` describes it in errors."""
        if not self:
            raise DialectError(f"Missing argument: {what}", reply="Missing argument")
        self._position += 1
        return self.last

    def take(self, *keywords: str) -> str:
        """Take the next argument if it is one of the keywords, and return the keyword; else nothing."""
        if self.peek() not in keywords:
            return ""
        return self.next("a keyword").upper()

    def number(self, what: str, low: int, high: int) -> int:
        """Take an integer within bounds."""
        text = self.next(f"the number of {what}")
        if not re.fullmatch(r"[0-9]+", text) or not low <= int(text) <= high:
            raise DialectError(f"{what} must be an integer from {low} to {high}, not {text!r}")
        return int(text)

    def part(self, count: int) -> Words:
        """Take ``count`` arguments as a cursor of their own."""
        return Words([self.next(f"{count} arguments") for _ in range(count)])

    def end(self) -> None:
        """Nothing may be left."""
        if self:
            raise DialectError(f"Unexpected argument {self.peek()!r}")
