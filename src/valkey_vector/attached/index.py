"""`AttachedIndex`: an index that somebody else made, opened for search. It never writes and never drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from typing import Any, Self

from valkey_vector.attached.definition import IndexDefinition, VectorAttribute, attribute_name
from valkey_vector.attached.description import (
    ClusterDescription,
    IndexDescription,
    PrimaryDescription,
    Scope,
)
from valkey_vector.attached.documents import (
    AttachedDocument,
    AttachedHit,
    bring,
)
from valkey_vector.attached.searching import AttachedSearch, Choice
from valkey_vector.attached.server import describe_index
from valkey_vector.concurrency.async_versions import twin
from valkey_vector.concurrency.closing import Closing
from valkey_vector.concurrency.waiting import wait_until_indexed
from valkey_vector.connection import Connection
from valkey_vector.errors import (
    ConfigurationError,
    IndexNotFoundError,
    InvalidInputError,
    UnsupportedFeatureError,
)
from valkey_vector.records.record import Vector
from valkey_vector.records.validation import FilterLike, as_filter, check_ids, check_k, check_limit
from valkey_vector.records.vectors import check_vector
from valkey_vector.schema.schema import Metric
from valkey_vector.schema.similarity import similarity
from valkey_vector.storage.catalog import Catalog, check_index_name

__all__ = ["AttachedIndex"]


class AttachedIndex(Closing):
    """An index of the server's search module, by its own attributes: for search, and for nothing else.

    Open one with `Index.attach`. Filters are on the index's attributes (``F("category") == "red"``) and on the key
    (``F.id``); what they mean on raw tags, numbers and texts is stated in `valkey_vector.attached.semantics`. Every
    document is brought by its key and checked before it is returned. Thread-safe; every method has an asynchronous
    twin.

    On Valkey-Search 1.2 what a JSON path leads to is only searchable if it is one value, not a list: filters on paths
    such as ``$.tags[*]`` are therefore checked on every candidate here, and a list under a plain path such as
    ``$.tags`` is not found.
    """

    def __init__(self, connection: Connection, name: str, *, owns_connection: bool) -> None:
        self._connection = connection
        self._name = name
        self._owns_connection = owns_connection
        self._definition = describe_index(connection, name).definition
        self._searching = AttachedSearch(connection, self._definition)

    @classmethod
    def open(
        cls, name: str, *, url: str | None = None, connection: Connection | None = None
    ) -> Self:
        """Open an index of the search module; see `Index.attach`."""
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"the name of an index must be text, not {name!r}")
        if connection is not None and url is not None:
            raise ConfigurationError("give url or connection, not both")
        opened = connection if connection is not None else Connection.open(url)
        try:
            return cls(opened, name, owns_connection=connection is None)
        except BaseException as error:
            own = isinstance(error, IndexNotFoundError) and _is_own(opened, name)
            if connection is None:
                opened.close()
            if own:
                raise IndexNotFoundError(
                    f"{name!r} is an index of this library: open it with Index.open({name!r})"
                ) from error
            raise

    @property
    def name(self) -> str:
        """Its name in FT.* commands."""
        return self._name

    @property
    def connection(self) -> Connection:
        """The connection it uses."""
        return self._connection

    @property
    def definition(self) -> IndexDefinition:
        """What the index is: its document type, prefixes and attributes."""
        return self._definition

    def describe(
        self, scope: Scope = "local"
    ) -> IndexDescription | PrimaryDescription | ClusterDescription:
        """What the server tells of it now; see `valkey_vector.attached.server.describe_index`."""
        return describe_index(self._connection, self._name, scope)

    def search(
        self,
        vector: Vector,
        *,
        k: int = 4,
        attribute: str | None = None,
        filter: FilterLike | None = None,
        words: Mapping[str, str] | None = None,
        ef_runtime: int | None = None,
    ) -> list[AttachedHit]:
        """The k documents nearest to a vector, nearest first, ties by key; fewer only if there are fewer.

        Args:
            vector: finite floats, as many as the attribute's dimension.
            k: at least 1. Beyond 10,000 all documents are compared.
            attribute: which vector attribute; may be left out if the index has one.
            filter: only documents that match.
            words: text by text attribute: only documents that have all its words there, as the server reads and stems
                them. A text without a word (of stop words alone) matches nothing.
            ef_runtime: of HNSW, candidates to look at; at least k and by default 100.

        Raises:
            InvalidInputError: an argument is not acceptable.
            IndexNotFoundError: the index is gone.
        """
        chosen = self._vector_attribute(attribute)
        check_k(k, "k")
        if ef_runtime is not None:
            check_k(ef_runtime, "ef_runtime")
        asked = check_vector(vector, chosen.dimension, "the query")
        return [
            _hit(document, distance, chosen.metric)
            for distance, document in self._searching.nearest(
                chosen, asked, k, _choice(filter, words), ef_runtime
            )
        ]

    def select(
        self,
        filter: FilterLike | None = None,
        *,
        words: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> list[AttachedDocument]:
        """The documents that match, in the order of their keys.

        Args:
            filter: which; None for all.
            words: as for `search`.
            limit: at most so many; None for all.
        """
        if limit is not None:
            check_limit(limit, "limit")
        found = self._searching.select(_choice(filter, words))
        return list(islice(found, limit))

    def count(
        self, filter: FilterLike | None = None, *, words: Mapping[str, str] | None = None
    ) -> int:
        """How many documents match.

        Where the server can tell, keys past their time to live count until it reclaims them.
        """
        return self._searching.count(_choice(filter, words))

    def get(self, keys: Sequence[str]) -> list[AttachedDocument | None]:
        """Documents by their whole keys, in that order; None for a key that is not there, or of another type."""
        wanted = [key.encode() for key in check_ids(keys)]
        found = chain.from_iterable(bring(self._connection, self._definition, wanted))
        by_key = {document.key: document for document, _ in found}
        return [by_key.get(key.decode()) for key in wanted]

    def wait_until_indexed(self, timeout: float = 60.0, *, progress: bool | None = None) -> None:
        """Wait until documents that were there before the index are searchable.

        Args:
            timeout: seconds.
            progress: show a bar; None shows one on a terminal if there is something to wait for.

        Raises:
            RequestTimeoutError: it took longer.
        """
        wait_until_indexed(self._searching.indexed_share, self._name, timeout, progress)

    def close(self) -> None:
        """Let go of the connection, if this opened it itself."""
        if self._owns_connection:
            self._connection.close()

    def __repr__(self) -> str:
        return f"AttachedIndex({self._name!r}, {self._connection!r})"

    def __reduce__(self) -> tuple[Any, tuple[Connection, str]]:
        return _reopened, (self._connection, self._name)

    adescribe = twin(describe)
    asearch = twin(search)
    aselect = twin(select)
    acount = twin(count)
    aget = twin(get)
    await_until_indexed = twin(wait_until_indexed)

    def _vector_attribute(self, name: str | None) -> VectorAttribute:
        vectors = self._definition.vectors
        names = ", ".join(repr(attribute_name(each)) for each in vectors) or "none"
        if name is None:
            if len(vectors) != 1:
                raise InvalidInputError(
                    f"index {self._name!r} has {len(vectors)} vector attributes ({names}): say which with attribute="
                )
            (chosen,) = vectors
        else:
            found = self._definition.attribute(name)
            if not isinstance(found, VectorAttribute):
                raise InvalidInputError(
                    f"index {self._name!r} has no vector attribute {name!r}; it has {names}"
                )
            chosen = found
        if chosen.data_type != "FLOAT32" or not attribute_name(chosen).isidentifier():
            raise UnsupportedFeatureError(
                f"search by the attribute {attribute_name(chosen)!r} of {chosen.data_type}",
                f"index {self._name!r}",
                "an attribute of FLOAT32 with a name of letters, digits and _",
            )
        return chosen


def _hit(document: AttachedDocument, distance: float, metric: Metric) -> AttachedHit:
    near = similarity(distance, metric)
    return AttachedHit(document=document, score=near, distance=distance, similarity=near)


def _choice(filter: FilterLike | None, words: Mapping[str, str] | None) -> Choice:
    return Choice(None if filter is None else as_filter(filter), words)


def _is_own(connection: Connection, name: str) -> bool:
    try:
        check_index_name(name)
    except ConfigurationError:
        return False
    return Catalog(connection, name).read() is not None


def _reopened(connection: Connection, name: str) -> AttachedIndex:
    return AttachedIndex.open(name, connection=connection)
