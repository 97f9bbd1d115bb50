"""Generated filters of LlamaIndex, and their meaning by LlamaIndex's own function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.core.vector_stores.utils import build_metadata_filter_fn

from valkey_vector.records.metadata import MISSING, lookup

SOURCE_KEYS = ("doc_id", "document_id", "ref_doc_id")

keys = st.sampled_from(["a", "b", "c", "é *|", ""])
any_keys = keys | st.sampled_from(["n.x", "n", "n.y.z", *SOURCE_KEYS])
texts = st.sampled_from(
    [
        "", "x", "X", "xy", "acme", "acme*", "a|b", " ", "é", "İ", "K", "ſ", "ß", "SS", "None", "True", "1",
        "1699-12-31", "1700-01-01", "2199-12-31", "2024-02", "2024-01-31x", "2024-13-01", "2024-02-01T00:00+23:59",
        "2024-01-30T23:59:59.999999-23:59", "2024-02-02", "2024-01-29",
        "2024-01-31", "2024-01-31T00:00:00", "2024-01-31T01:00:00+01:00", "2024-02-01 12:30", "2023-12-31", "%", "_\n",
        "s1", "s2",
    ]
)  # fmt: skip
whole = st.integers(-2, 3) | st.sampled_from([10**20, 2**53 + 1])
fractions = st.sampled_from([0.0, -0.0, 1.0, 0.5, -1.5, 1e300, float("inf"), float("nan")])
scalars: st.SearchStrategy[Any] = st.booleans() | whole | fractions | texts
values: st.SearchStrategy[Any] = st.one_of(
    scalars,
    scalars,
    st.lists(scalars | st.none(), max_size=3),
    st.lists(st.lists(scalars, max_size=2), max_size=2),
    st.dictionaries(texts, scalars | st.none(), max_size=2),
)
metadata: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={key: values | st.none() for key in ("a", "b", "c", "é *|", "")}
)
nested = st.fixed_dictionaries({}, optional={"x": scalars, "y": st.just({"z": "x"}) | scalars})
any_metadata = st.fixed_dictionaries(
    {}, optional={"a": values, "b": values, "n": nested, **dict.fromkeys(SOURCE_KEYS, scalars)}
)
"""Also with nested dicts, and keys under which LlamaIndex files the source document."""

lists: st.SearchStrategy[Any] = st.one_of(
    st.lists(texts, max_size=4), st.lists(whole, max_size=4), st.lists(fractions, max_size=3)
)
_ORDERINGS = (FilterOperator.GT, FilterOperator.GTE, FilterOperator.LT, FilterOperator.LTE)
_LISTED = (FilterOperator.IN, FilterOperator.NIN, FilterOperator.ANY, FilterOperator.ALL)
_TEXTS = (FilterOperator.TEXT_MATCH, FilterOperator.TEXT_MATCH_INSENSITIVE)


def leaves(chosen: st.SearchStrategy[str]) -> st.SearchStrategy[MetadataFilter]:
    """Comparisons with every operator, whose values the operator can take."""

    def comparison(
        operators: tuple[FilterOperator, ...], operands: st.SearchStrategy[Any]
    ) -> st.SearchStrategy[MetadataFilter]:
        return st.builds(
            lambda key, operator, value: MetadataFilter(key=key, operator=operator, value=value),
            chosen,
            st.sampled_from(operators),
            operands,
        )

    numbers = whole | fractions
    return st.one_of(
        comparison((FilterOperator.EQ, FilterOperator.NE), numbers | texts | lists | st.none()),
        comparison(_ORDERINGS, numbers | texts),
        comparison(_LISTED, lists),
        comparison((FilterOperator.CONTAINS,), numbers | texts | lists),
        comparison(_TEXTS, texts),
        comparison((FilterOperator.IS_EMPTY,), st.none() | texts),
    )


def flat(chosen: st.SearchStrategy[str]) -> st.SearchStrategy[MetadataFilters]:
    """Generate filters that `build_metadata_filter_fn` accepts."""
    return _combined(leaves(chosen))


def deep(chosen: st.SearchStrategy[str]) -> st.SearchStrategy[MetadataFilters]:
    """Filters of filters, too."""
    return _combined(st.recursive(leaves(chosen), _combined, max_leaves=6))


def _combined(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[MetadataFilters]:
    return st.builds(
        lambda filters, condition: MetadataFilters(filters=filters, condition=condition),
        st.lists(parts, max_size=3),
        st.sampled_from([*FilterCondition, None]),
    )


class Reachable(Mapping[str, Any]):
    """Metadata as filters here see it: nested dicts by paths, and the source document under its keys."""

    def __init__(self, metadata: Mapping[str, Any], source: str | None) -> None:
        self._metadata, self._source = metadata, source

    def __getitem__(self, key: str) -> Any:
        found = lookup(self._metadata, key)
        if key in SOURCE_KEYS and (found is None or found is MISSING):
            return self._source
        return None if found is MISSING else found

    def __iter__(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


def expected(filters: MetadataFilters, seen: Mapping[str, Any]) -> bool:
    """Return True if a node passes. LlamaIndex's own function compares; a TypeError of it means False."""
    results = [
        expected(part, seen) if isinstance(part, MetadataFilters) else _compared(part, seen)
        for part in filters.filters
    ]
    if not results:
        return True
    match filters.condition:
        case FilterCondition.OR:
            return any(results)
        case FilterCondition.NOT:
            return not any(results)
        case _:
            return all(results)


def _compared(part: MetadataFilter, seen: Mapping[str, Any]) -> bool:
    compare = build_metadata_filter_fn(lambda _: seen, MetadataFilters(filters=[part]))
    try:
        return compare("")
    except TypeError:
        return False


def pointed(
    stored: list[dict[str, Any]], others: st.SearchStrategy[MetadataFilters]
) -> st.SearchStrategy[MetadataFilters]:
    """Generate filters with a condition on a value of the stored metadata."""
    asked = [
        (key, value)
        for items in stored
        for key, value in items.items()
        if isinstance(value, str) or (type(value) in (int, float) and value == value)
    ]
    if not asked:
        return others
    operators = [
        FilterOperator.EQ,
        FilterOperator.NE,
        *_ORDERINGS,
        FilterOperator.IN,
        FilterOperator.NIN,
    ]

    def about(item: tuple[str, Any], operator: FilterOperator) -> MetadataFilter:
        key, value = item
        operand = [value] if operator in (FilterOperator.IN, FilterOperator.NIN) else value
        return MetadataFilter(key=key, operator=operator, value=operand)

    part = st.builds(about, st.sampled_from(asked), st.sampled_from(operators))
    return st.builds(
        lambda one, other, condition: MetadataFilters(filters=[one, *other], condition=condition),
        part,
        st.lists(part, max_size=1) | st.lists(others, max_size=1),
        st.sampled_from([*FilterCondition, None]),
    )
