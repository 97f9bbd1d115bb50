"""Connection settings: refused when wrong, safe to print, picklable."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from valkey_vector.connection import (
    Address,
    Connection,
    ConnectionSettings,
    IamSettings,
    TlsSettings,
)
from valkey_vector.errors import ConfigurationError

SECRET = "hunter2secret"


def test_password_and_tls_key_never_appear_in_repr_or_location() -> None:
    key = f"-----BEGIN PRIVATE KEY-----{SECRET}".encode()
    settings = ConnectionSettings(
        username="u", password=SECRET, tls=TlsSettings(certificate=b"cert", key=key)
    )
    for text in (repr(settings), str(settings), settings.location, repr(Connection(settings))):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("settings", "location"),
    [
        (ConnectionSettings(username="u", password="p"), "valkey://localhost:6379"),
        (
            ConnectionSettings(addresses=(Address("::1"), Address("b", 2)), database=3),
            "valkey://[::1]:6379,b:2/3",
        ),
        (ConnectionSettings(tls=TlsSettings()), "valkeys://localhost:6379"),
        (ConnectionSettings(unix_socket="/s", database=1), "valkey+unix:///s?db=1"),
        (ConnectionSettings(embedded=True), "embedded://"),
        (ConnectionSettings(embedded=True, embedded_directory="/d"), "embedded:///d"),
    ],
)
def test_location_contains_the_address_without_the_user(
    settings: ConnectionSettings, location: str
) -> None:
    assert settings.location == location


def test_settings_survive_pickling_and_copying() -> None:
    settings = ConnectionSettings(
        addresses=(Address("a", 1), Address("b", 2)),
        username="u",
        password=SECRET,
        tls=TlsSettings(ca=Path("/ca.pem")),
    )
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 (made in this line)
    assert copy.copy(settings) == copy.deepcopy(settings) == settings


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"addresses": ()}, "addresses"),
        ({"addresses": [Address()]}, "addresses"),
        ({"addresses": (("h", 1),)}, "addresses"),
        ({"addresses": (Address("", 1),)}, "addresses"),
        ({"addresses": (Address("h", 0),)}, "port"),
        ({"addresses": (Address("h", True),)}, "port"),
        ({"unix_socket": "relative"}, "unix_socket"),
        ({"unix_socket": "/s", "tls": TlsSettings()}, "TLS"),
        ({"unix_socket": "/s", "embedded": True}, "not both"),
        ({"embedded_directory": "/d"}, "embedded=True"),
        ({"embedded": True, "embedded_directory": "d"}, "embedded_directory"),
        ({"embedded": 1}, "embedded"),
        ({"username": ""}, "username"),
        ({"password": ""}, "password"),
        ({"password": 12345}, "password"),
        ({"client_name": "a\0b"}, "client_name"),
        ({"database": -1}, "database"),
        ({"database": 1.0}, "database"),
        ({"database": True}, "database"),
        ({"cluster": "yes"}, "cluster"),
        ({"tls": True}, "tls"),
        ({"iam": "x", "username": "u"}, "iam"),
        ({"read_from": "replica"}, "read_from"),
        ({"read_from": None}, "read_from"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"request_timeout": "5"}, "request_timeout"),
        ({"connection_timeout": float("inf")}, "connection_timeout"),
        ({"retry_delay": True}, "retry_delay"),
        ({"retries": -1}, "retries"),
        ({"write_connections": 65}, "write_connections"),
        ({"max_in_flight": 1000}, "max_in_flight"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        ConnectionSettings(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"ca": 5}, {"ca": ""}, {"certificate": "/c"}, {"key": b"k"}, {"ca": b""}]
)
def test_wrong_tls_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"TLS|tls"):
        TlsSettings(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"cluster_name": ""}, {"region": ""}, {"service": "s3"}, {"refresh_interval": 0}],
)
def test_wrong_iam_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"IAM|iam"):
        IamSettings(**{"cluster_name": "c", "region": "r", **wrong})


def test_a_wrong_password_type_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ConnectionSettings(password=12345)  # type: ignore[arg-type]
    assert "12345" not in str(caught.value)


def test_making_a_connection_touches_nothing() -> None:
    unreachable = "valkey://host.invalid:1?connection_timeout=1"
    with Connection.open(unreachable) as connection:
        assert connection.settings.location == "valkey://host.invalid:1"


@pytest.mark.parametrize(
    ("variable", "location"),
    [(None, "embedded://"), ("", "embedded://"), ("valkey://h:7/1", "valkey://h:7/1")],
)
def test_without_a_url_the_environment_decides(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, location: str
) -> None:
    if variable is None:
        monkeypatch.delenv("VALKEY_URL", raising=False)
    else:
        monkeypatch.setenv("VALKEY_URL", variable)
    assert Connection.open().settings.location == location
    assert Connection.open("valkey://other").settings.location == "valkey://other:6379"


def test_an_empty_url_is_not_the_default() -> None:
    with pytest.raises(ConfigurationError, match="begin with"):
        Connection.open("")
