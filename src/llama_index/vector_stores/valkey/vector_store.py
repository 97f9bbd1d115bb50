"""`ValkeyVectorStore`: LlamaIndex vector store on Valkey, over the core's `Index`."""

# The base class accepts any keyword; these methods list theirs.
# mypy: disable-error-code="override"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
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
from llama_index.vector_stores.valkey.nodes import to_node, to_nodes, to_record
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
    Consistency,
    F,
    FullText,
    Index,
    InvalidInputError,
    Metric,
    ReadOptions,
    Record,
    Schema,
)
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.index.settings import EngineChoice
from valkey_vector.query.read_options import check_read_options
from valkey_vector.query.result import warn_if_partial
from valkey_vector.records.validation import check_k

__all__ = ["ValkeyVectorStore"]

_SIMILARITIES = {
    Metric.COSINE: SimilarityMode.DEFAULT,
    Metric.IP: SimilarityMode.DOT_PRODUCT,
    Metric.L2: SimilarityMode.EUCLIDEAN,
}


class ValkeyVectorStore(ServerComponent, BasePydanticVectorStore):
    """Store nodes on Valkey and query them by embedding, text, metadata, id and source document.

    Filter on any metadata key, with every operator, without a declaration.

    The first write creates the index; the store sends no request before the first operation. Without `url`,
    `connection` and ``VALKEY_URL``, it starts a private server on first use; that server ends with the process.
    Every method has an async version, which does not block the event loop.

    Args:
        url: server URL, such as ``valkey://user:password@host:6379``.
        index_name: name of the index. Nodes of different indexes never mix.
        connection: open connection to share instead of `url`. `close` does not close it.
        dimension: length of the embeddings. Defaults to that of the existing index or of the first embedding.
        metric: COSINE (default for a new index), L2 or IP.
        algorithm: HNSW (default for a new index) or FLAT.
        index_schema: all index settings at once: a `Schema`, a dict, or the path of a YAML file.
        engine: ``auto``, or require ``search`` or ``native``.
        full_text: index the text of a new index for BM25: True, a `FullText`, or a dict of its settings. The text and
            hybrid modes need it. Takes memory on the server: about 14 times the size of the text on Valkey-Search
            1.2.1. Cannot be changed later. Defaults to the setting of the existing index, or False.
        embedding_model: model name stored with a new index. Opening the index for another model raises.
        must_exist: raise now if the index does not exist.
        consistency: ``strict``, ``partial`` or ``loose`` for every read of the store but those by node id (see `ReadOptions`).
        timeout: seconds for every such read, > 0. None: no limit but the connection's ``request_timeout``.

    Raises:
        ConfigurationError: if a setting is invalid (a ValueError).
        IndexNotFoundError: if `must_exist` is True and the index does not exist.
        IndexMismatchError: if the index exists with other settings. Raised on first use unless `must_exist` is True.
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
    consistency: Consistency = "strict"
    timeout: float | None = None

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
        consistency: Consistency = "strict",
        timeout: float | None = None,
    ) -> None:
        check_read_options(consistency, timeout)
        text_settings = FullText.of(full_text) if isinstance(full_text, Mapping) else full_text
        index = Index.open(
            index_name,
            dimension=dimension,
            url=url,
            connection=connection,
            metric=metric,
            algorithm=algorithm,
            schema=index_schema,
            engine=engine,
            full_text=text_settings,
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
            "full_text": asdict(text_settings)
            if isinstance(text_settings, FullText)
            else text_settings,
            "embedding_model": embedding_model,
            "consistency": consistency,
            "timeout": timeout,
        }
        super().__init__(**fields)
        self._held, self._shared = index, connection is not None

    @classmethod
    def class_name(cls) -> str:
        """The class name in LlamaIndex's serialized form."""
        return "ValkeyVectorStore"

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """Create a store from the dict of `to_dict`.

        Args:
            data: dict of `to_dict`, which contains no password.
            kwargs: settings that replace those of the dict, such as a `url` with a password.
        """
        settings = {**data, **kwargs}
        for name in ("class_name", "stores_text", "is_embedding_query"):
            settings.pop(name, None)
        return cls(**settings)

    @property
    def index(self) -> Index:
        """The core's index, for operations that LlamaIndex has no method for: count, update, drop, wait, …."""
        # Pydantic searches for a private attribute in many steps.
        held: Index = (self.__pydantic_private__ or {})["_held"]
        return held

    def add(self, nodes: Sequence[BaseNode], *, ttl: float | None = None) -> list[str]:
        """Store nodes, replacing stored nodes with the same ids.

        A node without an embedding is found by id, filter and source document, but never by embedding.

        Args:
            nodes: nodes to store. If an id occurs twice, the last node is stored.
            ttl: time to live in seconds. None stores without expiration.

        Returns:
            The ids, in the order of the nodes.

        Raises:
            InvalidInputError: if a value in a node cannot be stored, or its embedding does not have the dimension of
                the index. Nothing is stored.
            ConfigurationError: if the index does not exist and neither a node nor `dimension` gives its dimension.
            PartialWriteError: if some nodes were not stored. It names them.
        """
        records = {record.id: record for record in map(to_record, nodes)}
        if records:
            self.index.upsert(list(records.values()), ttl=ttl)
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str) -> None:
        """Delete all nodes of a source document. An unknown id is ignored.

        Raises:
            InvalidInputError: if the id is not text. None would delete every node without a source document.
        """
        self.index.delete_by_filter(F.parent == check_source(ref_doc_id))

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> None:
        """Delete nodes by id, by filter, or by both (nodes with one of the ids that also match the filter).

        Raises:
            InvalidInputError: if neither is passed. To delete all nodes, call `clear`.
        """
        condition = restriction(filters, node_ids)
        if condition is None:
            raise InvalidInputError(
                "delete_nodes without node_ids and filters would delete every node; to do that, call clear()"
            )
        if node_ids is not None and to_filter(filters) is None:
            self.index.delete(node_ids)
        else:
            self.index.delete_by_filter(condition)

    def clear(self) -> None:
        """Delete all nodes. The index is kept."""
        self.index.delete_all()

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Return nodes as they were stored, with their embeddings.

        Args:
            node_ids: ids of the nodes. The result has their order; ids that are not stored are omitted. None returns
                all nodes, oldest first.
            filters: return only nodes that match.
        """
        if node_ids is not None and to_filter(filters) is None:
            fetched = self.index.get(node_ids, with_vectors=True, with_payloads=True)
            return [to_node(record) for record in fetched if record is not None]
        records = self.index.select(
            restriction(filters, node_ids),
            with_vectors=True,
            with_payloads=True,
            **self._read_options,
        )
        warn_if_partial(records)
        if node_ids is None:
            return [to_node(record) for record in records]
        found = {record.id: record for record in records}
        return [to_node(found[id]) for id in node_ids if id in found]

    def query(
        self,
        query: VectorStoreQuery,
        *,
        ef_runtime: int | None = None,
        consistency: Consistency | None = None,
        timeout: float | None = None,
        **keywords: Any,
    ) -> VectorStoreQueryResult:
        """Query nodes by embedding, by text, or by both; best first.

        Args:
            query: the query. Its mode is one of:

                - DEFAULT: nearest neighbors of `query_embedding`.
                - MMR: similar to `query_embedding` and diverse.
                - TEXT_SEARCH and SPARSE (equivalent): BM25 with the terms of `query_str`. Returns `sparse_top_k` nodes,
                  or `similarity_top_k` if that is None.
                - HYBRID and SEMANTIC_HYBRID (equivalent; no model reranks): both rankings, fused by reciprocal rank.
                  With `alpha`, fused by weights: 0 (text only) to 1 (embedding only). With `hybrid_top_k`, returns that
                  many of the `similarity_top_k` nearest neighbors and the `sparse_top_k` best by text (defaults to the
                  same number). Without it, returns `similarity_top_k` nodes of four times as many candidates per
                  ranking, at least 100.

                An empty `query_str` without an embedding returns the nodes that match the filters, oldest first, with
                `similarities` None; LlamaIndex's `VectorIndexAutoRetriever` sends such queries. In TEXT_SEARCH and
                SPARSE, a text without terms finds nothing.

                `doc_ids` (source documents), `node_ids` and `filters` are combined with AND; None is no condition.
                Empty `doc_ids` match nothing. Empty `node_ids` are no condition, because `VectorStoreIndex` sends them
                when the store holds the texts. `output_fields` lists what to return besides id, type and
                relationships: ``text``, ``embedding``, ``metadata``, or single metadata keys. None returns all but the
                embedding.
            ef_runtime: HNSW only: number of candidates to examine. A higher value improves recall and is slower.
            consistency: ``strict``, ``partial`` or ``loose`` (see `ReadOptions`). None: that of the store. A result that
                may lack nodes issues a `PartialResultWarning`.
            timeout: seconds for the query, > 0. None: that of the store.
            keywords: MMR: `mmr_threshold`, 0 (diversity only) to 1 (similarity only), replaces that of the query
                (None is 0.5). `mmr_prefetch_k`, or `mmr_prefetch_factor` times `similarity_top_k`, is the number of
                candidates; the default is factor 4, at least 100. Text and hybrid modes: `match`, ``any`` (default) or
                ``all`` terms; `fields`, ``content`` and metadata keys that `index_schema` declares as text;
                `stop_words`, which are not searched (default: those of the index's language; ``()`` for none).

        Returns:
            The nodes with `similarities`; a higher value is better. By embedding: COSINE the cosine, L2 1 / (1 +
            Euclidean distance), IP the inner product. By text: the BM25 score. By both: the fused score. For MMR:
            the MMR score, as in LlamaIndex's own store.

        Raises:
            ValueError: if the mode is not supported, the embedding or the text it needs is missing, the embedding does
                not have the dimension of the index, or the index was created without `full_text`.
            UnsupportedFeatureError: if the server does not support text search. It names the required version.
            TypeError: if a keyword is unknown or does not apply to the mode.
        """
        options: ReadOptions = {
            "consistency": self.consistency if consistency is None else consistency,
            "timeout": self.timeout if timeout is None else timeout,
        }
        if (filtered := filter_query(query)) is not None:
            refuse_unknown(keywords, (*MMR_KEYWORDS, *TEXT_KEYWORDS))
            records = self.index.query(replace(filtered, **options))
            return self._result(query, warn_if_partial(records), None)
        match query.mode:
            case VectorStoreQueryMode.DEFAULT:
                refuse_unknown(keywords)
                wanted = vector_query(query, query.similarity_top_k, ef_runtime, options)
                hits = self.index.query(wanted)
            case VectorStoreQueryMode.MMR:
                refuse_unknown(keywords, MMR_KEYWORDS)
                return self._diverse(query, ef_runtime, keywords, options)
            case VectorStoreQueryMode.TEXT_SEARCH | VectorStoreQueryMode.SPARSE:
                refuse_unknown(keywords, TEXT_KEYWORDS)
                if ef_runtime is not None:
                    refuse_unknown({"ef_runtime": ef_runtime})
                hits = self.index.query(replace(text_query(query, keywords), **options))
            case VectorStoreQueryMode.HYBRID | VectorStoreQueryMode.SEMANTIC_HYBRID:
                refuse_unknown(keywords, TEXT_KEYWORDS)
                hits = self.index.query(
                    replace(hybrid_query(query, ef_runtime, keywords), **options)
                )
            case other:
                name = other.value if isinstance(other, VectorStoreQueryMode) else other
                raise ValueError(
                    f"the query mode {name!r} is not supported; use default, mmr, text_search, sparse, hybrid or "
                    "semantic_hybrid"
                )
        warn_if_partial(hits)
        return self._result(query, [hit.record for hit in hits], [hit.score for hit in hits])

    # The type checker infers the base class's methods as the arguments.
    async_add = async_version(add, "async_add")  # type: ignore[arg-type]
    adelete = async_version(delete)  # type: ignore[arg-type]
    adelete_nodes = async_version(delete_nodes)  # type: ignore[arg-type]
    aclear = async_version(clear)  # type: ignore[arg-type]
    aget_nodes = async_version(get_nodes)  # type: ignore[arg-type]
    aquery = async_version(query)  # type: ignore[arg-type]

    @property
    def _read_options(self) -> ReadOptions:
        return {"consistency": self.consistency, "timeout": self.timeout}

    def _diverse(
        self,
        query: VectorStoreQuery,
        ef_runtime: int | None,
        keywords: Mapping[str, Any],
        options: ReadOptions,
    ) -> VectorStoreQueryResult:
        """Select nodes from the nearest neighbors with LlamaIndex's own MMR algorithm."""
        threshold = check_threshold(keywords.get("mmr_threshold", query.mmr_threshold))
        candidates = mmr_candidates(check_k(query.similarity_top_k, "similarity_top_k"), keywords)
        wanted = vector_query(query, candidates, ef_runtime, options, with_vectors=True)
        hits = warn_if_partial(self.index.query(wanted))
        if not hits:
            return self._result(query, [], [])
        mode = _SIMILARITIES[self.index.metric]
        vectors: list[Any] = [np.asarray(hit.record.vector, dtype=np.float64) for hit in hits]
        scores, selected = get_top_k_mmr_embeddings(
            np.asarray(query.query_embedding, dtype=np.float64).tolist(),
            vectors,
            similarity_fn=partial(similarity_of, mode=mode),
            similarity_top_k=query.similarity_top_k,
            mmr_threshold=threshold,
        )
        return self._result(query, [hits[position].record for position in selected], scores)

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
            nodes=to_nodes(records, fields),
            similarities=None if similarities is None else list(map(float, similarities)),
            ids=[record.id for record in records],
        )
