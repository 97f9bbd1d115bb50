"""`ValkeyDocumentStore`: Haystack document store on Valkey, over the core's `Index`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from haystack import Document, default_from_dict, default_to_dict, logging
from haystack.document_stores.errors import DocumentStoreError, DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret

from haystack_integrations.document_stores.valkey import summaries
from haystack_integrations.document_stores.valkey.documents import (
    check_documents,
    from_record,
    listed_tuples,
    refuse_repeated,
    to_records,
)
from haystack_integrations.document_stores.valkey.filters import metadata_key, to_filter
from haystack_integrations.document_stores.valkey.retrieval import SearchableStore
from haystack_integrations.document_stores.valkey.settings import (
    StoreSettings,
    checked_nodes,
    named_fields,
    typed_fields,
)
from valkey_vector import (
    Consistency,
    DuplicateIdError,
    Index,
    ValkeyVectorError,
    WritePolicy,
)
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.index.settings import EngineChoice
from valkey_vector.query.read_options import unusual_read_options
from valkey_vector.query.result import warn_if_partial
from valkey_vector.records.validation import check_range

__all__ = ["ValkeyDocumentStore", "ValkeyDocumentStoreError"]

_logger = logging.getLogger(__name__)
_T = TypeVar("_T")

_USERNAME = Secret.from_env_var("VALKEY_USERNAME", strict=False)
_PASSWORD = Secret.from_env_var("VALKEY_PASSWORD", strict=False)
_POLICIES = {
    # As in the existing integration: without a policy, documents are overwritten.
    DuplicatePolicy.NONE: WritePolicy.OVERWRITE,
    DuplicatePolicy.OVERWRITE: WritePolicy.OVERWRITE,
    DuplicatePolicy.SKIP: WritePolicy.SKIP,
    DuplicatePolicy.FAIL: WritePolicy.FAIL,
}


class ValkeyDocumentStoreError(DocumentStoreError):
    """An operation of the store failed. `__cause__` is the original error."""


class ValkeyDocumentStore(SearchableStore):
    """Store documents on Valkey and retrieve them by embedding, text and metadata.

    Filter on any metadata key, without a declaration. The store connects on the first operation. Every operation has an
    async version (``…_async``).

    Args:
        nodes_list: pairs of host and port. None uses `url`.
        cluster_mode: True for a cluster. False detects the mode from the server.
        use_tls: encrypt the connection.
        username: ACL user.
        password: password of the user.
        request_timeout: timeout of a request in milliseconds. Writes of a batch get 20 ms more per document.
        retry_attempts: number of retries of a read after an outage.
        retry_base_delay_ms: delay before the first retry in milliseconds.
        retry_exponent_base: factor between one delay and the next.
        batch_size: documents per request.
        index_name: name of the index. Documents of different indexes never mix.
        distance_metric: ``cosine``, ``l2`` or ``ip``.
        embedding_dim: length of the embeddings.
        metadata_fields: accepted for compatibility with the existing integration. Filters need no declaration.
        url: server URL: ``valkey://host:6379``, ``valkeys://`` for TLS, or ``embedded://`` for a private server. It
            replaces all settings from `nodes_list` to `retry_exponent_base` except the secrets. Defaults to
            ``VALKEY_URL`` (ignored with `use_tls` or `cluster_mode`), then to localhost:6379. To serialize the store,
            pass a password as `password` or in the environment, not in the URL.
        engine: ``auto``, or require ``search`` or ``native``.
        algorithm: ``HNSW`` or ``FLAT``, for a new index.
        full_text: index the content of a new index for BM25. `ValkeyTextRetriever` and `ValkeyHybridRetriever` need it.
            Cannot be added to an existing index. False also opens an index that has it.
        embedding_model: model name stored with a new index. Opening the index for another model raises.
        must_exist: raise on the first operation if the index does not exist, instead of creating it with the first write.
        consistency: ``strict``, ``partial`` or ``loose`` for every read (see `ReadOptions`).
        timeout: seconds for every read, > 0. None: no limit but `request_timeout`.

    Raises:
        ValueError: if a setting is invalid.
    """

    def __init__(
        self,
        nodes_list: list[tuple[str, int]] | None = None,
        *,
        cluster_mode: bool = False,
        use_tls: bool = False,
        username: Secret | None = _USERNAME,
        password: Secret | None = _PASSWORD,
        request_timeout: int = 500,
        retry_attempts: int = 3,
        retry_base_delay_ms: int = 1000,
        retry_exponent_base: int = 2,
        batch_size: int = 200,
        index_name: str = "default",
        distance_metric: Literal["l2", "cosine", "ip"] = "cosine",
        embedding_dim: int = 768,
        metadata_fields: dict[str, type[str | int]] | None = None,
        url: str | None = None,
        engine: EngineChoice = "auto",
        algorithm: Literal["HNSW", "FLAT"] = "HNSW",
        full_text: bool = False,
        embedding_model: str | None = None,
        must_exist: bool = False,
        consistency: Consistency = "strict",
        timeout: float | None = None,
    ) -> None:
        self._read_options = unusual_read_options(consistency, timeout)
        if distance_metric not in ("l2", "cosine", "ip"):
            raise ValueError(f"distance_metric must be l2, cosine or ip, not {distance_metric!r}")
        for name, flag in (("full_text", full_text), ("must_exist", must_exist)):
            if not isinstance(flag, bool):
                raise ValueError(f"{name} must be True or False, not {flag!r}")  # noqa: TRY004 - as all others
        check_range("embedding_dim", embedding_dim, 1, 2**31 - 1)
        self._settings = StoreSettings(
            nodes_list=checked_nodes(nodes_list),
            url=url,
            cluster_mode=cluster_mode,
            use_tls=use_tls,
            username=username,
            password=password,
            request_timeout=request_timeout,
            retry_attempts=retry_attempts,
            retry_base_delay_ms=retry_base_delay_ms,
            retry_exponent_base=retry_exponent_base,
            batch_size=batch_size,
        )
        self._index_name = index_name
        self._distance_metric = distance_metric
        self._embedding_dim = embedding_dim
        self._metadata_fields = typed_fields(metadata_fields)
        self._engine = engine
        self._algorithm = algorithm
        self._full_text = full_text
        self._embedding_model = embedding_model
        self._must_exist = must_exist
        self._index: Index | None = None
        self._lock = threading.Lock()

    @property
    def index(self) -> Index:
        """The core's index, for operations that Haystack has no method for. Opened on first use."""
        opened = self._index
        if opened is not None:
            return opened
        with self._lock:
            if self._index is None:
                self._index = Index.open(
                    self._index_name,
                    dimension=self._embedding_dim,
                    connection=self._settings.connect(),
                    metric=self._distance_metric,
                    algorithm=self._algorithm,
                    engine=self._engine,
                    full_text=self._full_text or None,
                    embedding_model=self._embedding_model,
                    must_exist=self._must_exist,
                )
            return self._index

    @property
    def full_text(self) -> bool:
        """True if the store was created for text and hybrid retrieval."""
        return self._full_text

    def to_dict(self) -> dict[str, Any]:
        """Serialize the store to a dict. Secrets are stored as names of environment variables.

        Raises:
            ValueError: if a secret was passed as a token, or the URL contains a password.
        """
        settings = self._settings
        return default_to_dict(
            self,
            nodes_list=None
            if settings.nodes_list is None
            else [list(n) for n in settings.nodes_list],
            cluster_mode=settings.cluster_mode,
            use_tls=settings.use_tls,
            username=settings.username.to_dict() if settings.username else None,
            password=settings.password.to_dict() if settings.password else None,
            request_timeout=settings.request_timeout,
            retry_attempts=settings.retry_attempts,
            retry_base_delay_ms=settings.retry_base_delay_ms,
            retry_exponent_base=settings.retry_exponent_base,
            batch_size=settings.batch_size,
            index_name=self._index_name,
            distance_metric=self._distance_metric,
            embedding_dim=self._embedding_dim,
            metadata_fields=named_fields(self._metadata_fields),
            url=settings.serializable_url(),
            engine=self._engine,
            algorithm=self._algorithm,
            full_text=self._full_text,
            embedding_model=self._embedding_model,
            must_exist=self._must_exist,
            consistency=self._read_options.get("consistency", "strict"),
            timeout=self._read_options.get("timeout"),
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ValkeyDocumentStore:
        """Create a store from the dict of `to_dict`."""
        parameters = dict(data.get("init_parameters", {}))
        for name in ("username", "password"):
            if isinstance(parameters.get(name), dict):
                parameters[name] = Secret.from_dict(parameters[name])
        store: ValkeyDocumentStore = default_from_dict(cls, {**data, "init_parameters": parameters})
        return store

    def count_documents(self) -> int:
        """Return the number of documents."""
        return self._done("count documents", lambda: self.index.count(None, **self._read_options))

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the documents that match, with their embeddings, in the order of their first write.

        Raises:
            FilterError: if the filter is invalid.
        """
        condition = to_filter(filters)
        records = self._done(
            "filter documents",
            lambda: self.index.select(
                condition, with_vectors=True, with_payloads=True, **self._read_options
            ),
        )
        return [from_record(record) for record in warn_if_partial(records)]

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Store documents.

        Args:
            documents: documents to store. Without an embedding, a document is found by filter, but never by embedding.
            policy: action for ids that are already stored. NONE means OVERWRITE.

        Returns:
            The number of written documents.

        Raises:
            ValueError: if `documents` is not a list of documents.
            DuplicateDocumentError: if the policy is FAIL and an id is already stored. Nothing is written.
            ValkeyDocumentStoreError: if the operation fails. If a document is invalid, nothing is written.
        """
        check_documents(documents)
        if policy is DuplicatePolicy.FAIL:
            refuse_repeated(documents)
        # Equivalent to writing one after the other: the last document of an id is stored, with SKIP the first.
        order = documents[::-1] if policy is DuplicatePolicy.SKIP else documents
        unique = list({document.id: document for document in order}.values())
        if policy is DuplicatePolicy.SKIP:
            unique.reverse()

        def write() -> int:
            records = to_records(unique)
            batch_size = self._settings.batch_size
            core_policy = _POLICIES[policy]
            return self.index.upsert(records, policy=core_policy, batch_size=batch_size).written

        try:
            written = self._done("write documents", write)
        except ValkeyDocumentStoreError as error:
            if isinstance(error.__cause__, DuplicateIdError):
                raise DuplicateDocumentError(str(error.__cause__)) from error.__cause__
            raise
        return written if policy is DuplicatePolicy.SKIP else len(documents)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents by id. Logs a warning if ids are not stored."""
        ids = list(dict.fromkeys(document_ids))
        removed = self._done("delete documents", lambda: self.index.delete(ids))
        if removed < len(ids):
            _logger.warning(
                "{missing} of {requested} documents to delete are not in index {index}",
                missing=len(ids) - removed,
                requested=len(ids),
                index=self._index_name,
            )

    def delete_all_documents(self, recreate_index: bool = False) -> None:
        """Delete all documents.

        Args:
            recreate_index: drop the index and create it again with the settings of this store.
        """

        def remove() -> None:
            if recreate_index:
                self.index.drop()
                self.index.create()
            else:
                self.index.delete_all()

        self._done("delete all documents", remove)

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Delete the documents that match, and return their number.

        Raises:
            FilterError: if the filter is invalid.
            ValueError: if the filter is empty. To delete all documents, call `delete_all_documents`.
        """
        condition = to_filter(filters)
        if condition is None:
            raise ValueError(
                "delete_by_filter needs a filter; to delete all documents, call delete_all_documents()"
            )
        return self._done("delete documents", lambda: self.index.delete_by_filter(condition))

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Set metadata of the documents that match, and return their number. Other metadata is kept."""
        condition = to_filter(filters)
        return self._done(
            "update documents",
            lambda: self.index.update_metadata(
                {} if condition is None else condition, listed_tuples(meta, "meta")
            ),
        )

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """Return the number of documents that match."""
        condition = to_filter(filters)
        return self._done(
            "count documents", lambda: self.index.count(condition, **self._read_options)
        )

    def count_unique_metadata_by_filter(
        self, filters: dict[str, Any], metadata_fields: list[str]
    ) -> dict[str, int]:
        """Return the number of distinct values of each field among the documents that match."""
        keys = [metadata_key(field) for field in metadata_fields]
        return summaries.distinct_counts(self._metadata(filters), keys)

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """Return the metadata fields, each with its ``type``."""
        return summaries.kinds(self._metadata(None))

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """Return the smallest and largest value of a field as ``min`` and ``max``, or None without a value."""
        return summaries.extremes(self._metadata(None), metadata_key(metadata_field))

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """Return a page of the distinct values of a field, sorted, and their total number.

        Args:
            metadata_field: name of the field, with or without ``meta.``.
            search_term: return only values whose text contains this, case-insensitively.
            from_: number of values to skip, at least 0.
            size: maximum number of values, at least 0.
            filters: read only documents that match.
        """
        if from_ < 0 or size < 0:
            raise ValueError("from_ and size must not be negative")
        values = summaries.distinct_values(
            self._metadata(filters), metadata_key(metadata_field), search_term
        )
        return values[from_ : from_ + size], len(values)

    def close(self) -> None:
        """Close the connection. The next operation opens it again."""
        with self._lock:
            index, self._index = self._index, None
        if index is not None:
            index.connection.close()

    def __repr__(self) -> str:
        server = self._settings.shown_server
        return f"{type(self).__name__}({self._index_name!r}, {server}, engine={self._engine!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the settings. A copy opens its own connection."""
        return {**self.__dict__, "_index": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def _metadata(self, filters: dict[str, Any] | None) -> list[Any]:
        condition = to_filter(filters)
        records = self._done(
            "read metadata",
            lambda: self.index.select(condition, with_content=False, **self._read_options),
        )
        return [record.metadata for record in warn_if_partial(records)]

    def _done(self, what: str, operation: Callable[[], _T]) -> _T:
        """Run an operation and return its result. Raise a failure as Haystack's error."""
        try:
            return operation()
        except ValkeyVectorError as error:
            raise ValkeyDocumentStoreError(
                f"cannot {what} in index {self._index_name!r}: {error}"
            ) from error

    count_documents_async = async_version(count_documents, "count_documents_async")
    filter_documents_async = async_version(filter_documents, "filter_documents_async")
    write_documents_async = async_version(write_documents, "write_documents_async")
    delete_documents_async = async_version(delete_documents, "delete_documents_async")
    delete_all_documents_async = async_version(delete_all_documents, "delete_all_documents_async")
    delete_by_filter_async = async_version(delete_by_filter, "delete_by_filter_async")
    update_by_filter_async = async_version(update_by_filter, "update_by_filter_async")
    count_documents_by_filter_async = async_version(
        count_documents_by_filter, "count_documents_by_filter_async"
    )
    count_unique_metadata_by_filter_async = async_version(
        count_unique_metadata_by_filter, "count_unique_metadata_by_filter_async"
    )
    get_metadata_fields_info_async = async_version(
        get_metadata_fields_info, "get_metadata_fields_info_async"
    )
    get_metadata_field_min_max_async = async_version(
        get_metadata_field_min_max, "get_metadata_field_min_max_async"
    )
    get_metadata_field_unique_values_async = async_version(
        get_metadata_field_unique_values, "get_metadata_field_unique_values_async"
    )
    close_async = async_version(close, "close_async")
