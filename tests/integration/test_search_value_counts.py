"""Facets and groups on Valkey-Search, counted by the tokens of the values."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from round_trips import CommandLog
from valkey_vector import F, Facet, Index, Record, ServerError
from valkey_vector.connection import Connection
from valkey_vector.engines.search.support import ServerSupport
from valkey_vector.query import AggregateQuery, Count

GROUPS = AggregateQuery().group_by("city", n=Count())


def filled(index: Index, *cities: Any, **others: Any) -> Index:
    index.upsert(
        Record(id=f"r{n}", metadata={"city": city, "third": n % 3, **others})
        for n, city in enumerate(cities)
    )
    index.count()  # the first search reads the state of the server
    return index


def counts(facet: Facet) -> list[tuple[Any, int]]:
    return [(each.value, each.count) for each in facet.values]


def searches(commands: CommandLog) -> list[list[list[bytes]]]:
    """The searches of each round trip so far that has any; forgets them."""
    trips = [[c for c in trip if c[0] == b"FT.SEARCH"] for trip in commands.round_trips]
    commands.clear()
    return [trip for trip in trips if trip]


def reads_records(trips: list[list[list[bytes]]]) -> bool:
    """Return True if records were read page by page."""
    return any(b"created" in command for trip in trips for command in trip)


def test_texts_are_counted_after_one_sample_and_then_in_one_round_trip(
    open_search_index: Callable[..., Index], commands: CommandLog
) -> None:
    index = filled(open_search_index(), *["Ulm"] * 5, *["Bonn", "a,b|*"] * 3, None)
    expected = [("Ulm", 5), ("Bonn", 3), ("a,b|*", 3)]
    for trips in (2, 1):
        commands.clear()
        facet = index.facets(["city"])["city"]
        assert counts(facet) == expected
        assert (facet.missing, facet.distinct) == (1, 3)
        found = searches(commands)
        assert len(found) == trips
        assert not reads_records(found)
    filtered = index.facets(["city"], filter=F("third") == 0)["city"]
    assert counts(filtered) == [("Ulm", 2), ("Bonn", 1), ("a,b|*", 1)]
    assert index.aggregate(GROUPS)[-1] == {"city": None, "n": 1}
    assert not reads_records(searches(commands))


def test_numbers_texts_and_booleans_of_one_key_are_counted_apart(
    open_search_index: Callable[..., Index], commands: CommandLog
) -> None:
    index = filled(open_search_index(), 1, 1.0, "1", True, False, 2**60 + 1, float(2**60), "true")
    commands.clear()
    rows = index.aggregate(GROUPS)
    assert [(row["city"], row["n"]) for row in rows] == [
        (False, 1), (True, 1), (1, 2), (2**60, 1), (2**60 + 1, 1), ("1", 1), ("true", 1),
    ]  # fmt: skip
    assert not reads_records(searches(commands))


@pytest.mark.parametrize(
    "value", [["Ulm"], {"a": 1}, date(2024, 1, 31), "2024-01-31", float("nan")]
)
def test_values_that_tokens_cannot_count_are_read_from_the_records(
    open_search_index: Callable[..., Index], commands: CommandLog, value: Any
) -> None:
    index = filled(open_search_index(), "Ulm", "Ulm", value)
    commands.clear()
    rows = {repr(row["city"]): row["n"] for row in index.aggregate(GROUPS)}
    assert rows == {"'Ulm'": 2, repr(value): 1}
    assert reads_records(searches(commands))


def test_values_that_are_not_in_the_sample_are_found(
    open_search_index: Callable[..., Index], commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkey_vector.execution.value_counts._SAMPLE", 10)
    cities = ["Ulm"] * 60 + ["Bonn"] * 40 + ["Kiel", "Jena"]
    index = filled(open_search_index(), *cities)
    commands.clear()
    facet = index.facets(["city"])["city"]
    assert counts(facet) == [("Ulm", 60), ("Bonn", 40), ("Jena", 1), ("Kiel", 1)]
    assert not reads_records(searches(commands))


def test_a_value_that_appears_after_the_values_are_known_is_counted(
    open_search_index: Callable[..., Index], commands: CommandLog
) -> None:
    index = filled(open_search_index(), "Ulm", "Ulm", "Bonn")
    index.facets(["city", "third"])
    index.upsert([Record(id="r1", metadata={"city": "Kiel", "third": 7})])
    index.delete(["r2"])
    commands.clear()
    found = index.facets(["city", "third"])
    assert counts(found["city"]) == [("Kiel", 1), ("Ulm", 1)]
    assert counts(found["third"]) == [(0, 1), (7, 1)]
    assert not reads_records(searches(commands))


def test_a_key_with_a_value_for_each_record_is_read_from_the_records(
    open_search_index: Callable[..., Index], commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("valkey_vector.execution.value_counts._SAMPLE", 50)
    index = filled(open_search_index(), *[f"city {n}" for n in range(120)])
    commands.clear()
    facet = index.facets(["city"], limit=2)["city"]
    assert (facet.distinct, facet.missing) == (120, 0)
    trips = searches(commands)
    assert reads_records(trips)
    assert sum(len(trip) for trip in trips) < 10, "no value was counted"


def test_counts_are_exact_beyond_the_keys_that_a_query_reads(
    open_search_index: Callable[..., Index], result_cap: Callable[[int], None]
) -> None:
    result_cap(50)
    index = filled(open_search_index(), *["Ulm"] * 80, *["Bonn"] * 30, *["Kiel"] * 4)
    for _ in range(2):
        facet = index.facets(["city"])["city"]
        assert counts(facet) == [("Ulm", 80), ("Bonn", 30), ("Kiel", 4)]
        assert facet.missing == 0


def test_expired_records_are_not_counted(open_search_index: Callable[..., Index]) -> None:
    index = filled(open_search_index(), "Ulm", "Bonn")
    index.upsert([Record(id="short", metadata={"city": "Kiel"})], ttl=0.001)
    assert counts(index.facets(["city"])["city"]) == [("Bonn", 1), ("Ulm", 1)]


def counted_tokens(trips: list[list[list[bytes]]]) -> list[bytes]:
    """The tokens that the only round trip counts by themselves."""
    (trip,) = trips
    return [
        query[len(b"@tags:{") : -1]
        for _, _, query, *_ in trip
        if query.count(b"@") == 1 and query.startswith(b"@tags:{")
    ]


def test_a_key_that_every_record_has_is_counted_by_its_values_only(
    open_search_index: Callable[..., Index], commands: CommandLog
) -> None:
    index = filled(open_search_index(), *["Ulm"] * 5, *["Bonn"] * 3)
    for known in (False, True):
        commands.clear()
        facet = index.facets(["city"])["city"]
        assert counts(facet) == [("Ulm", 5), ("Bonn", 3)]
        assert facet.missing == 0
        tokens = counted_tokens(searches(commands)[-1:])
        values = [] if known else [b"city_sUlm", b"city_sBonn", b"city_xt"]
        assert sorted(tokens) == sorted([*values, b"_rs"])
    commands.clear()
    assert [row["n"] for row in index.aggregate(GROUPS)] == [3, 5]
    assert len(searches(commands)) == 1


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (Record(id="new"), [("Ulm", 2), ("Bonn", 1)]),
        (Record(id="new", metadata={"city": None}), [("Ulm", 2), ("Bonn", 1)]),
        (Record(id="new", metadata={"city": "Kiel"}), [("Ulm", 2), ("Bonn", 1), ("Kiel", 1)]),
        (Record(id="new", metadata={"city": 7}), [("Ulm", 2), (7, 1), ("Bonn", 1)]),
        (
            Record(id="new", metadata={"city": ["Ulm", "Kiel"]}),
            [("Ulm", 3), ("Bonn", 1), ("Kiel", 1)],
        ),
        (Record(id="r2", metadata={"city": "Ulm"}), [("Ulm", 3)]),
    ],
)
def test_a_change_of_a_key_that_every_record_had_is_counted(
    open_search_index: Callable[..., Index], record: Record, expected: list[tuple[Any, int]]
) -> None:
    index = filled(open_search_index(), "Ulm", "Ulm", "Bonn")
    for _ in range(2):
        index.facets(["city"])
    index.upsert([record])
    for _ in range(2):
        facet = index.facets(["city"])["city"]
        assert counts(facet) == expected
        assert facet.missing == (record.metadata.get("city") is None)


def test_hashes_of_other_programs_and_records_with_a_time_to_live_change_no_count(
    open_search_index: Callable[..., Index],
) -> None:
    index = filled(open_search_index(), "Ulm", "Ulm", "Bonn")
    index.facets(["city"])
    index.connection.execute("HSET", f"{index.name}:foreign", "tags", "other", "content", "x")
    assert counts(index.facets(["city"])["city"]) == [("Ulm", 2), ("Bonn", 1)]
    index.connection.execute("UNLINK", f"{index.name}:foreign")
    index.upsert([Record(id="long", metadata={"city": "Ulm"})], ttl=100)
    index.upsert([Record(id="short", metadata={"city": "Ulm"})], ttl=0.001)
    assert counts(index.facets(["city"])["city"]) == [("Ulm", 3), ("Bonn", 1)]


def counted(commands: CommandLog, value: bytes) -> int:
    """How many queries counted a value so far; forgets them."""
    return sum(value in c[2] for trip in searches(commands) for c in trip)


def test_facets_are_counted_again_only_after_a_change_that_is_not_noted(
    open_index: Callable[..., Index], commands: CommandLog
) -> None:
    index = filled(open_index(), "Ulm", "Ulm", "Bonn", *["Kiel"] * 5)
    is_valkey_search = "Valkey-Search" in index.connection.capabilities.description
    expected = {"Ulm": 2, "Bonn": 1, "Kiel": 5}
    filters = [None, F("third") >= 0]

    def check(*, again: bool) -> None:
        for filter in filters:
            commands.clear()
            facet = index.facets(["city"], filter=filter)["city"]
            assert dict(counts(facet)) == expected
            assert facet.missing == 0
            if is_valkey_search:
                trips = [trip for trip in commands.round_trips if len(trip) > 1]
                assert len(trips) == (2 if again else 1)
                assert counted(commands, b"city_sKiel") == again

    def delete() -> None:
        index.delete(["r1"])
        del expected["Ulm"]

    def replace() -> None:
        index.upsert([Record(id="r0", metadata={"city": "Bonn", "third": 1})])
        expected.update(Ulm=1, Bonn=2)

    def update() -> None:
        index.update_metadata(["r2"], {"city": "Kiel"})
        expected.update(Bonn=1, Kiel=6)

    def unlink() -> None:
        index.connection.execute("UNLINK", f"{index.name}:r3")
        expected["Kiel"] -= 1

    def restart() -> None:
        # What a search learns after a restart, after which the server may have lost writes and their count.
        if is_valkey_search:
            ServerSupport.of(index.connection).run = object()

    for filter in filters:
        index.facets(["city"], filter=filter)
    check(again=False)
    noted = () if index.connection.capabilities.cluster else (replace, delete, update)
    for change in (replace, delete, update, unlink, restart):
        change()
        check(again=change not in noted)
        check(again=False)


def test_facets_in_a_cluster_are_counted_again_while_a_writer_holds_locks(
    open_index: Callable[..., Index], commands: CommandLog
) -> None:
    index = filled(open_index(), "Ulm", "Ulm", "Bonn")
    if not index.connection.capabilities.cluster:
        return
    index.facets(["city"])
    locks = f"{{{index.name}}}:locks"
    index.connection.execute("HSET", locks, "r0", "token 1")
    for _ in range(2):
        # As by a writer that was killed before it counted its batch.
        commands.clear()
        assert counts(index.facets(["city"])["city"]) == [("Ulm", 2), ("Bonn", 1)]
        assert counted(commands, b"city_sUlm")
    index.connection.execute("UNLINK", locks)
    commands.clear()
    index.facets(["city"])
    index.facets(["city"])
    assert counted(commands, b"city_sUlm") <= 1


def test_a_filter_counts_each_value_once_and_reads_no_record(
    open_index: Callable[..., Index],
    engine_name: str,
    commands: CommandLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("valkey_vector.execution.value_counts._SAMPLE", 20)
    index = open_index()
    # The order of the numbers is that of the values: the first of a range all have one value.
    index.upsert(
        Record(id=f"r{n}", metadata={"city": f"c{n // 25}", "number": n}) for n in range(200)
    )
    index.count()
    for trips in (20, 1, 2):
        if trips == 2:
            # More records than a batch notes.
            index.upsert(
                Record(id=f"r{n}", metadata={"city": "c0", "number": n}) for n in range(20)
            )
        commands.clear()
        facet = index.facets(["city"], filter=F("number") >= 50)["city"]
        assert dict(counts(facet)) == {f"c{n}": 25 for n in range(2, 8)}
        assert facet.missing == 0
        found = searches(commands)
        if engine_name == "search":
            assert 0 < len(found) <= trips
            assert not reads_records(found)
    if "Valkey-Search" in index.connection.capabilities.description:
        assert sum(b"city_sc7" in command[2] for command in found[1]) == 1
        assert len(found[1]) == 6 + 1 + 1 + 2, "values, dates, all that match, what ends"


def test_a_batch_that_a_cluster_wrote_but_could_not_count_changes_the_counts(
    open_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = filled(open_index(), "Ulm", "Ulm", "Bonn"), open_index()
    for _ in range(3):
        assert counts(reader.facets(["city"])["city"]) == [("Ulm", 2), ("Bonn", 1)]
    if not writer.connection.capabilities.cluster:
        return
    execute = Connection.execute
    rejected: list[tuple[Any, ...]] = []

    def rejecting(self: Connection, *command: Any, **options: Any) -> Any:
        if command[0] == "EVAL" and "HINCRBY" in command[1] and not rejected:
            rejected.append(command)
            raise ServerError("CLUSTERDOWN The cluster is down", "EVAL")
        return execute(self, *command, **options)

    monkeypatch.setattr(Connection, "execute", rejecting)
    with pytest.raises(ServerError, match="CLUSTERDOWN"):
        writer.upsert([Record(id="r2", metadata={"city": "Kiel", "third": 0})])
    assert rejected
    assert counts(reader.facets(["city"])["city"]) == [("Ulm", 2), ("Kiel", 1)]


def test_counts_are_not_kept_if_replicas_may_answer(
    open_index: Callable[..., Index],
    engine_name: str,
    commands: CommandLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One replica can report the last write, and another one count without it."""
    index = filled(open_index(), "Ulm", "Ulm", "Bonn")
    monkeypatch.setattr("valkey_vector.engines.search.signs.are_replicas_allowed", bool)
    for _ in range(3):
        commands.clear()
        assert counts(index.facets(["city"])["city"]) == [("Ulm", 2), ("Bonn", 1)]
        assert bool(counted(commands, b"city_sUlm")) == (engine_name == "search")


def test_counts_of_a_lost_catalog_are_not_taken_for_those_of_the_restored_one(
    open_index: Callable[..., Index],
) -> None:
    """The number of writes starts again, so it is the same as before for other records."""
    writer, reader = open_index(full_text=True), open_index(full_text=True)
    for _ in range(2):
        writer.upsert([Record(id="r", content="rare", metadata={"city": "Ulm"})])
    for _ in range(3):
        assert counts(reader.facets(["city"])["city"]) == [("Ulm", 1)]
        before = reader.search_text("rare", k=1)[0].score
    writer.connection.execute("DEL", f"{{{writer.name}}}:index")
    writer.upsert([Record(id="r", content="rare and more words", metadata={"city": "Bonn"})])
    assert counts(reader.facets(["city"])["city"]) == [("Bonn", 1)]
    # The only text has the average length, however long it is.
    assert reader.search_text("rare", k=1)[0].score == pytest.approx(before)
