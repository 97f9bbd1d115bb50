"""`ValkeyStore`: LangGraph store for long-term memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.embeddings import Embeddings
from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    ensure_embeddings,
    get_text_at_path,
)
from langgraph.store.base import Item as GraphItem

from valkey_vector import ConfigurationError, Connection, Index, InvalidInputError
from valkey_vector.concurrency.closing import Closing
from valkey_vector.concurrency.threads import offload
from valkey_vector.index.settings import EngineChoice
from valkey_vector.records.metadata import dump
from valkey_vector.records.representation import shown_as
from valkey_vector.storage.keyspace import lifetime
from valkey_vector.stores import (
    FindItems,
    GetItem,
    Item,
    ItemIndex,
    ItemStore,
    ItemText,
    ListNamespaces,
    Match,
    Operation,
    PutItem,
    Question,
    RankedItem,
    RankedSearch,
    SearchMode,
    compile_filter,
    search_ranked,
)

__all__ = ["ValkeyStore"]

_WHOLE = "$"
Texts: TypeAlias = dict[int, list[str]]
"""The texts to index of each put, by its position in the batch."""


class ValkeyStore(Closing, BaseStore):
    """Store of items by namespace and key on Valkey, for ``builder.compile(store=ValkeyStore())``.

    With `index`, you can search items by meaning, by terms, or by both. Values are JSON: None, booleans, numbers, text, dates,
    lists and dicts. Reads in a batch see the state before the batch. If a batch puts one item several times, the last put wins.

    Cost: one round trip for a batch without a query. Atomicity: other clients see such a batch as one step.

    Engines: any Valkey or Redis; without `index` no search module is used. On a cluster, a store is on one node, and its index
    is spread over all nodes.

    Args:
        url: the server. Default: ``VALKEY_URL``, or a private server that ends with the process.
        connection: an open connection to share instead. The store does not close it.
        index: how to embed items: ``embed``, ``dims`` and ``fields`` (paths such as ``notes[*].text``; by default the whole
            item). An item may have any number of texts; its best text counts.
        ttl: ``default_ttl`` in minutes for items that are put without one, and ``refresh_on_read`` (True by default).
            Expired items are never returned. Later operations remove them, so there is no sweeper to start.
        search: how a query ranks items: ``vector`` by similarity, ``text`` by terms (BM25; `index` needs no ``embed``), or
            ``hybrid`` by both.
        namespace: stores of different namespaces never see each other's items. Any non-empty text.
        index_name: name of the index: letters, digits, ``_``, ``-`` and ``.``. Default: ``<namespace>-store``.
        engine: engine of the index: ``auto``, or ``search`` or ``native`` to require that one.

    Raises:
        ConfigurationError: a setting is invalid.
    """

    supports_ttl = True

    def __init__(
        self,
        url: str | None = None,
        *,
        connection: Connection | None = None,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
        search: SearchMode = "vector",
        namespace: str = "langgraph",
        index_name: str | None = None,
        engine: EngineChoice = "auto",
    ) -> None:
        self.ttl_config = ttl
        self.index_config = index
        self._embeddings: Embeddings | None = None
        self._fields: list[str] = []
        self._texts: ItemIndex | None = None
        self._core: ItemStore = ItemStore(
            namespace, url=url, connection=connection, vanished=self._forget
        )
        if index is not None:
            self._embeddings = _embeddings(index, search)
            self._fields = list(index.get("fields") or [_WHOLE])
            opened = Index.open(
                index_name or f"{namespace}-store",
                # Without embeddings no vector is ever stored, but an index has to have a dimension.
                dimension=index.get("dims") if self._embeddings else 1,
                connection=self._core.connection,
                engine=engine,
                full_text=True if search != "vector" else None,
            )
            self._texts = ItemIndex(opened, search)

    @classmethod
    def from_conn_string(cls, conn_string: str, **options: Any) -> ValkeyStore:
        """Return a store for the server at a URL. Use it in a ``with`` or ``async with`` block, as with other stores."""
        return cls(conn_string, **options)

    def __repr__(self) -> str:
        return shown_as(self, self._core)

    def close(self) -> None:
        """Release the connection, unless it was passed as `connection`."""
        self._core.close()

    def clear(self) -> None:
        """Remove every item of this store, and its index."""
        self._core.clear()
        if self._texts is not None:
            self._texts.clear()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Run operations; returns their results in the same order.

        Cost: one round trip for each 1,000 operations. A query adds its embedding and two round trips: to the index and to the
        items. A put with texts to index adds one round trip before, and one after it if the replaced item had texts.

        Raises:
            InvalidInputError: an operation is invalid. Nothing was written.
            ConnectionLostError: the server cannot be reached.
        """
        listed = list(ops)
        texts, queries = self._to_embed(listed)
        vectors: dict[str, Sequence[float]] = {}
        if self._embeddings is not None:
            distinct = _distinct(texts)
            if distinct:
                embedded = self._embeddings.embed_documents(distinct)
                vectors = dict(zip(distinct, embedded, strict=True))
            embedded_queries = {query: self._embeddings.embed_query(query) for query in queries}
        else:
            embedded_queries = {}
        return self._run(listed, texts, vectors, embedded_queries)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Async version of `batch`. Awaits the embeddings."""
        listed = list(ops)
        texts, queries = self._to_embed(listed)
        vectors: dict[str, Sequence[float]] = {}
        embedded_queries: dict[str, Sequence[float]] = {}
        if self._embeddings is not None:
            distinct = _distinct(texts)
            if distinct:
                embedded = await self._embeddings.aembed_documents(distinct)
                vectors = dict(zip(distinct, embedded, strict=True))
            found = await asyncio.gather(*map(self._embeddings.aembed_query, queries))
            embedded_queries = dict(zip(queries, found, strict=True))
        return await offload(self._run, listed, texts, vectors, embedded_queries)

    def _to_embed(self, ops: Sequence[Op]) -> tuple[Texts, list[str]]:
        """Return the texts of each item's last put, and the queries of the searches."""
        if self._texts is None:
            return {}, []
        last = {(op.namespace, op.key): at for at, op in enumerate(ops) if isinstance(op, PutOp)}
        texts: Texts = {}
        for at in last.values():
            op = ops[at]
            if isinstance(op, PutOp) and op.value is not None and op.index is not False:
                paths = self._fields if op.index is None else op.index
                texts[at] = [text for path in paths for text in _texts_at(op, path) if text]
        queries = [op.query for op in ops if isinstance(op, SearchOp) and op.query]
        return texts, list(dict.fromkeys(queries))

    def _run(
        self,
        ops: Sequence[Op],
        texts: Texts,
        vectors: Mapping[str, Sequence[float]],
        embedded_queries: Mapping[str, Sequence[float]],
    ) -> list[Result]:
        """Run a batch whose texts are embedded. Queries run first, because they must not see the puts."""
        plain: dict[int, Operation] = {}
        ranked: dict[int, RankedSearch] = {}
        for at, op in enumerate(ops):
            operation = self._operation(op, embedded_queries)
            if isinstance(operation, RankedSearch):
                ranked[at] = operation
            else:
                plain[at] = operation
        results: list[Result] = [None] * len(ops)
        if ranked and self._texts is not None:
            pages = search_ranked(self._core, self._texts, list(ranked.values()))
            for at, page in zip(ranked, pages, strict=True):
                results[at] = [_found(item) for item in page]
        self._index_texts(plain, texts, vectors)
        if plain:
            for at, result in zip(plain, self._core.run(list(plain.values())), strict=True):
                results[at] = _result(ops[at], result)
        return results

    def _operation(
        self, op: Op, embedded_queries: Mapping[str, Sequence[float]]
    ) -> Operation | RankedSearch:
        match op:
            case GetOp(namespace, key, refresh):
                return GetItem(namespace, key, refresh)
            case PutOp(namespace, key, value, _, ttl):
                duration = None if ttl is None else lifetime(ttl * 60)
                stored = None if value is None else dump(value, f"item {key!r} of {namespace!r}")
                return PutItem(namespace, key, stored, duration)
            case ListNamespacesOp(conditions, depth, limit, offset):
                matches = [Match(each.match_type, each.path) for each in conditions or ()]
                return ListNamespaces(matches, depth, offset, limit)
            case SearchOp(prefix, filter, limit, offset, query, refresh):
                matches_filter = compile_filter(filter) if filter else None
                accept = None if matches_filter is None else _on_value(matches_filter)
                if not query or self._texts is None:
                    return FindItems(prefix, accept, offset, limit, refresh)
                question = Question(prefix, query, embedded_queries.get(query))
                return RankedSearch(question, accept, offset, limit, refresh)
            case _:
                raise InvalidInputError(f"unknown operation: {op!r}")

    def _index_texts(
        self,
        plain: dict[int, Operation],
        texts: Texts,
        vectors: Mapping[str, Sequence[float]],
    ) -> None:
        """Write the texts of the puts to the index, and add their revisions to the puts."""
        if self._texts is None or not texts:
            return
        added = []
        for at, own in texts.items():
            put = plain[at]
            assert isinstance(put, PutItem)  # noqa: S101 - only puts have texts
            name = tuple(put.namespace), put.key
            added.append((name, [ItemText(text, vectors.get(text)) for text in own]))
        for at, (revision, count) in zip(texts, self._texts.add(added), strict=True):
            put = plain[at]
            assert isinstance(put, PutItem)  # noqa: S101 - as above
            plain[at] = PutItem(put.namespace, put.key, put.value, put.ttl, revision, count)

    def _forget(self, vanished: Sequence[tuple[str, int]]) -> None:
        if self._texts is not None:
            self._texts.remove(vanished)


