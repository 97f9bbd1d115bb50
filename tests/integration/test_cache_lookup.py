"""Lookups of a cache: exact, by similarity, within a scope, in few round trips."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from caches import Degrees, similarity
from round_trips import CommandLog
from valkey_vector import ConfigurationError, F, InvalidInputError
from valkey_vector.cache import CacheHit, SemanticCache

OpenCache = Callable[..., SemanticCache]


@pytest.fixture
def warm(cache: SemanticCache, embedder: Degrees, commands: CommandLog) -> SemanticCache:
    """A cache with an entry, after a lookup; the logs are empty."""
    cache.store("stored @0", "answer", {"tenant": "a"})
    assert cache.lookup("near @10", {"tenant": "a"}) is not None
    cache.stats()
    embedder.asked.clear()
    commands.clear()
    return cache


def _shown(value: object) -> str:
    """Return a name for a parameter that is the same in every process, as pytest-xdist requires."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def test_the_same_prompt_is_one_round_trip_and_no_embedding(
    warm: SemanticCache, embedder: Degrees, commands: CommandLog
) -> None:
    for _ in range(3):
        hit = warm.lookup("stored @0", {"tenant": "a"})
        assert hit is not None
        assert hit.exact
        assert hit.similarity == 1
        assert len(commands.round_trips) == 1
        commands.clear()
    assert embedder.asked == []


def test_a_similar_prompt_is_two_round_trips_and_one_embedding(
    warm: SemanticCache, embedder: Degrees, commands: CommandLog
) -> None:
    for _ in range(3):
        hit = warm.lookup("near @20", {"tenant": "a"})
        assert hit is not None
        assert not hit.exact
        assert hit.similarity == pytest.approx(similarity(20), abs=1e-6)
        assert hit.prompt == "stored @0"
        assert len(commands.round_trips) == 2
        commands.clear()
    assert embedder.asked == ["near @20"] * 3


def test_the_server_searches_the_scope_alone(
    warm: SemanticCache, engine_name: str, commands: CommandLog
) -> None:
    warm.lookup("near @20", {"tenant": "a"})
    if engine_name == "search":
        (search,) = [
            command
            for trip in commands.round_trips
            for command in trip
            if command[0] == b"FT.SEARCH"
        ]
        assert b"@tags:{scope_5fid_s" in search[2]
        assert b"KNN 10 " in search[2]  # at least ten neighbors tell whether many are alike


def test_many_prompts_take_the_round_trips_of_one(
    cache: SemanticCache, embedder: Degrees, commands: CommandLog
) -> None:
    for degrees in (0, 90, 180):
        cache.store(f"stored @{degrees}", degrees)
    cache.lookup("warm @5")
    embedder.asked.clear()
    commands.clear()
    exact = cache.lookup_many(["stored @0", "stored @90"])
    assert [hit.answer for hit in exact if hit] == [0, 90]
    assert len(commands.round_trips) == 1
    commands.clear()
    asked = ["near @5", "stored @90", "far @45", "near @175", "near @5"]
    hits = cache.lookup_many(asked)
    assert [None if hit is None else hit.answer for hit in hits] == [0, 90, None, 180, 0]
    assert [None if hit is None else hit.exact for hit in hits] == [False, True, None, False, False]
    assert len(commands.round_trips) == 2
    assert embedder.asked == ["near @5", "far @45", "near @175"]
    assert cache.lookup_many([]) == []
    with pytest.raises(InvalidInputError, match="list of texts"):
        cache.lookup_many("one text")


@pytest.mark.parametrize("degrees", [25.8, 25.9], ids=["just above", "just below"])
def test_the_threshold_decides(cache: SemanticCache, degrees: float) -> None:
    cache.store("stored @0", "answer")
    hit = cache.lookup(f"asked @{degrees}")
    assert (hit is not None) == (similarity(degrees) >= cache.threshold)


def test_the_threshold_can_be_changed(cache: SemanticCache) -> None:
    cache.store("stored @0", "answer")
    cache.threshold = 0.99
    assert cache.lookup("asked @20") is None
    cache.threshold = 0.9
    assert cache.lookup("asked @20") is not None
    with pytest.raises(ConfigurationError, match="threshold"):
        cache.threshold = 1.5


