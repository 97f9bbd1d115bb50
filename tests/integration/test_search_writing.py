"""Writes of the search engine: plain commands, locks, versions, and what another program owns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from round_trips import CommandLog
from servers import Server
from valkey_vector import (
    ConnectionLostError,
    F,
    ForeignKeyError,
    Index,
    PartialWriteError,
    Record,
    RequestTimeoutError,
    ServerError,
)
from valkey_vector.connection import Connection
from valkey_vector.engines.search.writing import SearchWriting

OpenIndex = Callable[..., Index]


@pytest.fixture
def engine_name() -> str:
    """These hold for the search engine; the native engine writes by scripts."""
    return "search"


def record(id: str, **more: Any) -> Record:
    settings: dict[str, Any] = {"vector": [1, 0, 0, 0], "content": id, "metadata": {"n": 1}}
    return Record(id=id, **{**settings, **more})


MANY = [record(f"other {number}") for number in range(10)]
"""With another record, too many to be locked without looking first: new ones are written without locks."""


def fields_of(index: Index, id: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = index.connection.execute("HGETALL", f"{index.name}:{id}")
    return found


def test_a_batch_of_new_records_asks_with_one_command_whether_any_exists(
    index: Index, commands: CommandLog
) -> None:
    if index.connection.capabilities.cluster:
        return  # there, each key is asked for on its node
    index.upsert([record("first")])
    commands.clear()
    index.upsert([record(str(number)) for number in range(50)])
    before, writing = commands.round_trips
    assert [command[0] for command in before] == [b"TIME", b"HGET", b"EXISTS"]
    assert len(before[2]) == 51
    assert [command[0] for command in writing] == [*[b"HSETEX"] * 50, b"EVAL"]


def test_a_few_records_are_written_in_two_round_trips_whether_they_exist_or_not(
    index: Index, commands: CommandLog
) -> None:
    if index.connection.capabilities.cluster:
        return  # there, the locks take one more
    index.upsert([record("first")])  # binds the numeric slot
    for content in ("new", "again"):
        commands.clear()
        index.upsert([record(id, content=content) for id in "abc"])
        before, writing = commands.round_trips
        assert [command[0] for command in before] == [
            *[b"EVAL", b"TIME", b"HGET"],
            *[b"HKEYS", b"HMGET"] * 3,
        ]
        assert [command[0] for command in writing] == [*[b"HSET"] * 3, b"EVAL"]


@pytest.mark.parametrize("policy", ["OVERWRITE", "SKIP"])
def test_records_with_a_time_to_live_are_locked_without_looking_first(
    index: Index, commands: CommandLog, policy: str
) -> None:
    index.upsert([record("first")])  # binds the numeric slot
    commands.clear()
    index.upsert([record("a"), *MANY], ttl=60, policy=policy)
    first = commands.round_trips[0]
    assert [command[0] for command in first][:1] == [b"EVAL"]
    cluster = index.connection.capabilities.cluster
    # SKIP creates the records, and sets their end in another request.
    assert len(commands.round_trips) == 2 + (policy == "SKIP") + (2 if cluster else 0)


def test_the_keys_of_the_next_batch_are_looked_up_while_the_connection_is_busy(
    search_server: Server, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, storing, looked = SearchWriting._read_before, SearchWriting._write_new, list[Any]()
    second = threading.Event()

    def look(self: SearchWriting, *arguments: Any) -> Any:
        found = looking(self, *arguments)
        looked.append(found)
        if len(looked) == 2:
            second.set()
        return found

    def store(self: SearchWriting, *arguments: Any) -> None:
        assert second.wait(20)
        storing(self, *arguments)

    with Connection.open(search_server.url, write_connections=1) as connection:
        index = Index.open(index_name, dimension=4, engine="search", connection=connection)
        index.create()
        monkeypatch.setattr(SearchWriting, "_read_before", look)
        monkeypatch.setattr(SearchWriting, "_write_new", store)
        index.upsert([record(f"r{number}") for number in range(100)], batch_size=50)
        assert len(looked) == 2
        assert index.count() == 100


def test_a_batch_with_existing_and_new_records_is_written_whole(
    index: Index, commands: CommandLog
) -> None:
    index.upsert([record("b", metadata={"n": 1, "old": 1})])
    commands.clear()
    assert index.upsert([record(id, metadata={"n": 2}) for id in "abc"]).written == 3
    assert index.count(F("n") == 2) == 3
    assert index.count(F("old").exists()) == 0


def test_no_script_touches_a_document(index: Index, commands: CommandLog) -> None:
    index.upsert([record(f"r{n}") for n in range(10)])
    index.upsert([record(f"r{n}", metadata={"n": 2}) for n in range(5)])
    index.upsert([record("end")], ttl=60)
    index.upsert([record("slide")], ttl=60, sliding=True)
    index.upsert([record("r1"), record("s")], policy="SKIP")
    index.update_metadata(F("n") == 2, {"x": "y"})
    index.delete(["r1"])
    index.delete_by_filter(F("n") == 2)
    index.drop()
    prefix = f"{index.name}:".encode()
    for command in (command for trip in commands.round_trips for command in trip):
        if command[0] in (b"EVAL", b"EVALSHA", b"FCALL"):
            keys = command[3 : 3 + int(command[2])]
            assert not [key for key in keys if key.startswith(prefix)], command


def test_an_overwritten_record_keeps_nothing_but_its_time_of_creation(index: Index) -> None:
    old = record("a", parent="p", payload=b"y", metadata={"n": 1, "price": 3.5})
    index.upsert([old], ttl=60)
    before = fields_of(index, "a")
    index.upsert([Record(id="a", content="new", metadata={"m": 2})])
    after = fields_of(index, "a")
    assert after[b"created"] == before[b"created"]
    assert set(after) == {b"content", b"metadata", b"tags", b"n2", b"version", b"created"}
    assert index.connection.execute("PTTL", f"{index.name}:a") == -1
    assert index.get(["a"]) == [Record(id="a", content="new", metadata={"m": 2})]
    assert index.count(F("price") > 0) == 0


def test_fields_of_the_record_before_are_not_read_although_they_are_there(index: Index) -> None:
    """A reader may come between the two commands of a write, and a writer may die there."""
    index.upsert([Record(id="a", content="new", metadata={"m": 2})])
    old: list[str | bytes] = ["vector", bytes(16), "parent", "p", "payload", b"y", "expires", "5"]
    index.connection.execute("HSET", f"{index.name}:a", *old)
    (found,) = index.get(["a"], with_vectors=True)
    assert found == Record(id="a", content="new", metadata={"m": 2})
    assert index.search([1, 0, 0, 0], k=5) == []
    assert [each.id for each in index.select(F.parent == "p")] == []


def test_a_record_without_end_survives_the_end_of_the_one_it_replaces(index: Index) -> None:
    index.upsert([record("a")], ttl=0.3)
    index.upsert([record("b")], ttl=0.3, sliding=True)
    index.upsert([record("a", content="kept"), record("b", content="kept")])
    time.sleep(0.5)
    assert [each and each.content for each in index.get(["a", "b"])] == ["kept", "kept"]


FOREIGN: dict[str, list[str]] = {
    "string": ["SET", "hello"],
    "list": ["RPUSH", "a", "b"],
    "hash": ["HSET", "colour", "red"],
    "hash like a record": ["HSET", "content", "x", "metadata", "{}", "created", "5"],
    "hash with a version": ["HSET", "metadata", "{}", "version", "1.2.3"],
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_key_of_another_program_is_never_written_or_removed(index: Index, what: str) -> None:
    index.upsert([record("d1")])
    key = f"{index.name}:foreign"
    command, *values = FOREIGN[what]
    index.connection.execute(command, key, *values)
    before = index.connection.execute("DUMP", key)
    for policy in ("OVERWRITE", "SKIP", "FAIL"):
        with pytest.raises(ForeignKeyError, match=key) as caught:
            index.upsert([record("d2"), record("foreign"), record("d3")], policy=policy)
        assert caught.value.key == key
    with pytest.raises(ForeignKeyError, match=key):
        index.delete(["d1", "foreign"])
    assert index.update_metadata(["d1", "foreign"], {"x": 1}) == 1
    assert [found and found.id for found in index.get(["d1", "d2", "d3"])] == ["d1", None, None]
    assert index.drop() == 1
    assert index.connection.execute("DUMP", key) == before


def test_an_update_that_another_writer_overtakes_is_made_on_what_that_one_wrote(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, other = open_index(), open_index()
    index.upsert([record("a", parent="old", content="old")])
    engine: Any = index._handle.existing()
    replacing = engine.replace_metadata
    fresh = record("a", parent="new", content="new", vector=[0, 1, 0, 0], payload=b"new")

    def overtaken(replacements: Any) -> Any:
        monkeypatch.undo()
        other.upsert([fresh])  # with equal metadata
        return replacing(replacements)

    monkeypatch.setattr(engine, "replace_metadata", overtaken)
    assert index.update_metadata(["a"], {"x": 1}) == 1
    (found,) = index.get(["a"], with_payloads=True)
    assert found == Record(
        id="a", content="new", parent="new", payload=b"new", metadata={"n": 1, "x": 1}
    )
    assert [hit.record.id for hit in index.search([0, 1, 0, 0], filter=F.parent == "new")] == ["a"]
    assert index.search([0, 1, 0, 0], k=1)[0].distance == pytest.approx(0, abs=1e-6)


def test_concurrent_updates_of_one_record_are_all_made(index: Index) -> None:
    index.upsert([record("a")])

    def update(n: int) -> None:
        for turn in range(5):
            assert index.update_metadata(["a"], {f"k{n}": turn}) == 1

    threads = [threading.Thread(target=update, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (found,) = index.get(["a"])
    assert found is not None
    assert found.metadata == {"n": 1, **{f"k{n}": 4 for n in range(8)}}


def test_a_record_that_changed_is_not_removed_for_what_it_was(index: Index) -> None:
    index.upsert([record("a"), record("b")])
    engine = index._handle.existing()
    assert engine is not None
    rows = engine.fetch(["a", "b"], [])
    versions = [None if row is None else row.version for row in rows]
    index.upsert([record("a", content="newer")])
    assert engine.delete(["a", "b"], versions) == 1
    assert [found and found.content for found in index.get(["a", "b"])] == ["newer", None]


def test_records_that_the_server_refuses_are_named(search_server: Server, index_name: str) -> None:
    """The user may write only some keys: the same as a batch that meets one full node of a cluster."""
    with Connection.open(search_server.url) as owner:
        Index.open(index_name, dimension=4, engine="search", connection=owner).create()
        rules = [
            f"~{{{index_name}}}:*",
            f"~{index_name}-*",
            f"%R~{index_name}:*",
            f"~{index_name}:a*",
        ]
        owner.execute("ACL", "SETUSER", index_name, "reset", "on", ">pw", *rules, "+@all")
        _, _, address = search_server.url.rpartition("@" if "@" in search_server.url else "//")
        with Connection.open(f"valkey://{index_name}:pw@{address}") as connection:
            index = Index.open(index_name, connection=connection)
            with pytest.raises(PartialWriteError, match=r"NOPERM|permission") as caught:
                index.upsert([record("a1"), record("b1"), record("a2")])
            assert (caught.value.written, set(caught.value.failed)) == (2, {"b1"})
            with pytest.raises(PartialWriteError) as caught:
                index.upsert(
                    [record(f"{letter}{n}") for n in range(9) for letter in "ab"], batch_size=6
                )
            assert set(caught.value.failed) == {f"b{n}" for n in range(9)}
        owner.execute("ACL", "DELUSER", index_name)


def test_a_lock_whose_holder_died_lapses(search_server: Server, index_name: str) -> None:
    with Connection.open(search_server.url, request_timeout=1.0) as connection:
        index = Index.open(index_name, dimension=4, engine="search", connection=connection)
        index.upsert([record("a")])
        now = int(connection.execute("TIME")[0]) * 1000
        locks = f"{{{index_name}}}:locks"
        connection.execute("HSET", locks, "a", f"dead {now + 1500}")
        index.upsert([record("a", content="new")])
        assert [found and found.content for found in index.get(["a"])] == ["new"]
        assert connection.execute("EXISTS", locks) == 0
        connection.execute("HSET", locks, "a", f"alive {now + 60_000}")
        with pytest.raises(RequestTimeoutError, match="'a' is being changed by another client"):
            index.delete(["a"])


def test_two_writers_of_one_new_id_leave_one_record_whole(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looked before either wrote; the one that comes second finds out, and writes again under the lock."""
    index, other = open_index(), open_index()
    index.create()
    writing = SearchWriting._write_new
    mine = record("a", content="mine")
    theirs = record("a", content="theirs", parent="p", payload=b"y", metadata={"price": 5})

    def overtaken(self: SearchWriting, batch: Any, *arguments: Any) -> None:
        monkeypatch.undo()
        other.upsert([theirs], ttl=60)
        writing(self, batch, *arguments)

    monkeypatch.setattr(SearchWriting, "_write_new", overtaken)
    index.upsert([mine, *MANY])
    (found,) = index.get(["a"], with_vectors=False, with_payloads=True)
    assert found == Record(id="a", content="mine", metadata={"n": 1})
    assert index.connection.execute("PTTL", f"{index.name}:a") == -1
    assert b"payload" not in fields_of(index, "a")


