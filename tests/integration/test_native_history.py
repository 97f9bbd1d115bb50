"""The native engine on a server that lost writes, keys of the change log or documents, or that refuses writes."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from native_indexes import (
    found,
    record,
    records,
    selected,
    share_nothing,
    write_and_drop,
    write_for,
)
from round_trips import CommandLog
from servers import TestServer, start_server
from valkey_vector import Connection, F, ForeignKeyError, Index, Schema, ServerError
from valkey_vector.engines.native import scripts
from valkey_vector.engines.native.change_log import ChangeLog


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with start_server() as server:
        yield server


@pytest.fixture
def index(server: TestServer, index_name: str) -> Iterator[Index]:
    """Ten records, read once."""
    with Connection.open(server.url) as connection:
        index = Index.open(
            index_name, dimension=4, connection=connection, engine="native", full_text=True
        )
        index.upsert(records(range(10)))
        assert len(found(index)) == 10
        yield index
        server.command("CLIENT", "UNPAUSE")
        server.command("CONFIG", "SET", "maxmemory", 0)
        server.command("FLUSHALL")


def new_process(index: Index) -> Index:
    share_nothing()
    return Index.open(index.name, connection=index.connection)


def ids(*numbers: int) -> set[str]:
    return {f"d{number}" for number in numbers}


def go_back(server: TestServer) -> None:
    """Return to the last snapshot."""
    server.command("DEBUG", "RELOAD", "NOSAVE")


def check(index: Index, expected: set[str]) -> None:
    assert index.count() == len(expected)
    assert found(index) == expected
    assert selected(index) == expected
    assert {hit.record.id for hit in index.search_text("fox", k=5_000)} == expected


def test_a_server_that_lost_writes_is_noticed(server: TestServer, index: Index) -> None:
    server.command("SAVE")
    index.upsert([record(1, version=2), *records(range(100, 105))])
    index.delete(["d3"])
    assert index.count(F("version") == 2) == 1
    go_back(server)
    assert index.count(F("version") == 2) == 0
    check(index, ids(*range(10)))


@pytest.mark.parametrize("search_first", [True, False])
def test_lost_writes_are_noticed_after_as_many_writes_by_others(
    server: TestServer, index: Index, search_first: bool
) -> None:
    server.command("SAVE")
    index.upsert([record(n, version=2) for n in range(5)])
    assert index.count(F("version") == 2) == 5
    go_back(server)
    new_process(index).upsert(records(range(200, 205)))
    if search_first:
        assert found(index) == ids(*range(10), *range(200, 205))
    assert index.count(F("version") == 2) == 0
    check(index, ids(*range(10), *range(200, 205)))


@pytest.mark.parametrize("part", ["changes", "deletions", "expiry"])
def test_a_lost_key_of_the_change_log_hides_nothing(
    server: TestServer, index: Index, part: str
) -> None:
    index.upsert(records(range(50, 55)), ttl=1000)
    other = new_process(index)
    other.delete(["d1"])
    server.command("DEL", f"{{{index.name}}}:{part}")
    expected = ids(0, *range(2, 10), *range(50, 55))
    check(index, expected)
    check(new_process(index), expected)
    other.delete(["d2"])
    other.upsert([record(300)])
    check(index, expected - ids(2) | ids(300))
    check(new_process(index), expected - ids(2) | ids(300))


def test_a_lost_log_and_a_lost_document(server: TestServer, index: Index) -> None:
    server.command("DEL", f"{{{index.name}}}:changes", f"{index.name}:d3")
    check(index, ids(*range(10)) - ids(3))
    check(new_process(index), ids(*range(10)) - ids(3))


@pytest.mark.parametrize("count", [40, 1_200])
def test_documents_that_vanished_are_not_counted(
    server: TestServer, index: Index, count: int
) -> None:
    index.upsert(records(range(10, count)), progress=False)
    assert index.count() == count
    for number in range(0, count, 2):
        server.command("UNLINK", f"{index.name}:d{number}")
    assert index.count() == count // 2
    assert index.count(F("n") < 30) == 15
    check(index, ids(*range(1, count, 2)))
    check(new_process(index), ids(*range(1, count, 2)))


def test_documents_that_vanished_are_removed_from_the_log_by_the_next_write(
    server: TestServer, index: Index
) -> None:
    server.command("UNLINK", f"{index.name}:d4", f"{index.name}:d5")
    assert index.count() == 8
    index.upsert([record(20)])
    assert server.command("ZCARD", f"{{{index.name}}}:changes") == 9
    check(index, ids(0, 1, 2, 3, 6, 7, 8, 9, 20))


def test_a_count_looks_documents_up_only_after_something_else_was_written(
    server: TestServer, index: Index, commands: CommandLog
) -> None:
    index.upsert(records(range(10, 1_500)), progress=False)
    assert index.count() == 1_500
    commands.clear()
    assert index.count() == 1_500
    assert [len(trip) for trip in commands.round_trips] == [1]
    index.upsert([record(0)])
    commands.clear()
    assert index.count() == 1_500
    assert [len(trip) for trip in commands.round_trips] == [1, 1]  # the last for d0 alone
    assert commands.round_trips[-1][0][-1] == b"d0"
    server.command("SET", "something", "else")
    commands.clear()
    assert index.count() == 1_500
    assert [len(trip) for trip in commands.round_trips] == [1, 2]  # a thousand in each


def test_records_with_a_sliding_life_are_not_counted_when_they_expired(index: Index) -> None:
    index.upsert(records(range(100, 1_700)), ttl=3, sliding=True, progress=False)
    index.upsert(records(range(2_000, 2_010)), ttl=3, progress=False)
    other = new_process(index)
    assert other.count() > 1_000
    time.sleep(3.1)
    assert index.count() == 10
    assert other.count() == 10
    check(new_process(index), ids(*range(10)))


READS: dict[str, Callable[[Index], object]] = {
    "search": lambda index: len(found(index)),
    "count": lambda index: index.count(),
    "select": lambda index: len(index.select(F("n") >= 0)),
    "text": lambda index: len(index.search_text("fox", k=50)),
    "info": lambda index: index.info().documents,
    "get": lambda index: len([each for each in index.get([f"d{n}" for n in range(20)]) if each]),
}


def refuse(server: TestServer, how: str) -> None:
    if how == "full":
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        server.command("CONFIG", "SET", "maxmemory", 1_000_000)
    else:
        server.command("CLIENT", "PAUSE", 60_000, "WRITE")


@pytest.mark.parametrize("how", ["full", "paused"])
@pytest.mark.parametrize("read", READS)
def test_reads_work_while_the_server_refuses_writes(
    server: TestServer, index: Index, read: str, how: str
) -> None:
    index.upsert(records(range(20, 25)), ttl=0.3)
    refuse(server, how)
    time.sleep(0.4)
    assert READS[read](index) == 10
    assert READS[read](new_process(index)) == 10


@pytest.mark.parametrize("read", READS)
def test_reads_work_on_a_full_server_that_documents_vanished_from(
    server: TestServer, index: Index, read: str
) -> None:
    refuse(server, "full")
    server.command("DEL", f"{index.name}:d3")
    assert READS[read](index) == 9


def test_deleting_makes_room_on_a_full_server_and_writing_writes_nothing(
    server: TestServer, index: Index
) -> None:
    refuse(server, "full")
    with pytest.raises(ServerError, match=r"OOM|maxmemory"):
        index.upsert([record(1, changed=True), *records(range(30, 40))])
    assert index.delete(["d0", "missing"]) == 1
    assert index.delete_by_filter(F("n") == 2) == 1
    check(index, ids(1, *range(3, 10)))
    assert index.count(F("changed") == True) == 0  # noqa: E712


def test_a_log_of_an_index_that_was_dropped_is_not_taken_for_the_new_one(
    index: Index, server: TestServer
) -> None:
    """The log's removal is late: another process has created the index again and written to it."""
    engine = index._handle.existing()
    assert engine is not None
    index._handle._catalog.forget(keep_documents=True)
    share_nothing()
    other = Index.open(
        index.name, dimension=4, connection=index.connection, engine="native", full_text=True
    )
    other.upsert([record(50)])
    server.command("ZADD", f"{{{index.name}}}:changes", 1, "stray")
    engine.drop()
    check(new_process(index), ids(*range(10), 50))
    check(index, ids(*range(10), 50))


