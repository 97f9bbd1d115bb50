"""Hits decoded in one pass are those of the rows of the reply, or the reply is left to the rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from valkey_vector import Hit
from valkey_vector.engines.search.commands import rows
from valkey_vector.engines.search.hits import HitDecoder
from valkey_vector.schema.schema import Metric, Schema
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.decoding import decode_hits

NOW = 1_000.0
FIELDS = ["content", "metadata", "parent", "payload"]
Hash = dict[bytes, bytes] | None

USUAL: dict[bytes, bytes] = {b"content": b"text", b"metadata": b'{"a":1}', b"version": b"line:1:v"}
LONG: dict[bytes, bytes] = {
    b"content": "straße".encode(),
    b"metadata": b'{"a":{"$date":"2024-01-31"},"b":123456789012345678901234567890}',
    b"version": b"line:2:vpyt",
    b"parent": b"p",
    b"payload": b"\x00y",
    b"expires": b"2000",
}
UNUSUAL: list[Hash] = [
    None,
    {},
    {**USUAL, b"version": b"other:1:v"},
    {**USUAL, b"version": b"line:1:p"},
    {**USUAL, b"parent": b"invalid"},
    {**USUAL, b"metadata": b'{"a":NaN}'},
    {**LONG, b"expires": b"999"},
    {name: value for name, value in USUAL.items() if name != b"version"},
]


def entry(metric: Metric) -> CatalogEntry:
    return CatalogEntry("docs", "gen", "search", Schema(dimension=2, metric=metric), None, {}, "line")  # fmt: skip


def reply_of(hashes: Sequence[Hash], distances: Sequence[str]) -> list[Any]:
    found = {
        b"docs:r%d" % place: None if hash is None else {b"distance": distance.encode(), **hash}
        for place, (hash, distance) in enumerate(zip(hashes, distances, strict=True))
    }
    return [len(found), found]


def by_rows(reply: Any, metric: Metric, fields: Sequence[str]) -> list[Hit]:
    found = rows(reply, entry(metric), metric, lambda: NOW, "vector")
    found.sort(key=lambda row: (row.distance, row.id))
    return decode_hits(found, metric, fields)


def in_one_pass(reply: Any, metric: Metric, k: int, fields: Sequence[str]) -> list[Hit] | None:
    index = entry(metric)
    decoder = HitDecoder.of(index, index.schema.vector_field(None), fields)
    assert decoder is not None
    return decoder.hits(reply, k, lambda: NOW)


@pytest.mark.parametrize("metric", list(Metric))
def test_the_hits_are_those_of_the_rows(metric: Metric) -> None:
    source = random.Random(12)
    decoded = 0
    for _ in range(3_000):
        number = source.randint(0, 12)
        values = ["-1e-07", *(f"{2 * source.random():.12g}" for _ in range(12))][:number]
        if source.random() < 0.8:
            values.sort(key=float)
        if values and source.random() < 0.1:
            values[source.randrange(number)] = source.choice(["nan", "-nan", "inf", values[0]])
        kinds = [USUAL, LONG] if source.random() < 0.7 else [USUAL, LONG, *UNUSUAL]
        reply = reply_of([source.choice(kinds) for _ in range(number)], values)
        fields = source.sample(FIELDS, source.randint(0, 4))
        expected, k = by_rows(reply, metric, fields), source.randint(1, 10)
        found = in_one_pass(reply, metric, k, fields)
        if found is not None:
            decoded += 1
            assert repr(found) == repr(expected[:k])
            assert [type(hit) for hit in found] == [Hit] * k
    assert decoded > 500


def test_the_usual_reply_is_decoded_in_one_pass() -> None:
    reply = reply_of([USUAL, LONG, USUAL], ["0.1", "0.2", "0.3"])
    by_rows(reply, Metric.COSINE, FIELDS)  # the kinds of records are known after the first reply
    found = in_one_pass(reply, Metric.COSINE, 2, FIELDS)
    assert found is not None
    assert [hit.record.id for hit in found] == ["r0", "r1"]


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_an_unusual_hash_is_left_to_the_rows(unusual: Hash) -> None:
    by_rows(reply_of([USUAL, LONG], ["0.1", "0.2"]), Metric.COSINE, FIELDS)
    reply = reply_of([USUAL, unusual], ["0.1", "0.2"])
    assert in_one_pass(reply, Metric.COSINE, 2, FIELDS) is None


@pytest.mark.parametrize(
    "distances",
    [["0.1", "0.1", "0.3"], ["0.1", "0.3", "0.2"], ["0.2", "0.1", "0.3"], ["0.1", "0.2", "0.2"]],
    ids=["equal", "a nearer one later", "disorder", "equal at the end"],
)
def test_a_reply_that_is_not_in_strict_order_is_left_to_the_rows(distances: list[str]) -> None:
    reply = reply_of([USUAL] * 3, distances)
    by_rows(reply, Metric.COSINE, FIELDS)
    assert in_one_pass(reply, Metric.COSINE, 2, FIELDS) is None


def test_an_incomplete_reply_is_left_to_the_rows() -> None:
    for reply in ([0], [0, {}], reply_of([USUAL], ["0.1"])):
        assert in_one_pass(reply, Metric.COSINE, 2, FIELDS) is None


def test_vectors_are_left_to_the_rows() -> None:
    index = entry(Metric.COSINE)
    assert HitDecoder.of(index, index.schema.vector_field(None), [*FIELDS, "vector"]) is None
