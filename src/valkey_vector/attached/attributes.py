"""Attributes of an index of a search module, and their arguments in FT.CREATE.

The rules follow the recorded behavior of Valkey-Search 1.2.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias, assert_never

from valkey_vector.errors import ConfigurationError
from valkey_vector.schema.schema import LARGEST_DIMENSION, Metric

__all__ = [
    "ELEMENT_TYPES",
    "Attribute",
    "NumericAttribute",
    "OtherAttribute",
    "TagAttribute",
    "TextAttribute",
    "VectorAttribute",
    "attribute_name",
    "attribute_options",
    "check_creatable",
]

ELEMENT_TYPES = ("FLOAT32", "FLOAT16", "BFLOAT16", "FLOAT64")
"""Element types of vectors that this library searches. Valkey-Search has FLOAT32 only."""

_MAX_TAG_FIELD = 256
_MAX_NUMERIC_FIELD = 128


@dataclass(frozen=True, slots=True)
class _Named:
    """Location and name of an attribute.

    Attributes:
        identifier: hash field, or JSON path (``$.address.city``).
        alias: name in queries; None uses the hash field. A JSON path needs an alias.
    """

    identifier: str
    alias: str | None = None

    def _check(self) -> None:
        if self.alias == self.identifier:
            object.__setattr__(self, "alias", None)
        for value in (self.identifier, attribute_name(self)):
            if not isinstance(value, str) or not value:
                raise ConfigurationError(
                    f"an attribute needs a field and a name of non-empty text, not {value!r}"
                )


@dataclass(frozen=True, slots=True)
class TagAttribute(_Named):
    """TAG attribute: texts that are matched exactly.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        separator: one character at which the server splits a text into tags; it cannot be escaped. Empty only for an
            existing index that does not split texts (RediSearch over JSON).
        case_sensitive: True distinguishes ``Red`` and ``red``. False ignores the case of ASCII letters.
        indexed: False only for an existing RediSearch index with NOINDEX: the attribute cannot be queried, so the client
            checks filters on it.
    """

    kind: ClassVar[Literal["TAG"]] = "TAG"
    separator: str = ","
    case_sensitive: bool = False
    indexed: bool = True

    def __post_init__(self) -> None:
        self._check()
        if not isinstance(self.separator, str) or len(self.separator) > 1:
            raise ConfigurationError(
                f"the separator of tag attribute {attribute_name(self)!r} must be one character, not {self.separator!r}"
            )


@dataclass(frozen=True, slots=True)
class NumericAttribute(_Named):
    """NUMERIC attribute: numbers, as doubles.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        indexed: False only for an existing RediSearch index with NOINDEX: the attribute cannot be queried, so the client
            checks filters on it.
    """

    kind: ClassVar[Literal["NUMERIC"]] = "NUMERIC"
    indexed: bool = True

    def __post_init__(self) -> None:
        self._check()


@dataclass(frozen=True, slots=True)
class TextAttribute(_Named):
    """TEXT attribute: text for full-text search.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        stemming: True also matches other forms of a term.
        suffix_trie: True allows queries for suffixes.
        indexed: False only for an existing RediSearch index with NOINDEX: the attribute cannot be queried, so the client
            checks filters on it.

    Engines:
        Valkey-Search 1.2 or later, or RediSearch.
    """

    kind: ClassVar[Literal["TEXT"]] = "TEXT"
    stemming: bool = True
    suffix_trie: bool = False
    indexed: bool = True

    def __post_init__(self) -> None:
        self._check()


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorAttribute(_Named):
    """VECTOR attribute: vectors, in hashes as little-endian bytes of the element type, in JSON as a list of numbers.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        dimension: number of components, 1 to 32,768.
        metric: COSINE, L2 or IP.
        algorithm: HNSW or FLAT.
        m, ef_construction, ef_runtime: parameters of HNSW; None uses the server's default.
        initial_cap: number of vectors to allocate space for; None uses the server's default. The server can report
            another number than requested.
        block_size: parameter of FLAT; None uses the server's default.
        data_type: element type: FLOAT32, or on RediSearch FLOAT16, BFLOAT16 or FLOAT64. An existing index can have other
            types, which this library does not search.
    """

    kind: ClassVar[Literal["VECTOR"]] = "VECTOR"
    identifier: str = field(kw_only=False)
    alias: str | None = field(default=None, kw_only=False)
    dimension: int
    metric: Metric = Metric.COSINE
    algorithm: Literal["HNSW", "FLAT"] = "HNSW"
    m: int | None = None
    ef_construction: int | None = None
    ef_runtime: int | None = None
    initial_cap: int | None = None
    block_size: int | None = None
    data_type: str = "FLOAT32"

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "metric", Metric.parse(self.metric))
        if self.algorithm not in ("HNSW", "FLAT"):
            raise ConfigurationError(f"algorithm must be HNSW or FLAT, not {self.algorithm!r}")
        for name, value, highest in (
            ("dimension", self.dimension, LARGEST_DIMENSION),
            ("m", self.m, 2_000_000),
            ("ef_construction", self.ef_construction, 1_000_000),
            ("ef_runtime", self.ef_runtime, 1_000_000),
            ("initial_cap", self.initial_cap, None),
            ("block_size", self.block_size, None),
        ):
            low = 2 if name == "m" else 1
            if value is not None and not _is_within(value, low, highest):
                raise ConfigurationError(
                    f"{name} of vector attribute {attribute_name(self)!r} must be an integer "
                    + (f"from {low} to {highest}" if highest else f">= {low}")
                    + f", not {value!r}"
                )
        only_hnsw = (self.m, self.ef_construction, self.ef_runtime)
        if self.algorithm == "FLAT" and any(value is not None for value in only_hnsw):
            raise ConfigurationError("m, ef_construction and ef_runtime are settings of HNSW")
        if self.algorithm == "HNSW" and self.block_size is not None:
            raise ConfigurationError("block_size is a setting of FLAT")

    @property
    def settings(self) -> dict[str, str]:
        """Parameter name in FT.CREATE -> value."""
        named = {
            "TYPE": self.data_type,
            "DIM": self.dimension,
            "DISTANCE_METRIC": self.metric.value,
            "INITIAL_CAP": self.initial_cap,
            "M": self.m,
            "EF_CONSTRUCTION": self.ef_construction,
            "EF_RUNTIME": self.ef_runtime,
            "BLOCK_SIZE": self.block_size,
        }
        return {name: str(value) for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class OtherAttribute(_Named):
    """Attribute of a type that only RediSearch has. It is reported, but cannot be created or used in filters.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        kind: type of the attribute.
    """

    kind: str = "UNKNOWN"


Attribute: TypeAlias = (
    TagAttribute | NumericAttribute | TextAttribute | VectorAttribute | OtherAttribute
)
"""One attribute of an index."""


def attribute_name(attribute: Any) -> str:
    """Name of an attribute in queries."""
    name: str = attribute.identifier if attribute.alias is None else attribute.alias
    return name


def check_creatable(attribute: Attribute) -> None:
    """Check that a server can have an attribute.

    Raises:
        ConfigurationError: it cannot.
    """
    name = attribute_name(attribute)
    if (
        isinstance(attribute, (TagAttribute, NumericAttribute, TextAttribute))
        and not attribute.indexed
    ):
        raise ConfigurationError(f"{name!r} is not indexed: leave it out of the index")
    match attribute:
        case OtherAttribute(kind=kind):
            raise ConfigurationError(f"Valkey-Search has no attributes of type {kind} ({name!r})")
        case TagAttribute(separator=separator):
            if not separator or not separator.isascii():
                raise ConfigurationError(
                    f"the separator of {name!r} must be one ASCII character, not {separator!r}"
                )
            max_length = _MAX_TAG_FIELD
        case NumericAttribute():
            max_length = _MAX_NUMERIC_FIELD
        case VectorAttribute(data_type=data_type):
            if data_type not in ELEMENT_TYPES:
                raise ConfigurationError(
                    f"the data_type of {name!r} must be one of {', '.join(ELEMENT_TYPES)}, not {data_type!r}"
                )
            return
        case TextAttribute():
            return
        case _:
            assert_never(attribute)
    if len(attribute.identifier) > max_length:
        raise ConfigurationError(
            f"the field of {name!r} has more than {max_length} characters, the maximum of {attribute.kind}"
        )


def attribute_options(attribute: Attribute) -> Iterator[str]:
    """Iterate over the arguments of an attribute in FT.CREATE, after its name."""
    yield attribute.kind
    match attribute:
        case TagAttribute(separator=separator, case_sensitive=case_sensitive):
            yield from ("SEPARATOR", separator)
            if case_sensitive:
                yield "CASESENSITIVE"
        case TextAttribute(stemming=stemming, suffix_trie=suffix_trie):
            if not stemming:
                yield "NOSTEM"
            if suffix_trie:
                yield "WITHSUFFIXTRIE"
        case VectorAttribute():
            settings = [word for pair in attribute.settings.items() for word in pair]
            yield from (attribute.algorithm, str(len(settings)), *settings)
        case NumericAttribute() | OtherAttribute():
            pass
        case _:
            assert_never(attribute)


def _is_within(value: Any, low: int, high: int | None) -> bool:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return is_integer and value >= low and (high is None or value <= high)
