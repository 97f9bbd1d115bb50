"""Errors that the server answers with are raised, and printed nowhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import TestServer, start_server
from valkey_vector.connection import Connection
from valkey_vector.errors import ServerError
from valkey_vector.index.index import Index
from valkey_vector.index.settings import EngineChoice


@pytest.fixture(params=[False, True], ids=["standalone", "cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    with start_server(cluster=request.param) as server:
        yield server


def test_what_the_server_refuses_is_raised_and_not_printed(
    server: TestServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with Connection.open(server.url) as connection:
        connection.execute("SET", "text", "v")
        for command in (
            ["NOSUCH"],
            ["INCR", "text"],
            ["HGETALL", "text"],
            ["EVALSHA", "0" * 40, "0"],
            ["EVAL", "return redis.error_reply('MINE words')", "0"],
        ):
            with pytest.raises(ServerError):
                connection.execute(*command)
            with pytest.raises(ServerError):
                connection.execute(*command, lane=1, retry=True)
    assert capfd.readouterr() == ("", "")


def test_the_words_of_the_server_are_the_same_alone_and_in_a_pipeline(server: TestServer) -> None:
    with Connection.open(server.url) as connection:
        connection.execute("SET", "text", "v")
        for command in (["INCR", "text"], ["HGETALL", "text"], ["EVALSHA", "0" * 40, "0"]):
            with pytest.raises(ServerError) as caught:
                connection.execute(*command)
            (told,) = connection.pipeline([command])
            assert isinstance(told, ServerError)
            assert (told.message, told.command) == (caught.value.message, caught.value.command)


def test_opening_asking_and_dropping_an_index_prints_nothing(
    server_url: str, engine_name: EngineChoice, index_name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with Index.open(index_name, dimension=2, url=server_url, engine=engine_name) as index:
        assert index.search([1, 0], k=1) == []
        assert index.count() == 0
        assert not index.exists()
        index.create()
        index.drop()
        index.drop()
    assert capfd.readouterr() == ("", "")
