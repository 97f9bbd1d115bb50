"""The values that go in and come out: records, hits and the results of writes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from valkey_vector.errors import ConfigurationError

__all__ = ["Hit", "Metadata", "Record", "Vector", "WritePolicy", "WriteResult"]

Vector: TypeAlias = Sequence[float] | NDArray[np.floating[Any]]
"""One embedding: a sequence or one-dimensional array of finite floats."""

Metadata: TypeAlias = Mapping[str, Any]
"""Keys to JSON-like values: None, bool, int, float, str, date, datetime, and lists and dicts of them."""


class WritePolicy(StrEnum):
    """What a write does with an id that is already stored. Decided by the server, race-free."""

    OVERWRITE = "OVERWRITE"
    SKIP = "SKIP"
    FAIL = "FAIL"

    @classmethod
    def parse(cls, value: WritePolicy | str) -> WritePolicy:
        """Accept a member or its name in any case.

        Raises:
            ConfigurationError: the name is not a policy.
        """
        try:
            return cls(value.upper())
        except (ValueError, AttributeError):
            names = ", ".join(cls)
            raise ConfigurationError(f"write policy {value!r} is not one of {names}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One stored item.

    Attributes:
        id: unique within its index; any non-empty text without NUL.
        content: the text itself.
        vector: the embedding, of the index's dimension; None stores the record without one: it
            is found by id and by filter, never by vector.
        vectors: further vectors by the name that the schema gives each; any may be missing.
        metadata: see `Metadata`. Every key can be filtered on, none needs a declaration.
        parent: id of what the record is a part of, such as the document a chunk was cut from; any non-empty text
            of at most 4,096 characters, filtered on as ``F.parent``, apart from all metadata.
        payload: bytes kept with the record, for what an application or adapter has beyond these; not
            indexed, and brought only when asked for.
    """

    id: str
    content: str = ""
    vector: Vector | None = None
    metadata: Metadata = field(default_factory=dict)
    parent: str | None = None
    payload: bytes | None = None
    vectors: Mapping[str, Vector] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A record that a search found.

    Attributes:
        record: what was found; its vector is None unless asked for.
        score: what the hits are ordered by, higher is better: of a search by vector the similarity.
        distance: as the server reports it, lower is nearer: COSINE 0 to 2, L2 the squared
            Euclidean distance, IP 1 - inner product.
        similarity: higher is nearer: COSINE the cosine, -1 to 1; L2 1 / (1 + Euclidean distance),
            above 0 to 1; IP the inner product, unbounded. Both are NaN where no vector was compared.
    """

    record: Record
    score: float
    distance: float = math.nan
    similarity: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """What a bulk write did.

    Attributes:
        written: records stored, new or overwritten.
        skipped: ids left as they were by the policy SKIP.
    """

    written: int
    skipped: tuple[str, ...] = ()
