"""The indexes of a server, and everything that is known of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from valkey_vector.attached.attributes import VectorAttribute
from valkey_vector.attached.definition import IndexDefinition
from valkey_vector.attached.index import AttachedIndex
from valkey_vector.attached.server import ListedIndex, describe_index, list_indexes
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Connection
from valkey_vector.errors import IndexNotFoundError, ValkeyVectorError
from valkey_vector.index.index import Index
from valkey_vector.operations.opening import open_any
from valkey_vector.storage.catalog import Catalog, EngineName

__all__ = ["IndexDetails", "IndexSummary", "adescribe", "asummarize", "describe", "summarize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSummary:
    """One index of a server, in brief.

    Attributes:
        name: name of the index.
        own: True if this library created it, False if another program did.
        engine: ``search`` or ``native``.
        documents: number of documents. None if the index could not be read.
        indexed: share of the documents that are searchable, 0 to 1. None if the index could not be read.
        dimension: length of the main vector. None for an index without vectors.
        metric: metric of the main vector. None for an index without vectors.
        failures: documents that the server could not index completely.
        server_name: name in FT.* commands. None if the search module has no such index.
        problem: why the index could not be read. Empty otherwise.
    """

    name: str
    own: bool
    engine: EngineName
    documents: int | None
    indexed: float | None
    dimension: int | None
    metric: str | None
    failures: int | None
    server_name: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDetails:
    """Everything that is known of one index.

    Attributes:
        summary: the index in brief.
        server: search module and server with their versions.
        algorithm: HNSW or FLAT. None for an index without vectors.
        embedding_model: the model of the vectors, if the application passed it.
        schema: the schema of an own index, as `Schema.to_dict` returns it; None for an index of another program.
        numeric_slots: metadata keys with a numeric slot, of an own index.
        definition: the definition in the search module; None on the native engine.
        backfill: share of the documents older than the index that are indexed, 0 to 1; None on the native engine.
        queue: writes that the server has not indexed yet; None on the native engine.
        memory: bytes that the attributes of the index use, as far as the server reports them; None otherwise.
    """

    summary: IndexSummary
    server: str
    algorithm: str | None
    embedding_model: str | None
    schema: Mapping[str, Any] | None
    numeric_slots: tuple[str, ...]
    definition: IndexDefinition | None
    backfill: float | None
    queue: int | None
    memory: int | None


def summarize(connection: Connection) -> tuple[IndexSummary, ...]:
    """List the indexes of the server's database: own indexes first, then those of other programs, by name.

    An index that cannot be read is listed with its problem.

    Cost: a SCAN of all keys, and a few round trips for each index.

    Raises:
        ServerError: the server is unreachable, or refuses the list.
    """
    return tuple(_summary(connection, listed) for listed in list_indexes(connection))


async def asummarize(connection: Connection) -> tuple[IndexSummary, ...]:
    """Async version of `summarize`."""
    return await offload(summarize, connection)


def describe(connection: Connection, name: str) -> IndexDetails:
    """Describe one index of this library or of another program.

    Raises:
        IndexNotFoundError: there is no such index.
    """
    index = open_any(connection, name)
    if isinstance(index, AttachedIndex):
        return _foreign_details(connection, name)
    return _own_details(connection, index)


async def adescribe(connection: Connection, name: str) -> IndexDetails:
    """Async version of `describe`."""
    return await offload(describe, connection, name)


def _summary(connection: Connection, listed: ListedIndex) -> IndexSummary:
    try:
        return describe(connection, listed.name).summary
    except IndexNotFoundError:
        problem = "dropped while it was read"
    except ValkeyVectorError as error:
        problem = str(error)
    return IndexSummary(
        name=listed.name,
        own=listed.own,
        engine=listed.engine,
        documents=None,
        indexed=None,
        dimension=None,
        metric=None,
        failures=None,
        server_name=listed.server_name,
        problem=problem,
    )


def _own_details(connection: Connection, index: Index) -> IndexDetails:
    info = index.info()
    entry = Catalog(connection, index.name).read()
    if entry is None:
        raise IndexNotFoundError(f"index {index.name!r} was dropped while it was read")
    searching = info.engine == "search"
    described = describe_index(connection, entry.search_index) if searching else None
    return IndexDetails(
        summary=IndexSummary(
            name=index.name,
            own=True,
            engine=info.engine,
            documents=info.documents,
            indexed=info.indexed,
            dimension=info.dimension,
            metric=info.metric,
            failures=info.failures,
            server_name=entry.search_index if searching else None,
        ),
        server=info.server,
        algorithm=info.algorithm,
        embedding_model=info.embedding_model,
        schema=entry.schema.to_dict(),
        numeric_slots=info.slots,
        definition=None if described is None else described.definition,
        backfill=None if described is None else described.backfill.share,
        queue=None if described is None else described.queue,
        memory=None if described is None else _memory([a.memory for a in described.attributes]),
    )


def _foreign_details(connection: Connection, name: str) -> IndexDetails:
    described = describe_index(connection, name)
    vectors = described.definition.vectors
    main: VectorAttribute | None = vectors[0] if vectors else None
    return IndexDetails(
        summary=IndexSummary(
            name=name,
            own=False,
            engine="search",
            documents=described.documents,
            indexed=described.backfill.share,
            dimension=None if main is None else main.dimension,
            metric=None if main is None else str(main.metric),
            failures=described.failures,
            server_name=name,
        ),
        server=connection.capabilities.description,
        algorithm=None if main is None else main.algorithm,
        embedding_model=None,
        schema=None,
        numeric_slots=(),
        definition=described.definition,
        backfill=described.backfill.share,
        queue=described.queue,
        memory=_memory([each.memory for each in described.attributes]),
    )


def _memory(parts: list[int | None]) -> int | None:
    """Sum the reported sizes; None if the server reports none."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
