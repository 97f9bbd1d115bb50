"""The privileges of each role suffice, no role can do what a higher one does, and docs/servers.md lists the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_runs import run_command
from servers import TestServer, start_server
from valkey_vector import (
    AuthenticationError,
    Connection,
    F,
    Index,
    Record,
    WritePolicy,
)
from valkey_vector.operations.privileges import ROLES, Role, commands_of
from valkey_vector.storage.catalog import EngineName

DOCUMENT = Path(__file__).parents[2] / "docs" / "servers.md"
NAME = "articles"
ENGINES = ["native", "search"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> EngineName:
    name: EngineName = request.param
    return name


@pytest.fixture
def server(engine: EngineName) -> Iterator[TestServer]:
    with start_server(search=engine == "search") as server:
        yield server


def documented(role: str, engine: EngineName) -> list[str]:
    """The commands of a row of the table; a role above the reader has those of the roles below, too."""
    roles = ["reader", "application", "administrator"]
    rows = re.findall(
        r"^\| (\w+) \|[^|]*\|([^|]*)\|([^|]*)\|([^|]*)\|$", DOCUMENT.read_text(), re.MULTILINE
    )
    table = {name: cells for name, *cells in rows}
    commands: list[str] = []
    for each in roles[: roles.index(role) + 1]:
        common, native, search = table[each]
        commands += re.findall(r"[A-Z_.]{3,}", common + (native if engine == "native" else search))
    return commands


def user(server: TestServer, role: Role, engine: EngineName) -> str:
    """The URL of a user that the command's line for the role creates."""
    ended = run_command(
        *("acl", NAME, "--role", role, "--user", "app", "--engine", engine),
        *(["--redisearch"] if engine == "search" else []),
    )
    assert ended.returncode == 0, ended.stderr
    server.command(*ended.stdout.strip().replace(">PASSWORD", ">pw").split())
    return server.url.replace("valkey://", "valkey://app:pw@")


def records(first: int = 0, number: int = 10) -> list[Record]:
    return [
        Record(
            id=f"d{n}",
            vector=[1.0, n, 0, 0],
            content=f"red fox {n}",
            metadata={"year": n, "tag": "x"},
        )
        for n in range(first, first + number)
    ]


def create(url: str, engine: EngineName) -> None:
    with Connection.open(url) as connection:
        index = Index.open(NAME, dimension=4, connection=connection, engine=engine, full_text=True)
        index.create()


def read(url: str) -> None:
    with Connection.open(url) as connection:
        index = Index.open(NAME, connection=connection, full_text=True)
        assert index.exists()
        assert len(index.search([1, 0, 0, 0], k=20, filter=F("year") >= 3)) == 7
        assert len(index.search_text("fox", k=20)) == 10
        assert index.count() == 10
        assert index.count(F("tag") == "x") == 10
        assert [record and record.id for record in index.get(["d1", "none"])] == ["d1", None]
        assert len(list(index.select(F("year") < 5))) == 5
        assert index.info().documents == 10


def write(url: str) -> None:
    with Connection.open(url) as connection:
        index = Index.open(NAME, connection=connection, full_text=True)
        index.upsert(records())
        index.upsert(records(0, 3))
        index.upsert(records(20, 1), ttl=100)
        index.upsert(records(20, 1))
        index.upsert(records(20, 1), ttl=100, sliding=True)
        index.upsert(records(20, 2), policy=WritePolicy.SKIP)
        assert index.update_metadata({"year": 1}, {"x": "y"}) == 1
        assert index.delete(["d20", "none"]) == 1
        assert index.delete_by_filter(F("year") == 21) == 1


def administer(url: str, engine: EngineName) -> None:
    create(url, engine)
    write(url)
    with Connection.open(url) as connection:
        index = Index.open(NAME, connection=connection, full_text=True)
        assert index.verify().ok
        assert index.repair(dry_run=False).ok
        assert index.drop() == 10


def test_an_administrator_creates_verifies_and_drops(
    server: TestServer, engine: EngineName
) -> None:
    administer(user(server, "administrator", engine), engine)
    assert server.command("DBSIZE") == 0


def test_an_application_writes_into_an_index_that_exists(
    server: TestServer, engine: EngineName
) -> None:
    create(server.url, engine)
    url = user(server, "application", engine)
    write(url)
    read(url)


def test_a_reader_searches_and_cannot_write(server: TestServer, engine: EngineName) -> None:
    create(server.url, engine)
    write(server.url)
    url = user(server, "reader", engine)
    read(url)
    with Connection.open(url) as connection:
        index = Index.open(NAME, connection=connection)
        refused: list[Callable[[], object]] = [
            lambda: index.upsert(records(30, 1)),
            lambda: index.delete(["d1"]),
            index.drop,
        ]
        for call in refused:
            with pytest.raises(AuthenticationError):
                call()
    read(server.url)


@pytest.mark.parametrize("role", ROLES)
def test_the_documented_commands_are_those_that_are_granted(role: Role, engine: EngineName) -> None:
    commands = documented(role, engine)
    assert commands
    assert len(set(commands)) == len(commands)
    assert sorted(commands) == sorted(commands_of(role, engine))


def test_a_user_does_nothing_outside_its_index(server: TestServer, engine: EngineName) -> None:
    create(server.url, engine)
    server.command("HSET", f"{NAME}-old:1", "field", "value")
    with Connection.open(user(server, "administrator", engine)) as connection:
        refused = [
            ["HGETALL", f"{NAME}-old:1"], ["HSET", "other:1", "f", "v"], ["GET", f"{NAME}:1"], ["FLUSHALL"],
            ["CONFIG", "GET", "*"], ["KEYS", "*"], ["ACL", "LIST"],
        ]  # fmt: skip
        for reply in connection.pipeline(refused):
            assert isinstance(reply, AuthenticationError)
    assert server.command("HGET", f"{NAME}-old:1", "field") == b"value"
