"""`Index`: the public class, which opens, creates, describes and drops an index.

`IndexSearches`, `IndexReads` and `IndexWrites` add the other methods. All are thin: each checks nothing itself and makes
one call. `IndexHandle` opens the index and reopens it after a change, `IndexReader` answers queries, and `IndexWriter`
writes and repairs. Every blocking method has an async version beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.closing import Closing
from valkey_vector.concurrency.threads import offload
from valkey_vector.concurrency.waiting import wait_until_indexed
from valkey_vector.connection import Connection
from valkey_vector.errors import ConfigurationError
from valkey_vector.index.handle import IndexHandle, not_found
from valkey_vector.index.reader import IndexReader
from valkey_vector.index.reads import IndexReads
from valkey_vector.index.settings import EngineChoice, IndexSettings
from valkey_vector.index.writer import IndexWriter
from valkey_vector.index.writes import IndexWrites
from valkey_vector.query.filter_keyword import names_filter
from valkey_vector.records.vectors import DataType
from valkey_vector.schema.full_text import FullText
from valkey_vector.schema.schema import Algorithm, Metric, Schema

if TYPE_CHECKING:
    from valkey_vector.attached.index import AttachedIndex
    from valkey_vector.engines.base import IndexInfo

__all__ = ["Index"]


@names_filter
class Index(IndexReads, IndexWrites, Closing):
    """A named collection of records with vectors, text and metadata.

    Open one with `Index.open`. An `Index` is safe to use from any number of threads and event loops, and in forked
    child processes. Each method has an async version with the prefix ``a``. Cancelling it stops the waiting, not the
    command.

    Reading from an index that does not exist returns no results. The first write creates it. If the server is
    unreachable, every method raises `ConnectionLostError`.
    """

    def __init__(
        self, handle: IndexHandle | None = None, *, owns_connection: bool = False, **settings: Any
    ) -> None:
        if not isinstance(handle, IndexHandle) or settings:
            raise TypeError(
                "an index is opened with Index.open(name, …), such as Index.open('documents', url='valkey://host:6379')"
            )
        self._handle = handle
        self._reader = IndexReader(handle)
        self._writer = IndexWriter(handle)
        self._owns_connection = owns_connection

    @classmethod
    def open(
        cls,
        name: str,
        *,
        dimension: int | None = None,
        url: str | None = None,
        connection: Connection | None = None,
        metric: Metric | str | None = None,
        algorithm: Algorithm | str | None = None,
        schema: Schema | Mapping[str, Any] | str | Path | None = None,
        engine: EngineChoice = "auto",
        full_text: FullText | bool | None = None,
        data_type: DataType | None = None,
        embedding_model: str | None = None,
        must_exist: bool = False,
    ) -> Index:
        """Open an index. Sends nothing to the server unless `must_exist` is True.

        Args:
            name: letters, digits, ``_``, ``-`` and ``.``, after a hash tag for an index in one slot: ``{tenant}articles``.
            dimension: length of the vectors. Default: that of the existing index, or of the first vector.
            url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
            connection: an open connection to use instead. It is not closed with the index.
            metric: COSINE (default for a new index), L2 or IP.
            algorithm: `Hnsw` (default for a new index) or `Flat`, or its name.
            schema: all settings at once, as a `Schema`, a dict or a YAML file.
            engine: ``auto``, or require ``search`` or ``native``.
            full_text: index the terms of the texts of a new index, for text and hybrid search: True, or settings. Uses
                about 14 times the size of the texts on Valkey-Search 1.2.1, 1.5 times natively, and time to write.
            data_type: element type of a new index's vectors: FLOAT32 (default), or FLOAT16 or BFLOAT16 if the server has it.
            embedding_model: stored with a new index. Opening an index with another model raises an error.
            must_exist: raise now if there is no such index.

        Raises:
            ConfigurationError: a setting is wrong.
            IndexNotFoundError: `must_exist` is True and there is no such index.
            IndexMismatchError: the index has other settings than those passed. Without `must_exist`: on first use.
        """
        if connection is not None and url is not None:
            raise ConfigurationError("pass url or connection, not both")
        settings = IndexSettings.of(
            dimension=dimension,
            metric=metric,
            algorithm=algorithm,
            schema=schema,
            engine=engine,
            full_text=full_text,
            embedding_model=embedding_model,
            data_type=data_type,
        )
        opened = connection if connection is not None else Connection.open(url)
        index = cls(IndexHandle(opened, name, settings), owns_connection=connection is None)
        if must_exist and not index.exists():
            raise not_found(name)
        return index

    @staticmethod
    def attach(
        name: str, *, url: str | None = None, connection: Connection | None = None
    ) -> AttachedIndex:
        """Open an index that another program created in the search module. It can be searched, not written.

        Args:
            name: the index's name in FT.* commands.
            url: the server (see `Connection.open`).
            connection: an open connection to use instead. It is not closed with the index.

        Raises:
            IndexNotFoundError: the search module has no such index.
            UnsupportedFeatureError: the server has no search module.
        """
        from valkey_vector.attached.index import AttachedIndex

        return AttachedIndex.open(name, url=url, connection=connection)

    @staticmethod
    async def aattach(
        name: str, *, url: str | None = None, connection: Connection | None = None
    ) -> AttachedIndex:
        """Async version of `attach`."""
        return await offload(Index.attach, name, url=url, connection=connection)

    @property
    def name(self) -> str:
        """The index's name."""
        return self._handle.name

    @property
    def connection(self) -> Connection:
        """The connection that the index uses."""
        return self._handle.connection

    @property
    def schema(self) -> Schema:
        """The schema of the existing index, or the one that a new index will have."""
        return self._handle.known_schema()

    @property
    def metric(self) -> Metric:
        """The metric that compares vectors."""
        return self.schema.metric

    def exists(self) -> bool:
        """True if the index exists on the server."""
        return self._handle.existing() is not None

    def create(self, *, dimension: int | None = None) -> None:
        """Create the index now, instead of with the first write. Does nothing if it exists.

        Args:
            dimension: length of the vectors, if none was passed to `open`.

        Raises:
            ConfigurationError: the dimension is not known.
            IndexMismatchError: the index exists with other settings.
        """
        self._handle.write(lambda _: None, dimension)

    def wait_until_indexed(self, timeout: float = 60.0, *, progress: bool | None = None) -> None:
        """Wait until the documents that existed before the index are searchable. Not needed after writes.

        Args:
            timeout: seconds, > 0.
            progress: show a progress bar. None shows one on a terminal if there is something to wait for.

        Raises:
            RequestTimeoutError: the time is over.
        """
        wait_until_indexed(self._handle.indexed_share, self.name, timeout, progress)

    def info(self) -> IndexInfo:
        """Describe the index.

        Raises:
            IndexNotFoundError: the index does not exist.
        """
        return self._handle.info()

    def drop(self, *, documents: bool = True) -> int:
        """Remove the index and, by default, its documents. Does nothing if the index does not exist.

        If `documents` is False they stay. An index created later under the name, with the same dimension, fields and
        `numeric_slots`, finds them. If `drop` is interrupted, create the index again and call `drop` again.

        Returns:
            The number of documents removed.
        """
        return self._handle.drop(documents=documents)

    def close(self) -> None:
        """Close the connection, if the index opened it itself."""
        if self._owns_connection:
            self.connection.close()

    def __repr__(self) -> str:
        return f"Index({self.name!r}, {self.connection!r}, engine={self._handle.shown_engine!r})"

    aexists = async_version(exists)
    acreate = async_version(create)
    await_until_indexed = async_version(wait_until_indexed)
    ainfo = async_version(info)
    adrop = async_version(drop)
