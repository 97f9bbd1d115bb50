"""Everything that only reads works while the server holds writes back (CLIENT PAUSE WRITE)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from caches import DIMENSION, Degrees
from servers import TestServer, start_server
from valkey_vector import Connection, Index, Record, ServerError
from valkey_vector.cache import ExactCache, SemanticCache
from valkey_vector.stores.checkpoint_store import CheckpointStore
from valkey_vector.stores.indexed_keys import IndexedKeys
from valkey_vector.stores.item_records import FindItems, GetItem, PutItem
from valkey_vector.stores.item_store import ItemStore


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with start_server() as server:
        yield server


@pytest.fixture
def connection(server: TestServer) -> Iterator[Connection]:
    with Connection.open(f"{server.url}?request_timeout=3&retries=0") as connection:
        yield connection
        server.command("CLIENT", "UNPAUSE")


def pause(server: TestServer) -> None:
    server.command("CLIENT", "PAUSE", 60_000, "WRITE")


def test_the_native_engine_reads(server: TestServer, connection: Connection) -> None:
    index = Index.open("paused", dimension=2, connection=connection, engine="native")
    index.upsert([Record(id="a", vector=[1.0, 0], metadata={"n": 1})])
    pause(server)
    fresh = Index.open("paused", connection=connection)
    for one in (index, fresh):
        assert [hit.record.id for hit in one.search([1, 0], k=2)] == ["a"]
        assert one.count({"n": 1}) == 1
        assert [record.id for record in one.select()] == ["a"]
        assert one.get(["a"])[0] is not None


def test_items_are_read(server: TestServer, connection: Connection) -> None:
    store = ItemStore("paused", connection=connection)
    store.run([PutItem(namespace=("n",), key="k", value=b'{"v":1}')])
    pause(server)
    item, found = store.run([GetItem(("n",), "k", refresh=True), FindItems(("n",), limit=5)])
    assert item is not None
    assert found == [item]


def test_items_that_expire_are_still_removed_and_renewed_by_reads(connection: Connection) -> None:
    store = ItemStore("renewed", connection=connection)
    store.run([PutItem(namespace=("n",), key="k", value=b'{"v":1}', ttl=400)])
    for _ in range(4):
        time.sleep(0.2)
        assert store.run([GetItem(("n",), "k", refresh=True)]) != [None]
    time.sleep(0.5)
    assert store.run([GetItem(("n",), "k", refresh=True)]) == [None]


def test_checkpoints_are_read(server: TestServer, connection: Connection) -> None:
    store = CheckpointStore("paused", connection=connection)
    pause(server)
    assert store.get("thread", "") is None
    assert store.history("thread", "", None, ["channel"]) == []
    assert store.newest(["thread"], None) == [None]


def test_indexed_keys_are_listed(server: TestServer, connection: Connection) -> None:
    keys = IndexedKeys("paused", connection=connection)
    keys.update(["a"], groups=["g"])
    pause(server)
    assert keys.select(groups=["g"]) == ["a"]


def test_an_exact_cache_that_does_not_slide_answers(
    server: TestServer, connection: Connection
) -> None:
    cache = ExactCache("paused", connection=connection, on_error="raise")
    cache.store("prompt", "answer")
    pause(server)
    hit = cache.lookup("prompt")
    assert hit is not None
    assert hit.answer == "answer"


def test_an_entry_of_a_sliding_cache_lives_on_when_another_cache_uses_it(
    connection: Connection,
) -> None:
    ExactCache("slides", connection=connection, ttl=0.6, sliding=True).store("prompt", "answer")
    other = ExactCache("slides", connection=connection)
    for _ in range(4):
        time.sleep(0.3)
        assert other.lookup("prompt") is not None


def test_a_cache_does_not_wait_again_for_a_server_that_does_not_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with start_server() as server:
        url = f"{server.url}?request_timeout=1&retries=0"
        cache = SemanticCache(Degrees(), url=url, threshold=0.9, dimension=DIMENSION)
        cache.store("prompt @0", "stored")
        server.command("CLIENT", "PAUSE", 4_000, "ALL")
        started = time.monotonic()
        for number in range(5):
            assert cache.get_or_compute(f"new {number} @90", str.upper) == f"NEW {number} @90"
        assert time.monotonic() - started < 3
        assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1
        server.kill()
        cache.close()


def test_a_search_that_the_server_refuses_is_warned_of_once(
    connection: Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full Valkey-Search 1.2.1 answers reads by key and refuses FT.SEARCH."""
    cache = SemanticCache(
        Degrees(), connection=connection, name="refused", threshold=0.9, dimension=DIMENSION
    )
    cache.store("prompt @0", "stored")

    def refused(*_: object) -> None:
        raise ServerError("OOM command not allowed when used memory > 'maxmemory'.", "FT.SEARCH")

    monkeypatch.setattr(cache._storage, "similar", refused)
    for number in range(3):
        assert cache.lookup(f"near {number} @0") is None
        assert cache.lookup("prompt @0") is not None
    assert len([each for each in caplog.records if each.name == "valkey_vector.cache"]) == 1
