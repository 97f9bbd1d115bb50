"""`ValkeyVectorStore`: LlamaIndex's vector store, translated to the core's `Index`."""

# Complete signatures, where the base class takes any keyword.
# mypy: disable-error-code="override"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from llama_index.core.base.embeddings.base import SimilarityMode
from llama_index.core.base.embeddings.base import similarity as similarity_of
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from llama_index.storage.kvstore.valkey.components import ServerComponent
from llama_index.vector_stores.valkey.filters import to_filter
from llama_index.vector_stores.valkey.nodes import to_node, to_record
from llama_index.vector_stores.valkey.queries import (
    MMR_KEYWORDS,
    TEXT_KEYWORDS,
    check_source,
    check_threshold,
    filter_query,
    hybrid_query,
    mmr_candidates,
    refuse_unknown,
    restriction,
    text_query,
    vector_query,
)
from valkey_vector import (
    Connection,
    F,
    FullText,
    Index,
    InvalidInputError,
    Metric,
    Record,
    Schema,
)
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.index.settings import EngineChoice
from valkey_vector.records.validation import check_k

__all__ = ["ValkeyVectorStore"]

_SIMILARITIES = {
    Metric.COSINE: SimilarityMode.DEFAULT,
    Metric.IP: SimilarityMode.DOT_PRODUCT,
    Metric.L2: SimilarityMode.EUCLIDEAN,
}


