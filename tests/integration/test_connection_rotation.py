"""Credentials that change while connections are open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from servers import TestServer, start_server
from valkey_vector.cache import ExactCache
from valkey_vector.connection import Connection
from valkey_vector.errors import AuthenticationError, ValkeyVectorError

PROMPT_SECONDS = 3.0


@pytest.fixture(params=[False, True], ids=["standalone", "cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    with start_server(cluster=request.param) as server:
        server.command("ACL", "SETUSER", "app", "on", ">old-secret-1", "~*", "&*", "+@all")
        yield server


def url(server: TestServer, password: str = "old-secret-1") -> str:  # noqa: S107 - of a test server
    return f"valkey://app:{password}@{server.host}:{server.port}"


def cut_off(server: TestServer) -> None:
    """Close the user's connections, and wait until their clients know.

    A command that overtakes the news of the loss on its way into GLIDE waits there for its timeout.
    """
    server.command("CLIENT", "KILL", "USER", "app")
    time.sleep(0.1)


def is_refused_promptly(call: Callable[[], Any]) -> None:
    began = time.monotonic()
    with pytest.raises(AuthenticationError) as caught:
        call()
    assert time.monotonic() - began < PROMPT_SECONDS
    assert "secret" not in f"{caught.value}{caught.value!r}"


def test_an_open_connection_keeps_working_when_the_password_changes(server: TestServer) -> None:
    with Connection.open(url(server)) as connection:
        connection.execute("SET", "k", "v")
        server.command("ACL", "SETUSER", "app", "resetpass", ">new-secret-2")
        # That another client of the process comes and goes raises the question whether ours is there.
        with Connection.open(url(server, "new-secret-2")) as other:
            other.execute("PING")
        for _ in range(3):
            assert connection.execute("GET", "k") == b"v"
        is_refused_promptly(lambda: connection.execute("GET", "k", lane=1))
        assert connection.execute("GET", "k") == b"v"


def test_a_connection_that_is_cut_off_after_a_rotation_is_refused_promptly_until_the_password_is_back(
    server: TestServer,
) -> None:
    with Connection.open(url(server)) as connection:
        connection.execute("SET", "k", "v")
        server.command("ACL", "SETUSER", "app", "resetpass", ">new-secret-2")
        cut_off(server)
        for _ in range(3):
            is_refused_promptly(lambda: connection.execute("GET", "k"))
            is_refused_promptly(
                lambda: connection.pipeline([["GET", "k"], ["GET", "l"]], retry=True)
            )
        server.command("ACL", "SETUSER", "app", ">old-secret-1")
        deadline = time.monotonic() + 10
        while True:
            try:
                assert connection.execute("GET", "k") == b"v"
            except ValkeyVectorError:
                assert time.monotonic() < deadline
            else:
                return


def test_a_new_connection_is_refused_although_an_older_one_with_its_settings_keeps_working(
    server: TestServer,
) -> None:
    with Connection.open(url(server)) as connection, Connection.open(url(server)) as unused:
        connection.execute("SET", "k", "v")
        server.command("ACL", "SETUSER", "app", "resetpass", ">new-secret-2")
        is_refused_promptly(lambda: unused.execute("GET", "k"))
        assert connection.execute("GET", "k") == b"v"


def test_a_newly_required_password_is_missing_in_new_connections(
    server: TestServer,
) -> None:
    with Connection.open(server.url) as connection, Connection.open(server.url) as unused:
        connection.execute("SET", "k", "v")
        server.command("CONFIG", "SET", "requirepass", "secret")
        is_refused_promptly(lambda: unused.execute("GET", "k"))
        assert connection.execute("GET", "k") == b"v"


def test_a_cache_with_a_password_that_was_rotated_answers_promptly(server: TestServer) -> None:
    with ExactCache("answers", url=url(server)) as cache:
        cache.store("q", "a")
        server.command("ACL", "SETUSER", "app", "resetpass", ">new-secret-2")
        cut_off(server)
        began = time.monotonic()
        assert cache.lookup("q") is None
        cache.store("q", "b")
        assert time.monotonic() - began < 2 * PROMPT_SECONDS


def test_a_user_with_minimal_rights_is_not_treated_as_refused(server: TestServer) -> None:
    server.command("ACL", "SETUSER", "app", "-@all", "+get", "+hello", "+info")
    with Connection.open(f"{url(server)}?cluster=false") as connection:
        assert connection.execute("GET", "k") is None
        with Connection.open(f"{url(server)}?cluster=false") as other:
            assert other.execute("GET", "k") is None
