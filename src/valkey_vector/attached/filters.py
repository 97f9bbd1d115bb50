"""Filters on an index's own attributes: the query that selects what may match, and the meaning it is checked by.

An attached index has raw tags, which no query can ask for in every case (a tag that ends in ``*`` is a prefix
wildcard on Valkey-Search, escaped or not). So a query selects at least everything that matches, and every document
that is brought is checked by `AttributeFilter.matches` before anybody sees it: no value of one tenant ever matches
another's. What matches is stated in `valkey_vector.attached.semantics`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from valkey_vector.attached.definition import (
    Attribute,
    IndexDefinition,
    NumericAttribute,
    OtherAttribute,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
    attribute_name,
)
from valkey_vector.attached.semantics import translated
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
)
from valkey_vector.filters.evaluate import matches
from valkey_vector.filters.plan import Range

__all__ = ["AttributeFilter", "escaped_tag", "everything"]

_PLAIN_NAME = re.compile(r"\w+")
_ESCAPED = re.compile(r"[^A-Za-z0-9\x80-\U0010ffff]")
_UNSURE = re.compile(r"[\x00-\x1f\x7f]")
"""Control characters, which not every module's parser takes."""

_EXACT = 2**53
_LONGEST_TAG = 1000
_DEFINITE = re.compile(r"\$(?:\.\w+|\[\"[^\"]+\"\]|\['[^']+'\]|\[\d+\])*")


@dataclass(frozen=True, slots=True)
class _All:
    """Every document."""


@dataclass(frozen=True, slots=True)
class _None:
    """No document."""


@dataclass(frozen=True, slots=True)
class _Text:
    """The documents that a query selects; `negated` is what it is the complement of."""

    text: str
    terms: int
    negated: _Text | None = None


_Query: TypeAlias = _All | _None | _Text
_ALL, _NOTHING = _All(), _None()


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What surely matches, and what may."""

    lower: _Query
    upper: _Query

    @property
    def exact(self) -> bool:
        return self.lower is self.upper


@dataclass(frozen=True, slots=True)
class AttributeFilter:
    """A filter made ready for an index that is not of this library.

    Attributes:
        query: selects at least every document that matches; None selects all.
        nothing: whether it is certain that no document matches.
        exact: whether the query selects nothing else.
        meaning: what is checked on each document.
        indispensable: whether the query also asks what cannot be checked on a document here.
    """

    query: str | None
    nothing: bool
    exact: bool
    meaning: Filter
    indispensable: bool = False

    @classmethod
    def of(
        cls,
        filter: Filter,
        definition: IndexDefinition,
        *,
        most_bytes: int,
        most_terms: int,
        list_paths: bool,
    ) -> AttributeFilter:
        """Compile a filter.

        Args:
            filter: on the attributes, or on the key as ``F.id``.
            definition: of the index.
            most_bytes: of a query.
            most_terms: of a query.
            list_paths: whether the server indexes what a JSON path finds if that is not one value.

        Raises:
            FilterError: the index has no such attribute, or it does not take the operator.
        """
        attributes = {attribute_name(each): each for each in definition.attributes}
        meaning = translated(filter, attributes)
        compiler = _Compiler(attributes, json=definition.on == "json", list_paths=list_paths)
        bounds = compiler.bounds(meaning)
        upper = _fitted(bounds.upper, compiler, meaning, most_bytes, most_terms)
        return cls(
            query=upper.text if isinstance(upper, _Text) else None,
            nothing=isinstance(upper, _None),
            exact=bounds.exact and upper is bounds.upper,
            meaning=meaning,
        )

    def matches(self, key: str, values: Mapping[str, Any]) -> bool:
        """Whether a document matches, by what the index holds of it."""
        return matches(self.meaning, values, id=key)


def escaped_tag(tag: str) -> str:
    """A tag as it is written in a query. Not for one that ends in ``*``: no escape helps there."""
    return _ESCAPED.sub(lambda found: f"\\{found[0]}", tag)


def everything(attributes: Iterable[Attribute], nobody: str) -> str | None:
    """A query for all documents, which ``*`` alone is not before Valkey-Search 1.3; None where no attribute allows one.

    Args:
        attributes: of the index.
        nobody: a long word that no document can be expected to have.
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
    """Writes a translated filter as bounds."""

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
        """The parts of a union, with all tags of one attribute in one condition."""
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
        one_value = _DEFINITE.fullmatch(attribute.identifier) is not None
        return _PLAIN_NAME.fullmatch(field.path) is not None and (
            not self._json or self._list_paths or one_value
        )

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
    """Whether a tag cannot be asked for: it would be a wildcard, or its query is not sure to be understood."""
    return tag.endswith("*") or len(tag) > _LONGEST_TAG or _UNSURE.search(tag) is not None


def _numbers(path: str, operator: Operator | None, values: Iterable[float]) -> _Bounds:
    """Numbers compared with an attribute; None for equality. Beyond 2**53 several share a double."""
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
    upper: _Query, compiler: _Compiler, meaning: Filter, most_bytes: int, most_terms: int
) -> _Query:
    """The query, or one for a superset that the server's parser has room for: short conditions stay."""

    def fits(query: _Query) -> bool:
        if not isinstance(query, _Text):
            return True
        return query.terms <= most_terms and len(query.text.encode()) <= most_bytes

    if fits(upper):
        return upper
    kept: _Query = _ALL
    queries = (compiler.bounds(part).upper for part in _conditions(meaning))
    for query in sorted(queries, key=_length):
        longer = _all_of([kept, query])
        if not fits(longer):
            break
        kept = longer
    return kept


def _conditions(filter: Filter) -> Iterator[Filter]:
    """What must all match, of nested conjunctions, too."""
    if isinstance(filter, And):
        for part in filter.parts:
            yield from _conditions(part)
    else:
        yield filter


def _length(query: _Query) -> int:
    return len(query.text) if isinstance(query, _Text) else 0
