"""Records that `Index.upsert` stores and refuses, and its reports, on both engines."""

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


def let_pass(index: Index, seconds: float) -> None:
    """Wait by the server's clock, by which records end, and touch none of them meanwhile."""

    def now() -> float:
        whole, micros = index.connection.execute("TIME")
        return int(whole) + int(micros) / 1_000_000

    end = now() + seconds
    while now() <= end:
        time.sleep(0.005)


def test_a_record_is_returned_as_it_was_stored(index: Index) -> None:
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


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_skip_keeps_existing_records_and_reports_them(index: Index, batch_size: int) -> None:
    index.upsert([record("r1", content="first"), record("r7", content="first")], ttl=60)
    result = index.upsert(numbered(10, content="new"), policy="skip", batch_size=batch_size)
    assert (result.written, set(result.skipped)) == (8, {"r1", "r7"})
    contents = [found and found.content for found in index.get([f"r{n}" for n in range(10)])]
    assert contents == ["first" if n in (1, 7) else "new" for n in range(10)]
    assert index.connection.execute("PTTL", f"{index.name}:r1") > 0


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


def test_expired_records_are_removed_and_others_stay(index: Index) -> None:
    index.upsert(numbered(3), ttl=60)
    index.upsert([record("kept", metadata={"n": 9})])
    assert index.count() == len(index.search(NEAR, k=9)) == 4
    assert 0 < index.connection.execute("PTTL", f"{index.name}:r0") <= 60_000
    assert index.connection.execute("PTTL", f"{index.name}:kept") == -1
    index.upsert(numbered(3), ttl=0.05)
    let_pass(index, 0.05)
    assert stored_ids(index) == ["kept"]
    assert index.count() == 1
    assert index.count(F("n") >= 0) == 1
    assert [hit.record.id for hit in index.search(NEAR, k=4)] == ["kept"]
    assert index.get(["r0"]) == [None]


def test_writing_again_without_a_time_to_live_keeps_the_record(index: Index) -> None:
    index.upsert([record("a")], ttl=0.1)
    index.upsert([record("a")])
    let_pass(index, 0.15)
    assert stored_ids(index) == ["a"]
    assert index.count() == len(index.search(NEAR)) == 1


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_times_to_live_go_by_the_servers_clock_however_wrong_the_clients_is(
    index: Index, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + ahead)
    index.upsert(numbered(2), ttl=60)
    index.upsert([record("short")], ttl=0.05)
    let_pass(index, 0.05)
    assert index.count() == len(stored_ids(index)) == len(index.search(NEAR)) == 2


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), "5", True])
def test_a_time_to_live_that_is_none_is_refused(index: Index, ttl: Any) -> None:
    with pytest.raises(InvalidInputError, match="ttl"):
        index.upsert([record("a")], ttl=ttl)
    assert not index.exists()


def test_a_record_without_a_vector_is_found_by_id_and_filter_only(index: Index) -> None:
    index.upsert([Record(id="plain", metadata={"n": 1}), record("vector", metadata={"n": 1})])
    assert index.count(F("n") == 1) == 2
    assert set(stored_ids(index)) == {"plain", "vector"}
    assert [hit.record.id for hit in index.search(NEAR, k=5)] == ["vector"]
    assert index.get(["plain"], with_vectors=True) == [Record(id="plain", metadata={"n": 1})]


def test_a_payload_is_stored_with_the_record_and_returned_on_request(index: Index) -> None:
    index.upsert([record("a", payload=b"\x00\xff"), record("b", payload=b""), record("c")])
    assert index.update_metadata(["a"], {"n": 1}) == 1
    expected = [b"\x00\xff", b"", None]
    for brought in (
        index.get(["a", "b", "c"], with_payloads=True),
        index.select(with_payloads=True),
        [hit.record for hit in index.search(NEAR, with_payloads=True)],
        [hit.record for hit in index.search_mmr(NEAR, with_payloads=True, lambda_mult=1.0)],
    ):
        assert [found and found.payload for found in brought] == expected
    assert [found.payload for found in index.select()] == [None] * 3
    index.upsert([record("a")])
    (replaced,) = index.get(["a"], with_payloads=True)
    assert replaced is not None
    assert replaced.payload is None


