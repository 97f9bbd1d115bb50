"""Documents as engines read and write them: rows, outcomes of batches, and metadata replacements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from valkey_vector.errors import ServerError
from valkey_vector.storage.record_version import VERSION

__all__ = ["CheckedRow", "MetadataReplacement", "Row", "StaleIndexError", "WriteOutcome"]


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


@dataclass(slots=True)
class CheckedRow(Row):
    """A row that matched the filter, with its decoded metadata.

    Attributes:
        metadata: the decoded metadata of the record.
    """

    metadata: Mapping[str, Any] = field(default_factory=dict)


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
