"""Rows of a reply to FT.SEARCH: which of them are records, their valid fields, and the records decoded from them."""

from __future__ import annotations

import itertools
import math
import random
import struct
from typing import Any

import pytest

from valkey_vector.engines.search.commands import distance_of, rows
from valkey_vector.errors import UnreadableRecordError
from valkey_vector.schema.schema import Metric, Schema
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.decoding import decode_record, decode_records
from valkey_vector.storage.rows import CheckedRow, FoundRow, Row

ENTRY = CatalogEntry("docs", "gen", "search", Schema(dimension=2), None, {}, "line")
OLD = CatalogEntry("docs", "gen", "search", Schema(dimension=2), None, {})

NOW = 1_000.0
VALID = {b"distance": b"0.5", b"content": b"text", b"metadata": b'{"a":1}'}
COMPLETE = {**VALID, b"version": b"line:1:vpyt", b"parent": b"p", b"payload": b"y"}
LASTING = {**COMPLETE, b"expires": b"2000"}


def found(hash: dict[bytes, bytes], entry: CatalogEntry = ENTRY, vector: str = "vector") -> Row:
    """The row of the only hash in a reply, the same when the kind of record is known already."""
    reply = [1, {b"docs:a": hash}]
    first, again = (rows(reply, entry, Metric.COSINE, lambda: NOW, vector) for _ in range(2))
    assert [(row.id, row.fields, row.distance) for row in first] == [
        (row.id, row.fields, row.distance) for row in again
    ]
    (row,) = first
    return row


def is_dropped(hash: dict[bytes, bytes], entry: CatalogEntry = ENTRY) -> bool:
    reply = [1, {b"docs:a": hash}]
    return not any(rows(reply, entry, Metric.COSINE, lambda: NOW, "vector") for _ in range(2))


def test_a_row_has_the_fields_of_the_hash_without_the_distance() -> None:
    row = found(LASTING)
    assert row.id == "a"
    assert row.distance == 0.5
    assert row.version == b"line:1:vpyt"
    assert row.fields == {
        name.decode(): value for name, value in LASTING.items() if name != b"distance"
    }


def test_fields_that_the_version_does_not_list_are_left_out_also_after_complete_records() -> None:
    found(LASTING)
    row = found({**LASTING, b"version": b"line:2:v"})
    assert set(row.fields) == {"content", "metadata", "version"}
    assert set(found({**VALID, b"version": b"line:3:v"}).fields) == set(row.fields)
    assert set(found({**LASTING, b"version": b"line:2:v"}).fields) == set(row.fields)


@pytest.mark.parametrize(
    "version",
    [None, b"other:1:v", b"line", b"lin:1:v", b"line:1:", b"line:1:p"],
    ids=["none", "another index", "no unique", "shorter", "no vector", "only a parent"],
)
def test_a_hash_that_is_no_record_with_the_vector_is_dropped(version: bytes | None) -> None:
    found(LASTING)
    hash = dict(VALID) if version is None else {**VALID, b"version": version}
    assert is_dropped(hash)


def test_a_record_without_a_version_belongs_to_an_index_of_the_first_format() -> None:
    assert found({**VALID, b"created": b"1"}, OLD).fields["created"] == b"1"
    assert is_dropped(VALID, OLD)
    assert is_dropped({**VALID, b"created": b"1"})


def test_an_expired_record_is_dropped_also_after_lasting_ones() -> None:
    found(LASTING)
    assert is_dropped({**LASTING, b"expires": b"1000"})
    found({**LASTING, b"expires": b"1000", b"version": b"line:1:v"})  # the time is not its own


def test_additional_vectors_are_checked_by_their_names() -> None:
    named = {**VALID, b"version": b"line:1:v;title", b"v_title": b"1234", b"v_other": b"1234"}
    assert "v_other" not in found(named).fields
    assert found(named, vector="v_title").fields["v_title"] == b"1234"
    assert not rows([1, {b"docs:a": named}], ENTRY, Metric.L2, lambda: NOW, "v_other")


def test_a_distance_is_the_same_as_by_the_standard_library() -> None:
    source = random.Random(1)
    for _ in range(20_000):
        (bits,) = struct.unpack("<d", source.randbytes(8))
        for value in (source.random() * 2, bits):
            for form in ("%.12g", "%.17g", "%.6f", "%r"):
                text = (form % value).encode()
                if math.isfinite(value):
                    assert distance_of(text, Metric.COSINE) == float(text)
    assert distance_of(b"1.19209289551e-07", Metric.L2) == 1.19209289551e-07
    assert distance_of(b"inf", Metric.L2) == math.inf
    assert distance_of(b"-nan", Metric.COSINE) == 1.0
    assert distance_of(b"nan", Metric.L2) == math.inf


def test_vectors_of_another_type_are_returned_as_float32() -> None:
    half = CatalogEntry("docs", "gen", "search", Schema(dimension=2, data_type="FLOAT16"), None, {}, "half")  # fmt: skip
    plain = {**VALID, b"version": b"half:1:v"}
    assert set(found(plain, half).fields) == {"content", "metadata", "version"}
    row = found({**plain, b"vector": struct.pack("<2e", 1, 2)}, half)
    assert row.fields["vector"] == struct.pack("<2f", 1, 2)
    assert set(found(plain, half).fields) == {"content", "metadata", "version"}
    row = found({**plain, b"vector": struct.pack("<2e", 1, 2)}, half)
    assert row.fields["vector"] == struct.pack("<2f", 1, 2)


HASHES: list[dict[bytes, bytes]] = [LASTING, COMPLETE, {}, {b"content": b"", b"metadata": b""}]
NAMES = ["content", "metadata", "parent", "payload", "vector"]


@pytest.mark.parametrize("hash", HASHES)
def test_records_are_the_same_from_every_kind_of_row(hash: dict[bytes, bytes]) -> None:
    raw = {**hash, b"vector": struct.pack("<2f", 1, 2)}
    fields = {name.decode(): value for name, value in raw.items() if name != b"distance"}
    for size in range(len(NAMES) + 1):
        for only in itertools.combinations(NAMES, size):
            expected = decode_record("a", fields, only)
            kinds: list[Row] = [Row("a", fields), FoundRow("a", None, 0.5, raw)]
            if fields.get("metadata"):
                kinds.append(CheckedRow("a", fields, 0.5, {"a": 1}))
            for record in decode_records(kinds, only):
                assert repr(record) == repr(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"content", b"\xff"), (b"parent", b"\xff"), (b"metadata", b"{"), (b"metadata", b"[1]")],
)
def test_an_unreadable_field_raises_an_error_that_names_the_record(
    name: bytes, value: bytes
) -> None:
    row = found({**LASTING, name: value})
    with pytest.raises(UnreadableRecordError, match="record 'a'"):
        decode_records([row], ("content", "metadata", "parent"))


def test_a_row_can_be_copied_with_another_distance() -> None:
    from dataclasses import replace

    row: Any = replace(found(LASTING), distance=1.0)
    assert row.distance == 1.0
    assert row.fields == found(LASTING).fields
    (record,) = decode_records([row], ("content",))
    assert record.content == "text"
