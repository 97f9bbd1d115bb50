"""Vector fields of a schema: metric, algorithm and element type, and their parsing from settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, TypeAlias, assert_never

from valkey_vector.errors import ConfigurationError
from valkey_vector.records.tokens import is_unicode
from valkey_vector.records.validation import check_known, check_range
from valkey_vector.records.vectors import DATA_TYPES, DataType

__all__ = [
    "LARGEST_DIMENSION",
    "MAIN_VECTOR",
    "Algorithm",
    "Flat",
    "Hnsw",
    "Metric",
    "VectorField",
    "algorithm_of",
    "algorithm_settings",
    "check_comparison",
    "parse_data_type",
    "vector_field_of",
]

MAIN_VECTOR = "vector"
"""Name of the main vector, which every schema has. Additional vectors cannot use it."""

LARGEST_DIMENSION = 32_768
"""Maximum dimension of Valkey-Search 1.2."""


class Metric(StrEnum):
    """Distance metric of a vector field."""

    COSINE = "COSINE"
    L2 = "L2"
    IP = "IP"

    @classmethod
    def parse(cls, value: Metric | str) -> Metric:
        """Parse a metric: a member, or its name in any case.

        Raises:
            ConfigurationError: the name is not a metric.
        """
        try:
            return cls(value.upper())
        except (ValueError, AttributeError):
            raise ConfigurationError(f"metric {value!r} is not one of {', '.join(cls)}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hnsw:
    """Approximate nearest-neighbor search with an HNSW graph: fast at any size.

    Attributes:
        m: links per node, 2 to 512. More links improve recall, use more memory and slow down writes.
        ef_construction: candidates examined per insert, 1 to 4096.
        ef_runtime: candidates examined per search, 1 to 4096; a query can override it. The server's
            default, 10, misses one neighbor in ten on real embeddings; 100 finds 99.9% of them.
        initial_cap: number of vectors to allocate space for, >= 1; None uses the server's default.

    Raises:
        ConfigurationError: a value is out of range.
    """

    name: ClassVar[Literal["HNSW"]] = "HNSW"

    m: int = 16
    ef_construction: int = 200
    ef_runtime: int = 100
    initial_cap: int | None = None

    def __post_init__(self) -> None:
        check_range("m", self.m, 2, 512)
        check_range("ef_construction", self.ef_construction, 1, 4096)
        check_range("ef_runtime", self.ef_runtime, 1, 4096)
        _check_cap(self.initial_cap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """Exact search that compares the query with every vector: for up to about ten thousand vectors.

    Attributes:
        initial_cap: number of vectors to allocate space for, >= 1; None uses the server's default.

    Raises:
        ConfigurationError: the value is out of range.
    """

    name: ClassVar[Literal["FLAT"]] = "FLAT"

    initial_cap: int | None = None

    def __post_init__(self) -> None:
        _check_cap(self.initial_cap)


Algorithm: TypeAlias = Hnsw | Flat


@dataclass(frozen=True, slots=True)
class VectorField:
    """An additional, named vector of each record: for a title, an image, or another embedding model.

    Attributes:
        name: name in records and queries, 1 to 100 characters; not ``vector``, the name of the main vector.
        dimension: number of components, 1 to 32,768.
        metric: COSINE, L2 or IP.
        algorithm: `Hnsw` or `Flat`.
        data_type: element type of the stored vectors: FLOAT32, FLOAT16 or BFLOAT16, in upper or lower case. The last two
            take half the memory. Vectors and queries are rounded to the type, ties to even, and returned as float32.
            FLOAT16 holds three decimal digits, up to 65,504; BFLOAT16 holds two, up to 3.38e38.

    Raises:
        ConfigurationError: a value is out of range.

    Engines:
        FLOAT16 and BFLOAT16: the native engine, and RediSearch. Valkey-Search 1.2.1 has FLOAT32 only.
    """

    name: str
    dimension: int
    metric: Metric = Metric.COSINE
    algorithm: Algorithm = field(default_factory=Hnsw)
    data_type: DataType = "FLOAT32"

    def __post_init__(self) -> None:
        named = isinstance(self.name, str) and 0 < len(self.name) <= 100 and is_unicode(self.name)
        if not named:
            raise ConfigurationError(
                f"a vector field needs a name of 1 to 100 characters, not {self.name!r}"
            )
        check_range(f"dimension of {self.name!r}", self.dimension, 1, LARGEST_DIMENSION)
        check_comparison(self.metric, self.algorithm)
        object.__setattr__(self, "data_type", parse_data_type(self.data_type))

    def to_dict(self) -> dict[str, Any]:
        """Convert the field into JSON-like values."""
        return {
            "name": self.name,
            "dimension": self.dimension,
            "metric": self.metric.value,
            "algorithm": {"name": self.algorithm.name, **asdict(self.algorithm)},
            # Omitted for the default, to match the catalog records of indexes from before this setting existed.
            **({"data_type": self.data_type} if self.data_type != "FLOAT32" else {}),
        }


def algorithm_of(value: Any) -> Algorithm:
    """Parse an algorithm: an `Algorithm`, its name, or a dict of its name and settings.

    Raises:
        ConfigurationError: the name or a setting is unknown.
    """
    match value:
        case Hnsw() | Flat():
            return value
        case str():
            settings: dict[str, Any] = {"name": value}
        case Mapping():
            settings = dict(value)
        case _:
            raise ConfigurationError(
                f"algorithm must be HNSW, FLAT or a dict with a name, not {value!r}"
            )
    name = str(settings.pop("name", "HNSW")).upper()
    match name:
        case "HNSW":
            check_known("HNSW", settings, {"m", "ef_construction", "ef_runtime", "initial_cap"})
            return Hnsw(**settings)
        case "FLAT":
            check_known("FLAT", settings, {"initial_cap"})
            return Flat(**settings)
        case _:
            raise ConfigurationError(f"algorithm {name!r} is not HNSW or FLAT")


def vector_field_of(value: Any) -> VectorField:
    """Parse a vector field: a `VectorField`, or a dict in the form of `VectorField.to_dict`.

    Raises:
        ConfigurationError: a setting is missing, unknown or out of range.
    """
    if isinstance(value, VectorField):
        return value
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"a vector field must be a VectorField or a dict with name and dimension, not {value!r}"
        )
    check_known("a vector field", value, {"name", "dimension", "metric", "algorithm", "data_type"})
    if missing := {"name", "dimension"} - value.keys():
        raise ConfigurationError(f"the vector field {dict(value)!r} lacks {sorted(missing)}")
    return VectorField(
        value["name"],
        value["dimension"],
        Metric.parse(value.get("metric", Metric.COSINE)),
        algorithm_of(value.get("algorithm", Hnsw())),
        parse_data_type(value.get("data_type", "FLOAT32")),
    )


def parse_data_type(value: Any) -> DataType:
    """Parse an element type of vectors: its name in any case.

    Raises:
        ConfigurationError: the name is not an element type.
    """
    for known in DATA_TYPES:
        if isinstance(value, str) and value.upper() == known:
            return known
    raise ConfigurationError(f"data_type {value!r} is not one of {', '.join(DATA_TYPES)}")


def algorithm_settings(algorithm: Algorithm) -> dict[str, int]:
    """Parameter name in FT.CREATE -> value, without the parameters that use the server's default."""
    match algorithm:
        case Hnsw(m=m, ef_construction=ef_construction, ef_runtime=ef_runtime, initial_cap=cap):
            settings = {"M": m, "EF_CONSTRUCTION": ef_construction, "EF_RUNTIME": ef_runtime}
        case Flat(initial_cap=cap):
            settings = {}
        case _:
            assert_never(algorithm)
    return settings if cap is None else {"INITIAL_CAP": cap, **settings}


def check_comparison(metric: Any, algorithm: Any) -> None:
    """Check the types of a metric and an algorithm.

    Raises:
        ConfigurationError: one of them is a name or another value.
    """
    if not isinstance(metric, Metric):
        raise ConfigurationError(f"metric must be a Metric, not {metric!r}")
    if not isinstance(algorithm, Algorithm):
        raise ConfigurationError(f"algorithm must be Hnsw or Flat, not {algorithm!r}")


def _check_cap(value: int | None) -> None:
    if value is not None:
        check_range("initial_cap", value, 1, 2**31 - 1)
