"""A server keeps answering while its indexed keys are written, deleted, searched, expire and are saved to disk.

Every released Valkey-Search (up to 1.2.1) may stop for good when scripts or transactions write to indexed
keys; see `dialect_keys`. ``VALKEY_VECTOR_SOAK_SECONDS=120`` makes it a long run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from servers import Server
from soak_driver import SHORT_SECONDS, Watch, is_long, nodes_of, run_processes, soak_seconds
from soak_freezing import stress_cache, stress_index
from soak_records import DIMENSION
from valkey_vector import Index

PROCESSES = 4 if is_long() else 2
LONG = pytest.mark.timeout(soak_seconds() + 180)


@pytest.fixture
def watch(engine_server: Server) -> Iterator[Watch]:
    """Sends PING and BGSAVE to every node; the test fails as soon as one does not answer."""
    with Watch(nodes_of(engine_server), save=True) as watch:
        yield watch
    print(f"longest PING {watch.longest:.3f} s, {watch.saves} times saved")
    assert watch.saves > 0


@LONG
@pytest.mark.parametrize("algorithm", ["HNSW", "FLAT"])
def test_a_server_does_not_freeze_under_writes_deletions_and_expirations(
    open_index: Callable[..., Index],
    engine_server: Server,
    engine_name: Any,
    algorithm: str,
    watch: Watch,
) -> None:
    index = open_index(dimension=DIMENSION, algorithm=algorithm)
    index.create()
    seconds = soak_seconds()
    works = [(engine_server.url, index.name, engine_name, n, seconds) for n in range(PROCESSES)]
    run_processes(stress_index, works, seconds, watch)


@LONG
@pytest.mark.parametrize("ttl", [1.5, 20.0])
def test_a_semantic_cache_does_not_freeze_its_server(
    index_name: str, engine_server: Server, engine_name: Any, ttl: float, watch: Watch
) -> None:
    seconds = soak_seconds()
    works = [(engine_server.url, index_name, engine_name, ttl, seconds) for _ in range(PROCESSES)]
    run_processes(stress_cache, works, seconds, watch)


@LONG
def test_no_process_passes_indexed_keys_to_a_script(
    index_name: str, valkey_search_server: Server
) -> None:
    """The stand-in refuses that to every client, so also where no dialect guard runs."""
    url, name, seconds = valkey_search_server.url, index_name, SHORT_SECONDS
    with Watch(nodes_of(valkey_search_server)) as watch:
        with Index.open(f"{name}-index", url=url, dimension=DIMENSION) as index:
            index.create()
        run_processes(stress_index, [(url, f"{name}-index", "search", 0, seconds)], seconds, watch)
        run_processes(
            stress_cache, [(url, f"{name}-cache", "search", 1.5, seconds)], seconds, watch
        )