def test_the_nearest_of_several_answers(cache: SemanticCache) -> None:
    for degrees in (0, 10, 20):
        cache.store(f"stored @{degrees}", degrees)
    hit = cache.lookup("asked @12")
    assert hit is not None
    assert hit.answer == 10


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff" * 1000,
        "text",
        "",
        None,
        True,
        0,
        12345678901234567890123,
        0.1,
        [],
        {},
        {"a": [1, 2.5, None, {"ü": "\ud800 lone"}], "": False},
    ],
    ids=repr,
)
def test_an_answer_is_returned_unchanged(cache: SemanticCache, answer: object) -> None:
    cache.store("prompt", answer)
    hit = cache.lookup("prompt")
    assert hit is not None
    assert hit.answer == answer
    assert type(hit.answer) is type(answer)


@pytest.mark.parametrize("answer", [(1, 2), {1: 2}, {"a": {1}}, object(), [b"x"]], ids=_shown)
def test_an_answer_that_could_not_be_returned_unchanged_is_refused(
    cache: SemanticCache, answer: object
) -> None:
    with pytest.raises(InvalidInputError, match="the answer"):
        cache.store("prompt", answer)
    assert cache.count() == 0


def test_a_hit_describes_itself(cache: SemanticCache) -> None:
    id = cache.store(
        "prompt", "answer", {"tenant": "a"}, metadata={"topic": "x"}, seconds=2.5, tokens=7
    )
    hit = cache.lookup("prompt", {"tenant": "a"})
    assert hit is not None
    assert abs(hit.stored_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert hit == CacheHit(
        id=str(id),
        prompt="prompt",
        answer="answer",
        similarity=1.0,
        exact=True,
        scope={"tenant": "a"},
        metadata={"topic": "x"},
        stored_at=hit.stored_at,
        seconds=2.5,
        tokens=7,
    )


def test_the_same_prompt_and_scope_overwrite_and_no_other(
    cache: SemanticCache, open_cache: OpenCache
) -> None:
    first = cache.store("prompt", 1, {"m": "a", "t": "x"})
    other = cache.store("prompt", 2, {"m": "b", "t": "x"})
    again = open_cache().store("prompt", 3, {"t": "x", "m": "a"})
    assert first == again != other
    assert cache.count() == 2
    answers = [cache.lookup("prompt", {"m": m, "t": "x"}) for m in "ab"]
    assert [hit.answer for hit in answers if hit] == [3, 2]


def test_the_scope_of_the_cache_and_of_the_call_are_one(open_cache: OpenCache) -> None:
    cache = open_cache(scope={"model": "m", "temperature": 0})
    cache.store("prompt @0", "answer", {"tenant": "a"})
    plain = open_cache()
    whole = {"tenant": "a", "temperature": 0, "model": "m"}
    for prompt in ("prompt @0", "near @5"):
        assert plain.lookup(prompt, whole) is not None
        assert plain.lookup(prompt, {**whole, "temperature": 1}) is None
        assert plain.lookup(prompt, {**whole, "temperature": False}) is None
        assert plain.lookup(prompt, {**whole, "seed": None}) is None
        assert plain.lookup(prompt, {"tenant": "a"}) is None
        assert plain.lookup(prompt) is None
        assert cache.lookup(prompt, {"tenant": "a", "model": "other"}) is None


@pytest.mark.parametrize("scope", ["tenant", {1: 2}, {"a": {1}}, {"a": float("nan")}], ids=repr)
def test_a_scope_that_is_no_json_is_refused(cache: SemanticCache, scope: Any) -> None:
    for call in (lambda: cache.lookup("p", scope), lambda: cache.store("p", "a", scope)):
        with pytest.raises(InvalidInputError, match="scope"):
            call()


def test_an_entry_has_its_time_to_live_once_it_is_stored(
    open_cache: OpenCache, commands: CommandLog, server_url: str
) -> None:
    for sliding in (False, True):
        cache = open_cache(ttl=60, sliding=sliding)
        cache.store("first", 1)
        commands.clear()
        id = cache.store("prompt", "answer")
        if cache.index.info().engine == "native":
            assert commands.names()[:2] == ["EVAL", "EVAL"]  # the counts, the entry with its end
        else:
            # Of a new entry in the next round trip, so that no other entry gets it; else along with the write.
            assert commands.names().count("PEXPIREAT") == 1
        left = cache.index.connection.execute("PTTL", f"{cache.name}:{id}")
        assert 0 < left <= 60_000


def test_a_fixed_time_to_live_ends_in_spite_of_hits(open_cache: OpenCache) -> None:
    cache = open_cache(ttl=0.6)
    cache.store("stored @0", "answer")
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        cache.lookup("stored @0")
        cache.lookup("near @5")
        time.sleep(0.05)
    time.sleep(0.1)
    assert cache.lookup("stored @0") is None
    assert cache.lookup("near @5") is None
    assert cache.count() == 0


@pytest.mark.parametrize("asked", ["stored @0", "near @5"], ids=["exact", "semantic"])
def test_a_sliding_time_to_live_restarts_with_each_hit(open_cache: OpenCache, asked: str) -> None:
    cache = open_cache(ttl=60, sliding=True)
    key = f"{cache.name}:{cache.store('stored @0', 'answer')}"
    connection = cache.index.connection
    for _ in range(2):
        connection.execute("PEXPIRE", key, "30000")
        assert cache.lookup(asked) is not None
        cache.stats()  # what waits is told
        assert 30_000 < connection.execute("PTTL", key) <= 60_000
    connection.execute("PEXPIRE", key, "1")
    time.sleep(0.05)
    assert cache.lookup(asked) is None
    deadline = time.monotonic() + 10
    while cache.count():  # until the server has reclaimed it
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("asked", ["stored @0", "near @5"], ids=["exact", "semantic"])
def test_a_sliding_time_to_live_is_prolonged_in_time_by_itself(
    open_cache: OpenCache, asked: str
) -> None:
    cache = open_cache(ttl=20, sliding=True)  # told after a quarter of that, whatever is set
    key = f"{cache.name}:{cache.store('stored @0', 'answer')}"
    connection = cache.index.connection
    cache.lookup(asked)
    connection.execute("PEXPIRE", key, "10000")
    deadline = time.monotonic() + 9
    while connection.execute("PTTL", key) < 11_000 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert connection.execute("PTTL", key) > 11_000


def test_a_sliding_entry_with_a_time_of_its_own_is_prolonged_by_that(open_cache: OpenCache) -> None:
    cache = open_cache(ttl=60, sliding=True)
    id = cache.store("stored @0", "answer", ttl=600)
    cache.index.connection.execute("PEXPIRE", f"{cache.name}:{id}", "5000")
    cache.lookup("stored @0")
    cache.stats()
    assert cache.index.connection.execute("PTTL", f"{cache.name}:{id}") > 500_000


def test_doubtful_hits_are_verified(open_cache: OpenCache, embedder: Degrees) -> None:
    asked: list[tuple[str, str]] = []

    def verify(prompt: str, hit: CacheHit) -> bool:
        asked.append((prompt, hit.prompt))
        return prompt.startswith("good")

    cache = open_cache(threshold=similarity(30), margin=0.05, verify=verify)
    cache.store("stored @0", "answer")
    assert cache.lookup("sure @10") is not None
    assert cache.lookup("no @40") is None
    assert asked == []
    assert cache.lookup("good @33") is not None
    assert cache.lookup("bad @28") is None
    assert asked == [("good @33", "stored @0"), ("bad @28", "stored @0")]
    assert cache.stats().rejected == 1


async def test_a_verifier_may_be_a_coroutine_function(open_cache: OpenCache) -> None:
    async def verify(prompt: str, hit: CacheHit) -> bool:
        await asyncio.sleep(0)
        return prompt.startswith("good")

    cache = open_cache(threshold=similarity(30), margin=0.05, verify=verify)
    await cache.astore("stored @0", "answer")
    assert await cache.alookup("good @33") is not None
    assert await cache.alookup("bad @28") is None
    with pytest.raises(ConfigurationError, match="asynchronous"):
        await asyncio.to_thread(cache.lookup, "good @33")


async def test_asynchronous_methods_await_the_asynchronous_embedder(
    cache: SemanticCache, embedder: Degrees
) -> None:
    await cache.astore("stored @0", "answer", {"t": 1}, seconds=1)
    assert await cache.alookup("near @5", {"t": 1}) is not None
    hits = await cache.alookup_many(["stored @0", "near @6"], {"t": 1})
    assert [hit.answer for hit in hits if hit] == ["answer"] * 2
    assert embedder.awaited == ["stored @0", "near @5", "near @6"]
    assert embedder.asked == []
    assert await cache.acount() == 1
    assert (await cache.astats()).hits == 3
    assert await cache.ainvalidate(prompt="stored @0", scope={"t": 1}) == 1
    assert await cache.aclear() == 0


def test_statistics_tell_what_was_saved(cache: SemanticCache) -> None:
    cache.store("stored @0", "answer", seconds=2.0, tokens=10)
    cache.store("stored @90", "answer")
    for prompt in ("stored @0", "near @10", "near @20", "far @45", "stored @90"):
        cache.lookup(prompt)
    stats = cache.stats()
    assert (stats.exact_hits, stats.semantic_hits, stats.misses) == (2, 2, 1)
    assert (stats.hits, stats.lookups, stats.hit_rate) == (4, 5, 0.8)
    assert (stats.stores, stats.evictions, stats.failures) == (2, 0, 0)
    assert stats.saved_seconds == pytest.approx(6.0)
    assert stats.saved_tokens == 30
    assert stats.mean_similarity == pytest.approx((similarity(10) + similarity(20)) / 2)
    cache.reset_stats()
    assert cache.stats().lookups == 0
    assert cache.count() == 2


def test_counts_are_sent_without_another_command(open_cache: OpenCache) -> None:
    cache, other = open_cache(report_every=0.05), open_cache()
    cache.store("stored @0", "answer")
    cache.lookup("stored @0")
    deadline = time.monotonic() + 10
    while other.stats().exact_hits < 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert other.stats().exact_hits == 1
    assert other.stats().stores == 1


def test_closing_sends_the_counts(
    open_cache: OpenCache, server_url: str, embedder: Degrees, engine_name: str
) -> None:
    mine = open_cache()
    with SemanticCache(
        embedder, name=mine.name, url=server_url, engine="auto", report_every=3600
    ) as cache:
        assert cache.lookup("nothing") is None
    assert mine.stats().misses == 1


def test_a_vector_without_direction_is_found_word_for_word_only(open_cache: OpenCache) -> None:
    cache = open_cache(embed=lambda text: [0.0] * 4 if text == "zero" else [1.0, 0, 0, 0])
    cache.store("zero", "answer")
    cache.store("one", "other")
    hit = cache.lookup("zero")
    assert hit is not None
    assert hit.answer == "answer"
    found = cache.lookup("uno")
    assert found is not None
    assert found.answer == "other"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold": 0}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"margin": 0.1}, "verify"),
        ({"verify": lambda *_: True}, "margin"),
        ({"margin": -1, "verify": lambda *_: True}, "margin"),
        ({"sliding": True}, "ttl"),
        ({"ttl": 0}, "ttl"),
        ({"max_entries": 0}, "max_entries"),
        ({"max_entries": 2, "eviction": "fifo"}, "eviction"),
        ({"on_error": "ignore"}, "on_error"),
        ({"scope": {"a": object()}}, "scope"),
        ({"scope": "tenant"}, "scope"),
        ({"lease": 0}, "lease"),
        ({"wait": -1}, "wait"),
        ({"name": "a:b"}, "index name"),
        ({"embed": 3}, "embed"),
    ],
    ids=lambda value: "" if isinstance(value, str) else _shown(value),
)
def test_wrong_settings_are_named(
    open_cache: OpenCache, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_cache(**settings)


def test_a_cache_of_another_model_is_refused(open_cache: OpenCache) -> None:
    open_cache(embedding_model="a").store("prompt", 1)
    other = open_cache(embedding_model="b", on_error="miss")
    with pytest.raises(Exception, match="embedding_model"):
        other.lookup("another prompt")


def test_entries_are_records_that_filters_reach(cache: SemanticCache) -> None:
    cache.store("prompt", 1, {"tenant": "a"}, metadata={"topic": "x"})
    (record,) = cache.index.select((F("scope.tenant") == "a") & (F("topic") == "x"))
    assert record.content == "prompt"
    with pytest.raises(InvalidInputError, match="scope_id"):
        cache.store("prompt", 1, metadata={"scope_id": "x"})
