"""Queries for raw attributes: what is written, what is left to be checked, and that nothing breaks out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialect_guard import check
from strategies import TEXTS, anything
from valkey_vector import (
    F,
    Filter,
    IndexDefinition,
    NumericAttribute,
    TagAttribute,
    TextAttribute,
    TextOptions,
    UnsupportedFeatureError,
)
from valkey_vector.attached.attributes import Attribute, VectorAttribute
from valkey_vector.attached.documents import fetched, key_pattern
from valkey_vector.attached.filters import AttributeFilter, everything
from valkey_vector.attached.text import terms_query

DEFINITION = IndexDefinition(
    name="idx",
    attributes=(
        TagAttribute("t"),
        TagAttribute("cs", separator="|", case_sensitive=True),
        TagAttribute("odd name"),
        NumericAttribute("n"),
        TextAttribute("x"),
        VectorAttribute("v", dimension=2),
    ),
)


def compiled(
    filter: Filter, definition: IndexDefinition = DEFINITION, **limits: Any
) -> AttributeFilter:
    settings = {"max_bytes": 10_000, "max_terms": 1_000, "list_paths": True, **limits}
    return AttributeFilter.of(filter, definition, **settings)


def values_of(stored: dict[bytes, bytes]) -> Mapping[str, Any]:
    found = {name.decode(): value for name, value in stored.items()}
    return fetched(DEFINITION, b"k", found, lists=True).values


@pytest.mark.parametrize(
    ("filter", "query", "exact"),
    [
        (F("t") == "Red", "@t:{red}", True),
        (F("cs") == "Red", "@cs:{Red}", True),
        (F("t") == " a-b ", r"@t:{a\-b}", True),
        (F("t") == "under_score", r"@t:{under\_score}", True),
        (F("t") == "=>[KNN 1 @v $q]", r"@t:{\=\>\[knn\ 1\ \@v\ \$q\]}", True),
        (F("t").in_(["a", "b", "a "]), "@t:{a|b}", True),
        (F("t") == "ünï", "@t:{ünï}", False),
        (F("cs") == "ünï", "@cs:{ünï}", True),
        (F("t") == "star*", None, False),
        (F("t").in_(["star*", "a"]), None, False),
        ((F("t") == "star*") & (F("n") == 1), "@n:[1 1]", False),
        (~(F("t") == "star*"), None, False),
        (F("t") == "nul\x00", None, False),
        (~(F("t") == "a"), "-@t:{a}", True),
        (~~(F("t") == "a"), "@t:{a}", True),
        (F("t") != "a*b", r"-@t:{a\*b}", True),
        (F("odd name") == "a", None, False),
        (F("n") > 1, "@n:[(1 inf]", True),
        (F("n") <= 0.1, "@n:[-inf 0.1]", True),
        (F("n") < 2**53 + 1, "@n:[-inf 9007199254740992]", False),
        (F("n") == 10**400, "@n:[inf inf]", False),
        (F("n").in_([1, 2.5]), "(@n:[1 1] | @n:[2.5 2.5])", True),
        (F("n").exists(), "@n:[-inf inf]", True),
        (F("x") == "a", None, False),
        ((F("x") == "a") | (F("t") == "b"), None, False),
        ((F("t") == "a") & ((F("n") < 1) | (F("n") > 2)), "(@t:{a} (@n:[-inf (1] | @n:[(2 inf]))", True),
        (F.id == "k", None, False),
    ],
)  # fmt: skip
def test_queries(filter: Filter, query: str | None, exact: bool) -> None:
    made = compiled(filter)
    assert (made.query, made.exact, made.nothing) == (query, exact, False)
    if made.query is not None:
        check(["FT.SEARCH", "idx", made.query, "LIMIT", "0", "1"])


@pytest.mark.parametrize(
    "filter",
    [
        F("t").in_([]),
        F("t") == "",
        F("t") == " \t",
        F("t") == "a,b",
        F("cs") == "a|b",
        F("n").in_([float("nan")]),
        F("n").in_([]),
        (F("t") == "a") & F("n").in_([]),
        ~~F("t").in_([]),
    ],
)
def test_a_condition_that_cannot_match_is_not_queried(filter: Filter) -> None:
    made = compiled(filter)
    assert made.nothing
    assert compiled(~filter).query is None
    assert not compiled(~filter).nothing


@given(st.sampled_from(TEXTS) | anything, st.sampled_from(["t", "cs"]))
def test_no_text_breaks_out_of_its_tag(text: str, path: str) -> None:
    made = compiled((F(path) == text) & (F("n") == 1))
    if made.query is not None and "{" in made.query:
        check(
            ["FT.SEARCH", "idx", made.query, "LIMIT", "0", "1"],
            schema=["FT.CREATE", "idx", "SCHEMA", "t", "TAG", "cs", "TAG", "SEPARATOR", "|", "n", "NUMERIC"],
        )  # fmt: skip
        inside = made.query.split("{", 1)[1]
        assert inside.endswith("} @n:[1 1])")
        assert "}" not in inside[: -len("} @n:[1 1])")].replace("\\}", "")


@given(st.sampled_from(TEXTS) | anything)
def test_no_text_breaks_out_of_its_words(text: str) -> None:
    words = terms_query({"x": text}, DEFINITION)
    if words is not None:
        schema = ["FT.CREATE", "idx", "SCHEMA", "x", "TEXT"]
        check(["FT.SEARCH", "idx", words, "LIMIT", "0", "1"], schema=schema)
        assert re.fullmatch(r"\(?(@x:[^@\s()|*%{}\[\]\\\"-]+ ?)+\)?", words)


def test_words_are_split_by_the_settings_of_the_index() -> None:
    assert terms_query({"x": "State-of-the-art, state"}, DEFINITION) == "(@x:state @x:art)"
    assert terms_query({"x": "the"}, DEFINITION) is None
    told = replace(DEFINITION, text=TextOptions(stop_words=("art",)))
    assert terms_query({"x": "the art"}, told) == "@x:the"
    odd = replace(DEFINITION, text=TextOptions(punctuation=",."))
    with pytest.raises(UnsupportedFeatureError, match="punctuation"):
        terms_query({"x": "a"}, odd)


def test_a_query_that_is_too_large_keeps_its_short_conditions() -> None:
    many = F("t").in_([f"value{number}" for number in range(3_000)])
    made = compiled(many & (F("n") == 1) & (F("cs") == "tenant"))
    assert (made.query, made.exact) == ("(@n:[1 1] @cs:{tenant})", False)
    assert compiled(many).query is None
    terms = F("n").in_(range(1_000))
    assert compiled(terms).query is None
    assert compiled(terms & (F("t") == "a"), max_terms=16).query == "@t:{a}"


def test_json_paths_to_several_values_are_queried_only_where_they_are_indexed() -> None:
    definition = IndexDefinition(
        name="j",
        on="json",
        attributes=(
            TagAttribute("$.tags[*]", "tags"),
            TagAttribute('$["a b"].c[0]', "one"),
            NumericAttribute("$..n", "n"),
        ),
    )
    assert compiled(F("tags") == "a", definition).query == "@tags:{a}"
    assert compiled(F("tags") == "a", definition, list_paths=False).query is None
    assert compiled(F("one") == "a", definition, list_paths=False).query == "@one:{a}"
    assert compiled(F("n") == 1, definition, list_paths=False).query is None


@pytest.mark.parametrize(
    ("attributes", "query"),
    [
        ([TextAttribute("x"), TagAttribute("t", separator="b")], "-@t:{aac}"),
        ([TagAttribute("odd name"), NumericAttribute("n")], "(@n:[-inf inf] | -@n:[-inf inf])"),
        ([TextAttribute("x"), VectorAttribute("v", dimension=2)], None),
    ],
)
def test_a_query_for_everything(attributes: list[Attribute], query: str | None) -> None:
    assert everything(attributes, "abac") == query


@pytest.mark.parametrize(
    ("stored", "number"),
    [
        (b"5", 5), (b" +5.50 ", 5.5), (b"-.5e1", -5.0), (b"0x1F", 31), (b"-inf", float("-inf")), (b"1e400", float("inf")),
        (b"9007199254740993", 2**53 + 1), (b"", None), (b"nan", None), (b"5,0", None), (b"1_000", None), (b"five", None),
        (b"\xff", None), ("٣".encode(), None),
    ],
)  # fmt: skip
def test_numbers_are_read_as_the_server_reads_them(stored: bytes, number: float | None) -> None:
    values = values_of({b"n": stored})
    assert values.get("n") == number
    assert type(values.get("n")) is type(number)


def test_tags_are_split_stripped_and_lowered() -> None:
    values = values_of({b"t": b" Red ,,red, \xc3\x9cN\tI ", b"cs": b"A|a | ", b"odd name": b" , "})
    assert values == {"t": ["red", "Ün\ti"], "cs": ["A", "a"]}


def test_prefixes_are_no_patterns() -> None:
    assert key_pattern("a[b]*?\\:") == b"a\\[b\\]\\*\\?\\\\:*"
