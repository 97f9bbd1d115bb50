"""Values of a metadata key that its tokens spell: decoded once, and numbered, for groups and facets."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector.records.tokens import unescape

__all__ = ["SpelledValues"]

_SCALARS = "sny"


class SpelledValues:
    """The values of one key. Not thread-safe.

    Attributes:
        values: the values by number. Lists of the key add the elements that their tokens spell.
        others: numbers of the tokens that spell no value by themselves.
    """

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.others: list[int] = []
        self._numbers: dict[str, int] = {}
        self._pairs = array("q")
        self._read = 0

    def read(self, tokens: Sequence[tuple[int, str]]) -> NDArray[np.int64]:
        """Decode the tokens that were added since the last call.

        Args:
            tokens: all tokens of the key: number, and the part after the marker's underscore.

        Returns:
            An array of shape (tokens that spell a value, 2): number of the token, number of its value.
        """
        pairs, others = array("q"), []
        for token, marked in tokens[self._read :]:
            number = self.number(marked) if marked[0] in _SCALARS else None
            if number is None:
                others.append(token)
            else:
                pairs.extend((token, number))
        # Only now, so that after an interruption the next call begins again.
        self._pairs += pairs
        self.others += others
        self._read = len(tokens)
        return np.array(self._pairs).reshape(-1, 2)

    def number(self, marked: str) -> int | None:
        """Return the number of a spelled value, a new one if the value is new; None if the text spells none."""
        if marked not in self._numbers:
            try:
                value = _decoded(marked)
            except ValueError:  # a token of another program
                return None
            self._numbers[marked] = len(self.values)
            self.values.append(value)
        return self._numbers[marked]

    def number_of_element(self, marked: str) -> int | None:
        """Return the number of a spelled list element; None if the text spells none."""
        return self.number(marked) if marked[:1] in tuple(_SCALARS) else None


def _decoded(marked: str) -> Any:
    """The value that a token spells after the marker's underscore; integral numbers as int."""
    text = unescape(marked[1:])
    match marked[0]:
        case "s":
            return text
        case "y":
            return text == "1"
        case _:
            try:
                return int(text)
            except ValueError:
                return float(text)
