"""FT.INFO as objects: recorded replies of Valkey-Search 1.2.1, and the format of RediSearch."""

from __future__ import annotations

from typing import Any

import pytest

from valkey_vector import Metric, NumericAttribute, TagAttribute, TextAttribute, VectorAttribute
from valkey_vector.attached.attributes import OtherAttribute
from valkey_vector.attached.definition import TextOptions
from valkey_vector.attached.description import (
    AttributeStatistics,
    Backfill,
    ClusterDescription,
    PrimaryDescription,
    parse_cluster,
    parse_local,
    parse_primary,
)

VECTOR = [
    b"identifier", b"v", b"attribute", b"v", b"user_indexed_memory", 72, b"type", b"VECTOR", b"index",
    [b"capacity", 10240, b"dimensions", 4, b"distance_metric", b"COSINE", b"size", b"3", b"data_type", b"FLOAT32",
     b"algorithm", [b"name", b"HNSW", b"m", 16, b"ef_construction", 200, b"ef_runtime", 10]],
]  # fmt: skip
LOCAL = [
    b"index_name", b"idx",
    b"index_definition", [b"key_type", b"HASH", b"prefixes", [b"d:"], b"default_score", b"1"],
    b"attributes", [
        [b"identifier", b"n", b"attribute", b"n", b"user_indexed_memory", 4, b"type", b"NUMERIC", b"size", b"1"],
        [b"identifier", b"t", b"attribute", b"t", b"user_indexed_memory", 19, b"type", b"TAG", b"SEPARATOR", b",",
         b"CASESENSITIVE", b"0", b"size", b"6"],
        VECTOR,
        [b"identifier", b"x", b"attribute", b"x", b"user_indexed_memory", 0, b"type", b"TEXT", b"WITH_SUFFIX_TRIE",
         b"0", b"NO_STEM", b"1", b"WEIGHT", b"1"],
    ],
    b"num_docs", 7, b"num_records", 10, b"total_term_occurrences", 0, b"num_terms", 0, b"hash_indexing_failures", b"6",
    b"backfill_in_progress", b"0", b"backfill_complete_percent", b"1.000000", b"mutation_queue_size", b"0",
    b"recent_mutations_queue_delay", b"0 sec", b"state", b"ready", b"punctuation", b",.<>{}[]", b"stop_words",
    [b"a", b"is"], b"with_offsets", b"1", b"min_stem_size", 4, b"language", b"english",
]  # fmt: skip


