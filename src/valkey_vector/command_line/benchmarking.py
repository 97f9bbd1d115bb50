"""The verb `bench`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from valkey_vector.command_line.output import facts, print_json, print_text, table
from valkey_vector.command_line.reading import filter_option
from valkey_vector.command_line.session import Session, read_json, with_server
from valkey_vector.operations.benchmarking import BenchmarkReport, benchmark
from valkey_vector.operations.opening import open_own
from valkey_vector.operations.plotting import check_plot, plot_benchmark

__all__ = ["VERBS"]

_COLUMNS = (
    "filtered",
    "ef_runtime",
    "recall",
    "p50",
    "p95",
    "p99",
    "searches_per_second",
    "searches",
    "processor",
)


@click.command("bench")
@click.argument("name")
@click.option(
    "--seconds", type=float, default=30.0, show_default=True, help="Time of the whole benchmark."
)
@click.option(
    "--concurrency", type=int, default=1, show_default=True, help="Threads that search at once."
)
@click.option("-k", type=int, default=10, show_default=True, help="Neighbors in each search.")
@click.option(
    "--queries", type=int, default=50, show_default=True, help="Stored vectors to search for."
)
@click.option(
    "--vectors", metavar="JSON", help="Search for this list of vectors instead, or @FILE."
)
@filter_option
@click.option("--field", help="Name of the vector in the schema.")
@click.option("--ef", "widths", type=int, multiple=True, help="ef_runtime to measure; repeat it.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw a plot: a .png, .pdf or .svg.")
@with_server
def bench(
    session: Session,
    name: str,
    *,
    vectors: str | None,
    filter_text: str | None,
    widths: tuple[int, ...],
    plot: str | None,
    **options: Any,
) -> None:
    """Measure latency, searches per second and recall of the index NAME. Reads only, but is load on the server.

    Searches of an HNSW index are measured by ef_runtime, with --filter also with the filter. Recall is measured
    against an exact comparison of all vectors.
    """
    if plot is not None:
        check_plot(plot)
        _check_writable(plot)
    given, chosen = read_json(vectors, "--vectors"), read_json(filter_text, "--filter")
    if given is not None and not (
        isinstance(given, list) and all(isinstance(each, list) for each in given)
    ):
        raise click.BadParameter("must be a list of lists of numbers", param_hint="--vectors")
    with session.connection() as connection:
        report = benchmark(
            open_own(connection, name),
            vectors=given,
            filter=chosen,
            widths=widths or None,
            progress=session.say,
            **options,
        )
    if plot is not None:
        plot_benchmark(report, plot)
        session.say(f"plot written to {plot}")
    if session.as_json:
        print_json(report)
    else:
        _show(report)


def _show(report: BenchmarkReport) -> None:
    names = ("engine", "server", "documents", "matching", "field", "algorithm", "k", "concurrency")
    facts(f"Benchmark of {report.index}", {name: getattr(report, name) for name in names})
    table(
        "Times in milliseconds",
        _COLUMNS,
        [
            (
                each.filtered,
                "default" if each.ef_runtime is None else str(each.ef_runtime),
                *(_rounded(getattr(each, column)) for column in _COLUMNS[2:]),
            )
            for each in report.measures
        ],
    )
    for note in report.notes:
        print_text(f"note: {note}")


def _rounded(value: float | None) -> float | None:
    """Round a number for the table; integers stay."""
    return round(value, 3) if isinstance(value, float) else value


def _check_writable(path: str) -> None:
    """Raise before the benchmark if its plot cannot be written."""
    folder = Path(path).resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise click.BadParameter(f"cannot write to the folder {folder}", param_hint="--plot")


VERBS = (bench,)
