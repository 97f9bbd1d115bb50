"""Servers that refuse something: commands that do not exist or are not granted, keys, databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import TestServer, start_server
from valkey_vector import (
    AuthenticationError,
    Connection,
    Index,
    Record,
    ServerError,
    UnreadableRecordError,
    UnsupportedFeatureError,
)

ENGINES = ["native", "search"]
RECORD = Record(id="a", vector=[1.0, 0, 0, 0], content="fox", metadata={"n": 1})


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def server(engine: str) -> Iterator[TestServer]:
    with start_server(search=engine == "search") as server:
        yield server


def user(server: TestServer, *rules: str) -> str:
    server.command("ACL", "SETUSER", "app", "reset", "on", ">pw", *rules)
    return server.url.replace("valkey://", "valkey://app:pw@")


def opened(connection: Connection, engine: str = "auto", name: str = "docs") -> Index:
    return Index.open(name, dimension=4, connection=connection, engine=engine)  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", [["INFO"], ["INFO", "HELLO"]])
def test_a_server_without_info_is_used(engine: str, missing: list[str]) -> None:
    options = [part for name in missing for part in ("--rename-command", name, "")]
    with (
        start_server(search=engine == "search", extra=options) as server,
        Connection.open(server.url) as connection,
    ):
        index = opened(connection, engine)
        index.upsert([RECORD])
        assert [hit.record.id for hit in index.search([1, 0, 0, 0], k=3)] == ["a"]
        assert index.count() == 1


def test_a_command_that_a_script_lacks_is_named() -> None:
    with (
        start_server(extra=["--rename-command", "TIME", ""]) as server,
        Connection.open(server.url) as connection,
        pytest.raises(ServerError, match="does not know the command TIME"),
    ):
        opened(connection).upsert([RECORD])


def test_a_key_that_is_refused_is_named(server: TestServer, engine: str) -> None:
    with Connection.open(user(server, "~docs:*", "+@all")) as connection:
        with pytest.raises(AuthenticationError, match=r"\{docs\}:index"):
            opened(connection, engine).create()
        with pytest.raises(AuthenticationError, match="'other'"):
            connection.execute("EVAL", "return 1", "2", "docs:a", "other")
        (reply,) = connection.pipeline([["GET", "other"]])
        assert isinstance(reply, AuthenticationError)
        assert "'other'" in str(reply)


def test_an_index_that_the_server_refuses_to_create_leaves_no_record() -> None:
    with start_server(search=True) as server:
        with (
            Connection.open(user(server, "~*", "+@all", "-ft.create")) as connection,
            pytest.raises(AuthenticationError, match=r"(?i)ft\.create"),
        ):
            opened(connection, "search").upsert([RECORD])
        assert server.command("DBSIZE") == 0
        with Connection.open(server.url) as connection:
            opened(connection, "native").upsert([RECORD])


def test_a_refused_creation_leaves_what_kept_documents_are_read_by() -> None:
    with start_server(search=True) as server:
        with Connection.open(server.url) as connection:
            index = opened(connection, "search")
            index.upsert([RECORD])
            index.drop(documents=False)
        with (
            Connection.open(user(server, "~*", "+@all", "-ft.create")) as connection,
            pytest.raises(AuthenticationError),
        ):
            opened(connection, "search").create()
        with Connection.open(server.url) as connection:
            index = opened(connection, "search")
            index.create()
            assert [record and record.content for record in index.get(["a"])] == ["fox"]


def test_a_time_to_live_that_is_refused_leaves_no_record(server: TestServer, engine: str) -> None:
    with Connection.open(server.url) as connection:
        opened(connection, engine).create()
    with (
        Connection.open(user(server, "~*", "+@all", "-pexpireat")) as connection,
        pytest.raises(AuthenticationError, match="pexpireat"),
    ):
        opened(connection, engine).upsert([RECORD], ttl=100)
    assert server.command("EXISTS", "docs:a") == 0


def test_auto_takes_the_native_engine_in_a_database_where_redisearch_does_not_work() -> None:
    with start_server(search=True) as server, Connection.open(f"{server.url}/3") as connection:
        with pytest.raises(UnsupportedFeatureError, match="database 3"):
            opened(connection, "search").create()
        assert b"db3" not in bytes(server.command("INFO", "keyspace"))  # type: ignore[arg-type]
        index = opened(connection)
        index.upsert([RECORD])
        assert index.info().engine == "native"
        assert [hit.record.id for hit in index.search([1, 0, 0, 0], k=3)] == ["a"]


@pytest.mark.parametrize("stored", ["{no json", "[1]", b"\xff"])
def test_metadata_that_is_no_json_names_index_and_record(
    server: TestServer, engine: str, stored: str | bytes
) -> None:
    with Connection.open(server.url) as connection:
        index = opened(connection, engine)
        index.upsert([RECORD, Record(id="b", vector=[0.0, 1, 0, 0], metadata={"n": 2})])
        server.command("HSET", "docs:a", "metadata", stored)
        for read in (
            lambda: index.get(["a", "b"]),
            lambda: index.search([1, 0, 0, 0], k=2),
            lambda: list(index.select()),
        ):
            with pytest.raises(UnreadableRecordError, match=r"'docs'.*'a'"):
                read()
        assert [record and record.id for record in index.get(["b"])] == ["b"]
        assert [hit.record.id for hit in index.search([0, 1, 0, 0], k=1)] == ["b"]


def test_a_record_of_the_index_that_is_no_json_names_the_index(
    server: TestServer, engine: str
) -> None:
    with Connection.open(server.url) as connection:
        opened(connection, engine).upsert([RECORD])
    server.command("HSET", "{docs}:index", "schema", "{no json")
    with (
        Connection.open(server.url) as connection,
        pytest.raises(UnreadableRecordError, match=r"'docs'.*\{docs\}:index"),
    ):
        opened(connection, engine).count()
