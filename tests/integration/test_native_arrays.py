"""Facets, groups and orders of the native engine come from its arrays: what they send and what they read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date

import pytest

from native_indexes import HERE, share_nothing
from round_trips import CommandLog
from servers import Server
from valkey_vector import Connection, F, Index, Record
from valkey_vector.query import AggregateQuery, Count

LONG = "long " * 40


@pytest.fixture
def index(native_server: Server, index_name: str, commands: CommandLog) -> Iterator[Index]:
    """Three hundred records in an index that has been counted before; the log is empty."""
    with Connection.open(native_server.url) as connection:
        index = Index.open(index_name, dimension=4, connection=connection, engine="native")
        index.upsert(
            Record(
                id=f"d{n}",
                vector=HERE,
                metadata={
                    "topic": f"t{n % 3}",
                    "even": n % 2 == 0,
                    "n": 300 - n,
                    "l": ["a", n % 2],
                },
            )
            for n in range(300)
        )
        index.count()
        commands.clear()
        yield index


def read(commands: CommandLog) -> int:
    """Return the number of records that were read."""
    return sum(command[0] == b"HMGET" for trip in commands.round_trips for command in trip)


def test_facets_of_several_keys_are_one_round_trip_and_read_no_record(
    index: Index, commands: CommandLog
) -> None:
    found = index.facets(["topic", "even", "l", "absent"], filter=F("n") > 100)
    assert len(commands.round_trips) == 1
    assert read(commands) == 0
    assert [(each.value, each.count) for each in found["topic"].values] == [
        ("t0", 67), ("t1", 67), ("t2", 66),
    ]  # fmt: skip
    assert [(each.value, each.count) for each in found["l"].values] == [
        ("a", 200), (0, 100), (1, 100),
    ]  # fmt: skip
    assert found["absent"].missing == 200


def test_groups_by_two_keys_are_one_round_trip_and_read_no_record(
    index: Index, commands: CommandLog
) -> None:
    rows = index.aggregate(AggregateQuery().group_by("topic", "even", n=Count()))
    assert len(commands.round_trips) == 1
    assert read(commands) == 0
    assert rows[0] == {"topic": "t0", "even": False, "n": 50}
    assert len(rows) == 6


def test_facets_read_only_the_records_whose_values_no_token_spells(
    index: Index, commands: CommandLog
) -> None:
    index.upsert([Record(id="date", metadata={"topic": date(2024, 1, 31)})])
    index.upsert([Record(id="long", metadata={"topic": LONG})])
    index.upsert([Record(id="nan", metadata={"topic": float("nan")})])
    index.upsert([Record(id="list", metadata={"topic": ["t0", float("nan")]})])
    index.facets(["topic"])
    commands.clear()
    found = index.facets(["topic"])["topic"]
    assert read(commands) == 4
    values = [(repr(each.value), each.count) for each in found.values]
    assert values[:3] == [("'t0'", 101), ("'t1'", 100), ("'t2'", 100)]
    assert sorted(values[3:]) == sorted([(repr(date(2024, 1, 31)), 1), (repr(LONG), 1), ("nan", 2)])


def test_an_order_by_a_number_reads_the_returned_records_only(
    index: Index, commands: CommandLog
) -> None:
    found = index.select(F("topic") == "t1", order_by="n", limit=3, offset=1)
    assert [record.id for record in found] == ["d295", "d292", "d289"]
    assert len(commands.round_trips) == 2
    assert read(commands) == 3


def test_the_newest_records_are_read_without_the_others(index: Index, commands: CommandLog) -> None:
    found = index.select(descending=True, limit=2)
    assert [record.id for record in found] == ["d299", "d298"]
    assert read(commands) == 2


def test_facets_and_orders_leave_out_what_another_program_deleted(
    index: Index, native_server: Server
) -> None:
    native_server.command("DEL", f"{index.name}:d299", f"{index.name}:d298")
    found = index.select(order_by="n", limit=3)
    assert [record.id for record in found] == ["d297", "d296", "d295"]
    assert index.facets(["even"])["even"].values[0].count == 149


def test_numbers_that_one_double_cannot_tell_apart_are_ordered_exactly(index: Index) -> None:
    big = [2**53 + 1, 2**53, 2**53 + 2]
    index.upsert(Record(id=f"b{n}", metadata={"big": number}) for n, number in enumerate(big))
    found = index.select(F("big").exists(), order_by="big")
    assert [record.id for record in found] == ["b1", "b0", "b2"]


def fetched(commands: CommandLog) -> list[bool]:
    """For each round trip, True if it fetched the changes of the log."""
    return [any(b"{'incomplete'}" in part for part in trip[-1]) for trip in commands.round_trips]


def test_a_search_after_a_write_of_the_same_process_is_one_round_trip(
    index: Index, commands: CommandLog
) -> None:
    index.search(HERE, k=3)
    commands.clear()
    index.upsert([Record(id="new", vector=[9.0, 1.0, 0.0, 0.0])])
    assert len(index.search(HERE, k=301)) == 301
    index.update_metadata(["new"], {"topic": "t1"})
    assert index.count(F("topic") == "t1") == 101
    index.delete(["new"])
    assert len(index.search(HERE, k=301)) == 300
    # Each write fetched the changes, and each read is one round trip; an update reads the record first.
    assert fetched(commands) == [True, False, False, True, False, True, False]


def test_only_small_writes_after_a_read_fetch_the_changes(
    index: Index, commands: CommandLog
) -> None:
    index.search(HERE, k=3)
    commands.clear()
    index.upsert([Record(id="a", vector=HERE)])
    index.upsert([Record(id="b", vector=HERE)])
    assert fetched(commands) == [True, False]
    assert len(index.search(HERE, k=400)) == 302
    commands.clear()
    index.upsert([Record(id=f"c{n}", vector=HERE) for n in range(11)])
    assert fetched(commands) == [False]
    assert len(index.search(HERE, k=400)) == 313


def test_changes_that_came_with_a_write_do_not_hide_those_of_other_processes(
    index: Index, commands: CommandLog
) -> None:
    index.search(HERE, k=3)
    share_nothing()
    other = Index.open(index.name, connection=index.connection)
    other.upsert([Record(id="before", vector=HERE)])
    index.upsert([Record(id="own", vector=HERE, metadata={"topic": "t0"})])
    other.upsert([Record(id="after", vector=HERE)])
    other.delete(["d0"])
    assert {"before", "own", "after"} <= {hit.record.id for hit in index.search(HERE, k=400)}
    assert len(index.search(HERE, k=400)) == 302
    index.upsert([Record(id="d1", vector=HERE, metadata={"topic": "t9"})])
    other.delete(["d1"])
    assert index.count(F("topic") == "t9") == 0
    index.upsert([Record(id="last", vector=HERE)])
    commands.clear()
    assert len(index.search(HERE, k=400)) == 302
    assert len(commands.round_trips) == 1


def test_a_first_search_lists_1000_records_and_loads_125_in_each_round_trip(
    index: Index, commands: CommandLog
) -> None:
    index.upsert([Record(id=f"e{n}", vector=HERE) for n in range(2_200)], progress=False)
    share_nothing()
    reader = Index.open(index.name, connection=index.connection)
    commands.clear()
    assert len(reader.search(HERE, k=2_500)) == 2_500
    trips = commands.round_trips
    assert [trip[0][0] for trip in trips].count(b"SORT_RO") == 20
    assert [trip[0][0] for trip in trips].count(b"ZCOUNT") == 3
    # Besides: the catalog, what changed, what was deleted, what changed since, and the result.
    assert len(trips) == 20 + 3 + 5
    # No slot but the one in use is read.
    (fields,) = {tuple(trip[0][10::2]) for trip in trips if trip[0][0] == b"SORT_RO"}
    assert [field.rpartition(b">")[2] for field in fields if b">n" in field] == [b"n0"]


def test_a_search_finds_vectors_of_every_page(index: Index) -> None:
    share_nothing()
    written = [Record(id=f"f{n}", vector=[1.0, 0.0, n + 1.0, 0.0]) for n in range(1_500)]
    index.upsert(written, progress=False)
    reader = Index.open(index.name, connection=index.connection)
    for number in (0, 999, 1_000, 1_499):
        (hit,) = reader.search([1.0, 0.0, number + 1.0, 0.0], k=1)
        assert hit.record.id == f"f{number}"


def test_facets_go_by_the_metadata_where_another_program_changed_the_tokens(
    index: Index, native_server: Server
) -> None:
    for number, tags in enumerate(
        ["topic_xn,topic_nabc", "topic_xs,topic_s_ff", "topic_st0", "topic_lsx"]
    ):
        native_server.command("HSET", f"{index.name}:d{number}", "tags", tags)
    share_nothing()
    reader = Index.open(index.name, connection=index.connection)
    found = reader.facets(["topic"])["topic"]
    assert [(each.value, each.count) for each in found.values] == [
        ("t0", 100), ("t1", 100), ("t2", 100),
    ]  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
def test_a_record_that_another_program_keeps_beyond_its_end_is_the_same_for_every_read(
    native_server: Server, index_name: str, known: bool
) -> None:
    with Index.open(index_name, url=native_server.url, dimension=4, engine="native") as index:
        index.upsert([Record(id="a", vector=HERE)])
        assert index.count() == 1
        index.upsert([Record(id="b", vector=HERE)], ttl=0.5)
        if known:
            assert index.count() == 2
        native_server.command("PERSIST", f"{index_name}:b")
        time.sleep(0.7)
        found = "b" in {hit.record.id for hit in index.search(HERE)}
        assert found == ("b" in {record.id for record in index.select()}) == (index.count() == 2)
        index.drop()
