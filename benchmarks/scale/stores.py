"""The library's own index as a contender, on the embedded server or on another one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from uuid import uuid4

from benchmarks.scale.operations import Store
from benchmarks.scale.workload import Document, K, Vectors
from valkey_vector import F, FilterQuery, Index, Record

__all__ = ["EmbeddedIndex", "ServerIndex"]

_ROOT = Path(__file__).parents[2]


class ServerIndex(Store):
    """`valkey_vector.Index` with full text, on a server.

    Args:
        url: the server.
        dimension: length of the vectors.
        name: name of the contender.
    """

    def __init__(self, url: str, dimension: int, name: str = "server") -> None:
        self.name, self._url = name, url
        self._index = Index.open(
            f"bench-scale-{uuid4().hex[:8]}", url=url, dimension=dimension, full_text=True
        )
        self._index.create()

    def server(self) -> str:
        return self._index.connection.capabilities.description

    def add(self, documents: Sequence[Document]) -> None:
        self._index.upsert(
            [
                Record(id=each.id, content=each.text, vector=each.vector, metadata=each.metadata)
                for each in documents
            ],
            progress=False,
        )

    def loaded(self) -> None:
        self._index.wait_until_indexed(timeout=3600, progress=False)

    def get(self, ids: Sequence[str]) -> int:
        return sum(record is not None for record in self._index.get(ids))

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        chosen = None if group is None else F("group") == group
        return [hit.record.id for hit in self._index.search(vector, k=K, filter=chosen)]

    def search_text(self, text: str) -> list[str]:
        return [hit.record.id for hit in self._index.search_text(text, k=K)]

    def search_hybrid(self, vector: Vectors, text: str) -> list[str]:
        return [hit.record.id for hit in self._index.search_hybrid(vector, text, k=K)]

    def count(self, group: str | None = None) -> int:
        return self._index.count(None if group is None else F("group") == group)

    def facets(self) -> dict[str, int]:
        return {
            str(each.value): each.count for each in self._index.facets(["group"])["group"].values
        }

    def ordered(self) -> list[str]:
        found = self._index.select(order_by="number", descending=True, limit=K)
        return [record.id for record in found]

    def page(self) -> int:
        return sum(1 for _ in islice(self._index.iterate(FilterQuery()), 100))

    def delete(self, ids: Sequence[str]) -> None:
        self._index.delete(ids)

    def delete_batch(self, batch: str) -> None:
        self._index.delete_by_filter(F("batch") == batch)

    def first_search(self, vector: Vectors) -> float:
        program = [
            sys.executable,
            "-m",
            "benchmarks.scale.first_search",
            self._url,
            self._index.name,
        ]
        ended = subprocess.run(  # noqa: S603 - this very benchmark
            program,
            cwd=_ROOT,
            input=json.dumps(vector.tolist()),
            capture_output=True,
            text=True,
            check=True,
        )
        return float(ended.stdout)

    def close(self) -> None:
        self._index.drop()
        self._index.close()


class EmbeddedIndex(ServerIndex):
    """`valkey_vector.Index` on an embedded server that keeps its data in a temporary directory."""

    def __init__(self, dimension: int) -> None:
        self._directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        super().__init__(f"embedded://{self._directory.name}", dimension, "embedded")

    def close(self) -> None:
        super().close()
        self._directory.cleanup()
