"""Documents as engines read and write them: rows, outcomes of batches, and metadata replacements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from valkey_vector.errors import ServerError
from valkey_vector.storage.record_version import VERSION

__all__ = [
    "DISTANCE_FIELD",
    "CheckedRow",
    "FoundRow",
    "MetadataReplacement",
    "Row",
    "StaleIndexError",
    "WriteOutcome",
]

DISTANCE_FIELD = b"distance"
"""The name under which a search returns the distance; no document has a field of this name."""


class StaleIndexError(Exception):
    """The index was dropped or created again since it was opened. The index handles it; users never see it."""


# Not frozen: a frozen dataclass takes three times as long to create, and a search creates one for each result.
@dataclass(slots=True)
class Row:
    """One document that an engine found.

    Attributes:
        id: id of the record.
        fields: requested hash fields that exist; vectors as float32, whatever their element type on the server.
        distance: distance from the query vector; NaN without a query vector.
    """

    id: str
    fields: Mapping[str, bytes]
    distance: float = math.nan

    @property
    def version(self) -> bytes | None:
        """Version of the document, new with every write; None if an earlier version of this library wrote it."""
        return self.fields.get(VERSION)

    def get(self, name: str) -> bytes | None:
        """Return a field; None if it was not requested or does not exist."""
        return self.fields.get(name)

    def checked(self, metadata: Mapping[str, Any]) -> Row:
        """Return the row with its decoded metadata, so that it is not decoded again."""
        return CheckedRow(self.id, self.fields, self.distance, metadata)


@dataclass(slots=True)
class CheckedRow(Row):
    """A row that matched the filter, with its decoded metadata.

    Attributes:
        metadata: the decoded metadata of the record.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)


class FoundRow(Row):
    """A row as a reply has it: the names of its fields are decoded only if `fields` is read.

    Attributes:
        raw: the fields by their names in bytes. Also holds the distance, which is no field of the hash.
        metadata: the decoded metadata of the record; None before it is decoded.
    """

    __slots__ = ("metadata", "raw")

    def __init__(
        self,
        id: str,
        fields: Mapping[str, bytes] | None = None,
        distance: float = math.nan,
        raw: Mapping[bytes, bytes] | None = None,
    ) -> None:
        self.id = id
        self.distance = distance
        self.metadata: Mapping[str, Any] | None = None
        if fields is None and raw is not None:
            self.raw = raw
        else:
            self.fields = fields or {}
            self.raw = {name.encode(): value for name, value in self.fields.items()}

    @classmethod
    def of_reply(cls, id: str, distance: float, raw: Mapping[bytes, bytes]) -> FoundRow:
        """Create a row from a hash in a reply."""
        row = cls.__new__(cls)
        row.id = id
        row.distance = distance
        row.raw = raw
        row.metadata = None
        return row

    def get(self, name: str) -> bytes | None:
        """Return a field; None if it was not requested or does not exist."""
        return self.raw.get(name.encode())

    def checked(self, metadata: Mapping[str, Any]) -> FoundRow:
        """Return the row with its decoded metadata, so that it is not decoded again."""
        self.metadata = metadata
        return self

    def __getattr__(self, name: str) -> Any:
        """Decode the names when `fields` is read for the first time."""
        if name != "fields":
            raise AttributeError(name)
        fields = self.fields = {
            _names[key]: value for key, value in self.raw.items() if key != DISTANCE_FIELD
        }
        return fields


class _Names(dict[bytes, str]):
    """The names of hash fields, each decoded once. A search returns the fields that it names, so they are few."""

    def __missing__(self, name: bytes) -> str:
        decoded = self[name] = name.decode()
        return decoded


_names = _Names()


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """Outcome of writing one batch.

    Attributes:
        written: number of stored documents.
        present: ids that existed already, with the policies FAIL and SKIP.
        failed: id that the server rejected -> its error.
    """

    written: int
    present: tuple[str, ...] = ()
    failed: Mapping[str, ServerError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetadataReplacement:
    """New metadata of one document.

    Attributes:
        id: id of the document.
        expected: the metadata that was read; compared if the document has no version.
        version: the version that was read; None if an earlier version of this library wrote the document.
        fields: names and values in turn.
        removed: names of fields to remove, in addition to the fields of indexed metadata, which are all replaced.
    """

    id: str
    expected: bytes
    version: bytes | None
    fields: Sequence[str | bytes]
    removed: Sequence[str] = ()
