"""Records whose time to live is prolonged on their keys, and many searches in one round trip."""

from __future__ import annotations

import time

import pytest

from round_trips import CommandLog
from valkey_vector import F, Index, InvalidInputError, Record

HERE, THERE = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]


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


def test_many_searches_are_one_round_trip(index: Index, commands: CommandLog) -> None:
    index.upsert(
        [
            Record(id=f"r{n}", vector=[1, n, 0, 0], metadata={"n": n}, payload=b"%d" % n)
            for n in range(50)
        ]
    )
    index.search(HERE)
    commands.clear()
    vectors: list[list[float]] = [HERE, THERE, [1, 7, 0, 0]]
    found = index.search_many(vectors, k=3, with_payloads=True)
    assert len(commands.round_trips) == 1
    assert found == [index.search(vector, k=3, with_payloads=True) for vector in vectors]
    within = F("n").in_([4, 9, 30])
    assert index.search_many(vectors, k=3, filter=within) == [
        index.search(vector, k=3, filter=within) for vector in vectors
    ]
    residual = F("n") != 2**70
    assert index.search_many(vectors, k=60, filter=residual) == [
        index.search(vector, k=60, filter=residual) for vector in vectors
    ]


def test_searching_for_nothing_finds_nothing(index: Index) -> None:
    assert index.search_many([]) == []
    assert index.search_many([HERE, THERE]) == [[], []]
    index.upsert([Record(id="a", vector=HERE)])
    with pytest.raises(InvalidInputError, match="query 1"):
        index.search_many([HERE, [1.0]])
    with pytest.raises(InvalidInputError, match="k must"):
        index.search_many([HERE], k=0)


async def test_many_searches_can_be_awaited(index: Index) -> None:
    await index.aupsert([Record(id="a", vector=HERE), Record(id="b", vector=THERE)])
    found = await index.asearch_many([THERE, HERE], k=1)
    assert [[hit.record.id for hit in hits] for hits in found] == [["b"], ["a"]]
