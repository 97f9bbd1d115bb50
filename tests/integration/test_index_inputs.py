"""Input that cannot be stored or queried is refused by name, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from valkey_vector import (
    ConfigurationError,
    F,
    FilterError,
    Index,
    InvalidInputError,
    Record,
)

GOOD = Record(id="good", content="text", vector=[1, 2, 3, 4])
HALF = "\ud800"  # of a surrogate pair: no Unicode text
LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP

BAD_RECORDS: dict[str, tuple[Any, str]] = {
    "too short a vector": (Record(id="bad", vector=[1, 2, 3]), "'bad' has 3 dimensions.* 4"),
    "too long a vector": (Record(id="bad", vector=[1] * 5), "'bad' has 5 dimensions.* 4"),
    "an empty vector": (Record(id="bad", vector=[]), "'bad' is empty"),
    "NaN": (Record(id="bad", vector=[1, 2, math.nan, 4]), "'bad' holds NaN"),
    "infinity": (Record(id="bad", vector=[1, 2, -math.inf, 4]), "'bad' holds NaN, infinity"),
    "more than float32": (Record(id="bad", vector=[1, 2, 1e39, 4]), "'bad' holds.*float32"),
    "an integer without end": (Record(id="bad", vector=[1, 2, 3, 10**400]), "'bad' holds.*float32"),
    "a list of lists": (Record(id="bad", vector=[[1], [2], [3], [4]]), r"'bad' has shape \(4, 1\)"),  # type: ignore[list-item]
    "a generator": (Record(id="bad", vector=(n for n in range(4))), "'bad' is a generator"),  # type: ignore[arg-type]
    "a nested vector": (Record(id="bad", vector=np.ones((1, 4))), r"'bad' has shape \(1, 4\)"),
    "text as a vector": (Record(id="bad", vector="1234"), "'bad' is a str"),  # type: ignore[arg-type]
    "texts in a vector": (Record(id="bad", vector=["a"] * 4), "'bad' is not made of numbers"),  # type: ignore[list-item]
    "no text": (Record(id="bad", content=b"bytes"), "content of record 'bad' is a bytes"),  # type: ignore[arg-type]
    "None as text": (Record(id="bad", content=None), "content of record 'bad' is a NoneType"),  # type: ignore[arg-type]
    "half a character": (Record(id="bad", content=HALF), "'bad' holds a lone surrogate"),
    "half a character in an id": (Record(id=HALF), "ud800.*holds a lone surrogate"),
    "half a character in metadata": (
        Record(id="bad", metadata={"k": [HALF]}),
        "'bad' holds a lone",
    ),
    "half a character in a key": (Record(id="bad", metadata={HALF: 1}), "'bad' holds a lone"),
    "endless content": (Record(id="bad", content="x" * 4 * 2**20), "'bad' are 4,194,306 bytes"),
    "text as payload": (Record(id="bad", payload="text"), "payload of record 'bad' is a str"),  # type: ignore[arg-type]
    "no id": (Record(id=""), "id of item 1 must be non-empty text"),
    "a number as id": (Record(id=7), "id of item 1 must be non-empty text, not 7"),  # type: ignore[arg-type]
    "NUL in an id": (Record(id="a\0b"), "id of item 1 holds a NUL"),
    "an endless id": (Record(id="x" * 100_000), "id of item 1 is longer"),
    "an object in metadata": (Record(id="bad", metadata={"k": {"o": object()}}), "'k.*'bad'"),
    "a set in metadata": (Record(id="bad", metadata={"k": {1, 2}}), "'k.*'bad'"),
    "bytes in metadata": (Record(id="bad", metadata={"k": b"x"}), "'k.*'bad'"),
    "a key that is no text": (Record(id="bad", metadata={1: "x"}), "'bad'"),  # type: ignore[dict-item]
    "endless metadata": (Record(id="bad", metadata=LOOP), "'bad'"),
    "a list as metadata": (Record(id="bad", metadata=[1]), "metadata of record 'bad' is a list"),  # type: ignore[arg-type]
    "no record": ({"id": "bad"}, "item 1 is a dict, not a Record"),
    "an id twice": (Record(id="good"), "'good' occurs more than once"),
}


def everything(index: Index) -> dict[bytes, bytes]:
    """All that the server keeps of an index: documents, catalogue, log."""
    keys = [key for batch in index.connection.scan(f"*{index.name}*") for key in batch]
    return {key: index.connection.execute("DUMP", key) for key in keys}


@pytest.mark.parametrize("case", BAD_RECORDS)
@pytest.mark.parametrize("batch_size", [1, 100])
def test_a_record_that_cannot_be_stored_is_named_and_none_is_written(
    index: Index, case: str, batch_size: int
) -> None:
    bad, message = BAD_RECORDS[case]
    with pytest.raises(InvalidInputError, match=message):
        index.upsert([GOOD, bad], batch_size=batch_size)
    assert not index.exists()
    assert everything(index) == {}

    index.upsert([Record(id="good", content="kept", vector=[1, 2, 3, 4])])
    before = everything(index)
    with pytest.raises(InvalidInputError, match=message):
        index.upsert([Record(id="good", metadata={"new": 1}), bad], batch_size=batch_size)
    assert everything(index) == before


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("numeric", value) for value in ("5", True, math.nan, [1])),
        *(("tag", value) for value in (5, ["a", 1], {"a": "b"})),
        *(("text", value) for value in (5, ["a"])),
    ],
)
def test_metadata_that_is_not_what_the_schema_declares_is_named(
    open_index: Callable[..., Index], kind: str, value: Any
) -> None:
    index = open_index(schema={"fields": [{"path": "key", "kind": kind}]})
    bad = Record(id="bad", metadata={"key": value})
    with pytest.raises(InvalidInputError, match=f"'key' of record 'bad'.*declares it {kind}"):
        index.upsert([GOOD, bad])
    assert everything(index) == {}
    index.upsert([GOOD])
    with pytest.raises(InvalidInputError, match=f"'key' of .*declares it {kind}"):
        index.update_metadata(["good"], {"key": value})
    assert index.get(["good"]) == [Record(id="good", content="text")]


@pytest.mark.parametrize("value", ["x" * 100_000, ["word"] * 20_000, {"a": {"b": "y" * 100_000}}])
def test_large_metadata_is_returned_and_can_be_filtered(index: Index, value: Any) -> None:
    index.upsert([Record(id="a", vector=[1, 2, 3, 4], metadata={"big": value, "n": 1}), GOOD])
    assert index.get(["a"]) == [Record(id="a", metadata={"big": value, "n": 1})]
    for wanted in (F("big") == value, F("n") == 1, F("big").exists()):
        assert [found.id for found in index.select(wanted)] == ["a"]
        assert [hit.record.id for hit in index.search([1, 2, 3, 4], filter=wanted)] == ["a"]


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", None, True])
def test_k_must_be_a_positive_integer(index: Index, k: Any) -> None:
    index.upsert([GOOD])
    asks: list[Callable[[], object]] = [
        lambda: index.search([1, 2, 3, 4], k=k),
        lambda: index.search_mmr([1, 2, 3, 4], k=k),
        lambda: index.search_mmr([1, 2, 3, 4], fetch_k=k),
    ]
    for ask in asks:
        with pytest.raises(InvalidInputError, match=r"k must be an integer ≥ 1"):
            ask()


@pytest.mark.parametrize("ef_runtime", [0, -1, 1.5, "3", True])
def test_ef_runtime_must_be_a_positive_integer(index: Index, ef_runtime: Any) -> None:
    for ask in (index.search, index.search_mmr):
        with pytest.raises(InvalidInputError, match="ef_runtime must be an integer"):
            ask([1, 2, 3, 4], ef_runtime=ef_runtime)


@pytest.mark.parametrize("lambda_mult", [-0.1, 1.1, math.nan])
def test_a_weight_of_diversity_out_of_range_is_refused(index: Index, lambda_mult: float) -> None:
    index.upsert([GOOD])
    with pytest.raises(InvalidInputError, match="lambda_mult must be from 0 to 1"):
        index.search_mmr([1, 2, 3, 4], lambda_mult=lambda_mult)


def test_a_k_beyond_every_limit_finds_all_there_are(index: Index) -> None:
    index.upsert([GOOD, Record(id="plain")])
    for k in (10_000, 10_001, 10**30):
        hits = index.search([1, 2, 3, 4], k=k, ef_runtime=10**9)
        assert [hit.record.id for hit in hits] == ["good"]


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ([1, 2, 3], "3 dimensions"),
        ([], "empty"),
        ([1, 2, 3, math.nan], "NaN"),
        ("abcd", "str"),
        (None, "NoneType"),
        (np.ones((4, 1)), "shape"),
        ([[1], [2], [3], [4]], "shape"),
        ([1, 2, 3, 10**400], "float32"),
        ([1, 2, 3, None], "NaN"),
        ([1, 2, 3, 1j], "numbers"),
    ],
)
def test_a_query_vector_that_cannot_be_compared_is_refused(
    index: Index, vector: Any, message: str
) -> None:
    index.upsert([GOOD])
    for ask in (index.search, index.search_mmr):
        with pytest.raises(InvalidInputError, match=f"the query.*{message}"):
            ask(vector)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"a": {"$near": 1}}, "'.near'"),
        ({"$nor": [{"a": 1}]}, "'.nor'"),
        ({"a": {"$gt": 1, "nested": 2}}, "'nested' under 'a'"),
        ({"a": {"$in": "text"}}, "in on 'a'.*str"),
        ({"a": {"$in": 5}}, "in on 'a'.*int"),
        ({"a": {"$between": [1]}}, "between on 'a'"),
        ({"a": {"$exists": "yes"}}, "exists on 'a'"),
        ({"a": {"$gt": None}}, "NoneType.*'a'"),
        ({"a": {"$lt": [1]}}, "list.*'a'"),
        ({"$and": {"a": 1}}, "and takes"),
        ({"$or": []}, "or takes"),
        ({"a": {}}, "'a' names no operator"),
        ({"a": {"$like": 5}}, "pattern.*int"),
        ({"a": b"bytes"}, "bytes"),
        ({"a": [b"bytes"]}, "bytes"),
        ({1: 2}, "int"),
        ("a == 1", "str"),
        ([("a", 1)], "list"),
        ({HALF: 1}, "ud800.*surrogate"),
        ({"a": HALF}, "ud800.*surrogate"),
        ({"a": [HALF]}, "ud800.*surrogate"),
        *(({"a": {operator: HALF}}, "ud800.*surrogate") for operator in ("$ne", "$gt", "$like")),
        ({"a": {"$in": [HALF]}}, "ud800.*surrogate"),
    ],
)
def test_an_invalid_filter_is_an_error_in_every_method(
    index: Index, wrong: Any, message: str
) -> None:
    index.upsert([GOOD])
    uses: list[Callable[[], object]] = [
        lambda: index.search([1, 2, 3, 4], filter=wrong),
        lambda: index.search_mmr([1, 2, 3, 4], filter=wrong),
        lambda: index.select(wrong),
        lambda: index.count(wrong),
        lambda: index.delete_by_filter(wrong),
    ]
    for use in uses:
        with pytest.raises(FilterError, match=message):
            use()
    assert index.count() == 1


@pytest.mark.parametrize("which", [None, "good", b"good", 5, [""], [7], [HALF], iter(["good"])])
def test_an_update_must_name_the_records_it_changes(index: Index, which: Any) -> None:
    index.upsert([GOOD])
    with pytest.raises(InvalidInputError):
        index.update_metadata(which, {"k": 1})
    assert index.count(F("k") == 1) == 0


def test_an_expression_cannot_be_cut_short_by_and_or_not(index: Index) -> None:
    for use in (
        lambda: (F("a") == 1) and (F("b") == 2),
        lambda: (F("a") == 1) or (F("b") == 2),
        lambda: not F("a") == 1,  # noqa: SIM201
        lambda: 1 < F("a") < 3,
        lambda: bool(F("a")),
    ):
        with pytest.raises(TypeError, match="truth"):
            use()


@pytest.mark.parametrize("ids", ["abc", b"abc", None, 5, [""], [7], [None], [HALF]])
def test_ids_must_be_a_list_of_texts(index: Index, ids: Any) -> None:
    index.upsert([GOOD])
    for use in (index.get, index.delete):
        with pytest.raises(InvalidInputError, match="id"):
            use(ids)
    assert index.count() == 1


def test_ids_may_come_one_by_one_and_none_is_lost(index: Index) -> None:
    index.upsert([GOOD])
    several: Any = (id for id in ("unknown", "good"))
    assert index.get(several) == [None, Record(id="good", content="text")]
    several = iter(["good", "unknown"])
    assert index.delete(several) == 1


@pytest.mark.parametrize("window", ["offset", "limit"])
@pytest.mark.parametrize("value", [-1, 1.5, "3", True])
def test_offset_and_limit_must_be_integers_from_zero_on(
    index: Index, window: str, value: Any
) -> None:
    index.upsert([GOOD])
    with pytest.raises(InvalidInputError, match=f"{window} must be an integer"):
        index.select(**{window: value})


@pytest.mark.parametrize("order_by", [5, [5], [None], ["n", F("n") > 1], b"n"])
def test_a_key_to_order_by_is_text_or_a_field(index: Index, order_by: Any) -> None:
    index.upsert([GOOD])
    with pytest.raises(InvalidInputError, match="order_by must be a metadata key"):
        index.select(order_by=order_by)


@pytest.mark.parametrize("changes", [{"k": object()}, {1: 2}, ["k"], {"k": {1}}])
def test_an_update_that_cannot_be_stored_changes_nothing(index: Index, changes: Any) -> None:
    index.upsert([GOOD])
    with pytest.raises(InvalidInputError):
        index.update_metadata(["good"], changes)
    assert index.get(["good"]) == [Record(id="good", content="text")]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "{a}", "a*", "-a", "ä" * 300, 5, None])
def test_an_index_name_that_could_meet_another_is_refused(
    open_index: Callable[..., Index], name: Any
) -> None:
    with open_index().connection as connection, pytest.raises(ConfigurationError):
        Index.open(name, connection=connection)


def test_values_that_only_look_odd_are_stored_exactly(index: Index) -> None:
    odd: dict[str, Any] = {
        "": "empty key",
        "id": 1,
        "content": None,
        "vector": [1.5, None, True],
        "tags": {"nested": {"deep": ["é", {"x": 10**30}]}},
        "$date": "2024-01-31",
        "nan": math.inf,
        "when": datetime(2024, 1, 31, 12, 30, 0, 5),  # noqa: DTZ001
        "a.b": {"c": 1},
    }
    index.upsert([Record(id="odd", metadata=odd)])
    assert index.get(["odd"]) == [Record(id="odd", metadata=odd)]


async def test_the_keyword_of_other_libraries_is_refused_with_the_name_of_ours(
    index: Index,
) -> None:
    wrong: Any = {"filters": {"tenant": "a"}}
    for call in (
        lambda: index.search([1, 2, 3, 4], **wrong),
        lambda: index.search_mmr([1, 2, 3, 4], **wrong),
        lambda: index.search_text("text", **wrong),
        lambda: index.search_hybrid([1, 2, 3, 4], "text", **wrong),
        lambda: index.select(**wrong),
        lambda: index.count(**wrong),
        lambda: index.facets(["tenant"], **wrong),
        lambda: index.delete_by_filter(**wrong),
    ):
        with pytest.raises(TypeError, match="takes filter=, a dict or an expression, not filters="):
            call()
    with pytest.raises(TypeError, match="takes filter="):
        await index.asearch([1, 2, 3, 4], **wrong)
