"""Documents of other programs for tests of attached indexes: definitions, hashes, and the numbers in their keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from valkey_vector import (
    Connection,
    IndexDefinition,
    Metric,
    NumericAttribute,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
)

__all__ = ["definition_of", "numbers", "packed", "write_hashes"]


def packed(*components: float) -> bytes:
    """A vector of float32 as a hash field holds it."""
    return np.array(components, "<f4").tobytes()


def numbers(found: Any) -> list[int]:
    """The last parts of the keys of documents or hits."""
    documents = [getattr(each, "document", each) for each in found]
    return [int(document.key.rsplit(":", 1)[1]) for document in documents]


def write_hashes(connection: Connection, keyed: Mapping[str, Mapping[str, Any]]) -> None:
    """Write hashes by key, in one round trip."""
    connection.pipeline(
        [
            ["HSET", key, *(part for pair in fields.items() for part in pair)]
            for key, fields in keyed.items()
        ]
    )


def definition_of(
    name: str, *prefixes: str, on: Literal["hash", "json"] = "hash"
) -> IndexDefinition:
    """An index named ``<name>-foreign``: a vector, two kinds of tags, a number and a text."""
    path = "{}" if on == "hash" else '$["{}"]'
    return IndexDefinition(
        name=f"{name}-foreign",
        on=on,
        prefixes=prefixes,
        attributes=(
            VectorAttribute(path.format("v"), "v", dimension=2, metric=Metric.L2, algorithm="FLAT"),
            TagAttribute(path.format("t"), "t"),
            TagAttribute(path.format("raw tenant"), "u", separator="|", case_sensitive=True),
            NumericAttribute(path.format("n"), "n"),
            TextAttribute(path.format("x"), "x"),
        ),
    )
