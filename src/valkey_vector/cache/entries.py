"""Cache entries: their scopes, their ids, and how an answer is laid out in a record."""

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
"""What is cached: bytes, or a JSON value (None, bool, int, float, str, and lists and dicts of them)."""

Scope: TypeAlias = Mapping[str, Any]
"""What must be the same for an answer to serve again: tenant, model, parameters, system prompt, … JSON values."""

SCOPE, SCOPE_ID, STORED_AT = "scope", "scope_id", "stored_at"
"""Metadata of an entry: the scope (``F("scope.tenant")`` filters on an item of it), its digest, and when
the answer was stored, in seconds since 1970 by the server's clock."""

_RESERVED = frozenset({SCOPE, SCOPE_ID, STORED_AT})
_HEADER = struct.Struct(">BcQdq")
_VERSION = 1
_BYTES, _JSON = b"b", b"j"
_UNKNOWN = -1
_DEEPEST = 100
_MOST_SECONDS = 1e10
"""More are no time that anything takes, and sums of them would not be finite."""
_FOREIGN = "an entry of the cache was written by something else, or by a newer version"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """A stored answer that serves a prompt.

    Attributes:
        id: of the entry; `SemanticCache.invalidate` takes it.
        prompt: the one the answer was made for.
        answer: as it was stored.
        similarity: of the two prompts, cosine; 1 for an exact hit.
        exact: the prompt is the same, word for word.
        scope: in which it was found.
        metadata: that the application stored with it.
        stored_at: when, by the server's clock.
        seconds: how long it took to make the answer; None where not known.
        tokens: how many tokens it cost; None where not known.
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
    """The prompt as plain text, if it is text.

    Raises:
        InvalidInputError: it is not.
    """
    if not isinstance(prompt, str):
        raise InvalidInputError(f"a prompt must be text, not a {type(prompt).__name__}")
    return plain_text(prompt)


def check_metadata(metadata: Metadata | None) -> None:
    """Refuse what the cache needs for itself.

    Raises:
        InvalidInputError: the application's metadata is no dict, or has a key of the cache's own.
    """
    if metadata is None:
        return
    if not isinstance(metadata, Mapping):
        raise InvalidInputError(f"metadata must be a dict, not a {type(metadata).__name__}")
    if taken := sorted(_RESERVED & metadata.keys()):
        raise InvalidInputError(f"metadata {taken[0]!r} is the cache's own; use another key")


def check_tokens(tokens: object) -> int:
    """The number of tokens, if it is one.

    Raises:
        InvalidInputError: it is not.
    """
    if isinstance(tokens, Integral) and not isinstance(tokens, bool):
        count = int(tokens)
        if 0 <= count < 2**63:
            return count
    raise InvalidInputError(
        f"tokens must be a whole number from 0 to 2**63-1, not {_shown(tokens)}"
    )


def _checked_seconds(seconds: object) -> float:
    try:
        if isinstance(seconds, Real) and not isinstance(seconds, bool):
            took = float(seconds)
            if 0 <= took < _MOST_SECONDS:
                return took
    except OverflowError:
        pass
    raise InvalidInputError(
        f"seconds must be a number from 0 to {_MOST_SECONDS:g}, not {_shown(seconds)}"
    )


def _shown(value: object) -> str:
    """The value for an error, where it is short: an integer may have too many digits to be written."""
    known = isinstance(value, (bool, float, str, type(None)))
    return repr(value)[:100] if known else f"this {type(value).__name__}"


def merged_scope(default: Scope, scope: Scope | None) -> dict[str, Any]:
    """The scope of one call in Python's own types: the cache's own, with what the call says over it.

    Raises:
        InvalidInputError: it is no dict of JSON values.
    """
    if scope is not None and not isinstance(scope, Mapping):
        raise InvalidInputError(f"a scope must be a dict, not a {type(scope).__name__}")
    whole = {**default, **(scope or {})}
    _check_json(whole, "the scope", 0)
    plain: dict[str, Any] = _plain_json(whole)
    return plain


def scope_id(scope: Scope) -> str:
    """The digest of a scope: equal for equal JSON, whatever the order of keys; 1, 1.0 and True differ."""
    return _digest(_canonical(scope))


def entry_id(prompt: str, scope: Scope) -> str:
    """The id of the one entry that a prompt has in a scope."""
    # JSON spells a lone surrogate out, which UTF-8 has no bytes for.
    return _digest(json.dumps([prompt, scope_id(scope)]))


def entry_record(
    prompt: str,
    scope: Scope,
    payload: bytes,
    *,
    vector: Vector | None,
    metadata: Metadata | None,
) -> Record:
    """The record of an entry, but for the time of storing."""
    own = {SCOPE: dict(scope), SCOPE_ID: scope_id(scope), **(metadata or {})}
    return Record(
        id=entry_id(prompt, scope), content=prompt, vector=vector, metadata=own, payload=payload
    )


def encoded(
    answer: Answer, *, ttl: float | None, seconds: float | None, tokens: int | None
) -> bytes:
    """An answer as the payload of a record, with what is known about it.

    Args:
        answer: bytes or a JSON value.
        ttl: seconds that each use prolongs its life to; None if uses do not.
        seconds: how long it took to make.
        tokens: how many it cost.

    Raises:
        InvalidInputError: it would not come back as it is, or `seconds` or `tokens` is no such number.
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
    """The answer in a payload, how long it took to make, and how many tokens it cost.

    Raises:
        UnreadableRecordError: something else wrote it.
    """
    if payload is None or len(payload) < _HEADER.size or payload[0] != _VERSION:
        raise UnreadableRecordError(_FOREIGN)
    _, kind, _, took, cost = _HEADER.unpack_from(payload)
    body = payload[_HEADER.size :]
    try:
        answer = body if kind == _BYTES else json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecordError(_FOREIGN) from error
    known = 0 <= took < _MOST_SECONDS  # another number, or NaN, must not get into the counts
    return answer, took if known else None, cost if cost >= 0 else None


def lifetime(payload: bytes | None) -> int:
    """Milliseconds that a use prolongs an entry's life to; 0 if it does not."""
    if payload is None or len(payload) < _HEADER.size:
        return 0
    lease: int = _HEADER.unpack_from(payload)[2]
    return lease if lease < _MOST_SECONDS * 1000 else 0


def instant_of(stored: object) -> datetime:
    """When an entry was stored, from the seconds since 1970 written with it.

    Raises:
        UnreadableRecordError: something else wrote it.
    """
    try:
        return datetime.fromtimestamp(float(stored), UTC)  # type: ignore[arg-type]  # told by float()
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise UnreadableRecordError(_FOREIGN) from error


def hit_of(record: Record, similarity: float, *, exact: bool) -> CacheHit:
    """The hit that a record is.

    Raises:
        UnreadableRecordError: something else wrote it.
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
    """A checked JSON value in Python's own types: an enumeration's member is the text it holds."""
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
    """Refuse what JSON would change or cannot write."""
    if depth > _DEEPEST:
        raise InvalidInputError(f"{what} is nested more than {_DEEPEST} deep")
    match value:
        case None | bool() | int() | str():
            return
        case float():
            if not math.isfinite(value) and what == "the scope":
                raise InvalidInputError(f"{what} holds {value!r}, which equals nothing")
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
        f"{what} holds a {type(value).__name__}; it must be JSON values"
        + (" or bytes: encode it first" if what == "the answer" else "")
    )
