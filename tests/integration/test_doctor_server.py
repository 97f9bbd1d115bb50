"""The doctor on servers and indexes that are broken in one way each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from command_runs import json_of, run_command
from doctor_setups import codes, filled, found, until
from servers import TestServer, start_server
from valkey_vector import Connection, Hnsw, Index, Record
from valkey_vector.operations import DoctorReport, adiagnose, diagnose
from valkey_vector.storage.catalog import Catalog

pytestmark = pytest.mark.wrong_dialect

SAFE = ["--appendonly", "yes", "--maxmemory", "500mb"]


@pytest.fixture(scope="module", params=["native", "search"])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def shared(engine: str) -> Iterator[TestServer]:
    """A server that persists and has a limit of memory, so that nothing about it is wrong."""
    with start_server(search=engine == "search", extra=SAFE) as server:
        yield server


@pytest.fixture
def server(shared: TestServer) -> Iterator[TestServer]:
    """The shared server, empty before and after."""
    _clear(shared)
    yield shared
    _clear(shared)


@pytest.fixture
def index(server: TestServer) -> Iterator[Index]:
    with filled(server.url) as index:
        yield index


@pytest.fixture(scope="module")
def searching() -> Iterator[TestServer]:
    with start_server(search=True, extra=SAFE) as server:
        yield server


@pytest.fixture
def search_server(searching: TestServer) -> TestServer:
    _clear(searching)
    return searching


def _clear(server: TestServer) -> None:
    server.command("FLUSHALL")
    with Connection.open(server.url) as connection:
        if connection.capabilities.has_search:
            for name in connection.execute("FT._LIST"):
                connection.execute("FT.DROPINDEX", name)


def examined(server: TestServer, *names: str, recall: bool = False) -> DoctorReport:
    return diagnose(server.url, names=names, recall=recall)


# A server in order, and one that is not


def test_nothing_is_wrong_with_a_server_in_order(index: Index, server: TestServer) -> None:
    report = examined(server, recall=True)
    expected = {"module.missing", "module.redisearch"}  # what the tests have
    assert set(codes(report)) <= expected, str(report)
    assert report.ok
    assert not report.skipped
    assert f"index {index.name}" in report.checked
    assert len(report.acl) == 3


def test_the_settings_of_a_connection_are_examined_with_its_credentials() -> None:
    with start_server(extra=SAFE) as server:
        server.command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all")
        server.command("CONFIG", "SET", "requirepass", "other")
        with Connection.open(server.url.replace("//", "//app:pw@")) as connection:
            report = diagnose(connection.settings, request_timeout=5)
    assert report.user == "app"
    assert report.ok, str(report)


async def test_the_asynchronous_version_reports_the_same(index: Index, server: TestServer) -> None:
    report = await adiagnose(server.url, recall=False)
    assert codes(report) == codes(examined(server))


def test_there_is_no_search_module(search_server: TestServer) -> None:
    with start_server() as server:
        found(examined(server), "module.missing", "warning")
    found(examined(search_server), "module.redisearch", "note")


def test_a_cluster_has_no_search_module() -> None:
    with start_server(cluster=True) as server:
        found(examined(server), "module.missing_in_cluster")


def test_the_search_module_does_not_work_in_the_database(search_server: TestServer) -> None:
    found(diagnose(f"{search_server.url}/1"), "module.database")


def test_the_server_is_a_replica() -> None:
    with start_server() as primary, start_server() as replica:
        replica.command("REPLICAOF", primary.host, primary.port)
        until(lambda: b"master_link_status:up" in replica.command("INFO", "replication"))  # type: ignore[operator]
        report = examined(replica)
        assert f"{primary.host}:{primary.port}" in found(report, "server.replica")
        primary.kill()
        until(lambda: b"master_link_status:down" in replica.command("INFO", "replication"))  # type: ignore[operator]
        found(examined(replica), "server.replica_link_down")


def test_writes_need_replicas_that_are_not_there() -> None:
    with start_server() as server:
        server.command("CONFIG", "SET", "min-replicas-to-write", 1)
        found(examined(server), "server.no_replicas")


def test_writes_are_paused() -> None:
    with start_server() as server:
        server.command("CLIENT", "PAUSE", 60_000, "WRITE")
        report = examined(server)
        server.command("CLIENT", "UNPAUSE")
    found(report, "server.paused")


def test_memory_is_full() -> None:
    with start_server() as server, filled(server.url):
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        server.command("CONFIG", "SET", "maxmemory", "1mb")
        found(examined(server), "memory.full")


@pytest.mark.parametrize(
    ("policy", "limit", "code", "severity"),
    [
        ("allkeys-lru", "500mb", "memory.evicts_documents", "error"),
        ("allkeys-lfu", "0", "memory.evicts_documents_later", "warning"),
        ("volatile-ttl", "500mb", "memory.evicts_expiring", "note"),
    ],
)
def test_the_eviction_policy_removes_keys(
    policy: str, limit: str, code: str, severity: str
) -> None:
    with start_server(extra=["--maxmemory", limit, "--maxmemory-policy", policy]) as server:
        assert policy in found(examined(server), code, severity)


def test_keys_were_evicted() -> None:
    with start_server(extra=["--maxmemory-policy", "allkeys-random"]) as server:
        for number in range(50):
            server.command("SET", f"key{number}", "x" * 10_000)
        server.command("CONFIG", "SET", "maxmemory", "1mb")
        until(lambda: b"evicted_keys:0\r" not in server.command("INFO", "stats"))  # type: ignore[operator]
        found(examined(server), "memory.evicted", "warning")


def test_persistence_is_off() -> None:
    with start_server() as server:
        found(examined(server), "persistence.off", "warning")
        server.command("CONFIG", "SET", "save", "60 1")
        assert "persistence.off" not in codes(examined(server))


# Indexes


def test_the_index_is_unknown_and_others_have_similar_names(
    index: Index, server: TestServer
) -> None:
    text = found(examined(server, "artikles"), "index.unknown")
    assert "'articles'" in text


def test_the_index_is_in_another_database(server: TestServer) -> None:
    server.command("SET", "here", "x")
    with Connection.open(f"{server.url}/1") as connection:
        connection.execute("SET", "there", "x")
    report = examined(server, "articles")
    found(report, "index.unknown")
    assert "db1" in found(report, "server.other_database", "note")


def test_the_index_is_empty(index: Index, server: TestServer) -> None:
    index.delete_all()
    found(examined(server), "index.empty", "note")


def test_the_record_of_the_index_is_gone(index: Index, server: TestServer) -> None:
    server.command("DEL", Catalog(index.connection, index.name).key)
    found(examined(server, index.name), "index.record_lost")


def test_the_record_of_the_index_is_another_programs_key(server: TestServer) -> None:
    server.command("SET", "{articles}:index", "x")
    found(examined(server, "articles"), "index.foreign_record")


def test_the_index_is_of_a_newer_version(index: Index, server: TestServer) -> None:
    server.command("HSET", Catalog(index.connection, index.name).key, "format", "99")
    found(examined(server), "index.newer_format")


def test_the_index_was_dropped_and_its_documents_were_left(
    index: Index, server: TestServer
) -> None:
    index.drop(documents=False)
    found(examined(server), "index.documents_left", "warning")


def test_a_drop_was_interrupted(index: Index, server: TestServer) -> None:
    Catalog(index.connection, index.name).forget(keep_documents=False)
    found(examined(server, index.name), "index.unfinished_removal", "warning")


def test_documents_of_a_dropped_index_are_left(index: Index, server: TestServer) -> None:
    version = index.connection.execute("HGET", "articles:d1", "version")
    server.command("HSET", "articles:old", "version", b"0123abcd" + version[8:])
    server.command("HSET", "articles:old", "metadata", "{}", "content", "", "created", "1")
    found(examined(server), "index.orphans", "warning")


def test_another_program_writes_under_the_prefix(index: Index, server: TestServer) -> None:
    server.command("HSET", "articles:foreign", "field", "value")
    assert "1 key of other programs" in found(examined(server), "index.foreign_keys", "warning")


def test_a_document_has_a_vector_of_a_wrong_dimension(
    index: Index, server: TestServer, engine: str
) -> None:
    server.command("HSET", "articles:d1", "vector", np.ones(3, dtype=np.float32).tobytes())
    report = examined(server)
    found(report, "index.damaged_vectors")
    if engine == "search":
        text = found(report, "index.wrong_dimension")
        assert "'articles:d1': vector has 3 numbers instead of 4" in text


def test_fields_that_filters_use_are_missing(index: Index, server: TestServer) -> None:
    server.command("HDEL", "articles:d1", "tags")
    assert "repair articles --yes" in found(examined(server), "index.wrong_fields")


def test_the_index_uses_the_native_engine_although_there_is_a_module(
    search_server: TestServer,
) -> None:
    with filled(search_server.url, engine="native"):
        found(examined(search_server), "index.native_with_module", "note")


def test_the_search_index_was_dropped(search_server: TestServer) -> None:
    with filled(search_server.url) as index:
        entry = Catalog(index.connection, index.name).read()
        assert entry is not None
        search_server.command("FT.DROPINDEX", entry.search_index)
        report = examined(search_server)
        found(report, "index.search_index_missing")
        assert search_server.command("FT._LIST") == [], "the doctor changes nothing"


def test_a_search_index_of_another_dimension_stands_in_its_place(
    search_server: TestServer,
) -> None:
    with filled(search_server.url) as index:
        entry = Catalog(index.connection, index.name).read()
        assert entry is not None
        search_server.command("FT.DROPINDEX", entry.search_index)
        create(search_server, entry.search_index, "vector", dimension=8)
        found(examined(search_server), "index.definition_differs")


def test_vectors_of_two_bytes_a_number_are_in_order_and_judged_by_their_size(
    search_server: TestServer,
) -> None:
    with Connection.open(search_server.url) as connection:
        index = Index.open(
            "half", connection=connection, schema={"dimension": 4, "data_type": "float16"}
        )
        vectors = np.random.default_rng(1).normal(size=(40, 4))
        index.upsert(Record(id=str(n), vector=vector) for n, vector in enumerate(vectors))
        report = examined(search_server, "half", recall=True)
        assert set(codes(report)) <= {"module.redisearch"}, str(report)
        assert max(each.recall for each in report.recall) == 1
        search_server.command("HSET", "half:1", "vector", np.ones(4, dtype=np.float32).tobytes())
        report = examined(search_server, "half")
        assert "8 numbers instead of 4" in found(report, "index.wrong_dimension")
        entry = Catalog(index.connection, index.name).read()
        assert entry is not None
        search_server.command("FT.DROPINDEX", entry.search_index)
        create(search_server, entry.search_index, "vector")
        assert "FLOAT16" in found(examined(search_server, "half"), "index.definition_differs")


def test_a_search_index_of_a_dropped_index_is_left(search_server: TestServer) -> None:
    with filled(search_server.url) as index:
        create(search_server, f"{index.name}-deadbeef", "vector")
        report = examined(search_server)
    assert "articles-deadbeef" in found(report, "index.stale_generation", "warning")


def test_the_graph_is_too_thin_for_good_recall(search_server: TestServer) -> None:
    thin = Hnsw(m=2, ef_construction=2, ef_runtime=1)
    with Connection.open(search_server.url) as connection:
        index = Index.open("thin", dimension=32, algorithm=thin, connection=connection)
        vectors = np.random.default_rng(1).normal(size=(1500, 32)).tolist()
        index.upsert(Record(id=str(n), vector=vector) for n, vector in enumerate(vectors))
        report = examined(search_server, "thin", recall=True)
    found(report, "index.recall", "warning")
    widths = [each.ef_runtime for each in report.recall]
    assert widths == sorted({1, 10, 25, 50, 100, 200, 400})
    assert report.recall[-1].recall > report.recall[0].recall


# Indexes of other programs: why they are empty


def create(server: TestServer, name: str, field: str, *, dimension: int = 4) -> None:
    command = f"FT.CREATE {name} ON HASH PREFIX 1 {name}: SCHEMA {field} VECTOR FLAT 6 TYPE FLOAT32"
    server.command(*command.split(), "DIM", str(dimension), "DISTANCE_METRIC", "COSINE")


def test_no_key_matches_the_prefix_of_a_foreign_index(search_server: TestServer) -> None:
    create(search_server, "foreign", "vec")
    search_server.command("HSET", "other:1", "vec", b"\0" * 16)
    assert "foreign:*" in found(examined(search_server), "index.no_matching_keys")


def test_the_documents_of_a_foreign_index_have_another_field(search_server: TestServer) -> None:
    create(search_server, "foreign", "vec")
    search_server.command("HSET", "foreign:1", "embedding", b"\0" * 16)
    report = examined(search_server)
    assert {"index.no_vector_field", "index.empty"} & set(codes(report)), str(report)


def test_the_documents_of_a_foreign_index_are_of_another_type(search_server: TestServer) -> None:
    create(search_server, "foreign", "vec")
    search_server.command("SET", "foreign:1", "{}")
    assert "string" in found(examined(search_server), "index.wrong_type")


def test_the_documents_of_a_foreign_index_are_of_another_dimension(
    search_server: TestServer,
) -> None:
    create(search_server, "foreign", "vec")
    search_server.command("HSET", "foreign:1", "vec", b"\0" * 12)
    report = examined(search_server, "foreign")
    assert "3 numbers instead of 4" in found(report, "index.wrong_dimension")


def test_the_command_prints_recall_and_ends_with_success(search_server: TestServer) -> None:
    with filled(search_server.url):
        ended = run_command("doctor", url=search_server.url)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "Recall of the 10 nearest neighbors" in ended.stdout
        report = json_of("doctor", "--no-recall", "--deep", url=search_server.url)
    assert report["ok"] is True
    assert report["recall"] == []
    assert [each["role"] for each in report["acl"]] == ["reader", "application", "administrator"]
