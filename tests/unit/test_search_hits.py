"""Hits decoded in one pass are those of the rows of the same reply, or none: then the rows are used."""

from __future__ import annotations

import random
from typing import Any

import pytest

from valkey_vector.engines.search.commands import rows
from valkey_vector.engines.search.hits import HitDecoder
from valkey_vector.errors import UnreadableRecordError
from valkey_vector.records.record import Hit
from valkey_vector.schema.schema import Metric, Schema
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.decoding import decode_hits
from valkey_vector.storage.rows import Row

NOW = 1_000.0
FIELDS = ("content", "metadata", "parent", "payload")
PLAIN = {b"content": b"text", b"metadata": b'{"a":1}', b"version": b"line:1:v"}
OTHERS: list[dict[bytes, bytes]] = [
    {b"version": b"line:1:vpyt", b"parent": b"p", b"payload": b"y", b"expires": b"2000"},
    {b"version": b"line:1:vt", b"expires": b"999"},
    {b"version": b"other:1:v"},
    {b"version": b"line:1:"},
    {b"parent": b"not listed by the version"},
    {b"metadata": b'{"at":{"$date":"2024-01-01"}}'},
    {b"metadata": b""},
    {b"metadata": b"[1]"},
    {b"metadata": b'{"big":123456789012345678901234567890,"nan":NaN}'},
    {b"content": b"\xff"},
    {b"distance": b"nan"},
]


def entry_of(metric: Metric) -> CatalogEntry:
    return CatalogEntry(
        "docs", "gen", "search", Schema(dimension=2, metric=metric), None, {}, "line"
    )


def reply_of(*hashes: tuple[str, str, dict[bytes, bytes]]) -> list[Any]:
    """A reply with ids, distances and fields that differ from `PLAIN`."""
    found = {
        f"docs:{id}".encode(): {b"distance": distance.encode(), **PLAIN, **fields}
        for id, distance, fields in hashes
    }
    return [len(found), found]


def by_rows(reply: list[Any], entry: CatalogEntry, k: int) -> list[Hit]:
    metric = entry.schema.vector_field("vector").metric
    found: list[Row] = rows(reply, entry, metric, lambda: NOW, "vector")
    nearest = sorted(found, key=lambda row: (row.distance, row.id))[:k]
    return decode_hits(nearest, metric, FIELDS)


def in_one_pass(reply: list[Any], entry: CatalogEntry, k: int) -> list[Hit] | None:
    decoder = HitDecoder.of(entry, entry.schema.vector_field("vector"), FIELDS)
    assert decoder is not None
    return decoder.hits(reply, k, lambda: NOW)


@pytest.mark.parametrize("metric", list(Metric))
def test_hits_of_any_reply_are_those_of_its_rows(metric: Metric) -> None:
    entry, chosen = entry_of(metric), random.Random(1)
    decoded = 0
    for _ in range(3_000):
        distances = sorted(chosen.choice([0.0, 0.25, 0.5, 1.5, 2.5, 3e-8, 7.0]) for _ in range(4))
        if chosen.random() < 0.7:
            distances = sorted(chosen.random() * 2 for _ in range(4))
        reply = reply_of(
            *(
                (str(chosen.randrange(1_000)), str(distance), chosen.choice([{}] * 30 + OTHERS))
                for distance in distances
            )
        )
        k = chosen.randint(1, 4)
        hits = in_one_pass(reply, entry, k)
        if hits is not None:
            decoded += 1
            assert hits == by_rows(reply, entry, k)
        else:
            try:
                by_rows(reply, entry, k)  # learns the names of the valid fields
            except UnreadableRecordError:
                continue
    assert decoded > 1_000


@pytest.mark.parametrize(
    ("k", "distances"), [(2, "0.1 0.2 0.2 0.3"), (2, "0.2 0.2 0.3"), (1, "0.2 0.2"), (4, "0.1 0.2")]
)
def test_equal_distances_and_missing_hits_are_left_to_the_rows(k: int, distances: str) -> None:
    entry = entry_of(Metric.COSINE)
    ids = "zyxw"
    reply = reply_of(*((ids[at], each, {}) for at, each in enumerate(distances.split())))
    by_rows(reply, entry, k)
    assert in_one_pass(reply, entry, k) is None


@pytest.mark.parametrize("fields", OTHERS[1:5])
def test_a_hash_that_may_be_no_valid_record_is_left_to_the_rows(fields: dict[bytes, bytes]) -> None:
    entry = entry_of(Metric.COSINE)
    by_rows(reply_of(("a", "0.1", {})), entry, 1)
    assert in_one_pass(reply_of(("a", "0.1", {})), entry, 1) is not None
    assert in_one_pass(reply_of(("a", "0.1", fields)), entry, 1) is None
