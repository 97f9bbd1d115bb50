"""Metadata: allowed values, the stored JSON, and the indexed tokens and numbers.

The JSON preserves types exactly. JSON has no dates and datetimes, so they are stored as ``{"$date": "2024-01-31"}``
and ``{"$datetime": "2024-01-31T12:00:00+00:00"}``. A user's own dict of that shape is stored with one more ``$``, which
is removed when it is read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import msgspec

from valkey_vector.errors import InvalidInputError, UnreadableRecordError
from valkey_vector.records.json_decoding import decode_json
from valkey_vector.records.plain_values import NotPlainError, plain_value
from valkey_vector.records.temporal import instant, parse_iso
from valkey_vector.records.tokens import (
    SMALL,
    element_token,
    integer_tokens,
    kind_token,
    value_token,
)

__all__ = [
    "MISSING",
    "IndexedItems",
    "dump",
    "encode",
    "encode_flat",
    "indexed_items",
    "load",
    "load_plain",
    "lookup",
    "plain_metadata",
]

MISSING: Any = type("Missing", (), {"__repr__": lambda _: "MISSING", "__slots__": ()})()
"""Returned by `lookup` if the path does not exist."""

load_plain: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode
"""Decode metadata without ``$``, so without dates, faster than `load`. `load` decodes some data for which this raises a
`ValueError` or `RecursionError`."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)

_decode_standard = msgspec.json.Decoder().decode
_encode_flat = msgspec.json.Encoder().encode
_FLAT = frozenset({str, bool, int, float, type(None)})
_TEXT = frozenset({str})

_SHORT = 100
"""Maximum characters of a text whose items are cached."""

_EXACT_INTEGERS = 2**53
_PLAIN = frozenset({str, bool, float, type(None)})
_NESTED = frozenset({list, dict})
_LARGE = 2**63
_LONGEST_INTEGER = 10**1000
_TAGGED = re.compile(r"\$+(?:date|datetime)", re.ASCII)


# Not frozen: a frozen dataclass takes three times as long to create.
@dataclass(slots=True)
class IndexedItems:
    """Indexed form of the metadata of one record.

    Attributes:
        tokens: tokens of the generic TAG field; see `valkey_vector.records.tokens`.
        numbers: path -> number, for range queries.
        instants: path -> microseconds since 1970 UTC, for range queries.
    """

    tokens: list[str]
    numbers: dict[str, float]
    instants: dict[str, int]


def lookup(metadata: Mapping[str, Any], path: str) -> Any:
    """Return the value under a path, or `MISSING`.

    ``"a.b"`` means the key ``a.b`` if it exists, otherwise the key ``b`` of the dict under ``a``.
    """
    if path in metadata:
        return metadata[path]
    dot = path.find(".")
    while dot != -1:
        inner = metadata.get(path[:dot])
        if isinstance(inner, Mapping):
            found = lookup(inner, path[dot + 1 :])
            if found is not MISSING:
                return found
        dot = path.find(".", dot + 1)
    return MISSING


