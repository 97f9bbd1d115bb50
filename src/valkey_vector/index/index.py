"""`Index`: records stored and searched under one name, on whichever engine the server offers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.concurrency.closing import Closing
from valkey_vector.concurrency.threads import offload
from valkey_vector.concurrency.waiting import wait_until_indexed
from valkey_vector.connection import Connection
from valkey_vector.engines.base import IndexInfo
from valkey_vector.errors import ConfigurationError
from valkey_vector.index.aggregates import AggregatingIndex
from valkey_vector.index.checks import CheckableIndex
from valkey_vector.index.handle import EngineChoice, Lifecycle, Request, not_found
from valkey_vector.index.searches import ReadableIndex
from valkey_vector.index.text import TextSearchableIndex
from valkey_vector.index.writes import WritableIndex
from valkey_vector.records.plain_values import plain_text
from valkey_vector.schema.full_text import FullText
from valkey_vector.schema.schema import Algorithm, Metric, Schema

if TYPE_CHECKING:
    from valkey_vector.attached.index import AttachedIndex

__all__ = ["Index"]


class Index(
    ReadableIndex,
    TextSearchableIndex,
    WritableIndex,
    AggregatingIndex,
    CheckableIndex,
    Closing,
):
    """A named collection of records with vectors, text and metadata.

    Open one with `Index.open`. It may be used from any number of threads and event loops, and by forked
    children. Every method has an asynchronous twin named with a leading ``a``; cancelling one stops the waiting, not
    the command. An index that does not exist reads as empty and is made by the first write; an outage always raises.
    """

    def __init__(self, lifecycle: Lifecycle, *, owns_connection: bool) -> None:
        super().__init__(lifecycle)
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
        embedding_model: str | None = None,
        must_exist: bool = False,
    ) -> Index:
        """Open an index, or prepare to make it. Nothing is asked of the server yet unless `must_exist`.

        Args:
            name: letters, digits, ``_``, ``-`` and ``.``.
            dimension: length of the vectors; by default the existing index's, or the first vector's.
            url: the server (see `Connection.open`); by default ``VALKEY_URL`` or the embedded server.
            connection: an open connection to use instead; it is not closed with the index.
            metric: COSINE (default for a new index), L2 or IP.
            algorithm: `Hnsw` (default for a new index) or `Flat`, or its name.
            schema: all settings at once, as a `Schema`, a dict or a YAML file.
            engine: ``auto``, or insist on ``search`` or ``native``.
            full_text: index the words of a new index's texts, for text and hybrid search: True, or how. Takes about twice
                the texts' size on the server, and time to write.
            embedding_model: recorded with a new index; opening it for another model is an error.
            must_exist: raise now if there is no such index.

        Raises:
            ConfigurationError: a setting is wrong.
            IndexNotFoundError: `must_exist`, and there is none.
            IndexMismatchError: the index exists with other settings than given here. Without `must_exist` this is
                found out at first use.
        """
        if engine not in ("auto", "search", "native"):
            raise ConfigurationError(f"engine must be 'auto', 'search' or 'native', not {engine!r}")
        if connection is not None and url is not None:
            raise ConfigurationError("give url or connection, not both")
        full = Schema.of(
            schema, dimension=dimension, metric=metric, algorithm=algorithm, full_text=full_text
        )
        asked = {
            "dimension": full.dimension is not None,
            "metric": metric is not None or schema is not None,
            "algorithm": algorithm is not None or schema is not None,
            "algorithm settings": schema is not None or not isinstance(algorithm, str | None),
            "fields": schema is not None,
            "numeric_slots": schema is not None,
            "vectors": schema is not None,
            "full_text": full_text is not None or schema is not None,
            "engine": engine != "auto",
            "embedding_model": embedding_model is not None,
        }
        request = Request(
            full, engine, embedding_model, frozenset(name for name, told in asked.items() if told)
        )
        opened = connection if connection is not None else Connection.open(url)
        known = plain_text(name) if isinstance(name, str) else name
        index = cls(Lifecycle(opened, known, request), owns_connection=connection is None)
        if must_exist and index._lifecycle.existing() is None:
            raise not_found(name)
        return index

    @staticmethod
    def attach(
        name: str, *, url: str | None = None, connection: Connection | None = None
    ) -> AttachedIndex:
        """Open an index of the server's search module that somebody else made, by its own attributes, for search only.

        Args:
            name: the index's name in FT.* commands.
            url: the server (see `Connection.open`).
            connection: an open connection to use instead; it is not closed with the index.

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
        """`attach`, awaited."""
        return await offload(Index.attach, name, url=url, connection=connection)

    @property
    def name(self) -> str:
        """The index's name."""
        return self._lifecycle.name

    @property
    def connection(self) -> Connection:
        """The connection it uses."""
        return self._lifecycle.connection

    @property
    def schema(self) -> Schema:
        """Its schema: the server's if the index exists, else the one it would be made with."""
        return self._lifecycle.known_schema()

    @property
    def metric(self) -> Metric:
        """How its vectors are compared."""
        return self.schema.metric

    def exists(self) -> bool:
        """Whether the index exists on the server."""
        return self._lifecycle.existing() is not None

    def create(self, *, dimension: int | None = None) -> None:
        """Make the index now if it does not exist, instead of at the first write.

        Args:
            dimension: of its vectors, where none was given when it was opened.

        Raises:
            ConfigurationError: its dimension is not known.
            IndexMismatchError: it exists with other settings.
        """
        self._lifecycle.write(lambda _: None, dimension)

    def wait_until_indexed(self, timeout: float = 60.0, *, progress: bool | None = None) -> None:
        """Wait until documents that were there before the index are searchable. Writes need no waiting.

        Args:
            timeout: seconds.
            progress: show a bar; None shows one on a terminal if there is something to wait for.

        Raises:
            RequestTimeoutError: it took longer.
        """
        wait_until_indexed(
            lambda: self._lifecycle.read(lambda engine: engine.indexed_share(), 1.0),
            self.name,
            timeout,
            progress,
        )

    def info(self) -> IndexInfo:
        """Describe the index.

        Raises:
            IndexNotFoundError: it does not exist.
        """
        described = self._lifecycle.read(lambda engine: engine.info(), None)
        if described is None:
            raise not_found(self.name)
        return described

    def drop(self, *, documents: bool = True) -> int:
        """Remove the index, and with it its documents unless told otherwise.

        Without `documents` they stay, and an index made again under the name, with the same dimension, fields and
        `numeric_slots`, finds them. An index that does not exist is no matter. Should the removal be interrupted, make the index again and drop it once more.

        Returns:
            How many documents were removed.
        """
        return self._lifecycle.drop(documents=documents)

    def close(self) -> None:
        """Let go of the connection, if the index opened it itself."""
        if self._owns_connection:
            self.connection.close()

    def __repr__(self) -> str:
        return f"Index({self.name!r}, {self.connection!r})"

    aexists = twin(exists)
    acreate = twin(create)
    await_until_indexed = twin(wait_until_indexed)
    ainfo = twin(info)
    adrop = twin(drop)
