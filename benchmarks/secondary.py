"""Secondary indexes at growing sizes: speed and bytes per entry, with the slope of both.

    python -m benchmarks.secondary [--sizes 10000 100000 1000000] [--only Completion]

Prints Markdown. Each index is filled and measured alone on its own plain server. Times are of one machine at one time: compare
them with a single GET, and read the slopes. A slope is that of log(time) against log(members): 0 for a time that does not grow,
1 for one that grows as the number of members does.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from benchmarks.scale.report import slope as growth
from benchmarks.words import word
from servers import start_server
from valkey_vector import Connection
from valkey_vector.secondary import (
    Column,
    Completion,
    CompositeIndex,
    Dimension,
    LexicalIndex,
    NumericIndex,
    RandomSet,
    Rotation,
    SpatialIndex,
    TripleStore,
    Variable,
)

CALLS = 1500
CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Case:
    """One index: functions that open it, fill it and call it."""

    name: str
    opened: Callable[[Connection], Any]
    fill: Callable[[Any, range, random.Random], object]
    calls: Callable[[Any, int, random.Random], dict[str, Callable[[], object]]]


def frequency(rng: random.Random) -> int:
    """Return a random frequency of a text: a few are high, most are 1 or 2."""
    return min(10**6, int(rng.paretovariate(0.8)))


def numeric(index: Any, size: int, rng: random.Random) -> dict[str, Callable[[], object]]:
    return {
        "add": lambda: index.add(f"m{rng.randrange(size)}", rng.randrange(10**9)),
        "range of 10": lambda: index.range(ge=rng.randrange(10**9), limit=10),
        "count": lambda: index.count(ge=rng.randrange(10**9)),
    }


def lexical(index: Any, size: int, rng: random.Random) -> dict[str, Callable[[], object]]:
    return {
        "add": lambda: index.add(word(rng.randrange(size))),
        "prefix, 10": lambda: index.range(prefix=word(rng.randrange(size))[:4], limit=10),
        "count": lambda: index.count(prefix=word(rng.randrange(size))[:2]),
    }


def completion(index: Any, size: int, rng: random.Random) -> dict[str, Callable[[], object]]:
    def typed(letters: int) -> Callable[[], object]:
        return lambda: index.suggest(word(rng.randrange(size))[:letters])

    return {
        "record": lambda: index.record(word(rng.randrange(size))),
        "suggest, 1 letter": typed(1),
        "suggest, 3 letters": typed(3),
        "suggest, 6 letters": typed(6),
        "suggest, fuzzy": lambda: index.suggest(word(rng.randrange(size))[:6] + "x", fuzzy=True),
    }


def composite(index: Any, size: int, rng: random.Random) -> dict[str, Callable[[], object]]:
    return {
        "put": lambda: index.put(f"m{rng.randrange(size)}", row(rng)),
        "equal and range, 10": lambda: index.range(
            {"room": rng.randrange(1000)}, ge=rng.random() * 100, limit=10
        ),
        "count": lambda: index.count({"room": rng.randrange(1000)}),
    }


def row(rng: random.Random) -> dict[str, Any]:
    return {"room": rng.randrange(1000), "price": rng.random() * 100}


def spatial(index: Any, size: int, rng: random.Random) -> dict[str, Callable[[], object]]:
    side = math.sqrt(20 / size)  # boxes of about 20 points

    def box() -> object:
        x, y = rng.random() * (1 - side), rng.random() * (1 - side)
        return index.box((x, y), (x + side, y + side))

    return {
        "put": lambda: index.put(f"m{rng.randrange(size)}", (rng.random(), rng.random())),
        "box of 20": box,
        "10 nearest": lambda: index.nearest((rng.random(), rng.random()), 10),
    }


def triples(index: Any, size: int, rng: random.Random) -> dict[str, Callable[[], object]]:
    nodes = max(10, size // 10)
    friend = Variable("friend")

    def node() -> str:
        return f"n{rng.randrange(nodes)}"

    return {
        "add": lambda: index.add(node(), "knows", node()),
        "match, 10": lambda: index.match(node(), limit=10),
        "join of 2": lambda: list(
            index.join([(node(), "p1", friend), (friend, "p2", Variable("other"))])
        ),
        "paths of 2": lambda: list(islice(index.paths(node(), node(), 2), 5)),
    }


def edges(number: range, rng: random.Random, size: int) -> Iterator[tuple[str, str, str]]:
    nodes = max(10, size // 10)
    for _ in number:
        yield f"n{rng.randrange(nodes)}", f"p{rng.randrange(10)}", f"n{rng.randrange(nodes)}"


def rotation(index: Any, _: int, __: random.Random) -> dict[str, Callable[[], object]]:
    return {"take and done": lambda: index.done(index.take())}


def random_set(index: Any, size: int, rng: random.Random) -> dict[str, Callable[[], object]]:
    return {
        "sample of 10": lambda: index.sample(10),
        "add": lambda: index.add(f"m{rng.randrange(size)}"),
    }


COLUMNS = [Column("room", int), Column("price", float)]
PLANE = [Dimension("x", 0.0, 1, 1e-6), Dimension("y", 0.0, 1, 1e-6)]
CASES = [
    Case(
        "NumericIndex",
        lambda c: NumericIndex("b", connection=c),
        lambda i, part, rng: i.add_many((f"m{n}", rng.randrange(10**9)) for n in part),
        numeric,
    ),
    Case(
        "LexicalIndex",
        lambda c: LexicalIndex("b", connection=c),
        lambda i, part, _: i.add_many(word(n) for n in part),
        lexical,
    ),
    Case(
        "Completion",
        lambda c: Completion("b", max_entries=10**7, connection=c),
        lambda i, part, rng: i.record_many((word(n), frequency(rng)) for n in part),
        completion,
    ),
    Case(
        "CompositeIndex",
        lambda c: CompositeIndex("b", COLUMNS, connection=c),
        lambda i, part, rng: i.put_many((f"m{n}", row(rng)) for n in part),
        composite,
    ),
    Case(
        "SpatialIndex",
        lambda c: SpatialIndex("b", PLANE, connection=c),
        lambda i, part, rng: i.put_many((f"m{n}", (rng.random(), rng.random())) for n in part),
        spatial,
    ),
    Case(
        "TripleStore",
        lambda c: TripleStore("b", connection=c),
        lambda i, part, rng: i.add_many(edges(part, rng, part.stop)),
        triples,
    ),
    Case(
        "RandomSet",
        lambda c: RandomSet("b", connection=c),
        lambda i, part, _: i.add_many(f"m{n}" for n in part),
        random_set,
    ),
    Case(
        "Rotation",
        lambda c: Rotation("b", connection=c),
        lambda i, part, _: i.add_many(f"m{n}" for n in part),
        rotation,
    ),
]


def timed(call: Callable[[], object]) -> list[float]:
    """Return the milliseconds of single calls, sorted."""
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return sorted(times)


def used(connection: Connection) -> int:
    """Return the bytes that the server has allocated."""
    lines = connection.execute("INFO", "memory").decode().splitlines()
    return int(dict(line.split(":", 1) for line in lines if ":" in line)["used_memory"])


def server_time(connection: Connection) -> float:
    """Return the p99 of the server's own time for scripts, in milliseconds."""
    lines = connection.execute("INFO", "latencystats").decode().splitlines()
    (line,) = [each for each in lines if each.startswith("latency_percentiles_usec_eval:")]
    return float(dict(part.split("=") for part in line.split(":")[1].split(","))["p99"]) / 1000


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the slope of log(values) against log(sizes)."""
    return growth(list(zip(sizes, values, strict=True)))


def measure(case: Case, sizes: Sequence[int]) -> None:
    """Grow one index to each size in turn, and print its table."""
    rng = random.Random(1)
    medians: dict[str, list[float]] = {}
    rows: list[str] = []
    per_entry: list[float] = []
    with start_server() as server, Connection.open(server.url, request_timeout=60) as connection:
        index = case.opened(connection)
        connection.execute("SET", "one", "x")
        get = statistics.median(timed(lambda: connection.execute("GET", "one")))
        empty, at, seconds = used(connection), 0, 0.0
        for size in sizes:
            start, first = time.perf_counter(), at
            while at < size:
                stop = min(size, at + CHUNK)
                case.fill(index, range(at, stop), rng)
                at = stop
            seconds = time.perf_counter() - start
            per_entry.append((used(connection) - empty) / size)
            loaded = f"| {case.name} | {size:,} | load | {(size - first) / seconds:,.0f}/s | | | | {per_entry[-1]:.0f} |"
            rows.append(loaded)
            for name, call in case.calls(index, size, rng).items():
                connection.execute("CONFIG", "RESETSTAT")
                times = timed(call)
                server_p99 = server_time(connection)
                middle = statistics.median(times)
                medians.setdefault(name, []).append(middle)
                p99 = times[int(len(times) * 0.99)]
                rows.append(
                    f"| | | {name} | {middle:.3f} | {p99:.3f} | {server_p99:.3f} | {middle / get:.1f} | |"
                )
    print("\n".join(rows))
    slopes = ", ".join(f"{name} {slope(sizes, values):+.2f}" for name, values in medians.items())
    memory = slope(sizes, per_entry)
    print(
        f"| | slopes | {slopes}; bytes per entry {memory:+.2f} | | | | GET {get:.3f} ms | |",
        flush=True,
    )


def main() -> None:
    """Measure every index, or those in ``--only``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.secondary", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--only", nargs="+", default=[case.name for case in CASES])
    arguments = parser.parse_args()
    print(
        "| index | members | call | p50 ms | p99 ms | server p99 ms | times a GET | bytes per entry |"
    )
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for case in CASES:
        if case.name in arguments.only:
            measure(case, sorted(arguments.sizes))


if __name__ == "__main__":
    main()
