"""The adding half of the store: texts, documents and vectors that were made elsewhere."""

# Complete signatures, where the base class takes any keyword: see `searching`.
# mypy: disable-error-code="override"

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.documents import Document

from langchain_valkey.checking import OnInvalid, WriteOptions
from langchain_valkey.documents import Addition, columns, prepare_addition
from langchain_valkey.searching import SearchableStore
from valkey_vector import PartialWriteError, WritePolicy
from valkey_vector.concurrency.async_versions import twin
from valkey_vector.concurrency.threads import offload

__all__ = ["AddingStore"]


class AddingStore(SearchableStore):
    """Fills an index, and searches it. `ValkeyVectorStore` adds what opens, reads and empties it."""

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        ttl: float | None = None,
        policy: WritePolicy | str = WritePolicy.OVERWRITE,
        batch_size: int = 100,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> list[str]:
        """Embed texts and store them.

        All are embedded in one call, which embeddings divide as they need, before the first is stored: when the
        embedding fails, nothing was stored. What does not fit in memory is added in parts, as LangChain's `index` does.

        Args:
            texts: what to store.
            metadatas: one dict for each text.
            ids: one for each text; None, or a None among them, generates one.
            ttl: seconds until these are gone; None keeps them.
            policy: what to do with ids that are stored already: OVERWRITE, SKIP or FAIL.
            batch_size: how many are sent in one request, from 1 on; more than 10,000 count as that.
            progress: show a bar; None shows one on a terminal if there is more than one batch.
            on_invalid: for metadata that cannot be stored as it is, such as a UUID or a set: ``raise``, ``coerce`` it (to
                text, or a list), or ``skip`` the text, with a warning in the log. NumPy's scalars are stored as Python's.

        Returns:
            The ids, in the order of the texts, without those of texts that were skipped.

        Raises:
            ConfigurationError: an option is wrong; nothing was embedded.
            InvalidInputError: not as many of each, an id given twice, or a text, metadata or `ttl` that cannot be stored
                (nothing was embedded); or a vector that cannot be (nothing was stored).
            DuplicateIdError: the policy is FAIL and ids are stored already; nothing was stored.
            PartialAddError: some were not stored. Its `ids` complete the call when it is repeated.
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
        batch_size: int = 100,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> list[str]:
        """`add_texts`, awaited."""
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
        """Embed documents and store them; otherwise as `add_texts`, whose options it takes.

        Args:
            documents: what to store; they are not changed.
            ids: instead of the documents' own. A document without one gets one that is generated.
            options: `ttl`, `policy`, `batch_size`, `progress` and `on_invalid`.
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
        """`add_documents`, awaited."""
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
        batch_size: int = 100,
        progress: bool | None = None,
        on_invalid: OnInvalid = "raise",
    ) -> list[str]:
        """Store texts with vectors that were made elsewhere; otherwise as `add_texts`.

        Args:
            texts: what to store.
            embeddings: one vector for each text.
            metadatas: as `add_texts`, like all that follows.
            ids: likewise.
            ttl: likewise.
            policy: likewise.
            batch_size: likewise.
            progress: likewise.
            on_invalid: likewise.
        """
        options = WriteOptions(policy, ttl, batch_size, progress, on_invalid)
        addition, vectors = prepare_addition(texts, metadatas, ids), list(embeddings)
        addition.check_count(vectors)
        if not addition.texts:
            return []
        of_ids = dict(zip(addition.ids, vectors, strict=True))
        kept = self._checked(options, addition)
        return self._stored(options, kept, [of_ids[id] for id in kept.ids]) if kept.ids else []

    aadd_embeddings = twin(add_embeddings)

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
