"""Cache entries: scopes, ids, and the encoding of an answer in a record."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from numbers import Integral, Real
from typing import Any, TypeAlias

from valkey_vector.errors import InvalidInputError, UnreadableRecordError
from valkey_vector.records.plain_values import plain_text
from valkey_vector.records.record import Metadata, Record, Vector

__all__ = [
    "SCOPE",
    "SCOPE_ID",
    "STORED_AT",
    "Answer",
    "CacheHit",
    "Scope",
    "check_metadata",
    "check_prompt",
    "check_tokens",
    "decoded",
    "encoded",
    "entry_id",
    "entry_record",
    "hit_of",
    "instant_of",
    "lifetime",
    "merged_scope",
    "scope_id",
]

Answer: TypeAlias = Any
"""A cached answer: bytes, or a JSON value (None, bool, int, float, str, and lists and dicts of them)."""

Scope: TypeAlias = Mapping[str, Any]
"""JSON values that must be equal for an answer to be reused: tenant, model, parameters, system prompt, and so on."""

SCOPE, SCOPE_ID, STORED_AT = "scope", "scope_id", "stored_at"
"""Metadata of an entry: the scope (``F("scope.tenant")`` filters on an item of it), its digest, and when
the answer was stored, in seconds since 1970 by the server's clock."""

