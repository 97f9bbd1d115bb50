"""Time every operation at growing sizes, and how it grows.

    python -m benchmarks scale                                  # embedded and a local server, to 100,000 documents
    python -m benchmarks scale --sizes 1000 10000 --peers       # with the other stores that are installed
    python -m benchmarks scale --search-url valkey://host:6379  # a server of yours
    python -m benchmarks scale --resume benchmarks/results/scale-….json
    python -m benchmarks scale --report FILE FILE               # one table of several runs, such as of two environments

Each run writes a JSON file and a PNG plot into benchmarks/results, and prints a table in Markdown. Times are of one machine at
one time: compare them within a run, and compare slopes. 0 is a time that does not grow, 1 one that grows as the documents do.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from benchmarks.scale.operations import LOAD, OPERATIONS, Store, UnsupportedOperationError, timed
from benchmarks.scale.report import plot, table
from benchmarks.scale.results import Measurement, Run, Settings
from benchmarks.scale.workload import Workload

RESULTS = Path(__file__).parents[1] / "results"
_LOAD_CHUNK = 2000
_OWN = ["embedded", "server"]

Opener = Callable[[], Store]


def main(arguments: list[str]) -> None:
    """Run, resume or report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument(
        "--contenders", nargs="+", default=_OWN, help="embedded, server, or names of peers"
    )
    parser.add_argument("--peers", action="store_true", help="add the peers that are installed")
    parser.add_argument(
        "--search-url", help="a server with a search module, instead of a local one"
    )
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="for each operation at each size"
    )
    parser.add_argument("--dimension", type=int, default=384, help="of the vectors")
    parser.add_argument("--words", type=int, default=80, help="of each text")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="continue the run of this file")
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="report only")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    chosen = parser.parse_args(arguments)
    if chosen.report:
        report([Run.load(path) for path in chosen.report], chosen.output / "scale.png")
        return
    if chosen.resume:
        run = Run.load(chosen.resume)
    else:
        sizes = tuple(sorted(set(chosen.sizes)))
        settings = Settings(sizes, chosen.dimension, chosen.words, chosen.seconds)
        run = Run.begin(chosen.output, settings)
    with openers(run.settings, chosen.contenders, chosen.search_url, peers=chosen.peers) as opened:
        for opener in opened.values():
            measure(run, opener)
    print(f"\n{run.path.name}: {run.machine}, {run.versions}\n", file=sys.stderr)
    report([run], run.path.with_suffix(".png"))


@contextmanager
def openers(
    settings: Settings, contenders: list[str], search_url: str | None, *, peers: bool
) -> Iterator[dict[str, Opener]]:
    """Provide a function for each contender that opens it empty. Starts a server if one is needed."""
    from benchmarks.scale.peers import PEERS, installed

    available = installed() if peers else []
    if search_url is None:
        for name in [name for name in available if PEERS[name].server == "Valkey-Search"]:
            print(f"left out: {name} needs --search-url with Valkey-Search", file=sys.stderr)
            available.remove(name)
    wanted = list(dict.fromkeys([*contenders, *available]))
    unknown = [name for name in wanted if name not in _OWN and name not in PEERS]
    if unknown:
        sys.exit(
            f"unknown contenders: {', '.join(unknown)}; there are {', '.join([*_OWN, *PEERS])}"
        )
    with ExitStack() as stack:

        @cache
        def local() -> str:
            sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
            from servers import start_server

            url: str = stack.enter_context(start_server(search=True, json=True)).url
            return url

        def opener(name: str) -> Opener:
            def peer() -> Store:
                needed = PEERS[name].server
                url = local() if needed == "RediSearch" else search_url or ""
                return PEERS[name].open(settings.dimension, url)

            def own() -> Store:
                from benchmarks.scale.stores import EmbeddedIndex, ServerIndex

                if name == "embedded":
                    return EmbeddedIndex(settings.dimension)
                return ServerIndex(search_url or local(), settings.dimension)

            return peer if name in PEERS else own

        yield {name: opener(name) for name in wanted}


def measure(run: Run, opener: Opener) -> None:
    """Grow one contender to each size, and time what is missing there."""
    names = [LOAD, *(operation.name for operation in OPERATIONS)]
    store = opener()
    try:
        missing = {size: run.missing(store.name, size, names) for size in run.settings.sizes}
        run.servers.setdefault(store.name, store.server())
        workload = Workload(run.settings.dimension, run.settings.words)
        size = 0
        for target in run.settings.sizes:
            if not any(missing[larger] for larger in run.settings.sizes if larger >= target):
                break
            load = _grow(store, workload, size, target)
            if LOAD in missing[target]:
                average = load / (target - size) * 1000
                _add(run, Measurement(store.name, LOAD, target, average * 1000, None, 1, _load()))
            size = target
            for operation in OPERATIONS:
                if operation.name in missing[target]:
                    timing = timed(operation, store, workload, size, run.settings.seconds)
                    recall = _recall(store, workload) if operation.name == "vector search" else None
                    _add(
                        run,
                        Measurement(
                            store.name,
                            operation.name,
                            size,
                            timing.p50,
                            timing.p95,
                            timing.calls,
                            _load(),
                            recall,
                        ),
                    )
            _check_count(store, size)
    finally:
        store.close()


def _grow(store: Store, workload: Workload, size: int, target: int) -> float:
    """Add documents up to a size; returns the seconds that the store needed."""
    seconds = 0.0
    for start in range(size, target, _LOAD_CHUNK):
        documents = workload.documents(start, min(target, start + _LOAD_CHUNK))
        workload.note_added(documents)
        began = time.perf_counter()
        store.add(documents)
        seconds += time.perf_counter() - began
        print(
            f"\r{store.name}: {start + len(documents):,} documents",
            end="",
            file=sys.stderr,
            flush=True,
        )
    print(file=sys.stderr)
    began = time.perf_counter()
    store.loaded()
    return seconds + time.perf_counter() - began


def _recall(store: Store, workload: Workload) -> float:
    queries = workload.true_neighbors()
    shares = [len(ids & set(store.search(vector))) / len(ids) for vector, ids in queries]
    return sum(shares) / len(shares)


def _check_count(store: Store, size: int) -> None:
    """Check that the operations left the documents that they found, if the contender can count them."""
    try:
        found = store.count()
    except UnsupportedOperationError:
        return
    if found != size:
        raise AssertionError(f"{store.name} holds {found} documents instead of {size}")


def _add(run: Run, measurement: Measurement) -> None:
    run.add(measurement)
    time_shown = "not available" if measurement.p50 is None else f"{measurement.p50:.2f} ms"
    print(
        f"{measurement.contender:12} {measurement.size:>10,}  {measurement.operation:26} {time_shown}"
        f"  ({measurement.calls} calls, load {measurement.load})",
        file=sys.stderr,
        flush=True,
    )


def _load() -> float:
    return round(os.getloadavg()[0], 2)


def report(runs: list[Run], image: Path) -> None:
    """Print the table and draw the plot."""
    print(table(runs))
    try:
        plot(runs, image)
    except ModuleNotFoundError as error:
        print(f"no plot: {error}", file=sys.stderr)
    else:
        print(f"plot: {image.name}", file=sys.stderr)
