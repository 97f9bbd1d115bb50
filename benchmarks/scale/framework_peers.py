"""Other stores of LangChain and Haystack as contenders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks.scale.operations import Store, UnsupportedOperationError
from benchmarks.scale.workload import Document, K, Vectors

__all__ = ["LangChainAws", "LangChainInMemory", "LangChainRedis", "ValkeyHaystack"]


class LangChainStore(Store):
    """A vector store of LangChain; what LangChain's interface has no method for is not available."""

    def __init__(self, name: str, store: Any, vectors: dict[str, list[float]]) -> None:
        self.name, self._store, self._vectors = name, store, vectors

    def add(self, documents: Sequence[Document]) -> None:
        for each in documents:
            self._vectors[each.text] = each.vector.tolist()
        self._store.add_texts(
            [each.text for each in documents],
            [{**each.metadata, "doc_id": each.id} for each in documents],
            ids=[each.id for each in documents],
        )
        self._vectors.clear()

    def get(self, ids: Sequence[str]) -> int:
        return len(self._store.get_by_ids(list(ids)))

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        chosen = {} if group is None else {"filter": self._filter(group)}
        found = self._store.similarity_search_by_vector(vector.tolist(), k=K, **chosen)
        return [document.metadata["doc_id"] for document in found]

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
    """`ValkeyVectorStore` of langchain-aws. It indexes no metadata, so it has no filters and no count."""

    def __init__(self, dimension: int, url: str) -> None:
        from langchain_aws.vectorstores import ValkeyVectorStore

        vectors: dict[str, list[float]] = {}
        store = ValkeyVectorStore(
            valkey_url=url,
            index_name=f"bench{uuid4().hex[:8]}",
            request_timeout=60_000,
            embedding=_known_embeddings(vectors),
            vector_schema={
                "name": "content_vector", "algorithm": "HNSW", "dims": dimension, "distance_metric": "COSINE",
                "datatype": "FLOAT32",
            },
        )  # fmt: skip
        super().__init__("langchain-aws", store, vectors)
        self._keys: set[str] = set()
        # The store does so itself, but release 1.9.1 fails on the error by which Valkey-Search 1.2 reports a missing index.
        attributes = ["TYPE", "FLOAT32", "DIM", str(dimension), "DISTANCE_METRIC", "COSINE"]
        field = ["content_vector", "VECTOR", "HNSW", str(len(attributes)), *attributes]
        prefix = ["PREFIX", "1", store.key_prefix]
        store.client.custom_command(
            ["FT.CREATE", store.index_name, "ON", "HASH", *prefix, "SCHEMA", *field]
        )

    def server(self) -> str:
        return "Valkey-Search"

    def add(self, documents: Sequence[Document]) -> None:
        keys = [self._key(each.id) for each in documents]
        self._store.add_texts(
            [each.text for each in documents],
            [{**each.metadata, "doc_id": each.id} for each in documents],
            [each.vector.tolist() for each in documents],
            keys,
        )
        self._keys.update(keys)

    def get(self, ids: Sequence[str]) -> int:  # noqa: ARG002 - it has no such method
        raise UnsupportedOperationError

    def search(self, vector: Vectors, *, group: str | None = None) -> list[str]:
        if group is not None:
            raise UnsupportedOperationError
        found = self._store.similarity_search_by_vector(vector.tolist(), k=K)
        return [document.metadata["doc_id"] for document in found]

    def delete(self, ids: Sequence[str]) -> None:
        self._store.delete([self._key(id) for id in ids])

    def close(self) -> None:
        self._store.client.custom_command(["FT.DROPINDEX", self._store.index_name])
        keys = list(self._keys)
        for start in range(0, len(keys), 1000):
            self._store.delete(keys[start : start + 1000])

    def _key(self, id: str) -> str:
        return f"{self._store.key_prefix}:{id}"


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
                {"name": "doc_id", "type": "tag"},
            ],
        )  # fmt: skip
        super().__init__(
            "langchain-redis", RedisVectorStore(_known_embeddings(vectors), config), vectors
        )

    def server(self) -> str:
        return "RediSearch"

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
    """`ValkeyDocumentStore` of valkey-haystack, which cannot be installed beside valkey-vector.

    It stores JSON, so the server needs the JSON module beside Valkey-Search.
    """

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
        self._added: set[str] = set()

    def server(self) -> str:
        return "Valkey-Search with the JSON module"

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
        self._added.update(each.id for each in documents)

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
        from haystack_integrations.document_stores.valkey.document_store import (
            ValkeyDocumentStoreError,
        )

        try:
            self._store.delete_by_filter(self._equal("batch", batch))
        except ValkeyDocumentStoreError as error:  # with 10,000 documents and more
            raise UnsupportedOperationError from error

    def close(self) -> None:
        # `delete_all_documents` leaves the documents, and the next index would have them too: it covers all JSON keys.
        self._store.delete_documents(list(self._added))
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
