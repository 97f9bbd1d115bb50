"""The private server behind ``embedded://``, used by a connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from valkey_vector.connection import Connection, SearchModule


def test_without_any_url_there_is_a_private_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VALKEY_URL", raising=False)
    with Connection.open() as one, Connection.open("embedded://") as other:
        one.execute("SET", "private", "v")
        assert other.execute("GET", "private") == b"v"
        assert one.capabilities.module is SearchModule.NONE
        assert repr(one) == "Connection('embedded://')"
        one.execute("DEL", "private")


def test_the_data_of_a_directory_outlive_the_connection(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/data"
    with Connection.open(url) as connection:
        connection.execute("SET", "kept", "v")
    with Connection.open(url) as connection:
        assert connection.execute("GET", "kept") == b"v"


def test_settings_apply_to_the_embedded_server_too(tmp_path: Path) -> None:
    with Connection.open(f"embedded://{tmp_path}/d?client_name=me&db=1") as connection:
        info = connection.execute("CLIENT", "INFO")
    assert b" name=me " in info
    assert b" db=1 " in info
