"""Reports of `verify` and `repair`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from valkey_vector.records.amounts import counted

__all__ = ["Findings", "Problem", "Report"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One inconsistency of an index.

    Attributes:
        kind: kind of problem, such as ``missing entry`` or ``stale entry``; `docs/secondary.md` lists them.
        detail: the member or entry, as bytes.
    """

    kind: str
    detail: bytes

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail!r}"


@dataclass(frozen=True, slots=True)
class Report:
    """Result of checking an index.

    Attributes:
        index: name of the index.
        checked: number of checked entries and records.
        problems: the problems, at most the first 1000.
        found: total number of problems.
        repaired: True if the problems were repaired.
    """

    index: str
    checked: int
    problems: tuple[Problem, ...]
    found: int
    repaired: bool

    @property
    def ok(self) -> bool:
        """True if the index is consistent: there were no problems, or they were repaired."""
        return self.repaired or not self.found

    def __str__(self) -> str:
        if not self.found:
            return f"index {self.index!r}: {self.checked} entries checked, no problem found"
        outcome = "repaired" if self.repaired else "found; call repair() to repair them"
        shown = "; ".join(map(str, self.problems[:3]))
        return f"index {self.index!r}: {counted(self.found, 'problem')} {outcome}: {shown}"


class Findings:
    """Collector of problems during a check. A problem that is found twice counts once.

    Args:
        index: name of the index.
        repaired: True if problems are repaired when they are found.
    """

    MAX_PROBLEMS = 1000

    def __init__(self, index: str, *, repaired: bool) -> None:
        self._index = index
        self._repaired = repaired
        self._seen: dict[tuple[bytes, bytes], None] = {}
        self.checked = 0

    def add(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Add problems: pairs of kind and detail."""
        self._seen.update(dict.fromkeys((kind, detail) for kind, detail in rows))

    def report(self) -> Report:
        """Create the report of the problems found so far."""
        first = [
            Problem(kind.decode(), detail)
            for (kind, detail), _ in zip(self._seen, range(self.MAX_PROBLEMS), strict=False)
        ]
        return Report(self._index, self.checked, tuple(first), len(self._seen), self._repaired)
