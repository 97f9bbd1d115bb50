"""Passwords and ACL users; no secret is ever shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from servers import TestServer, start_server
from valkey_vector.connection import Connection, SearchModule
from valkey_vector.errors import AuthenticationError

PASSWORD = "p@ss:w/ö?#rd %41"


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with start_server(search=True) as server:
        server.command("ACL", "SETUSER", "all", "on", f">{PASSWORD}", "~*", "+@all")
        server.command("ACL", "SETUSER", "open", "on", "nopass", "~*", "+@all")
        # Neither INFO, MODULE LIST nor COMMAND INFO.
        server.command("ACL", "SETUSER", "poor", "on", f">{PASSWORD}", "~*", "+@read", "+@write")
        yield server


def url(server: TestServer, credentials: str, rest: str = "") -> str:
    return f"valkey://{credentials}@{server.host}:{server.port}{rest}"


def test_a_user_and_a_password_with_special_characters_work(server: TestServer) -> None:
    with Connection.open(url(server, f"all:{quote(PASSWORD, safe='')}")) as connection:
        assert connection.execute("ACL", "WHOAMI") == b"all"
        assert connection.execute("ACL", "WHOAMI", lane=1) == b"all"


def test_a_password_without_a_user_is_the_default_users() -> None:
    with start_server() as server:
        server.command("CONFIG", "SET", "requirepass", PASSWORD)
        with Connection.open(url(server, f":{quote(PASSWORD, safe='')}")) as connection:
            assert connection.execute("ACL", "WHOAMI") == b"default"
        with (
            Connection.open(server.url) as nobody,
            pytest.raises(AuthenticationError, match="NOAUTH"),
        ):
            nobody.execute("PING")


def test_a_user_without_a_password_is_not_the_default_user(server: TestServer) -> None:
    with Connection.open(url(server, "open")) as connection:
        assert connection.execute("ACL", "WHOAMI") == b"open"
    with Connection.open(url(server, "all")) as connection, pytest.raises(AuthenticationError):
        connection.execute("PING")


@pytest.mark.parametrize("cluster", ["", "?cluster=true", "?cluster=false"])
def test_a_wrong_password_is_an_authentication_error_without_the_password(
    server: TestServer,
    cluster: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with Connection.open(url(server, "all:hunter2secret", cluster)) as connection:
        with pytest.raises(AuthenticationError) as caught:
            connection.execute("PING")
        seen = [repr(connection), str(caught.value), repr(caught.value), caplog.text]
        chain: BaseException | None = caught.value
        while chain is not None:
            seen += [str(chain), repr(chain)]
            chain = chain.__cause__ or chain.__context__
    assert not any("hunter2secret" in text for text in (*seen, *capfd.readouterr()))


def test_a_user_without_rights_still_detects_the_search_module(server: TestServer) -> None:
    for cluster in ("", "?cluster=false"):
        with Connection.open(
            url(server, f"poor:{quote(PASSWORD, safe='')}", cluster)
        ) as connection:
            assert connection.capabilities.module is SearchModule.REDISEARCH
            assert connection.capabilities.module_version >= (2, 10, 0)
            assert connection.execute("SET", "k", "v") == "OK"


def test_a_user_without_rights_causes_no_noise(
    server: TestServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with Connection.open(url(server, f"poor:{quote(PASSWORD, safe='')}")) as connection:
        assert connection.capabilities.has_search
    assert capfd.readouterr() == ("", "")


def test_a_command_that_the_user_may_not_run_is_an_authentication_error(
    server: TestServer,
) -> None:
    with Connection.open(url(server, f"poor:{quote(PASSWORD, safe='')}")) as connection:
        with pytest.raises(AuthenticationError, match="NOPERM"):
            connection.execute("CONFIG", "GET", "maxmemory")
        reply = connection.pipeline([["CONFIG", "GET", "maxmemory"]])[0]
        assert isinstance(reply, AuthenticationError)


def test_a_password_that_the_server_repeats_is_hidden(server: TestServer) -> None:
    with Connection.open(url(server, "open:hunter2secret")) as connection:
        script = "return redis.error_reply('FAILED for hunter2secret')"
        reply = connection.pipeline([["EVAL", script, "0"]])[0]
    assert reply.message == "FAILED for ***"
