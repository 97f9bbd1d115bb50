"""A likely mistake behind an empty result is logged once, and the check costs nothing otherwise."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from caches import Degrees
from round_trips import CommandLog
from valkey_vector import CountQuery, F, FilterQuery, Index, Record, VectorQuery
from valkey_vector.cache import SemanticCache

METADATA: list[dict[str, Any]] = [
    {"tenant": "a", "year": 2024, "tags": ["p", "q"], "day": date(2024, 1, 31), "ok": True, "in": {"x": "y"}},
    {"tenant": "b", "year": 2023, "tags": ["q"], "day": date(2024, 2, 1), "ok": False, "iso": "2024-01-31"},
]  # fmt: skip


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "valkey_vector")
    return caplog


@pytest.fixture
def index(open_index: Callable[..., Index]) -> Index:
    index = open_index(dimension=4)
    index.upsert(
        Record(id=str(n), content="text", vector=[1, n, 0, 0], metadata=items)
        for n, items in enumerate(METADATA)
    )
    return index


def messages(log: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in log.records if record.name == "valkey_vector"]
    log.clear()
    return found


@pytest.mark.parametrize(
    ("filter", "named"),
    [
        ({"tenent": "a"}, ["'tenent'", "no record"]),
        ({"metadata.tenant": "a"}, ["'metadata.tenant'", "without a prefix: 'tenant'"]),
        ({"page_content": "text"}, ["F.content"]),
        ({"year": "2024"}, ["'year'", "with a text", "a number"]),
        ({"year": {"$in": ["2024"]}}, ["'year'", "with a text", "a number"]),
        ({"year": {"$gt": "2020-01-01"}}, ["'year'", "date", "a number"]),
        ({"ok": 1}, ["'ok'", "with a number", "a boolean"]),
        ({"tags": "p"}, ["'tags'", "with a text", "a list", "$any"]),
        ({"tenant": ["a", "b"]}, ["'tenant'", "with a list", "a text", "$in"]),
        ({"tenant": {"$contains": "a"}}, ["'tenant'", "with a list", "$like"]),
        ({"in.z": "y"}, ["'in.z'", "no record"]),
        ({"tenant": "a", "tenent": "a"}, ["'tenent'"]),
        ({"$or": [{"tenent": "a"}, {"year": "2024"}]}, ["'tenent'"]),
        (F("year").like("2%"), ["'year'", "with a text"]),
    ],
)
def test_a_key_or_type_that_no_record_has_is_said_once(
    index: Index, log: pytest.LogCaptureFixture, filter: Any, named: list[str]
) -> None:
    assert index.select(filter) == []
    said = messages(log)
    assert said
    assert index.name in said[0]
    for words in named:
        assert words in said[0]
    assert index.select(filter) == []
    assert index.search([1, 0, 0, 0], filter=filter) == []
    assert messages(log) == []


@pytest.mark.parametrize(
    "filter",
    [
        {"tenant": "c"},
        {"year": {"$gt": 3000}},
        {"tags": {"$any": ["z"]}},
        {"tenant": "a", "year": 2023},
        {"tags": {"$in": ["z"]}},
        {"day": "2020-01-01"},
        {"iso": date(2020, 1, 1)},
        {"in.x": "z"},
        {"$not": {"tenant": {"$exists": True}}},
        {"$or": [{"tenent": "a"}, {"tenant": "c"}]},
        {"tenant": "c", "tenent": {"$ne": "a"}},
        F.id == "nobody",
        F.parent == "nobody",
    ],
)
def test_a_filter_that_rightly_finds_nothing_is_not_warned_of(
    index: Index, log: pytest.LogCaptureFixture, filter: Any
) -> None:
    assert index.select(filter) == []
    assert messages(log) == []


def test_every_method_logs_the_warning(index: Index, log: pytest.LogCaptureFixture) -> None:
    vector = [1.0, 0, 0, 0]
    calls: list[Callable[[Any], object]] = [
        lambda wrong: index.search(vector, filter=wrong),
        lambda wrong: index.search_mmr(vector, filter=wrong),
        index.count,
        lambda wrong: index.search_many(
            [CountQuery(), VectorQuery(vector=vector, k=1, filter=wrong)]
        ),
        lambda wrong: list(index.iterate(FilterQuery(filter=wrong))),
        index.delete_by_filter,
        lambda wrong: index.update_metadata(wrong, {"a": 1}),
        lambda wrong: asyncio.run(index.aselect(wrong)),
    ]
    for n, call in enumerate(calls):
        call({f"key{n}": "a"})
        (said,) = messages(log)
        assert f"'key{n}'" in said


def test_looking_for_the_cause_costs_one_round_trip_once_and_none_for_answers(
    index: Index, commands: CommandLog
) -> None:
    def trips(filter: dict[str, Any]) -> int:
        commands.clear()
        index.search([1, 0, 0, 0], k=1, filter=filter)
        return len(commands.round_trips)

    trips({})  # the first search of a process may load what the next need not
    alone = trips({})
    trips({"tenant": "a"})  # Valkey-Search counts the records of a new filter once
    assert trips({"tenant": "a"}) == alone
    empty = trips({"tenant": "c"})
    assert trips({"tenant": "d"}) == empty - 1
    assert trips({"tenent": "a"}) == empty
    assert trips({"tenent": "b"}) == empty - 1


def test_an_index_without_records_and_a_cache_log_nothing(
    open_index: Callable[..., Index],
    open_cache: Callable[..., SemanticCache],
    log: pytest.LogCaptureFixture,
) -> None:
    index = open_index(dimension=4)
    index.create()
    assert index.select({"tenant": "a"}) == []
    cache = open_cache(embed=Degrees())
    assert cache.lookup("10") is None
    cache.store("10", "answer", scope={"user": "a"})
    assert cache.lookup("90", scope={"user": "b", "model": "x"}) is None
    assert messages(log) == []


def test_reading_an_index_that_does_not_exist_is_said_once(
    server_url: str, index_name: str, engine_name: Any, log: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with Index.open(index_name, url=server_url, dimension=4, engine=engine_name) as index:
            assert index.search([1, 0, 0, 0]) == []
            assert index.count() == 0
            assert index.get(["a"]) == [None]
            assert list(index.iterate()) == []
    (said,) = messages(log)
    assert repr(index_name) in said
    assert "must_exist=True" in said


def test_an_index_that_this_process_wrote_is_not_warned_of_once_it_is_dropped(
    index: Index, log: pytest.LogCaptureFixture
) -> None:
    index.drop()
    assert index.count() == 0
    assert not index.exists()
    assert messages(log) == []