class ValkeyVectorStore(ServerComponent, BasePydanticVectorStore):
    """Nodes on Valkey, found by embedding, words, metadata, id and source document.

    With neither `url` nor `connection` nor ``VALKEY_URL`` it lives in a private server, started on first use
    and gone with the process. Nothing is asked of a server before the first operation, and the index is made by the first
    write. Every method has an async version, which does not block the event loop. Every metadata key can be
    filtered on, with every operator, and none needs a declaration.

    Args:
        url: the server, such as ``valkey://user:password@host:6379``.
        index_name: nodes of different indexes never mix.
        connection: an open connection to share instead of `url`; it is not closed with the store.
        dimension: length of the embeddings; by default the existing index's, or the first embedding's.
        metric: COSINE (default for a new index), L2 or IP.
        algorithm: HNSW (default for a new index) or FLAT.
        index_schema: all settings of the index at once, as a `Schema`, a dict or a YAML file.
        engine: ``auto``, or insist on ``search`` or ``native``.
        full_text: index the words of a new index's texts, for the modes that search them: True, or how, as a `FullText` or
            a dict of its settings. By default as the existing index, or not. Takes about twice the texts' size on
            the server, and cannot be changed later.
        embedding_model: recorded with a new index; opening it for another model is an error.
        must_exist: raise now if there is no such index.

    Raises:
        ConfigurationError: a setting is wrong (a ValueError).
        IndexNotFoundError: `must_exist`, and there is none.
        IndexMismatchError: the index exists with other settings; without `must_exist` found out at first use.
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    index_name: str
    dimension: int | None = None
    metric: str | None = None
    algorithm: str | None = None
    index_schema: dict[str, Any] | None = None
    engine: EngineChoice = "auto"
    full_text: bool | dict[str, Any] | None = None
    embedding_model: str | None = None

    def __init__(
        self,
        url: str | None = None,
        *,
        index_name: str = "llamaindex",
        connection: Connection | None = None,
        dimension: int | None = None,
        metric: Metric | str | None = None,
        algorithm: str | None = None,
        index_schema: Schema | Mapping[str, Any] | str | Path | None = None,
        engine: EngineChoice = "auto",
        full_text: FullText | Mapping[str, Any] | bool | None = None,
        embedding_model: str | None = None,
        must_exist: bool = False,
    ) -> None:
        words = FullText.of(full_text) if isinstance(full_text, Mapping) else full_text
        index = Index.open(
            index_name,
            dimension=dimension,
            url=url,
            connection=connection,
            metric=metric,
            algorithm=algorithm,
            schema=index_schema,
            engine=engine,
            full_text=words,
            embedding_model=embedding_model,
            must_exist=must_exist,
        )
        fields: dict[str, Any] = {
            "url": self._shareable(url),
            "index_name": index_name,
            "dimension": dimension,
            "metric": None if metric is None else str(metric),
            "algorithm": algorithm,
            "index_schema": None if index_schema is None else Schema.of(index_schema).to_dict(),
            "engine": engine,
            "full_text": asdict(words) if isinstance(words, FullText) else words,
            "embedding_model": embedding_model,
        }
        super().__init__(**fields)
        self._held, self._shared = index, connection is not None

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls the class when it is serialised."""
        return "ValkeyVectorStore"

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """The store that `to_dict` described; keywords, such as `url` with its password, come before that."""
        settings = {**data, **kwargs}
        for name in ("class_name", "stores_text", "is_embedding_query"):
            settings.pop(name, None)
        return cls(**settings)

    @property
    def index(self) -> Index:
        """The core's index, for what LlamaIndex has no words for: count, update, drop, wait, …."""
        held: Index = self._held
        return held

    def add(self, nodes: Sequence[BaseNode], *, ttl: float | None = None) -> list[str]:
        """Store nodes, in place of those with the same ids; returns their ids in order.

        A node without an embedding is stored, too: it is found by id, filter and source document, never by embedding.

        Args:
            nodes: of an id that occurs twice the last one stays.
            ttl: seconds until these are gone; None keeps them.

        Raises:
            InvalidInputError: something in a node cannot be stored, or its embedding is not of the index's
                dimension; nothing was stored.
            ConfigurationError: there is no index yet, and no dimension: neither from a node nor from an argument.
            PartialWriteError: some were not stored; says which.
        """
        records = {record.id: record for record in map(to_record, nodes)}
        if records:
            self.index.upsert(list(records.values()), ttl=ttl)
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str) -> None:
        """Remove all nodes of a source document; that there are none is no error.

        Raises:
            InvalidInputError: the id is not text; None would remove every node that has no source.
        """
        self.index.delete_by_filter(F.parent == check_source(ref_doc_id))

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> None:
        """Remove nodes by id, by filter, or those of the ids that match the filter.

        Raises:
            InvalidInputError: neither is given, which would remove everything: for that call `clear`.
        """
        chosen = restriction(filters, node_ids)
        if chosen is None:
            raise InvalidInputError(
                "delete_nodes without ids or filters would remove everything: for that call clear()"
            )
        if node_ids is not None and to_filter(filters) is None:
            self.index.delete(node_ids)
        else:
            self.index.delete_by_filter(chosen)

    def clear(self) -> None:
        """Remove all nodes and keep the index."""
        self.index.delete_all()

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Nodes as they were stored, with their embeddings.

        Args:
            node_ids: only these, in this order; those that are not stored are left out. None for all.
            filters: only those that match. Without ids the oldest comes first.
        """
        if node_ids is not None and to_filter(filters) is None:
            brought = self.index.get(node_ids, with_vectors=True, with_payloads=True)
            return [to_node(record) for record in brought if record is not None]
        records = self.index.select(
            restriction(filters, node_ids), with_vectors=True, with_payloads=True
        )
        if node_ids is None:
            return [to_node(record) for record in records]
        found = {record.id: record for record in records}
        return [to_node(found[id]) for id in node_ids if id in found]

    def query(
        self,
        query: VectorStoreQuery,
        *,
        ef_runtime: int | None = None,
        **keywords: Any,
    ) -> VectorStoreQueryResult:
        """The nodes nearest to an embedding, or that answer a text best, or both; best first.

        Args:
            query: its mode is one of

                - DEFAULT: by `query_embedding`;
                - MMR: near it and unlike each other;
                - TEXT_SEARCH, and SPARSE, which is the same: by the words of `query_str`, by BM25, `sparse_top_k` of
                  them or else `similarity_top_k`;
                - HYBRID, and SEMANTIC_HYBRID, which is the same (no model ranks them again): by both, fused by
                  reciprocal rank, or if there is an `alpha` by weights, 0 for words alone to 1 for the embedding alone.
                  `hybrid_top_k` are found among the `similarity_top_k` nearest and the `sparse_top_k` (or else as many)
                  best by words; without `hybrid_top_k`, `similarity_top_k` are found among four times as many of
                  each, at least 100.

                An empty `query_str` without an embedding, which LlamaIndex's `VectorIndexAutoRetriever` sends if only
                its filters say what is wanted, brings what they let through, the oldest first, with `similarities` None;
                in TEXT_SEARCH and SPARSE text without words finds nothing.

                `doc_ids` (source documents), `node_ids` and `filters` all restrict each of them; None does not. Empty
                `doc_ids` let nothing through; empty `node_ids` do not restrict, for `VectorStoreIndex` sends them whenever
                the store has the texts. `output_fields` names what the nodes bring beside id, type and
                relationships: ``text``, ``embedding``, ``metadata`` or keys of it; None is all but the embedding.
            ef_runtime: for HNSW, candidates to look at; more is better recall and slower.
            keywords: for MMR: `mmr_threshold` (0 for diversity alone to 1 for nearness alone; comes before the
                query's own, None is 0.5), and among how many of the nearest it chooses, `mmr_prefetch_k` or as
                `mmr_prefetch_factor` times as many as asked for; by default four times, at least 100. Where words
                count: `match`, ``any`` (default) or ``all`` of them, and `fields`, where to look: ``content`` and
                keys of the metadata that `index_schema` declares as text.

        Returns:
            `similarities`, higher is better: by embedding COSINE the cosine, L2 1 / (1 + Euclidean distance), IP
            the inner product; by text the BM25 score; by both the fused one. For MMR the scores by which it
            chose, as LlamaIndex's own store has them.

        Raises:
            ValueError: the mode is not supported, it lacks an embedding or a text, the embedding is not of the
                index's dimension, or the index was made without `full_text`.
            UnsupportedFeatureError: words are to be searched on a server that cannot; names the version that can.
            TypeError: a keyword that is unknown, or means nothing in the mode.
        """
        if (wanted := filter_query(query)) is not None:
            refuse_unknown(keywords, (*MMR_KEYWORDS, *TEXT_KEYWORDS))
            return self._result(query, self.index.query(wanted), None)
        match query.mode:
            case VectorStoreQueryMode.DEFAULT:
                refuse_unknown(keywords)
                hits = self.index.query(vector_query(query, query.similarity_top_k, ef_runtime))
            case VectorStoreQueryMode.MMR:
                refuse_unknown(keywords, MMR_KEYWORDS)
                return self._diverse(query, ef_runtime, keywords)
            case VectorStoreQueryMode.TEXT_SEARCH | VectorStoreQueryMode.SPARSE:
                refuse_unknown(keywords, TEXT_KEYWORDS)
                if ef_runtime is not None:
                    refuse_unknown({"ef_runtime": ef_runtime})
                hits = self.index.query(text_query(query, keywords))
            case VectorStoreQueryMode.HYBRID | VectorStoreQueryMode.SEMANTIC_HYBRID:
                refuse_unknown(keywords, TEXT_KEYWORDS)
                hits = self.index.query(hybrid_query(query, ef_runtime, keywords))
            case other:
                name = other.value if isinstance(other, VectorStoreQueryMode) else other
                raise ValueError(
                    f"the query mode {name!r} is not supported; default, mmr, text_search, sparse, hybrid and "
                    "semantic_hybrid are"
                )
        return self._result(query, [hit.record for hit in hits], [hit.score for hit in hits])

    # The checker takes the base class's methods for what these are made of.
    async_add = async_version(add, "async_add")  # type: ignore[arg-type]
    adelete = async_version(delete)  # type: ignore[arg-type]
    adelete_nodes = async_version(delete_nodes)  # type: ignore[arg-type]
    aclear = async_version(clear)  # type: ignore[arg-type]
    aget_nodes = async_version(get_nodes)  # type: ignore[arg-type]
    aquery = async_version(query)  # type: ignore[arg-type]

    def _diverse(
        self, query: VectorStoreQuery, ef_runtime: int | None, keywords: Mapping[str, Any]
    ) -> VectorStoreQueryResult:
        """What LlamaIndex's own algorithm chooses among the nearest."""
        threshold = check_threshold(keywords.get("mmr_threshold", query.mmr_threshold))
        candidates = mmr_candidates(check_k(query.similarity_top_k, "similarity_top_k"), keywords)
        hits = self.index.query(vector_query(query, candidates, ef_runtime, with_vectors=True))
        if not hits:
            return self._result(query, [], [])
        mode = _SIMILARITIES[self.index.metric]
        vectors: list[Any] = [np.asarray(hit.record.vector, dtype=np.float64) for hit in hits]
        scores, chosen = get_top_k_mmr_embeddings(
            np.asarray(query.query_embedding, dtype=np.float64).tolist(),
            vectors,
            similarity_fn=partial(similarity_of, mode=mode),
            similarity_top_k=query.similarity_top_k,
            mmr_threshold=threshold,
        )
        return self._result(query, [hits[position].record for position in chosen], scores)

    def _result(
        self,
        query: VectorStoreQuery,
        records: Sequence[Record],
        similarities: Sequence[float] | None,
    ) -> VectorStoreQueryResult:
        fields = query.output_fields
        if fields is None:
            fields = ["text", "metadata"]
        return VectorStoreQueryResult(
            nodes=[to_node(record, fields) for record in records],
            similarities=None if similarities is None else list(map(float, similarities)),
            ids=[record.id for record in records],
        )
