"""`ValkeyVectorStore`: LangChain's vector store, translated to the core's `Index`."""

# Complete signatures, where the base class takes any keyword: see `searching`.
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
from langchain_valkey.searching import refuse_filters
from valkey_vector import (
    ConfigurationError,
    Connection,
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
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.records.representation import shown_as
from valkey_vector.schema.schema import Algorithm

__all__ = ["ValkeyVectorStore"]

_logger = logging.getLogger(__name__)


class ValkeyVectorStore(AddingStore, Closing):
    """Documents on Valkey, found by similarity and metadata.

    With neither `url` nor `connection` nor ``VALKEY_URL`` it lives in a private server, started on first use
    and gone with the process. Every method has an async version, which awaits the embedding's own
    asynchronous methods. `filter` is a dict (``{"year": {"$gte": 2020}}``) or an expression (``F("year")
    >= 2020``); every metadata key can be filtered on and none needs a declaration. An unknown keyword is a TypeError.
    `as_retriever` has the search types of LangChain's vector stores; `ValkeyRetriever` has ``text`` and ``hybrid``, too.

    Args:
        embedding: makes vectors of texts.
        index_name: documents of different indexes never mix.
        url: the server, such as ``valkey://user:password@host:6379``.
        connection: an open connection to share instead; it is not closed with the index.
        metric: COSINE (default for a new index), L2 or IP.
        algorithm: HNSW (default for a new index) or FLAT, or `Hnsw` or `Flat` with their parameters.
        schema: all settings at once, as a `Schema`, a dict or a YAML file.
        engine: ``auto``, or insist on ``search`` or ``native``.
        full_text: index the words of a new index's texts, for the search types ``text`` and ``hybrid`` of
            `ValkeyRetriever`: True, or how. Takes about twice the texts' size on the server, and time to write.
        dimension: length of the vectors; by default the existing index's, or the first vector's.
        embedding_model: recorded with a new index; opening it for another model is an error.
        must_exist: raise now if there is no such index.

    Raises:
        ConfigurationError: a setting is wrong.
        IndexNotFoundError: `must_exist`, and there is none.
        IndexMismatchError: the index exists with other settings; without `must_exist` found out at first use.
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
    ) -> None:
        for method in ("embed_documents", "embed_query"):
            if not callable(getattr(embedding, method, None)):
                raise ConfigurationError(
                    f"embedding must be one of LangChain's Embeddings, not {embedding!r}; "
                    'init_embeddings("provider:model") of langchain.embeddings makes one of a model\'s name'
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
        """What makes vectors of texts."""
        return self._embedding

    @property
    def index(self) -> Index:
        """The core's index, for what LangChain has no words for: count, select, update, drop, close, …."""
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
        batch_size: int = 100,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
        **settings: Any,
    ) -> Self:
        """A store with these texts added (`add_texts`) to what its index holds. `settings` are the class's."""
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
        batch_size: int = 100,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
        **settings: Any,
    ) -> Self:
        """`from_texts`, awaited."""
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
        """A store with these documents added; otherwise as `from_texts`."""
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
        """`from_documents`, awaited."""
        texts, metadatas, ids = columns(documents, ids)
        return await cls.afrom_texts(texts, embedding, metadatas, ids=ids, **settings)

    @classmethod
    def from_existing_index(
        cls, embedding: Embeddings, index_name: str = "langchain", **settings: Any
    ) -> Self:
        """A store on an index that is there already; its settings need not be repeated.

        Raises:
            IndexNotFoundError: there is none.
            IndexMismatchError: it has other settings than those that are given.
        """
        return cls(embedding, index_name=index_name, must_exist=True, **settings)

    @classmethod
    async def afrom_existing_index(
        cls, embedding: Embeddings, index_name: str = "langchain", **settings: Any
    ) -> Self:
        """`from_existing_index`, awaited."""
        return await offload(partial(cls.from_existing_index, embedding, index_name, **settings))

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: FilterLike | EllipsisType | None = ...,
    ) -> bool:
        """Delete documents by id or by filter, or all of them.

        With ``delete()`` and ``delete(None)`` all documents are deleted, for that is what LangChain documents ("If
        `None`, delete all"); a warning in the log says how many went. An empty list deletes nothing. A filter
        that turns out to be None or empty is refused: it would match everything, and hardly on purpose.

        Args:
            ids: those to delete; unknown ones are no error.
            filter: delete those that match.

        Returns:
            True. A failure raises.

        Raises:
            InvalidInputError: both ids and filter, or a filter that is None or empty; nothing was deleted.
        """
        chosen = _filter_to_delete(ids, filter)
        if chosen is not None:
            self._index.delete_by_filter(chosen)
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
        """`delete`, awaited."""
        chosen = _filter_to_delete(ids, filter)
        if chosen is not None:
            await self._index.adelete_by_filter(chosen)
        elif ids is not None:
            await self._index.adelete(ids)
        else:
            self._log_wipe(await self._index.adelete_all())
        return True

    def delete_collection(self) -> None:
        """Remove the index with all its documents; the next addition makes it anew. `delete` keeps the index."""
        self._index.drop()

    async def adelete_collection(self) -> None:
        """`delete_collection`, awaited."""
        await self._index.adrop()

    def as_retriever(self, **kwargs: Any) -> VectorStoreRetriever:
        """A retriever with the search types of LangChain's vector stores: similarity, with a threshold, or MMR.

        Args:
            kwargs: `search_type` and `search_kwargs`, as LangChain documents them.

        Raises:
            ValueError: the search type is one of `ValkeyRetriever` alone.
            TypeError: `search_kwargs` holds ``filters``.
        """
        kind = kwargs.get("search_type")
        if kind in ("text", "hybrid"):
            raise ValueError(
                f"as_retriever has no search_type {kind!r}, for LangChain's retriever has not; use "
                f"ValkeyRetriever.from_store(store, search_type={kind!r})"
            )
        refuse_filters("as_retriever", kwargs.get("search_kwargs") or {})
        return super().as_retriever(**kwargs)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Documents by id, in the order of the ids; those that are not stored are left out."""
        return [to_document(record) for record in self._index.get(ids) if record is not None]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """`get_by_ids`, awaited."""
        return [to_document(record) for record in await self._index.aget(ids) if record is not None]

    def __repr__(self) -> str:
        return shown_as(self, self._index)

    def close(self) -> None:
        """Let go of the connection, unless it was given. A private server that no one else uses ends with it."""
        self._index.close()

    def _log_wipe(self, count: int) -> None:
        _logger.warning(
            "all %d documents of index %r were deleted: delete() was given no ids and no filter",
            count,
            self._index.name,
        )


def _filter_to_delete(
    ids: Sequence[str] | None, filter: FilterLike | EllipsisType | None
) -> FilterLike | None:
    """The filter, None if there is none; refuses what would delete more than was meant."""
    if isinstance(filter, EllipsisType) or (filter is None and ids is not None):
        return None
    if ids is not None:
        raise InvalidInputError("give ids or filter, not both; F.id.in_(ids) & filter is for both")
    if filter is None or filter == {}:
        raise InvalidInputError(
            f"the filter is {filter!r}, which would delete everything; for that call delete() without it"
        )
    return filter
