"""The native engine's replica while others write: first loads, deletions meanwhile, writers that never pause."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import Any

import pytest

from native_indexes import (
    HERE,
    found,
    load_while_others_delete,
    record,
    records,
    selected,
    share_nothing,
    write_for,
)
from round_trips import CommandLog
from servers import Server
from valkey_vector import Connection, F, Index, Record
from valkey_vector.engines.native import change_log, loading, shared_replica
from valkey_vector.engines.native.change_log import ChangeLog, Since
from valkey_vector.engines.native.loading import Listing, Loading
from valkey_vector.engines.native.packed_keys import PackedKeys
from valkey_vector.engines.native.page import Page
from valkey_vector.engines.native.postings import Inverted


@pytest.fixture
def writer(native_server: Server, index_name: str) -> Iterator[Index]:
    """An index of a thousand records that was not read yet."""
    with Connection.open(native_server.url) as connection:
        index = Index.open(
            index_name, dimension=4, connection=connection, engine="native", full_text=True
        )
        index.upsert(records(range(1_000)), progress=False)
        yield index


@pytest.fixture
def reader(writer: Index) -> Index:
    """The same index, as another process sees it."""
    share_nothing()
    return Index.open(writer.name, connection=writer.connection)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log, "_MAX_DOCUMENTS", 100)
    monkeypatch.setattr(loading, "_PAGE", 100)
    monkeypatch.setattr(loading, "_DECODED", 100)


def after_each_page(monkeypatch: pytest.MonkeyPatch, *hooks: Any) -> None:
    """Call one hook after each page that a replica loads."""
    remaining = list(hooks)
    load = ChangeLog.load

    def hooked(log: ChangeLog, changed: Iterable[Listing]) -> Iterator[Page]:
        for page in load(log, changed):
            yield page
            if remaining:
                remaining.pop(0)()

    monkeypatch.setattr(ChangeLog, "load", hooked)


@pytest.mark.usefixtures("small_pages")
def test_a_first_load_notices_what_is_deleted_and_written_between_its_pages(
    writer: Index, reader: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_first_page() -> None:
        writer.delete([f"d{n}" for n in range(100)])

    def rewrite_and_add() -> None:
        writer.upsert([record(150, changed=True), record(5_000)])

    def delete_and_write_again() -> None:
        writer.delete(["d250", "d990"])
        writer.upsert([record(250, changed=True)])

    after_each_page(monkeypatch, delete_first_page, rewrite_and_add, delete_and_write_again)
    expected = {f"d{n}" for n in [*range(100, 990), *range(991, 1_000), 5_000]}
    assert reader.count() == len(expected)
    assert found(reader) == expected
    assert selected(reader) == expected
    assert reader.count(F("changed") == True) == 2  # noqa: E712


@pytest.mark.parametrize("large", [999, 1_000])
def test_the_memory_of_many_replies_is_returned(
    reader: Index, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned: list[int] = []
    monkeypatch.setattr(shared_replica, "_LARGE_LOAD", large)
    monkeypatch.setattr(change_log, "_MAX_DOCUMENTS", 100)
    monkeypatch.setattr(shared_replica, "return_freed_memory", lambda: returned.append(1))
    assert reader.count() == 1_000
    assert len(returned) == (large < 1_000)


@pytest.mark.usefixtures("small_pages")
def test_records_that_move_in_the_log_before_their_page_is_read_are_read_by_id(
    writer: Index, reader: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, moved = Loading._sorted, iter(range(0, 1_000, 15))

    def moving(self: Loading, part: Any) -> Any:
        first = next(moved)
        writer.upsert([record(number, changed=True) for number in range(first, first + 15)])
        return read(self, part)

    monkeypatch.setattr(Loading, "_sorted", moving)
    reader.count()
    monkeypatch.undo()
    assert found(reader) == selected(reader) == {f"d{n}" for n in range(1_000)}
    assert reader.count(F("changed") == True) == next(moved)  # noqa: E712


@pytest.mark.usefixtures("small_pages")
def test_a_slot_that_another_client_binds_during_a_load_is_read(
    writer: Index, reader: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bind() -> None:
        writer.upsert([record(number, price=number) for number in (5, 995, 2_000)])

    reader.get(["d0"])
    writer.upsert([record(4, weight=4)])
    after_each_page(monkeypatch, bind)
    assert reader.count() == 1_001
    assert reader.count(F("price") > 1) == 3
    assert reader.count(F("weight") < 5) == 1


@pytest.mark.usefixtures("small_pages")
def test_records_of_which_only_the_key_expires_are_read_with_their_ttl(
    writer: Index, reader: Index
) -> None:
    sliding = [record(number, changed=True) for number in range(300, 500)]
    writer.upsert(sliding, ttl=60, sliding=True)
    assert reader.count() == 1_000
    replica = reader._handle.existing()._shared.replica  # type: ignore[union-attr]
    assert sum(replica._unsure[: replica.size] > 0) == 200


def test_a_user_who_may_not_sort_loads_the_same(
    writer: Index, native_server: Server, commands: CommandLog, small_pages: None
) -> None:
    user = f"poor-{writer.name}"
    keys = [f"~{writer.name}:*", f"~{{{writer.name}}}:*"]
    native_server.command("ACL", "SETUSER", user, "on", ">secret", *keys, "+@all")
    try:
        share_nothing()
        url = native_server.url.replace("//", f"//{user}:secret@")
        with Index.open(writer.name, url=url, engine="native") as reader:
            commands.clear()
            assert found(reader) == {f"d{n}" for n in range(1_000)}
            assert reader.count(F("n") < 10) == 10
            # SORT is refused once; requests that were on their way are refused, too.
            assert 1 <= commands.names().count("SORT_RO") <= loading._AHEAD
    finally:
        native_server.command("ACL", "DELUSER", user)


@pytest.mark.usefixtures("small_pages")
def test_a_load_that_an_error_interrupts_is_begun_again(
    writer: Index, reader: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        writer.delete(["d0"])
        raise TimeoutError

    with monkeypatch.context() as patched:
        after_each_page(patched, fail)
        with pytest.raises(TimeoutError):
            reader.count()
    assert reader.count() == 999
    assert "d0" not in found(reader)


@pytest.mark.usefixtures("small_pages")
def test_a_reader_ends_though_writers_outpace_it(
    writer: Index, reader: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    since, position = ChangeLog.since, iter(range(10_000, 1_000_000, 150))

    def outpaced(log: ChangeLog, sequence: int, *, anyway: bool = False) -> Since:
        first = next(position)
        writer.upsert(records(range(first, first + 150)), progress=False)
        return since(log, sequence, anyway=anyway)

    monkeypatch.setattr(ChangeLog, "since", outpaced)
    assert reader.count() >= 1_000
    assert found(reader, 1_000) == {f"d{n}" for n in range(1_000)}
    assert len(reader.search_text("fox", k=3)) == 3
    assert len(reader.select(limit=7)) == 7


def test_first_loads_of_many_processes_end_right_while_one_deletes(
    writer: Index, native_server: Server
) -> None:
    writer.upsert(records(range(1_000, 3_000)), progress=False)
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as processes:
        loads = [
            processes.submit(load_while_others_delete, native_server.url, writer.name, 1_999)
            for _ in range(8)
        ]
        for first in range(0, 2_000, 20):
            time.sleep(0.02)
            writer.delete([f"d{n}" for n in range(first, first + 20)])
        assert [load.result(60) for load in loads] == [(1_000, 1_000)] * 8


def test_reads_end_while_another_process_writes_all_the_time(
    writer: Index, reader: Index, native_server: Server
) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        writing = processes.submit(
            write_for, native_server.url, writer.name, 4.0, range(1_000, 4_000)
        )
        slowest = 0.0
        while not writing.done():
            began = time.monotonic()
            assert reader.count(F("n") < 1_000) == 1_000
            assert [hit.record.id for hit in reader.search(HERE, k=3)] == ["d0", "d1", "d2"]
            slowest = max(slowest, time.monotonic() - began)
        assert writing.result() > 0
    assert slowest < 4.0


@pytest.mark.usefixtures("small_pages")
def test_a_replica_far_behind_applies_deletions_too(writer: Index, reader: Index) -> None:
    assert reader.count() == 1_000
    share_nothing()
    other = Index.open(writer.name, connection=writer.connection)
    other.delete([f"d{n}" for n in range(500)])
    other.upsert(records(range(2_000, 2_500)), progress=False)
    assert reader.count() == 1_000
    assert found(reader) == {f"d{n}" for n in [*range(500, 1_000), *range(2_000, 2_500)]}


def changing_before_each_fetch(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Call something between the engine's choice of documents and the fetch of their fields."""
    fetching = ChangeLog.fetching

    def hooked(
        log: ChangeLog, ids: Sequence[str], fields: Sequence[str], sequence: int | None
    ) -> list[Any]:
        change(ids)
        return fetching(log, ids, fields, sequence)

    monkeypatch.setattr(ChangeLog, "fetching", hooked)