def test_a_new_index_survives_the_end_of_a_drop_that_began_before_it(
    server: TestServer, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_nothing()
    other = Index.open(
        index.name, dimension=4, connection=index.connection, engine="native", full_text=True
    )
    drop = ChangeLog.drop

    def overtaken(log: ChangeLog) -> None:
        other.upsert(records(range(3, 6)))
        drop(log)

    monkeypatch.setattr(ChangeLog, "drop", overtaken)
    index.drop()
    for reader in (index, other, new_process(index)):
        check(reader, ids(3, 4, 5))


def test_what_is_written_after_the_last_of_many_drops_is_there(
    server: TestServer, index: Index
) -> None:
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as processes:
        droppers = [processes.submit(write_and_drop, server.url, index.name, n) for n in range(3)]
        for dropper in droppers:
            dropper.result(60)
        writers = [
            processes.submit(write_for, server.url, index.name, 0.1, range(10 * n, 10 * n + 10))
            for n in range(3)
        ]
        for writer in writers:
            writer.result(60)
    reader = new_process(index)
    assert reader.count() == 30
    assert found(reader) == selected(reader) == ids(*range(30))


def test_a_reader_behind_deletions_that_the_log_no_longer_has_loads_again(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        scripts, "DELETE", scripts.DELETE.replace("deleted > 10000", "deleted > 20")
    )
    index.upsert(records(range(10, 60)))
    assert index.count() == 60
    other = new_process(index)
    for number in range(5, 58):
        other.delete([f"d{number}"])
    check(index, ids(*range(5), 58, 59))


@pytest.mark.parametrize("old_writer", [False, True])
def test_an_index_of_format_1_is_read_and_written(
    server: TestServer, index_name: str, old_writer: bool
) -> None:
    """Its documents have no version, its log has small numbers and no digest, and older clients go on writing."""
    catalog, changes = f"{{{index_name}}}:index", f"{{{index_name}}}:changes"
    schema = Schema(dimension=4).to_dict()
    server.command(
        "HSET", catalog, "format", "1", "generation", "abcd", "engine", "native", "seq", "0",
        "schema", json.dumps(schema), "slot:number:n", "0", "slots_used", "1",
    )  # fmt: skip

    def write(number: int) -> None:
        server.command(
            "HSET", f"{index_name}:d{number}", "content", "red fox", "created", str(number + 1),
            "vector", np.array([1, number, 0, 0], "f4").tobytes(), "tags", "v,n_xn", "n0", str(number),
            "metadata", f'{{"n":{number}}}',
        )  # fmt: skip
        seq = server.command("HINCRBY", catalog, "seq", 1)
        server.command("ZADD", changes, str(seq), f"d{number}")

    for number in range(5):
        write(number)
    server.command("HSET", f"{index_name}:17", "login", "theirs")
    with Connection.open(server.url) as connection:
        index = Index.open(index_name, connection=connection)
        assert found(index) == selected(index) == ids(*range(5))
        if old_writer:
            write(5)
            write(1)
        expected = set(range(6 if old_writer else 5))
        assert index.count() == len(expected)
        assert index.update_metadata(["d1"], {"n": 100}) == 1
        assert index.count(F("n") == 100) == 1
        index.upsert([record(20)])
        assert index.delete(["d2", "d3"]) == 2
        if old_writer:
            write(6)
            expected.add(6)
        expected = expected - {2, 3} | {20}
        with pytest.raises(ForeignKeyError):
            index.delete(["17"])
        for reader in (index, new_process(index)):
            assert reader.count() == len(expected)
            assert found(reader) == selected(reader) == ids(*expected)


def test_a_text_search_finds_k_after_most_documents_vanished(
    server: TestServer, index: Index
) -> None:
    index.upsert(records(range(10, 200)), progress=False)
    assert len(index.search_text("fox", k=5)) == 5
    for number in range(190):
        server.command("UNLINK", f"{index.name}:d{number}")
    assert len(index.search_text("fox", k=5)) == 5
