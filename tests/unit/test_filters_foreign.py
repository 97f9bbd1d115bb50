"""Filters in the dialects of other libraries, and natural mistakes, are refused; the error names the right form."""

from __future__ import annotations

import re
from typing import Any

import pytest

from valkey_vector import (
    CountQuery,
    F,
    FilterError,
    FilterQuery,
    HybridQuery,
    TextQuery,
    VectorQuery,
)
from valkey_vector.filters import matches
from valkey_vector.query import AggregateQuery
from valkey_vector.query.filter_like import as_filter

CONDITION = {"key": "tenant", "match": {"value": "a"}}


@pytest.mark.parametrize(
    ("written", "cure"),
    [
        ({"must": [CONDITION]}, "{'$and': […]}"),
        ({"should": [CONDITION]}, "{'$or': […]}"),
        ({"must_not": [CONDITION]}, "{'$not': {'$or': […]}}"),
        ({"must": {"tenant": "a"}}, "'$and'"),
        ({"bool": {"must": [CONDITION]}}, "'$and'"),
        ({"AND": [{"tenant": "a"}, {"year": 2024}]}, "{'$and': […]}"),
        ({"or": [{"tenant": "a"}]}, "{'$or': […]}"),
        ({"operator": "AND", "conditions": [{"field": "meta.tenant"}]}, "{'$and': […]}"),
        (
            {"field": "meta.tenant", "operator": "==", "value": "a"},
            "{'tenant': {'$eq': 'a'}}",
        ),
        ({"field": "year", "operator": "not in", "value": [1]}, "{'year': {'$nin': [1]}}"),
        ({"key": "tenant", "operator": "==", "value": "a"}, "{'tenant': {'$eq': 'a'}}"),
        (
            {"path": ["tenant"], "operator": "Equal", "valueText": "a"},
            "{'tenant': {'$eq': 'a'}}",
        ),
        ({"filters": [{"key": "tenant", "value": "a"}], "condition": "and"}, "{'$and': […]}"),
        ({"filters": {"tenant": "a"}}, "give the inner filter itself"),
        ({"$and": [{"must": [CONDITION]}]}, "{'$and': […]}"),
        ({"year": {"gte": 2020}}, "write '$gte'"),
        ({"year": {">=": 2020}}, "write '$gte'"),
        ({"address": {"city": "Rome"}}, "'address.city'"),
        ({"$contains": "one"}, "{'key': {'$contains': 'one'}}"),
        ({"$contains": "one"}, "F.content.has_text"),
        ({"$eq": "one"}, "{'key': {'$eq': 'one'}}"),
        ({"$not": True}, "under $not is a dict"),
        ({"$and": [True]}, "under $and is a dict"),
        ({"$or": {"tenant": "a"}}, "$or takes a non-empty list"),
        ({"tenant": {"$or": ["a", "b"]}}, "{'$or': […]}"),
        ({"year": {"$geq": 2020}}, "did you mean '$gte'"),
        ({"tags": {"$any": "p"}}, "$any on 'tags' takes a list"),
        ([{"tenant": "a"}], "{'$and': […]}"),
        (lambda document: True, "satisfies"),
        ("tenant = 'a'", "{'tenant': 'a'}"),
        (F("tenant"), "F('tenant')"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_cure(written: Any, cure: str) -> None:
    with pytest.raises(FilterError, match=re.escape(cure)):
        as_filter(written)


@pytest.mark.parametrize(
    "query",
    [
        FilterQuery(limit=5),
        CountQuery(),
        VectorQuery(vector=[1.0], k=1),
        TextQuery(text="fox"),
        HybridQuery(vector=[1.0], text="fox"),
        AggregateQuery(),
    ],
)
def test_a_query_in_place_of_its_filter_is_refused_with_the_method_that_runs_it(query: Any) -> None:
    name = type(query).__name__
    method = "aggregate" if isinstance(query, AggregateQuery) else "query"
    cure = rf"parts of the query as keywords .*Index\.{method}\({name}\(…\)\)"
    for refusing in (
        lambda: as_filter(query),
        lambda: CountQuery(filter=query),
        lambda: AggregateQuery().where(query),
    ):
        with pytest.raises(FilterError, match=cure):
            refusing()


@pytest.mark.parametrize(
    ("written", "metadata"),
    [
        ({"path": "/a"}, {"path": "/a"}),
        ({"must": "x"}, {"must": "x"}),
        ({"filters": ["a", "b"]}, {"filters": ["a", "b"]}),
        ({"field": "x", "value": 1}, {"field": "x", "value": 1}),
        ({"operator": "Vodafone", "path": "/a"}, {"operator": "Vodafone", "path": "/a"}),
        (
            {"field": {"$eq": "x"}, "operator": {"$eq": "=="}},
            {"field": "x", "operator": "=="},
        ),
        ({"must": {"$eq": [{"a": 1}]}}, {"must": [{"a": 1}]}),
        ({"metadata.tenant": "a"}, {"metadata": {"tenant": "a"}}),
        ({"tenant": ["a", "b"]}, {"tenant": ["a", "b"]}),
        ({"tenant": {"$not": True}}, {"tenant": False}),
        ({"$and": [F("n") > 1, {"s": "x"}]}, {"n": 2, "s": "x"}),
        ({"$not": F("n") > 1}, {"n": 1}),
    ],
)
def test_keys_of_metadata_may_have_any_name(
    written: dict[str, Any], metadata: dict[str, Any]
) -> None:
    assert matches(as_filter(written), metadata)
    assert not matches(~as_filter(written), metadata)


def test_a_field_written_as_an_attribute_or_an_item_raises_an_error_with_the_right_form() -> None:
    with pytest.raises(AttributeError, match=r"F\('tenant'\)"):
        F.tenant  # noqa: B018
    with pytest.raises(TypeError, match=r"F\('tenant'\)"):
        F["tenant"]
    assert not hasattr(F, "tenant")


@pytest.mark.parametrize("values", ["p", 1, {"p": 1}])
def test_one_value_is_not_treated_as_a_list_of_values(values: Any) -> None:
    for method in ("in_", "not_in", "contains_any", "contains_all"):
        with pytest.raises(FilterError, match=r"'tags'.*list|list.*'tags'"):
            getattr(F("tags"), method)(values)
