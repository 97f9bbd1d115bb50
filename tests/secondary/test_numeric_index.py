from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from nasty import Machine, byte_strings, paged, run
from valkey_vector import IndexMismatchError, InvalidInputError
from valkey_vector.connection import Connection
from valkey_vector.secondary import (
    Column,
    Completion,
    CompositeIndex,
    Dimension,
    NumericIndex,
    SpatialIndex,
)
from valkey_vector.secondary._numbers import as_score, decode_number, encode_number

numbers = st.one_of(
    st.sampled_from(
        [0, -0.0, 1, 1.0, -1, 0.1, Decimal("0.1"), Decimal("1.00"), 2**53, 2**53 + 1, 2**53 + 2, -(2**53) - 1,
         2**80, 2**80 + 1, math.inf, -math.inf, 5e-324, Decimal("5e-325"), 1.7976931348623157e308, 10**400,
         -(10**400), Decimal("1e-400"), 3, 4, 5]
    ),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-5, max_value=5),
)  # fmt: skip


class Numeric(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.index = NumericIndex(self.name, members=bytes, connection=self.connection)
        self.oracle: dict[bytes, Any] = {}

    @rule(pairs=st.lists(st.tuples(byte_strings, numbers), max_size=4))
    def add(self, pairs: list[tuple[bytes, Any]]) -> None:
        new = {member for member, _ in pairs} - {*self.oracle}
        assert self.index.add_many(pairs) == len(new)
        self.oracle.update(pairs)

    @rule(members=st.lists(byte_strings, max_size=3))
    def remove(self, members: list[bytes]) -> None:
        there = [self.oracle.pop(member, None) is not None for member in members]
        assert self.index.remove(members) == sum(there)

    @rule(members=st.lists(byte_strings, max_size=4))
    def values(self, members: list[bytes]) -> None:
        assert self.index.values(members) == [self.oracle.get(member) for member in members]

    @rule(
        low=st.none() | numbers,
        high=st.none() | numbers,
        with_low=st.booleans(),
        with_high=st.booleans(),
        reverse=st.booleans(),
        limit=st.integers(1, 4),
    )
    def ranges(
        self, *, low: Any, high: Any, with_low: bool, with_high: bool, reverse: bool, limit: int
    ) -> None:
        bounds = {"ge" if with_low else "gt": low, "le" if with_high else "lt": high}
        expected = sorted(
            (
                (value, member)
                for member, value in self.oracle.items()
                if (low is None or (value >= low if with_low else value > low))
                and (high is None or (value <= high if with_high else value < high))
            ),
            reverse=reverse,
        )
        items = [(member, value) for value, member in expected]
        assert self.index.items(**bounds, reverse=reverse) == items
        assert (
            self.index.range(**bounds, reverse=reverse, limit=limit)
            == [m for m, _ in items][:limit]
        )
        assert self.index.count(**bounds) == len(items)

        def page(after: str | None) -> tuple[tuple[object, ...], str | None]:
            got = self.index.page(**bounds, reverse=reverse, limit=limit, after=after)
            return got.items, got.cursor

        assert paged(page) == items

    @invariant()
    def consistent(self) -> None:
        assert self.index.verify().found == 0

    def teardown(self) -> None:
        self.index.clear()


def test_it_equals_a_sorted_dict(connection: Connection) -> None:
    run(Numeric, connection)


@given(numbers, numbers)
@example(2**53, 2**53 + 1)
def test_the_encoding_keeps_the_order_and_the_number(one: Any, other: Any) -> None:
    assert (encode_number(one) < encode_number(other)) == (one < other)
    assert (encode_number(one) == encode_number(other)) == (one == other)
    assert decode_number(encode_number(one) + b"\xff") == (one, len(encode_number(one)))
    assert as_score(one) in (None, one)


@pytest.mark.parametrize(
    "value",
    [math.nan, Decimal("nan"), Decimal("snan"), True, "1", None, 10**5000, Decimal("1e-5000")],
    ids=range(8),
)
def test_what_is_no_number_is_refused_and_nothing_is_set(
    connection: Connection, index_name: str, value: Any
) -> None:
    index = NumericIndex(index_name, connection=connection)
    with pytest.raises(InvalidInputError):
        index.add_many([("a", 1), ("b", value)])
    assert index.count() == 0


@pytest.mark.parametrize("member", ["\ud800", b"a", 1, None])
def test_a_member_of_another_type_or_with_a_lone_surrogate_is_refused(
    connection: Connection, index_name: str, member: Any
) -> None:
    index = NumericIndex(index_name, connection=connection)
    with pytest.raises(InvalidInputError, match="member"):
        index.add(member, 1)


@pytest.mark.parametrize("values", ["ab", [("a",)], [("a", 1, 2)], ["ab"], 1, [1]])
def test_what_are_no_pairs_is_refused(connection: Connection, index_name: str, values: Any) -> None:
    columns = [Column("c", int)]
    dimensions = [Dimension("x", 0, 9), Dimension("y", 0, 9)]
    for call in (
        NumericIndex(index_name, connection=connection).add_many,
        CompositeIndex(index_name, columns, connection=connection).put_many,
        SpatialIndex(index_name, dimensions, connection=connection).put_many,
        Completion(index_name, connection=connection).record_many,
    ):
        with pytest.raises(InvalidInputError, match="pairs of"):
            call(values)


def test_a_member_deleted_between_two_pages_hides_no_other(
    connection: Connection, index_name: str
) -> None:
    index = NumericIndex(index_name, connection=connection)
    index.add_many([(letter, 1) for letter in "abcdef"])
    first = index.page(limit=2)
    index.remove(["b"])
    second = index.page(limit=2, after=first.cursor)
    assert [member for member, _ in second.items] == ["c", "d"]
    assert [m for m, _ in index.page(limit=9, after=first.cursor, reverse=True).items] == ["a"]


@pytest.mark.parametrize("cursor", ["", "?", "é", "AAAA====A"])
def test_a_text_that_is_no_cursor_is_refused(
    connection: Connection, index_name: str, cursor: str
) -> None:
    index = NumericIndex(index_name, connection=connection)
    with pytest.raises(InvalidInputError, match="cursor"):
        index.page(after=cursor)


def test_another_type_of_members_is_refused_by_every_call(
    connection: Connection, index_name: str
) -> None:
    NumericIndex(index_name, connection=connection).add("a", 1)
    other = NumericIndex(index_name, members=bytes, connection=connection)
    calls: list[Callable[[], object]] = [
        lambda: other.add(b"a", 1),
        other.range,
        other.count,
        lambda: other.values([b"a"]),
        lambda: other.remove([b"a"]),
        other.verify,
        other.repair,
    ]
    for call in calls:
        with pytest.raises(IndexMismatchError, match="members is 'str', requested 'bytes'"):
            call()


async def test_the_async_methods_do_the_same(connection: Connection, index_name: str) -> None:
    index = NumericIndex(index_name, connection=connection)
    assert await index.aadd("a", 1)
    assert await index.aadd_many({"b": 2, "c": 2**53 + 1}) == 2
    assert await index.arange(gt=1) == ["b", "c"]
    assert await index.aitems(limit=1) == [("a", 1)]
    assert [item async for item in index.aiterate()] == [("a", 1), ("b", 2), ("c", 2**53 + 1)]
    assert (await index.apage(limit=2)).cursor is not None
    assert await index.acount() == 3
    assert await index.avalue("b") == 2
    assert await index.aremove(["a", "x"]) == 1
    assert (await index.averify()).ok
    await index.aclear()
    assert index.count() == 0
