"""Other stores as contenders. Those that are installed can take part; none is needed by the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_OID, uuid4, uuid5

from benchmarks.scale.operations import Store
from benchmarks.scale.workload import Document, K, Vectors

__all__ = ["PEERS", "Peer", "installed"]


@dataclass(frozen=True, slots=True)
class Peer:
    """Another store.

    Attributes:
        package: the distribution that must be installed.
        open: opens it empty, for vectors of a dimension, at the URL of a server with a search module.
        server: True if it needs that server.
    """

    package: str
    open: Callable[[int, str], Store]
    server: bool = False


def installed() -> list[str]:
    """Return the names of the peers that are installed."""
    found = []
    for name, peer in PEERS.items():
        try:
            version(peer.package)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found


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
        from lancedb.index import FTS

        self._table.optimize()
        self._table.create_index("text", config=FTS(), replace=True) if hasattr(
            self._table, "create_index_async"
        ) else self._table.create_fts_index("text", replace=True)

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


class LangChainStore(Store):
    """A vector store of LangChain; what LangChain's interface has no method for is not available."""

    def __init__(self, name: str, store: Any, vectors: dict[str, list[float]]) -> None:
        self.name, self._store, self._vectors = name, store, vectors
        self._count = 0

    def add(self, documents: Sequence[Document]) -> None:
        for each in documents:
            self._vectors[each.text] = each.vector.tolist()
        self._store.add_texts(
            [each.text for each in documents],
            [each.metadata for each in documents],
            ids=[each.id for each in documents],
        )
        self._vectors.clear()

    def get(self, ids: Sequence[str]) -> int:
        return len(self._store.get_by_ids(list(ids)))

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        chosen = {} if group is None else {"filter": self._filter(group)}
        found = self._store.similarity_search_by_vector(vector.tolist(), k=K, **chosen)
        return [document.id for document in found]

    def delete(self, ids: Sequence[str]) -> None:
        self._store.delete(list(ids))

    def _filter(self, group: str) -> Any:
        return lambda document: document.metadata["group"] == group


class LangChainInMemory(LangChainStore):
    """`InMemoryVectorStore` of LangChain."""

    def __init__(self, _: int, __: str) -> None:
        from langchain_core.vectorstores import InMemoryVectorStore

        vectors: dict[str, list[float]] = {}
        store = InMemoryVectorStore(_known_embeddings(vectors))
        super().__init__("LangChain in memory", store, vectors)

    def count(self, group: str | None = None) -> int:
        documents = self._store.store.values()
        return sum(group is None or each["metadata"]["group"] == group for each in documents)


class LangChainAws(LangChainStore):
    """`ValkeyVectorStore` of langchain-aws."""

    def __init__(self, dimension: int, url: str) -> None:
        from langchain_aws.vectorstores import ValkeyVectorStore

        vectors: dict[str, list[float]] = {}
        self._name = f"bench{uuid4().hex[:8]}"
        store = ValkeyVectorStore(
            embedding=_known_embeddings(vectors),
            valkey_url=url,
            index_name=self._name,
            vector_schema={
                "name": "content_vector", "algorithm": "HNSW", "dims": dimension, "distance_metric": "COSINE",
                "datatype": "FLOAT32",
            },
            index_schema={"tag": [{"name": "group"}, {"name": "batch"}], "numeric": [{"name": "number"}]},
        )  # fmt: skip
        super().__init__("langchain-aws", store, vectors)

    def _filter(self, group: str) -> Any:
        return f"@group:{{{group}}}"


class LangChainRedis(LangChainStore):
    """`RedisVectorStore` of langchain-redis."""

    def __init__(self, dimension: int, url: str) -> None:
        from langchain_redis import RedisConfig, RedisVectorStore

        vectors: dict[str, list[float]] = {}
        config = RedisConfig(
            index_name=f"bench{uuid4().hex[:8]}",
            redis_url=url.replace("valkey://", "redis://"),
            indexing_algorithm="HNSW",
            distance_metric="COSINE",
            vector_datatype="FLOAT32",
            embedding_dimensions=dimension,
            metadata_schema=[
                {"name": "group", "type": "tag"}, {"name": "batch", "type": "tag"}, {"name": "number", "type": "numeric"},
            ],
        )  # fmt: skip
        super().__init__(
            "langchain-redis", RedisVectorStore(_known_embeddings(vectors), config), vectors
        )

    def count(self, group: str | None = None) -> int:
        from redisvl.query import CountQuery

        return int(
            self._store.index.query(CountQuery(None if group is None else self._filter(group)))
        )

    def close(self) -> None:
        self._store.index.delete(drop=True)

    def _filter(self, group: str) -> Any:
        from redisvl.query.filter import Tag

        return Tag("group") == group


class ValkeyHaystack(Store):
    """`ValkeyDocumentStore` of valkey-haystack, which cannot be installed beside valkey-vector."""

    name = "valkey-haystack"

    def __init__(self, dimension: int, url: str) -> None:
        from haystack_integrations.document_stores.valkey import ValkeyDocumentStore

        address = urlsplit(url)
        self._store = ValkeyDocumentStore(
            nodes_list=[(address.hostname, address.port or 6379)],
            index_name=f"bench{uuid4().hex[:8]}",
            embedding_dim=dimension,
            metadata_fields={"group": str, "batch": str, "number": int},
        )

    def add(self, documents: Sequence[Document]) -> None:
        from haystack import Document as HaystackDocument
        from haystack.document_stores.types import DuplicatePolicy

        self._store.write_documents(
            [
                HaystackDocument(
                    id=each.id,
                    content=each.text,
                    embedding=each.vector.tolist(),
                    meta=each.metadata,
                )
                for each in documents
            ],
            DuplicatePolicy.OVERWRITE,
        )

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        chosen = None if group is None else self._equal("group", group)
        found = self._store._embedding_retrieval(vector.tolist(), filters=chosen, limit=K)
        return [document.id for document in found]

    def count(self, group: str | None = None) -> int:
        if group is None:
            return int(self._store.count_documents())
        return int(self._store.count_documents_by_filter(self._equal("group", group)))

    def delete(self, ids: Sequence[str]) -> None:
        self._store.delete_documents(list(ids))

    def delete_batch(self, batch: str) -> None:
        self._store.delete_by_filter(self._equal("batch", batch))

    def close(self) -> None:
        self._store.delete_all_documents()

    def _equal(self, key: str, value: str) -> dict[str, Any]:
        return {"field": f"meta.{key}", "operator": "==", "value": value}


def _known_embeddings(vectors: dict[str, list[float]]) -> Any:
    """Return LangChain embeddings that look vectors up, so that no time of a model is measured."""
    from langchain_core.embeddings import Embeddings

    class Known(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [vectors[text] for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return vectors[text]

    return Known()


def _as_uuid(id: str) -> str:
    return str(uuid5(NAMESPACE_OID, id))


def _any_of(ids: Sequence[str]) -> str:
    return "id IN (" + ", ".join(f"'{id}'" for id in ids) + ")"


PEERS = {
    "chroma": Peer("chromadb", Chroma),
    "qdrant local": Peer("qdrant-client", QdrantLocal),
    "lancedb": Peer("lancedb", LanceDb),
    "LangChain in memory": Peer("langchain-core", LangChainInMemory),
    "langchain-aws": Peer("langchain-aws", LangChainAws, server=True),
    "langchain-redis": Peer("langchain-redis", LangChainRedis, server=True),
    "valkey-haystack": Peer("valkey-haystack", ValkeyHaystack, server=True),
}
"""The other stores by name."""
