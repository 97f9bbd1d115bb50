"""The verbs `statistics`, `watch` and `size`."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from typing import Any

import click

from valkey_vector.command_line.output import facts, plain, print_json, table
from valkey_vector.command_line.session import Session, with_server
from valkey_vector.operations.server_statistics import SearchStatistics, server_statistics
from valkey_vector.operations.sizing import SizeEstimate, estimate_size
from valkey_vector.operations.watching import Sample, watch
from valkey_vector.records.amounts import counted
from valkey_vector.records.vectors import DATA_TYPES

__all__ = ["VERBS"]


@click.command("statistics")
@with_server
def statistics(session: Session) -> None:
    """Print the statistics of each node and of its search module."""
    with session.connection() as connection:
        found = server_statistics(connection)
    if session.as_json:
        print_json(found)
        return
    columns = (
        "node",
        "version",
        "clients",
        "used_memory",
        "max_memory",
        "commands_per_second",
        "evicted_keys",
    )
    table("Nodes", columns, [[getattr(node, name) for name in columns] for node in found.nodes])
    names = [each.name for each in fields(SearchStatistics) if each.name != "other"]
    shown = [name for name in names if any(getattr(node.search, name) for node in found.nodes)]
    rows = [
        (name, *(getattr(node.search, name) for node in found.nodes), getattr(found.search, name))
        for name in shown
    ]
    if rows:
        table("Search module", ("statistic", *(node.node for node in found.nodes), "total"), rows)


@click.command("watch")
@click.option(
    "--interval", type=float, default=2.0, show_default=True, help="Seconds between samples."
)
@click.option("--count", type=int, help="Number of samples. Default: until interrupted.")
@with_server
def watch_verb(session: Session, *, interval: float, count: int | None) -> None:
    """Print latency, rates, memory and hit rates at intervals. With --json, one line for each sample."""
    names = [each.name for each in fields(Sample)]
    with session.connection() as connection:
        for number, sample in enumerate(watch(connection, interval=interval, count=count)):
            if session.as_json:
                sys.stdout.write(json.dumps(plain(sample)) + "\n")
            else:
                if number % 20 == 0:
                    sys.stdout.write(" ".join(f"{name:>12}" for name in names) + "\n")
                values = (_short(getattr(sample, name)) for name in names)
                sys.stdout.write(" ".join(f"{value:>12}" for value in values) + "\n")
            sys.stdout.flush()


def _short(value: Any) -> str:
    match value:
        case None:
            return "–"
        case float():
            return f"{value:.2f}"
        case _:
            return f"{value:,}"


@click.command("size")
@click.argument("documents", type=int)
@click.option("--dim", "dimension", type=int, required=True, help="Length of the vectors.")
@click.option(
    "--engine", type=click.Choice(["search", "native"]), default="search", show_default=True
)
@click.option("-m", type=int, default=16, show_default=True, help="Links of HNSW; 0 for FLAT.")
@click.option(
    "--content", type=int, default=500, show_default=True, help="Average bytes of a text."
)
@click.option(
    "--keys", type=int, default=5, show_default=True, help="Average number of metadata keys."
)
@click.option("--full-text", is_flag=True, help="The index has full text.")
@click.option("--headroom", type=float, default=0.25, show_default=True, help="Share to add.")
@click.option("--node-memory", type=float, help="Memory of a node in GiB, for the number of nodes.")
@click.option(
    "--data-type",
    type=click.Choice(DATA_TYPES, case_sensitive=False),
    default="FLOAT32",
    show_default=True,
    help="Element type of the vectors.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def size(documents: int, *, dimension: int, as_json: bool, **options: Any) -> None:
    """Estimate the memory of an index of DOCUMENTS records. Needs no server."""
    estimate = estimate_size(documents, dimension, **options)
    if as_json:
        print_json(estimate)
        return
    bytes_of = ("vectors", "texts", "metadata", "other", "total", "maxmemory", "client")
    values: dict[str, Any] = {
        each.name: getattr(estimate, each.name) for each in fields(SizeEstimate)
    }
    shown = {
        name: f"{value:,} bytes ({value / 1024**3:.2f} GiB)" if name in bytes_of else value
        for name, value in values.items()
    }
    facts(
        f"Estimate for {counted(documents, 'record')} of {counted(dimension, 'dimension')}", shown
    )


VERBS = (statistics, watch_verb, size)
