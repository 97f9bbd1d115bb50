"""Tokens: the encoding of metadata items in the generic TAG field.

A token consists of ASCII letters, digits and ``_`` only. So no value can change a query, a tag is never split,
trimmed or read as a wildcard, and Valkey-Search 1.0 to 1.3 and RediSearch read it alike. Each byte of the UTF-8
text that is not an ASCII letter or digit becomes ``_`` and two hex digits. A marker, ``_`` and a letter beyond f, ends the
key and states the kind of what follows:

====  =======================  ======================================
mark  example                  the item
====  =======================  ======================================
_x    ``price_xn``             the key exists and holds a number (n), text (s), a boolean (y),
                               a point in time (t: ISO 8601 text is both), a list (q) or dict (d)
_s    ``city_sParis``          text
_n    ``price_n10``            number (10 and 10.0 are the same)
_y    ``open_y1``              boolean
_t    ``day_t17000000000000``  point in time, microseconds since 1970 UTC
_q    ``tags_q<digest>``       a whole list or dict
_l    ``tags_lsred``           an element of a list, marked as above
====  =======================  ======================================

The parent of a record, which is not metadata, has two tokens that begin with the marker ``_p``; no key begins so. Every
record has the token of its lineage, ``_r`` and eight digits (see `valkey_vector.storage.record_version`). It
distinguishes records from other hashes under the prefix. A token longer than `LONGEST` is replaced by its digest, which
has no marker.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from valkey_vector.records.plain_values import plain_text
from valkey_vector.records.temporal import instant, is_temporal

__all__ = [
    "HAS_PARENT",
    "HAS_VECTOR",
    "SLIDING",
    "SMALL",
    "element_token",
    "escape",
    "integer_tokens",
    "is_unicode",
    "kind_token",
    "parent_token",
    "parent_tokens",
    "presence_tokens",
    "record_token",
    "unescape",
    "value_token",
    "vector_token",
]

LONGEST = 120
"""Maximum characters of a token; a longer one is hashed."""

HAS_VECTOR = "v"
"""Token of every record that has an embedding. Not a digest, and without a marker."""

HAS_PARENT = "_px"
"""Token of every record that has a parent."""

KINDS = "nsytqd"
"""The kinds of values: number, text, boolean, point in time, list, dict."""

SMALL = 10**15
"""Limit of the integers, from 0, that are exact as a double and whose token is written with digits only."""

_MAX_CACHED = 100
"""Maximum characters of a text whose escaped form is cached."""

_ESCAPES = [chr(n) if chr(n).isascii() and chr(n).isalnum() else f"_{n:02x}" for n in range(256)]
_ESCAPED = re.compile("_([0-9a-f]{2})")


def escape(text: str) -> str:
    """Encode text in the safe alphabet, injectively."""
    # First: a member of an enumeration equals its text, so the cache would mistake one for the other.
    if type(text) is not str:
        text = plain_text(text)
    return _escape_cached(text) if len(text) <= _MAX_CACHED else _escape(text)


def unescape(escaped: str) -> str:
    """Decode text that `escape` encoded."""
    if "_" not in escaped:
        return escaped
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), escaped)
    return raw if raw.isascii() else raw.encode("latin-1").decode("utf-8")


def _escape(text: str) -> str:
    if text.isascii() and text.isalnum():
        return text
    raw = text.encode("utf-8").decode("latin-1")
    return raw.translate(_ESCAPES)


# The same keys and many of the values (a source, a language) occur in many records.
_escape_cached = lru_cache(maxsize=16_384)(_escape)


@lru_cache(maxsize=128)
def vector_token(name: str) -> str:
    """Token of every record that has a named vector (no item has the mark ``_v``)."""
    return f"{HAS_VECTOR}_v{escape(name)}"


def is_unicode(text: str) -> bool:
    """True if text can be encoded as UTF-8: it has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=1024)
def kind_token(path: str, kind: str) -> str:
    """Token of every record whose value under `path` is of a kind, one of `KINDS`."""
    return _fit(f"{escape(path)}_x{kind}")


def presence_tokens(path: str) -> tuple[str, ...]:
    """Tokens of which a record has at least one if `path` exists and is not None."""
    return tuple(kind_token(path, kind) for kind in KINDS)


def value_token(path: str, value: Any) -> str | None:
    """Token of every record with exactly this value under `path`; None for NaN.

    All spellings of a point in time have the same token.
    """
    marked = _marked(value)
    return None if marked is None else _fit(f"{escape(path)}_{marked}")


def integer_tokens(path: str, value: int) -> tuple[str, str]:
    """Tokens of a record whose value under `path` is an integer from 0 to below `SMALL`: of its kind and its value."""
    kind, beginning = _beginnings_of_numbers(path)
    token = f"{beginning}{value}"
    return kind, token if len(token) <= LONGEST else _fit(token)


@lru_cache(maxsize=1024)
def _beginnings_of_numbers(path: str) -> tuple[str, str]:
    """The token of the kind of a number, and the beginning of the token of its value."""
    return kind_token(path, "n"), f"{escape(path)}_n"


def element_token(path: str, value: Any) -> str | None:
    """Token of every record whose list under `path` holds `value`; None for NaN."""
    marked = _marked(value)
    return None if marked is None else _fit(f"{escape(path)}_l{marked}")


SLIDING = "_rs"
"""Token of every record with a sliding expiration: only its key has the time (no lineage is ``s``)."""


def record_token(lineage: str) -> str:
    """Token of every record of a lineage (no item has the mark ``_r``)."""
    return f"_r{lineage}"


def parent_token(parent: str) -> str:
    """Token of every record with this parent."""
    return _fit(f"_ps{escape(parent)}")


def parent_tokens(parent: str | None) -> list[str]:
    """Tokens of a record with this parent; empty without a parent."""
    return [] if parent is None else [HAS_PARENT, parent_token(parent)]


def _fit(token: str) -> str:
    if len(token) <= LONGEST:
        return token
    return "z" + hashlib.blake2b(token.encode("ascii"), digest_size=20).hexdigest()


def _marked(value: Any) -> str | None:
    """The value with the marker of its type; None if it equals nothing (NaN)."""
    match value:
        case str():
            return f"s{escape(value)}"
        case bool():
            return f"y{int(value)}"
        case int() | float():
            return None if value != value else f"n{_number(value)}"
        case _ if is_temporal(value):
            return f"t{_number(instant(value))}"
        case list() | dict():
            canonical = _canonical(value)
            if canonical is None:
                return None
            text = json.dumps(canonical, sort_keys=True, ensure_ascii=True)
            return "q" + hashlib.blake2b(text.encode("ascii"), digest_size=20).hexdigest()
        case None:
            return "z"
        case _:
            raise TypeError(f"no token for a {type(value).__name__}")


def _number(value: float) -> str:
    """The only spelling of a number: 1 and 1.0 are the same, -0.0 is 0."""
    if type(value) is int and 0 <= value < SMALL:
        return str(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return escape(str(int(value)) if isinstance(value, int) else repr(float(value)))


def _canonical(value: Any) -> Any:
    """A JSON value that is equal for equal values and different for others."""
    if isinstance(value, list):
        items = [_canonical(item) for item in value]
        return None if any(item is None for item in items) else ["list", items]
    if isinstance(value, Mapping):
        pairs = {key: _canonical(item) for key, item in value.items()}
        return None if any(item is None for item in pairs.values()) else ["dict", pairs]
    return _marked(value)
