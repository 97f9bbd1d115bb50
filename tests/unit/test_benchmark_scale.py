"""The benchmark of growing sizes: slopes, table, and a run that is resumed from its file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from benchmarks.scale.operations import OPERATIONS, Operation, Store, timed
from benchmarks.scale.report import plot, slope, table
from benchmarks.scale.results import Measurement, Run, Settings
from benchmarks.scale.workload import Document, K, Vectors, Workload

SETTINGS = Settings((10, 100, 1000), 8, 5, 0.01)


class InMemoryStore(Store):
    """A store of documents in a dict, which can write, count, remove and search by vector."""

    name = "memory"

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}

    def add(self, documents: Sequence[Document]) -> None:
        self.documents.update({each.id: each for each in documents})

    def delete(self, ids: Sequence[str]) -> None:
        for id in ids:
            del self.documents[id]

    def count(self, group: str | None = None) -> int:
        return len(self.documents)

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        best = sorted(self.documents.values(), key=lambda each: -float(each.vector @ vector))
        return [each.id for each in best[:K]]


def measurement(operation: str, size: int, p50: float | None, contender: str = "a") -> Measurement:
    return Measurement(contender, operation, size, p50, p50, 5, 0.5)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_slope_is_the_exponent_of_the_growth(exponent: float) -> None:
    points = [(size, 3 * size**exponent) for size in (1000, 10_000, 100_000)]
    assert slope(points) == pytest.approx(exponent, abs=1e-9)


def test_one_size_has_no_slope() -> None:
    assert math.isnan(slope([(1000, 2.0)]))
    assert math.isnan(slope([]))


def test_the_table_has_a_row_for_each_operation_of_each_contender(tmp_path: Path) -> None:
    run = Run.begin(tmp_path, SETTINGS)
    for size in SETTINGS.sizes:
        run.add(measurement("search", size, size / 100))
        run.add(measurement("search", size, None, "b"))
    run.measurements.append(
        Measurement("a", "vector search", 10, 12.3, 15.0, 5, 0.5, recall=0.9951)
    )
    assert table([run]).splitlines() == [
        "| operation | contender | 10 | 100 | 1,000 | slope |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| search | a | 0.10 | 1.00 | 10.0 | +1.00 |",
        "|  | b | – | – | – |  |",
        "| vector search | a | 12.3 (0.995) |  |  |  |",
    ]


def test_a_table_of_several_runs_shows_the_newest_measurement(tmp_path: Path) -> None:
    old, new = (Run.begin(tmp_path, SETTINGS) for _ in range(2))
    old.add(measurement("search", 10, 1.0))
    new.add(measurement("search", 10, 2.0))
    assert table([old, new]).splitlines()[-1] == "| search | a | 2.00 |  |"


def test_a_run_is_resumed_from_its_file(tmp_path: Path) -> None:
    run = Run.begin(tmp_path, SETTINGS)
    run.servers["a"] = "Valkey 9"
    run.add(measurement("search", 10, 1.0))
    run.add(measurement("text search", 10, None))
    loaded = Run.load(run.path)
    assert loaded == run
    assert loaded.missing("a", 10, ["search", "text search", "count"]) == ["count"]
    assert loaded.missing("a", 100, ["search"]) == ["search"]
    assert loaded.missing("b", 10, ["search"]) == ["search"]


def test_the_file_of_a_run_names_neither_the_machine_nor_a_path(tmp_path: Path) -> None:
    import getpass
    import socket

    run = Run.begin(tmp_path, SETTINGS)
    run.save()
    stored = run.path.read_text(encoding="utf-8")
    assert set(json.loads(stored)["machine"]) == {
        "cores",
        "processor",
        "memory",
        "system",
        "python",
    }
    words = set(stored.replace('"', " ").split())
    assert words.isdisjoint({socket.gethostname(), getpass.getuser(), str(tmp_path)})


def test_documents_do_not_depend_on_the_size_or_the_order_of_the_calls() -> None:
    first, second = Workload(8, 5), Workload(8, 5)
    whole = first.documents(0, 2500)
    parts = [*second.documents(900, 2500), *second.documents(0, 900)]
    parts = [*parts[1600:], *parts[:1600]]
    assert [each.id for each in whole] == [f"d{number}" for number in range(2500)]
    assert [(a.id, a.text, a.metadata) for a in whole] == [
        (b.id, b.text, b.metadata) for b in parts
    ]
    assert all(np.array_equal(a.vector, b.vector) for a, b in zip(whole, parts, strict=True))


def test_the_true_neighbors_are_those_of_an_exact_search() -> None:
    workload, store = Workload(8, 5), InMemoryStore()
    for start in (0, 7, 300):
        documents = workload.documents(start, 7 if start == 0 else start + 293)
        workload.note_added(documents)
        store.add(documents)
    for vector, ids in workload.true_neighbors():
        assert ids == set(store.search(vector))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_leaves_the_documents_that_it_found(operation: Operation) -> None:
    workload, store = Workload(8, 5), InMemoryStore()
    store.add(workload.documents(0, 200))
    before = dict(store.documents)
    timing = timed(operation, store, workload, 200, seconds=0.01)
    assert store.documents.keys() == before.keys()
    assert (timing.p50 is None) == (timing.calls == 0)


def test_the_plot_is_a_png_image(tmp_path: Path) -> None:
    run = Run.begin(tmp_path, SETTINGS)
    for size in SETTINGS.sizes:
        run.add(measurement("search", size, size / 100))
    plot([run], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
