"""The exact cache, on a server: the same prompt in the same scope, and nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from round_trips import CommandLog
from servers import TestServer, start_server
from valkey_vector import (
    ConfigurationError,
    Connection,
    ConnectionLostError,
    InvalidInputError,
    ServerError,
)
from valkey_vector.cache.exact import ExactCache

Open = Callable[..., ExactCache]

SCOPES: list[dict[str, Any]] = [
    {}, {"": ""}, {"a": None}, {"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": [1]}, {"a": {"1": 1}},
    {"a": "x", "b": "y"}, {"a": "x\", \"b\": \"y"}, {"ab": "xy"}, {"a": {"b": "y"}}, {"a": ["b", "y"]},
    *({"tenant": name} for name in (
        "user.1", "user_1", "user/1", "user 1", "user:1", "user*", "user.*", "user?", "USER.1", "a", "a*", "a:", "*",
        "", " ", "{a}", "[a]", "\\", "ü", "u\u0308", "\x00", "a\x00", "日本", "'", '"', "|", "@", "-", "=>",
    )),
    *({"model": name} for name in ("gpt", "gpt-1", "gpt*", "gpt:1", "user.1", "user_1", "user/1")),
]  # fmt: skip


@pytest.fixture
def exact(server_url: str, index_name: str) -> Iterator[Open]:
    with Connection.open(server_url) as connection:

        def opened(suffix: str = "", **settings: Any) -> ExactCache:
            asked = {"connection": connection, "on_error": "raise", **settings}
            return ExactCache(index_name + suffix, **asked)

        yield opened


def answers(cache: ExactCache, prompt: str, scope: dict[str, Any] | None = None) -> Any:
    hit = cache.lookup(prompt, scope)
    return None if hit is None else hit.answer


def test_the_same_prompt_in_50_scopes_never_crosses(exact: Open) -> None:
    assert len(SCOPES) == 50
    cache = exact()
    for number, scope in enumerate(SCOPES):
        assert cache.lookup("prompt", scope) is None, scope
        cache.store("prompt", number, scope)
    for number, scope in enumerate(SCOPES):
        assert answers(cache, "prompt", scope) == number
    assert cache.clear({"tenant": "a*"}) == 1
    assert cache.lookup("prompt", {"tenant": "a*"}) is None
    assert answers(cache, "prompt", {"tenant": "a"}) is not None
    assert cache.clear() == 49


def test_caches_of_different_names_never_cross(exact: Open) -> None:
    names = ["", "*", ":", ":1", ".", "_", "/", "ü"]
    for name in names:
        exact(name).store("prompt", name)
    assert [answers(exact(name), "prompt") for name in names] == names
    assert exact("*").clear() == 1
    assert answers(exact(), "prompt") == ""


@pytest.mark.parametrize(
    "answer",
    [b"", bytes(range(256)), None, True, 0, -1.5, "", "ü\x00", [], {"a": [1, {"b": None}]}, 2**70],
    ids=repr,
)
def test_bytes_and_json_are_returned_unchanged(exact: Open, answer: Any) -> None:
    cache = exact()
    assert cache.lookup("prompt") is None
    id = cache.store("prompt", answer, seconds=1.5, tokens=7)
    hit = cache.lookup("prompt")
    assert hit is not None
    assert (hit.answer, type(hit.answer)) == (answer, type(answer))
    assert (hit.id, hit.prompt, hit.exact, hit.similarity) == (id, "prompt", True, 1.0)
    assert (hit.seconds, hit.tokens) == (1.5, 7)
    assert abs((datetime.now(UTC) - hit.stored_at).total_seconds()) < 60


def test_the_same_prompt_and_scope_overwrite(exact: Open) -> None:
    cache = exact(scope={"model": "m"})
    first, second = cache.store("prompt", 1), cache.store("prompt", 2, {"model": "m"})
    assert first == second
    assert answers(cache, "prompt") == 2
    assert cache.clear() == 1


def test_a_lookup_and_a_store_are_one_round_trip_each(exact: Open, commands: CommandLog) -> None:
    cache = exact(ttl=60, sliding=True)
    cache.lookup("prompt")
    commands.clear()
    cache.store("prompt", b"answer")
    assert answers(cache, "prompt") == b"answer"
    assert len(commands.round_trips) == 2
    assert len(commands.names()) == 2


async def test_the_async_versions_do_the_same(exact: Open) -> None:
    cache = exact()
    assert await cache.alookup("prompt") is None
    await cache.astore("prompt", b"answer", {"a": 1})
    hit = await cache.alookup("prompt", {"a": 1})
    assert hit is not None
    assert hit.answer == b"answer"
    assert await cache.adelete("prompt", {"a": 1})
    assert not await cache.adelete("prompt", {"a": 1})
    await cache.astore("prompt", b"answer")
    assert await cache.aclear() == 1


def left(cache: ExactCache) -> int:
    ((key, *_),) = cache._keys.scan(cache.connection)
    return int(cache.connection.execute("PTTL", key))


def test_an_entry_lives_as_long_as_it_shall(exact: Open) -> None:
    cache = exact(ttl=60)
    cache.store("prompt", 1)
    assert 50_000 < left(cache) <= 60_000
    cache.store("prompt", 1, ttl=1000)
    assert 900_000 < left(cache) <= 1_000_000
    exact().store("prompt", 1)
    assert left(cache) == -1
    cache.store("prompt", 1, ttl=0.05)
    time.sleep(0.2)
    assert cache.lookup("prompt") is None


def test_only_a_sliding_cache_prolongs_a_life_and_to_the_entrys_own(exact: Open) -> None:
    for sliding in (True, False):
        cache = exact(str(sliding), ttl=3600, sliding=sliding)
        cache.store("prompt", 1, ttl=600)
        ((key, *_),) = cache._keys.scan(cache.connection)
        cache.connection.execute("PEXPIRE", key, "100000")
        cache.lookup("prompt")
        if sliding:
            assert 500_000 < left(cache) <= 600_000
        else:
            assert left(cache) <= 100_000


def test_many_threads_store_and_look_up_at_once(exact: Open) -> None:
    cache = exact(ttl=60)

    def work(number: int) -> bool:
        scope = {"tenant": number}
        return all(
            cache.store(f"{n}", [number, n], scope) and answers(cache, f"{n}", scope) == [number, n]
            for n in range(10)
        )

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(32)))


def test_clear_touches_only_its_own_keys(exact: Open, index_name: str) -> None:
    cache = exact()
    cache.store("prompt", 1)
    cache.connection.execute("SET", f"_exact:{index_name}x:1", "other")
    assert cache.clear() == 1
    assert cache.connection.execute("GET", f"_exact:{index_name}x:1") == b"other"


def test_an_entry_that_something_else_wrote_is_no_answer(
    exact: Open, caplog: pytest.LogCaptureFixture
) -> None:
    cache, tolerant = exact(), exact(on_error="miss")
    cache.store("prompt", 1)
    ((key, *_),) = cache._keys.scan(cache.connection)
    cache.connection.execute("HSET", key, "answer", "anything")
    with pytest.raises(ServerError):
        cache.lookup("prompt")
    assert tolerant.lookup("prompt") is None
    cache.connection.execute("DEL", key)
    cache.connection.execute("SET", key, "anything")
    assert tolerant.lookup("prompt") is None
    assert tolerant.failures == 2
    tolerant.store("prompt", 2)
    assert answers(cache, "prompt") == 2


@pytest.mark.parametrize("stored", [None, b"yesterday", b"1e300", b"nan"])
def test_an_entry_without_its_time_is_no_answer(exact: Open, stored: bytes | None) -> None:
    cache, tolerant = exact(), exact(on_error="miss")
    cache.store("prompt", 1)
    ((key,),) = cache.connection.scan("*exact*")
    if stored is None:
        cache.connection.execute("HDEL", key, "stored")
    else:
        cache.connection.execute("HSET", key, "stored", stored)
    with pytest.raises(ServerError, match="another program"):
        cache.lookup("prompt")
    assert tolerant.lookup("prompt") is None
    assert tolerant.failures == 1


def test_an_outage_is_a_miss_warned_of_once_and_counted_or_raises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with start_server() as server, Connection.open(server.url, retries=0) as connection:
        tolerant = ExactCache("c", connection=connection)
        strict = ExactCache("c", connection=connection, on_error="raise")
        assert tolerant.store("prompt", 1)
        server.kill()
        with caplog.at_level(logging.WARNING):
            assert tolerant.lookup("prompt") is None
            assert tolerant.store("prompt", 2) is None
            assert tolerant.lookup("prompt") is None
        assert len(caplog.records) == 1
        assert tolerant.failures == 3
        for call in (lambda: strict.lookup("p"), lambda: strict.store("p", 1), tolerant.clear):
            with pytest.raises(ConnectionLostError):
                call()
        server.restart()
        assert tolerant.store("prompt", 3)
        assert answers(strict, "prompt") == 3


def test_it_works_on_a_cluster(cluster: TestServer) -> None:
    with ExactCache("c{", ttl=60, sliding=True, url=cluster.url, on_error="raise") as cache:
        for number in range(100):
            cache.store(f"prompt {number}", number)
        assert [answers(cache, f"prompt {number}") for number in range(100)] == list(range(100))
        assert cache.clear() == 100


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestServer]:
    with start_server(cluster=True) as server:
        yield server


def test_bad_input_is_refused_for_every_on_error(exact: Open, commands: CommandLog) -> None:
    cache = exact(on_error="miss")
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: cache.lookup(1), "prompt"),  # type: ignore[arg-type]
        (lambda: cache.lookup("p", {"a": object()}), "scope"),
        (lambda: cache.lookup("p", {1: 1}), "scope"),  # type: ignore[dict-item]
        (lambda: cache.lookup("p", "scope"), "scope"),  # type: ignore[arg-type]
        (lambda: cache.store("p", object()), "answer"),
        (lambda: cache.store("p", {"a": {1, 2}}), "answer"),
        (lambda: cache.store("p", 1, ttl=0), "ttl"),
    ]
    for call, message in wrong:
        with pytest.raises(InvalidInputError, match=message):
            call()
    assert commands.round_trips == []
    for settings in ({"sliding": True}, {"on_error": "ignore"}):
        with pytest.raises(ConfigurationError):
            exact(**settings)
    with pytest.raises(ConfigurationError, match="namespace"):
        ExactCache("")
