"""Servers for the secondary indexes: a plain one, and a cluster of three plain nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import Server
from valkey_vector.connection import Connection


@pytest.fixture(params=["native", "cluster"])
def secondary_url(request: pytest.FixtureRequest) -> str:
    """The URL of a plain server and of a plain cluster; every test that uses it runs on both."""
    if request.param == "cluster":
        url: str = request.getfixturevalue("cluster_url")
        return url
    server: Server = request.getfixturevalue("native_server")
    return server.url


@pytest.fixture
def connection(secondary_url: str) -> Iterator[Connection]:
    with Connection.open(secondary_url) as opened:
        yield opened
