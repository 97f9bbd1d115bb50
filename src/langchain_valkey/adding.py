"""Write methods of the vector store: texts, documents and precomputed vectors."""

# The base class accepts any keyword; these methods list theirs. See `searching`.
# mypy: disable-error-code="override"

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.documents import Document

from langchain_valkey.checking import OnInvalid, WriteOptions
from langchain_valkey.documents import Addition, columns, prepare_addition
from langchain_valkey.searching import SearchableStore
from valkey_vector import PartialWriteError, WritePolicy
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload

__all__ = ["AddingStore"]


class AddingStore(SearchableStore):
    """Write to an index and search it. `ValkeyVectorStore` adds opening, reading by id and deleting."""

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        ttl: float | None = None,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        batch_size: int = 200,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> list[str]:
        """Embed texts and store them.

        All texts are embedded in one call before the first is stored, so nothing is stored if embedding fails. For
        more texts than fit in memory, call this method once per part, or use LangChain's `index`.

        Args:
            texts: texts to store.
            metadatas: one dict per text.
            ids: one id per text. None generates an id.
            ttl: time to live in seconds. None stores without expiration.
            policy: action for ids that are already stored: OVERWRITE, SKIP or FAIL.
            batch_size: number of texts per request, at least 1. Values above 10,000 mean 10,000.
            progress: show a progress bar. None shows one on a terminal if there is more than one batch.
            on_invalid: action for metadata that cannot be stored, such as a UUID or a set. ``raise`` raises,
                ``coerce`` converts it to text or a list, ``skip`` omits the text and logs a warning. NumPy scalars
                are always stored as Python scalars.

        Returns:
            The ids, in the order of the texts, without the skipped texts.

        Raises:
            ConfigurationError: if an option is invalid. Nothing is embedded.
            InvalidInputError: if the lengths differ, an id occurs twice, or a text, metadata or `ttl` cannot be stored
                (nothing is embedded), or if a vector cannot be stored (nothing is stored).
            DuplicateIdError: if the policy is FAIL and ids are already stored. Nothing is stored.
            PartialAddError: if some texts were not stored. Repeat the call with its `ids` to store the rest.
        """
        options = WriteOptions(policy, ttl, batch_size, progress, on_invalid)
        addition = prepare_addition(texts, metadatas, ids)
        if addition.texts:
            addition = self._checked(options, addition)
        if not addition.texts:
            return []
        vectors = self._embedding.embed_documents(addition.texts)
        return self._stored(options, addition, vectors)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        ttl: float | None = None,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        batch_size: int = 200,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> list[str]:
        """Async version of `add_texts`."""
        options = WriteOptions(policy, ttl, batch_size, progress, on_invalid)
        addition = prepare_addition(texts, metadatas, ids)
        if addition.texts:
            addition = await offload(self._checked, options, addition)
        if not addition.texts:
            return []
        vectors = await self._embedding.aembed_documents(addition.texts)
        return await offload(self._stored, options, addition, vectors)

    def add_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str | None] | None = None,
        **options: Any,
    ) -> list[str]:
        """Embed documents and store them. Returns and raises as `add_texts`.

        Args:
            documents: documents to store. They are not modified.
            ids: ids to use instead of those of the documents. A missing id is generated.
            options: `ttl`, `policy`, `batch_size`, `progress` and `on_invalid` of `add_texts`.
        """
        texts, metadatas, ids = columns(documents, ids)
        return self.add_texts(texts, metadatas, ids=ids, **options)

    async def aadd_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str | None] | None = None,
        **options: Any,
    ) -> list[str]:
        """Async version of `add_documents`."""
        texts, metadatas, ids = columns(documents, ids)
        return await self.aadd_texts(texts, metadatas, ids=ids, **options)

    def add_embeddings(
        self,
        texts: Iterable[str],
        embeddings: Iterable[Sequence[float]],
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        ttl: float | None = None,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        batch_size: int = 200,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> list[str]:
        """Store texts with precomputed vectors. Returns and raises as `add_texts`.

        Args:
            texts: texts to store.
            embeddings: one vector per text.
            metadatas: as in `add_texts`.
            ids: as in `add_texts`.
            ttl: as in `add_texts`.
            policy: as in `add_texts`.
            batch_size: as in `add_texts`.
            progress: as in `add_texts`.
            on_invalid: as in `add_texts`.
        """
        options = WriteOptions(policy, ttl, batch_size, progress, on_invalid)
        addition, vectors = prepare_addition(texts, metadatas, ids), list(embeddings)
        addition.check_count(vectors)
        if not addition.texts:
            return []
        by_id = dict(zip(addition.ids, vectors, strict=True))
        valid = self._checked(options, addition)
        return self._stored(options, valid, [by_id[id] for id in valid.ids]) if valid.ids else []

    aadd_embeddings = async_version(add_embeddings)

    def _checked(self, options: WriteOptions, addition: Addition) -> Addition:
        return options.checked(addition, self._index.schema)

    def _stored(
        self, options: WriteOptions, addition: Addition, vectors: Sequence[Sequence[float]]
    ) -> list[str]:
        records = addition.records(vectors)
        try:
            self._index.upsert(records, **options.arguments)
        except PartialWriteError as error:
            raise addition.failure(error) from error
        return addition.ids