def as_map(flat: list[Any]) -> dict[Any, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


@pytest.mark.parametrize("reply", [LOCAL, as_map(LOCAL)], ids=["list", "map"])
def test_the_recorded_local_reply(reply: Any) -> None:
    told = parse_local(reply)
    assert told.definition.name == "idx"
    assert (told.definition.on, told.definition.prefixes) == ("hash", ("d:",))
    assert told.definition.attributes == (
        NumericAttribute("n"),
        TagAttribute("t"),
        VectorAttribute(
            "v", dimension=4, metric=Metric.COSINE, m=16, ef_construction=200, ef_runtime=10
        ),
        TextAttribute("x", stemming=False),
    )
    assert told.definition.text == TextOptions(
        stop_words=("a", "is"),
        punctuation=",.<>{}[]",
        min_stem_size=4,
        offsets=True,
        language="english",
    )
    assert (told.documents, told.records, told.failures, told.queue) == (7, 10, 6, 0)
    assert told.backfill == Backfill(in_progress=False, share=1.0)
    assert told.state == "ready"
    assert told.attributes == (
        AttributeStatistics(name="n", identifier="n", memory=4, records=1),
        AttributeStatistics(name="t", identifier="t", memory=19, records=6),
        AttributeStatistics(name="v", identifier="v", memory=72, records=3, capacity=10240),
        AttributeStatistics(name="x", identifier="x", memory=0),
    )
    assert told.definition.create_command()[:6] == ["FT.CREATE", "idx", "ON", "HASH", "PREFIX", "1"]


def test_a_backfill_under_way() -> None:
    reply = as_map(LOCAL) | {
        b"backfill_in_progress": b"1",
        b"backfill_complete_percent": b"0.250000",
        b"state": b"backfill_in_progress",
    }
    assert parse_local(reply).backfill == Backfill(in_progress=True, share=0.25)
    listed = reply | {
        b"backfill_complete_percent": b"1.000000"
    }  # all keys, but not all are indexed
    assert parse_local(listed).backfill == Backfill(in_progress=True, share=0.999)


def test_the_recorded_reply_of_the_primaries() -> None:
    field = [
        b"identifier",
        b"v",
        b"attribute",
        b"v",
        b"user_indexed_memory",
        240,
        b"num_records",
        30,
    ]
    reply = [
        b"mode", b"primary", b"index_name", b"cidx", b"num_docs", b"30", b"num_records", b"120",
        b"hash_indexing_failures", b"0", b"attributes", [field],
    ]  # fmt: skip
    assert parse_primary(reply) == PrimaryDescription(
        name="cidx",
        documents=30,
        records=120,
        failures=0,
        attributes=(AttributeStatistics(name="v", identifier="v", memory=240, records=30),),
    )


def test_the_recorded_reply_of_a_cluster() -> None:
    field = [b"identifier", b"x", b"attribute", b"x", b"user_indexed_memory", 590]
    reply = [
        b"mode", b"cluster", b"index_name", b"cidx", b"backfill_in_progress", b"1",
        b"backfill_complete_percent_max", b"1.000000", b"backfill_complete_percent_min", b"0.500000",
        b"state", b"backfill_in_progress", b"attributes", [field],
    ]  # fmt: skip
    assert parse_cluster(reply) == ClusterDescription(
        name="cidx",
        backfill=Backfill(in_progress=True, share=0.5),
        fastest=1.0,
        state="backfill_in_progress",
        attributes=(AttributeStatistics(name="x", identifier="x", memory=590),),
    )


def test_redisearch_writes_flags_without_values_and_vectors_in_a_row() -> None:
    reply = {
        b"index_name": b"h",
        b"index_definition": [
            b"key_type", b"JSON", b"prefixes", [b""], b"filter", b"@n>1", b"default_language", b"german", b"default_score", b"1",
        ],
        b"attributes": [
            [b"identifier", b"$.t", b"attribute", b"t", b"type", b"TAG", b"SEPARATOR", b"", b"CASESENSITIVE", b"SORTABLE"],
            [b"identifier", b"$.v", b"attribute", b"v", b"type", b"VECTOR", b"algorithm", b"FLAT", b"data_type", b"FLOAT64",
             b"dim", 2, b"distance_metric", b"L2"],
            [b"identifier", b"$.x", b"attribute", b"x", b"type", b"TEXT", b"WEIGHT", b"1", b"NOSTEM", b"WITHSUFFIXTRIE"],
            [b"identifier", b"$.g", b"attribute", b"g", b"type", b"GEO"],
        ],
        b"num_docs": 3, b"num_records": b"9", b"hash_indexing_failures": 1, b"indexing": 1, b"percent_indexed": b"0.5",
        b"stopwords_list": [b"x"],
    }  # fmt: skip
    told = parse_local(reply)
    assert told.definition.prefixes == ()
    assert told.definition.condition == "@n>1"
    assert told.definition.text == TextOptions(stop_words=("x",), language="german")
    assert told.definition.attributes == (
        TagAttribute("$.t", "t", separator="", case_sensitive=True),
        VectorAttribute(
            "$.v", "v", dimension=2, metric=Metric.L2, algorithm="FLAT", data_type="FLOAT64"
        ),
        TextAttribute("$.x", "x", stemming=False, suffix_trie=True),
        OtherAttribute("$.g", "g", "GEO"),
    )
    assert told.backfill == Backfill(in_progress=True, share=0.5)
