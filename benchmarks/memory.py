"""Memory of one record on the server, by dimension, links, text and metadata.

The constants of `valkey_vector.operations.sizing` are the slopes between these rows. The server must be empty and have no other
client: its INFO is read before and after each index is written.

    python benchmarks/memory.py --url valkey://localhost:6379
    python benchmarks/memory.py --url valkey://localhost:6379 --engine native --records 10000
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pydoc_data.topics import topics

import numpy as np

from valkey_vector import Connection, Hnsw, Index, Record, Schema, UnsupportedFeatureError
from valkey_vector.operations import server_statistics
from valkey_vector.records.vectors import DataType


@dataclass(frozen=True)
class Case:
    """One row: an index of records of one shape."""

    dimension: int = 64
    m: int = 16
    content: int = 0
    keys: int = 0
    full_text: bool = False
    data_type: DataType = "FLOAT32"


BASE = Case()
CASES = [
    BASE,
    replace(BASE, dimension=384),
    replace(BASE, dimension=384, m=32),
    replace(BASE, dimension=1536),
    replace(BASE, dimension=384, data_type="FLOAT16"),
    replace(BASE, dimension=1536, data_type="FLOAT16"),
    replace(BASE, content=1000),
    replace(BASE, keys=6),
    replace(BASE, content=1000, full_text=True),
]


def records(case: Case, number: int) -> Iterator[Record]:
    """Random vectors, and pieces of the Python language reference as texts."""
    rng = np.random.default_rng(0)
    text = " ".join(" ".join(topics.values()).split())
    for each in range(number):
        start = int(rng.integers(len(text) - case.content))
        metadata = {
            f"key{key}": int(rng.integers(1000)) if key % 2 else f"value{int(rng.integers(1000))}"
            for key in range(case.keys)
        }
        vector = rng.normal(size=case.dimension).astype(np.float32)
        content = text[start : start + case.content]
        yield Record(id=f"document-{each:07}", vector=vector, content=content, metadata=metadata)


def measured(connection: Connection, case: Case, number: int, engine: str) -> float:
    """Bytes of one record."""
    before = server_statistics(connection).used_memory
    index = Index.open(
        "memory_benchmark",
        connection=connection,
        schema=Schema(data_type=case.data_type),
        dimension=case.dimension,
        algorithm=Hnsw(m=case.m, ef_construction=40),
        full_text=case.full_text,
        engine=engine,  # type: ignore[arg-type]
    )
    try:
        index.upsert(records(case, number), progress=False)
        index.wait_until_indexed()
        return (server_statistics(connection).used_memory - before) / number
    finally:
        index.drop()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="an empty server")
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--engine", choices=["search", "native"], default="search")
    arguments = parser.parse_args()
    with Connection.open(arguments.url, request_timeout=120) as connection:
        print(connection.capabilities.description)
        print("dimension   m  content  keys  full text  data type  bytes")
        for case in CASES:
            try:
                size = f"{measured(connection, case, arguments.records, arguments.engine):6.0f}"
            except UnsupportedFeatureError:
                size = "not available on this server"
            print(
                f"{case.dimension:9} {case.m:3} {case.content:8} {case.keys:5} {case.full_text!s:>10} "
                f"{case.data_type:>10} {size}",
                flush=True,
            )


if __name__ == "__main__":
    main()