def _embeddings(index: IndexConfig, search: SearchMode) -> Embeddings | None:
    embed = index.get("embed")
    if embed is None:
        if search != "text":
            raise ConfigurationError(
                f"index has no 'embed', which search={search!r} needs; add it, or use search='text'"
            )
        return None
    return None if search == "text" else ensure_embeddings(embed)


def _distinct(texts: Texts) -> list[str]:
    return list(dict.fromkeys(text for own in texts.values() for text in own))


def _texts_at(op: PutOp, path: str) -> list[str]:
    try:
        return get_text_at_path(dict(op.value or {}), path)
    except TypeError as error:
        raise InvalidInputError(
            f"the text at {path!r} of item {op.key!r} cannot be read: {error}"
        ) from error


def _on_value(matches: Any) -> Any:
    return lambda item: matches(item.value)


def _result(op: Op, result: Any) -> Result:
    match op:
        case GetOp():
            return None if result is None else _item(result)
        case SearchOp():
            return [_found(RankedItem(item, None)) for item in result]
        case ListNamespacesOp():
            found: list[tuple[str, ...]] = result
            return found
        case _:
            return None


def _item(item: Item) -> GraphItem:
    return GraphItem(
        value=item.value,
        key=item.key,
        namespace=item.namespace,
        created_at=item.created_at,
        updated_at=item.updated_at,
    )


def _found(ranked: RankedItem) -> SearchItem:
    item = ranked.item
    return SearchItem(
        namespace=item.namespace,
        key=item.key,
        value=item.value,
        created_at=item.created_at,
        updated_at=item.updated_at,
        score=ranked.score,
    )
