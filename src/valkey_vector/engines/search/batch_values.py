"""Values of one write batch: settings, outcome, and the commands that store one document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from valkey_vector.connection import Argument
from valkey_vector.errors import ServerError
from valkey_vector.records.record import WritePolicy
from valkey_vector.storage.layout import Prepared
from valkey_vector.storage.record_version import Expiry

__all__ = ["BatchSettings", "Overwrite", "Tally"]


@dataclass(slots=True)
class Tally:
    """The outcome of a batch so far.

    Attributes:
        written: ids of stored documents.
        present: ids that exist and stay unchanged.
        failed: the error of each id that the server rejected.
        overtaken: documents whose key another client created in the meantime; store them under their locks.
        without_end: ids whose TTL was rejected; to be removed.
    """

    written: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    failed: dict[str, ServerError] = field(default_factory=dict)
    overtaken: list[Prepared] = field(default_factory=list)
    without_end: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """Settings of one batch.

    Attributes:
        policy: handling of existing ids.
        milliseconds: TTL, > 0; None for no expiration.
        sliding: reads will extend the TTL, so it is set on the keys only.
        now: server time in microseconds; 0 until it was read.
        begun: creation time of the first document, in microseconds; None for now.
        positions: id → position in the batch, added to `stamp`.
        lane: the connection to use.
    """

    policy: WritePolicy
    milliseconds: int | None
    sliding: bool
    now: int
    begun: int | None
    positions: Mapping[str, int]
    lane: int

    def at(self, now: int) -> BatchSettings:
        """Return the settings at another server time."""
        return replace(self, now=now)

    def on(self, lane: int) -> BatchSettings:
        """Return the settings for another connection."""
        return replace(self, lane=lane)

    @property
    def stamp(self) -> int:
        """Creation time of the first document, in microseconds."""
        return self.now if self.begun is None else self.begun

    @property
    def expiry(self) -> Expiry:
        """The kind of expiration of the documents."""
        if self.milliseconds is None:
            return ""
        return "s" if self.sliding else "t"

    @property
    def ends(self) -> str:
        """The server time in milliseconds at which the documents expire."""
        return str(self.now // 1000 + (self.milliseconds or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Overwrite:
    """One document to store under its lock.

    Attributes:
        document: the document.
        commands: the commands that store it.
        at: position of the HSET in `commands`.
        size: number of fields of the HSET.
        was_absent: the key did not exist when the lock was taken.
        limited: the last command sets the TTL.
    """

    document: Prepared
    commands: list[list[Argument]]
    at: int
    size: int
    was_absent: bool
    limited: bool