_RESERVED = frozenset({SCOPE, SCOPE_ID, STORED_AT})
_HEADER = struct.Struct(">BcQdq")
_VERSION = 1
_BYTES, _JSON = b"b", b"j"
_UNKNOWN = -1
_MAX_DEPTH = 100
_MAX_SECONDS = 1e10
"""Upper limit of a duration in seconds, so that sums stay finite."""
_FOREIGN = (
    "an entry of the cache was written by another program, or by a newer version of this library"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """Stored answer for a prompt.

    Attributes:
        id: id of the entry, for `SemanticCache.invalidate`.
        prompt: prompt of the entry.
        answer: the stored answer.
        similarity: cosine similarity of the two prompts, -1 to 1. 1 for an exact hit.
        exact: True if the prompts are equal.
        scope: scope of the entry.
        metadata: metadata that the application stored with the entry.
        stored_at: time of storing, by the server's clock.
        seconds: time it took to compute the answer. None: not known.
        tokens: number of tokens the answer cost. None: not known.
    """

    id: str
    prompt: str
    answer: Answer
    similarity: float
    exact: bool
    scope: Scope
    metadata: Metadata
    stored_at: datetime
    seconds: float | None
    tokens: int | None


def check_prompt(prompt: object) -> str:
    """Return the prompt as plain text.

    Raises:
        InvalidInputError: `prompt` is not text.
    """
    if not isinstance(prompt, str):
        raise InvalidInputError(f"a prompt must be text, not a {type(prompt).__name__}")
    return plain_text(prompt)


def check_metadata(metadata: Metadata | None) -> None:
    """Check the metadata of the application.

    Raises:
        InvalidInputError: `metadata` is not a dict, or has a key that the cache reserves.
    """
    if metadata is None:
        return
    if not isinstance(metadata, Mapping):
        raise InvalidInputError(f"metadata must be a dict, not a {type(metadata).__name__}")
    if taken := sorted(_RESERVED & metadata.keys()):
        raise InvalidInputError(
            f"metadata key {taken[0]!r} is reserved for the cache: use another key"
        )


def check_tokens(tokens: object) -> int:
    """Return the checked number of tokens.

    Raises:
        InvalidInputError: `tokens` is not an integer from 0 to 2**63-1.
    """
    if isinstance(tokens, Integral) and not isinstance(tokens, bool):
        count = int(tokens)
        if 0 <= count < 2**63:
            return count
    raise InvalidInputError(f"tokens must be an integer from 0 to 2**63-1, not {_shown(tokens)}")


def _checked_seconds(seconds: object) -> float:
    try:
        if isinstance(seconds, Real) and not isinstance(seconds, bool):
            took = float(seconds)
            if 0 <= took < _MAX_SECONDS:
                return took
    except OverflowError:
        pass
    raise InvalidInputError(
        f"seconds must be a number from 0 to {_MAX_SECONDS:g}, not {_shown(seconds)}"
    )


def _shown(value: object) -> str:
    """Return the value for an error message, limited in length. An integer can have too many digits to print."""
    known = isinstance(value, (bool, float, str, type(None)))
    return repr(value)[:100] if known else f"this {type(value).__name__}"


def merged_scope(default: Scope, scope: Scope | None) -> dict[str, Any]:
    """Merge the scope of a call into the scope of the cache. The result has plain Python types.

    Raises:
        InvalidInputError: `scope` is not a dict of JSON values.
    """
    if scope is not None and not isinstance(scope, Mapping):
        raise InvalidInputError(f"a scope must be a dict, not a {type(scope).__name__}")
    whole = {**default, **(scope or {})}
    _check_json(whole, "the scope", 0)
    plain: dict[str, Any] = _plain_json(whole)
    return plain


def scope_id(scope: Scope) -> str:
    """Return the digest of a scope. Independent of key order; 1, 1.0 and True differ."""
    return _digest(_canonical(scope))


def entry_id(prompt: str, scope: Scope) -> str:
    """Return the id of the entry of a prompt in a scope."""
    # JSON escapes a lone surrogate, which UTF-8 cannot encode.
    return _digest(json.dumps([prompt, scope_id(scope)]))


def entry_record(
    prompt: str,
    scope: Scope,
    payload: bytes,
    *,
    vector: Vector | None,
    metadata: Metadata | None,
) -> Record:
    """Create the record of an entry, without the time of storing."""
    own = {SCOPE: dict(scope), SCOPE_ID: scope_id(scope), **(metadata or {})}
    return Record(
        id=entry_id(prompt, scope), content=prompt, vector=vector, metadata=own, payload=payload
    )


def encoded(
    answer: Answer, *, ttl: float | None, seconds: float | None, tokens: int | None
) -> bytes:
    """Encode an answer and its costs as the payload of a record.

    Args:
        answer: bytes or a JSON value.
        ttl: seconds to which each use extends the time to live. None: uses do not extend it.
        seconds: time it took to compute the answer.
        tokens: number of tokens it cost.

    Raises:
        InvalidInputError: the answer cannot be stored without loss, or `seconds` or `tokens` is not valid.
    """
    if isinstance(answer, bytes):
        kind, body = _BYTES, answer
    else:
        _check_json(answer, "the answer", 0)
        kind, body = _JSON, json.dumps(answer, separators=(",", ":")).encode("ascii")
    lease = 0 if ttl is None else max(1, round(ttl * 1000))
    took = math.nan if seconds is None else _checked_seconds(seconds)
    cost = _UNKNOWN if tokens is None else check_tokens(tokens)
    return _HEADER.pack(_VERSION, kind, lease, took, cost) + body


def decoded(payload: bytes | None) -> tuple[Answer, float | None, int | None]:
    """Decode a payload. Returns the answer, its computing time in seconds, and its number of tokens.

    Raises:
        UnreadableRecordError: another program wrote the payload.
    """
    if payload is None or len(payload) < _HEADER.size or payload[0] != _VERSION:
        raise UnreadableRecordError(_FOREIGN)
    _, kind, _, took, cost = _HEADER.unpack_from(payload)
    body = payload[_HEADER.size :]
    try:
        answer = body if kind == _BYTES else json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecordError(_FOREIGN) from error
    known = 0 <= took < _MAX_SECONDS  # keeps NaN and invalid numbers out of the statistics
    return answer, took if known else None, cost if cost >= 0 else None


def lifetime(payload: bytes | None) -> int:
    """Return the milliseconds to which a use extends an entry's time to live. 0: it does not."""
    if payload is None or len(payload) < _HEADER.size:
        return 0
    lease: int = _HEADER.unpack_from(payload)[2]
    return lease if lease < _MAX_SECONDS * 1000 else 0


def instant_of(stored: object) -> datetime:
    """Convert the stored seconds since 1970 to the time at which an entry was stored.

    Raises:
        UnreadableRecordError: another program wrote the value.
    """
    try:
        return datetime.fromtimestamp(float(stored), UTC)  # type: ignore[arg-type]  # float() checks it
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise UnreadableRecordError(_FOREIGN) from error


def hit_of(record: Record, similarity: float, *, exact: bool) -> CacheHit:
    """Create a hit from a record.

    Raises:
        UnreadableRecordError: another program wrote the record.
    """
    answer, seconds, tokens = decoded(record.payload)
    if not isinstance(record.metadata.get(SCOPE), dict) or STORED_AT not in record.metadata:
        raise UnreadableRecordError(_FOREIGN)
    return CacheHit(
        id=record.id,
        prompt=record.content,
        answer=answer,
        similarity=similarity,
        exact=exact,
        scope=record.metadata[SCOPE],
        metadata={key: value for key, value in record.metadata.items() if key not in _RESERVED},
        stored_at=instant_of(record.metadata[STORED_AT]),
        seconds=seconds,
        tokens=tokens,
    )


def _plain_json(value: Any) -> Any:
    """Convert a checked JSON value to plain Python types. A text enumeration member becomes its text."""
    match value:
        case str():
            return plain_text(value)
        case dict():
            return {plain_text(key): _plain_json(item) for key, item in value.items()}
        case list():
            return [_plain_json(item) for item in value]
        case _:
            return value


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("ascii"), digest_size=20).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _check_json(value: Any, what: str, depth: int) -> None:
    """Raise for a value that JSON changes or cannot encode."""
    if depth > _MAX_DEPTH:
        raise InvalidInputError(f"{what} is nested more than {_MAX_DEPTH} deep")
    match value:
        case None | bool() | int() | str():
            return
        case float():
            if not math.isfinite(value) and what == "the scope":
                raise InvalidInputError(f"{what} contains {value!r}, which is not a finite number")
            return
        case list():
            for item in value:
                _check_json(item, what, depth + 1)
            return
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise InvalidInputError(f"{what} has the key {key!r}, which is not text")
                _check_json(item, what, depth + 1)
            return
    raise InvalidInputError(
        f"{what} contains a {type(value).__name__}; it must consist of JSON values"
        + (" or bytes: encode it first" if what == "the answer" else "")
    )
