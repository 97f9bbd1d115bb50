"""A cache shared by processes, forked children and the nodes of a cluster."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cache_processes import look_up
from servers import start_server
from valkey_vector import Connection, Index
from valkey_vector.cache import SemanticCache
from valkey_vector.cache.eviction import Eviction, Place
from valkey_vector.cache.statistics import Count
from valkey_vector.cache.storage import Storage
from valkey_vector.index.settings import EngineChoice

OpenCache = Callable[..., SemanticCache]


def test_statistics_are_of_all_processes(
    open_cache: OpenCache, server_url: str, index_name: str, engine_name: EngineChoice
) -> None:
    cache = open_cache()
    cache.store("stored @0", "answer", seconds=1.0, tokens=2)
    arguments = (server_url, index_name, engine_name, ["stored @0", "near @10", "far @90"])
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(look_up, [arguments] * 2)
    assert found == [["answer", "answer", None]] * 2
    stats = cache.stats()
    assert (stats.exact_hits, stats.semantic_hits, stats.misses) == (2, 2, 2)
    assert (stats.saved_seconds, stats.saved_tokens) == (4.0, 8)


def test_a_cache_that_another_client_dropped_is_created_again(open_cache: OpenCache) -> None:
    cache, other = open_cache(max_entries=5), open_cache(max_entries=5)
    cache.store("stored @0", "old")
    assert other.lookup("near @5") is not None
    cache.drop()
    for prompt in ("stored @0", "near @5"):
        assert other.lookup(prompt) is None
    assert other.get_or_compute("stored @0", lambda _: "new") == "new"
    hit = cache.lookup("near @5")
    assert hit is not None
    assert hit.answer == "new"
    assert cache.count() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_tell_what_its_parent_did(open_cache: OpenCache) -> None:
    cache = open_cache()
    cache.store("stored @0", "answer")
    cache.stats()
    cache.lookup("stored @0")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            hit = cache.lookup("near @5")
            made = cache.get_or_compute("far @90", str.upper)
            cache.close()
            status = int(hit is None or made != "FAR @90")
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    stats = cache.stats()
    assert (stats.exact_hits, stats.semantic_hits, stats.misses) == (1, 1, 1)


def test_many_threads_lose_no_count(open_cache: OpenCache) -> None:
    cache = open_cache(report_every=0.01)
    cache.store("stored @0", "answer")

    def ask(number: int) -> None:
        assert cache.lookup("stored @0" if number % 2 else "near @5") is not None

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(400)))
    stats = cache.stats()
    assert (stats.exact_hits, stats.semantic_hits) == (200, 200)


def test_no_thread_stays_when_there_is_nothing_to_tell(open_cache: OpenCache) -> None:
    before = set(threading.enumerate())
    cache = open_cache(report_every=0.02)
    cache.get_or_compute("stored @0", str.upper)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        new = [thread.name for thread in set(threading.enumerate()) - before]
        if not any("lease" in name or "report" in name for name in new):
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"still there: {new}")


def test_closing_a_cache_sends_its_statistics_and_ends_its_thread(open_cache: OpenCache) -> None:
    before = set(threading.enumerate())
    cache = open_cache(report_every=3600)
    cache.get_or_compute("stored @0", str.upper)
    cache.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        new = [thread.name for thread in set(threading.enumerate()) - before]
        if not any("lease" in name or "report" in name for name in new):
            break
        time.sleep(0.05)
    else:
        pytest.fail(f"still there: {new}")


@pytest.fixture(scope="module")
def clustered() -> Iterator[Storage]:
    """The storage of a cache on a cluster, which refuses commands on several slots."""
    with start_server(cluster=True) as server, Connection.open(server.url) as connection:
        assert connection.capabilities.cluster
        index = Index.open("cache", connection=connection)
        yield Storage(index, Eviction("lru", 2), extends_ttl=True, report_every=3600)


def test_in_a_cluster_a_lookup_sends_buffered_usage_in_the_same_round_trip(
    clustered: Storage,
) -> None:
    clustered.usage.note({Count.EXACT: 1, Count.SECONDS: 0.5}, uses=[("a", 60_000)])
    time.sleep(0.15)
    assert clustered.read(["a", "b", "c"]) == ([None] * 3, None)
    counts = clustered.usage.statistics()
    assert (counts.exact_hits, counts.saved_seconds) == (1, 0.5)
    clustered.usage.reset()
    assert clustered.usage.statistics().exact_hits == 0


def test_in_a_cluster_entries_are_evicted(clustered: Storage) -> None:
    for id in "abc":
        reported = clustered.usage.report(Place(id, 0))
    (victim,) = reported.victims
    assert victim.id == "a"
    clustered.usage.note({Count.EVICTIONS: 1}, evicted=reported.victims)
    assert clustered.usage.statistics().evictions == 1
    clustered.usage.forget(["b", "c"])
    assert clustered.usage.report(Place("d", 0)).victims == ()
    clustered.usage.forget_all(counts=True)


def test_in_a_cluster_one_claim_is_granted(clustered: Storage) -> None:
    first, second = (clustered.claim("a", token, 60_000) for token in ("one", "two"))
    assert (first.held, second.held) == (True, False)
    clustered.renew([("a", "one"), ("a", "two")], 90_000)
    clustered.release("a", "two")
    assert not clustered.claim("a", "three", 60_000).held
    clustered.release("a", "one")
    assert clustered.claim("a", "three", 60_000).held
    clustered.release("a", "three")
