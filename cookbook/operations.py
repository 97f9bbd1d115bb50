"""Examine a server, explain a query and repair an index, as an operator does.

The program fills an index with the Python language reference and then breaks it in three ways. The doctor names each fault, and
repair fixes those that can be fixed. Without --url the program starts a private Valkey server, which ends with it.

    python cookbook/operations.py
    python cookbook/operations.py --url valkey://localhost:6379
"""

from __future__ import annotations

import argparse
import hashlib
import math
import uuid
from pydoc_data.topics import topics

from valkey_vector import Connection, F, Index, Record, VectorQuery
from valkey_vector.operations import (
    SearchRequest,
    Severity,
    acl_line,
    diagnose,
    estimate_size,
    search,
    server_statistics,
)

DIMENSION = 64


def embed(text: str) -> list[float]:
    """A small embedding without a model: counts of words by their digest, of length one."""
    counts = [0.0] * DIMENSION
    for word in text.lower().split():
        counts[hashlib.sha256(word.encode()).digest()[0] % DIMENSION] += 1
    length = math.hypot(*counts) or 1.0
    return [count / length for count in counts]


def records() -> list[Record]:
    return [
        Record(
            id=topic,
            content=text[:500],
            vector=embed(text),
            metadata={"characters": len(text), "initial": topic[0].lower()},
        )
        for topic, text in sorted(topics.items())
    ]


def examine(connection: Connection, name: str) -> None:
    """Print errors and warnings about one index."""
    report = diagnose(connection.settings, names=[name], recall=False)
    found = [each for each in report.findings if each.code.startswith("index.")]
    for each in found:
        print(f"  {each.severity} {each.code}: {each.what}\n    cure: {each.cure}")
    if all(each.severity is Severity.NOTE for each in found):
        print(f"  the index is in order ({len(report.checked)} checks)")


def show(index: Index) -> None:
    connection = index.connection
    print(f"{connection.capabilities.description}: {index.count()} records")

    print("\nMost similar to the topic 'lists'")
    for hit in search(index, SearchRequest(like="lists", k=3)).hits:
        print(f"  {hit.similarity:.3f}  {hit.record.id}")

    print("\nHow a filtered search is answered")
    query = VectorQuery(vector=embed("exception"), k=3, filter=F("characters") > 2000)
    print(index.explain(query))

    print("\nThe least that an application needs")
    print(f"  {acl_line('application', [index.name], index.info().engine).line}")

    statistics = server_statistics(connection)
    size = estimate_size(1_000_000, DIMENSION, engine=index.info().engine)
    print(f"\nThe server uses {statistics.used_memory:,} bytes;", end=" ")
    print(f"a million such records would need about {size.total / 1024**3:.1f} GiB")


def break_and_repair(index: Index) -> None:
    connection, name = index.connection, index.name
    connection.execute("HSET", f"{name}:lists", "vector", b"too short")
    connection.execute("HDEL", f"{name}:dynamic-features", "tags")
    connection.execute("HSET", f"{name}:intruder", "owner", "another program")

    print("\nThe doctor, after three faults")
    examine(connection, name)
    report = index.repair(dry_run=False, remove_damaged=True)
    mended = sum(finding.mended for finding in report.findings)
    print(f"\nrepair mended {mended} problems. The doctor again:")
    examine(connection, name)
    connection.execute("DEL", f"{name}:intruder")
    print(f"in order after repair: {index.verify().ok}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a Valkey server; by default VALKEY_URL or a private one")
    arguments = parser.parse_args()
    name = f"operations_{uuid.uuid4().hex[:8]}"
    with Index.open(name, url=arguments.url, dimension=DIMENSION) as index:
        try:
            index.upsert(records())
            show(index)
            break_and_repair(index)
        finally:
            index.drop()


if __name__ == "__main__":
    main()
