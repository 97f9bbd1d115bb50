"""The time of a read also bounds a server that hangs, and a reply that the server cut off at its TIMEOUT."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from servers import TestServer, start_server
from valkey_vector import Connection, F, FilterQuery, Index, Record, RequestTimeoutError
from valkey_vector.connection import SearchModule
from valkey_vector.connection.pipelines import Request, send

HERE = [1.0, 0.0]


@pytest.fixture(params=["native", "search"])
def server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    with start_server(search=request.param == "search") as server:
        yield server


@contextmanager
def hung(server: TestServer) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_read_of_a_server_that_hangs_ends_in_time(server: TestServer) -> None:
    with Connection.open(server.url) as connection:
        index = Index.open("timed", dimension=2, connection=connection, full_text=True)
        index.upsert([Record(id=f"{n}", content="fox", vector=[1, n]) for n in range(9)])
        assert len(index.search(HERE, k=3)) == 3
        with hung(server):
            for read in (
                lambda: index.search(HERE, k=3, timeout=0.4),
                lambda: index.search_text("fox", timeout=0.4),
                lambda: index.count(F("n") > 1, timeout=0.4),
                lambda: list(index.iterate(FilterQuery(timeout=0.4))),
                lambda: asyncio.run(index.asearch(HERE, k=3, timeout=0.4)),
            ):
                begun = time.monotonic()
                with pytest.raises(RequestTimeoutError, match=r"its timeout of 0\.4 seconds"):
                    read()
                assert time.monotonic() - begun < 2.0
        assert len(index.search(HERE, k=3)) == 3


def test_a_request_that_ends_before_the_time_of_its_read_is_named(server: TestServer) -> None:
    with Connection.open(server.url, request_timeout=0.5) as connection:
        index = Index.open("timed", dimension=2, connection=connection)
        index.upsert([Record(id="a", vector=HERE)])
        assert index.search(HERE, k=1)
        message = (
            r"its timeout of 20\.0 seconds .*a longer request_timeout=, which limits each request"
        )
        with hung(server), pytest.raises(RequestTimeoutError, match=message):
            index.search(HERE, k=1, timeout=20.0)


def test_a_reply_that_the_server_may_have_cut_off_is_not_returned(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Connection.open(server.url) as connection:
        if connection.capabilities.module is not SearchModule.REDISEARCH:
            return
        index = Index.open("cut", dimension=2, connection=connection)
        index.upsert([Record(id="a", vector=HERE)])
        assert index.search(HERE, timeout=2.0)

        def late(connection: Connection, requests: Sequence[Request], **options: Any) -> Any:
            time.sleep(1.65)  # longer than TIMEOUT, shorter than the timeout of the read
            return send(connection, requests, **options)

        monkeypatch.setattr("valkey_vector.engines.search.reading.send", late)
        with pytest.raises(RequestTimeoutError, match="may be cut off"):
            index.search(HERE, timeout=2.0)
