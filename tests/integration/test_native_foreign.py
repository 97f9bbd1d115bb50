"""The native engine beside other programs' keys, with damaged documents, and several users of one index in a process."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from child_processes import in_child
from native_indexes import HERE, found, record, records, selected, share_nothing
from servers import Server
from valkey_vector import Connection, F, ForeignKeyError, Index, Record
from valkey_vector.engines.base import Engine, MetadataReplacement
from valkey_vector.engines.native.engine import NativeEngine

Key = Callable[[Server, str], object]

TYPES: dict[str, Key] = {
    "string": lambda server, key: server.command("SET", key, "theirs"),
    "list": lambda server, key: server.command("RPUSH", key, "theirs"),
    "hash": lambda server, key: server.command("HSET", key, "login", "theirs"),
    "hash like a record": lambda server, key: server.command(
        "HSET", key, "vector", np.ones(4, "f4").tobytes(), "created", "5", "metadata", "{}",
        "tags", "x", "content", "fox",
    ),
}  # fmt: skip


@pytest.fixture
def connection(native_server: Server) -> Iterator[Connection]:
    with Connection.open(native_server.url) as connection:
        yield connection


@pytest.fixture
def index(connection: Connection, index_name: str) -> Index:
    """Ten records, read once."""
    index = Index.open(
        index_name, dimension=4, connection=connection, engine="native", full_text=True
    )
    index.upsert(records(range(10)))
    assert len(found(index)) == 10
    return index


def new_process(index: Index) -> Index:
    share_nothing()
    return Index.open(index.name, connection=index.connection)


def engine_of(index: Index) -> Engine:
    engine = index._lifecycle.existing()
    assert engine is not None
    return engine


def ids(*numbers: int) -> set[str]:
    return {f"d{number}" for number in numbers}


def check(index: Index, expected: set[str]) -> None:
    assert index.count() == len(expected)
    assert found(index) == expected
    assert selected(index) == expected
    assert {hit.record.id for hit in index.search_text("fox", k=50)} == expected


def held(server: Server, key: str) -> object:
    return server.command("DUMP", key)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("policy", ["OVERWRITE", "SKIP", "FAIL"])
def test_a_batch_that_meets_a_foreign_key_is_refused_and_names_it(
    native_server: Server, index: Index, kind: str, policy: str
) -> None:
    key = f"{index.name}:theirs"
    TYPES[kind](native_server, key)
    before = held(native_server, key)
    batch = [record(50), Record(id="theirs", vector=HERE, content="fox"), record(51)]
    with pytest.raises(ForeignKeyError, match=key) as caught:
        index.upsert(batch, policy=policy)
    assert caught.value.key == key
    with pytest.raises(ForeignKeyError, match=key):
        index.upsert(batch, policy=policy, ttl=100)
    assert held(native_server, key) == before
    check(index, ids(*range(10)))
    check(new_process(index), ids(*range(10)))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("others", [2, 1_200])
def test_a_deletion_that_meets_a_foreign_key_removes_nothing(
    native_server: Server, index: Index, kind: str, others: int
) -> None:
    key = f"{index.name}:theirs"
    TYPES[kind](native_server, key)
    before = held(native_server, key)
    with pytest.raises(ForeignKeyError, match=key):
        index.delete([*(f"d{n}" for n in range(others)), "theirs"])
    assert held(native_server, key) == before
    check(index, ids(*range(10)))


@pytest.mark.parametrize("kind", TYPES)
def test_a_document_that_became_a_foreign_key_is_not_found(
    native_server: Server, index: Index, kind: str
) -> None:
    key = f"{index.name}:d3"
    native_server.command("DEL", key)
    TYPES[kind](native_server, key)
    check(index, ids(*range(10)) - ids(3))
    check(new_process(index), ids(*range(10)) - ids(3))
    assert index.delete_by_filter(F("n") >= 2) == 7
    assert native_server.command("EXISTS", key) == 1
    check(index, ids(0, 1))


DAMAGES = {
    "vector of another length": ("vector", b"\0" * 12),
    "vector that is not finite": ("vector", np.full(4, np.nan, "f4").tobytes()),
    "no vector": ("vector", b""),
    "tags": ("tags", b"\xff\xfe,\x80"),
    "created": ("created", b"yesterday"),
    "expires": ("expires", b"soon"),
    "number": ("n0", b"many"),
    "number that is none": ("n0", b"nan"),
    "words": ("words", b"\xff\xfe fox"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_document_hides_no_other(
    native_server: Server, index: Index, damage: str
) -> None:
    index.upsert([record(3), record(4)], ttl=1_000)
    field, value = DAMAGES[damage]
    native_server.command("HSET", f"{index.name}:d3", field, value)
    reader = new_process(index)
    others = ids(*range(10)) - ids(3)
    assert found(reader) - ids(3) == others
    assert ("d3" in found(reader)) == ("vector" not in damage)
    assert selected(reader) == ids(*range(10))
    assert reader.count() == 10
    assert {r.id for r in reader.select(F("n") < 5)} - ids(3) == ids(0, 1, 2, 4)
    assert {hit.record.id for hit in reader.search_text("fox", k=50)} - ids(3) == others
    reader.upsert([record(20)])
    assert "d20" in found(reader)
    reader.upsert([record(3)])
    check(reader, ids(*range(10), 20))


def test_versions_decide_what_is_deleted(index: Index) -> None:
    engine = engine_of(index)
    rows = engine.fetch(["d0", "d1", "d2", "d3"], [])
    versions = [row.version if row else None for row in rows]
    index.upsert([record(1, changed=True)])
    index.delete(["d2"])
    index.update_metadata(["d3"], {"changed": True})
    assert engine.delete(["d0", "d1", "d2", "d3"], versions) == 1
    check(index, ids(*range(1, 10)) - ids(2))


def test_metadata_is_not_replaced_in_a_record_written_meanwhile_with_equal_metadata(
    index: Index,
) -> None:
    engine = engine_of(index)
    row, _ = engine.fetch(["d1", "d2"], ["metadata"])
    assert row is not None
    index.upsert([Record(id="d1", vector=HERE, content="hare", metadata={"n": 1}, parent="p")])
    fields: list[str | bytes] = ["metadata", b'{"n":2}', "version", row.version or b""]
    outcome = engine.replace_metadata(
        [MetadataReplacement("d1", row.fields["metadata"], row.version, fields)]
    )
    assert outcome == [False]
    (found_record,) = index.get(["d1"])
    assert found_record is not None
    assert (found_record.parent, found_record.metadata) == ("p", {"n": 1})


def replica_of(index: Index) -> object:
    engine = engine_of(index)
    assert isinstance(engine, NativeEngine)
    return engine._shared


def test_indexes_of_a_process_share_one_replica_until_the_last_is_gone(
    native_server: Server, index: Index
) -> None:
    with Connection.open(native_server.url) as other_connection:
        other = Index.open(index.name, connection=other_connection)
        copy = pickle.loads(pickle.dumps(index._lifecycle))  # noqa: S301
        assert replica_of(other) is replica_of(index)
        assert copy.existing()._shared is replica_of(index)
        other.upsert([record(70)])
        assert "d70" in found(index)
        kept = weakref.ref(replica_of(index))
        copy.forget()
        other._lifecycle.forget()
        gc.collect()
        assert kept() is not None
        index._lifecycle.forget()
        gc.collect()
        assert kept() is None


def test_other_databases_servers_and_generations_have_their_own_replica(
    native_server: Server, index: Index
) -> None:
    with Connection.open(f"{native_server.url}/1") as database:
        other = Index.open(index.name, dimension=4, connection=database, engine="native")
        other.upsert(records(range(3)))
        assert replica_of(other) is not replica_of(index)
        assert (other.count(), index.count()) == (3, 10)
        other.drop()
    before = replica_of(index)
    index.drop()
    index.upsert([record(1)])
    assert replica_of(index) is not before
    check(index, ids(1))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_replica_of_its_own(index: Index) -> None:
    assert in_child(lambda: len(found(index)) == 10 and index.count() == 10)
    index.upsert([record(11)])
    assert in_child(lambda: "d11" in found(index))
    assert len(found(index)) == 11
