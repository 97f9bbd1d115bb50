"""Plots of a benchmark. Requires matplotlib, which is imported when a plot is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from valkey_vector.errors import ConfigurationError
from valkey_vector.operations.benchmarking import BenchmarkMeasure, BenchmarkReport
from valkey_vector.records.amounts import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check_plot", "plot_benchmark"]

_KINDS = (".png", ".pdf", ".svg")


def plot_benchmark(report: BenchmarkReport, path: str | Path) -> None:
    """Draw latency and recall by search width, and write them to a file.

    Args:
        report: result of `benchmark`.
        path: the file, whose name ends with ``.png``, ``.pdf`` or ``.svg``.

    Raises:
        ConfigurationError: matplotlib is missing (extra `plot`), or the name has another ending.
        OSError: the file cannot be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    figure.suptitle(
        f"{report.index}: {counted(report.documents, 'record')}, {report.engine}, {report.algorithm}, "
        f"k={report.k}, concurrency {report.concurrency}"
    )
    latency, recall = figure.subplots(1, 2)
    for filtered in (False, True):
        measures = [each for each in report.measures if each.filtered is filtered]
        if measures:
            _latency(latency, measures, "with the filter" if filtered else "all records")
            _recall(recall, measures, "with the filter" if filtered else "all records")
    latency.set(title="Latency", xlabel="ef_runtime", ylabel="milliseconds", ylim=(0, None))
    recall.set(title="Recall", xlabel="searches per second", ylabel=f"recall@{report.k}")
    for axes in (latency, recall):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    figure.savefig(path, dpi=120)


def check_plot(path: str | Path) -> None:
    """Raise if a plot cannot be written to a file of this name, before any work is done.

    Raises:
        ConfigurationError: matplotlib is missing, or the name has another ending.
    """
    if Path(path).suffix.lower() not in _KINDS:
        raise ConfigurationError(
            f"a plot is written to a file that ends with {', '.join(_KINDS)}, not {str(path)!r}"
        )
    try:
        import_module("matplotlib")
    except ImportError:
        raise ConfigurationError(
            'a plot requires matplotlib, which the extra `plot` installs: pip install "valkey-vector[plot]"'
        ) from None


def _names(measures: Sequence[BenchmarkMeasure]) -> list[str]:
    return ["default" if each.ef_runtime is None else str(each.ef_runtime) for each in measures]


def _latency(axes: Axes, measures: Sequence[BenchmarkMeasure], label: str) -> None:
    names = _names(measures)
    for name in ("p50", "p95", "p99"):
        axes.plot(names, [getattr(each, name) for each in measures], "o-", label=f"{name}, {label}")


def _recall(axes: Axes, measures: Sequence[BenchmarkMeasure], label: str) -> None:
    known = [each for each in measures if each.recall is not None]
    if not known:
        return
    rates = [each.searches_per_second for each in known]
    shares = [each.recall or 0.0 for each in known]
    axes.plot(rates, shares, "o", label=label)
    for name, rate, share in zip(_names(known), rates, shares, strict=True):
        axes.annotate(name, (rate, share), textcoords="offset points", xytext=(4, 4), fontsize=8)
