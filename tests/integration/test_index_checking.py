"""Findings of `Index.verify` and fixes of `Index.repair`, on both engines: each kind of damage is created by hand."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from native_indexes import share_nothing
from round_trips import CommandLog
from valkey_vector import (
    AuthenticationError,
    ConfigurationError,
    F,
    FullText,
    Index,
    NumericField,
    Record,
    Schema,
    ServerError,
    TagField,
    TextField,
    VectorField,
)

OpenIndex = Callable[..., Index]

SCHEMA = Schema(
    dimension=4,
    fields=(TagField("kind"), NumericField("price"), TextField("title")),
    vectors=(VectorField("image", 2),),
    full_text=FullText(),
)
TEN = 10


def record(number: int) -> Record:
    return Record(
        id=f"d{number}",
        content=f"the red fox number{number}",
        vector=[1.0, number / 100, 0.0, 0.0],
        vectors={"image": [1.0, number]} if number % 2 else {},
        metadata={
            "n": number,
            "kind": "even" if number % 2 == 0 else "odd",
            "price": number / 2,
            "title": f"title{number}",
            "day": f"2024-01-{number + 1:02}",
        },
        parent="mother" if number % 3 == 0 else None,
    )


@pytest.fixture
def index(open_index: OpenIndex) -> Index:
    """Ten records, in an index with fields of every kind."""
    opened = open_index(dimension=None, schema=SCHEMA)
    opened.upsert([record(number) for number in range(TEN)])
    return opened


def key(index: Index, id: str) -> str:
    return f"{index.name}:{id}"


def stored(index: Index) -> dict[bytes, Any]:
    """All keys under the index's prefix, as they are."""
    keys = sorted(key for keys in index.connection.scan(f"{index.name}:*") for key in keys)
    hashes = index.connection.pipeline([["HGETALL", key] for key in keys])
    return {
        key: index.connection.execute("DUMP", key) if isinstance(found, ServerError) else found
        for key, found in zip(keys, hashes, strict=True)
    }


