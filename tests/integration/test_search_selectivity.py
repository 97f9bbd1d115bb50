"""Filtered vector searches on Valkey-Search: the filter's selectivity decides about the search width and the method."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from round_trips import Command, CommandLog
from valkey_vector import F, Filter, Hnsw, Index, Record
from valkey_vector.engines.search import comparison

NUMBER = 1_200
HERE = [1.0, 0.2, 0.1, 0.4]


def record(number: int) -> Record:
    vector = [1.0, number % 37, number % 91, number % 53]
    metadata = {"number": number, "hundredth": number % 100, "half": number % 2}
    return Record(id=f"r{number}", content=f"text {number}", vector=vector, metadata=metadata)


@pytest.fixture
def large(open_search_index: Callable[..., Index], commands: CommandLog) -> Index:
    """An index that is not small, and that a filter has searched before; the log is empty."""
    index = open_search_index()
    index.upsert(map(record, range(NUMBER)))
    index.search(HERE, filter=F("number") == 5)
    commands.clear()
    return index


def trips(commands: CommandLog) -> list[list[Command]]:
    """The commands of each round trip so far, without the server's status; forgets them."""
    status = (b"TIME", b"INFO", b"CONFIG")
    found = [
        [command for command in trip if command[0] not in status] for trip in commands.round_trips
    ]
    commands.clear()
    return found


def width(trip: list[Command]) -> int:
    match = re.search(rb"EF_RUNTIME (\d+)", trip[0][2])
    assert match is not None
    return int(match[1])


def nearest(index: Index, wanted: Filter, k: int) -> list[str]:
    """The ids of the nearest matching records, by a search without a graph."""
    records = index.select(wanted, with_vectors=True)

    def distance(record: Record) -> float:
        assert record.vector is not None
        dot = sum(a * b for a, b in zip(record.vector, HERE, strict=True))
        length = sum(a * a for a in record.vector) ** 0.5
        return float(round(1 - dot / length / sum(b * b for b in HERE) ** 0.5, 5))

    return [record.id for record in sorted(records, key=lambda r: (distance(r), r.id))[:k]]


def test_a_filter_is_counted_before_its_first_search_and_not_again(
    large: Index, commands: CommandLog
) -> None:
    for expected in (2, 1, 1):
        assert len(large.search(HERE, k=4, filter=F("half") == 1)) == 4
        found = trips(commands)
        assert len(found) == expected
        assert len(found[-1]) == 1
        assert b"KNN" in found[-1][0][2]


def test_a_few_matching_records_are_compared_exactly_in_one_round_trip(
    large: Index, commands: CommandLog
) -> None:
    wanted = F("hundredth") == 7
    expected = nearest(large, wanted, 6)
    large.search(HERE, k=6, filter=wanted)
    commands.clear()
    hits = large.search(HERE, k=6, filter=wanted)
    (trip,) = trips(commands)
    assert len(trip) == 1
    assert b"KNN" not in trip[0][2]
    assert [hit.record.id for hit in hits] == expected
    assert all(hit.record.content for hit in hits)
    assert all(hit.record.vector is None for hit in hits)


MANY = F("hundredth").in_([1, 2])
"""Selects 24 records: too many to fetch with their texts for two neighbors."""


def test_only_vectors_and_the_nearest_records_are_fetched(
    large: Index, commands: CommandLog
) -> None:
    expected = nearest(large, MANY, 2)
    large.search(HERE, k=2, filter=MANY)
    commands.clear()
    hits = large.search(HERE, k=2, filter=MANY)
    vectors, fetching = trips(commands)
    assert [command[0] for command in vectors] == [b"FT.SEARCH", *[b"HGET"] * 24]
    assert b"NOCONTENT" in vectors[0]
    assert [command[0] for command in fetching if command[0] == b"HMGET"] == [b"HMGET"] * 2
    assert [(hit.record.id, hit.record.content) for hit in hits] == [
        (id, f"text {id[1:]}") for id in expected
    ]
    assert all(hit.record.vector is None for hit in hits)
    assert asyncio.run(large.asearch(HERE, k=2, filter=MANY)) == hits


def test_vectors_of_other_records_that_match_by_now_are_fetched_once(
    large: Index, commands: CommandLog
) -> None:
    large.search(HERE, k=2, filter=MANY)
    other = Record(id="new", vector=HERE, metadata={"hundredth": 2})
    large.upsert([other])
    large.delete(["r1"])
    expected = nearest(large, MANY, 2)
    assert expected[0] == "new"
    for numbers in ([24, 1], [24]):
        commands.clear()
        assert [hit.record.id for hit in large.search(HERE, k=2, filter=MANY)] == expected
        *vectors, _ = trips(commands)
        assert [sum(each[0] == b"HGET" for each in trip) for trip in vectors] == numbers