def test_skip_and_fail_leave_what_appears_after_they_looked(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, other = open_index(), open_index()
    index.create()
    writing = SearchWriting._write_new
    for policy in ("SKIP", "FAIL"):

        def overtaken(self: SearchWriting, batch: Any, *arguments: Any) -> None:
            monkeypatch.undo()
            other.upsert([record("a", content="theirs")])
            writing(self, batch, *arguments)

        monkeypatch.setattr(SearchWriting, "_write_new", overtaken)
        if policy == "SKIP":
            assert index.upsert([record("a", content="mine")], policy=policy).skipped == ("a",)
        else:
            with pytest.raises(Exception, match="already stored"):
                index.upsert([record("a", content="mine")], policy=policy)
        assert [found and found.content for found in index.get(["a"])] == ["theirs"]
        index.delete(["a"])


def test_without_a_create_only_command_skip_is_race_free_by_locks(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    index.create()
    object.__setattr__(index.connection.capabilities, "create_only", False)
    results: list[int] = []

    def write(n: int) -> None:
        results.append(index.upsert([record("a", content=str(n))], policy="SKIP").written)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results) == 1


def test_a_time_to_live_that_is_refused_leaves_no_record_without_end(
    search_server: Server, index_name: str
) -> None:
    with Connection.open(search_server.url) as owner:
        index = Index.open(index_name, dimension=4, engine="search", connection=owner)
        index.create()
        owner.execute(
            "ACL", "SETUSER", index_name, "reset", "on", ">pw", "~*", "+@all", "-pexpireat"
        )
        _, _, address = search_server.url.rpartition("@" if "@" in search_server.url else "//")
        with Connection.open(f"valkey://{index_name}:pw@{address}") as connection:
            limited = Index.open(index_name, connection=connection)
            with pytest.raises(Exception, match=r"(?i)pexpireat|permission"):
                limited.upsert([record("a")], ttl=60)
        assert index.get(["a"]) == [None]
        assert owner.execute("EXISTS", f"{index_name}:a") == 0
        owner.execute("ACL", "DELUSER", index_name)


def test_an_outage_while_a_lock_is_held_leaves_the_lock_to_lapse(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    index.upsert([record("a")])
    sending = Connection.pipeline

    def lost(self: Connection, commands: Any, **settings: Any) -> Any:
        if commands and commands[0][0] == "UNLINK":
            raise ConnectionLostError("the node is gone")
        return sending(self, commands, **settings)

    monkeypatch.setattr(Connection, "pipeline", lost)
    with pytest.raises(ConnectionLostError, match="the node is gone"):
        index.delete(["a"])
    monkeypatch.undo()
    # What was sent may still arrive, so nobody else may change the record before that is over.
    assert index.connection.execute("HEXISTS", f"{{{index.name}}}:locks", "a") == 1
    index.connection.execute("DEL", f"{{{index.name}}}:locks")
    assert index.delete(["a"]) == 1


def test_a_refusal_while_a_lock_is_held_releases_it(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    index.upsert([record("a")])
    sending = Connection.pipeline

    def refused(self: Connection, commands: Any, **settings: Any) -> Any:
        if commands and commands[0][0] == "UNLINK":
            raise ServerError("no")
        return sending(self, commands, **settings)

    monkeypatch.setattr(Connection, "pipeline", refused)
    with pytest.raises(ServerError, match="no"):
        index.delete(["a"])
    monkeypatch.undo()
    assert index.delete(["a"]) == 1


def test_a_time_to_live_never_meets_the_record_of_another_writer(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record with an end is given it under its lock: who replaces the record waits until it has it."""
    index, other = open_index(), open_index()
    index.create()
    engine: Any = index._handle.existing()
    batches = engine._writing._batches
    storing, replaced = batches.stored, threading.Event()

    def overtaken(*arguments: Any, **settings: Any) -> Any:
        def replace() -> None:
            other.upsert([record("a")])
            replaced.set()

        thread = threading.Thread(target=replace)
        thread.start()
        assert not replaced.wait(0.3)
        result = storing(*arguments, **settings)
        thread.join()
        return result

    index.upsert([record("a")], ttl=60)
    monkeypatch.setattr(batches, "stored", overtaken)
    index.upsert([record("a")], ttl=60)
    assert index.connection.execute("PTTL", f"{index.name}:a") == -1


def test_a_record_with_an_end_that_meets_a_new_one_leaves_nothing_of_it(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, other = open_index(), open_index()
    index.create()
    engine: Any = index._handle.existing()
    batches = engine._writing._batches
    storing = batches.stored

    def overtaken(*arguments: Any, **settings: Any) -> Any:
        monkeypatch.undo()
        other.upsert([record("a", payload=b"theirs", metadata={"price": 5}), *MANY])
        return storing(*arguments, **settings)

    monkeypatch.setattr(batches, "stored", overtaken)
    index.upsert([record("a", content="mine")], ttl=60)
    assert index.get(["a"], with_payloads=True) == [
        Record(id="a", content="mine", metadata={"n": 1})
    ]
    assert not {b"payload", b"n1"} & fields_of(index, "a").keys()
    assert index.connection.execute("PTTL", f"{index.name}:a") > 0


def test_a_failed_write_of_a_new_record_leaves_the_time_to_live_of_another_alone(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, other = open_index(), open_index()
    index.create()
    creating = SearchWriting._created

    def overtaken(self: SearchWriting, *arguments: Any) -> Any:
        monkeypatch.undo()
        other.upsert([record("a", content="theirs"), *MANY])
        return creating(self, *arguments)

    monkeypatch.setattr(SearchWriting, "_created", overtaken)
    assert index.upsert([record("a", content="mine")], policy="SKIP", ttl=60).skipped == ("a",)
    assert index.connection.execute("PTTL", f"{index.name}:a") == -1


def test_a_user_who_may_not_write_create_only_writes_under_locks(
    search_server: Server, index_name: str
) -> None:
    with Connection.open(search_server.url) as owner:
        Index.open(index_name, dimension=4, engine="search", connection=owner).create()
        owner.execute("ACL", "SETUSER", index_name, "reset", "on", ">pw", "~*", "+@all", "-hsetex")
        _, _, address = search_server.url.rpartition("@" if "@" in search_server.url else "//")
        with Connection.open(f"valkey://{index_name}:pw@{address}") as connection:
            index = Index.open(index_name, connection=connection)
            index.upsert([record("a")], ttl=60)
            assert index.upsert([record("a"), record("b")], policy="SKIP").skipped == ("a",)
            assert index.count() == 2
        owner.execute("ACL", "DELUSER", index_name)


@pytest.mark.parametrize("sliding", [False, True])
def test_what_expires_while_it_is_updated_or_compared_is_not_mixed_with_what_comes_next(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch, *, sliding: bool
) -> None:
    """The end is put off while the lock is held, and set back after."""
    index = open_index()
    key = f"{index.name}:a"
    index.upsert([record("a")], ttl=0.4, sliding=sliding)
    engine: Any = index._handle.existing()
    batches = engine._writing._batches
    sending = batches.send

    def slow(*arguments: Any, **settings: Any) -> Any:
        time.sleep(0.6)
        assert index.connection.execute("EXISTS", key) == 1
        return sending(*arguments, **settings)

    monkeypatch.setattr(batches, "send", slow)
    assert index.update_metadata(["a"], {"x": 1}) == 1
    monkeypatch.undo()
    assert index.connection.execute("EXISTS", key) == 0
    index.upsert([record("b")], ttl=30, sliding=sliding)
    (row,) = engine.fetch(["b"], [])
    index.update_metadata(["b"], {"x": 1})
    assert engine.delete(["b"], [row.version]) == 0  # it is another version by now
    assert 20_000 < index.connection.execute("PTTL", f"{index.name}:b") <= 30_000


def test_nodes_that_do_not_reach_each_other_yet_are_waited_for(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    executing, refusals = Connection.execute, 2

    def refused(self: Connection, *arguments: Any, **settings: Any) -> Any:
        nonlocal refusals
        if arguments[0] == "FT.CREATE" and refusals:
            refusals -= 1
            raise ServerError("Unable to contact all cluster members", "FT.CREATE")
        return executing(self, *arguments, **settings)

    monkeypatch.setattr(Connection, "execute", refused)
    index.upsert([record("a")])
    assert refusals == 0
    assert index.count() == 1


def test_a_removal_goes_on_while_others_change_what_it_removes(
    open_index: OpenIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, other = open_index(), open_index()
    index.upsert([record("a"), record("b", metadata={"n": 2})])
    engine: Any = index._handle.existing()
    removing, turns = engine.delete, 0

    def overtaken(ids: Any, versions: Any = None) -> int:
        nonlocal turns
        turns += 1
        if turns <= 8:
            other.update_metadata(["a"], {"turn": turns})
        removed: int = removing(ids, versions)
        return removed

    monkeypatch.setattr(engine, "delete", overtaken)
    assert index.delete_by_filter(F("n") == 1) == 1
    assert turns == 9
    assert [found and found.id for found in index.get(["a", "b"])] == [None, "b"]


def test_a_record_whose_time_is_over_is_not_read_although_its_key_is_there(index: Index) -> None:
    index.upsert([record("a")], ttl=0.2)
    index.upsert([record("b")], ttl=60)
    index.connection.execute("PERSIST", f"{index.name}:a")
    time.sleep(0.4)
    assert [found and found.id for found in index.get(["a", "b"])] == [None, "b"]
    assert [each.id for each in index.select(F.id.in_(["a", "b"]))] == ["b"]
    assert [hit.record.id for hit in index.search([1, 0, 0, 0], k=5)] == ["b"]
    assert index.count() == 1
