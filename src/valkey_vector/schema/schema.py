"""Index schemas: vector settings, declared fields and text analysis.

You can filter on every metadata key without declaring it. A declared field has its own field in the server's index.
A numeric field answers range filters without using a numeric slot. A tag field supports grouping. A text field
supports text search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, assert_never

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.records.tokens import is_unicode
from valkey_vector.records.validation import check_known, check_range
from valkey_vector.schema.fields import (
    DeclaredField,
    NumericField,
    TagField,
    TextField,
    declared_fields,
)
from valkey_vector.schema.full_text import FullText

__all__ = [
    "Algorithm",
    "DeclaredField",
    "Flat",
    "Hnsw",
    "Metric",
    "NumericField",
    "Schema",
    "TagField",
    "TextField",
    "VectorField",
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

    Raises:
        ConfigurationError: a value is out of range.
    """

    name: str
    dimension: int
    metric: Metric = Metric.COSINE
    algorithm: Algorithm = field(default_factory=Hnsw)

    def __post_init__(self) -> None:
        named = isinstance(self.name, str) and 0 < len(self.name) <= 100 and is_unicode(self.name)
        if not named:
            raise ConfigurationError(
                f"a vector field needs a name of 1 to 100 characters, not {self.name!r}"
            )
        check_range(f"dimension of {self.name!r}", self.dimension, 1, LARGEST_DIMENSION)
        _check_comparison(self.metric, self.algorithm)

    def to_dict(self) -> dict[str, Any]:
        """Convert the field into JSON-like values."""
        return {
            "name": self.name,
            "dimension": self.dimension,
            "metric": self.metric.value,
            "algorithm": {"name": self.algorithm.name, **asdict(self.algorithm)},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Settings of an index. They are fixed when the index is created: Valkey-Search cannot alter an index.

    Attributes:
        dimension: length of the main vector, 1 to 32,768; None takes it from the first vector.
        metric: COSINE, L2 or IP.
        algorithm: `Hnsw` or `Flat`.
        fields: declared fields: metadata items with their own field in the server's index; optional.
        numeric_slots: pool of numeric fields for undeclared numbers and dates, 0 to 64. A metadata key with such
            values takes a slot on its first write. Filters on keys without a slot stay exact, but are slower.
        vectors: additional, named vectors; a query searches one of them.
        full_text: text analysis of the content and of `TextField`s, for text and hybrid search. None disables
            both. The terms take memory on the server (about 14 times the size of the text on Valkey-Search 1.2.1,
            1.5 times with the native engine) and slow down writes. A `TextField` enables it.

    Raises:
        ConfigurationError: a setting is out of range, or two settings contradict each other.
    """

    dimension: int | None = None
    metric: Metric = Metric.COSINE
    algorithm: Algorithm = field(default_factory=Hnsw)
    fields: tuple[DeclaredField, ...] = ()
    numeric_slots: int = 10
    vectors: tuple[VectorField, ...] = ()
    full_text: FullText | None = None

    def __post_init__(self) -> None:
        if self.dimension is not None:
            check_range("dimension", self.dimension, 1, LARGEST_DIMENSION)
        check_range("numeric_slots", self.numeric_slots, 0, 64)
        # Only `of` accepts names. Without this check a name would fail on first use.
        _check_comparison(self.metric, self.algorithm)
        if not isinstance(self.full_text, FullText | None):
            raise ConfigurationError(f"full_text must be FullText or None, not {self.full_text!r}")
        for name in ("fields", "vectors"):
            given = getattr(self, name)
            if not isinstance(given, list | tuple):
                raise ConfigurationError(f"{name} must be a tuple, not {given!r}")
            object.__setattr__(self, name, tuple(given))
        names = [MAIN_VECTOR]
        for vector in self.vectors:
            if not isinstance(vector, VectorField):
                raise ConfigurationError(f"vectors must hold VectorField values, not {vector!r}")
            if vector.name in names:
                raise ConfigurationError(f"the vector {vector.name!r} is declared more than once")
            names.append(vector.name)
        for declared in self.fields:
            if not isinstance(declared, DeclaredField):
                raise ConfigurationError(
                    f"fields must hold TagField, NumericField or TextField values, not {declared!r}"
                )
            if isinstance(declared, TextField) and self.full_text is None:
                object.__setattr__(self, "full_text", FullText())
        paths = [field.path for field in self.fields]
        for path in paths:
            if not isinstance(path, str) or not path:
                raise ConfigurationError(f"a declared field needs a name, not {path!r}")
            if paths.count(path) > 1:
                raise ConfigurationError(f"the field {path!r} is declared more than once")

    @classmethod
    def of(
        cls,
        source: Schema | Mapping[str, Any] | str | Path | None = None,
        *,
        dimension: int | None = None,
        metric: Metric | str | None = None,
        algorithm: Algorithm | str | None = None,
        full_text: FullText | bool | None = None,
    ) -> Schema:
        """Create a schema from a schema, a dict or a YAML file, and override single settings.

        Args:
            source: a schema, a dict in the form of `to_dict`, the path of a YAML file with such a dict, or None.
            dimension: overrides the source's dimension, unless None.
            metric: overrides the source's metric, unless None.
            algorithm: overrides the source's algorithm, unless None.
            full_text: overrides the source's text analysis, unless None. True uses the default settings, False disables
                text search.

        Raises:
            ConfigurationError: a setting is unknown or out of range. The message names it.
        """
        match source:
            case None:
                schema = cls()
            case Schema():
                schema = source
            case Mapping():
                schema = cls.from_dict(source)
            case str() | Path():
                schema = cls.from_yaml(source)
            case _:
                raise ConfigurationError(
                    f"a schema must be a Schema, a dict or the path of a YAML file, not {type(source).__name__}"
                )
        if dimension is not None:
            schema = replace(schema, dimension=dimension)
        if metric is not None:
            schema = replace(schema, metric=Metric.parse(metric))
        if algorithm is not None:
            schema = replace(schema, algorithm=_algorithm(algorithm))
        if full_text is not None:
            schema = replace(schema, full_text=FullText.of(full_text))
            schema._check_text_fields(full_text)
        return schema

    def _check_text_fields(self, full_text: object) -> None:
        """Raise if text fields are declared and text search is disabled."""
        texts = [field.path for field in self.fields if isinstance(field, TextField)]
        if full_text is False and texts:
            raise ConfigurationError(
                f"full_text is False, but the field {texts[0]!r} is a text field, which needs it: remove one of the two"
            )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Schema:
        """Create a schema from a dict in the form of `to_dict`.

        Args:
            settings: the settings; ``fields`` can also be a dict of path to kind.

        Raises:
            ConfigurationError: a setting is unknown or out of range. The message names it.
        """
        known = {
            "dimension", "metric", "algorithm", "fields", "numeric_slots", "vectors", "full_text",
        }  # fmt: skip
        check_known("schema", settings, known)
        values = dict(settings)
        if "metric" in values:
            values["metric"] = Metric.parse(values["metric"])
        if "algorithm" in values:
            values["algorithm"] = _algorithm(values["algorithm"])
        if "fields" in values:
            values["fields"] = tuple(declared_fields(values["fields"]))
        if "vectors" in values:
            if not isinstance(values["vectors"], list | tuple):
                raise ConfigurationError(f"vectors must be a list, not {values['vectors']!r}")
            values["vectors"] = tuple(map(_vector_field, values["vectors"]))
        if "full_text" in values:
            values["full_text"] = FullText.of(values["full_text"])
        schema = cls(**values)
        schema._check_text_fields(settings.get("full_text"))
        return schema

    @classmethod
    def from_yaml(cls, path: str | Path) -> Schema:
        """Load a schema from a YAML file. Requires ``valkey-vector[yaml]``.

        Raises:
            ConfigurationError: the file cannot be read, or a setting in it is invalid.
        """
        try:
            import yaml
        except ImportError as error:
            raise ConfigurationError(
                'a schema in YAML needs PyYAML: pip install "valkey-vector[yaml]"'
            ) from error
        try:
            settings = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise ConfigurationError(
                f"the schema file {str(path)!r} cannot be read: {error}"
            ) from error
        if not isinstance(settings, Mapping):
            raise ConfigurationError(
                f"the schema file {str(path)!r} must contain a mapping of settings, not {type(settings).__name__}"
            )
        return cls.from_dict(settings)

    def to_dict(self) -> dict[str, Any]:
        """Convert the schema into JSON-like values."""
        return {
            "dimension": self.dimension,
            "metric": self.metric.value,
            "algorithm": {"name": self.algorithm.name, **asdict(self.algorithm)},
            "fields": [{"kind": field.kind, **asdict(field)} for field in self.fields],
            "numeric_slots": self.numeric_slots,
            # Omitted if empty, to match the catalog records of indexes from before this setting existed.
            **({"vectors": [field.to_dict() for field in self.vectors]} if self.vectors else {}),
            **({"full_text": self.full_text.to_dict()} if self.full_text else {}),
        }

    @property
    def vector_fields(self) -> tuple[VectorField, ...]:
        """All vector fields, the main one first.

        Raises:
            ConfigurationError: the dimension is not known yet.
        """
        return (self._main_vector(), *self.vectors)

    def _main_vector(self) -> VectorField:
        if self.dimension is None:
            raise ConfigurationError("the dimension of the vectors is not known yet")
        return _main_vector(self.dimension, self.metric, self.algorithm)

    def vector_field(self, name: str | None) -> VectorField:
        """Return a vector field by its name; None returns the main one.

        Raises:
            InvalidInputError: the name is unknown. The message lists the names.
        """
        if name is None:
            return self._main_vector()
        known = self.vector_fields
        for one in known:
            if one.name == name:
                return one
        names = ", ".join(repr(one.name) for one in known)
        raise InvalidInputError(f"the index has no vector {name!r}; its vectors are {names}")


@lru_cache(maxsize=128)
def _main_vector(dimension: int, metric: Metric, algorithm: Algorithm) -> VectorField:
    """The main vector field. A query asks for it, so it is created and checked once."""
    return VectorField(MAIN_VECTOR, dimension, metric, algorithm)


def _algorithm(value: Any) -> Algorithm:
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


def _vector_field(value: Any) -> VectorField:
    if isinstance(value, VectorField):
        return value
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"a vector field must be a VectorField or a dict with name and dimension, not {value!r}"
        )
    check_known("a vector field", value, {"name", "dimension", "metric", "algorithm"})
    if missing := {"name", "dimension"} - value.keys():
        raise ConfigurationError(f"the vector field {dict(value)!r} lacks {sorted(missing)}")
    return VectorField(
        value["name"],
        value["dimension"],
        Metric.parse(value.get("metric", Metric.COSINE)),
        _algorithm(value.get("algorithm", Hnsw())),
    )


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


def _check_comparison(metric: Any, algorithm: Any) -> None:
    if not isinstance(metric, Metric):
        raise ConfigurationError(f"metric must be a Metric, not {metric!r}")
    if not isinstance(algorithm, Algorithm):
        raise ConfigurationError(f"algorithm must be Hnsw or Flat, not {algorithm!r}")


def _check_cap(value: int | None) -> None:
    if value is not None:
        check_range("initial_cap", value, 1, 2**31 - 1)
