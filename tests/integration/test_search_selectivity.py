"""Filtered vector searches on Valkey-Search: the filter's selectivity decides about the search width and the method."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from round_trips import Command, CommandLog
from valkey_vector import F, Filter, Hnsw, Index, Record

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


def test_texts_of_records_that_are_not_near_are_not_fetched(
    large: Index, commands: CommandLog
) -> None:
    wanted = F("hundredth").in_([1, 2, 3])
    expected = nearest(large, wanted, 2)
    large.search(HERE, k=2, filter=wanted)
    commands.clear()
    hits = large.search(HERE, k=2, filter=wanted)
    listing, fetching = trips(commands)
    assert b"content" not in listing[0]
    assert [command[0] for command in fetching if command[0] == b"HMGET"] == [b"HMGET"] * 2
    assert [(hit.record.id, hit.record.content) for hit in hits] == [
        (id, f"text {id[1:]}") for id in expected
    ]


def test_the_width_falls_with_the_share_of_matching_records(
    large: Index, commands: CommandLog
) -> None:
    widths = []
    for wanted in (F("number") < 1_150, F("number") < 600, F("number") < 300):
        for _ in range(2):
            large.search(HERE, k=4, filter=wanted)
        widths.append(width(trips(commands)[-1]))
    assert widths == pytest.approx([100, 87, 73], rel=0.05)  # a cluster estimates


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
    assert width(trips(commands)[-1]) == pytest.approx(339, rel=0.05)


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

    rare = F("number").between(0, 299)
    large.search(HERE, k=4, filter=rare)
    large.update_metadata([f"r{n}" for n in range(300, NUMBER)], {"number": 1})
    commands.clear()
    large.search(HERE, k=4, filter=rare)
    first, second = trips(commands)
    assert width(first) == pytest.approx(73, rel=0.05)
    assert width(second) == 100


def test_a_record_that_changes_after_the_comparison_is_searched_for_again(
    large: Index, commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = F("hundredth").in_([1, 2, 3])
    large.search(HERE, k=2, filter=wanted)
    expected = [hit.record.id for hit in large.search(HERE, k=2, filter=wanted)]
    monkeypatch.setattr(
        "valkey_vector.engines.search.comparison.has_what_was_compared", lambda *_: False
    )
    commands.clear()
    assert [hit.record.id for hit in large.search(HERE, k=2, filter=wanted)] == expected
    assert b"KNN" in trips(commands)[-1][0][2]
