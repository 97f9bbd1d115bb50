"""Documents as the engines read and write them: rows, outcomes of batches, and metadata replacements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from valkey_vector.errors import ServerError
from valkey_vector.storage.record_version import VERSION

__all__ = ["MetadataReplacement", "Row", "StaleIndexError", "WriteOutcome"]


class StaleIndexError(Exception):
    """The index was dropped or created anew since it was opened. Handled by the index, never shown."""


# Not frozen: a frozen dataclass takes three times as long to create, and a search creates one for each result.
@dataclass(slots=True)
class Row:
    """One document as an engine found it.

    Attributes:
        id: the record's id.
        fields: those of the requested hash fields that it has.
        distance: distance from the query vector; NaN without one.
    """

    id: str
    fields: Mapping[str, bytes]
    distance: float = math.nan

    @property
    def version(self) -> bytes | None:
        """Differs after every write of the document; None for one that an earlier version of this library wrote."""
        return self.fields.get(VERSION)


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What became of one batch.

    Attributes:
        written: how many documents were stored.
        present: ids that were there already, with FAIL and SKIP.
        failed: ids that the server refused, each with its error.
    """

    written: int
    present: tuple[str, ...] = ()
    failed: Mapping[str, ServerError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MetadataReplacement:
    """New fields for one document.

    Attributes:
        id: of the document.
        expected: the metadata that was read; compared where the document has no version.
        version: the document's version that was read; None for one that an earlier version of this library wrote.
        fields: names and values in turn.
        removed: names of fields to remove beside those of indexed metadata, all of which are replaced.
    """

    id: str
    expected: bytes
    version: bytes | None
    fields: Sequence[str | bytes]
    removed: Sequence[str] = ()
