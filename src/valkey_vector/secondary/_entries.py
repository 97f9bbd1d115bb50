"""Entries of a lexicographic sorted set, with an auxiliary hash of their encodings by member.

An entry is an encoding followed by a member. The hash maps each member to its encoding, so an entry can be moved or
removed by its member alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

from valkey_vector.connection import Argument

__all__ = ["MALFORMED", "audit_arguments"]

Split = Callable[[bytes], int]
"""Returns the offset of the member in an entry. Raises one of `MALFORMED` if the bytes are not an entry."""

MALFORMED = (ValueError, IndexError, OverflowError, struct.error)
"""Errors that a decoder raises on invalid bytes."""

_KEYS = ("entries", "held")


def audit_arguments(
    scan: Callable[[str, str], Iterator[list[bytes]]],
    split: Split,
    valid: Callable[[bytes], bool],
) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
    """Batches for the script `entries_audit`, for the keys ``entries`` and ``held``.

    The records are checked first, so that an unreadable record does not count as correct for its entries.

    Args:
        scan: reads a key in batches.
        split: finds the member in an entry.
        valid: returns True if bytes are a member.
    """

    def readable(part: bytes, member: bytes) -> bool:
        try:
            return split(part + member) == len(part) and valid(member)
        except MALFORMED:
            return False

    for flat in scan("HSCAN", "held"):
        arguments: list[Argument] = []
        for member, part in zip(flat[::2], flat[1::2], strict=True):
            arguments += ["h" if readable(part, member) else "y", member, b""]
        yield len(flat) // 2, "entries_audit", _KEYS, arguments
    for flat in scan("ZSCAN", "entries"):
        arguments = []
        for entry in flat[::2]:
            arguments += _described(entry, split, valid)
        yield len(flat) // 2, "entries_audit", _KEYS, arguments


def _described(entry: bytes, split: Split, valid: Callable[[bytes], bool]) -> list[Argument]:
    try:
        end = split(entry)
    except MALFORMED:
        return ["x", entry, b""]
    member = entry[end:]
    return ["e", entry[:end], member] if valid(member) else ["x", entry, b""]
