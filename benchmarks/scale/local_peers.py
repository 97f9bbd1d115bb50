"""Stores that run in this process as contenders: Chroma, Qdrant's local mode, LanceDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from benchmarks.scale.operations import Store
from benchmarks.scale.workload import Document, K, Vectors

__all__ = ["Chroma", "LanceDb", "QdrantLocal"]


class Chroma(Store):
    """Chroma in this process, HNSW with its default parameters."""

    name = "chroma"

    def __init__(self, _: int, __: str) -> None:
        import chromadb
        from chromadb.config import Settings

        self._client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
        self._largest = self._client.get_max_batch_size()
        self._title = f"bench{uuid4().hex}"
        self._docs = self._client.create_collection(
            self._title, configuration={"hnsw": {"space": "cosine"}}
        )

    def add(self, documents: Sequence[Document]) -> None:
        for start in range(0, len(documents), self._largest):
            part = documents[start : start + self._largest]
            self._docs.upsert(
                ids=[each.id for each in part],
                embeddings=[each.vector for each in part],
                documents=[each.text for each in part],
                metadatas=[each.metadata for each in part],
            )

    def get(self, ids: Sequence[str]) -> int:
        return len(self._docs.get(list(ids))["ids"])

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        where: Any = None if group is None else {"group": group}
        found = self._docs.query(query_embeddings=[vector], n_results=K, where=where)
        ids: list[str] = found["ids"][0]
        return ids

    def count(self, group: str | None = None) -> int:
        if group is None:
            return int(self._docs.count())
        return len(self._docs.get(where={"group": group}, include=[])["ids"])

    def page(self) -> int:
        return len(self._docs.get(limit=100)["ids"])

    def delete(self, ids: Sequence[str]) -> None:
        self._docs.delete(ids=list(ids))

    def delete_batch(self, batch: str) -> None:
        self._docs.delete(where={"batch": batch})

    def close(self) -> None:
        self._client.delete_collection(self._title)


class QdrantLocal(Store):
    """qdrant-client's local mode, in memory."""

    name = "qdrant local"

    def __init__(self, dimension: int, _: str) -> None:
        from qdrant_client import QdrantClient, models

        self._models = models
        self._client = QdrantClient(":memory:")
        parameters = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
        self._client.create_collection("docs", vectors_config=parameters)

    def add(self, documents: Sequence[Document]) -> None:
        self._client.upsert(
            "docs",
            [
                self._models.PointStruct(
                    id=_as_uuid(each.id),
                    vector=each.vector.tolist(),
                    payload={**each.metadata, "id": each.id, "text": each.text},
                )
                for each in documents
            ],
        )

    def get(self, ids: Sequence[str]) -> int:
        return len(self._client.retrieve("docs", [_as_uuid(id) for id in ids]))

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        found = self._client.query_points(
            "docs", query=vector.tolist(), limit=K, query_filter=self._equal("group", group)
        )
        return [point.payload["id"] for point in found.points]

    def count(self, group: str | None = None) -> int:
        return int(self._client.count("docs", count_filter=self._equal("group", group)).count)

    def facets(self) -> dict[str, int]:
        found = self._client.facet("docs", key="group", limit=100)
        return {hit.value: hit.count for hit in found.hits}

    def ordered(self) -> list[str]:
        order = self._models.OrderBy(key="number", direction="desc")
        points, _ = self._client.scroll("docs", limit=K, order_by=order)
        return [point.payload["id"] for point in points]

    def page(self) -> int:
        return len(self._client.scroll("docs", limit=100)[0])

    def delete(self, ids: Sequence[str]) -> None:
        self._client.delete("docs", [_as_uuid(id) for id in ids])

    def delete_batch(self, batch: str) -> None:
        self._client.delete("docs", self._equal("batch", batch))

    def close(self) -> None:
        self._client.close()

    def _equal(self, key: str, value: str | None) -> Any:
        if value is None:
            return None
        match = self._models.MatchValue(value=value)
        return self._models.Filter(must=[self._models.FieldCondition(key=key, match=match)])


class LanceDb(Store):
    """LanceDB in a temporary directory, exact search, with a full-text index."""

    name = "lancedb"

    def __init__(self, dimension: int, _: str) -> None:
        import tempfile

        import lancedb
        import pyarrow as pa

        self._directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        text = [(name, pa.string()) for name in ("id", "text", "group", "batch")]
        schema = pa.schema(
            [*text, ("number", pa.int64()), ("vector", pa.list_(pa.float32(), dimension))]
        )
        self._table = lancedb.connect(self._directory.name).create_table("docs", schema=schema)
        self._filled = False

    def add(self, documents: Sequence[Document]) -> None:
        rows = [
            {"id": each.id, "text": each.text, "vector": each.vector, **each.metadata}
            for each in documents
        ]
        merge = self._table.merge_insert("id").when_matched_update_all()
        merge.when_not_matched_insert_all().execute(rows)

    def loaded(self) -> None:
        self._table.optimize()
        self._table.create_fts_index("text", replace=True)

    def get(self, ids: Sequence[str]) -> int:
        return len(self._table.search().where(_any_of(ids)).limit(len(ids)).to_list())

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        query = self._table.search(vector).distance_type("cosine").limit(K)
        if group is not None:
            query = query.where(f"`group` = '{group}'", prefilter=True)
        return [row["id"] for row in query.to_list()]

    def search_text(self, text: str) -> list[str]:
        found = self._table.search(text, query_type="fts").limit(K).to_list()
        return [row["id"] for row in found]

    def search_hybrid(self, vector: Vectors, text: str) -> list[str]:
        query = self._table.search(query_type="hybrid").vector(vector).text(text).limit(K)
        return [row["id"] for row in query.to_list()]

    def count(self, group: str | None = None) -> int:
        return int(self._table.count_rows(None if group is None else f"`group` = '{group}'"))

    def page(self) -> int:
        return len(self._table.search().limit(100).to_list())

    def delete(self, ids: Sequence[str]) -> None:
        self._table.delete(_any_of(ids))

    def delete_batch(self, batch: str) -> None:
        self._table.delete(f"batch = '{batch}'")

    def close(self) -> None:
        self._directory.cleanup()


def _as_uuid(id: str) -> str:
    return str(uuid5(NAMESPACE_OID, id))


def _any_of(ids: Sequence[str]) -> str:
    return "id IN (" + ", ".join(f"'{id}'" for id in ids) + ")"
