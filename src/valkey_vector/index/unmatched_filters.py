"""Warn about a filter that found nothing because a key, or the type of a value, occurs in no record of the index.

Looked up only after an empty answer, in one round trip, and once for each key of an index in a process; what was found is
remembered, so a query that rightly finds nothing costs no more the next time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, TypeVar

from valkey_vector.connection.pipelines import run_all
from valkey_vector.engines.base import Engine
from valkey_vector.errors import ValkeyVectorError
from valkey_vector.filters.ast import (
    Always,
    And,
    Compare,
    Contains,
    Equal,
    Exists,
    Filter,
    Like,
    Never,
    Not,
    OneOf,
    Or,
    Predicate,
    Satisfies,
)
from valkey_vector.filters.plan import EVERYTHING, Plan, Tokens
from valkey_vector.index.handle import IndexHandle
from valkey_vector.query.filter_like import FilterLike, as_filter
from valkey_vector.records.temporal import parse_iso
from valkey_vector.records.tokens import KINDS, kind_token

__all__ = ["explained"]

_T = TypeVar("_T")

_NAMES = {
    "n": "number", "s": "text", "y": "boolean", "t": "date or datetime", "q": "list", "d": "dict",
}  # fmt: skip
_TYPES = {str: "s", bool: "y", int: "n", float: "n", date: "t", list: "q", dict: "d"}
_ANY: Final = frozenset(KINDS)
_PREFIXES = ("metadata.", "meta.")
_OWN = {"id": "F.id", "content": "F.content", "page_content": "F.content", "text": "F.content"}

_MAX_KEYS = 14
"""Keys looked up at once: seven commands each make a round trip."""

_MAX_KNOWN = 10_000
"""Maximum number of remembered keys. More keys cause no warning."""

_EMPTY_SECONDS = 60.0
"""Seconds before an index without records is checked again."""

_log = logging.getLogger("valkey_vector")
_kinds: dict[tuple[str, str], frozenset[str]] = {}
"""The kinds of value found under a key of an index, by generation and path."""
_warned: dict[tuple[str, str], object] = {}
_empty: dict[str, float] = {}


def explained(handle: IndexHandle, engine: Engine, filter: FilterLike | None, answer: _T) -> _T:
    """Return the answer unchanged. If it is empty, log a warning for a key or type that no record of the index has.

    Args:
        handle: of the index.
        engine: that answered.
        filter: of the query; None for none.
        answer: what was found, or how many.
    """
    if not answer and filter is not None and handle.settings.hints:
        _explain(engine, as_filter(filter))
    return answer


def _explain(engine: Engine, filter: Filter) -> None:
    generation = engine.entry.generation
    paths = [path for path in _paths(filter) if (generation, path) not in _warned]
    known = {path: _kinds.get((generation, path)) for path in paths}
    unknown = [path for path in paths if known[path] is None]
    suspect = unknown or list(_impossible(filter, known) or ())
    if suspect and len(_kinds) < _MAX_KNOWN and _look_up(engine, suspect[:_MAX_KEYS]):
        known = {path: _kinds.get((generation, path)) for path in paths}
        for path, needed in (_impossible(filter, known) or {}).items():
            _warn(engine, path, needed, known[path] or frozenset())


def _look_up(engine: Engine, paths: Sequence[str]) -> bool:
    """Look up the kinds of values that records have under each path. Returns False without records."""
    generation = engine.entry.generation
    if time.monotonic() < _empty.get(generation, 0.0):
        return False
    pairs = [(path, kind) for path in paths for kind in KINDS]
    plans: list[Plan] = [EVERYTHING, *(Tokens((kind_token(*pair),)) for pair in pairs)]
    total, *counts = run_all(engine, [engine.counting(plan) for plan in plans])
    if any(isinstance(number, ValkeyVectorError) for number in (total, *counts)):
        return (
            False  # an outage is raised; a warning is no reason to fail a query that was answered
        )
    if not total:
        _empty[generation] = time.monotonic() + _EMPTY_SECONDS
        return False
    found = {pair for pair, number in zip(pairs, counts, strict=True) if number}
    for path in paths:
        _kinds[generation, path] = frozenset(kind for kind in KINDS if (path, kind) in found)
    return True


def _warn(engine: Engine, path: str, needed: frozenset[str], found: frozenset[str]) -> None:
    mark = object()
    if _warned.setdefault((engine.entry.generation, path), mark) is not mark:
        return
    name = engine.entry.name
    if not found:
        _log.warning(
            "a filter matched nothing: no record of index %r has the metadata key %r%s",
            name,
            path,
            _cure_of_key(path),
        )
        return
    _log.warning(
        "a filter matched nothing: it compares the metadata key %r with a %s, but in the records of index %r its value is "
        "a %s%s",
        path,
        _listed(needed - {"q"} or needed),
        name,
        _listed(found),
        _cure_of_kind(needed, found),
    )


def _cure_of_key(path: str) -> str:
    for prefix in _PREFIXES:
        if path.startswith(prefix):
            return f"; keys are written without a prefix: {path.removeprefix(prefix)!r}"
    if path in _OWN:
        return f"; the record's own is {_OWN[path]}"
    return ""


def _cure_of_kind(needed: frozenset[str], found: frozenset[str]) -> str:
    if "q" in found:
        return "; use $contains, $any or $all for what a list holds"
    if "q" in needed and needed <= {"q"}:
        return "; use $in for one of several values, $like for text within text"
    return ""


def _listed(kinds: Iterable[str]) -> str:
    return " or ".join(_NAMES[kind] for kind in KINDS if kind in kinds)


def _paths(filter: Filter) -> dict[str, None]:
    """Return the metadata keys that a filter requires, in order."""
    match filter:
        case Always() | Never() | Not():
            return {}
        case And(parts) | Or(parts):
            return {path: None for part in parts for path in _paths(part)}
        case _:
            return {filter.field.path: None} if filter.field.source == "metadata" else {}


def _impossible(
    filter: Filter, known: Mapping[str, frozenset[str] | None]
) -> dict[str, frozenset[str]] | None:
    """Return the keys because of which no record can match, each with the kinds that it would need. None if one can match."""
    match filter:
        case Always() | Never() | Not():
            return None
        case And(parts):
            return _merged([each for part in parts if (each := _impossible(part, known))])
        case Or(parts):
            alternatives = [_impossible(part, known) for part in parts]
            return _merged([each for each in alternatives if each]) if all(alternatives) else None
        case _:
            found = known.get(filter.field.path) if filter.field.source == "metadata" else None
            needed = _needed(filter)
            return None if found is None or needed & found else {filter.field.path: needed}


def _merged(reasons: Sequence[dict[str, frozenset[str]]]) -> dict[str, frozenset[str]] | None:
    merged: dict[str, frozenset[str]] = {}
    for reason in reasons:
        for path, kinds in reason.items():
            merged[path] = merged.get(path, frozenset()) | kinds
    return merged or None


def _needed(predicate: Predicate) -> frozenset[str]:
    """Return the kinds of values that an item can have to match."""
    match predicate:
        case Equal(_, value):
            return _kinds_of(value)
        case OneOf(_, values, members):
            own = frozenset().union(*map(_kinds_of, values))
            return own | {"q"} if members else own
        case Compare(_, _, value):
            ordered = _kinds_of(value)
            return ordered - {"s"} if "t" in ordered else ordered
        case Contains():
            return frozenset("q")
        case Like():
            return frozenset("s")
        case Exists():
            return _ANY
        case Satisfies(_, types, _):
            return frozenset(_TYPES[kind] for kind in types)


def _kinds_of(value: Any) -> frozenset[str]:
    match value:
        case bool():
            return frozenset("y")
        case int() | float():
            return frozenset("n")
        case str():
            return frozenset("s" if parse_iso(value) is None else "st")
        case date():
            return frozenset("t")
        case list():
            return frozenset("q")
        case _:
            return frozenset("d")
