"""Findings of the doctor: a code, how severe it is, what is wrong, and the cure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from valkey_vector.operations.privileges import AclLine

__all__ = ["DoctorReport", "Finding", "RecallMeasure", "Severity", "error", "note", "warning"]


class Severity(StrEnum):
    """Severity of a finding."""

    ERROR = "error"
    """Something does not work, or data is at risk now."""

    WARNING = "warning"
    """Something will fail under conditions that occur in production."""

    NOTE = "note"
    """Something to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding.

    Attributes:
        code: stable name of the cause, such as ``auth.wrong_password``. `docs/operations.md` lists all.
        severity: how severe it is.
        subject: the server, node, user or index that is concerned.
        what: what is wrong.
        cure: what to do.
    """

    code: str
    severity: Severity
    subject: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.code} ({self.subject}): {self.what}\n  cure: {self.cure}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallMeasure:
    """The recall of an HNSW index at one search width.

    Attributes:
        index: name of the index.
        ef_runtime: candidates examined.
        default: True for the width that the index uses by itself.
        recall: mean share of the true 10 nearest neighbors that were found, 0 to 1.
        milliseconds: mean time of a search, as the client sees it.
        queries: number of queries.
    """

    index: str
    ef_runtime: int
    default: bool
    recall: float
    milliseconds: float
    queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """Result of an examination.

    Attributes:
        location: URL of the server, without credentials.
        server: search module and server with their versions. Empty if the server could not be reached.
        user: the ACL user. Empty if it is not known.
        findings: the most severe first.
        checked: names of the checks that were made.
        skipped: checks that could not be made, with the reason.
        recall: the recall of each HNSW index.
        acl: for each role the line that creates a user of least privilege.
    """

    location: str
    server: str
    user: str
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    skipped: tuple[str, ...]
    recall: tuple[RecallMeasure, ...]
    acl: tuple[AclLine, ...]

    @property
    def ok(self) -> bool:
        """True if there is no error. Warnings and notes may remain."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    def has(self, code: str) -> bool:
        """Return True if a finding has this code."""
        return any(finding.code == code for finding in self.findings)

    def __str__(self) -> str:
        head = f"{self.location}: {self.server or 'not reached'}"
        return "\n".join([head, *map(str, self.findings)])


def error(code: str, subject: str, what: str, cure: str) -> Finding:
    """Create a finding of severity ERROR."""
    return Finding(code=code, severity=Severity.ERROR, subject=subject, what=what, cure=cure)


def warning(code: str, subject: str, what: str, cure: str) -> Finding:
    """Create a finding of severity WARNING."""
    return Finding(code=code, severity=Severity.WARNING, subject=subject, what=what, cure=cure)


def note(code: str, subject: str, what: str, cure: str) -> Finding:
    """Create a finding of severity NOTE."""
    return Finding(code=code, severity=Severity.NOTE, subject=subject, what=what, cure=cure)


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings, the most severe first; within a severity in the order of the checks."""
    order = list(Severity)
    return tuple(sorted(dict.fromkeys(findings), key=lambda each: order.index(each.severity)))
