"""What `Index.verify` and `Index.repair` report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

__all__ = ["Finding", "Findings", "IndexReport", "ProblemKind"]

ProblemKind: TypeAlias = Literal[
    "stale generation",
    "unfinished removal",
    "orphan",
    "expired",
    "unreadable",
    "damaged vector",
    "wrong field",
    "stale field",
    "missing",
    "stale entry",
    "count",
]
"""What can be wrong, in the order of a report; `docs/servers.md` explains each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The problems of one kind.

    Attributes:
        kind: of problem.
        found: how many there were.
        mendable: how many of them `Index.repair` mends with the options that were given.
        mended: how many of them were mended.
        examples: the first of them: an id or a name, and what is wrong.
    """

    kind: ProblemKind
    found: int
    mendable: int
    mended: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        mended = f", {self.mended} mended" if self.mended else ""
        return f"{self.kind}: {self.found}{mended} ({'; '.join(self.examples)})"


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a check of an index found.

    Attributes:
        index: the index's name.
        records: records of the index among the keys of the server.
        counted: records that the index's engine counts.
        foreign: keys under the index's prefix that are another program's. Nothing ever changes them.
        failures: what the server counts as failures to index a document, since its index was made: some may be gone.
        findings: the problems, by kind.
        unchecked: what could not be looked at, and why.
        dry_run: nothing was changed.
    """

    index: str
    records: int
    counted: int
    foreign: int
    failures: int
    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]
    dry_run: bool

    @property
    def ok(self) -> bool:
        """Whether no problem is left: none was found, or all of them were mended."""
        return all(finding.mended == finding.found for finding in self.findings)

    def found(self, kind: ProblemKind) -> int:
        """How many problems of a kind there were."""
        return sum(finding.found for finding in self.findings if finding.kind == kind)

    def __str__(self) -> str:
        lines = [f"index {self.index!r}: {self.records} records, {self.counted} by its engine"]
        lines += [f"  {finding}" for finding in self.findings]
        lines += [f"  not checked: {what}" for what in self.unchecked]
        return "\n".join(lines if self.findings else [lines[0] + ", no problem found", *lines[1:]])


@dataclass(slots=True)
class _Tally:
    found: int = 0
    mendable: int = 0
    mended: int = 0
    examples: list[str] = field(default_factory=list)


class Findings:
    """Collects problems while an index is checked.

    Args:
        examples: how many of each kind are kept.
    """

    def __init__(self, examples: int) -> None:
        self._most = examples
        self._tallies: dict[ProblemKind, _Tally] = {}

    def add(self, kind: ProblemKind, example: str, *, mendable: bool = True) -> None:
        """Note a problem."""
        tally = self._tallies.setdefault(kind, _Tally())
        tally.found += 1
        tally.mendable += mendable
        if len(tally.examples) < self._most:
            tally.examples.append(example)

    def mended(self, kinds: Iterable[ProblemKind], count: int = 1) -> None:
        """Note that problems were mended, so many of each of these kinds."""
        for kind in kinds:
            self._tallies[kind].mended += count

    @property
    def all(self) -> tuple[Finding, ...]:
        """What was found."""
        kinds: tuple[ProblemKind, ...] = get_args(ProblemKind)
        return tuple(
            Finding(kind, tally.found, tally.mendable, tally.mended, tuple(tally.examples))
            for kind in kinds
            if (tally := self._tallies.get(kind)) is not None
        )
