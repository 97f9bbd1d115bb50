"""The settings that a caller passes for an index, and their comparison with an existing one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from valkey_vector.errors import ConfigurationError, IndexMismatchError
from valkey_vector.records.vectors import DataType
from valkey_vector.schema.full_text import FullText
from valkey_vector.schema.schema import Algorithm, Metric, Schema
from valkey_vector.storage.catalog import CatalogEntry

__all__ = ["EngineChoice", "IndexSettings"]

EngineChoice: TypeAlias = Literal["auto", "search", "native"]


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The settings that a caller passes for an index.

    Attributes:
        schema: used if the index is created.
        engine: ``auto`` selects the search engine if the server has a search module.
        embedding_model: name of the model, or None.
        explicit: names of the settings that were passed, not defaulted. An existing index must have the same values.
        hints: log a warning for a likely mistake of the caller. False where a program chooses names and filters.
    """

    schema: Schema
    engine: EngineChoice
    embedding_model: str | None
    explicit: frozenset[str]
    hints: bool = True

    @classmethod
    def of(
        cls,
        *,
        dimension: int | None,
        metric: Metric | str | None,
        algorithm: Algorithm | str | None,
        schema: Schema | Mapping[str, Any] | str | Path | None,
        engine: EngineChoice,
        full_text: FullText | bool | None,
        embedding_model: str | None,
        data_type: DataType | None = None,
    ) -> IndexSettings:
        """The settings from the arguments of `Index.open`.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        if engine not in ("auto", "search", "native"):
            raise ConfigurationError(f"engine must be 'auto', 'search' or 'native', not {engine!r}")
        full = Schema.of(
            schema,
            dimension=dimension,
            metric=metric,
            algorithm=algorithm,
            full_text=full_text,
            data_type=data_type,
        )
        passed = {
            "dimension": full.dimension is not None,
            "metric": metric is not None or schema is not None,
            "algorithm": algorithm is not None or schema is not None,
            "algorithm settings": schema is not None or not isinstance(algorithm, str | None),
            "fields": schema is not None,
            "numeric_slots": schema is not None,
            "vectors": schema is not None,
            "full_text": full_text is not None or schema is not None,
            "data_type": data_type is not None or schema is not None,
            "engine": engine != "auto",
            "embedding_model": embedding_model is not None,
        }
        explicit = frozenset(name for name, is_passed in passed.items() if is_passed)
        return cls(full, engine, embedding_model, explicit)

    def check(self, entry: CatalogEntry) -> None:
        """Compare an existing index with the settings that were passed: with others it finds nothing, or wrong results.

        Raises:
            IndexMismatchError: names each setting that differs, with both values.
        """
        passed, found = self.schema, entry.schema
        pairs: dict[str, tuple[object, object]] = {
            "dimension": (found.dimension, passed.dimension),
            "metric": (found.metric.value, passed.metric.value),
            "algorithm": (found.algorithm.name, passed.algorithm.name),
            "algorithm settings": (found.algorithm, passed.algorithm),
            "fields": (found.fields, passed.fields),
            "numeric_slots": (found.numeric_slots, passed.numeric_slots),
            "vectors": (found.vectors, passed.vectors),
            "full_text": (found.full_text, passed.full_text),
            "data_type": (found.data_type, passed.data_type),
            "engine": (entry.engine, self.engine),
            "embedding_model": (entry.embedding_model, self.embedding_model),
        }
        differences = {
            name: pair
            for name, pair in pairs.items()
            if name in self.explicit and pair[0] != pair[1]
        }
        if differences:
            raise IndexMismatchError(entry.name, differences)