def hash_of(index: Index, id: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = index.connection.execute("HGETALL", key(index, id))
    return found


def only(report: Any, *kinds: str) -> None:
    """These are all kinds of problems in a report."""
    assert {finding.kind for finding in report.findings} == set(kinds), str(report)


def is_whole(index: Index, count: int = TEN) -> None:
    """The index is found to be in order, and answers as it must."""
    report = index.verify()
    assert report.ok, str(report)
    assert not report.findings, str(report)
    assert (report.records, report.counted, report.dry_run) == (count, count, True)
    assert index.count() == count
    assert len(list(index.select(None))) == count


def test_an_index_in_order_has_no_findings(index: Index) -> None:
    before = stored(index)
    is_whole(index)
    assert index.repair(dry_run=False).ok
    assert stored(index) == before
    assert "no problem found" in str(index.verify())


def test_what_other_writes_leave_is_in_order(index: Index) -> None:
    index.upsert([Record(id="d1", content="", metadata={})])  # fewer fields
    index.upsert([Record(id="d2", vector=[0, 0, 1, 0], metadata={"d2": 2**60, "x": [1, "a"]})])
    index.upsert([Record(id="ttl", vector=[0, 0, 1, 0], metadata={"n": 1})], ttl=60)
    index.upsert([Record(id="sliding", payload=b"x", metadata={"n": 1})], ttl=60, sliding=True)
    index.update_metadata(["d3", "sliding"], {"n": 9.5, "title": "new", "day": None})
    is_whole(index, TEN + 2)


WRONG: dict[str, list[list[str]]] = {
    "other tags": [["HSET", "tags", "nonsense"]],
    "no tags": [["HDEL", "tags"]],
    "no number": [["HDEL", "n0"]],
    "another number": [["HSET", "n0", "77"]],
    "text instead of a number": [["HSET", "n0", "abc"]],
    "another declared text": [["HSET", "f_kind", "wrong"]],
    "no declared number": [["HDEL", "f_price"]],
    "other words": [["HSET", "words", "something else"]],
    "no words of a field": [["HDEL", "words_title", "stems_title", "length_title"]],
    "no time of creation": [["HDEL", "created"]],
}


@pytest.mark.parametrize("damage", WRONG.values(), ids=WRONG)
def test_fields_that_do_not_agree_with_the_metadata_are_written_again(
    index: Index, damage: list[list[str]]
) -> None:
    before, before_hash = stored(index), hash_of(index, "d3")
    for command, *arguments in damage:
        index.connection.execute(command, key(index, "d3"), *arguments)
    damaged = stored(index)
    report = index.verify()
    assert report.found("wrong field") == 1
    assert not report.ok
    assert "'d3'" in report.findings[0].examples[0]
    dry = index.repair()
    assert dry.findings[0].mendable == dry.findings[0].found == 1
    assert stored(index) == damaged  # nothing was changed
    mended = index.repair(dry_run=False)
    assert mended.ok, str(mended)
    is_whole(index)
    for name, value in hash_of(index, "d3").items():
        assert name in (b"version", b"created") or value == before_hash[name]
    after = stored(index)
    d3 = key(index, "d3").encode()
    assert {k: v for k, v in after.items() if k != d3} == {
        k: v for k, v in before.items() if k != d3
    }
    assert index.count(F("n") == 3) == index.count((F("n") > 2) & (F("n") < 4)) == 1
    assert index.count(F("kind") == "odd") == TEN // 2
    assert [hit.record.id for hit in index.search_text("number3", k=3)] == ["d3"]


def test_a_record_without_its_vector_becomes_one_that_has_none(index: Index) -> None:
    index.connection.execute("HDEL", key(index, "d3"), "vector")
    only(index.verify(), "wrong field")
    assert index.repair(dry_run=False).ok
    is_whole(index)
    assert [hit.record.id for hit in index.search([1, 0, 0, 0], k=20)] == [
        f"d{n}" for n in range(TEN) if n != 3
    ]
    (found,) = index.get(["d3"], with_vectors=True)
    assert found is not None
    assert (found.vector, list(found.vectors)) == (None, ["image"])


def test_fields_that_an_unfinished_overwrite_left_are_removed(index: Index) -> None:
    index.upsert([Record(id="d4", metadata={"m": 1})])  # neither vector nor text
    whole = hash_of(index, "d4")
    vector = np.array([0, 0, 0, 1], dtype="<f4").tobytes()
    index.connection.execute("HSET", key(index, "d4"), "vector", vector, "parent", "p")
    index.connection.execute("HSET", key(index, "d4"), "payload", b"x", "v_image", vector[:8])
    index.connection.execute("HSET", key(index, "d4"), "n0", "4", "f_kind", "odd", "words", "fox")
    index.connection.execute("HSET", key(index, "d4"), "other", "somebody's own")
    only(index.verify(), "stale field")
    assert index.repair(dry_run=False).ok
    is_whole(index)
    found = hash_of(index, "d4")
    assert found.pop(b"other") == b"somebody's own"
    assert found.keys() == whole.keys()
    assert {k: v for k, v in found.items() if k != b"version"} == {
        k: v for k, v in whole.items() if k != b"version"
    }


@pytest.mark.parametrize(
    "vector",
    [b"12345", b"\0" * 12, np.array([1, np.nan, 0, 0], dtype="<f4").tobytes()],
    ids=["odd", "short", "nan"],
)
def test_a_damaged_vector_is_removed_only_on_request(index: Index, vector: bytes) -> None:
    index.connection.execute("HSET", key(index, "d5"), "vector", vector)
    assert index.verify().found("damaged vector") == 1
    left = index.repair(dry_run=False)
    assert not left.ok
    assert hash_of(index, "d5")[b"vector"] == vector
    mended = index.repair(dry_run=False, remove_damaged=True)
    assert mended.ok, str(mended)
    is_whole(index)
    (found,) = index.get(["d5"], with_vectors=True)
    assert found is not None
    assert (found.content, found.metadata["n"], found.vector) == ("the red fox number5", 5, None)
    assert list(found.vectors["image"]) == [1, 5]


@pytest.mark.parametrize(
    ("field", "value"),
    [("metadata", "{not JSON"), ("metadata", '{"price": "dear"}'), ("content", b"\xff")],
)
def test_an_unreadable_record_is_removed_only_on_request(
    index: Index, field: str, value: Any
) -> None:
    index.connection.execute("HSET", key(index, "d6"), field, value)
    damaged = stored(index)
    only(index.verify(), "unreadable")
    report = index.repair(dry_run=False)
    assert (report.ok, report.findings[0].mendable) == (False, 0)
    assert stored(index) == damaged
    assert index.repair(dry_run=False, remove_damaged=True).ok
    is_whole(index, TEN - 1)
    del damaged[key(index, "d6").encode()]
    assert stored(index) == damaged


def test_a_record_without_metadata_is_reported_and_left(index: Index) -> None:
    index.connection.execute("HDEL", key(index, "d6"), "metadata")
    report = index.repair(dry_run=False, remove_damaged=True)
    assert (report.ok, report.found("unreadable")) == (False, 1)
    assert index.connection.execute("EXISTS", key(index, "d6")) == 1


def orphan(index: Index, id: str, lineage: str) -> None:
    """A copy of d1 as of a dropped index."""
    fields = hash_of(index, "d1")
    fields[b"version"] = lineage.encode() + fields[b"version"][8:]
    fields[b"tags"] = b"_r" + lineage.encode()
    flat = [part for pair in fields.items() for part in pair]
    index.connection.execute("HSET", key(index, id), *flat)


def test_orphans_are_removed_only_on_request_and_foreign_keys_never(index: Index) -> None:
    orphan(index, "o1", "0badcafe")
    orphan(index, "o2", "0badcafe")
    index.connection.execute("HSET", key(index, "hash"), "a", "b")
    index.connection.execute("SET", key(index, "text"), "x")
    index.connection.execute("SET", key(index, "").encode() + b"\xff", "x")
    before = stored(index)
    report = index.verify()
    only(report, "orphan")
    assert (report.found("orphan"), report.foreign, report.records) == (2, 3, TEN)
    left = index.repair(dry_run=False)
    assert (left.ok, left.findings[0].mendable) == (False, 0)
    assert stored(index) == before
    assert index.repair(dry_run=False, remove_orphans=True).ok
    is_whole(index)
    del before[key(index, "o1").encode()], before[key(index, "o2").encode()]
    assert stored(index) == before


def test_a_removal_that_was_interrupted_is_completed(index: Index) -> None:
    orphan(index, "o1", "0badcafe")
    orphan(index, "kept", "0decade0")
    catalog = f"{{{index.name}}}:index"
    index.connection.execute("HSET", catalog, "removing:0badcafe", "")
    only(index.verify(), "orphan", "unfinished removal")
    report = index.repair(dry_run=False)
    assert [(each.kind, each.found, each.mended) for each in report.findings] == [
        ("unfinished removal", 1, 1),
        ("orphan", 2, 1),
    ]
    assert index.connection.execute("HEXISTS", catalog, "removing:0badcafe") == 0
    assert index.connection.execute("EXISTS", key(index, "o1"), key(index, "kept")) == 1
    only(index.verify(), "orphan")


def test_orphans_are_not_noted_for_an_index_that_is_there_no_more(index: Index) -> None:
    engine: Any = index._handle.existing()
    stale = engine.entry
    index.drop()
    index.upsert([record(1)])
    catalog = index._handle._catalog
    new = catalog.read()
    assert new is not None
    assert not catalog.note_orphans(stale, [new.lineage or ""])
    assert catalog.removals() == {}


def test_stale_search_indexes_are_dropped(index: Index) -> None:
    if not index.connection.capabilities.has_search:
        is_whole(index)  # such a server can have none
        return
    stale = f"{index.name}-0badcafe"
    nobody = f"{index.name}-other"
    for name in (stale, nobody):
        index.connection.execute(
            "FT.CREATE", name, "ON", "HASH", "PREFIX", "1", f"{index.name}:", "SCHEMA", "x", "TAG"
        )
    report = index.verify()
    only(report, "stale generation")
    assert report.findings[0].examples == (stale,)
    assert index.repair(dry_run=False).ok
    names = set(index.connection.execute("FT._LIST"))
    assert stale.encode() not in names
    assert nobody.encode() in names
    is_whole(index)


def test_a_record_that_ended_on_a_key_that_does_not_end_is_removed(index: Index) -> None:
    index.upsert([record(20)], ttl=0.2)
    index.connection.execute("PERSIST", key(index, "d20"))
    deadline = time.monotonic() + 10
    while not index.verify().findings and time.monotonic() < deadline:
        time.sleep(0.02)
    only(index.verify(), "expired")
    assert index.repair(dry_run=False).ok
    is_whole(index)
    assert index.connection.execute("EXISTS", key(index, "d20")) == 0


def test_documents_that_the_engine_lacks_are_added(index: Index, engine_name: str) -> None:
    def damage() -> None:
        if engine_name == "native":
            index.connection.execute("ZREM", f"{{{index.name}}}:changes", "d2", "d7")
        else:  # a server that lost them cannot be had, but one that does not count them
            index.connection.execute("HDEL", key(index, "d2"), "tags")
            index.connection.execute("HDEL", key(index, "d7"), "tags")

    damage()
    assert index.verify().found("missing") == 2
    damage()  # the count at the end of a check completes the log
    report = index.repair(dry_run=False)
    assert [(each.found, each.mended) for each in report.findings] == [(2, 2)]
    is_whole(index)
    assert len(index.search([1, 0, 0, 0], k=20)) == TEN


@pytest.mark.parametrize("engine_name", ["native"])
def test_entries_of_the_change_log_without_documents_are_removed(index: Index) -> None:
    index.upsert([record(20)], ttl=60)
    index.connection.execute("UNLINK", key(index, "d3"))  # unnoticed
    only(index.verify(), "stale entry")
    assert index.repair(dry_run=False).ok
    changes = index.connection.execute("ZRANGE", f"{{{index.name}}}:changes", "0", "-1")
    assert b"d3" not in changes
    is_whole(index, TEN)


@pytest.mark.parametrize("engine_name", ["search"])
def test_a_count_that_is_not_that_of_the_records_is_reported(index: Index) -> None:
    fields = hash_of(index, "d1")
    del fields[b"version"]
    flat = [part for pair in fields.items() for part in pair]
    index.connection.execute("HSET", key(index, "foreign"), *flat)  # has the tags of a record
    report = index.repair(dry_run=False)
    only(report, "count")
    assert (report.ok, report.records, report.counted, report.foreign) == (False, TEN, TEN + 1, 1)
    index.connection.execute("UNLINK", key(index, "foreign"))
    is_whole(index)


def test_an_index_that_does_not_exist_has_nothing_wrong(open_index: OpenIndex) -> None:
    index = open_index()
    assert index.repair(dry_run=False).ok
    index.upsert([Record(id="a")])
    index.drop()
    is_whole(index, 0)


def test_what_an_interrupted_drop_left_is_removed_without_an_index(index: Index) -> None:
    index._handle._catalog.forget(keep_documents=False)
    index._handle.forget()
    assert index.verify().found("unfinished removal") == 1
    assert index.repair(dry_run=False).ok
    assert not index.exists()
    assert stored(index) == {}
    assert index.verify().findings == ()


@pytest.mark.parametrize("removed", [False, True])
def test_a_record_that_another_writer_overtakes_is_not_changed_by_what_it_was(
    index: Index, open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    other = open_index(dimension=None, schema=SCHEMA)
    index.connection.execute("HSET", key(index, "d1"), "f_kind", "wrong")
    engine: Any = index._handle.existing()
    replacing = engine.replace_metadata
    fresh = Record(id="d1", content="new", metadata={"n": 100, "kind": "new"}, payload=b"new")

    def overtaken(replacements: Any) -> Any:
        monkeypatch.undo()
        if removed:
            other.delete(["d1"])
        else:
            other.upsert([fresh])
        return replacing(replacements)

    monkeypatch.setattr(engine, "replace_metadata", overtaken)
    report = index.repair(dry_run=False)
    assert (report.ok, report.found("wrong field")) == (True, 1)
    assert index.get(["d1"], with_payloads=True) == [None if removed else fresh]
    is_whole(index, TEN - removed)


@pytest.mark.parametrize("engine_name", ["search"])
def test_no_script_touches_a_document_of_the_search_engine(
    index: Index, commands: CommandLog
) -> None:
    orphan(index, "o1", "0badcafe")
    index.connection.execute("HSET", key(index, "d3"), "f_kind", "wrong")
    index.connection.execute("HSET", key(index, "d4"), "vector", b"short")
    index.connection.execute("HSET", key(index, "d5"), "metadata", b"none")
    commands.clear()
    assert index.repair(dry_run=False, remove_orphans=True, remove_damaged=True).ok
    sent = [command for trip in commands.round_trips for command in trip]
    prefix = f"{index.name}:".encode()
    scripts = [command for command in sent if command[0].upper().startswith((b"EVAL", b"FCALL"))]
    assert scripts
    assert not [each for each in scripts for part in each[3:] if part.startswith(prefix)]
    assert b"MULTI" not in {command[0].upper() for command in sent}


def test_many_records_are_looked_at_page_by_page(index: Index) -> None:
    index.upsert([record(number) for number in range(20, 520)])
    before = stored(index)
    damaged = [f"d{number}" for number in range(20, 520, 7)]
    for id in damaged:
        index.connection.execute("HSET", key(index, id), "f_kind", "wrong", "n14", "1")
    report = index.repair(dry_run=False)
    assert [(each.kind, each.found, each.mended) for each in report.findings] == [
        ("wrong field", len(damaged), len(damaged)),
        ("stale field", len(damaged), len(damaged)),
    ]
    is_whole(index, TEN + 500)
    after, changed = stored(index), {key(index, id).encode() for id in damaged}
    assert {k for k in after if after[k] != before[k]} == changed


def test_numbers_whose_slot_was_lost_get_another(index: Index, open_index: OpenIndex) -> None:
    index.connection.execute("HDEL", f"{{{index.name}}}:index", "slot:number:n")
    other = open_index(dimension=None, schema=SCHEMA)
    only(other.verify(), "wrong field", "stale field")
    assert other.repair(dry_run=False).ok
    is_whole(other)
    assert other.count(F("n") > 4) == 5


def test_an_index_of_format_1_is_checked_alike(index: Index, open_index: OpenIndex) -> None:
    catalog = f"{{{index.name}}}:index"
    index.connection.execute("HSET", catalog, "format", "1")
    index.connection.execute("HDEL", catalog, "lineage")
    for number in range(TEN):
        name = key(index, f"d{number}")
        tags = index.connection.execute("HGET", name, "tags").split(b",")
        index.connection.execute("HSET", name, "tags", b",".join(tags[1:]))
        index.connection.execute("HDEL", name, "version")
    share_nothing()
    first = open_index(dimension=None, schema=SCHEMA)
    is_whole(first)
    index.connection.execute("HSET", key(index, "d1"), "f_kind", "wrong", "tags", "wrong")
    index.connection.execute("HSET", key(index, "foreign"), "f_kind", "wrong", "tags", "wrong")
    only(first.verify(), "wrong field")
    assert first.repair(dry_run=False).ok
    is_whole(first)
    assert first.count(F("kind") == "odd") == TEN // 2
    assert first.count(F("n") == 1) == 1


def test_a_user_who_may_not_list_search_indexes_learns_that_they_are_not_checked(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not index.connection.capabilities.has_search:
        assert index.verify().unchecked == ()
        return
    execute = index.connection.execute

    def refused(*command: Any, **options: Any) -> Any:
        if command[0] == "FT._LIST":
            raise AuthenticationError("NOPERM", "FT._LIST")
        return execute(*command, **options)

    monkeypatch.setattr(index.connection, "execute", refused)
    report = index.verify()
    assert report.ok
    assert "FT._LIST" in report.unchecked[0]
    assert "not checked" in str(report)


def test_writers_meanwhile_cause_no_findings_and_lose_nothing(
    index: Index, open_index: OpenIndex
) -> None:
    other = open_index(dimension=None, schema=SCHEMA)
    done = threading.Event()

    def write() -> None:
        for turn in range(60):
            number = turn % 30
            new = record(number)
            other.upsert([new, Record(id=f"e{turn}", metadata={f"key{turn % 5}": turn})])
            other.update_metadata([f"d{number}"], {"turn": turn})
            other.delete([f"e{turn - 1}"])

    def write_all() -> None:
        try:
            write()
        finally:
            done.set()

    writer = threading.Thread(target=write_all)
    writer.start()
    reports = []
    while not done.is_set():
        reports.append(index.repair(dry_run=False, remove_damaged=True, remove_orphans=True))
    writer.join()
    assert [str(report) for report in reports if report.findings] == []
    is_whole(index, 31)
    assert index.count(F("turn") >= 30) == 30


def test_the_async_versions_the_progress_bar_and_the_examples(
    index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        index.connection.execute("HDEL", key(index, f"d{number}"), "f_kind")

    async def check() -> None:
        report = await index.averify(examples=2, progress=True)
        (finding,) = report.findings
        assert (finding.found, len(finding.examples)) == (4, 2)
        assert (await index.arepair(dry_run=False)).ok

    asyncio.run(check())
    assert f"{TEN}/{TEN}" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="examples"):
        index.verify(examples=-1)
    is_whole(index)
