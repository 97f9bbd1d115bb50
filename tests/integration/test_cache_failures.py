"""The server or the embedder fails: the application's calls go on, one warning is logged, failures are counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from caches import DIMENSION, Degrees
from servers import TestServer, free_port, start_server
from valkey_vector import ConfigurationError, ConnectionLostError, InvalidInputError, ServerError
from valkey_vector.cache import SemanticCache
from valkey_vector.records.record import Vector

Open = Callable[..., SemanticCache]


@pytest.fixture(params=["native", "search"])
def server(request: pytest.FixtureRequest) -> Iterator[TestServer]:
    with start_server(search=request.param == "search") as server:
        yield server


@pytest.fixture
def open_there(server: TestServer) -> Iterator[Open]:
    caches: list[SemanticCache] = []

    def opened(**settings: Any) -> SemanticCache:
        asked = {"threshold": 0.9, "dimension": DIMENSION, "report_every": 3600.0, **settings}
        url = f"{server.url}?request_timeout=5&retries=0"
        caches.append(SemanticCache(asked.pop("embed", Degrees()), url=url, **asked))
        return caches[-1]

    yield opened
    for cache in caches:
        cache.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "valkey_vector.cache" and record.levelno == logging.WARNING
    ]


def test_the_server_dies_between_lookup_and_store(
    server: TestServer, open_there: Open, caplog: pytest.LogCaptureFixture
) -> None:
    cache = open_there()
    cache.store("warm @90", 1)

    def compute(prompt: str) -> str:
        server.kill()
        return f"answer to {prompt}"

    assert cache.get_or_compute("prompt @0", compute) == "answer to prompt @0"
    assert len(warnings(caplog)) == 1


async def test_the_server_dies_between_lookup_and_store_of_a_task(
    server: TestServer, open_there: Open
) -> None:
    cache = open_there()
    await cache.astore("warm @90", 1)

    async def compute(prompt: str) -> str:
        server.kill()
        return f"answer to {prompt}"

    assert await cache.aget_or_compute("prompt @0", compute) == "answer to prompt @0"


def test_without_a_server_every_call_returns_and_one_warning_is_logged(
    server: TestServer, open_there: Open, caplog: pytest.LogCaptureFixture
) -> None:
    cache = open_there()
    cache.store("prompt @0", "stored")
    assert cache.lookup("prompt @0") is not None
    server.kill()
    for number in range(3):
        made = cache.get_or_compute(f"prompt {number} @0", lambda prompt: prompt.upper())
        assert made == f"PROMPT {number} @0"
    assert cache.lookup("prompt @0") is None
    assert cache.lookup_many(["prompt @0", "other"]) == [None, None]
    assert len(warnings(caplog)) == 1
    assert cache.store("prompt @0", "again") is None
    for call in (cache.stats, cache.count, cache.clear, lambda: cache.invalidate(id="x")):
        with pytest.raises(ServerError):
            call()

    server.restart()
    assert cache.get_or_compute("prompt @0", lambda prompt: prompt.upper()) == "PROMPT @0"
    assert cache.lookup("prompt @0") is not None
    stats = cache.stats()
    assert stats.failures == 9  # 3 lookups, 3 stores, 2 lookups, 1 store
    assert stats.misses == 7
    assert len(warnings(caplog)) == 1
    server.kill()
    assert cache.lookup("prompt @0") is None
    assert len(warnings(caplog)) == 2


def test_a_server_that_was_never_there(caplog: pytest.LogCaptureFixture) -> None:
    with SemanticCache(Degrees(), url=f"valkey://127.0.0.1:{free_port()}") as cache:
        assert cache.get_or_compute("prompt", lambda prompt: prompt.upper()) == "PROMPT"
        assert cache.lookup("prompt") is None
    assert len(warnings(caplog)) == 1


def test_errors_are_raised_on_request(server: TestServer, open_there: Open) -> None:
    cache = open_there(on_error="raise")
    cache.store("prompt @0", "stored")
    server.kill()
    calls: tuple[Callable[[], Any], ...] = (
        lambda: cache.lookup("prompt @0"),
        lambda: cache.store("prompt @0", 1),
        lambda: cache.get_or_compute("prompt @0", str.upper),
    )
    for call in calls:
        with pytest.raises(ConnectionLostError):
            call()


def test_a_full_server_keeps_no_answer_back(
    server: TestServer, open_there: Open, caplog: pytest.LogCaptureFixture
) -> None:
    cache = open_there()
    cache.store("prompt @0", "stored")
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    server.command("CONFIG", "SET", "maxmemory", "1")
    time.sleep(0.15)
    hit = cache.lookup("prompt @0")  # the server rejects the buffered usage
    assert hit is not None
    for number in range(3):
        assert cache.get_or_compute(f"new {number} @90", str.upper) == f"NEW {number} @90"
    assert 1 <= len(warnings(caplog)) <= 2  # of storing, and of counting
    server.command("CONFIG", "SET", "maxmemory", "0")
    assert cache.get_or_compute("new @90", str.upper) == "NEW @90"
    assert cache.count() == 2
    assert cache.stats().failures >= 1


class Failing:
    """Embedder that fails on request."""

    def __init__(self) -> None:
        self.fails = False
        self.asked = 0

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        self.asked += 1
        if self.fails:
            raise OSError("the embedding service is away")
        return Degrees().embed(texts)


def test_an_embedder_that_fails_keeps_no_answer_back(
    open_there: Open, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Failing()
    cache = open_there(embed=embedder)
    cache.store("prompt @0", "stored")
    embedder.fails = True
    assert cache.lookup("prompt @0") is not None
    assert cache.lookup("near @5") is None
    asked = embedder.asked
    assert cache.get_or_compute("near @6", str.upper) == "NEAR @6"
    assert embedder.asked == asked + 1
    assert cache.store("another @90", 1) is None
    assert len(warnings(caplog)) == 1
    assert "the embedding service is away" in warnings(caplog)[0]
    embedder.fails = False
    assert cache.lookup("near @5") is not None
    assert cache.stats().failures == 3
    strict = open_there(embed=embedder, on_error="raise")
    embedder.fails = True
    with pytest.raises(OSError, match="away"):
        strict.lookup("near @5")


@pytest.mark.parametrize("made", [[float("nan")] * 4, [], None, ["a"] * 4, [[1.0]] * 4], ids=str)
def test_an_embedder_that_returns_no_vector_has_failed(
    open_there: Open, caplog: pytest.LogCaptureFixture, made: Any
) -> None:
    cache = open_there(embed=lambda text: made if "bad" in text else [1.0, 0, 0, 0])
    cache.store("prompt", "stored")
    assert cache.lookup("bad") is None
    assert cache.lookup_many(["prompt", "bad"])[1] is None
    assert cache.store("bad", 1) is None
    assert cache.get_or_compute("bad", str.upper) == "BAD"
    assert len(warnings(caplog)) == 1
    assert cache.stats().failures == 4
    strict = open_there(embed=lambda _: made, on_error="raise")
    with pytest.raises(InvalidInputError, match="the vector of the prompt 'bad'"):
        strict.lookup("bad")


def test_vectors_of_another_length_are_an_error(open_there: Open) -> None:
    open_there().store("prompt", "stored")
    with pytest.raises(InvalidInputError, match="dimensions"):
        open_there(embed=lambda _: [1.0, 0, 0]).lookup("other")


def test_an_answer_too_large_to_be_stored_reaches_the_application(
    open_there: Open, caplog: pytest.LogCaptureFixture
) -> None:
    cache = open_there()
    cache.store("warm @90", 1)
    large = b"x" * (5 * 1024 * 1024)
    assert cache.get_or_compute("prompt @0", lambda _: large) == large
    assert len(warnings(caplog)) == 1
    with pytest.raises(InvalidInputError, match="bytes"):
        cache.store("prompt @0", large)


@pytest.mark.parametrize("answer", [(1,), {"a": {1}}], ids=["tuple", "set"])
def test_an_answer_that_cannot_be_stored_reaches_the_application(
    open_there: Open, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    cache = open_there()
    calls = []

    def compute(prompt: str) -> Any:
        calls.append(prompt)
        time.sleep(0.3)
        return answer

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: cache.get_or_compute("prompt @0", compute), range(8)))
    assert made == [answer] * 8
    assert len(calls) == 8
    assert len(warnings(caplog)) == 1
    assert "encode it first" in warnings(caplog)[0]
    assert cache.count() == 0


def test_an_embedder_that_can_never_work_is_an_error(open_there: Open) -> None:
    async def embed(_: str) -> Vector:
        return [1.0, 0, 0, 0]

    cache = open_there(embed=embed)
    with pytest.raises(ConfigurationError, match="asynchronous only"):
        cache.lookup("prompt")


def test_an_entry_that_something_else_wrote_is_no_answer(open_there: Open) -> None:
    cache = open_there()
    id = cache.store("prompt @0", "stored")
    cache.index.connection.execute("HSET", f"{cache.name}:{id}", "payload", b"\x80\x04pickle")
    assert cache.lookup("prompt @0") is None
    for prompt in ("near @5", "prompt @0"):
        assert cache.get_or_compute(prompt, str.upper) == prompt.upper()
    assert cache.stats().failures >= 1
