"""The FT.* commands of the search engine as argument lists, and parsers of their replies.

Every rule here was observed on Valkey-Search 1.2.1, or on RediSearch 2.10 where that is stricter. Commands always have
LIMIT and RETURN: without LIMIT a search returns ten documents at most. Queries that may contain terms have VERBATIM:
RediSearch 2.10 stems the terms of a query even if the field is not stemmed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, assert_never

import msgspec

from valkey_vector.connection import Argument, Capabilities
from valkey_vector.engines.base import Near
from valkey_vector.records.vectors import pack_vector
from valkey_vector.schema.schema import (
    DeclaredField,
    Metric,
    NumericField,
    TagField,
    TextField,
    VectorField,
    algorithm_settings,
)
from valkey_vector.storage.catalog import CatalogEntry, declared_name, document_prefix, vector_name
from valkey_vector.storage.layout import CONTENT, CREATED, EXPIRES, TAGS
from valkey_vector.storage.record_version import identifying_fields, own_fields, own_records
from valkey_vector.storage.rows import DISTANCE_FIELD, FoundRow, Row
from valkey_vector.text.fields import indexed_texts

__all__ = [
    "backfill_share",
    "count_command",
    "create_command",
    "described",
    "distance_of",
    "group_command",
    "groups",
    "id_of",
    "ids_command",
    "index_is_missing",
    "keys",
    "knn_command",
    "listing_command",
    "page_command",
    "range_command",
    "rows",
    "server_distances",
    "sum_command",
    "summed",
    "total",
    "with_vector_of",
]

DISTANCE = DISTANCE_FIELD.decode()
_EXPIRES = EXPIRES.encode()

_decode_number = msgspec.json.Decoder(float).decode

_ALMOST = 0.999
"""Largest share of the documents that is reported as indexed while others are not."""

_ABSENT = ("no such index", "unknown index name", "not found in database")


def create_command(entry: CatalogEntry, capabilities: Capabilities) -> list[Argument]:
    """FT.CREATE for the documents under the prefix of the index."""
    schema = entry.schema
    command: list[Argument] = ["FT.CREATE", entry.search_index, "ON", "HASH"]
    command += ["PREFIX", "1", entry.prefix]
    texts = indexed_texts(schema)
    if any(not text.is_marked or text.name != CONTENT for text in texts):
        command += ["STOPWORDS", "0", "NOOFFSETS"]
    command += ["SCHEMA"]
    for vector in schema.vector_fields:
        command += _vector(vector)
    command += [TAGS, "TAG", "SEPARATOR", ",", "CASESENSITIVE"]
    command += [CREATED, "NUMERIC", *(["SORTABLE"] if capabilities.sort_by else [])]
    command += [EXPIRES, "NUMERIC"]
    for number in range(schema.numeric_slots):
        command += [f"n{number}", "NUMERIC"]
    for field in schema.fields:
        command += _declared(field)
    for text in texts:
        for name in dict.fromkeys((text.words, text.stems)):
            kind = (
                ["TAG", "SEPARATOR", " ", "CASESENSITIVE"] if text.is_marked else ["TEXT", "NOSTEM"]
            )
            command += [name, *kind]
        command += [text.length, "NUMERIC"]
    return command


def knn_command(
    entry: CatalogEntry, query: str, near: Near, k: int, fields: Sequence[str], *, width: int | None
) -> list[Argument]:
    """FT.SEARCH for the k nearest of the documents that a query selects (``*`` for all), with EF_RUNTIME `width`."""
    ef = "" if width is None else f" EF_RUNTIME {width}"
    text = f"{query}=>[KNN {k} @{vector_name(near.field.name)} $vector{ef} AS {DISTANCE}]"
    returned = [*identifying_fields(entry), EXPIRES, *fields]
    if near.field.data_type != "FLOAT32":
        # The client measures the distances of other types itself, because servers round while they compare them.
        returned.append(vector_name(near.field.name))
    command: list[Argument] = ["FT.SEARCH", entry.search_index, text, "PARAMS", "2", "vector"]
    packed = pack_vector(near.vector, near.field.data_type)
    return [*command, packed, *_knn_options(k, *returned)]


def with_vector_of(near: Near, command: Sequence[Argument]) -> list[Argument]:
    """A result of `knn_command` with the vector of another query of the same form."""
    changed = [*command]
    if near.field.data_type == "FLOAT32":
        changed[_VECTOR_AT] = near.vector.tobytes()
    else:
        changed[_VECTOR_AT] = pack_vector(near.vector, near.field.data_type)
    return changed


_VECTOR_AT = 6
"""Position of the vector in the result of `knn_command`."""


@lru_cache(maxsize=256)
def _knn_options(k: int, *fields: str) -> tuple[bytes, ...]:
    """The options after the vector, encoded once for all queries for the same fields and k."""
    returned = list(dict.fromkeys([DISTANCE, *fields]))
    options = ["RETURN", str(len(returned)), *returned, "LIMIT", "0", str(k), "DIALECT", "2"]
    return tuple(option.encode() for option in options)


def listing_command(
    entry: CatalogEntry, query: str, fields: Sequence[str], limit: int
) -> list[Argument]:
    """FT.SEARCH for up to `limit` of the documents that a query selects, in any order."""
    returned = list(dict.fromkeys([*identifying_fields(entry), EXPIRES, *fields]))
    command: list[Argument] = ["FT.SEARCH", entry.search_index, query]
    command += ["RETURN", str(len(returned)), *returned]
    return [*command, "VERBATIM", "LIMIT", "0", str(limit), "DIALECT", "2"]


def page_command(
    entry: CatalogEntry, query: str, fields: Sequence[str], limit: int, *, sort: bool = True
) -> list[Argument]:
    """FT.SEARCH for the first documents that a query selects: oldest first, or in any order without `sort`."""
    returned = list(dict.fromkeys([CREATED, *identifying_fields(entry), EXPIRES, *fields]))
    command: list[Argument] = ["FT.SEARCH", entry.search_index, query]
    command += ["RETURN", str(len(returned)), *returned]
    command += ["SORTBY", CREATED, "ASC"] if sort else []
    command += ["VERBATIM", "LIMIT", "0", str(limit), "DIALECT", "2"]
    return command


def range_command(
    entry: CatalogEntry,
    query: str,
    near: Near,
    radius: float,
    fields: Sequence[str],
    *,
    limit: int,
) -> list[Argument]:
    """`page_command` for the documents within a distance; returns the distance, too.

    Supported by Valkey-Search 1.3 (``docs/topics/search-query.md`` there) and RediSearch.
    """
    name = vector_name(near.field.name)
    within = f"@{name}:[VECTOR_RANGE $radius $vector]=>{{$YIELD_DISTANCE_AS: {DISTANCE}}}"
    parameters: list[Argument] = ["PARAMS", "4", "radius", repr(radius)]
    parameters += ["vector", pack_vector(near.vector, near.field.data_type)]
    page = page_command(entry, f"{query} {within}", [DISTANCE, *fields], limit)
    return [*page, *parameters]


def count_command(entry: CatalogEntry, query: str) -> list[Argument]:
    """FT.SEARCH for the number of documents that a query selects."""
    command: list[Argument] = ["FT.SEARCH", entry.search_index, query]
    return [*command, "VERBATIM", "LIMIT", "0", "0", "DIALECT", "2"]


def group_command(entry: CatalogEntry, query: str, field: str, limit: int) -> list[Argument]:
    """FT.AGGREGATE for the distinct values of a field in `limit` of the documents that a query selects.

    LOAD is needed: without it, the grouped field is empty in every row (Valkey-Search 1.2.1). LIMIT comes before GROUPBY,
    so that the server reads no other documents.
    """
    command: list[Argument] = ["FT.AGGREGATE", entry.search_index, query, "LOAD", "1", f"@{field}"]
    command += ["LIMIT", "0", str(limit)]
    command += ["GROUPBY", "1", f"@{field}", "REDUCE", "COUNT", "0", "AS", "count"]
    return [*command, "DIALECT", "2"]


def groups(reply: Any, field: str) -> list[str]:
    """The values in a reply to `group_command`; documents without a value form a group without the field."""
    found = (row.get(field.encode()) for row in reply)
    return [value.decode(errors="replace") for value in found if value is not None]


def sum_command(entry: CatalogEntry, query: str, field: str) -> list[Argument]:
    """FT.AGGREGATE for the sum of a numeric field over the documents that a query selects.

    All in one group, which has to be by something that is the same in all: Valkey-Search (1.2.1) groups by
    no fewer than one.
    """
    command: list[Argument] = ["FT.AGGREGATE", entry.search_index, query, "LOAD", "1", f"@{field}"]
    command += ["APPLY", f"@{field}*0", "AS", "all", "GROUPBY", "1", "@all"]
    command += ["REDUCE", "SUM", "1", f"@{field}", "AS", "sum"]
    return [*command, "REDUCE", "COUNT", "0", "AS", "count", "DIALECT", "2"]


def summed(reply: Any) -> tuple[float, int]:
    """The sum in the reply to `sum_command`, and the number of documents summed.

    Compare the number with a count: FT.AGGREGATE has no option to fail if a node of a cluster fails.
    """
    groups = [described(group) for group in reply]
    total = sum(float(group["sum"]) for group in groups)
    return total, sum(int(float(group["count"])) for group in groups)


def ids_command(entry: CatalogEntry, query: str, limit: int) -> list[Argument]:
    """FT.SEARCH for the keys that a query selects, in any order."""
    command: list[Argument] = ["FT.SEARCH", entry.search_index, query, "NOCONTENT"]
    return [*command, "VERBATIM", "LIMIT", "0", str(limit), "DIALECT", "2"]


def keys(reply: Any) -> list[bytes]:
    """The keys in the reply to `ids_command`, of records and of other hashes with the prefix."""
    return list(reply[1]) if len(reply) > 1 else []


def id_of(key: bytes, entry: CatalogEntry) -> str:
    """The id of a key."""
    return key[len(entry.prefix.encode()) :].decode(errors="surrogateescape")


def total(reply: Any) -> int:
    """The total in a reply to FT.SEARCH."""
    return int(reply[0])


def server_distances(reply: Any, metric: Metric) -> dict[bytes, float]:
    """The distances in a reply to FT.SEARCH, by key."""
    found: Mapping[bytes, Mapping[bytes, bytes] | None] = reply[1] if len(reply) > 1 else {}
    return {
        key: distance_of(pairs[DISTANCE_FIELD], metric)
        for key, pairs in found.items()
        if pairs is not None and DISTANCE_FIELD in pairs
    }


def rows(
    reply: Any,
    entry: CatalogEntry,
    metric: Metric,
    now: Callable[[], float],
    vector: str | None = None,
) -> list[Row]:
    """The documents in a reply to FT.SEARCH, in its order, without expired ones and hashes that are not documents.

    Args:
        reply: the reply.
        entry: catalog entry of the index.
        metric: metric of the distances.
        now: returns the server time in milliseconds; called if a document has a time to live.
        vector: hash field of the vector that was searched; documents that no longer have it are left out.
    """
    found: Mapping[bytes, Mapping[bytes, bytes] | None] = reply[1] if len(reply) > 1 else {}
    skip, own = _prefix_length(entry.name), own_records(entry.lineage, vector)
    are_certain = own.recognizes(found.values())
    documents: list[Row] = []
    for key, pairs in found.items():
        if pairs is None:
            continue
        measured = pairs.get(DISTANCE_FIELD)
        distance = math.nan if measured is None else distance_of(measured, metric)
        row: Row = FoundRow.of_reply(key[skip:].decode(), distance, pairs)
        ends = pairs.get(_EXPIRES)
        if not are_certain and not own.recognizes((pairs,)):
            fields = own_fields(entry, row.fields, vector)
            if fields is None:
                continue
            if fields is row.fields:
                own.learn(pairs)
            else:
                row, ends = Row(row.id, fields, distance), fields.get(EXPIRES)
        if ends is None or float(ends) > now():
            documents.append(row)
    return documents


@lru_cache(maxsize=256)
def _prefix_length(name: str) -> int:
    """Length of the key prefix of an index in bytes."""
    return len(document_prefix(name).encode())


def described(reply: Any) -> dict[str, Any]:
    """A reply of names and values as a dict, from a list or a map; nested lists are unchanged."""
    items = (
        reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    )
    return {name.decode(): _text(value) for name, value in items}


def backfill_share(reported: float, *, in_progress: bool) -> float:
    """Return the share of the documents that Valkey-Search has indexed, 0 to 1: it is 1 only at the end of the backfill.

    Valkey-Search 1.2.1 reports 1 as soon as it has listed all keys, before it has indexed them.
    """
    return min(_ALMOST, reported) if in_progress else 1.0


def index_is_missing(message: str) -> bool:
    """Return True if an error message of the server means that the index does not exist.

    Valkey-Search and RediSearch have different messages, and the client rewrites the beginning of both.
    """
    lowered = message.lower()
    return any(words in lowered for words in _ABSENT)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def distance_of(text: bytes, metric: Metric) -> float:
    """Parse a distance. The cosine distance of a zero vector is 1 (Valkey-Search); RediSearch returns NaN."""
    try:
        return _decode_number(text)  # three times as fast as `float`, with the same result
    except msgspec.DecodeError:
        value = float(text)
    if value == value:
        return value
    return 1.0 if metric is Metric.COSINE else math.inf


def _vector(field: VectorField) -> list[str]:
    settings = ["TYPE", field.data_type, "DIM", str(field.dimension)]
    settings += ["DISTANCE_METRIC", field.metric.value]
    for name, value in algorithm_settings(field.algorithm).items():
        settings += [name, str(value)]
    name = vector_name(field.name)
    return [name, "VECTOR", field.algorithm.name, str(len(settings)), *settings]


def _declared(field: DeclaredField) -> list[str]:
    name = declared_name(field.path)
    match field:
        case NumericField():
            return [name, "NUMERIC"]
        case TextField():
            return [name, "TEXT"]
        case TagField():
            sensitive = ["CASESENSITIVE"] if field.case_sensitive else []
            return [name, "TAG", "SEPARATOR", field.separator, *sensitive]
        case _:
            assert_never(field)
