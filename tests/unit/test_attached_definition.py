"""Definitions of indexes: Valkey-Search accepts every command they create; invalid definitions are refused first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialect_guard import check
from valkey_vector import (
    ConfigurationError,
    IndexDefinition,
    Metric,
    NumericAttribute,
    TagAttribute,
    TextAttribute,
    TextOptions,
    VectorAttribute,
)
from valkey_vector.attached.attributes import Attribute, OtherAttribute, attribute_name
from valkey_vector.attached.definition import optional_clauses

identifiers = st.text("abcxyz_09 é-.$:", min_size=1, max_size=12)
hnsw = st.builds(
    VectorAttribute,
    identifiers,
    dimension=st.integers(1, 32_768),
    metric=st.sampled_from(Metric),
    algorithm=st.just("HNSW"),
    m=st.none() | st.integers(2, 2_000_000),
    ef_construction=st.none() | st.integers(1, 1_000_000),
    ef_runtime=st.none() | st.integers(1, 1_000_000),
    initial_cap=st.none() | st.integers(1, 10_000),
)
flat = st.builds(
    VectorAttribute,
    identifiers,
    dimension=st.integers(1, 32_768),
    algorithm=st.just("FLAT"),
    initial_cap=st.none() | st.integers(1, 10_000),
    block_size=st.none() | st.integers(1, 10_000),
)
attributes: st.SearchStrategy[Attribute] = st.one_of(
    hnsw,
    flat,
    st.builds(
        TagAttribute,
        identifiers,
        separator=st.sampled_from(",|;:/ \x1f"),
        case_sensitive=st.booleans(),
    ),
    st.builds(NumericAttribute, identifiers),
    st.builds(TextAttribute, identifiers, stemming=st.booleans(), suffix_trie=st.booleans()),
)
texts = st.builds(
    TextOptions,
    stop_words=st.none()
    | st.lists(st.sampled_from(["the", "SCHEMA", "5"]), unique=True).map(tuple),
    punctuation=st.none() | st.just(",.-"),
    min_stem_size=st.none() | st.integers(1, 9),
    offsets=st.none() | st.booleans(),
    stemming=st.none() | st.booleans(),
    language=st.none() | st.just("english"),
)


@st.composite
def definitions(draw: st.DrawFn) -> IndexDefinition:
    drawn = draw(
        st.lists(attributes, min_size=1, max_size=6, unique_by=lambda each: each.identifier)
    )
    json = draw(st.booleans())
    named = tuple(
        replace(
            each,
            identifier=f"$.{each.identifier}" if json else each.identifier,
            alias=f"a{number}",
        )
        for number, each in enumerate(drawn)
    )
    return IndexDefinition(
        name=draw(st.sampled_from(["idx", "a b", "{t}idx"])),
        on="json" if json else "hash",
        prefixes=(),
        attributes=named,
        skip_initial_scan=draw(st.booleans()),
        text=draw(texts),
    )


@given(definitions(), st.lists(st.sampled_from(["a:", "b:", "ü", "SCHEMA"]), max_size=8))
def test_commands_are_such_as_the_server_takes(
    definition: IndexDefinition, prefixes: list[str]
) -> None:
    placed = tuple(f"{{t}}{each}" if "{" in definition.name else each for each in prefixes)
    if "{" in definition.name and not placed:
        placed = ("{t}",)
    made = replace(definition, prefixes=placed)
    command = made.create_command()
    check(command)
    assert made.attribute("a0") == made.attributes[0]
    assert made.vectors == tuple(
        each for each in made.attributes if isinstance(each, VectorAttribute)
    )


def test_a_definition_with_everything_in_it() -> None:
    definition = IndexDefinition(
        name="docs",
        on="json",
        prefixes=("doc:", "note:"),
        skip_initial_scan=True,
        attributes=(
            VectorAttribute(
                "$.v",
                "v",
                dimension=3,
                metric=Metric.IP,
                m=8,
                ef_construction=64,
                ef_runtime=32,
                initial_cap=100,
            ),
            TagAttribute("$.t", "t", separator=";", case_sensitive=True),
            NumericAttribute("$.n", "n"),
        ),
    )
    assert " ".join(map(str, definition.create_command())) == (
        "FT.CREATE docs ON JSON PREFIX 2 doc: note: SKIPINITIALSCAN SCHEMA $.v AS v VECTOR HNSW 14 TYPE FLOAT32 DIM 3 "
        "DISTANCE_METRIC IP INITIAL_CAP 100 M 8 EF_CONSTRUCTION 64 EF_RUNTIME 32 $.t AS t TAG SEPARATOR ; CASESENSITIVE "
        "$.n AS n NUMERIC"
    )


def test_clauses_that_only_redisearch_has_are_written_and_named() -> None:
    vector = VectorAttribute("v", dimension=3, data_type="BFLOAT16")
    definition = IndexDefinition(
        name="i",
        prefixes=("p:",),
        attributes=(vector, NumericAttribute("n")),
        condition="@n>1",
        text=TextOptions(language="german"),
    )
    assert " ".join(map(str, definition.create_command())) == (
        "FT.CREATE i ON HASH PREFIX 1 p: FILTER @n>1 LANGUAGE german SCHEMA v VECTOR HNSW 6 TYPE BFLOAT16 DIM 3 "
        "DISTANCE_METRIC COSINE n NUMERIC"
    )
    assert list(optional_clauses(definition)) == [
        "a condition (FILTER)", "vectors of BFLOAT16", "the language 'german'",
    ]  # fmt: skip
    assert optional_clauses(IndexDefinition(name="i", attributes=(TAG,))) == {}


def test_an_alias_equal_to_the_name_is_ignored() -> None:
    assert TagAttribute("t", "t") == TagAttribute("t")
    assert attribute_name(TagAttribute("t")) == "t"
    assert attribute_name(TagAttribute("$.t", "t")) == "t"


UNTYPED_VECTOR: Any = VectorAttribute
TAG = TagAttribute("t")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IndexDefinition(name="", attributes=(TAG,)), "name of an index"),
        (lambda: IndexDefinition(name="i", on="xml", attributes=(TAG,)), "'hash' or 'json'"),  # type: ignore[arg-type]
        (lambda: IndexDefinition(name="i"), "1 to 1000 attributes"),
        (lambda: IndexDefinition(name="i", attributes=(TAG, NumericAttribute("t"))), "'t' occurs more"),
        (lambda: IndexDefinition(name="i", attributes=(TAG, TagAttribute("t", "u"))), "more than once"),
        (lambda: IndexDefinition(name="i", attributes=(TagAttribute("a-b"),)), "'-': set an alias"),
        (lambda: IndexDefinition(name="i", on="json", attributes=(TAG,)), "not a JSON path"),
        (lambda: IndexDefinition(name="i", on="json", attributes=(TagAttribute("$.t"),)), "set an alias"),
        (lambda: IndexDefinition(name="i", prefixes=("a{b}:",), attributes=(TAG,)), "hash tag"),
        (lambda: IndexDefinition(name="i{b}", attributes=(TAG,), prefixes=("a:",)), "hash tag"),
        (lambda: IndexDefinition(name="i", attributes=(TAG,), prefixes=tuple("123456789")), "at most 8"),
        (lambda: IndexDefinition(name="i", attributes=(TAG,), prefixes="abc"), "tuple"),  # type: ignore[arg-type]
        (lambda: IndexDefinition(name="i", attributes=(OtherAttribute("g", None, "GEO"),)), "GEO"),
        (lambda: IndexDefinition(name="i", attributes=(TAG,), condition=""), "condition must be non-empty text"),
        (lambda: IndexDefinition(name="i", attributes=(TagAttribute("t", indexed=False),)), "'t' is not indexed"),
        (lambda: IndexDefinition(name="i", attributes=(TagAttribute("t", separator=""),)), "separator of 't'"),
        (lambda: IndexDefinition(name="i", attributes=(TagAttribute("t" * 257),)), "more than 256"),
        (lambda: IndexDefinition(name="i", attributes=(NumericAttribute("n" * 129),)), "more than 128"),
        (lambda: TagAttribute("t", separator=",,"), "one character"),
        (lambda: TagAttribute(""), "non-empty text"),
        (lambda: UNTYPED_VECTOR("v", dimension=0), "dimension of vector attribute 'v' must be an integer from 1 to 32768"),
        (lambda: UNTYPED_VECTOR("v", dimension=4, m=1), "m of vector"),
        (lambda: UNTYPED_VECTOR("v", dimension=4, m=True), "m of vector"),
        (lambda: UNTYPED_VECTOR("v", dimension=4, ef_runtime=2_000_000), "ef_runtime"),
        (lambda: UNTYPED_VECTOR("v", dimension=4, initial_cap=0), "initial_cap of vector attribute 'v' must be an integer >= 1"),
        (lambda: UNTYPED_VECTOR("v", dimension=4, metric="HAMMING"), "HAMMING"),
        (lambda: UNTYPED_VECTOR("v", dimension=4, algorithm="SVS"), "SVS"),
        (lambda: UNTYPED_VECTOR("v", dimension=4, algorithm="FLAT", m=4), "settings of HNSW"),
        (lambda: UNTYPED_VECTOR("v", dimension=4, block_size=4), "setting of FLAT"),
        (lambda: IndexDefinition(name="i", attributes=(UNTYPED_VECTOR("v", dimension=4, data_type="INT8"),)), "not 'INT8'"),
    ],
)  # fmt: skip
def test_what_the_server_would_refuse_is_refused_with_its_culprit(make: Any, message: str) -> None:
    def command() -> None:
        made = make()
        made.create_command()

    with pytest.raises(ConfigurationError, match=message):
        command()
