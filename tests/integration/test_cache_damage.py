"""Entries and counts of a cache that were damaged, or written by something else, cost no more than themselves."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from valkey_vector import InvalidInputError, ServerError, UnreadableRecordError
from valkey_vector.cache import ExactCache, SemanticCache

Open = Callable[..., SemanticCache]

HEADER = struct.Struct(">BcQdq")
DAMAGE: list[tuple[str, bytes]] = [
    ("content", b"\xff"),
    ("metadata", b"{"),
    ("metadata", b"[]"),
    ("metadata", b"{}"),
    ("metadata", b'{"scope":1,"stored_at":1}'),
    ("metadata", b'{"scope":{},"stored_at":"soon"}'),
    ("metadata", b'{"scope":{},"stored_at":1e400}'),
    ("payload", b""),
    ("payload", b"x"),
    ("payload", HEADER.pack(1, b"j", 0, 1.0, 1) + b"{"),
    ("payload", HEADER.pack(9, b"j", 0, 1.0, 1) + b"{}"),
]


def damage(cache: SemanticCache, prompt: str, field: str, value: bytes) -> None:
    id = cache.store(prompt, "to be damaged")
    cache._index.connection.execute("HSET", f"{cache.name}:{id}", field, value)


@pytest.mark.parametrize(("field", "value"), DAMAGE)
def test_a_damaged_entry_is_a_miss_and_hides_no_other(
    open_cache: Open, field: str, value: bytes
) -> None:
    cache = open_cache(on_error="miss")
    cache.store("good @60", "good")
    damage(cache, "bad @0", field, value)
    assert cache.lookup("bad @0") is None
    assert cache.lookup("nearly @1") is None
    good = cache.lookup("good @60")
    assert good is not None
    assert good.answer == "good"
    found = cache.lookup_many(["bad @0", "good @60", "alike @61", "nearly @1"])
    assert [hit and hit.answer for hit in found] == [None, "good", "good", None]
    assert cache.stats().failures >= 2
    assert cache.get_or_compute("bad @0", lambda _: "made") == "made"
    healed = cache.lookup("bad @0")
    assert healed is not None
    assert healed.answer == "made"


@pytest.mark.parametrize(("field", "value"), [DAMAGE[0], DAMAGE[1], DAMAGE[8]])
async def test_a_damaged_entry_is_an_error_if_errors_are_to_be_raised(
    open_cache: Open, field: str, value: bytes
) -> None:
    cache = open_cache()
    damage(cache, "bad @0", field, value)
    with pytest.raises(UnreadableRecordError):
        cache.lookup("bad @0")
    with pytest.raises(UnreadableRecordError):
        await cache.alookup("nearly @1")
    cache.store("good @90", "good")
    assert cache.lookup("alike @91") is not None


@pytest.mark.parametrize("seconds", [1e308, 1e10, -1.0, float("inf"), float("nan"), 10**400, "1"])
def test_times_that_would_spoil_the_counts_are_refused(open_cache: Open, seconds: Any) -> None:
    cache = open_cache()
    with pytest.raises(InvalidInputError, match="seconds"):
        cache.store("prompt @0", "answer", seconds=seconds)
    cache.store("prompt @0", "answer", seconds=1e9)
    for _ in range(3):
        assert cache.lookup("prompt @0") is not None
    assert cache.stats().saved_seconds == 3e9


def test_times_that_something_else_wrote_do_not_keep_answers_from_being_stored(
    open_cache: Open,
) -> None:
    cache = open_cache()
    for took, cost in ((1e308, 5), (float("inf"), -7), (-1e308, -1)):
        damage(cache, "prompt @0", "payload", HEADER.pack(1, b"j", 2**63, took, cost) + b'"answer"')
        for _ in range(3):
            hit = cache.lookup("prompt @0")
            assert hit is not None
            assert hit.answer == "answer"
            assert hit.seconds is None
            assert hit.tokens is None or hit.tokens >= 0
        assert cache.store("new @90", "stored") is not None
    assert cache.stats().saved_seconds == 0
    assert cache.stats().exact_hits == 9


@pytest.mark.parametrize("value", [b"many", b"1e308", b"inf", b""])
def test_a_damaged_count_restarts(open_cache: Open, value: bytes) -> None:
    cache = open_cache(max_entries=2)
    cache.store("prompt @0", "answer", seconds=2.0)
    connection, key = cache._index.connection, f"{{{cache.name}}}:stats"
    for name in ("saved_seconds", "exact_hits", "stores"):
        connection.execute("HSET", key, name, value)
    before = cache.stats()
    assert before.saved_seconds in (0.0, 1e308)
    for _ in range(2):
        assert cache.lookup("prompt @0") is not None
    assert cache.store("new @90", 1) is not None
    assert cache.store("newer @120", 1) is not None
    assert cache.stats().saved_seconds in (4.0, 1e308)
    assert cache.count() == 2


def test_damaged_entries_of_an_exact_cache_are_misses(server_url: str, index_name: str) -> None:
    for field, value in (("answer", b"x"), ("stored", b"soon"), ("sliding", b"x")):
        with ExactCache(index_name, url=server_url) as cache:
            cache.store("prompt", "answer")
            key = cache._key("prompt", {})
            cache.connection.execute("HSET", key, field, value)
            assert cache.lookup("prompt") is None
            assert cache.failures == 1
            cache.store("prompt", "again")
            assert cache.lookup("prompt") is not None
    with ExactCache(index_name, url=server_url, on_error="raise") as cache:
        cache.connection.execute("SET", cache._key("text", {}), "x")
        with pytest.raises(ServerError):
            cache.lookup("text")
