"""`ValkeyPropertyGraphStore`: LlamaIndex property graph store on Valkey, over `PropertyGraph` and `Index`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from llama_index.core.graph_stores.types import (
    EntityNode,
    LabelledNode,
    PropertyGraphStore,
    Relation,
    Triplet,
)
from llama_index.core.vector_stores.types import VectorStoreQuery

from llama_index.graph_stores.valkey.nodes import (
    has_embedding,
    node_from,
    node_to_bytes,
    relation_from,
    relation_to_bytes,
    to_record,
)
from llama_index.graph_stores.valkey.selecting import Wanted, is_given
from llama_index.graph_stores.valkey.vectors import check_vectors
from llama_index.vector_stores.valkey.queries import restriction
from valkey_vector import Connection, Index, Metric
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.closing import Closing
from valkey_vector.index.settings import EngineChoice
from valkey_vector.records.representation import shown_as
from valkey_vector.records.validation import check_k, check_limit
from valkey_vector.secondary import PropertyGraph, Report, Triple
from valkey_vector.secondary import Relation as Edge

__all__ = ["ValkeyPropertyGraphStore"]


class ValkeyPropertyGraphStore(Closing, PropertyGraphStore):
    """Store a labeled property graph, and find nodes by id, property, relation and embedding.

    Nodes and relations need no search module. The embeddings are stored in a vector index of the same name, on the
    engine that the server supports; filters of `vector_query` apply to the properties of the nodes. Without `url`,
    `connection` and ``VALKEY_URL``, the store starts a private server that ends with the process. Every method has an
    async version, which does not block the event loop.

    Results equal those of LlamaIndex's `SimplePropertyGraphStore`, except that its `delete` also removes the neighbors
    of deleted nodes.

    Args:
        url: server URL, such as ``valkey://user:password@host:6379``.
        index_name: name of the graph: letters, digits, ``_``, ``-`` and ``.``. Graphs of different names never mix.
        connection: open connection to share instead of `url`. `close` does not close it.
        dimension: length of the embeddings. Defaults to that of the existing index or of the first embedding.
        metric: COSINE (default for a new index), L2 or IP.
        engine: engine of the vector index: ``auto``, or require ``search`` or ``native``.

    Raises:
        ConfigurationError: if a setting is invalid (a ValueError).
        IndexMismatchError: on first use, if the index exists with other settings.
    """

    supports_structured_queries = False
    supports_vector_queries = True

    def __init__(
        self,
        url: str | None = None,
        *,
        index_name: str = "llamaindex-graph",
        connection: Connection | None = None,
        dimension: int | None = None,
        metric: Metric | str | None = None,
        engine: EngineChoice = "auto",
    ) -> None:
        self._index = Index.open(
            index_name,
            url=url,
            connection=connection,
            dimension=dimension,
            metric=metric,
            engine=engine,
        )
        self._graph = PropertyGraph(index_name, connection=self._index.connection)

    def __repr__(self) -> str:
        return shown_as(self, self._index)

    @property
    def client(self) -> Connection:
        """The connection."""
        return self._index.connection

    @property
    def graph(self) -> PropertyGraph:
        """The core's graph, for what LlamaIndex has no methods for: patterns, joins and paths."""
        return self._graph

    @property
    def index(self) -> Index:
        """The core's index of the embeddings."""
        return self._index

    def close(self) -> None:
        """Close the connection, unless it was passed in."""
        self._index.close()

    def get(
        self, properties: dict[str, Any] | None = None, ids: list[str] | None = None
    ) -> list[LabelledNode]:
        """Return nodes by id and by property.

        Cost: one round trip per 500 ids. Without ids, all nodes are read.

        Args:
            properties: return nodes with any of these values. None or empty is no condition.
            ids: return nodes with these ids, in this order. None or empty returns all.
        """
        wanted = Wanted(properties=properties)
        return [node for node in self._nodes(ids) if wanted.node(node)]

    def get_triplets(
        self,
        entity_names: list[str] | None = None,
        relation_names: list[str] | None = None,
        properties: dict[str, Any] | None = None,
        ids: list[str] | None = None,
    ) -> list[Triplet]:
        """Return the relations that meet every condition, with their nodes. Without a condition, return none.

        Cost: two to four round trips per 500 relations. With `properties` alone, all relations are read.

        Args:
            entity_names: either end has one of these ids.
            relation_names: the label is one of these.
            properties: either end or the relation has any of these values.
            ids: either end has one of these ids.
        """
        wanted = Wanted(entity_names, relation_names, properties, ids)
        if not wanted.anything:
            return []
        return [
            triplet
            for triplet in self._triplets(wanted.triples(self._graph))
            if wanted.triplet(triplet)
        ]

    def get_rel_map(
        self,
        graph_nodes: list[LabelledNode],
        depth: int = 2,
        limit: int = 30,
        ignore_rels: list[str] | None = None,
    ) -> list[Triplet]:
        """Return the relations around nodes, each once, closest first.

        Step 1 reads the relations of the nodes. Each further step reads the relations of the nodes found before.
        Cost: two or more round trips per step.

        Args:
            graph_nodes: nodes to start from.
            depth: number of steps.
            limit: maximum number of relations.
            ignore_rels: labels to omit from the result. Steps still follow these relations.
        """
        check_limit(depth, "depth")
        check_limit(limit, "limit")
        ignored = {*(ignore_rels or ())}
        found: dict[Triple[str], None] = {}
        around = list(dict.fromkeys(node.id for node in graph_nodes))
        for _ in range(depth):
            new = [triple for triple in self._touching(around) if triple not in found]
            found.update(dict.fromkeys(new))
            around = list(dict.fromkeys(triple[2] for triple in new))
            if not around:
                break
        chosen = [triple for triple in found if triple[1] not in ignored][:limit]
        return list(self._triplets(chosen))

    def upsert_nodes(self, nodes: Sequence[LabelledNode]) -> None:
        """Store nodes, replacing stored nodes with the same ids.

        Cost: one round trip per 500 nodes, plus the writes of the embeddings.

        Raises:
            InvalidInputError: if a node is neither an entity nor a chunk, a property cannot be stored, or an embedding
                does not have the dimension of the index. Nothing is stored.
            PartialWriteError: if some embeddings were not stored. Call `upsert_nodes` again, or `repair`.
        """
        stored = {node.id: node_to_bytes(node) for node in nodes}
        latest = {node.id: node for node in nodes}
        embedded = [to_record(node) for node in latest.values() if node.embedding is not None]
        if embedded:
            self._index.upsert(embedded, progress=False)
        before = self._graph.put_nodes(stored)
        self._forget_embeddings(
            [
                id
                for id, data in before.items()
                if has_embedding(data) and not has_embedding(stored[id])
            ]
        )

    def upsert_relations(self, relations: list[Relation]) -> None:
        """Add relations. Creates an `EntityNode` for an end that does not exist.

        An existing relation with the same ends and label keeps its properties. Cost: one round trip per 500 relations.
        Atomicity: each round trip is atomic.
        """
        self._graph.relate(
            (
                # The ids of LlamaIndex's entities are their names.
                Edge(
                    _entity_id(one.source_id),
                    one.label,
                    _entity_id(one.target_id),
                    relation_to_bytes(one),
                )
                for one in relations
            ),
            missing=lambda name: node_to_bytes(EntityNode(name=name)),
        )

    def delete(
        self,
        entity_names: list[str] | None = None,
        relation_names: list[str] | None = None,
        properties: dict[str, Any] | None = None,
        ids: list[str] | None = None,
    ) -> None:
        """Delete relations, or nodes with their relations. Without a condition, delete nothing.

        Args:
            entity_names: ids of nodes.
            relation_names: labels. Deletes the relations that `get_triplets` would return, and no node.
            properties: delete nodes with any of these values.
            ids: ids of nodes. With `entity_names`, only ids in both are deleted.
        """
        if is_given(relation_names):
            triplets = self.get_triplets(entity_names, relation_names, properties, ids)
            self._graph.remove([(s.id, relation.label, o.id) for s, relation, o in triplets])
            return
        wanted = Wanted(entity_names, None, properties, ids)
        if not wanted.anything:
            return
        names = wanted.names
        if is_given(properties):
            names = [
                node.id for node in self.get(properties, names) if names is None or node.id in names
            ]
        if names:
            stored = self._graph.nodes(names)
            self._graph.remove_nodes(names)
            self._forget_embeddings(
                [id for id, data in zip(names, stored, strict=True) if data and has_embedding(data)]
            )

    def vector_query(
        self, query: VectorStoreQuery, **kwargs: Any
    ) -> tuple[list[LabelledNode], list[float]]:
        """Return the nodes most similar to an embedding, best first, and their similarities.

        Cost: one search of the index, and one round trip per 500 nodes.

        Args:
            query: query with `query_embedding`, `similarity_top_k`, `filters` on the properties, and `node_ids`. Other
                fields are ignored.
            kwargs: no keyword is supported.

        Raises:
            ValueError: if the query has no embedding, or it does not have the dimension of the index.
            TypeError: if a keyword is passed.
        """
        if kwargs:
            raise TypeError(f"vector_query takes no keyword {', '.join(map(repr, kwargs))}")
        if query.query_embedding is None:
            raise ValueError("vector_query needs a query_embedding")
        hits = self._index.search(
            query.query_embedding,
            k=check_k(query.similarity_top_k, "similarity_top_k"),
            filter=restriction(query.filters, query.node_ids or None),
        )
        found = self._graph.nodes([hit.record.id for hit in hits])
        # The index may still contain the embedding of a node that another client just removed.
        pairs = [
            (node_from(data, hit.record.id), float(hit.score))
            for hit, data in zip(hits, found, strict=True)
            if data is not None
        ]
        return [node for node, _ in pairs], [score for _, score in pairs]

    def structured_query(self, query: str, param_map: dict[str, Any] | None = None) -> NoReturn:
        """Raise: the store has no query language.

        Raises:
            NotImplementedError: always. Use `graph.join` for patterns and `graph.paths` for paths.
        """
        raise NotImplementedError(
            "the graph has no query language: use graph.join() for patterns with variables, and graph.paths()"
        )

    def get_schema(self, refresh: bool = False) -> dict[str, Any]:  # noqa: ARG002 - the base class's
        """Return the labels with their properties and relations. Cost: reads all nodes and relations.

        Args:
            refresh: ignored. The schema is always read from the server.

        Returns:
            ``nodes``: property names by label; ``relations``: source label, relation, target label.
        """
        labels: dict[str, str] = {}
        nodes: dict[str, set[str]] = {}
        for node in self._nodes(None):
            labels[node.id] = node.label
            nodes.setdefault(node.label, set()).update(map(str, node.properties))
        relations = {
            (labels.get(s, "entity"), p, labels.get(o, "entity"))
            for s, p, o in self._graph.iterate()
        }
        return {
            "nodes": {label: sorted(names) for label, names in sorted(nodes.items())},
            "relations": [list(one) for one in sorted(relations)],
        }

    def clear(self) -> None:
        """Remove every node, relation and embedding."""
        self._graph.clear()
        self._index.delete_all()

    def verify(self) -> list[Report]:
        """Check the graph, and the embeddings against it, without changes. Cost: reads everything."""
        return [self._graph.verify(), check_vectors(self._graph, self._index, mend=False)]

    def repair(self) -> list[Report]:
        """Repair what `verify` reports, and return it. The nodes determine the correct embeddings."""
        return [self._graph.repair(), check_vectors(self._graph, self._index, mend=True)]

    # The type checker infers the base class's methods as the arguments.
    aget = async_version(get)  # type: ignore[arg-type]
    aget_triplets = async_version(get_triplets)  # type: ignore[arg-type]
    aget_rel_map = async_version(get_rel_map)  # type: ignore[arg-type]
    aupsert_nodes = async_version(upsert_nodes)  # type: ignore[arg-type]
    aupsert_relations = async_version(upsert_relations)  # type: ignore[arg-type]
    adelete = async_version(delete)  # type: ignore[arg-type]
    adelete_llama_nodes = async_version(PropertyGraphStore.delete_llama_nodes)
    aupsert_llama_nodes = async_version(PropertyGraphStore.upsert_llama_nodes)
    astructured_query = async_version(structured_query)  # type: ignore[arg-type]
    avector_query = async_version(vector_query)  # type: ignore[arg-type]
    aget_schema = async_version(get_schema)  # type: ignore[arg-type]
    aclear = async_version(clear)
    averify = async_version(verify)
    arepair = async_version(repair)

    def _nodes(self, ids: Sequence[str] | None) -> Iterator[LabelledNode]:
        """Iterate over the nodes with these ids; without ids, over all nodes, each once."""
        if ids:
            wanted = list(dict.fromkeys(ids))
            for id, data in zip(wanted, self._graph.nodes(wanted), strict=True):
                if data is not None:
                    yield node_from(data, id)
            return
        seen: set[str] = set()
        for batch in self._graph.iterate_nodes():
            for id, data in batch.items():
                if id not in seen:
                    seen.add(id)
                    yield node_from(data, id)

    def _touching(self, ids: Sequence[str]) -> list[Triple[str]]:
        return Wanted(ids=ids).triples(self._graph) if ids else []

    def _triplets(self, triples: Sequence[Triple[str]]) -> Iterator[Triplet]:
        """Iterate over triples with their nodes and properties. Omit those that were removed meanwhile."""
        ids = list(dict.fromkeys(end for s, _, o in triples for end in (s, o)))
        found = zip(ids, self._graph.nodes(ids), strict=True)
        nodes: Mapping[str, LabelledNode] = {
            id: node_from(data, id) for id, data in found if data is not None
        }
        for triple, data in zip(triples, self._graph.relation_data(triples), strict=True):
            s, _, o = triple
            if data is not None and s in nodes and o in nodes:
                yield nodes[s], relation_from(triple, data), nodes[o]

    def _forget_embeddings(self, ids: Sequence[str]) -> None:
        if ids:
            self._index.delete(ids)


def _entity_id(name: str) -> str:
    """Return the id of an entity with this name."""
    return EntityNode(name=name).id
