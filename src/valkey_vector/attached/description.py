"""Replies to FT.INFO as typed objects, for each scope and both search modules.

Based on recorded replies of Valkey-Search 1.2.1, also in a cluster, and of RediSearch 2.10, which has other names for some
properties and writes flags without a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from valkey_vector.attached.attributes import (
    Attribute,
    NumericAttribute,
    OtherAttribute,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
)
from valkey_vector.attached.definition import IndexDefinition, TextOptions
from valkey_vector.attached.encoding import text_of
from valkey_vector.engines.search.commands import backfill_share
from valkey_vector.schema.schema import Metric

__all__ = [
    "AttributeStatistics",
    "Backfill",
    "ClusterDescription",
    "IndexDescription",
    "PrimaryDescription",
    "Scope",
    "parse_cluster",
    "parse_local",
    "parse_primary",
]

Scope: TypeAlias = Literal["local", "primary", "cluster"]
"""Scope of a description: this node, all primaries together, or all nodes of the cluster."""

_FLAGS = {
    "CASESENSITIVE", "SORTABLE", "UNF", "NOSTEM", "NO_STEM", "WITHSUFFIXTRIE", "WITH_SUFFIX_TRIE", "NOINDEX",
    "INDEXMISSING", "INDEXEMPTY",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Progress of indexing documents that existed before the index.

    Attributes:
        in_progress: True until the server has processed all documents.
        share: processed share of the documents, 0 to 1; in a cluster, that of the slowest node.
    """

    in_progress: bool
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeStatistics:
    """Statistics of an attribute. None: the server does not report it.

    Attributes:
        name: name in queries.
        identifier: hash field, or JSON path.
        memory: memory in bytes.
        records: number of documents with the attribute; for a tag attribute, number of tags.
        capacity: number of vectors for which a vector attribute has space.
    """

    name: str
    identifier: str
    memory: int | None = None
    records: int | None = None
    capacity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDescription:
    """State of an index on one node. On a single server, this is the whole index.

    Attributes:
        definition: definition of the index.
        documents: number of documents, indexed fully or partly.
        records: number of indexed attributes of documents.
        failures: number of documents, or of their attributes, that could not be indexed.
        backfill: progress of the backfill.
        queue: number of writes that are not indexed yet.
        state: state that the server reports; empty if it reports none.
        attributes: statistics of each attribute.
    """

    definition: IndexDefinition
    documents: int
    records: int
    failures: int
    backfill: Backfill
    queue: int
    state: str
    attributes: tuple[AttributeStatistics, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryDescription:
    """State of an index on all primaries of a cluster together.

    Attributes:
        name: name of the index.
        documents: number of documents.
        records: number of indexed attributes of documents.
        failures: number of documents, or of their attributes, that could not be indexed.
        attributes: statistics of each attribute.
    """

    name: str
    documents: int
    records: int
    failures: int
    attributes: tuple[AttributeStatistics, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDescription:
    """State of an index on all nodes of a cluster.

    Attributes:
        name: name of the index.
        backfill: progress of the slowest node.
        fastest: share that the fastest node has processed, 0 to 1.
        state: state that the server reports.
        attributes: statistics of each attribute.
    """

    name: str
    backfill: Backfill
    fastest: float
    state: str
    attributes: tuple[AttributeStatistics, ...]


def parse_local(reply: Any) -> IndexDescription:
    """Parse a reply to FT.INFO without a scope, or with LOCAL."""
    info = _pairs(reply)
    settings = _pairs(info["index_definition"])
    attributes = [_properties(each) for each in info["attributes"]]
    definition = IndexDefinition(
        name=text_of(info["index_name"]),
        on="json" if text_of(settings["key_type"]).upper() == "JSON" else "hash",
        prefixes=tuple(prefix for prefix in map(text_of, settings["prefixes"]) if prefix),
        attributes=tuple(map(_attribute, attributes)),
        text=_text_options(info, settings),
        condition=text_of(settings["filter"]) if "filter" in settings else None,
    )
    return IndexDescription(
        definition=definition,
        documents=int(info["num_docs"]),
        records=int(info["num_records"]),
        failures=int(info.get("hash_indexing_failures", 0)),
        backfill=_backfill(info),
        queue=int(info.get("mutation_queue_size", 0)),
        state=text_of(info.get("state", "")),
        attributes=tuple(map(_statistics, attributes)),
    )


def parse_primary(reply: Any) -> PrimaryDescription:
    """Parse a reply to FT.INFO PRIMARY."""
    info = _pairs(reply)
    return PrimaryDescription(
        name=text_of(info["index_name"]),
        documents=int(info["num_docs"]),
        records=int(info["num_records"]),
        failures=int(info["hash_indexing_failures"]),
        attributes=tuple(_statistics(_properties(each)) for each in info["attributes"]),
    )


def parse_cluster(reply: Any) -> ClusterDescription:
    """Parse a reply to FT.INFO CLUSTER."""
    info = _pairs(reply)
    return ClusterDescription(
        name=text_of(info["index_name"]),
        backfill=_backfill(info),
        fastest=float(info["backfill_complete_percent_max"]),
        state=text_of(info["state"]),
        attributes=tuple(_statistics(_properties(each)) for each in info["attributes"]),
    )


def _backfill(info: Mapping[str, Any]) -> Backfill:
    if "percent_indexed" in info:  # RediSearch
        share = float(info["percent_indexed"])
        return Backfill(in_progress=bool(int(info.get("indexing", 0))), share=min(1.0, share))
    in_progress = text_of(info.get("backfill_in_progress", "0")) != "0"
    share = info.get(
        "backfill_complete_percent_min", info.get("backfill_complete_percent", not in_progress)
    )
    return Backfill(
        in_progress=in_progress, share=backfill_share(float(share), in_progress=in_progress)
    )


def _attribute(properties: Mapping[str, Any]) -> Attribute:
    identifier, name = text_of(properties["IDENTIFIER"]), text_of(properties["ATTRIBUTE"])
    alias = None if name == identifier else name
    indexed = not _flag(properties, "NOINDEX")
    match text_of(properties["TYPE"]).upper():
        case "TAG":
            return TagAttribute(
                identifier,
                alias,
                separator=text_of(properties.get("SEPARATOR", ",")),
                case_sensitive=_flag(properties, "CASESENSITIVE"),
                indexed=indexed,
            )
        case "NUMERIC":
            return NumericAttribute(identifier, alias, indexed=indexed)
        case "TEXT":
            return TextAttribute(
                identifier,
                alias,
                stemming=not _flag(properties, "NO_STEM", "NOSTEM"),
                suffix_trie=_flag(properties, "WITH_SUFFIX_TRIE", "WITHSUFFIXTRIE"),
                indexed=indexed,
            )
        case "VECTOR":
            return _vector(identifier, alias, properties)
        case other:
            return OtherAttribute(identifier, alias, other)


def _vector(identifier: str, alias: str | None, properties: Mapping[str, Any]) -> VectorAttribute:
    """Create a vector attribute. Valkey-Search nests the properties that RediSearch writes in one list."""
    info = {**properties, **_properties(properties.get("INDEX", ()))}
    algorithm = info["ALGORITHM"]
    if isinstance(algorithm, (list, Mapping)):
        info |= _properties(algorithm)
        algorithm = info["NAME"]

    def number(name: str) -> int | None:
        return int(info[name]) if name in info else None

    hnsw = text_of(algorithm).upper() == "HNSW"
    return VectorAttribute(
        identifier,
        alias,
        dimension=number("DIMENSIONS") or int(info["DIM"]),
        metric=Metric.parse(text_of(info["DISTANCE_METRIC"])),
        algorithm="HNSW" if hnsw else "FLAT",
        m=number("M") if hnsw else None,
        ef_construction=number("EF_CONSTRUCTION") if hnsw else None,
        ef_runtime=number("EF_RUNTIME") if hnsw else None,
        block_size=None if hnsw else number("BLOCK_SIZE"),
        data_type=text_of(info.get("DATA_TYPE", "FLOAT32")),
    )


def _statistics(properties: Mapping[str, Any]) -> AttributeStatistics:
    inner = _properties(properties.get("INDEX", ()))

    def number(*names: str) -> int | None:
        return next(
            (int(info[name]) for name in names for info in (properties, inner) if name in info),
            None,
        )

    return AttributeStatistics(
        name=text_of(properties["ATTRIBUTE"]),
        identifier=text_of(properties["IDENTIFIER"]),
        memory=number("USER_INDEXED_MEMORY"),
        records=number("SIZE", "NUM_RECORDS"),
        capacity=number("CAPACITY"),
    )


def _text_options(info: Mapping[str, Any], settings: Mapping[str, Any]) -> TextOptions:
    stop_words = info.get("stop_words", info.get("stopwords_list"))
    language = info.get("language", settings.get("default_language"))
    return TextOptions(
        stop_words=None if stop_words is None else tuple(map(text_of, stop_words)),
        punctuation=text_of(info["punctuation"]) if "punctuation" in info else None,
        min_stem_size=int(info["min_stem_size"]) if "min_stem_size" in info else None,
        offsets=text_of(info["with_offsets"]) == "1" if "with_offsets" in info else None,
        language=None if language is None else text_of(language),
    )


def _pairs(reply: Any) -> dict[str, Any]:
    """Convert a map, or a flat list of names and values, into a dict."""
    items = (
        reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    )
    return {text_of(name): value for name, value in items}


def _properties(reply: Any) -> dict[str, Any]:
    """Properties of an attribute by name in upper case. A flag can have no value."""
    if isinstance(reply, Mapping):
        return {text_of(name).upper(): value for name, value in reply.items()}
    return dict(_items(reply))


def _items(reply: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    position = 0
    while position < len(reply):
        name = text_of(reply[position]).upper()
        following = reply[position + 1] if position + 1 < len(reply) else None
        valued = name not in _FLAGS or text_of(following) in ("0", "1")
        yield name, following if valued else b"1"
        position += 2 if valued else 1


def _flag(properties: Mapping[str, Any], *names: str) -> bool:
    return any(text_of(properties.get(name, "0")) == "1" for name in names)
