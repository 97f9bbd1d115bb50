"""The server dies during a bulk write and restarts: no acknowledged record is lost, no missing record is hidden."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from langchain_stores import TableEmbeddings
from langchain_valkey import PartialAddError, ValkeyVectorStore
from servers import TestServer, start_server
from valkey_vector import F, Index, PartialWriteError, Record, ServerError

RECORDS = 6000
DURABLE = ["--appendonly", "yes", "--appendfsync", "always"]


@pytest.fixture(params=["native", "search"])
def server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    """A server that has every acknowledged write on disk."""
    with start_server(search=request.param == "search", extra=DURABLE) as server:
        yield server


def url_of(server: TestServer) -> str:
    return f"{server.url}?request_timeout=5&retries=0"


def record(number: int) -> Record:
    return Record(id=f"r{number}", vector=[1.0, number, 0, 0], metadata={"n": number})


def keys(server: TestServer) -> int:
    reply = server.command("DBSIZE")
    assert isinstance(reply, int)
    return reply


def kill_when_some_is_stored(server: TestServer) -> threading.Thread:
    """Ends the server as soon as it holds a part of what is being written."""

    def watch() -> None:
        deadline = time.monotonic() + 30
        while keys(server) < 500 and time.monotonic() < deadline:
            time.sleep(0.001)
        server.kill()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_repeated_write_completes_what_an_outage_cut_short(server: TestServer) -> None:
    records = [record(number) for number in range(RECORDS)]
    with Index.open("bulk", url=url_of(server), dimension=4) as index:
        index.create()
        watcher = kill_when_some_is_stored(server)
        with pytest.raises(PartialWriteError) as caught:
            index.upsert(records, batch_size=50)
        watcher.join()
        error = caught.value
        unwritten = {*error.failed, *error.pending}
        assert error.written + len(unwritten) == RECORDS
        assert 0 < len(unwritten) < RECORDS
        assert all(isinstance(cause, ServerError) for cause in error.failed.values())

        server.restart()
        index.wait_until_indexed()
        acknowledged = {item.id for item in records} - unwritten
        stored = {item.id for item in index.select()}
        assert acknowledged <= stored

        index.upsert([item for item in records if item.id in unwritten], batch_size=50)
        assert index.count() == RECORDS
        assert index.count(F("n") >= 0) == RECORDS
        assert [item.id for item in index.select(F("n") < 3, order_by="n")] == ["r0", "r1", "r2"]
        assert len(index.search([1, 0, 0, 0], k=RECORDS)) == RECORDS


def test_a_stream_that_is_cut_short_is_completed_by_repeating_it(server: TestServer) -> None:
    def stream() -> Iterator[Record]:
        return (record(number) for number in range(RECORDS))

    with Index.open("bulk", url=url_of(server), dimension=4) as index:
        index.create()
        watcher = kill_when_some_is_stored(server)
        with pytest.raises(PartialWriteError) as caught:
            index.upsert(stream(), batch_size=50)
        watcher.join()
        assert caught.value.failed
        server.restart()
        assert index.upsert(stream(), batch_size=500).written == RECORDS
        assert index.count() == RECORDS


def test_documents_that_were_cut_short_are_completed_with_the_ids_of_the_error(
    server: TestServer,
) -> None:
    texts = [f"text {number}" for number in range(RECORDS)]
    with ValkeyVectorStore(TableEmbeddings(size=4), url=url_of(server)) as store:
        store.index.connection.execute("PING")
        watcher = kill_when_some_is_stored(server)
        with pytest.raises(PartialAddError) as caught:
            store.add_texts(texts, batch_size=50)
        watcher.join()
        server.restart()
        assert store.add_texts(texts, ids=caught.value.ids) == caught.value.ids
        assert store.index.count() == RECORDS


def test_an_outage_never_reads_as_an_empty_index(server: TestServer) -> None:
    with Index.open("bulk", url=url_of(server), dimension=4) as index:
        index.upsert([record(1)])
        server.kill()
        uses: list[Callable[[], object]] = [
            lambda: index.search([1, 0, 0, 0]),
            lambda: index.search_mmr([1, 0, 0, 0]),
            index.select,
            index.count,
            index.info,
            index.delete_all,
            index.drop,
            lambda: index.get(["r1"]),
            lambda: index.delete(["r1"]),
            lambda: index.delete_by_filter(F("n") == 1),
            lambda: index.update_metadata(["r1"], {"a": 1}),
            lambda: index.upsert([record(2)]),
        ]
        for use in uses:
            with pytest.raises(ServerError):
                use()
        server.restart()
        assert index.count() == 1
        assert [hit.record.id for hit in index.search([1, 0, 0, 0])] == ["r1"]
