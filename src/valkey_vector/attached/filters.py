"""Compile filters on attributes of an attached index: a query that selects a superset, and a filter to check results.

Queries cannot express every raw tag: on Valkey-Search, a tag that ends in ``*`` is a prefix wildcard, even if escaped.
So the query selects at least all documents that match, and `AttributeFilter.matches` checks every fetched document
before it is returned. A value of one tenant never matches that of another. `valkey_vector.attached.semantics` defines
which documents match.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from valkey_vector.attached.attributes import (
    Attribute,
    NumericAttribute,
    OtherAttribute,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
    attribute_name,
)
from valkey_vector.attached.definition import IndexDefinition
from valkey_vector.attached.paths import is_definite
from valkey_vector.attached.semantics import translated, with_number_lists
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.filters.ast import (
    Always,
    And,
    Compare,
    Contains,
    Equal,
    Exists,
    Field,
    Filter,
    Like,
    Never,
    Not,
    OneOf,
    Operator,
    Or,
    Satisfies,
    fields_of,
)
from valkey_vector.filters.evaluate import matches
from valkey_vector.filters.plan import Range

__all__ = ["AttributeFilter", "escaped_tag", "everything"]

_PLAIN_NAME = re.compile(r"\w+")
_ESCAPED = re.compile(r"[^A-Za-z0-9\x80-\U0010ffff]")
_UNSURE = re.compile(r"[\x00-\x1f\x7f]")
"""Control characters, which not every query parser accepts."""

_EXACT = 2**53
_MAX_TAG = 1000


@dataclass(frozen=True, slots=True)
class _All:
    """Query for every document."""


@dataclass(frozen=True, slots=True)
class _None:
    """Query for no document."""


@dataclass(frozen=True, slots=True)
class _Text:
    """Query text. If the query is a complement, `negated` is the original query."""

    text: str
    terms: int
    negated: _Text | None = None


_Query: TypeAlias = _All | _None | _Text
_ALL, _NOTHING = _All(), _None()


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Lower and upper bound of a filter: documents that certainly match, and documents that can match."""

    lower: _Query
    upper: _Query

    @property
    def exact(self) -> bool:
        return self.lower is self.upper


@dataclass(frozen=True, slots=True)
class AttributeFilter:
    """Compiled filter on an attached index.

    Attributes:
        query: query that selects at least every document that matches; None selects all documents.
        nothing: True if no document can match.
        exact: True if the query selects only documents that match.
        meaning: filter that is checked on each document.
        reads: hash fields or JSON paths that the check needs.
        indispensable: True if the query has conditions that the client cannot check.
    """

    query: str | None
    nothing: bool
    exact: bool
    meaning: Filter
    reads: tuple[str, ...] = ()
    indispensable: bool = False

    @classmethod
    def of(
        cls,
        filter: Filter,
        definition: IndexDefinition,
        *,
        max_bytes: int,
        max_terms: int,
        list_paths: bool,
    ) -> AttributeFilter:
        """Compile a filter.

        Args:
            filter: filter on the attributes, or on the key as ``F.id``.
            definition: definition of the index.
            max_bytes: maximum bytes of a query.
            max_terms: maximum terms of a query.
            list_paths: True if the server indexes JSON paths that match more than one value.

        Raises:
            FilterError: an attribute does not exist, or does not support the operator.
        """
        attributes = {attribute_name(each): each for each in definition.attributes}
        meaning = translated(filter, attributes)
        compiler = _Compiler(attributes, json=definition.on == "json", list_paths=list_paths)
        bounds = compiler.bounds(meaning)
        upper = _fitted(bounds.upper, compiler, meaning, max_bytes, max_terms)
        return cls(
            query=upper.text if isinstance(upper, _Text) else None,
            nothing=isinstance(upper, _None),
            exact=bounds.exact and upper is bounds.upper,
            meaning=with_number_lists(meaning, attributes) if definition.on == "json" else meaning,
            reads=tuple(
                sorted(
                    attributes[field.path].identifier
                    for field in fields_of(meaning)
                    if field.source == "metadata"
                )
            ),
        )

    def matches(self, key: str, values: Mapping[str, Any]) -> bool:
        """Return True if a document matches, by its indexed values."""
        return matches(self.meaning, values, id=key)