def test_a_search_returns_only_records_that_match_now_and_k_of_them(
    writer: Index, reader: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fetch finds its nearest candidates changed: by vector, by filter, deleted."""
    reader.search(HERE, k=1)
    far = [0.0, 1.0, 0.0, 0.0]

    def change(ids: Sequence[str]) -> None:
        chosen = list(ids)[:3]
        if len(chosen) == 3:
            writer.upsert([Record(id=chosen[0], vector=far, metadata={"n": 1})])
            writer.upsert([Record(id=chosen[1], vector=HERE, metadata={"n": 5_000})])
            writer.delete([chosen[2]])

    changing_before_each_fetch(monkeypatch, change)
    hits = reader.search(HERE, k=20, filter=F("n") < 500)
    assert len(hits) == 20
    assert all(hit.record.metadata["n"] < 500 for hit in hits)
    monkeypatch.undo()
    stored = dict(
        zip(
            (hit.record.id for hit in hits),
            writer.get([hit.record.id for hit in hits], with_vectors=True),
            strict=True,
        )
    )
    for hit in hits:
        now = stored[hit.record.id]
        assert now is not None
        assert now.vector is not None
        cosine = now.vector[0] / sum(x * x for x in now.vector) ** 0.5
        assert hit.distance == pytest.approx(1 - cosine, abs=1e-6)


def test_slots_that_are_known_stay_known_when_an_older_state_is_learned(writer: Index) -> None:
    engine = writer._handle.existing()
    assert engine is not None
    old = engine.entry
    writer.upsert([Record(id="new", vector=HERE, metadata={"price": 7})])
    assert engine.entry.slot("price", "number") is not None
    engine.slots.learn(old)
    assert engine.entry.slot("price", "number") is not None
    writer.upsert([Record(id="newer", vector=HERE, metadata={"price": 8})])
    assert writer.count(F("price") > 6) == 2


def test_an_iteration_that_ends_early_reads_few_documents(
    writer: Index, commands: CommandLog
) -> None:
    assert writer.count() == 1_000
    commands.clear()
    first = [each.id for each in islice(writer.iterate(), 100)]
    assert first == [f"d{number}" for number in range(100)]
    assert commands.names().count("HMGET") == 100
    commands.clear()
    assert [each.id for each in writer.iterate()] == [f"d{number}" for number in range(1_000)]
    sizes = [sum(command[0] == b"HMGET" for command in trip) for trip in commands.round_trips]
    assert [size for size in sizes if size] == [100, 400, 500]


def test_a_read_of_few_documents_decodes_few_ids(
    writer: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To decode all ids of a large index takes longer than to read a page of documents."""
    assert writer.count() == 1_000
    decoded: list[int] = []
    texts = PackedKeys.texts

    def counted(self: PackedKeys, numbers: Any) -> list[str]:
        decoded.append(len(numbers))
        return texts(self, numbers)

    monkeypatch.setattr(PackedKeys, "texts", counted)
    assert [each.id for each in writer.select(limit=3)] == ["d0", "d1", "d2"]
    assert next(writer.iterate()).id == "d0"
    assert sum(decoded) <= 103


def test_an_iteration_goes_on_after_the_replica_was_packed(writer: Index) -> None:
    iteration = writer.iterate()
    read = [next(iteration).id for _ in range(50)]
    writer.upsert(records(range(1_000, 4_000)), progress=False)
    assert writer.count() == 4_000
    writer.delete([f"d{number}" for number in range(1_000, 4_000)])
    replica = writer._handle.existing()._shared.replica  # type: ignore[union-attr]  # it exists
    packs = replica.packs
    assert writer.count() == 1_000
    assert replica.packs > packs
    assert read + [each.id for each in iteration] == [f"d{number}" for number in range(1_000)]


def test_a_vector_search_does_not_index_the_texts(
    reader: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes many times as long as loading the vectors. The first text search does it."""
    rows: list[int] = []
    add = Inverted._add

    def counted(self: Inverted, added: Any, texts: Any) -> bool:
        rows.append(len(added))
        return add(self, added, texts)

    monkeypatch.setattr(Inverted, "_add", counted)
    assert len(reader.search([1, 0, 0, 0], k=5)) == 5
    assert reader.count(F("n") < 10) == 10
    assert not rows
    assert reader.search_text("fox", k=5)
    assert sum(rows) == 1_000
