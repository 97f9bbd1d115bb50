"""The verb `bench` and `operations.benchmark`: latency and recall of a real index, and their limits in words."""

from __future__ import annotations

import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from command_runs import json_of, run_command, start_command
from round_trips import CommandLog
from valkey_vector import Index, InvalidInputError, Record
from valkey_vector.operations import abenchmark, benchmark, plot_benchmark
from valkey_vector.operations.exact_neighbors import ExactNeighbors
from valkey_vector.schema.schema import Hnsw, Metric
from valkey_vector.schema.similarity import distances

_DIMENSION = 8


@pytest.fixture
def filled(open_index: Callable[..., Index]) -> Index:
    index = open_index(dimension=_DIMENSION)
    rows = np.random.default_rng(7).normal(size=(600, _DIMENSION)).astype(np.float32)
    index.upsert(
        [
            Record(id=f"d{n}", vector=row, metadata={"half": n % 2, "n": n})
            for n, row in enumerate(rows)
        ]
    )
    return index


def test_every_width_has_latency_rate_and_recall(filled: Index, engine_name: str) -> None:
    report = benchmark(filled, seconds=6.0, queries=5, widths=[10, 200], filter={"half": 1})
    widths = [None, 10, 200] if engine_name == "search" else [None]
    assert [(each.filtered, each.ef_runtime) for each in report.measures] == [
        (filtered, width) for filtered in (False, True) for width in widths
    ]
    for each in report.measures:
        assert 0 < each.p50 <= each.p95 <= each.p99
        assert each.searches >= each.queries == 5
        assert each.searches_per_second > 0
        assert each.recall is not None
        assert each.recall > 0.9
    assert report.measures[-1].recall == 1.0
    assert (report.documents, report.matching) == (600, 300)
    assert report.seconds < 12
    assert any("stored vectors" in note for note in report.notes)
    assert any("no search widths" in note for note in report.notes) == (engine_name == "native")


def test_a_narrow_width_finds_fewer_neighbors_than_a_wide_one(
    open_search_index: Callable[..., Index],
) -> None:
    """Otherwise the recall would not be measured, but assumed."""
    rows = np.random.default_rng(3).normal(size=(3000, 32)).astype(np.float32)
    index = open_search_index(dimension=32, algorithm=Hnsw(m=4, ef_construction=8))
    index.upsert([Record(id=str(n), vector=row) for n, row in enumerate(rows)])
    report = benchmark(index, seconds=10.0, queries=20, widths=[10, 400])
    _, narrow, wide = report.measures
    assert narrow.recall is not None
    assert wide.recall is not None
    assert narrow.recall < wide.recall


def test_vectors_of_the_user_are_searched_instead_of_stored_ones(filled: Index) -> None:
    report = benchmark(filled, seconds=1.0, vectors=[[1.0] * _DIMENSION, [0.5, *[0.0] * 7]])
    assert report.measures[0].queries == 2
    assert not any("stored vectors" in note for note in report.notes)
    with pytest.raises(InvalidInputError, match="vector 0"):
        benchmark(filled, vectors=[[1.0]])


def test_a_benchmark_without_time_says_what_it_left_out(filled: Index) -> None:
    begun = time.monotonic()
    report = benchmark(filled, seconds=0.001, queries=5)
    assert time.monotonic() - begun < 15
    assert all(each.recall is None for each in report.measures)
    notes = " ".join(report.notes)
    assert "no recall" in notes
    assert "pass more seconds" in notes
    assert re.search(r"of \d+ measurements? missing: the 0.001 seconds are over", notes)


def test_a_benchmark_only_reads(filled: Index, commands: CommandLog) -> None:
    before = filled.select(with_vectors=True)
    commands.clear()
    benchmark(filled, seconds=0.5, queries=5, concurrency=4)
    writing = {"HSET", "DEL", "UNLINK", "ZADD", "FT.CREATE", "FT.DROPINDEX", "EXPIRE"}
    assert not writing & set(commands.names())
    assert [record.id for record in filled.select()] == [record.id for record in before]


