"""The first records in an order on Valkey-Search: the server reads little more than what is requested."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from round_trips import CommandLog
from valkey_vector import F, FilterQuery, Index, OrderBy, Record
from valkey_vector.engines.search import leading

NUMBER = 2_000


def value(key: str, n: int) -> Any:
    """The value of a key in the record with this number, or None for none."""
    rng = random.Random(f"{key}{n}")
    match key:
        case "price":
            return rng.expovariate(0.1)
        case "rating":
            return rng.randint(1, 5)
        case "huge":
            return 2**60 + rng.randint(0, 9)
        case "signed":
            return rng.choice([0, -0.0, rng.gauss(0, 1e-6), rng.gauss(0, 1e9), rng.randint(-3, 3)])
        case "some":
            return rng.random() if n % 2 else None
        case "rare":
            return n if n % 1_000 == 0 else None
        case "mixed":
            return rng.choice([True, "text", rng.randint(0, 9)]) if n % 50 == 0 else n % 7
        case "nan":
            return float("nan") if n % 500 == 0 else n % 13
        case _:
            raise AssertionError(key)


KEYS = ["price", "rating", "huge", "signed", "some", "rare", "mixed", "nan"]


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, Any]]:
    return {
        f"r{n:04}": {"n": n, **{key: v for key in KEYS if (v := value(key, n)) is not None}}
        for n in range(NUMBER)
    }


@pytest.fixture
def filled(open_search_index: Callable[..., Index], expected: dict[str, dict[str, Any]]) -> Index:
    index = open_search_index(dimension=2)
    index.upsert(
        Record(id=id, vector=[1, 0], metadata=metadata) for id, metadata in expected.items()
    )
    index.count()
    return index


def sorts(commands: CommandLog) -> list[list[bytes]]:
    return [command for trip in commands.round_trips for command in trip if b"SORTBY" in command]


def ids(records: list[Record]) -> list[str]:
    return [record.id for record in records]


def test_an_order_with_a_limit_is_the_beginning_of_the_order_without_one(filled: Index) -> None:
    orders = [[OrderBy(key, descending=descending)] for key in KEYS for descending in (False, True)]
    orders.append([OrderBy("rating"), OrderBy("n", descending=True)])
    for order in orders:
        whole = ids(filled.select(order_by=order))
        for offset, limit in ((0, 1), (100, 5)):
            found = filled.select(order_by=order, offset=offset, limit=limit)
            assert ids(found) == whole[offset : offset + limit], (order, offset, limit)
    whole = ids(filled.select(F("rating") == 3, order_by="price"))
    assert ids(filled.select(F("rating") == 3, order_by="price", limit=12)) == whole[:12]


def test_the_newest_and_the_oldest_records_come_first(
    filled: Index, expected: dict[str, dict[str, Any]]
) -> None:
    written = list(expected)
    assert ids(filled.select(limit=7)) == written[:7]
    assert ids(filled.select(limit=7, offset=1_000)) == written[1_000:1_007]
    assert ids(filled.select(limit=7, descending=True)) == written[::-1][:7]
    assert [record.id for record in filled.iterate()] == written
    third = [id for id in written if expected[id]["rating"] == 3]
    assert ids(filled.select(F("rating") == 3, limit=9)) == third[:9]
    assert [record.id for record in filled.iterate(FilterQuery(filter=F("rating") == 3))] == third


def test_few_records_are_read_for_the_first_ones_of_an_order(
    filled: Index, commands: CommandLog
) -> None:
    for key in ("price", "rating", "signed", "some"):
        for descending in (False, True):
            commands.clear()
            assert len(filled.select(order_by=key, descending=descending, limit=10)) == 10
            assert commands.found < NUMBER, (key, "the samples and the records")
            assert all(b"@created:[" in command[2] for command in sorts(commands))
    for descending in (False, True):
        commands.clear()
        filled.select(limit=10, descending=descending)
        assert commands.found < NUMBER


def test_no_page_is_sorted_from_all_records(filled: Index, commands: CommandLog) -> None:
    commands.clear()
    assert len(list(islice(filled.iterate(FilterQuery(filter=F("n") >= 0)), 10))) == 10
    assert sorts(commands)
    assert all(b"@created:[" in command[2] for command in sorts(commands))


def test_records_that_change_meanwhile_do_not_shorten_the_result(
    filled: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records of the range are removed after it was found: the ones that follow take their place."""
    original = leading.first_by_key

    def removing(*args: Any) -> Any:
        found = yield from original(*args)
        if found is not None and found.range is not None:
            filled.delete_by_filter(F("price") <= found.range.high)
        return found

    whole = ids(filled.select(order_by="price"))
    monkeypatch.setattr("valkey_vector.engines.search.engine.first_by_key", removing)
    found = ids(filled.select(order_by="price", limit=10))
    monkeypatch.undo()
    remaining = set(ids(filled.select()))
    assert found == [id for id in whole if id in remaining][:10]
