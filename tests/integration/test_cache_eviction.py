"""A cache stays within its size: the evicted entries, the cost, and concurrency."""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import pytest

from round_trips import CommandLog
from valkey_vector.cache import SemanticCache

OpenCache = Callable[..., SemanticCache]


def prompts(cache: SemanticCache) -> set[str]:
    return {record.content for record in cache.index.select()}


def accounted(cache: SemanticCache) -> int:
    cache.stats()
    count: int = cache.index.connection.execute("ZCARD", f"{{{cache.name}}}:uses")
    return count


def test_the_least_recently_used_entries_are_evicted(open_cache: OpenCache) -> None:
    cache = open_cache(max_entries=3, eviction="lru")
    for name in "abc":
        cache.store(name, name)
    assert cache.lookup("a") is not None
    cache.store("d", "d")
    assert prompts(cache) == {"a", "c", "d"}
    cache.store("c", "again")
    cache.store("e", "e")
    assert prompts(cache) == {"c", "d", "e"}
    assert cache.stats().evictions == 2
    assert accounted(cache) == 3


def test_a_semantic_hit_is_a_use(open_cache: OpenCache) -> None:
    cache = open_cache(max_entries=3)
    for degrees in (0, 90, 180):
        cache.store(f"stored @{degrees}", degrees)
    assert cache.lookup("near @3") is not None
    cache.store("another @270", 270)
    assert prompts(cache) == {"stored @0", "stored @180", "another @270"}


def test_the_least_frequently_used_entries_are_evicted(open_cache: OpenCache) -> None:
    cache = open_cache(max_entries=3, eviction="lfu")
    for name in "abc":
        cache.store(name, name)
    for name in "aaabbc":
        cache.lookup(name)
    cache.store("d", "d")
    assert prompts(cache) == {"a", "b", "d"}


def test_what_was_used_often_long_ago_goes_in_the_end(open_cache: OpenCache) -> None:
    cache = open_cache(max_entries=3, eviction="lfu")
    cache.store("old", 1)
    for _ in range(5):
        cache.lookup("old")
    for number in range(40):
        cache.store(f"new {number}", number)
        cache.lookup(f"new {number}")
    assert "old" not in prompts(cache)
    assert len(prompts(cache)) == 3


def test_any_order_of_calls_leaves_what_a_model_of_lru_has(open_cache: OpenCache) -> None:
    cache = open_cache(
        max_entries=5, threshold=1.0, embed=lambda text: [1, crc32(text.encode()) % 9973, 1, 0]
    )
    model: OrderedDict[str, None] = OrderedDict()
    choose = random.Random(7)
    for _ in range(150):
        name = f"p{choose.randrange(12)}"
        match choose.choice(["store", "store", "lookup", "invalidate"]):
            case "store":
                cache.store(name, name)
                model[name] = None
                model.move_to_end(name)
                if len(model) > 5:
                    model.popitem(last=False)
            case "lookup":
                found = cache.lookup_many([name])[0]
                if found is not None and found.exact:
                    assert name in model
                    model.move_to_end(name)
                elif found is not None:
                    model.move_to_end(found.prompt)
            case "invalidate":
                cache.invalidate(prompt=name)
                model.pop(name, None)
    assert prompts(cache) == set(model)
    assert accounted(cache) == len(model)


def test_many_writers_at_once_keep_to_the_size(open_cache: OpenCache) -> None:
    caches = [open_cache(max_entries=20) for _ in range(4)]

    def fill(number: int) -> None:
        caches[number % 4].store(f"prompt {number} @{number % 360}", number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(fill, range(300)))
    for cache in caches:
        cache.stats()
    caches[0].store("last", 1)
    caches[0].store("last but one", 1)
    assert caches[0].count() <= 20
    assert accounted(caches[0]) <= 20
    assert sum(cache.lookup("last") is not None for cache in caches) == 4


def test_expired_entries_take_no_room(open_cache: OpenCache) -> None:
    cache = open_cache(max_entries=3)
    cache.store("kept", 1)
    for name in "ab":
        cache.store(name, name, ttl=0.1)
    time.sleep(0.2)
    for name in "cd":
        cache.store(name, name)
    assert prompts(cache) == {"kept", "c", "d"}
    assert cache.stats().evictions == 0


def test_entries_with_an_extended_ttl_are_not_treated_as_expired(open_cache: OpenCache) -> None:
    cache = open_cache(max_entries=3, ttl=60, sliding=True)
    id = cache.store("kept", 1)
    cache.index.connection.execute("ZADD", f"{{{cache.name}}}:ends", "1", str(id))  # long ago
    assert cache.lookup("kept") is not None
    for name in "ab":
        cache.store(name, name)
    assert accounted(cache) == 3


def test_a_smaller_size_than_before_is_reached(open_cache: OpenCache) -> None:
    cache = open_cache(max_entries=50)
    for number in range(50):
        cache.store(f"prompt {number}", number)
    smaller = open_cache(max_entries=5)
    smaller.store("prompt 0", 0)
    smaller.store("new", 1)
    assert len(prompts(smaller)) == 5


def test_a_write_costs_the_same_at_any_size(open_cache: OpenCache, commands: CommandLog) -> None:
    cache = open_cache(max_entries=200)
    costs = []
    for number in range(400):
        commands.clear()
        cache.store(f"prompt {number}", number)
        trips = commands.round_trips
        costs.append((len(trips), sum(len(trip) for trip in trips)))
    storing, removing = len(set(costs[2:200])), len(set(costs[201:]))
    assert (storing, removing) == (1, 1)
    if cache.index.info().engine == "native":
        assert costs[100] == (2, 2)
        assert costs[300] == (3, 3)
    elif not cache.index.connection.capabilities.cluster:
        assert costs[100][0] == 3  # room, a look, the entry
        assert costs[300][0] == 5  # and for the one that makes room its lock and its removal
    sent = max(sum(map(len, command)) for trip in commands.round_trips for command in trip)
    assert sent < 10_000


def test_a_process_that_dies_during_eviction_leaves_nothing_behind(
    open_cache: OpenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = open_cache(max_entries=3)
    for name in "abc":
        cache.store(name, name)
    dying = open_cache(max_entries=3)

    class DiedError(Exception):
        pass

    def die(*_: object, **__: object) -> None:
        raise DiedError

    monkeypatch.setattr(dying.index, "upsert", die)
    for name in "xy":
        with pytest.raises(DiedError):
            dying.store(name, name)
    for name in "defg":
        cache.store(name, name)
    assert prompts(cache) == {"e", "f", "g"}
    assert accounted(cache) == 3
