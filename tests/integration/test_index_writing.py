"""What `Index.upsert` stores, refuses and reports, on both engines."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from round_trips import CommandLog
from valkey_vector import (
    ConfigurationError,
    DuplicateIdError,
    F,
    Index,
    InvalidInputError,
    PartialWriteError,
    Record,
    WritePolicy,
)

NEAR = [1.0, 0.0, 0.0, 0.0]


def record(id: str, **fields: Any) -> Record:
    return Record(**{"id": id, "vector": NEAR, **fields})


def numbered(count: int, **fields: Any) -> list[Record]:
    return [record(f"r{n}", metadata={"n": n}, **fields) for n in range(count)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def stored_ids(index: Index) -> list[str]:
    return [found.id for found in index.select()]


def test_a_record_comes_back_as_it_was_stored(index: Index) -> None:
    kept = record(
        "ü/1",
        content="text\nwith ünicode \x00",
        vector=[0.1, -2.5, 3e30, 1e-30],
        metadata={"a": [1]},
    )
    index.upsert([kept])
    (found,) = index.get(["ü/1"], with_vectors=True)
    assert found is not None
    assert found.vector is not None
    assert (found.id, found.content, found.metadata) == (kept.id, kept.content, kept.metadata)
    assert list(found.vector) == pytest.approx([0.1, -2.5, 3e30, 1e-30], rel=1e-6)


def test_overwriting_replaces_every_field(index: Index) -> None:
    index.upsert([record("a", content="old", metadata={"n": 1, "old": True, "when": "2024-01-31"})])
    index.upsert([Record(id="a", content="new", metadata={"m": 2})])
    assert index.get(["a"], with_vectors=True) == [Record(id="a", content="new", metadata={"m": 2})]
    assert index.count() == 1
    for gone in (F("n") == 1, F("n") > 0, F("old").exists(), F("when") > "2020-01-01"):
        assert index.count(gone) == 0
    assert index.count(F("m") > 1) == 1
    assert index.search(NEAR) == []


def test_skip_keeps_what_is_there_and_says_so(index: Index) -> None:
    index.upsert([record("a", content="first")])
    result = index.upsert([record("a"), record("b")], policy="skip")
    assert (result.written, result.skipped) == (1, ("a",))
    assert [found and found.content for found in index.get(["a", "b"])] == ["first", ""]


@pytest.mark.parametrize("count", [2, 700])
def test_fail_writes_nothing_if_an_id_is_there(index: Index, count: int) -> None:
    index.upsert([record("r1", content="first")])
    with pytest.raises(DuplicateIdError, match="r1"):
        index.upsert(numbered(count), policy=WritePolicy.FAIL)
    assert stored_ids(index) == ["r1"]
    assert index.get(["r1"]) == [Record(id="r1", content="first")]
    assert index.upsert([record("new")], policy="fail").written == 1


@pytest.mark.parametrize("policy", ["skip", "fail"])
def test_of_many_threads_that_write_the_same_new_id_one_succeeds(index: Index, policy: str) -> None:
    index.create()
    start = Barrier(8)

    def write(number: int) -> int:
        start.wait(10)
        written = 0
        for item in range(20):
            try:
                fresh = record(f"i{item}", metadata={"by": number})
                written += index.upsert([fresh], policy=policy).written
            except DuplicateIdError:
                pass
        return written

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(write, range(8))) == 20
    assert index.count() == 20


def test_records_are_gone_when_their_time_is_over_and_others_stay(index: Index) -> None:
    index.upsert(numbered(3), ttl=0.3)
    index.upsert([record("kept", metadata={"n": 9})])
    assert index.count() == 4
    time.sleep(0.6)
    assert stored_ids(index) == ["kept"]
    assert index.count() == 1
    assert index.count(F("n") >= 0) == 1
    assert [hit.record.id for hit in index.search(NEAR, k=4)] == ["kept"]
    assert index.get(["r0"]) == [None]


def test_writing_again_without_a_time_to_live_keeps_the_record(index: Index) -> None:
    index.upsert([record("a")], ttl=0.3)
    index.upsert([record("a")])
    time.sleep(0.6)
    assert stored_ids(index) == ["a"]


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf")])
def test_a_time_to_live_that_is_none_is_refused(index: Index, ttl: float) -> None:
    with pytest.raises(InvalidInputError, match="ttl"):
        index.upsert([record("a")], ttl=ttl)
    assert not index.exists()


def test_a_record_without_a_vector_is_found_by_id_and_filter_only(index: Index) -> None:
    index.upsert([Record(id="plain", metadata={"n": 1}), record("vector", metadata={"n": 1})])
    assert index.count(F("n") == 1) == 2
    assert set(stored_ids(index)) == {"plain", "vector"}
    assert [hit.record.id for hit in index.search(NEAR, k=5)] == ["vector"]
    assert index.get(["plain"], with_vectors=True) == [Record(id="plain", metadata={"n": 1})]


@pytest.mark.parametrize("batch_size", [1, 7, 100, 10_000])
def test_any_iterable_is_stored_in_the_order_given(index: Index, batch_size: int) -> None:
    def stream() -> Iterator[Record]:
        yield from numbered(61)

    assert index.upsert(stream(), batch_size=batch_size).written == 61
    assert stored_ids(index) == [f"r{n}" for n in range(61)]


def test_an_empty_list_writes_nothing_and_makes_nothing(index: Index, commands: CommandLog) -> None:
    assert index.upsert([]).written == 0
    assert index.upsert(iter(())).written == 0
    assert not index.exists()


@pytest.mark.parametrize("batch_size", [0, -1, 10_001, 1.5, "9"])
def test_a_batch_size_out_of_range_is_refused(index: Index, batch_size: Any) -> None:
    with pytest.raises(ConfigurationError, match="batch_size"):
        index.upsert([record("a")], batch_size=batch_size)


def test_a_bad_record_late_in_a_stream_says_how_many_were_written(index: Index) -> None:
    def stream() -> Iterator[Record]:
        yield from numbered(30)
        yield record("bad", vector=[1.0])

    with pytest.raises(InvalidInputError, match="'bad'") as caught:
        index.upsert(stream(), batch_size=10)
    assert "30 records before it were written" in caught.value.__notes__[0]
    assert index.count() == 30


def test_a_batch_that_the_server_refuses_is_named_record_by_record(
    index: Index, index_name: str
) -> None:
    index.upsert([record("r0")])
    # Somebody else's key where a document should go.
    index.connection.execute("SADD", f"{index_name}:r15", "not a document")
    with pytest.raises(PartialWriteError) as caught:
        index.upsert(numbered(20), batch_size=1)
    assert "r15" in caught.value.failed
    assert "WRONGTYPE" in str(caught.value)
    unwritten = {*caught.value.failed, *caught.value.pending}
    assert {found.id for found in index.select()} == {f"r{n}" for n in range(20)} - unwritten


@pytest.mark.parametrize(
    ("terminal", "progress", "shown"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_a_bar_is_shown_on_a_terminal_or_on_request(
    index: Index, monkeypatch: pytest.MonkeyPatch, terminal: bool, progress: bool, shown: bool
) -> None:
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    index.upsert(numbered(30), batch_size=10, progress=progress)
    assert ("30/30" in screen.getvalue()) is shown


def test_no_bar_is_shown_for_a_single_batch(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    index.upsert(numbered(3))
    assert screen.getvalue() == ""


async def test_every_write_has_an_awaited_twin(open_index: Callable[..., Index]) -> None:
    index = open_index()
    assert (await index.aupsert(numbered(3))).written == 3
    assert await index.aupdate_metadata(["r0"], {"m": 1}) == 1
    assert await index.acount(F("m") == 1) == 1
    assert await index.adelete(["r0", "nothing"]) == 1
    assert await index.adelete_by_filter(F("n") == 1) == 1
    assert await index.adelete_all() == 1
    assert await index.adrop() == 0
    assert not await index.aexists()
