"""Values of one batch that the search engine writes: its settings, its outcome, and how one document is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from valkey_vector.connection import Argument
from valkey_vector.errors import ServerError
from valkey_vector.records.record import WritePolicy
from valkey_vector.storage.layout import Prepared
from valkey_vector.storage.record_version import Expiry

__all__ = ["BatchSettings", "Overwrite", "Tally"]


@dataclass(slots=True)
class Tally:
    """The outcome of a batch so far."""

    written: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: dict[str, ServerError] = field(default_factory=dict)
    overtaken: list[Prepared] = field(default_factory=list)
    endless: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """Settings of one batch.

    Attributes:
        policy: for documents that exist.
        milliseconds: that they live; None for ever.
        sliding: their time to live will be prolonged, on their keys.
        now: the server's time in microseconds.
        stamp: time of creation of the first document, in microseconds.
        positions: of the documents by id.
        lane: connection to use.
    """

    policy: WritePolicy
    milliseconds: int | None
    sliding: bool
    now: int
    stamp: int
    positions: Mapping[str, int]
    lane: int

    @property
    def expiry(self) -> Expiry:
        """How its documents expire."""
        if self.milliseconds is None:
            return ""
        return "s" if self.sliding else "t"

    @property
    def ends(self) -> str:
        """The millisecond at which its documents end."""
        return str(self.now // 1000 + (self.milliseconds or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Overwrite:
    """One document to be stored under its lock.

    Attributes:
        document: what to store.
        commands: that store it.
        at: which of these is the HSET.
        size: of how many fields.
        was_absent: there was no such key.
        limited: the last command sets its time to live.
    """

    document: Prepared
    commands: list[list[Argument]]
    at: int
    size: int
    was_absent: bool
    limited: bool
