"""Estimates the memory of an index and the number of nodes, from bytes measured on servers.

The constants are slopes and intercepts of measurements with 10,000 records: Valkey-Search 1.2.1 on Valkey 9.1 for the
search engine, Valkey 9.1 for the native engine. `benchmarks/memory.py` repeats them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from valkey_vector.errors import InvalidInputError
from valkey_vector.records.validation import check_range
from valkey_vector.records.vectors import DataType, element_size
from valkey_vector.schema.vector_fields import parse_data_type
from valkey_vector.storage.catalog import EngineName

__all__ = ["SizeEstimate", "estimate_size"]

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class _Costs:
    """Measured bytes of one record on the server.

    Attributes:
        record: its key, its own fields and its entries in the index, without what follows.
        number: each number of its vector.
        link: each link of HNSW (the parameter `m`).
        character: each byte of its content.
        key: each metadata key.
        indexed: each byte of its content in the full-text index.
    """

    record: float
    number: float
    link: float
    character: float
    key: float
    indexed: float


_COSTS: dict[EngineName, _Costs] = {
    "search": _Costs(record=1710, number=8.0, link=11.0, character=1.0, key=190, indexed=14.2),
    "native": _Costs(record=555, number=4.05, link=0, character=1.0, key=60, indexed=1.55),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeEstimate:
    """Estimated memory of an index.

    Attributes:
        engine: the engine.
        documents: number of records.
        per_document: bytes of one record on the server.
        vectors: bytes of all vectors and their graph.
        texts: bytes of all contents, and of the full-text index.
        metadata: bytes of all metadata and their tokens.
        other: bytes of keys, own fields and index entries.
        total: bytes on the server, without replicas.
        maxmemory: recommended sum of `maxmemory` of all primaries, with the headroom.
        shards: primaries that are needed at `node_memory` each. None if that is not given.
        client: bytes of the vectors in each process that searches, with the native engine; tokens and words come on
            top. 0 with the search engine.
        data_type: element type of the vectors on the server.
    """

    engine: EngineName
    documents: int
    per_document: int
    vectors: int
    texts: int
    metadata: int
    other: int
    total: int
    maxmemory: int
    shards: int | None
    client: int
    data_type: DataType


def estimate_size(
    documents: int,
    dimension: int,
    *,
    engine: EngineName = "search",
    m: int = 16,
    content: int = 500,
    keys: int = 5,
    full_text: bool = False,
    headroom: float = 0.25,
    node_memory: float | None = None,
    data_type: DataType = "FLOAT32",
) -> SizeEstimate:
    """Estimate the memory of an index. Sends nothing.

    Args:
        documents: number of records, >= 1.
        dimension: length of the vectors, 1 to 32,768.
        engine: ``search`` or ``native``.
        m: links of HNSW, 0 to 512; 0 for FLAT.
        content: average bytes of the text of a record, >= 0.
        keys: average number of metadata keys, >= 0. Long values need more than the estimate.
        full_text: the index has full text.
        headroom: share to add for writes, queries and snapshots, 0 to 4.
        node_memory: memory of a node in GiB, > 0, to compute the number of nodes.
        data_type: FLOAT32, FLOAT16 or BFLOAT16.

    Raises:
        InvalidInputError: a value is out of range.
        ConfigurationError: `data_type` is not an element type.
    """
    check_range("documents", documents, 1, 10**12)
    check_range("dimension", dimension, 1, 32_768)
    check_range("m", m, 0, 512)
    check_range("content", content, 0, 512 * 1024**2)
    check_range("keys", keys, 0, 100_000)
    if not 0 <= headroom <= 4:
        raise InvalidInputError(f"headroom must be from 0 to 4, not {headroom!r}")
    if node_memory is not None and not 0 < node_memory < math.inf:
        raise InvalidInputError(f"node_memory must be a number of GiB above 0, not {node_memory!r}")
    if engine not in _COSTS:
        raise InvalidInputError(f"engine must be 'search' or 'native', not {engine!r}")
    costs, data_type = _COSTS[engine], parse_data_type(data_type)
    number = costs.number * element_size(data_type) / element_size("FLOAT32")
    vectors = documents * (number * dimension + costs.link * m)
    per_byte = costs.character + (costs.indexed if full_text else 0)
    texts = documents * per_byte * content
    metadata, other = documents * costs.key * keys, documents * costs.record
    total = vectors + texts + metadata + other
    maxmemory = total * (1 + headroom)
    return SizeEstimate(
        engine=engine,
        documents=documents,
        per_document=round(total / documents),
        vectors=round(vectors),
        texts=round(texts),
        metadata=round(metadata),
        other=round(other),
        total=round(total),
        maxmemory=round(maxmemory),
        shards=None if node_memory is None else math.ceil(maxmemory / (node_memory * _GIB)),
        client=documents * 4 * dimension if engine == "native" else 0,
        data_type=data_type,
    )
