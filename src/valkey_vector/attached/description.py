"""FT.INFO as typed objects, for each scope and both search modules.

Source: the recorded replies of Valkey-Search 1.2.1 (also of a cluster), and RediSearch 2.10, which names some things
otherwise and writes flags without a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from valkey_vector.attached.definition import (
    Attribute,
    IndexDefinition,
    NumericAttribute,
    OtherAttribute,
    TagAttribute,
    TextAttribute,
    TextOptions,
    VectorAttribute,
)
from valkey_vector.attached.encoding import text_of
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
"""Of this node, of all primaries together, of all nodes of the cluster."""

_FLAGS = {
    "CASESENSITIVE", "SORTABLE", "UNF", "NOSTEM", "NO_STEM", "WITHSUFFIXTRIE", "WITH_SUFFIX_TRIE", "NOINDEX",
    "INDEXMISSING", "INDEXEMPTY",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """How far the indexing of documents that were there before the index has come.

    Attributes:
        in_progress: whether it goes on.
        share: of the documents that were gone through, 0 to 1; of a cluster that of the slowest node.
    """

    in_progress: bool
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeStatistics:
    """What an attribute holds; None where the server does not tell.

    Attributes:
        name: what queries call it.
        identifier: its hash field or JSON path.
        memory: bytes.
        records: documents that have it, or for a tag the tags.
        capacity: of a vector attribute, vectors there is room for.
    """

    name: str
    identifier: str
    memory: int | None = None
    records: int | None = None
    capacity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDescription:
    """An index as one node knows it (on a single server, all of it).

    Attributes:
        definition: what it is.
        documents: documents in it, indexed in full or in part.
        records: attributes of documents in it.
        failures: documents, or attributes of them, that could not be indexed.
        backfill: how far it has come.
        queue: writes not indexed yet.
        state: in the server's words; empty where it has none.
        attributes: what each attribute holds.
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
    """An index on all primaries of a cluster together.

    Attributes:
        name: of the index.
        documents: documents in it.
        records: attributes of documents in it.
        failures: what could not be indexed.
        attributes: what each attribute holds.
    """

    name: str
    documents: int
    records: int
    failures: int
    attributes: tuple[AttributeStatistics, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDescription:
    """An index on all nodes of a cluster.

    Attributes:
        name: of the index.
        backfill: of the slowest node.
        fastest: share that the fastest node has gone through, 0 to 1.
        state: in the server's words.
        attributes: what each attribute holds.
    """

    name: str
    backfill: Backfill
    fastest: float
    state: str
    attributes: tuple[AttributeStatistics, ...]


def parse_local(reply: Any) -> IndexDescription:
    """A reply to FT.INFO with no scope, or LOCAL."""
    told = _pairs(reply)
    placed = _pairs(told["index_definition"])
    attributes = [_words(each) for each in told["attributes"]]
    definition = IndexDefinition(
        name=text_of(told["index_name"]),
        on="json" if text_of(placed["key_type"]).upper() == "JSON" else "hash",
        prefixes=tuple(prefix for prefix in map(text_of, placed["prefixes"]) if prefix),
        attributes=tuple(map(_attribute, attributes)),
        text=_text_options(told, placed),
        condition=text_of(placed["filter"]) if "filter" in placed else None,
    )
    return IndexDescription(
        definition=definition,
        documents=int(told["num_docs"]),
        records=int(told["num_records"]),
        failures=int(told.get("hash_indexing_failures", 0)),
        backfill=_backfill(told),
        queue=int(told.get("mutation_queue_size", 0)),
        state=text_of(told.get("state", "")),
        attributes=tuple(map(_statistics, attributes)),
    )


def parse_primary(reply: Any) -> PrimaryDescription:
    """A reply to FT.INFO PRIMARY."""
    told = _pairs(reply)
    return PrimaryDescription(
        name=text_of(told["index_name"]),
        documents=int(told["num_docs"]),
        records=int(told["num_records"]),
        failures=int(told["hash_indexing_failures"]),
        attributes=tuple(_statistics(_words(each)) for each in told["attributes"]),
    )


def parse_cluster(reply: Any) -> ClusterDescription:
    """A reply to FT.INFO CLUSTER."""
    told = _pairs(reply)
    return ClusterDescription(
        name=text_of(told["index_name"]),
        backfill=_backfill(told),
        fastest=float(told["backfill_complete_percent_max"]),
        state=text_of(told["state"]),
        attributes=tuple(_statistics(_words(each)) for each in told["attributes"]),
    )


def _backfill(told: Mapping[str, Any]) -> Backfill:
    if "percent_indexed" in told:  # RediSearch
        share = float(told["percent_indexed"])
        return Backfill(in_progress=bool(int(told.get("indexing", 0))), share=min(1.0, share))
    in_progress = text_of(told.get("backfill_in_progress", "0")) != "0"
    share = told.get(
        "backfill_complete_percent_min", told.get("backfill_complete_percent", not in_progress)
    )
    return Backfill(in_progress=in_progress, share=min(1.0, float(share)) if in_progress else 1.0)


def _attribute(words: Mapping[str, Any]) -> Attribute:
    identifier, name = text_of(words["IDENTIFIER"]), text_of(words["ATTRIBUTE"])
    alias = None if name == identifier else name
    match text_of(words["TYPE"]).upper():
        case "TAG":
            return TagAttribute(
                identifier,
                alias,
                separator=text_of(words.get("SEPARATOR", ",")),
                case_sensitive=_flag(words, "CASESENSITIVE"),
            )
        case "NUMERIC":
            return NumericAttribute(identifier, alias)
        case "TEXT":
            return TextAttribute(
                identifier,
                alias,
                stemming=not _flag(words, "NO_STEM", "NOSTEM"),
                suffix_trie=_flag(words, "WITH_SUFFIX_TRIE", "WITHSUFFIXTRIE"),
            )
        case "VECTOR":
            return _vector(identifier, alias, words)
        case other:
            return OtherAttribute(identifier, alias, other)


def _vector(identifier: str, alias: str | None, words: Mapping[str, Any]) -> VectorAttribute:
    """Valkey-Search nests what RediSearch writes in a row."""
    told = {**words, **_words(words.get("INDEX", ()))}
    algorithm = told["ALGORITHM"]
    if isinstance(algorithm, (list, Mapping)):
        told |= _words(algorithm)
        algorithm = told["NAME"]

    def number(name: str) -> int | None:
        return int(told[name]) if name in told else None

    hnsw = text_of(algorithm).upper() == "HNSW"
    return VectorAttribute(
        identifier,
        alias,
        dimension=number("DIMENSIONS") or int(told["DIM"]),
        metric=Metric.parse(text_of(told["DISTANCE_METRIC"])),
        algorithm="HNSW" if hnsw else "FLAT",
        m=number("M") if hnsw else None,
        ef_construction=number("EF_CONSTRUCTION") if hnsw else None,
        ef_runtime=number("EF_RUNTIME") if hnsw else None,
        block_size=None if hnsw else number("BLOCK_SIZE"),
        data_type=text_of(told.get("DATA_TYPE", "FLOAT32")),
    )


def _statistics(words: Mapping[str, Any]) -> AttributeStatistics:
    inner = _words(words.get("INDEX", ()))

    def number(*names: str) -> int | None:
        return next(
            (int(told[name]) for name in names for told in (words, inner) if name in told), None
        )

    return AttributeStatistics(
        name=text_of(words["ATTRIBUTE"]),
        identifier=text_of(words["IDENTIFIER"]),
        memory=number("USER_INDEXED_MEMORY"),
        records=number("SIZE", "NUM_RECORDS"),
        capacity=number("CAPACITY"),
    )


def _text_options(told: Mapping[str, Any], placed: Mapping[str, Any]) -> TextOptions:
    stop_words = told.get("stop_words", told.get("stopwords_list"))
    language = told.get("language", placed.get("default_language"))
    return TextOptions(
        stop_words=None if stop_words is None else tuple(map(text_of, stop_words)),
        punctuation=text_of(told["punctuation"]) if "punctuation" in told else None,
        min_stem_size=int(told["min_stem_size"]) if "min_stem_size" in told else None,
        offsets=text_of(told["with_offsets"]) == "1" if "with_offsets" in told else None,
        language=None if language is None else text_of(language),
    )


def _pairs(reply: Any) -> dict[str, Any]:
    """A map, or a flat list of names and values."""
    items = (
        reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    )
    return {text_of(name): value for name, value in items}


def _words(reply: Any) -> dict[str, Any]:
    """What is told of an attribute by name in capitals; a flag may stand without a value."""
    if isinstance(reply, Mapping):
        return {text_of(name).upper(): value for name, value in reply.items()}
    return dict(_words_of(reply))


def _words_of(reply: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    position = 0
    while position < len(reply):
        name = text_of(reply[position]).upper()
        following = reply[position + 1] if position + 1 < len(reply) else None
        valued = name not in _FLAGS or text_of(following) in ("0", "1")
        yield name, following if valued else b"1"
        position += 2 if valued else 1


def _flag(words: Mapping[str, Any], *names: str) -> bool:
    return any(text_of(words.get(name, "0")) == "1" for name in names)