@pytest.mark.parametrize("batch_size", [1, 7, 100, 10_000])
def test_any_iterable_is_stored_in_its_order(index: Index, batch_size: int) -> None:
    def stream() -> Iterator[Record]:
        yield from numbered(61)

    assert index.upsert(stream(), batch_size=batch_size).written == 61
    assert stored_ids(index) == [f"r{n}" for n in range(61)]


def test_an_empty_list_writes_nothing_and_creates_no_index(
    index: Index, commands: CommandLog
) -> None:
    assert index.upsert([]).written == 0
    assert index.upsert(iter(())).written == 0
    assert not index.exists()
    assert not {"EVAL", "HSET", "FT.CREATE"} & set(commands.names())


@pytest.mark.parametrize("batch_size", [0, -1, 10_001, 1.5, "9", True, None])
def test_a_batch_size_out_of_range_is_refused(index: Index, batch_size: Any) -> None:
    with pytest.raises(ConfigurationError, match="batch_size"):
        index.upsert([record("a")], batch_size=batch_size)
    assert not index.exists()


@pytest.mark.parametrize("policy", ["replace", "", None, 1])
def test_a_policy_that_is_none_is_refused(index: Index, policy: Any) -> None:
    with pytest.raises(ConfigurationError, match="OVERWRITE, SKIP, FAIL"):
        index.upsert([record("a")], policy=policy)
    assert not index.exists()


def test_an_error_late_in_a_stream_reports_how_many_records_were_written(index: Index) -> None:
    def stream() -> Iterator[Record]:
        yield from numbered(30)
        yield record("bad", vector=[1.0])

    with pytest.raises(InvalidInputError, match="'bad'") as caught:
        index.upsert(stream(), batch_size=10)
    assert "30 records written before it" in caught.value.__notes__[0]
    assert index.count() == 30


def test_an_error_of_the_source_itself_reaches_the_caller(index: Index) -> None:
    def stream() -> Iterator[Record]:
        yield from numbered(30)
        raise OSError("the source broke off")

    with pytest.raises(OSError, match="broke off"):
        index.upsert(stream(), batch_size=10)
    assert index.count() == 30


def test_fail_names_the_batch_of_a_stream_that_met_a_stored_id(index: Index) -> None:
    index.upsert([record("r15", content="first")])
    with pytest.raises(PartialWriteError) as caught:
        index.upsert(iter(numbered(30)), policy="fail", batch_size=10)
    refused = [f"r{n}" for n in range(10, 20)]
    assert list(caught.value.failed) == refused
    assert all(isinstance(why, DuplicateIdError) for why in caught.value.failed.values())
    expected = [Record(id=id, content="first") if id == "r15" else None for id in refused]
    assert index.get(refused) == expected


def test_a_stream_stores_metadata_as_it_was_when_its_batch_was_checked(index: Index) -> None:
    shared: dict[str, int] = {}

    def records() -> Iterator[Record]:
        for n in range(30):
            shared["n"] = n
            yield record(f"r{n}", metadata=shared)

    index.upsert(records(), batch_size=1)
    for n in range(30):
        (found,) = index.select({"n": n})
        assert (found.id, found.metadata) == (f"r{n}", {"n": n})


