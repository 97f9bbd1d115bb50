"""Check and repair of the vector index against the graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from llama_index.core.graph_stores.types import LabelledNode

from llama_index.graph_stores.valkey.nodes import node_from, to_record
from valkey_vector import Index, Record
from valkey_vector.records.vectors import rounded
from valkey_vector.secondary import Problem, PropertyGraph, Report

__all__ = ["check_vectors"]

_REPORTED = 1000


def check_vectors(graph: PropertyGraph, index: Index, *, mend: bool) -> Report:
    """Compare the embeddings of the nodes with the records of the index.

    Args:
        graph: graph with the nodes, which are authoritative.
        index: vector index, which must have one record per node with an embedding, and no other.
        mend: repair the index where it differs.
    """
    problems: dict[tuple[str, str], None] = {}
    checked = 0
    for batch in graph.iterate_nodes():
        nodes = [node_from(data, id) for id, data in batch.items()]
        checked += len(nodes)
        differing = [*_differing(nodes, index)]
        problems.update(dict.fromkeys((kind, node.id) for kind, node in differing))
        if mend:
            _mend([node for _, node in differing], index)
    strays = [*_strays(graph, index)] if index.exists() else []
    problems.update(dict.fromkeys(("stray embedding", id) for id in strays))
    if mend and strays:
        index.delete(strays)
    shown = [Problem(kind, id.encode()) for kind, id in list(problems)[:_REPORTED]]
    return Report(index.name, checked, tuple(shown), len(problems), mend)


def _mend(nodes: list[LabelledNode], index: Index) -> None:
    if records := [to_record(node) for node in nodes if node.embedding is not None]:
        index.upsert(records, progress=False)
    if removed := [node.id for node in nodes if node.embedding is None]:
        index.delete(removed)


def _differing(nodes: list[LabelledNode], index: Index) -> Iterator[tuple[str, LabelledNode]]:
    records = index.get([node.id for node in nodes], with_vectors=True) if nodes else []
    for node, record in zip(nodes, records, strict=True):
        if node.embedding is None:
            if record is not None:
                yield "embedding of a node without", node
        elif record is None:
            yield "missing embedding", node
        elif not _equal(node, record, index.schema.data_type):
            yield "stale embedding", node


def _equal(node: LabelledNode, record: Record, data_type: str) -> bool:
    ours = rounded(node.embedding, data_type)
    theirs = np.asarray(record.vector, dtype=np.float32)
    return bool(np.array_equal(ours, theirs)) and dict(record.metadata) == dict(node.properties)


def _strays(graph: PropertyGraph, index: Index) -> Iterator[str]:
    """Return the ids of records without a node."""
    ids = [record.id for record in index.select(with_content=False)]
    for id, data in zip(ids, graph.nodes(ids), strict=True):
        if data is None:
            yield id
