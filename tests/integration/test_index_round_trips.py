"""Requests of each operation: the number of round trips, and no field that is not needed."""

from __future__ import annotations

import pytest

from round_trips import Command, CommandLog
from valkey_vector import F, Filter, Index, Record

DIMENSION = 4
HERE = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture
def warm(index: Index, commands: CommandLog) -> Index:
    """Two hundred records in an index that has been searched before; the log is empty."""
    index.upsert(
        Record(id=f"r{n}", content=f"text {n}", vector=[1, n, 0, 0], metadata={"n": n, "s": str(n)})
        for n in range(200)
    )
    index.search(HERE, filter=F("n") < 10)
    commands.clear()
    return index


def only_trip(commands: CommandLog) -> list[Command]:
    (trip,) = commands.round_trips
    signs = (b"TIME", b"INFO", b"CONFIG")  # of the server, which ride along from time to time
    return [command for command in trip if command[0] not in signs]


@pytest.mark.parametrize(
    "wanted",
    [None, F("n") < 50, (F("s") == "3") | ~F("n").in_([1, 2]), F("s").in_(map(str, range(150)))],
    ids=["no filter", "range", "nested", "150 values"],
)
def test_a_search_is_one_round_trip(
    warm: Index, commands: CommandLog, wanted: Filter | None
) -> None:
    assert len(warm.search(HERE, k=4, filter=wanted)) == 4
    assert len(only_trip(commands)) == 1


def test_a_search_returns_no_vectors_and_no_index_fields(
    warm: Index, commands: CommandLog, engine_name: str
) -> None:
    warm.search(HERE, k=4)
    (command,) = only_trip(commands)
    assert b"content" in command
    assert b"metadata" in command
    if engine_name == "search":
        start = command.index(b"RETURN")
        returned = command[start + 2 : start + 2 + int(command[start + 1])]
        own = [b"distance", b"version", b"expires"]
        assert returned == [*own, b"content", b"metadata", b"parent"]
    assert b"vector" not in command[command.index(b"content") :]


def test_mmr_fetches_its_vectors_in_the_same_round_trip(warm: Index, commands: CommandLog) -> None:
    assert len(warm.search_mmr(HERE, k=4, fetch_k=50, filter=F("n") < 100)) == 4
    (command,) = only_trip(commands)
    assert b"vector" in command[command.index(b"content") :]


def test_selecting_metadata_alone_fetches_no_texts(warm: Index, commands: CommandLog) -> None:
    records = warm.select(F("n") < 50, with_content=False)
    assert [record.content for record in records] == [""] * 50
    assert [record.metadata["n"] for record in records] == list(range(50))
    assert not [
        command for trip in commands.round_trips for command in trip if b"content" in command
    ]


def test_counting_is_one_round_trip(warm: Index, commands: CommandLog) -> None:
    assert warm.count(F("n") < 50) == 50
    assert len(commands.round_trips) == 1
    commands.clear()
    assert warm.count() == 200
    assert len(commands.round_trips) == 1


def test_reading_by_id_is_one_round_trip_for_five_hundred(
    warm: Index, commands: CommandLog
) -> None:
    assert None not in warm.get([f"r{n}" for n in range(200)])
    assert len(commands.round_trips) == 1
    commands.clear()
    warm.get([f"x{n}" for n in range(501)])
    assert len(commands.round_trips) == 2


def test_a_small_write_is_as_few_round_trips_as_the_server_allows(
    warm: Index, commands: CommandLog
) -> None:
    warm.upsert([Record(id=f"w{n}", vector=HERE, metadata={"n": n}) for n in range(100)])
    trips = len(commands.round_trips)
    assert trips == _look_and_write(warm)


def _look_and_write(index: Index) -> int:
    """Round trips that change new documents: a script on native; a look and plain commands on a search module.

    In a cluster what ends a batch comes after them, because commands on several nodes have no order.
    """
    if index.info().engine == "native":
        return 1
    return 3 if index.connection.capabilities.cluster else 2


def test_a_bulk_write_is_as_few_round_trips_for_each_batch(
    warm: Index, commands: CommandLog
) -> None:
    per_batch = _look_and_write(warm)
    commands.clear()
    warm.upsert([Record(id=f"w{n}", vector=HERE, metadata={"n": n}) for n in range(1000)])
    # One for the time by which they are ordered, and two batches of 125 for each of four connections. Three of the first
    # are parted, so that the connections begin one after another and end together.
    assert len(commands.round_trips) == 1 + (8 + 3) * per_batch


def test_overwriting_takes_the_locks_in_two_more_round_trips_at_most(
    warm: Index, commands: CommandLog, engine_name: str
) -> None:
    warm.upsert([Record(id=f"r{n}", vector=HERE) for n in range(100)])
    trips = len(commands.round_trips)
    assert trips == (1 if engine_name == "native" else 3 if not _is_cluster(warm) else 5)


def _is_cluster(index: Index) -> bool:
    return index.connection.capabilities.cluster


def test_deleting_ids_is_as_few_round_trips_as_the_server_allows(
    warm: Index, commands: CommandLog, engine_name: str
) -> None:
    assert warm.delete([f"r{n}" for n in range(100)]) == 100
    trips = len(commands.round_trips)
    assert trips == (1 if engine_name == "native" else 4 if _is_cluster(warm) else 2)


def test_updating_records_by_id_reads_and_writes_each_once_for_all(
    warm: Index, commands: CommandLog, engine_name: str
) -> None:
    assert warm.update_metadata([f"r{n}" for n in range(100)], {"s": "x"}) == 100
    trips = len(commands.round_trips)
    assert trips == (2 if engine_name == "native" else 5 if _is_cluster(warm) else 3)


def test_a_filter_on_ids_reads_them_directly(warm: Index, commands: CommandLog) -> None:
    wanted = F.id.in_(["r1", "r5", "nothing"]) & (F("n") > 2)
    assert [record.id for record in warm.select(wanted)] == ["r5"]
    assert len(commands.round_trips) == 1


def test_a_filter_on_an_unknown_number_requests_its_slot_again(
    warm: Index, commands: CommandLog
) -> None:
    assert warm.count(F("never") > 1) == 0
    assert len(commands.round_trips) <= 2


def test_nothing_is_sent_before_the_first_use(server_url: str, commands: CommandLog) -> None:
    with Index.open("never", url=server_url, dimension=DIMENSION):
        pass
    assert commands.round_trips == []