@pytest.mark.parametrize(
    ("batch_size", "refused"),
    # Of at most four records each, eight batches of three keep four connections busy.
    [(1, ["r15"]), (4, ["r15", "r16", "r17"])],
)
def test_a_batch_that_the_server_refuses_is_named_record_by_record(
    index: Index, batch_size: int, refused: list[str]
) -> None:
    index.upsert([record("r0")])
    # Somebody else's key where a document should go.
    index.connection.execute("SADD", f"{index.name}:r15", "not a document")
    with pytest.raises(PartialWriteError, match=r"WRONGTYPE|not a record") as caught:
        index.upsert(numbered(20), batch_size=batch_size)
    error = caught.value
    assert list(error.failed) == refused
    written = {f"r{n}" for n in range(20)} - {*error.failed, *error.pending}
    assert error.written == len(written)
    stored = set(stored_ids(index))
    assert written <= stored
    assert stored.isdisjoint({"r15", *error.pending})


@pytest.mark.parametrize(
    ("terminal", "progress", "shown"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_a_bar_is_shown_on_a_terminal_or_on_request(
    index: Index, monkeypatch: pytest.MonkeyPatch, terminal: bool, progress: bool, shown: bool
) -> None:
    screen, output = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", output)
    index.upsert(numbered(30), batch_size=10, progress=progress)
    assert ("30/30" in screen.getvalue()) is shown
    assert bool(screen.getvalue()) is shown
    assert output.getvalue() == ""


def test_the_bar_of_a_stream_shows_the_explicit_total(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    index.upsert(iter(numbered(30)), batch_size=10, total=40)
    assert "30/40" in screen.getvalue()


def test_no_bar_is_shown_for_a_single_batch(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    index.upsert(numbered(3))
    assert screen.getvalue() == ""


async def test_every_write_has_an_async_version(open_index: Callable[..., Index]) -> None:
    index = open_index()
    assert (await index.aupsert(numbered(3))).written == 3
    assert await index.aupdate_metadata(["r0"], {"m": 1}) == 1
    assert await index.acount(F("m") == 1) == 1
    assert await index.adelete(["r0", "nothing"]) == 1
    assert await index.adelete_by_filter(F("n") == 1) == 1
    assert await index.adelete_all() == 1
    assert await index.adrop() == 0
    assert not await index.aexists()


def test_the_parent_of_a_record_is_kept_found_and_changed_by_nothing_but_a_write(
    index: Index,
) -> None:
    parents = ["whole", "whole*", None, "k" * 4096]
    index.upsert(
        Record(id=str(n), vector=[1, 0, 0, n], parent=parent, metadata={"parent": "mine"})
        for n, parent in enumerate(parents)
    )
    assert [found and found.parent for found in index.get(["0", "1", "2", "3"])] == parents
    assert index.update_metadata(F.parent == "whole", {"n": 1}) == 1
    assert [hit.record.id for hit in index.search([1, 0, 0, 0], filter=F.parent == "whole")] == [
        "0"
    ]
    assert index.count(F.parent == "k" * 4096) == 1
    assert index.count(F.parent.exists()) == 3
    assert index.delete_by_filter(F.parent == "whole") == 1
    index.upsert([Record(id="1", vector=[1, 0, 0, 0])])
    assert [record.id for record in index.select(F.parent.exists())] == ["3"]


@pytest.mark.parametrize("parent", ["", "\ud800", "k" * 4097, 5])
def test_a_parent_that_cannot_be_kept_is_refused(index: Index, parent: Any) -> None:
    with pytest.raises(InvalidInputError, match="parent"):
        index.upsert([Record(id="1", parent=parent)])


def test_an_update_to_a_record_that_is_too_large_is_refused(index: Index) -> None:
    large = "x" * (3 * 2**20)
    index.upsert([record("a", content=large), record("b")])
    assert index.update_metadata(["b"], {"k": "y" * 2**20}) == 1
    for which in (["a"], ["b", "a"]):
        with pytest.raises(InvalidInputError, match="record 'a' are"):
            index.update_metadata(which, {"k": "y" * (2**20 + 1), "new": 1})
    assert index.count(F("new") == 1) == 0
    assert [found.id for found in index.select()] == ["a", "b"]
