"""Validation of options, texts and metadata before anything is embedded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from typing import Any, Literal, TypeAlias

import numpy as np

from langchain_valkey.documents import Addition
from valkey_vector import ConfigurationError, InvalidInputError, Schema, WritePolicy
from valkey_vector.records.metadata import dump, encode_flat
from valkey_vector.records.plain_values import DEEPEST, NotPlainError, are_plain, plain_moment
from valkey_vector.storage.layout import LARGEST_RECORD, check_record_size, prepare_metadata

__all__ = ["OnInvalid", "WriteOptions"]

OnInvalid: TypeAlias = Literal["raise", "coerce", "skip"]

_LARGEST_BATCH = 10_000
_logger = logging.getLogger("langchain_valkey")


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of a write.

    Attributes:
        policy: action for ids that are already stored.
        ttl: time to live in seconds, > 0. None stores without expiration.
        batch_size: documents per request. Values above 10,000 mean 10,000, because LangChain's `index` passes its own.
        progress: show a progress bar.
        on_invalid: action for metadata that cannot be stored.

    Raises:
        ConfigurationError: if `policy`, `batch_size` or `on_invalid` is invalid.
        InvalidInputError: if `ttl` is invalid.
    """

    policy: WritePolicy | str
    ttl: float | None
    batch_size: int
    progress: bool | None
    on_invalid: OnInvalid

    def __post_init__(self) -> None:
        WritePolicy.parse(self.policy)
        size, ttl = self.batch_size, self.ttl
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ConfigurationError(f"batch_size must be an integer ≥ 1, not {size!r}")
        if ttl is not None and not (
            isinstance(ttl, (int, float)) and not isinstance(ttl, bool) and 0 < ttl < 10**10
        ):
            raise InvalidInputError(f"ttl must be a positive number of seconds, not {ttl!r}")
        if self.on_invalid not in ("raise", "coerce", "skip"):
            raise ConfigurationError(
                f"on_invalid must be 'raise', 'coerce' or 'skip', not {self.on_invalid!r}"
            )

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for the core's `upsert`."""
        return {
            "policy": self.policy,
            "ttl": self.ttl,
            "batch_size": min(self.batch_size, _LARGEST_BATCH),
            "progress": self.progress,
        }

    def checked(self, addition: Addition, schema: Schema) -> Addition:
        """Return the storable part of an addition, with NumPy scalars converted to Python scalars.

        Raises:
            InvalidInputError: if a text or its metadata cannot be stored and `on_invalid` is not ``skip``.
        """
        if self.on_invalid != "coerce" and not schema.fields and _are_simple(addition):
            return addition
        valid: list[int] = []
        metadatas: list[dict[str, Any]] = []
        for position, (id, text, metadata) in enumerate(
            zip(addition.ids, addition.texts, addition.metadatas, strict=True)
        ):
            owner = f"record {id!r}"
            try:
                storable = _storable(metadata, owner, coerce=self.on_invalid == "coerce")
                _check(text, storable, schema, owner)
            except InvalidInputError as error:
                if self.on_invalid != "skip":
                    raise
                _logger.warning("text %d is skipped: %s", position, error)
                continue
            valid.append(position)
            metadatas.append(storable)
        return replace(
            addition,
            texts=[addition.texts[position] for position in valid],
            metadatas=metadatas,
            ids=[addition.ids[position] for position in valid],
        )


def _are_simple(addition: Addition) -> bool:
    """Return True if all texts can be stored and all metadata is flat and needs no conversion: most of what is added."""
    for text, metadata in zip(addition.texts, addition.metadatas, strict=True):
        stored = encode_flat(metadata)
        if stored is None:
            return False
        try:
            size = len(text) if text.isascii() else len(text.encode("utf-8"))
        except UnicodeEncodeError:
            return False
        if size + len(stored) > LARGEST_RECORD:
            return False
    return True


def _storable(metadata: Any, owner: str, *, coerce: bool) -> dict[str, Any]:
    if not isinstance(metadata, Mapping):
        raise InvalidInputError(
            f"the metadata of {owner} is a {type(metadata).__name__}, not a dict"
        )
    if not coerce:
        if are_plain(metadata.values()):
            return dict(metadata)
        return {key: _plain_scalars(value) for key, value in metadata.items()}
    return {str(key): _coerced(value, 1) for key, value in metadata.items()}


def _check(text: str, metadata: dict[str, Any], schema: Schema, owner: str) -> None:
    stored = (
        prepare_metadata(metadata, schema, owner)[0] if schema.fields else dump(metadata, owner)
    )
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidInputError(
            f"the text of {owner} holds a lone surrogate, which is not valid Unicode text"
        ) from None
    check_record_size(size + len(stored), owner)


def _plain_scalars(value: Any, depth: int = 1) -> Any:
    """Convert NumPy booleans, integers and floats to Python scalars where that is exact."""
    if isinstance(value, np.generic):
        return _scalar(value)
    if depth > DEEPEST:  # the core raises and names the path
        return value
    if type(value) is list:
        return [_plain_scalars(item, depth + 1) for item in value]
    if type(value) is dict:
        return {key: _plain_scalars(item, depth + 1) for key, item in value.items()}
    return value


def _scalar(value: np.generic) -> Any:
    if isinstance(value, (np.bool_, np.integer)):
        return value.item()
    if isinstance(value, np.floating):
        exact = float(value)
        return exact if value == exact or value != value else value  # a long double may not fit
    return value


def _coerced(value: Any, depth: int) -> Any:
    """Convert a value to one that can be stored. A value of an unknown type becomes its text."""
    value = _scalar(value) if isinstance(value, np.generic) else value
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, date):
        try:
            return plain_moment(value)
        except NotPlainError:
            return str(value)
    if isinstance(value, Enum):
        return _coerced(value.value, depth + 1)
    if depth >= DEEPEST:
        return str(value)
    if isinstance(value, np.ndarray):
        return _coerced(value.tolist(), depth)
    if isinstance(value, Mapping):
        return {str(key): _coerced(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_coerced(item, depth + 1) for item in value), key=repr)
    if isinstance(value, (list, tuple)):
        return [_coerced(item, depth + 1) for item in value]
    return str(value)