def escaped_tag(tag: str) -> str:
    """Escape a tag for a query. A final ``*`` cannot be escaped."""
    return _ESCAPED.sub(lambda found: f"\\{found[0]}", tag)


def everything(attributes: Iterable[Attribute], nobody: str) -> str | None:
    """Create a query for all documents. Before Valkey-Search 1.3, ``*`` alone is not such a query.

    Args:
        attributes: attributes of the index.
        nobody: long random tag that no document has.

    Returns:
        The query, or None if no attribute allows one.
    """
    for attribute in attributes:
        name = attribute_name(attribute)
        if not _PLAIN_NAME.fullmatch(name):
            continue
        match attribute:
            case TagAttribute(separator=separator):
                word = nobody.replace(separator, "") if separator else nobody
                return f"-@{name}:{{{word}}}"
            case NumericAttribute():
                return f"(@{name}:[-inf inf] | -@{name}:[-inf inf])"
            case TextAttribute() | VectorAttribute() | OtherAttribute():
                pass
            case _:
                assert_never(attribute)
    return None


class _Compiler:
    """Compiles a translated filter into bounds."""

    def __init__(
        self, attributes: Mapping[str, Attribute], *, json: bool, list_paths: bool
    ) -> None:
        self._attributes = attributes
        self._json = json
        self._list_paths = list_paths

    def bounds(self, filter: Filter) -> _Bounds:
        match filter:
            case Always():
                return _Bounds(_ALL, _ALL)
            case Never():
                return _Bounds(_NOTHING, _NOTHING)
            case And(parts):
                return _combined(_all_of, [self.bounds(part) for part in parts])
            case Or(parts):
                return _combined(_any_of, self._alternatives(parts))
            case Not(part):
                inner = self.bounds(part)
                upper = _complement(inner.lower)
                return _Bounds(upper if inner.exact else _complement(inner.upper), upper)
            case _ if filter.field.source != "metadata" or not self._is_queryable(filter.field):
                return _Bounds(_NOTHING, _ALL)
            case Contains(field, value):
                return self._tags(field.path, [value])
            case Equal(field, value) if self._is_number(field):
                return _numbers(field.path, None, [value])
            case OneOf(field, values) if self._is_number(field):
                return _numbers(field.path, None, values)
            case Compare(field, operator, value) if self._is_number(field):
                return _numbers(field.path, operator, [value])
            case Exists(field) if self._is_number(field):
                return _exactly(_range(Range(field.path)))
            case Exists() | Equal() | OneOf() | Compare() | Like() | Satisfies():
                return _Bounds(_NOTHING, _ALL)
            case _:
                assert_never(filter)

    def _alternatives(self, parts: Sequence[Filter]) -> list[_Bounds]:
        """Bounds of the operands of a union, with all tags of one attribute in one condition."""
        tags: dict[str, list[str]] = {}
        others: list[_Bounds] = []
        for part in parts:
            if isinstance(part, Contains) and self._is_queryable(part.field):
                tags.setdefault(part.field.path, []).append(part.value)
            else:
                others.append(self.bounds(part))
        return [self._tags(path, values) for path, values in tags.items()] + others

    def _is_queryable(self, field: Field) -> bool:
        attribute = self._attributes[field.path]
        if isinstance(attribute, (VectorAttribute, OtherAttribute)) or not attribute.indexed:
            return False
        if _PLAIN_NAME.fullmatch(field.path) is None:
            return False
        return not self._json or self._list_paths or is_definite(attribute.identifier)

    def _is_number(self, field: Field) -> bool:
        return isinstance(self._attributes[field.path], NumericAttribute)

    def _tags(self, path: str, values: Iterable[str]) -> _Bounds:
        attribute = self._attributes[path]
        assert isinstance(attribute, TagAttribute)  # noqa: S101 - Contains is on tags only
        possible = [
            value
            for value in dict.fromkeys(values)
            if value and not (attribute.separator and attribute.separator in value)
        ]
        if not possible:
            return _exactly(_NOTHING)
        if any(map(_is_beyond_queries, possible)):
            return _Bounds(_NOTHING, _ALL)
        query = _Text(f"@{path}:{{{'|'.join(map(escaped_tag, possible))}}}", 1)
        # RediSearch lowers letters beyond ASCII, too: it may find more.
        same_case = attribute.case_sensitive or all(value.isascii() for value in possible)
        return _exactly(query) if same_case else _Bounds(_NOTHING, query)


