"""Many threads, event loops and processes change and read the same 120 records; every answer is checked.

``VALKEY_VECTOR_SOAK_SECONDS=120`` makes it a long run with more workers. It runs on every engine that
`conftest` knows of.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from servers import Server
from soak_driver import Watch, is_long, nodes_of, run_plans, soak_seconds
from soak_history import History
from soak_records import DIMENSION, MARK, record_of, untouched
from soak_workers import Plan
from valkey_vector import Index, Record

SHOWN = 15


@pytest.fixture
def soaked(open_index: Callable[..., Index], algorithm: str) -> Index:
    """An index with the records that no worker changes, and every metadata key in use."""
    index = open_index(dimension=DIMENSION, algorithm=algorithm)
    index.upsert(untouched())
    first = record_of(0)
    index.upsert([Record(id="first", metadata={**first.metadata, MARK: 0})])
    index.delete(["first"])
    return index


@pytest.mark.timeout(soak_seconds() + 180)
@pytest.mark.parametrize("algorithm", ["HNSW", "FLAT"])
def test_every_answer_is_explained_by_what_was_written(
    soaked: Index, engine_server: Server, engine_name: Any, tmp_path: Path, record_property: Any
) -> None:
    processes, threads, loops = (4, 8, 2) if is_long() else (2, 3, 1)
    plans = [
        Plan(
            url=engine_server.url,
            name=soaked.name,
            engine=engine_name,
            number=number,
            processes=processes,
            threads=threads,
            loops=loops,
            seconds=soak_seconds(),
            report=tmp_path / f"{number}.pickle",
        )
        for number in range(processes)
    ]
    with Watch(nodes_of(engine_server)) as watch:
        report = run_plans(plans, watch)
    faults = [*report.faults, *History(report.changes).faults(report.sights)]
    sights = Counter(sight.how.partition("(")[0] for sight in report.sights)
    changes = Counter(change.kind.value for change in report.changes)
    record_property("operations", f"{dict(changes)} {dict(sights)}")
    print(f"{dict(changes)} {dict(sights)}, longest PING {watch.longest:.3f} s")
    assert not faults, _summary(faults)
    assert min(changes.values()) > 0
    assert min(sights.values()) > 0


def _summary(faults: Sequence[str]) -> str:
    """Return the number of faults of each kind, and the first ones of each in full."""
    kinds: dict[str, list[str]] = {}
    for fault in faults:
        kind = re.sub(r"[0-9]+|'[^']*'|worker", "", fault.splitlines()[0])[:100]
        kinds.setdefault(kind, []).append(fault)
    common = sorted(kinds.values(), key=len, reverse=True)[:SHOWN]
    shown = "\n".join(f"{len(listed)} like {listed[0]}" for listed in common)
    return f"{len(faults)} wrong answers:\n{shown}"
