"""Records whose time to live is prolonged on their keys."""

from __future__ import annotations

import time

from valkey_vector import F, Index, Record

HERE = [1.0, 0.0, 0.0, 0.0]


def prolong(index: Index, id: str, seconds: float) -> None:
    index.connection.execute("PEXPIRE", f"{index.name}:{id}", str(round(1000 * seconds)))


def test_a_prolonged_record_is_found_until_its_last_end(index: Index) -> None:
    index.upsert([Record(id="long", vector=HERE, metadata={"n": 1})], ttl=2, sliding=True)
    index.upsert([Record(id="short", vector=HERE, metadata={"n": 2})], ttl=0.5, sliding=True)
    prolong(index, "long", 60)
    time.sleep(2.3)
    for _ in range(2):
        assert [hit.record.id for hit in index.search(HERE, k=5)] == ["long"]
        assert [record.id for record in index.select(F("n") > 0)] == ["long"]
        assert index.count(F("n") > 0) == 1
    prolong(index, "long", 0.001)
    time.sleep(0.3)
    assert index.search(HERE, k=5) == []
    assert index.select() == []


def test_a_fixed_end_is_not_prolonged_by_what_reads(index: Index) -> None:
    index.upsert([Record(id="a", vector=HERE)], ttl=0.4)
    time.sleep(0.6)
    assert index.count() == 0
    assert index.search(HERE) == []


def test_overwriting_takes_a_sliding_end_away(index: Index) -> None:
    index.upsert([Record(id="a", vector=HERE)], ttl=0.4, sliding=True)
    index.upsert([Record(id="a", vector=HERE)])
    time.sleep(0.6)
    assert [hit.record.id for hit in index.search(HERE)] == ["a"]
