"""Schemas: how an index measures and searches vectors, and which fields it gets besides.

Nothing needs declaring to be filtered on. A declared field gets an index field of its own: a numeric one is
searched by range without taking one of the pooled slots, a tag or text one can be grouped by or
searched as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, assert_never

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.records.setting_validation import check_known, check_range
from valkey_vector.records.tokens import is_unicode
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
"""The name of the vector that every schema has; no further one can have it."""

LARGEST_DIMENSION = 32_768
"""What Valkey-Search 1.2 accepts."""


class Metric(StrEnum):
    """How far apart two vectors are."""

    COSINE = "COSINE"
    L2 = "L2"
    IP = "IP"

    @classmethod
    def parse(cls, value: Metric | str) -> Metric:
        """Accept a member or its name in any case.

        Raises:
            ConfigurationError: the name is not a metric.
        """
        try:
            return cls(value.upper())
        except (ValueError, AttributeError):
            raise ConfigurationError(f"metric {value!r} is not one of {', '.join(cls)}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hnsw:
    """Approximate search by a navigable graph: fast at any size.

    Attributes:
        m: links of a node, 2 to 512. More is better recall, memory and slower writes.
        ef_construction: candidates looked at while inserting, 1 to 4096.
        ef_runtime: candidates looked at while searching, 1 to 4096, unless a search says
            otherwise. The server's own default, 10, misses one neighbour in ten on real
            embeddings; 100 found 99.9% of them.
        initial_cap: vectors to make room for at first; None leaves it to the server.
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
    """Exact search that compares every vector: for up to some ten thousand.

    Attributes:
        initial_cap: vectors to make room for at first; None leaves it to the server.
    """

    name: ClassVar[Literal["FLAT"]] = "FLAT"

    initial_cap: int | None = None

    def __post_init__(self) -> None:
        _check_cap(self.initial_cap)


Algorithm: TypeAlias = Hnsw | Flat


@dataclass(frozen=True, slots=True)
class VectorField:
    """A vector of its own beside the main one: of a title, an image, by another model.

    Attributes:
        name: what records and queries call it, at most 100 characters; not ``vector``, which is the main one.
        dimension: its length, 1 to 32,768.
        metric: COSINE, L2 or IP.
        algorithm: `Hnsw` or `Flat`.
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
        """The field as JSON-like values."""
        return {
            "name": self.name,
            "dimension": self.dimension,
            "metric": self.metric.value,
            "algorithm": {"name": self.algorithm.name, **asdict(self.algorithm)},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """All that is fixed when an index is made: Valkey-Search cannot alter one.

    Attributes:
        dimension: length of every vector, 1 to 32,768; None until the first vector tells.
        metric: COSINE, L2 or IP.
        algorithm: `Hnsw` or `Flat`.
        fields: metadata items with fields of their own; optional.
        numeric_slots: numeric fields kept ready for undeclared numbers and dates, 0 to 64. Each key that holds
            such takes one when it first appears. Keys beyond are still filtered exactly, only slower.
        vectors: further vectors that a record may have, each searched by itself.
        full_text: how contents and declared `TextField`s are indexed for text and hybrid search. None leaves them out:
            their words take about twice the texts' size on the server, and time to write. A `TextField` turns it on.
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
        # Names are understood by `of`; here they would go unnoticed until first use.
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
                raise ConfigurationError(f"{vector!r} is no VectorField")
            if vector.name in names:
                raise ConfigurationError(f"there is more than one vector {vector.name!r}")
            names.append(vector.name)
        for declared in self.fields:
            if not isinstance(declared, DeclaredField):
                raise ConfigurationError(f"{declared!r} is no declared field")
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
        """A schema from Python, a dict or a YAML file, with single settings laid over it.

        Args:
            source: a schema, a dict as `to_dict` gives it, the path of a YAML file with one, or None.
            dimension: overrides the source's, if given.
            metric: likewise.
            algorithm: likewise.
            full_text: likewise; True for the default settings, False for none.

        Raises:
            ConfigurationError: a setting is unknown or out of range; names it.
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
                    f"a schema is a Schema, a dict or the path of a YAML file, not {type(source).__name__}"
                )
        if dimension is not None:
            schema = replace(schema, dimension=dimension)
        if metric is not None:
            schema = replace(schema, metric=Metric.parse(metric))
        if algorithm is not None:
            schema = replace(schema, algorithm=_algorithm(algorithm))
        if full_text is not None:
            schema = replace(schema, full_text=FullText.of(full_text))
            schema._refuse_words_without(full_text)
        return schema

    def _refuse_words_without(self, full_text: object) -> None:
        texts = [field.path for field in self.fields if isinstance(field, TextField)]
        if full_text is False and texts:
            raise ConfigurationError(
                f"full_text is False, but the field {texts[0]!r} is declared as text, which needs it"
            )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Schema:
        """The schema `to_dict` describes. ``fields`` may also be a dict of path to kind.

        Raises:
            ConfigurationError: a setting is unknown or out of range; names it.
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
        schema._refuse_words_without(settings.get("full_text"))
        return schema

    @classmethod
    def from_yaml(cls, path: str | Path) -> Schema:
        """The schema in a YAML file. Needs ``valkey-vector[yaml]``.

        Raises:
            ConfigurationError: the file cannot be read, or a setting in it is wrong.
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
            raise ConfigurationError(f"the schema file {str(path)!r} holds no mapping of settings")
        return cls.from_dict(settings)

    def to_dict(self) -> dict[str, Any]:
        """The schema as JSON-like values."""
        return {
            "dimension": self.dimension,
            "metric": self.metric.value,
            "algorithm": {"name": self.algorithm.name, **asdict(self.algorithm)},
            "fields": [{"kind": field.kind, **asdict(field)} for field in self.fields],
            "numeric_slots": self.numeric_slots,
            # Left out where there are none: so the record of an index has it from before there were any.
            **({"vectors": [field.to_dict() for field in self.vectors]} if self.vectors else {}),
            **({"full_text": asdict(self.full_text)} if self.full_text else {}),
        }

    @property
    def vector_fields(self) -> tuple[VectorField, ...]:
        """All vectors that records can have, the main one first. The dimension must be known."""
        if self.dimension is None:
            raise ConfigurationError("the dimension of the vectors is not known yet")
        main = VectorField(MAIN_VECTOR, self.dimension, self.metric, self.algorithm)
        return (main, *self.vectors)

    def vector_field(self, name: str | None) -> VectorField:
        """A vector by its name; None for the main one.

        Raises:
            InvalidInputError: there is none of this name; says which there are.
        """
        known = self.vector_fields
        if name is None:
            return known[0]
        for one in known:
            if one.name == name:
                return one
        names = ", ".join(repr(one.name) for one in known)
        raise InvalidInputError(f"the index has no vector {name!r}, only {names}")


def _algorithm(value: Any) -> Algorithm:
    match value:
        case Hnsw() | Flat():
            return value
        case str():
            settings: dict[str, Any] = {"name": value}
        case Mapping():
            settings = dict(value)
        case _:
            raise ConfigurationError(f"algorithm {value!r} is not HNSW, FLAT or a dict with a name")
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
            f"a vector field is a VectorField or a dict with name and dimension, not {value!r}"
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
    """The algorithm's parameters by their name in FT.CREATE, those left to the server left out."""
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