def test_a_key_that_another_program_replaced_is_left_out(large: Index) -> None:
    large.search(HERE, k=2, filter=MANY)
    first, second, third = nearest(large, MANY, 3)
    large.connection.execute("DEL", f"{large.name}:{first}")
    large.connection.execute("SET", f"{large.name}:{first}", "text")
    assert [hit.record.id for hit in large.search(HERE, k=2, filter=MANY)] == [second, third]
    large.connection.execute("DEL", f"{large.name}:{first}")


def test_the_width_depends_on_the_share_of_matching_records(
    large: Index, commands: CommandLog
) -> None:
    widths = []
    for wanted in (F("number") < 1_150, F("number") < 600, F("number") < 300):
        for _ in range(2):
            large.search(HERE, k=4, filter=wanted)
        widths.append(width(trips(commands)[-1]))
    assert widths == pytest.approx([32, 32, 52], rel=0.05)  # a cluster estimates


def test_an_explicit_width_and_a_search_without_a_filter_stay_as_they_are(
    large: Index, commands: CommandLog
) -> None:
    large.search(HERE, k=4, filter=F("hundredth") == 3, ef_runtime=77)
    (trip,) = trips(commands)
    assert width(trip) == 77
    large.search(HERE, k=4)
    (trip,) = trips(commands)
    assert width(trip) == 100


def test_the_width_is_relative_to_that_of_the_index(
    open_search_index: Callable[..., Index], commands: CommandLog
) -> None:
    index = open_search_index(algorithm=Hnsw(ef_runtime=400))
    index.upsert(map(record, range(NUMBER)))
    for _ in range(2):
        commands.clear()
        index.search(HERE, k=4, filter=F("number") < 600)
    assert width(trips(commands)[-1]) == pytest.approx(126, rel=0.05)


def test_a_filter_that_matches_many_more_records_by_now_finds_them(
    large: Index, commands: CommandLog
) -> None:
    wanted = F("hundredth") == 8
    large.search(HERE, k=30, filter=wanted)
    large.upsert(
        Record(id=f"n{n:03}", vector=HERE, metadata={"hundredth": 8, "n": n}) for n in range(60)
    )
    commands.clear()
    hits = large.search(HERE, k=30, filter=wanted)
    assert len(hits) == 30
    assert all(hit.record.id.startswith("n") for hit in hits)
    assert all(hit.distance == pytest.approx(0, abs=1e-5) for hit in hits)


def test_an_old_count_is_renewed_with_a_search_that_is_repeated_if_it_was_too_narrow(
    large: Index, commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = F("half") == 1
    large.search(HERE, k=4, filter=wanted)
    monkeypatch.setattr("valkey_vector.engines.search.selectivity._SECONDS", 0.0)
    monkeypatch.setattr("valkey_vector.engines.search.selectivity._SECONDS_A_RECORD", 0.0)
    commands.clear()
    large.search(HERE, k=4, filter=wanted)
    (trip,) = trips(commands)
    assert [command[0] for command in trip] == [b"FT.SEARCH", b"FT.SEARCH", b"FT.INFO"]

    fewer = F("number").between(0, 899)
    large.search(HERE, k=4, filter=fewer)
    large.update_metadata([f"r{n}" for n in range(300, 900)], {"number": 5_000})
    commands.clear()
    large.search(HERE, k=4, filter=fewer)
    first, second = trips(commands)
    assert width(first) == 32
    assert width(second) == pytest.approx(51, rel=0.05)


@pytest.mark.parametrize("changed", ["the vector", "what the filter reads"])
def test_a_record_that_changes_after_the_comparison_is_searched_for_again(
    large: Index, commands: CommandLog, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    large.search(HERE, k=2, filter=MANY)
    first, second, third = nearest(large, MANY, 3)
    compare = comparison._nearest

    def changed_meanwhile(*arguments: Any) -> Any:
        found = compare(*arguments)
        if changed == "the vector":
            far = Record(id=first, vector=[-each for each in HERE], metadata={"hundredth": 1})
            large.upsert([far])
        else:
            large.update_metadata([first], {"hundredth": 50})
        return found

    monkeypatch.setattr(comparison, "_nearest", changed_meanwhile)
    commands.clear()
    assert [hit.record.id for hit in large.search(HERE, k=2, filter=MANY)] == [second, third]
    assert b"KNN" in trips(commands)[-1][0][2]
