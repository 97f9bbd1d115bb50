"""`ValkeyVectorStore`: LangChain vector store on Valkey, over the core's `Index`."""

# The base class accepts any keyword; these methods list theirs. See `searching`.
# mypy: disable-error-code="override"

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import EllipsisType
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStoreRetriever

from langchain_valkey.adding import AddingStore
from langchain_valkey.checking import OnInvalid
from langchain_valkey.documents import columns, to_document
from valkey_vector import (
    ConfigurationError,
    Connection,
    Consistency,
    FullText,
    Index,
    InvalidInputError,
    Metric,
    Schema,
    WritePolicy,
)
from valkey_vector.concurrency.closing import Closing
from valkey_vector.concurrency.threads import offload
from valkey_vector.index.settings import EngineChoice
from valkey_vector.query.filter_keyword import refuse_filters
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.read_options import unusual_read_options
from valkey_vector.records.representation import shown_as
from valkey_vector.schema.schema import Algorithm

__all__ = ["ValkeyVectorStore"]

_logger = logging.getLogger(__name__)


class ValkeyVectorStore(AddingStore, Closing):
    """Store documents on Valkey and search them by similarity and metadata.

    Filter on any metadata key, without a declaration. `filter` is a dict (``{"year": {"$gte": 2020}}``) or an
    expression (``F("year") >= 2020``). An unknown keyword raises `TypeError`.

    The first write creates the index. Without `url`, `connection` and ``VALKEY_URL``, the store starts a private
    server on first use; it ends with the process. Every method has an async version, which awaits the async
    methods of the embedding. `as_retriever` supports LangChain's search types; `ValkeyRetriever` adds ``text``
    and ``hybrid``.

    Args:
        embedding: LangChain embedding model for documents and queries.
        index_name: name of the index. Documents of different indexes never mix.
        url: server URL, such as ``valkey://user:password@host:6379``.
        connection: open connection to share instead of `url`. `close` does not close it.
        metric: COSINE (default for a new index), L2 or IP.
        algorithm: HNSW (default for a new index), FLAT, or an `Hnsw` or `Flat` with parameters.
        schema: all index settings at once: a `Schema`, a dict, or the path of a YAML file.
        engine: ``auto``, or require ``search`` or ``native``.
        full_text: index the text of a new index for BM25: True, or a `FullText` with settings. The search types
            ``text`` and ``hybrid`` of `ValkeyRetriever` need it. Takes memory on the server: about 14 times the size of
            the text on Valkey-Search 1.2.1.
        dimension: length of the vectors. Defaults to that of the existing index or of the first vector.
        embedding_model: model name stored with a new index. Opening the index for another model raises.
        must_exist: raise now if the index does not exist.
        consistency: ``strict``, ``partial`` or ``loose`` for every search of the store (see `ReadOptions`).
        timeout: seconds for every search of the store, > 0. None: no limit but the connection's ``request_timeout``.

    Raises:
        ConfigurationError: if a setting is invalid.
        InvalidInputError: if `consistency` or `timeout` is invalid.
        IndexNotFoundError: if `must_exist` is True and the index does not exist.
        IndexMismatchError: if the index exists with other settings. Raised on first use unless `must_exist` is True.
    """

    def __init__(
        self,
        embedding: Embeddings,
        *,
        index_name: str = "langchain",
        url: str | None = None,
        connection: Connection | None = None,
        metric: Metric | str | None = None,
        algorithm: Algorithm | str | None = None,
        schema: Schema | Mapping[str, Any] | str | Path | None = None,
        engine: EngineChoice = "auto",
        full_text: FullText | bool | None = None,
        dimension: int | None = None,
        embedding_model: str | None = None,
        must_exist: bool = False,
        consistency: Consistency = "strict",
        timeout: float | None = None,
    ) -> None:
        self._read_options = unusual_read_options(consistency, timeout)
        for method in ("embed_documents", "embed_query"):
            if not callable(getattr(embedding, method, None)):
                raise ConfigurationError(
                    f"embedding must be one of LangChain's Embeddings, not {embedding!r}; "
                    'create one with init_embeddings("provider:model") of langchain.embeddings'
                )
        self._embedding = embedding
        self._index = Index.open(
            index_name,
            dimension=dimension,
            url=url,
            connection=connection,
            metric=metric,
            algorithm=algorithm,
            schema=schema,
            engine=engine,
            full_text=full_text,
            embedding_model=embedding_model,
            must_exist=must_exist,
        )

    @property
    def embeddings(self) -> Embeddings:
        """The embedding model."""
        return self._embedding

    @property
    def index(self) -> Index:
        """The core's index, for operations that LangChain has no method for: count, select, update, drop, …."""
        return self._index

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        ttl: float | None = None,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        batch_size: int = 200,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
        **settings: Any,
    ) -> Self:
        """Create a store and add texts to its index.

        Args:
            texts: as in `add_texts`.
            embedding: LangChain embedding model.
            metadatas: as in `add_texts`.
            ids: as in `add_texts`.
            ttl: as in `add_texts`.
            policy: as in `add_texts`.
            batch_size: as in `add_texts`.
            progress: as in `add_texts`.
            on_invalid: as in `add_texts`.
            settings: keyword arguments of the class.
        """
        store = cls(embedding, **settings)
        store.add_texts(
            texts,
            metadatas,
            ids=ids,
            ttl=ttl,
            policy=policy,
            batch_size=batch_size,
            progress=progress,
            on_invalid=on_invalid,
        )
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        ttl: float | None = None,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        batch_size: int = 200,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
        **settings: Any,
    ) -> Self:
        """Async version of `from_texts`."""
        store = await offload(partial(cls, embedding, **settings))
        await store.aadd_texts(
            texts,
            metadatas,
            ids=ids,
            ttl=ttl,
            policy=policy,
            batch_size=batch_size,
            progress=progress,
            on_invalid=on_invalid,
        )
        return store

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        embedding: Embeddings,
        *,
        ids: Sequence[str | None] | None = None,
        **settings: Any,
    ) -> Self:
        """Create a store and add documents to its index. See `from_texts` for the arguments."""
        texts, metadatas, ids = columns(documents, ids)
        return cls.from_texts(texts, embedding, metadatas, ids=ids, **settings)

    @classmethod
    async def afrom_documents(
        cls,
        documents: Iterable[Document],
        embedding: Embeddings,
        *,
        ids: Sequence[str | None] | None = None,
        **settings: Any,
    ) -> Self:
        """Async version of `from_documents`."""
        texts, metadatas, ids = columns(documents, ids)
        return await cls.afrom_texts(texts, embedding, metadatas, ids=ids, **settings)

    @classmethod
    def from_existing_index(
        cls, embedding: Embeddings, index_name: str = "langchain", **settings: Any
    ) -> Self:
        """Open a store on an existing index. The index supplies its own settings.

        Raises:
            IndexNotFoundError: if the index does not exist.
            IndexMismatchError: if a passed setting differs from that of the index.
        """
        return cls(embedding, index_name=index_name, must_exist=True, **settings)

    @classmethod
    async def afrom_existing_index(
        cls, embedding: Embeddings, index_name: str = "langchain", **settings: Any
    ) -> Self:
        """Async version of `from_existing_index`."""
        return await offload(partial(cls.from_existing_index, embedding, index_name, **settings))

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: FilterLike | EllipsisType | None = ...,
    ) -> bool:
        """Delete documents by id, by filter, or all of them.

        ``delete()`` and ``delete(None)`` delete all documents, as LangChain documents ("If `None`, delete all"),
        and log the count as a warning. An empty list deletes nothing.

        Args:
            ids: ids of the documents to delete. Unknown ids are ignored.
            filter: delete the documents that match. None or an empty filter raises, because it would match
                everything.

        Returns:
            True. A failure raises.

        Raises:
            InvalidInputError: if both `ids` and `filter` are passed, or the filter is None or empty. Nothing is
                deleted.
        """
        selected = _filter_to_delete(ids, filter)
        if selected is not None:
            self._index.delete_by_filter(selected)
        elif ids is not None:
            self._index.delete(ids)
        else:
            self._log_wipe(self._index.delete_all())
        return True

    async def adelete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: FilterLike | EllipsisType | None = ...,
    ) -> bool:
        """Async version of `delete`."""
        selected = _filter_to_delete(ids, filter)
        if selected is not None:
            await self._index.adelete_by_filter(selected)
        elif ids is not None:
            await self._index.adelete(ids)
        else:
            self._log_wipe(await self._index.adelete_all())
        return True

    def delete_collection(self) -> None:
        """Delete the index and all its documents. The next write creates it again. `delete` keeps the index."""
        self._index.drop()

    async def adelete_collection(self) -> None:
        """Async version of `delete_collection`."""
        await self._index.adrop()

    def as_retriever(self, **kwargs: Any) -> VectorStoreRetriever:
        """Return a LangChain retriever on this store, by similarity, by similarity with a threshold, or by MMR.

        For the search types ``text`` and ``hybrid``, use `ValkeyRetriever.from_store`.

        Args:
            kwargs: `search_type` and `search_kwargs`, as LangChain documents them.

        Raises:
            ValueError: if only `ValkeyRetriever` supports the search type.
            TypeError: if `search_kwargs` contains ``filters``; the argument is named `filter`.
        """
        kind = kwargs.get("search_type")
        if kind in ("text", "hybrid"):
            raise ValueError(
                f"as_retriever does not support search_type {kind!r}; use "
                f"ValkeyRetriever.from_store(store, search_type={kind!r})"
            )
        refuse_filters("as_retriever", kwargs.get("search_kwargs") or {})
        return super().as_retriever(**kwargs)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return documents by id, in the order of the ids. Ids that are not stored are omitted."""
        return [to_document(record) for record in self._index.get(ids) if record is not None]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Async version of `get_by_ids`."""
        return [to_document(record) for record in await self._index.aget(ids) if record is not None]

    def __repr__(self) -> str:
        return shown_as(self, self._index)

    def close(self) -> None:
        """Close the connection, unless it was passed in. Stops a private server that no other store uses."""
        self._index.close()

    def _log_wipe(self, count: int) -> None:
        _logger.warning(
            "deleted all %d documents of index %r: delete() was called without ids and filter",
            count,
            self._index.name,
        )


def _filter_to_delete(
    ids: Sequence[str] | None, filter: FilterLike | EllipsisType | None
) -> FilterLike | None:
    """Return the filter to delete by, or None. Reject arguments that would delete more than intended."""
    if isinstance(filter, EllipsisType) or (filter is None and ids is not None):
        return None
    if ids is not None:
        raise InvalidInputError(
            "pass ids or filter, not both; combine them as filter=F.id.in_(ids) & filter"
        )
    if filter is None or filter == {}:
        raise InvalidInputError(
            f"the filter {filter!r} would delete every document; to do that, call delete() without a filter"
        )
    return filter
