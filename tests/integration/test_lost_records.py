"""An index whose own record is lost, interrupted and concurrent drops, and numeric slots under concurrency."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from servers import start_server
from valkey_vector import F, Index, IndexRecordLostError, NumericField, Record, Schema
from valkey_vector.connection import Connection
from valkey_vector.engines import removal
from valkey_vector.storage.catalog import Catalog

OpenIndex = Callable[..., Index]


def record(n: int, **metadata: Any) -> Record:
    return Record(id=f"r{n}", vector=[1, n, 0, 0], content=f"{n}", metadata={"n": n, **metadata})


def lose_record(index: Index) -> None:
    assert index.connection.execute("DEL", f"{{{index.name}}}:index") == 1


def ids(index: Index, **settings: Any) -> set[str]:
    return {each.id for each in index.select(**settings)}


def test_a_process_that_knows_the_index_restores_a_lost_record(
    index: Index, open_index: OpenIndex
) -> None:
    index.upsert([record(1, price=3), record(2, year=5)])
    lose_record(index)
    index.upsert([record(3, price=5000)])
    fresh = open_index()
    for each in (index, fresh):
        assert ids(each) == {"r1", "r2", "r3"}
        assert ids(each, filter=F("price") < 10) == {"r1"}
        assert ids(each, filter=F("price") > 1000) == {"r3"}
        assert ids(each, filter=F("year") > 1) == {"r2"}
        assert each.count() == 3


def test_a_process_without_the_record_raises_that_it_is_lost(
    index: Index, open_index: OpenIndex
) -> None:
    index.upsert([record(n) for n in range(5)])
    lose_record(index)
    fresh = open_index()
    operations: list[Callable[[], Any]] = [
        fresh.count,
        fresh.exists,
        lambda: fresh.search([1, 0, 0, 0]),
        lambda: fresh.upsert([record(9)]),
        lambda: fresh.get(["r1"]),
    ]
    for operation in operations:
        with pytest.raises(IndexRecordLostError, match=rf"\{{{index.name}\}}:index"):
            operation()
    assert fresh.drop() == 5
    assert open_index().count() == 0
    assert not index.connection.execute("EXISTS", f"{index.name}:r1")


def test_a_dropped_index_is_not_treated_as_lost(index: Index, open_index: OpenIndex) -> None:
    index.upsert([record(1)])
    other = open_index()
    assert other.count() == 1
    index.drop()
    assert other.count() == 0
    assert not other.exists()
    other.upsert([record(2)])
    assert ids(index) == {"r2"}
    index.drop(documents=False)
    assert open_index().count() == 0


@pytest.fixture(params=["native", "search"])
def evicting(request: pytest.FixtureRequest) -> Iterator[tuple[Connection, str]]:
    with (
        start_server(search=request.param == "search") as server,
        Connection.open(server.url) as connection,
    ):
        server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        server.command("CONFIG", "SET", "maxmemory", "100mb")
        yield connection, request.param


def test_if_any_key_may_be_evicted_a_warning_is_logged_and_documents_alone_are_detected(
    evicting: tuple[Connection, str], caplog: pytest.LogCaptureFixture
) -> None:
    connection, engine = evicting
    with caplog.at_level(logging.WARNING, "valkey_vector"):
        index = Index.open("a", dimension=4, connection=connection, engine=engine)  # type: ignore[arg-type]
        index.upsert([record(1)])
        index.count()
    assert [entry.message.count("allkeys-lru") for entry in caplog.records] == [1]
    if engine == "native":
        for key in connection.execute("KEYS", "{a}:*"):
            connection.execute("DEL", key)
        with pytest.raises(IndexRecordLostError):
            Index.open("a", connection=connection).count()
    assert Index.open("b", connection=connection).count() == 0


class Interrupted(BaseException):
    """As if the process was killed."""


def test_a_drop_that_was_interrupted_is_completed_by_whoever_creates_the_index(
    index: Index, open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.upsert([record(n) for n in range(50)])

    def killed(*_: Any, **_settings: Any) -> int:
        raise Interrupted

    monkeypatch.setattr(removal, "_remove_documents", killed)
    with pytest.raises(Interrupted):
        index.drop()
    monkeypatch.undo()
    other = open_index(dimension=5)
    assert other.count() == 0
    assert index.connection.execute("EXISTS", f"{index.name}:r1") == 1
    other.upsert([Record(id="new", vector=[1, 0, 0, 0, 0])])
    assert ids(other) == {"new"}
    assert [hit.record.id for hit in other.search([1, 0, 0, 0, 0], k=60)] == ["new"]
    assert index.connection.execute("EXISTS", f"{index.name}:r1") == 0
    if index.connection.capabilities.has_search:
        names = index.connection.execute("FT._LIST")
        assert len({name for name in names if name.startswith(index.name.encode())}) == (
            other.info().engine == "search"
        )


def test_records_that_another_client_writes_during_a_drop_stay(
    index: Index, open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.upsert([record(n) for n in range(20)])
    other = open_index()
    assert other.count() == 20
    removing = removal._remove_documents

    def overtaken(*arguments: Any, **settings: Any) -> int:
        monkeypatch.undo()
        other.upsert([record(n, again=True) for n in range(10)])
        return removing(*arguments, **settings)

    monkeypatch.setattr(removal, "_remove_documents", overtaken)
    index.drop()
    assert ids(other) == {f"r{n}" for n in range(10)}
    assert other.count(F("again") == True) == 10  # noqa: E712 - the filter language


def test_what_was_written_for_an_index_that_is_dropped_meanwhile_goes_into_the_next(
    index: Index, open_index: OpenIndex
) -> None:
    """Writers and droppers at once: what was acknowledged after the last drop is there, and nothing else."""
    stop = threading.Event()
    acknowledged: list[tuple[int, int]] = []
    drops = 0

    def write() -> None:
        writer, n = open_index(), 0
        while not stop.is_set():
            before = drops
            writer.upsert([record(n)])
            if drops == before:
                acknowledged.append((before, n))
            n += 1

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(10):
        open_index().drop()
        drops += 1
        time.sleep(0.02)
    stop.set()
    thread.join()
    last = {f"r{n}" for drop, n in acknowledged if drop == drops}
    assert last <= ids(index)
    keys = [key for batch in index.connection.scan(f"{index.name}:*") for key in batch]
    assert {key.decode().partition(":")[2] for key in keys} == ids(index)


def test_a_slot_is_not_undone_by_a_catalog_that_was_read_before(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.upsert([record(1)])
    handle = index._handle
    reading = Catalog.read

    def overtaken(self: Catalog) -> Any:
        monkeypatch.undo()
        old = reading(self)
        index.upsert([record(2, price=7)])
        return old

    monkeypatch.setattr(Catalog, "read", overtaken)
    engine = handle.existing()
    assert engine is not None
    engine.slots.refresh()
    assert ("number", "price") in engine.entry.slots
    index.upsert([record(3, price=8)])
    assert ids(index, filter=F("price") > 5) == {"r2", "r3"}


def test_keys_without_a_slot_are_not_remembered_one_by_one(open_index: OpenIndex) -> None:
    index = open_index(schema=Schema(dimension=4, numeric_slots=2))
    index.upsert([record(0, a=1, b=2)])
    index.upsert([record(1, **{f"k{n}": n for n in range(300)})])
    size = index.connection.execute("HLEN", f"{{{index.name}}}:index")
    assert size < 20
    fresh = open_index(dimension=None)
    assert ids(fresh, filter=F("k7") >= 7) == {"r1"}
    assert ids(fresh, filter=F("k7") > 7) == set()
    assert ids(fresh, filter=~(F("k7") > 7)) == {"r0", "r1"}


def test_a_declared_number_needs_no_slot_when_all_are_taken(open_index: OpenIndex) -> None:
    index = open_index(schema=Schema(dimension=4, numeric_slots=1, fields=(NumericField("price"),)))
    index.upsert([record(n, price=n, other=n) for n in range(3)])
    assert ids(index, filter=F("price") >= 1) == {"r1", "r2"}
    assert ids(index, filter=F("other") >= 1) == {"r1", "r2"}
