"""Results of the MCP tools: plain values that become JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from valkey_vector.records.record import Record

__all__ = [
    "FoundRecord",
    "IndexSummary",
    "KeyFacet",
    "KeyHint",
    "SearchResponse",
    "ValueCount",
    "found",
    "json_value",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecord:
    """One record.

    Attributes:
        id: the record's id.
        content: its text, cut at the limit of the served index.
        truncated: True if the text was cut.
        metadata: its metadata; dates as ISO 8601 text.
        score: higher is better. None for a record that was fetched by id.
    """

    id: str
    content: str
    truncated: bool
    metadata: dict[str, Any]
    score: float | None = None


# No slots: the SDK would take a slot of the returned class for a default value.
@dataclass(frozen=True, kw_only=True)
class SearchResponse:
    """Records that a search returned, best first.

    Attributes:
        method: how the records were ranked.
        records: the records.
    """

    method: Literal["text", "vector", "hybrid", "similar"]
    records: list[FoundRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueCount:
    """One value of a metadata key, and the number of records that have it."""

    value: Any
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacet:
    """The values of one metadata key.

    Attributes:
        key: the metadata key.
        values: the most frequent values first.
        distinct: number of distinct values, including those that are not listed.
        missing: number of records without the key.
    """

    key: str
    values: list[ValueCount]
    distinct: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHint:
    """Type and examples of one metadata key, from a sample of records.

    Attributes:
        key: the metadata key; ``a.b`` reaches into an object.
        types: JSON types of its values, such as ``string`` or ``list of string``; ``date`` is ISO 8601 text.
        examples: some values, each at most once.
        share: share of the sampled records that have the key, 0 to 1.
    """

    key: str
    types: list[str]
    examples: list[Any]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSummary:
    """Description of a served index.

    Attributes:
        name: name of the index.
        description: what its records are about, as its operator wrote it.
        records: number of records that the tools can return.
        search_methods: methods of ``search`` that this index supports.
        keys: metadata keys to filter on.
        sampled: number of records from which the keys were read.
    """

    name: str
    description: str
    records: int
    search_methods: list[str]
    keys: list[KeyHint]
    sampled: int


def found(record: Record, *, max_characters: int, score: float | None = None) -> FoundRecord:
    """Convert a record.

    Args:
        record: a record of the index.
        max_characters: maximum length of the returned text.
        score: the score of a hit.
    """
    return FoundRecord(
        id=record.id,
        content=record.content[:max_characters],
        truncated=len(record.content) > max_characters,
        metadata={key: json_value(value) for key, value in record.metadata.items()},
        score=score,
    )


def json_value(value: Any) -> Any:
    """Convert a metadata value to one that JSON has: dates become ISO 8601 text, NaN and infinity text."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
