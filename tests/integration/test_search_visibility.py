"""A search finds everything that an earlier call wrote: also the end of a batch, on every node of a cluster."""

from __future__ import annotations

import pytest

from valkey_vector import F, Index, InvalidInputError, Record, SearchModule

ROUNDS = 12


@pytest.mark.parametrize("size", [1, 3, 130])
def test_what_was_written_is_counted_and_found_at_once(index: Index, size: int) -> None:
    for round in range(ROUNDS):
        ids = [f"{round}-{number}" for number in range(size)]
        records = [Record(id=id, vector=[1, 2, 3, round], metadata={"round": round}) for id in ids]
        index.upsert(records, batch_size=50)
        assert index.count(F("round") == round) == size
        hits = index.search([1, 2, 3, round], k=size, filter=F("round") == round)
        assert {hit.record.id for hit in hits} == set(ids)
    assert index.count() == ROUNDS * size


def test_what_was_updated_is_found_by_its_new_metadata_at_once(index: Index) -> None:
    ids = [str(number) for number in range(9)]
    index.upsert([Record(id=id, vector=[1, 2, 3, 4], metadata={"round": -1}) for id in ids])
    for round in range(ROUNDS):
        assert index.update_metadata(ids, {"round": round}) == len(ids)
        assert index.count(F("round") == round) == len(ids)
        assert index.count(F("round") == round - 1) == 0


def test_what_was_deleted_is_found_no_more_at_once(index: Index) -> None:
    ids = [str(number) for number in range(30)]
    index.upsert([Record(id=id, vector=[1, 2, 3, 4]) for id in ids])
    while ids:
        assert index.delete([ids.pop(), ids.pop(), ids.pop()]) == 3
        assert index.count() == len(ids)
        assert {hit.record.id for hit in index.search([1, 2, 3, 4], k=30)} == set(ids)


def test_a_zero_vector_is_at_a_right_angle_to_all_or_refused(index: Index) -> None:
    zero = Record(id="zero", vector=[0, 0, 0, 0])
    others = [Record(id="near", vector=[0, 1, 0, 1]), Record(id="far", vector=[0, -1, 0, -1])]
    redisearch = index.connection.capabilities.module is SearchModule.REDISEARCH
    if redisearch:
        with pytest.raises(InvalidInputError, match=r"'zero'.*zeros.*RediSearch"):
            index.upsert([*others, zero])
        assert index.count() == 0
        return
    index.upsert([*others, zero])
    found = [(hit.record.id, round(hit.distance, 5)) for hit in index.search([0, 1, 0, 1], k=3)]
    assert found == [("near", 0.0), ("zero", 1.0), ("far", 2.0)]