def _is_beyond_queries(tag: str) -> bool:
    """Return True if a query cannot express a tag: it would be a wildcard, or the parser can misread it."""
    return tag.endswith("*") or len(tag) > _MAX_TAG or _UNSURE.search(tag) is not None


def _numbers(path: str, operator: Operator | None, values: Iterable[float]) -> _Bounds:
    """Compare an attribute with numbers. The operator None is equality. Beyond 2**53 several integers share a double."""
    parts: list[_Bounds] = []
    for value in values:
        if value != value:
            continue
        try:
            double = float(value)
        except OverflowError:
            double = math.inf if value > 0 else -math.inf
        exact = abs(value) < _EXACT
        interval = _interval(path, operator, double + 0.0, closed=not exact)
        query = _NOTHING if interval is None else _range(interval)
        parts.append(_exactly(query) if exact else _Bounds(_NOTHING, query))
    return _combined(_any_of, parts)


def _interval(path: str, operator: Operator | None, value: float, *, closed: bool) -> Range | None:
    match operator:
        case None:
            return Range(path, value, value)
        case Operator.LESS | Operator.LESS_EQUAL:
            is_open = operator is Operator.LESS and not closed
            return Range(path, high=value, high_open=is_open)
        case Operator.GREATER | Operator.GREATER_EQUAL:
            is_open = operator is Operator.GREATER and not closed
            return Range(path, low=value, low_open=is_open)
        case _:
            assert_never(operator)


def _range(interval: Range) -> _Text:
    return _Text(query_text(interval), 1)


def _exactly(query: _Query) -> _Bounds:
    return _Bounds(query, query)


def _combined(combine: Callable[[Sequence[_Query]], _Query], each: Sequence[_Bounds]) -> _Bounds:
    upper = combine([bounds.upper for bounds in each])
    if all(bounds.exact for bounds in each):
        return _exactly(upper)
    return _Bounds(combine([bounds.lower for bounds in each]), upper)


def _all_of(parts: Sequence[_Query]) -> _Query:
    if any(isinstance(part, _None) for part in parts):
        return _NOTHING
    return _joined([part for part in parts if isinstance(part, _Text)], " ", _ALL)


def _any_of(parts: Sequence[_Query]) -> _Query:
    if any(isinstance(part, _All) for part in parts):
        return _ALL
    return _joined([part for part in parts if isinstance(part, _Text)], " | ", _NOTHING)


def _joined(parts: Sequence[_Text], between: str, nothing: _Query) -> _Query:
    if len(parts) <= 1:
        return parts[0] if parts else nothing
    text = between.join(part.text for part in parts)
    return _Text(f"({text})", len(parts) + sum(part.terms for part in parts))


def _complement(query: _Query) -> _Query:
    match query:
        case _All():
            return _NOTHING
        case _None():
            return _ALL
        case _Text(text, terms, negated):
            return negated or _Text(f"-{text}", terms + 1, query)
        case _:
            assert_never(query)


def _fitted(
    upper: _Query, compiler: _Compiler, meaning: Filter, max_bytes: int, max_terms: int
) -> _Query:
    """Return the query, or a query for a superset within the server's limits, with the shortest conditions."""

    def fits(query: _Query) -> bool:
        if not isinstance(query, _Text):
            return True
        return query.terms <= max_terms and len(query.text.encode()) <= max_bytes

    if fits(upper):
        return upper
    shortened: _Query = _ALL
    queries = (compiler.bounds(part).upper for part in _conditions(meaning))
    for query in sorted(queries, key=_length):
        longer = _all_of([shortened, query])
        if not fits(longer):
            break
        shortened = longer
    return shortened


def _conditions(filter: Filter) -> Iterator[Filter]:
    """Iterate over the conditions of nested conjunctions."""
    if isinstance(filter, And):
        for part in filter.parts:
            yield from _conditions(part)
    else:
        yield filter


def _length(query: _Query) -> int:
    return len(query.text) if isinstance(query, _Text) else 0
