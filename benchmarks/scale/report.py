"""Table and plot of the measurements, with the slope of each operation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scale.results import Measurement, Run

__all__ = ["plot", "slope", "table"]


def slope(points: Sequence[tuple[int, float]]) -> float:
    """Return the slope of log(time) against log(size): 0 for a time that does not grow, 1 for a linear one.

    Args:
        points: sizes and times, > 0. NaN is returned for less than two sizes.
    """
    if len({size for size, _ in points}) < 2:
        return math.nan
    sizes, times = zip(*points, strict=True)
    return statistics.linear_regression([*map(math.log, sizes)], [*map(math.log, times)]).slope


def table(runs: Sequence[Run]) -> str:
    """Return the measurements of runs as Markdown: a row for each operation of each contender."""
    by_row = _by_row(runs)
    sizes = sorted({size for row in by_row.values() for size in row})
    lines = [
        "| operation | contender | " + " | ".join(f"{size:,}" for size in sizes) + " | slope |",
        "| --- | --- |" + " ---: |" * (len(sizes) + 1),
    ]
    previous = ""
    for (operation, contender), row in by_row.items():
        cells = [_cell(row.get(size)) for size in sizes]
        steepness = slope(_points(row))
        shown = "" if math.isnan(steepness) else f"{steepness:+.2f}"
        name = "" if operation == previous else operation
        lines.append(f"| {name} | {contender} | " + " | ".join(cells) + f" | {shown} |")
        previous = operation
    return "\n".join(lines)


def plot(runs: Sequence[Run], path: Path) -> None:
    """Draw a PNG image with a diagram for each operation, both axes logarithmic. Needs matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    by_row = _by_row(runs)
    operations = list(dict.fromkeys(operation for operation, _ in by_row))
    contenders = list(dict.fromkeys(contender for _, contender in by_row))
    colors = dict(zip(contenders, mpl.color_sequences["tab10"] * 2, strict=False))
    columns = 4
    rows = -(-len(operations) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3.4 * columns, 2.6 * rows), layout="constrained", squeeze=False
    )
    for axes, operation in zip(grid.flat, operations, strict=False):
        for contender in contenders:
            points = _points(by_row.get((operation, contender), {}))
            if points:
                axes.loglog(*zip(*points, strict=True), marker="o", color=colors[contender])
        axes.set_title(operation, fontsize=9)
        axes.set_ylim(*_limits(*axes.get_ylim()))
        axes.grid(visible=True, which="major", alpha=0.3)
    for axes in grid.flat[len(operations) :]:
        axes.set_axis_off()
    lines = [
        mpl.lines.Line2D([], [], color=colors[each], marker="o", label=each) for each in contenders
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(4, len(contenders)))
    figure.suptitle("p50 in milliseconds by number of documents")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _limits(low: float, high: float) -> tuple[float, float]:
    """Widen the limits of an axis to two decades at least, so that a flat line looks flat."""
    middle = math.sqrt(low * high)
    return min(low, middle / 10), max(high, middle * 10)


def _by_row(runs: Sequence[Run]) -> dict[tuple[str, str], dict[int, Measurement]]:
    """Return the measurements by operation and contender, then by size. The newest of equal ones counts."""
    found: dict[tuple[str, str], dict[int, Measurement]] = {}
    listed = [each for run in runs for each in run.measurements]
    for operation in dict.fromkeys(each.operation for each in listed):
        for each in listed:
            if each.operation == operation:
                found.setdefault((operation, each.contender), {})[each.size] = each
    return found


def _points(row: dict[int, Measurement]) -> list[tuple[int, float]]:
    return [(size, each.p50) for size, each in sorted(row.items()) if each.p50]


def _cell(measurement: Measurement | None) -> str:
    """Return a median in milliseconds, with the recall if it was measured."""
    if measurement is None:
        return ""
    if measurement.p50 is None:
        return "–"
    digits = 2 if measurement.p50 < 10 else 1 if measurement.p50 < 100 else 0
    recall = "" if measurement.recall is None else f" ({measurement.recall:.3f})"
    return f"{measurement.p50:,.{digits}f}{recall}"
