"""Values of the public API: records, hits, write policies and write results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from valkey_vector.errors import ConfigurationError

__all__ = [
    "Hit",
    "Metadata",
    "OpenHit",
    "OpenRecord",
    "Record",
    "Vector",
    "WritePolicy",
    "WriteResult",
    "new_hit",
    "new_record",
]

Vector: TypeAlias = Sequence[float] | NDArray[np.floating[Any]]
"""One embedding: a sequence or one-dimensional array of finite floats."""

Metadata: TypeAlias = Mapping[str, Any]
"""Key -> JSON-like value: None, bool, int, float, str, date, datetime, and lists and dicts of these."""


class WritePolicy(StrEnum):
    """Behavior of a write for an id that is already stored."""

    OVERWRITE = "OVERWRITE"
    SKIP = "SKIP"
    FAIL = "FAIL"

    @classmethod
    def parse(cls, value: WritePolicy | str) -> WritePolicy:
        """Parse a policy: a member, or its name in any case.

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
    """One stored record.

    Attributes:
        id: unique within its index; any non-empty string without NUL.
        content: the text of the record.
        vector: the main vector, of the index's dimension. None stores the record without it: queries by id and
            by filter return the record, vector queries do not.
        vectors: additional vectors by their names in the schema; each is optional.
        metadata: see `Metadata`. You can filter on every key without declaring it.
        parent: id of the parent, such as the document of a chunk; a non-empty string of at most 4,096
            characters. Filter on it with ``F.parent``; it is separate from metadata.
        payload: additional bytes of the application or adapter. They are not indexed, and are returned only on
            request.
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
    """One search result.

    Attributes:
        record: the matching record; its vector is None unless requested.
        score: score of the query's ranking; higher is better. For vector queries it is the similarity.
        distance: distance in the server's definition; lower is more similar. COSINE: 0 to 2. L2: the squared
            Euclidean distance. IP: 1 - inner product. NaN if the query compared no vector.
        similarity: higher is more similar. COSINE: the cosine, -1 to 1. L2: 1 / (1 + Euclidean distance),
            above 0 to 1. IP: the inner product, unbounded. NaN if the query compared no vector.
    """

    record: Record
    score: float
    distance: float = math.nan
    similarity: float = math.nan


# A frozen dataclass sets each attribute through a function of its base, which takes four times as long as an assignment.
# A search creates a record and a hit for each result, so they are filled as an object of the same layout, which then
# becomes the frozen one.


class OpenRecord:
    """A `Record` while its attributes are set; then its ``__class__`` becomes `Record`."""

    __slots__ = Record.__slots__

    def __init__(  # noqa: PLR0917 - keywords take longer
        self,
        id: str,
        content: str,
        vector: Vector | None,
        metadata: Metadata,
        parent: str | None,
        payload: bytes | None,
        vectors: Mapping[str, Vector],
    ) -> None:
        self.id = id
        self.content = content
        self.vector = vector
        self.metadata = metadata
        self.parent = parent
        self.payload = payload
        self.vectors = vectors
        created: Any = self
        created.__class__ = Record


class OpenHit:
    """A `Hit` while its attributes are set; then its ``__class__`` becomes `Hit`."""

    __slots__ = Hit.__slots__

    def __init__(self, record: Record, score: float, distance: float, similarity: float) -> None:
        self.record = record
        self.score = score
        self.distance = distance
        self.similarity = similarity
        created: Any = self
        created.__class__ = Hit


new_record = cast(
    "Callable[[str, str, Vector | None, Metadata, str | None, bytes | None, Mapping[str, Vector]], Record]",
    OpenRecord,
)
"""Create a `Record` fast. The arguments are its attributes, in order."""

new_hit = cast("Callable[[Record, float, float, float], Hit]", OpenHit)
"""Create a `Hit` fast. The arguments are its attributes, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """Result of a bulk write.

    Attributes:
        written: number of records stored, new or overwritten.
        skipped: ids of existing records that the policy SKIP left unchanged.
    """

    written: int
    skipped: tuple[str, ...] = ()