async def test_the_async_version_measures_the_same_index(filled: Index) -> None:
    assert (await abenchmark(filled, seconds=0.5, queries=3)).index == filled.name


@pytest.mark.parametrize(
    "options",
    [{"seconds": 0}, {"concurrency": 0}, {"k": 0}, {"queries": 0}, {"filter": {"half": 9}}],
)
def test_wrong_arguments_and_an_empty_selection_are_refused(
    filled: Index, options: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError):
        benchmark(filled, **options)  # type: ignore[arg-type]


def test_an_index_without_vectors_is_refused(open_index: Callable[..., Index]) -> None:
    index = open_index()
    index.upsert([Record(id="a")])
    with pytest.raises(InvalidInputError, match="no record with the vector"):
        benchmark(index, seconds=1)


@pytest.mark.parametrize("metric", list(Metric))
def test_neighbors_found_page_by_page_are_those_of_one_comparison(metric: Metric) -> None:
    rows = np.random.default_rng(1).integers(-3, 4, size=(300, 4)).astype(np.float32)
    ids = [str(n) for n in range(len(rows))]
    exact = ExactNeighbors(rows[:20], ids[:20], 5, metric)
    for start in range(0, 300, 37):
        exact.add(ids[start : start + 37], rows[start : start + 37])
    for number, found in enumerate(exact.found()):
        all_of_them = distances(rows, rows[number], metric)
        all_of_them[number] = math.inf
        limit = np.sort(all_of_them)[4] + 1e-6 * max(1.0, abs(np.sort(all_of_them)[4]))
        assert found == {ids[at] for at in np.flatnonzero(all_of_them <= limit)}


def test_the_verb_prints_a_table_json_and_a_plot(
    filled: Index, server_url: str, tmp_path: Path
) -> None:
    plot = tmp_path / "bench.png"
    options = ["bench", filled.name, "--seconds", "2", "--queries", "5", "--ef", "50"]
    found = json_of(*options, "--filter", '{"half": 1}', "--plot", str(plot), url=server_url)
    assert found["matching"] == 300
    assert found["measures"][0]["p95"] > 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    ended = run_command(*options, "--concurrency", "2", url=server_url)
    assert ended.returncode == 0, ended.stderr
    assert "recall" in ended.stdout
    assert "note: the queries are stored vectors" in ended.stdout
    assert "searching" in ended.stderr
    assert run_command(*options, "--quiet", url=server_url).stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "bench.doc"], "ends with .png"),
        (["--plot", "/nowhere/bench.png"], "cannot write"),
        (["--vectors", "[1, 2]"], "list of lists"),
        (["--seconds", "-1"], "seconds"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    filled: Index, server_url: str, arguments: list[str], message: str
) -> None:
    ended = run_command("bench", filled.name, *arguments, url=server_url)
    assert ended.returncode == 2, ended.stderr
    assert message in ended.stderr
    assert "searching" not in ended.stderr


def test_without_matplotlib_the_verb_says_what_to_install(filled: Index, server_url: str) -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        f"sys.argv[1:] = ['bench', {filled.name!r}, '--plot', 'x.png', '--url', {server_url!r}]\n"
        "from valkey_vector.command_line.entry import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert 'pip install "valkey-vector[plot]"' in ended.stderr


def test_a_plot_of_measures_without_recall_is_drawn(filled: Index, tmp_path: Path) -> None:
    report = benchmark(filled, seconds=0.001, queries=2)
    plot_benchmark(report, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")


def test_an_interrupt_ends_the_verb_at_once(filled: Index, server_url: str) -> None:
    process = start_command("bench", filled.name, "--seconds", "600", url=server_url)
    try:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("searching"):
            assert process.poll() is None
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in error
