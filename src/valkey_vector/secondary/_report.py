"""What `verify` and `repair` report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Findings", "Problem", "Report"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One inconsistency of an index.

    Attributes:
        kind: what is wrong, such as ``missing entry`` or ``stale entry``; `docs/secondary.md` lists them.
        detail: the member or entry, as bytes.
    """

    kind: str
    detail: bytes

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail!r}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a check of an index found.

    Attributes:
        index: the index's name.
        checked: how many entries and records were looked at.
        problems: what was found, at most the first 1000.
        found: how many problems there were in all.
        repaired: whether they were mended.
    """

    index: str
    checked: int
    problems: tuple[Problem, ...]
    found: int
    repaired: bool

    @property
    def ok(self) -> bool:
        """Whether the index is consistent now: nothing was found, or it was mended."""
        return self.repaired or not self.found

    def __str__(self) -> str:
        if not self.found:
            return f"index {self.index!r}: {self.checked} entries checked, no problem found"
        what = "mended" if self.repaired else "found; repair() mends them"
        shown = "; ".join(map(str, self.problems[:3]))
        return f"index {self.index!r}: {self.found} problems {what}: {shown}"


class Findings:
    """Collects problems while an index is checked; one that is met twice counts once.

    Args:
        index: the index's name.
        repaired: whether they are mended as they are found.
    """

    KEPT = 1000

    def __init__(self, index: str, *, repaired: bool) -> None:
        self._index = index
        self._repaired = repaired
        self._seen: dict[tuple[bytes, bytes], None] = {}
        self.checked = 0

    def add(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Note problems: pairs of kind and detail."""
        self._seen.update(dict.fromkeys((kind, detail) for kind, detail in rows))

    def report(self) -> Report:
        """What was found so far."""
        first = [
            Problem(kind.decode(), detail)
            for (kind, detail), _ in zip(self._seen, range(self.KEPT), strict=False)
        ]
        return Report(self._index, self.checked, tuple(first), len(self._seen), self._repaired)