def plain_metadata(metadata: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Convert metadata to Python's own types: the form that is stored, indexed and returned.

    Args:
        metadata: metadata as a caller passed it.
        owner: name of the record in an error (``record 'a'``).

    Raises:
        InvalidInputError: a value cannot be stored without loss; names the path and the cure.
    """
    try:
        plain: dict[str, Any] = plain_value(metadata)
    except NotPlainError as error:
        raise _unacceptable(owner, error.path, error.what, error.cure) from None
    return plain


def dump(metadata: Mapping[str, Any], owner: str) -> bytes:
    """Encode metadata as JSON in UTF-8.

    Args:
        metadata: the metadata to store.
        owner: name of the record in an error (``record 'a'``).

    Raises:
        InvalidInputError: a value cannot be stored without loss; names the path and the cure.
    """
    flat = encode_flat(metadata)
    return encode(plain_metadata(metadata, owner), owner) if flat is None else flat


def encode_flat(metadata: Mapping[str, Any]) -> bytes | None:
    """Encode a dict that holds only texts, booleans, None and numbers, as `dump` does.

    Returns:
        The JSON, or None for any other metadata, which `dump` converts or refuses.
    """
    if type(metadata) is not dict or not _TEXT.issuperset(map(type, metadata)):
        return None
    for value in metadata.values():
        kind = type(value)
        if kind is str or kind is bool or value is None:
            continue
        if kind is int:
            if not -_LARGE < value < _LARGE:
                return None
        elif kind is not float or not math.isfinite(value):  # msgspec writes null for NaN
            return None
    if len(metadata) == 1 and _TAGGED.fullmatch(next(iter(metadata))):
        return None
    try:
        return _encode_flat(metadata)
    except (OverflowError, UnicodeEncodeError):
        return None


def encode(plain: dict[str, Any], owner: str) -> bytes:
    """Encode metadata that `plain_metadata` returned, as `dump` does."""
    storable = _storable_dict(plain, owner, "")
    try:
        if _FLAT.issuperset(map(type, storable.values())) and _are_finite(storable):
            return _encode_flat(storable)
        return _ENCODER.encode(storable).encode("utf-8")
    except OverflowError:  # an integer of more than 64 bits
        return _ENCODER.encode(storable).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInputError(
            f"the metadata of {owner} holds a lone surrogate, which is not valid Unicode text"
        ) from None


def _are_finite(values: Mapping[str, Any]) -> bool:
    """Return False if there is a NaN or an infinity, for which msgspec writes null."""
    return all(math.isfinite(value) for value in values.values() if type(value) is float)


def load(data: bytes, owner: str = "a stored record") -> dict[str, Any]:
    """Decode metadata that `dump` encoded.

    Args:
        data: the stored JSON.
        owner: name of the record in an error.

    Raises:
        UnreadableRecordError: the data is not a JSON object.
    """
    if b"$" not in data:  # so it has no dates
        try:
            return load_plain(data)
        except (ValueError, RecursionError):
            pass  # not an object, or of values that msgspec rejects
    try:
        try:
            loaded = _decode_standard(data)
        except ValueError:
            loaded = decode_json(data)
        if b'"$' in data:
            loaded = _restored(loaded)
    except (ValueError, TypeError, RecursionError) as error:
        raise UnreadableRecordError(f"what is stored of {owner} cannot be read: {error}") from error
    if not isinstance(loaded, dict):
        raise UnreadableRecordError(
            f"what is stored of {owner} cannot be read: a {type(loaded).__name__} instead of a JSON object"
        )
    return loaded


def indexed_items(metadata: Mapping[str, Any]) -> IndexedItems:
    """Compute the tokens and numbers of metadata that `plain_metadata` returned."""
    tokens: list[str] = []
    numbers: dict[str, float] = {}
    instants: dict[str, int] = {}
    for path, value in _reachable(metadata):
        # Most values are short texts or small integers: they are compared by type first.
        kind = type(value)
        if kind is int and 0 <= value < SMALL:
            tokens += integer_tokens(path, value)
            numbers[path] = float(value)
            continue
        if kind is str or isinstance(value, str):
            items = _items_of_short_text if len(value) <= _SHORT else _items_of_text
            found, moment = items(path, value)
            tokens += found
            if moment is not None:
                instants[path] = moment
            continue
        match value:
            case None:
                continue
            case bool():
                tokens.append(kind_token(path, "y"))
            case int() | float():
                tokens.append(kind_token(path, "n"))
                if value == value:
                    numbers[path] = _as_float(value)
            case list():
                tokens.append(kind_token(path, "q"))
                elements = (element_token(path, item) for item in value)
                tokens.extend(dict.fromkeys(token for token in elements if token is not None))
            case dict():
                tokens.append(kind_token(path, "d"))
            case _:
                tokens.append(kind_token(path, "t"))
                instants[path] = instant(value)
        if (token := value_token(path, value)) is not None:
            tokens.append(token)
    return IndexedItems(tokens, numbers, instants)


def _items_of_text(path: str, text: str) -> tuple[tuple[str, ...], int | None]:
    """Return the tokens of a text under a path, and its microseconds since 1970 if it is a point in time."""
    moment = parse_iso(text)
    values: list[Any] = [text] if moment is None else [text, moment]
    kinds = "s" if moment is None else "st"
    found = [kind_token(path, kind) for kind in kinds]
    found += [token for value in values if (token := value_token(path, value)) is not None]
    return tuple(found), None if moment is None else instant(moment)


# Many values, such as a source or a language, occur in many records.
_items_of_short_text = lru_cache(maxsize=16_384)(_items_of_text)


def _reachable(metadata: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return each path that `lookup` resolves, once, with its value."""
    for value in metadata.values():
        if isinstance(value, dict):
            paths = dict.fromkeys(_paths(metadata, ""))
            return [(path, lookup(metadata, path)) for path in paths]
    return metadata.items()


def _paths(metadata: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in metadata.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _as_float(value: float) -> float:
    """Convert to the nearest finite double: infinity becomes the largest one."""
    if -_EXACT_INTEGERS < value < _EXACT_INTEGERS:
        return float(value) + 0.0
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    largest = 1.7976931348623157e308
    return max(-largest, min(largest, number)) + 0.0


def _storable(value: Any, owner: str, path: str) -> Any:
    """Convert a plain value to one that JSON can hold."""
    match value:
        case bool():
            return value
        case int():
            if abs(value) >= _LONGEST_INTEGER:
                raise _unacceptable(owner, path, "an integer of over 1,000 digits", "a string")
            return value
        case datetime():
            return {"$datetime": value.isoformat()}
        case date():
            return {"$date": value.isoformat()}
        case list():
            return [
                item if type(item) in _PLAIN else _storable(item, owner, f"{path}[]")
                for item in value
            ]
        case dict():
            return _storable_dict(value, owner, path)
        case _:
            return value


def _storable_dict(value: dict[str, Any], owner: str, path: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        if type(item) in _PLAIN:
            result[key] = item
        else:
            result[key] = _storable(item, owner, f"{path}.{key}" if path else key)
    if len(result) == 1 and _TAGGED.fullmatch(next(iter(result))):
        return {f"${key}": item for key, item in result.items()}
    return result


def _restored(value: Any) -> Any:
    """Replace tagged dicts in decoded JSON with the dates, datetimes and dicts that they stand for; the innermost first."""
    if isinstance(value, list):
        return [_restored(item) if type(item) in _NESTED else item for item in value]
    if not isinstance(value, dict):
        return value
    return _untagged(
        {key: _restored(item) if type(item) in _NESTED else item for key, item in value.items()}
    )


def _untagged(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        ((key, item),) = value.items()
        if key in ("$date", "$datetime") and item == "NaT":
            return None  # written by versions that accepted pandas.NaT as a point in time
        if key == "$date":
            return date.fromisoformat(item)
        if key == "$datetime":
            return datetime.fromisoformat(item)
        if _TAGGED.fullmatch(key):
            return {key[1:]: item}
    return value


def _unacceptable(owner: str, path: str, what: str, cure: str) -> InvalidInputError:
    subject = f"metadata {path!r}" if path else "the metadata"
    return InvalidInputError(f"{subject} of {owner} is {what}; store {cure} instead")
