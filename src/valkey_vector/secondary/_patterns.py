"""Triple patterns: the order of entries that serves each pattern, and the variables of joins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.secondary._bounds import after_prefix, lex_bounds
from valkey_vector.secondary._encoding import decode_bytes, encode_bytes
from valkey_vector.secondary._members import M, MemberType
from valkey_vector.secondary._ranges import LexRange

__all__ = ["Order", "Pattern", "Solution", "Terms", "Triple", "Variable", "triple_of"]

Order: TypeAlias = Literal["spo", "sop", "pso", "pos", "osp", "ops"]
Triple: TypeAlias = tuple[M, M, M]
"""Subject, predicate, object."""
Terms: TypeAlias = tuple[bytes | None, bytes | None, bytes | None]
"""Encoded subject, predicate and object; None matches any term."""
Solution: TypeAlias = dict[str, bytes]
"""Name of a variable -> encoded term."""

_LETTERS: Mapping[Order, bytes] = {
    "spo": b"s", "sop": b"S", "pso": b"p", "pos": b"P", "osp": b"o", "ops": b"O",
}  # fmt: skip
_PLACES: Mapping[Order, tuple[int, int, int]] = {
    order: ("spo".index(order[0]), "spo".index(order[1]), "spo".index(order[2]))
    for order in _LETTERS
}
_BY_LETTER = {letter: _PLACES[order] for order, letter in _LETTERS.items()}
_BEST: Mapping[tuple[bool, bool, bool], Order] = {
    (False, False, False): "spo", (True, False, False): "spo", (True, True, False): "spo",
    (True, True, True): "spo", (False, True, False): "pso", (False, False, True): "osp",
    (True, False, True): "sop", (False, True, True): "pos",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variable:
    """Variable of a join. Variables with the same name have the same term.

    Attributes:
        name: any text.
    """

    name: str


def range_of(terms: Terms, order: Order | None = None) -> LexRange:
    """Return the range of the entries that match terms.

    Args:
        terms: the given terms.
        order: order of the result. None: the given terms first, the others in the order subject, predicate, object.

    Raises:
        InvalidInputError: the order does not begin with the given terms.
    """
    given = sum(term is not None for term in terms)
    if order is None:
        order = _BEST[terms[0] is not None, terms[1] is not None, terms[2] is not None]
    if order not in _LETTERS:
        raise InvalidInputError(f"order must be one of {', '.join(_LETTERS)}, not {order!r}")
    leading = [terms[place] for place in _PLACES[order][:given]]
    if None in leading:
        raise InvalidInputError(f"order {order!r} does not begin with the given terms")
    prefix = _LETTERS[order] + b"".join(encode_bytes(term) for term in leading if term is not None)
    return lex_bounds(prefix, after_prefix(prefix))


def triple_of(entry: bytes) -> tuple[bytes, bytes, bytes]:
    """Decode an entry into its encoded subject, predicate and object.

    Raises:
        ValueError: the bytes are not an entry.
    """
    places = _BY_LETTER.get(entry[:1])
    if places is None:
        raise ValueError("entry without an order")
    terms: list[bytes] = [b"", b"", b""]
    at = 1
    for place in places:
        terms[place], at = decode_bytes(entry, at)
    if at != len(entry):
        raise ValueError("entry with more than three terms")
    return terms[0], terms[1], terms[2]


class Pattern(Generic[M]):
    """Triple pattern of a join, with encoded terms.

    Args:
        pattern: three terms or variables.
        members: type of the terms.

    Raises:
        InvalidInputError: the pattern does not consist of three terms or variables.
    """

    def __init__(self, pattern: Sequence[M | Variable], members: MemberType[M]) -> None:
        if isinstance(pattern, (str, bytes)) or len(pattern) != 3:
            raise InvalidInputError(
                f"a pattern must have three terms or variables, not {pattern!r}"
            )
        self._parts = [
            part if isinstance(part, Variable) else members.encode(part, "term") for part in pattern
        ]
        self.variables = {part.name for part in self._parts if isinstance(part, Variable)}

    def terms(self, solution: Solution) -> Terms:
        """Terms of the pattern, with the variables of a solution replaced."""
        known = [
            solution.get(part.name) if isinstance(part, Variable) else part for part in self._parts
        ]
        return known[0], known[1], known[2]

    def extend(self, solution: Solution, triple: Sequence[bytes]) -> Solution | None:
        """Extend a solution by the variables of a triple. Returns None if a variable would have two terms."""
        extended = dict(solution)
        for part, term in zip(self._parts, triple, strict=True):
            if isinstance(part, Variable) and extended.setdefault(part.name, term) != term:
                return None
        return extended
