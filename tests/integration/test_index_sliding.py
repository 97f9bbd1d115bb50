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


def test_records_whose_sliding_life_is_over_are_not_counted(index: Index) -> None:
    """Only their keys know their end, and a server keeps expired keys in its index until it reclaims them."""
    index.connection.execute("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    try:
        here = [Record(id=f"s{n}", vector=[1, n, 0, 0], metadata={"n": n}) for n in range(300)]
        index.upsert(here, ttl=0.5, sliding=True)
        index.upsert(
            [Record(id=f"k{n}", vector=[1, n, 0, 0], metadata={"n": n}) for n in range(20)]
        )
        index.upsert([Record(id="later", vector=[1, 0, 0, 0])], ttl=60, sliding=True)
        time.sleep(0.8)
        assert index.count() == 21
        assert index.count(F("n") < 10) == 10
        assert len(index.select()) == 21
    finally:
        index.connection.execute("DEBUG", "SET-ACTIVE-EXPIRE", "1")
