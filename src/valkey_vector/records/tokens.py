"""Tokens: how one metadata item is written into the generic TAG field.

A token is made of ASCII letters, digits and ``_`` only, so no value can break out of a query, a
tag is never split, trimmed or taken for a wildcard, and every Valkey-Search from 1.0 to 1.3 and
RediSearch read it alike. A byte of the UTF-8 text that is no ASCII letter or digit becomes ``_``
and two hex digits. A marker, ``_`` and a letter beyond f, ends the key and says what follows:

====  =======================  ======================================
mark  example                  the item
====  =======================  ======================================
_x    ``price_xn``             the key is there and holds a number (n), text (s), a boolean (y),
                               a point in time (t: ISO-8601 text is both), a list (q) or dict (d)
_s    ``city_sParis``          text
_n    ``price_n10``            number (10 and 10.0 are one)
_y    ``open_y1``              boolean
_t    ``day_t17000000000000``  point in time, microseconds since 1970 UTC
_q    ``tags_q<digest>``       a whole list or dict
_l    ``tags_lsred``           an element of a list, marked as above
====  =======================  ======================================

A record's parent, which is no metadata, has two tokens that begin with the marker ``_p``: no key does. Every record
has the token of its lineage, ``_r`` and eight digits (see `valkey_vector.storage.record_version`), by which records are told
from other hashes under the prefix.
A token longer than `LONGEST` is replaced by its digest, which has no marker.
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
    "element_token",
    "escape",
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
"""Characters of the longest token that is written out; longer ones are hashed."""

HAS_VECTOR = "v"
"""The token of every record that has an embedding. Not a digest, and without a marker."""

HAS_PARENT = "_px"
"""The token of every record that has a parent."""

KINDS = "nsytqd"
"""The kinds of value: number, text, boolean, point in time, list, dict."""

_OFTEN = 100
"""Characters of the longest text whose spelling is remembered."""

_UNSAFE = re.compile("[^A-Za-z0-9]")
_SPELT = re.compile("_([0-9a-f]{2})")


def escape(text: str) -> str:
    """Text in the safe alphabet, injectively."""
    # First of all: an enumeration's member equals its text, and would be remembered for it.
    if type(text) is not str:
        text = plain_text(text)
    return _escape_often(text) if len(text) <= _OFTEN else _escape(text)


def unescape(escaped: str) -> str:
    """The text that `escape` spelt."""
    raw = _SPELT.sub(lambda match: chr(int(match[1], 16)), escaped)
    return raw.encode("latin-1").decode("utf-8")


def _escape(text: str) -> str:
    if text.isascii() and text.isalnum():
        return text
    raw = text.encode("utf-8").decode("latin-1")
    return _UNSAFE.sub(lambda match: f"_{ord(match.group()):02x}", raw)


# The same keys and many values (a source, a language) occur in one record after another.
_escape_often = lru_cache(maxsize=16_384)(_escape)


@lru_cache(maxsize=128)
def vector_token(name: str) -> str:
    """The token of every record that has a vector beside the main one (no mark of an item is ``_v``)."""
    return f"{HAS_VECTOR}_v{escape(name)}"


def is_unicode(text: str) -> bool:
    """Whether text can be sent at all: with a lone surrogate in it, it has no UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=1024)
def kind_token(path: str, kind: str) -> str:
    """The token of every record whose `path` is of a kind, one of `KINDS`."""
    return _fit(f"{escape(path)}_x{kind}")


def presence_tokens(path: str) -> tuple[str, ...]:
    """Tokens one of which every record has in which `path` is there and not None."""
    return tuple(kind_token(path, kind) for kind in KINDS)


def value_token(path: str, value: Any) -> str | None:
    """The token of every record with just this value under `path`; None for a NaN.

    A point in time has the same token as any other spelling of it.
    """
    marked = _marked(value)
    return None if marked is None else _fit(f"{escape(path)}_{marked}")


def element_token(path: str, value: Any) -> str | None:
    """The token of every record whose list under `path` holds `value`; None for a NaN."""
    marked = _marked(value)
    return None if marked is None else _fit(f"{escape(path)}_l{marked}")


SLIDING = "_rs"
"""The token of every record whose end only its key knows (no lineage is ``s``)."""


def record_token(lineage: str) -> str:
    """The token of every record of a lineage (no mark of an item is ``_r``)."""
    return f"_r{lineage}"


def parent_token(parent: str) -> str:
    """The token of every record with this parent."""
    return _fit(f"_ps{escape(parent)}")


def parent_tokens(parent: str | None) -> list[str]:
    """The tokens of a record with this parent; none without one."""
    return [] if parent is None else [HAS_PARENT, parent_token(parent)]


def _fit(token: str) -> str:
    if len(token) <= LONGEST:
        return token
    return "z" + hashlib.blake2b(token.encode("ascii"), digest_size=20).hexdigest()


def _marked(value: Any) -> str | None:
    """The value with its type's marker, or None where it equals nothing (NaN)."""
    match value:
        case bool():
            return f"y{int(value)}"
        case int() | float():
            return None if value != value else f"n{_number(value)}"
        case str():
            return f"s{escape(value)}"
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
    """One spelling for each number: 1 and 1.0 are the same, -0.0 is 0."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return escape(str(int(value)) if isinstance(value, int) else repr(float(value)))


def _canonical(value: Any) -> Any:
    """A JSON value that is the same for equal values and different for others."""
    if isinstance(value, list):
        items = [_canonical(item) for item in value]
        return None if any(item is None for item in items) else ["list", items]
    if isinstance(value, Mapping):
        pairs = {key: _canonical(item) for key, item in value.items()}
        return None if any(item is None for item in pairs.values()) else ["dict", pairs]
    return _marked(value)
