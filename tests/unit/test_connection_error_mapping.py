"""GLIDE's errors become errors of the library: all of them, with the server's text, without secrets."""

from __future__ import annotations

import pickle

import pytest
from glide_shared import exceptions as glide

from valkey_vector.connection.error_mapping import scrubbed, translated
from valkey_vector.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionLostError,
    RequestTimeoutError,
    ServerError,
)

SIGNALLED = "An error was signalled by the server: - "
EXPECTED: dict[type[glide.GlideError], type[Exception]] = {
    glide.GlideError: ServerError,
    glide.ClosingError: ConnectionLostError,
    glide.RequestError: ServerError,
    glide.TimeoutError: RequestTimeoutError,
    glide.ExecAbortError: ServerError,
    glide.ConnectionError: ConnectionLostError,
    glide.ConfigurationError: ConfigurationError,
    glide.CircuitBreakerError: ConnectionLostError,
    glide.RdmaError: ServerError,
    glide.LoggerError: ConfigurationError,
}


def test_every_error_class_of_glide_is_mapped() -> None:
    classes = {
        item
        for item in vars(glide).values()
        if isinstance(item, type) and issubclass(item, BaseException)
    }
    assert classes == set(EXPECTED)


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_class_of_glide_becomes(kind: type[glide.GlideError]) -> None:
    ours = translated(kind("it failed"), "GET")
    assert type(ours) is EXPECTED[kind]
    assert "it failed" in str(ours)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (f"{SIGNALLED}ResponseError: unknown command 'X'", ServerError, "unknown command 'X'"),
        (
            f"{SIGNALLED}ResponseError: An error was signalled by the server: unknown command 'X'",
            ServerError,
            "unknown command 'X'",
        ),
        ("WRONGTYPE: Operation against", ServerError, "WRONGTYPE Operation against"),
        ("Index: with name 'a: b' not found", ServerError, "Index with name 'a: b' not found"),
        ("nope:: no such index", ServerError, "nope: no such index"),
        (f"{SIGNALLED}NoScriptError: No matching", ServerError, "NOSCRIPT No matching"),
        (f"{SIGNALLED}ReadOnly: You can't", ServerError, "READONLY You can't"),
        (f"{SIGNALLED}CrossSlot: Keys", ServerError, "CROSSSLOT Keys"),
        (f"{SIGNALLED}PermissionDenied: User u", AuthenticationError, "NOPERM User u"),
        (
            "NOAUTH: Authentication required.",
            AuthenticationError,
            "NOAUTH Authentication required.",
        ),
        (f"{SIGNALLED}BusyLoadingError: loading", ConnectionLostError, "LOADING loading"),
        (f"{SIGNALLED}ClusterDown: down", ConnectionLostError, "CLUSTERDOWN down"),
        (f"{SIGNALLED}Moved: 17 h:1; ExtensionError", ServerError, "MOVED 17 h:1"),
        (f"{SIGNALLED}Ask: 17 h:1; ExtensionError", ServerError, "ASK 17 h:1"),
        ("Connection in recovery- ClientError", ConnectionLostError, None),
        ("BrokenPipe: Cluster: Failed to receive", ConnectionLostError, None),
        ("Standalone connect failed - IoError: refused", ConnectionLostError, None),
        (
            "ConnectionNotFoundForRoute: Requested connection not found h:1",
            ConnectionLostError,
            None,
        ),
        ("AllConnectionsUnavailable: No connection found", ConnectionLostError, None),
        (
            "Standalone connect failed - IoError: Received error for address `h:1`: NOAUTH: no",
            AuthenticationError,
            None,
        ),
        ("Something new - Whatever", ServerError, "Something new - Whatever"),
    ],
)
def test_the_servers_words_are_restored_and_classified(
    text: str, kind: type[ServerError], message: str | None
) -> None:
    ours = translated(glide.RequestError(text), "CMD")
    assert type(ours) is kind
    assert ours.message == (message or text)
    assert ours.command == "CMD"


@pytest.mark.parametrize("quoted", ["NOAUTH", "WRONGPASS", "IoError", "BrokenPipe", "LOADING"])
def test_what_a_server_error_quotes_does_not_decide_its_kind(quoted: str) -> None:
    for text in (f"{SIGNALLED}ResponseError: unknown '{quoted}'", f"WRONGTYPE: '{quoted}'"):
        assert type(translated(glide.RequestError(text))) is ServerError


@pytest.mark.parametrize(
    "text",
    [
        "Received error for address `h:1`: NOAUTH: Authentication required.\n",
        "Received error for address `h:1`: Password authentication failed- AuthenticationFailed",
        f"Failed to create initial connections - IoError: {SIGNALLED}PermissionDenied: User u",
    ],
)
def test_a_connection_that_was_refused_is_an_authentication_error(text: str) -> None:
    assert type(translated(glide.ClosingError(text))) is AuthenticationError


def test_a_refused_database_is_a_configuration_error() -> None:
    error = glide.ClosingError("Redis server refused to switch database- ResponseError")
    assert type(translated(error)) is ConfigurationError


@pytest.mark.parametrize(
    ("text", "secret", "expected"),
    [
        ("bad hunter2secret!", "hunter2secret", "bad ***!"),
        ("xhunter2secrety", "hunter2secret", "x***y"),
        ("at p%40ss%2Fword", "p@ss/word", "at ***"),
        ("a cat said a", "a", "*** cat said ***"),
        ("nothing", "hunter2secret", "nothing"),
        (r"a.b+c\d", r"a.b+c\d", "***"),
    ],
)
def test_secrets_are_hidden(text: str, secret: str, expected: str) -> None:
    assert scrubbed(text, [secret]) == expected


def test_translated_errors_survive_pickling() -> None:
    ours = translated(glide.RequestError("WRONGTYPE: no"), "GET")
    again = pickle.loads(pickle.dumps(ours))  # noqa: S301 (made in this line)
    assert (type(again), str(again)) == (ServerError, "GET: WRONGTYPE no")
