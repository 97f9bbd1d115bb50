"""Index schemas: vector settings, declared fields and text analysis.

You can filter on every metadata key without declaring it. A declared field has its own field in the server's index.
A numeric field answers range filters without using a numeric slot. A tag field supports grouping. A text field
supports text search.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.records.validation import check_known, check_range
from valkey_vector.records.vectors import DataType
from valkey_vector.schema.fields import (
    DeclaredField,
    NumericField,
    TagField,
    TextField,
    declared_fields,
)
from valkey_vector.schema.full_text import FullText
from valkey_vector.schema.vector_fields import (
    LARGEST_DIMENSION,
    MAIN_VECTOR,
    Algorithm,
    Flat,
    Hnsw,
    Metric,
    VectorField,
    algorithm_of,
    algorithm_settings,
    check_comparison,
    parse_data_type,
    vector_field_of,
)

__all__ = [
    "LARGEST_DIMENSION",
    "MAIN_VECTOR",
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
    "algorithm_settings",
]


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
        data_type: element type of the main vector; see `VectorField`.

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
    data_type: DataType = "FLOAT32"

    def __post_init__(self) -> None:
        if self.dimension is not None:
            check_range("dimension", self.dimension, 1, LARGEST_DIMENSION)
        check_range("numeric_slots", self.numeric_slots, 0, 64)
        # Only `of` accepts names. Without this check a name would fail on first use.
        check_comparison(self.metric, self.algorithm)
        object.__setattr__(self, "data_type", parse_data_type(self.data_type))
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
        data_type: DataType | None = None,
    ) -> Schema:
        """Create a schema from a schema, a dict or a YAML file, and override single settings.

        Args:
            source: a schema, a dict in the form of `to_dict`, the path of a YAML file with such a dict, or None.
            dimension: overrides the source's dimension, unless None.
            metric: overrides the source's metric, unless None.
            algorithm: overrides the source's algorithm, unless None.
            full_text: overrides the source's text analysis, unless None. True uses the default settings, False disables
                text search.
            data_type: overrides the source's element type of the main vector, unless None.

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
            schema = replace(schema, algorithm=algorithm_of(algorithm))
        if data_type is not None:
            schema = replace(schema, data_type=data_type)
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
            "dimension", "metric", "algorithm", "fields", "numeric_slots", "vectors", "full_text", "data_type",
        }  # fmt: skip
        check_known("schema", settings, known)
        values = dict(settings)
        if "metric" in values:
            values["metric"] = Metric.parse(values["metric"])
        if "algorithm" in values:
            values["algorithm"] = algorithm_of(values["algorithm"])
        if "fields" in values:
            values["fields"] = tuple(declared_fields(values["fields"]))
        if "vectors" in values:
            if not isinstance(values["vectors"], list | tuple):
                raise ConfigurationError(f"vectors must be a list, not {values['vectors']!r}")
            values["vectors"] = tuple(map(vector_field_of, values["vectors"]))
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
            # Omitted if empty or the default, to match the catalog records of indexes from before these settings existed.
            **({"vectors": [field.to_dict() for field in self.vectors]} if self.vectors else {}),
            **({"full_text": self.full_text.to_dict()} if self.full_text else {}),
            **({"data_type": self.data_type} if self.data_type != "FLOAT32" else {}),
        }

    @property
    def data_types(self) -> dict[str, DataType]:
        """Element type of each vector, by name; the main one is ``vector``."""
        return {MAIN_VECTOR: self.data_type, **{one.name: one.data_type for one in self.vectors}}

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
        return _main_vector(self.dimension, self.metric, self.algorithm, self.data_type)

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
def _main_vector(
    dimension: int, metric: Metric, algorithm: Algorithm, data_type: DataType
) -> VectorField:
    """The main vector field. A query asks for it, so it is created and checked once."""
    return VectorField(MAIN_VECTOR, dimension, metric, algorithm, data_type)
