"""Reports of `Index.verify` and `Index.repair`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from valkey_vector.records.amounts import counted

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
"""Kinds of problems, in the order of a report. `docs/servers.md` explains each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Problems of one kind.

    Attributes:
        kind: kind of the problem.
        found: number of problems.
        mendable: number of problems that `Index.repair` can repair with the passed options.
        mended: number of repaired problems.
        examples: the first problems: an id or a name, and the problem.
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
    """Result of a check of an index.

    Attributes:
        index: name of the index.
        records: number of records of the index among the keys of the server.
        counted: number of records that the engine counts.
        foreign: number of keys under the index's prefix that belong to other programs. They are never changed.
        failures: number of documents that the server failed to index since the index was created. Some may no longer
            exist.
        findings: the problems, by kind.
        unchecked: parts that could not be checked, with the reason.
        dry_run: True if nothing was changed.
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
        """True if no problem is left: none was found, or all were repaired."""
        return all(finding.mended == finding.found for finding in self.findings)

    def found(self, kind: ProblemKind) -> int:
        """Return the number of problems of a kind."""
        return sum(finding.found for finding in self.findings if finding.kind == kind)

    def __str__(self) -> str:
        lines = [
            f"index {self.index!r}: {counted(self.records, 'record')}, {self.counted:,} by its engine"
        ]
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
    """Collects problems during a check.

    Args:
        examples: maximum number of examples of each kind.
    """

    def __init__(self, examples: int) -> None:
        self._max_examples = examples
        self._tallies: dict[ProblemKind, _Tally] = {}

    def add(self, kind: ProblemKind, example: str, *, mendable: bool = True) -> None:
        """Record a problem."""
        tally = self._tallies.setdefault(kind, _Tally())
        tally.found += 1
        tally.mendable += mendable
        if len(tally.examples) < self._max_examples:
            tally.examples.append(example)

    def mended(self, kinds: Iterable[ProblemKind], count: int = 1) -> None:
        """Record repaired problems, `count` of each kind."""
        for kind in kinds:
            self._tallies[kind].mended += count

    @property
    def all(self) -> tuple[Finding, ...]:
        """The collected problems, by kind."""
        kinds: tuple[ProblemKind, ...] = get_args(ProblemKind)
        return tuple(
            Finding(kind, tally.found, tally.mendable, tally.mended, tuple(tally.examples))
            for kind in kinds
            if (tally := self._tallies.get(kind)) is not None
        )
