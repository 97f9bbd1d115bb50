"""Parts of a copy of an index, and the reports about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.record import Record
from valkey_vector.schema.schema import Schema

__all__ = [
    "Existing",
    "ExportHeader",
    "ExportReport",
    "LoadReport",
    "MigrationReport",
    "Progress",
    "StoredRecord",
    "check_existing",
]

Existing: TypeAlias = Literal["overwrite", "skip"]
"""Treatment of a record whose id is stored already."""

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the number of records so far, and the number of all records if it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportHeader:
    """Description of the index that a copy is of.

    Attributes:
        index: its name.
        schema: its schema; the dimension is set.
        embedding_model: its embedding model. None if it is not known.
        records: number of records when the copy began. None if it is not known.
        filtered: only records that match a filter were copied.
    """

    index: str
    schema: Schema
    embedding_model: str | None
    records: int | None
    filtered: bool


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record with what is stored besides its content.

    Attributes:
        record: the record with its vectors and payload.
        ttl: milliseconds until it expires, >= 1. None if it does not expire.
        sliding: its expiration slides: only the key has the time to live.
    """

    record: Record
    ttl: int | None = None
    sliding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """Result of an export.

    Attributes:
        index: name of the index.
        records: number of exported records.
        seconds: time that it took.
    """

    index: str
    records: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """Result of a load.

    Attributes:
        index: name of the index.
        created: the index was created.
        read: number of records in the file.
        written: number of stored records, new or overwritten.
        skipped: number of records that were stored already and stayed, with `existing="skip"`.
        seconds: time that it took.
        notes: settings of the index that differ from those of the copy, and what follows from it.
    """

    index: str
    created: bool
    read: int
    written: int
    skipped: int
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationReport:
    """Result of a migration.

    Attributes:
        load: what was written.
        source: number of records in the source afterwards; with a filter, of those that match.
        before: number of records in the target before.
        after: number of records in the target afterwards.
        expiring: number of written records with a time to live. They may have expired before they were counted.
    """

    load: LoadReport
    source: int
    before: int
    after: int
    expiring: int

    @property
    def ok(self) -> bool:
        """True if the counts agree: every record of the source is in the target, unless it has expired meanwhile."""
        read = self.load.read
        most = self.before + read
        least = max(self.before, read) if self.before else most
        unchanged = read - self.expiring <= self.source <= read
        return unchanged and least - self.expiring <= self.after <= most


def check_existing(existing: str) -> None:
    """Raise if a value is not `Existing`.

    Raises:
        InvalidInputError: it is not.
    """
    if existing not in get_args(Existing):
        raise InvalidInputError(f"existing must be 'overwrite' or 'skip', not {existing!r}")
