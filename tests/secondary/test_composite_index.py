from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from nasty import Machine, byte_strings, paged, run, texts
from valkey_vector import ConfigurationError, IndexMismatchError, InvalidInputError
from valkey_vector.connection import Connection
from valkey_vector.secondary import Column, CompositeIndex

VALUES: dict[type, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**200), 2**200) | st.integers(-300, 300),
    float: st.floats(allow_nan=False) | st.integers(-5, 5),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False)
    | st.integers(-50, 50)
    | st.decimals(min_value=-2, max_value=2, places=2),
    str: st.text() | texts,
    bytes: st.binary() | byte_strings,
    date: st.dates(),
    datetime: st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-7)))),
    bool: st.booleans(),
}

typed_pairs = st.sampled_from([*VALUES]).flatmap(
    lambda kind: st.tuples(st.just(kind), VALUES[kind], VALUES[kind], st.booleans())
)


def ordering(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


@given(typed_pairs, st.binary(max_size=3))
def test_the_encoding_of_a_column_keeps_the_order_and_the_value(
    pair: tuple[type, Any, Any, bool], rest: bytes
) -> None:
    kind, one, other, descending = pair
    column = Column("c", kind, descending)
    first, second = column.encode(one), column.encode(other)
    smaller = ordering(one) > ordering(other) if descending else ordering(one) < ordering(other)
    assert (first < second) == smaller
    assert (first == second) == (one == other)
    if one != other:
        assert (first + rest < second) == smaller
        assert not first.startswith(second)
    assert column.decode(first + rest, 0) == (one, len(first))


class Composite(Machine):
    """Two columns of few values and one of nasty ones, in all directions."""

    columns = (
        Column("room", int),
        Column("price", Decimal, descending=True),
        Column("tag", str),
    )
    small = st.integers(-2, 2)
    prices = st.sampled_from([Decimal("1.5"), Decimal("-1.5"), Decimal(0), Decimal("1.50"), 1])

    def __init__(self) -> None:
        super().__init__()
        self.index = CompositeIndex(self.name, self.columns, connection=self.connection)
        self.oracle: dict[str, tuple[Any, ...]] = {}

    def ordered(self) -> list[tuple[str, tuple[Any, ...]]]:
        return sorted(
            self.oracle.items(),
            key=lambda kv: (kv[1][0], -kv[1][1], kv[1][2].encode(), kv[0].encode()),
        )

    @rule(member=texts, room=small, price=prices, tag=texts)
    def put(self, member: str, room: int, price: Any, tag: str) -> None:
        new = member not in self.oracle
        assert self.index.put(member, {"room": room, "price": price, "tag": tag}) == new
        self.oracle[member] = (room, price, tag)

    @rule(members=st.lists(texts, max_size=3))
    def remove(self, members: list[str]) -> None:
        there = [self.oracle.pop(member, None) is not None for member in members]
        assert self.index.remove(members) == sum(there)

    @rule(
        room=st.none() | small,
        low=st.none() | prices,
        high=st.none() | prices,
        a=st.booleans(),
        b=st.booleans(),
        reverse=st.booleans(),
        limit=st.integers(1, 3),
    )
    def ranges(
        self, *, room: int | None, low: Any, high: Any, a: bool, b: bool, reverse: bool, limit: int
    ) -> None:
        equal = None if room is None else {"room": room}
        at = 0 if room is None else 1
        if at == 0:
            low, high = (None if x is None else int(x) for x in (low, high))
        bounds = {"ge" if a else "gt": low, "le" if b else "lt": high}
        expected = [
            (member, dict(zip(("room", "price", "tag"), row, strict=True)))
            for member, row in self.ordered()
            if room is None or row[0] == room
            if low is None or (row[at] >= low if a else row[at] > low)
            if high is None or (row[at] <= high if b else row[at] < high)
        ]
        if reverse:
            expected.reverse()
        members = [member for member, _ in expected]
        assert self.index.items(equal, **bounds, reverse=reverse) == expected
        assert self.index.range(equal, **bounds, reverse=reverse, limit=limit) == members[:limit]
        assert self.index.count(equal, **bounds) == len(expected)

        def page(after: str | None) -> tuple[tuple[object, ...], str | None]:
            got = self.index.page(equal, **bounds, reverse=reverse, limit=limit, after=after)
            return got.items, got.cursor

        assert paged(page) == expected

    @rule(room=small, price=prices, tag=texts)
    def exact(self, room: int, price: Any, tag: str) -> None:
        expected = [member for member, row in self.ordered() if row == (room, price, tag)]
        assert self.index.range({"room": room, "price": price, "tag": tag}) == expected
        assert self.index.range({"room": room, "price": price}, ge=tag) == [
            member
            for member, row in self.ordered()
            if row[:2] == (room, price) and row[2].encode() >= tag.encode()
        ]

    @invariant()
    def consistent(self) -> None:
        assert self.index.verify().found == 0

    def teardown(self) -> None:
        self.index.clear()


def test_it_equals_a_sorted_table(connection: Connection) -> None:
    run(Composite, connection)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("kind", [*VALUES])
def test_a_range_at_the_edges_of_every_type(
    connection: Connection, index_name: str, kind: type, descending: bool
) -> None:
    edges: dict[type, list[Any]] = {
        int: [-(2**1008) + 1, -256, -255, -1, 0, 1, 255, 256, 2**1008 - 1],
        float: [-math.inf, -1e308, -1.0, 0.0, 5e-324, 1.0, math.inf],
        Decimal: [Decimal("-1e3999"), Decimal(-1), Decimal("1e-3999"), Decimal("1e3999")],
        str: ["", "\x00", "\x00a", "a", "a\x00", "é", "\U0010ffff"],
        bytes: [b"", b"\x00", b"\x00\xff", b"\x01", b"\xff", b"\xff\xff"],
        date: [date.min, date(1970, 1, 1), date.max],
        datetime: [
            datetime.min.replace(tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime.max.replace(tzinfo=UTC),
        ],
        bool: [False, True],
    }
    index = CompositeIndex(index_name, [Column("c", kind, descending)], connection=connection)
    values = edges[kind]
    index.put_many({str(number): {"c": value} for number, value in enumerate(values)})
    names = [str(number) for number in range(len(values))]
    for at, value in enumerate(values):
        for bound, expected in (
            ({"ge": value}, names[at:]),
            ({"gt": value}, names[at + 1 :]),
            ({"le": value}, names[: at + 1]),
            ({"lt": value}, names[:at]),
            ({"ge": value, "le": value}, [names[at]]),
        ):
            assert index.range(**bound, reverse=descending) == expected, bound
    assert [row["c"] for row in index.get(names) if row is not None] == values


def test_a_time_without_a_zone_is_utc(connection: Connection, index_name: str) -> None:
    index = CompositeIndex(index_name, [Column("at", datetime)], connection=connection)
    index.put("a", {"at": datetime(2024, 1, 2, 3)})  # noqa: DTZ001
    assert index.get(["a"]) == [{"at": datetime(2024, 1, 2, 3, tzinfo=UTC)}]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, True), (int, 1.0), (int, 2**1008), (float, math.nan), (float, 2**53 + 1), (float, 10**5000),
        (float, True), (Decimal, Decimal("nan")), (Decimal, Decimal("inf")), (Decimal, 1.5),
        (Decimal, Decimal("1e5000")), (str, "\ud800"), (str, b"a"), (bytes, "a"),
        (date, datetime(2024, 1, 1, tzinfo=UTC)), (datetime, date(2024, 1, 1)), (bool, 1), (str, None),
    ],
    ids=range(18),
)  # fmt: skip
def test_a_value_that_the_column_does_not_hold_is_refused(
    connection: Connection, index_name: str, kind: type, value: Any
) -> None:
    index = CompositeIndex(index_name, [Column("c", kind)], connection=connection)
    with pytest.raises(InvalidInputError):
        index.put_many({"a": {"c": value}})
    assert index.count() == 0


@pytest.mark.parametrize(
    ("equal", "bounds"),
    [
        ({"b": 1}, {}), ({"a": 1, "c": 1}, {}), ({"x": 1}, {}), ({"a": 1, "b": 1, "c": 1}, {"ge": 1}),
        ({}, {"ge": 1, "gt": 1}), ({}, {"le": 1, "lt": 1}),
    ],
)  # fmt: skip
def test_a_query_that_the_order_of_the_columns_cannot_answer_is_refused(
    connection: Connection, index_name: str, equal: dict[str, Any], bounds: dict[str, Any]
) -> None:
    columns = [Column(name, int) for name in "abc"]
    index = CompositeIndex(index_name, columns, connection=connection)
    with pytest.raises(InvalidInputError):
        index.range(equal, **bounds)


def test_columns_must_fit_and_be_the_stored_ones(connection: Connection, index_name: str) -> None:
    for columns in ([], [Column("a", int), Column("a", str)]):
        with pytest.raises(ConfigurationError, match="different names"):
            CompositeIndex(index_name, columns, connection=connection)
    with pytest.raises(ConfigurationError, match="type must be one of"):
        Column("a", list)  # type: ignore[arg-type]
    CompositeIndex(index_name, [Column("a", int)], connection=connection).put("m", {"a": 1})
    with pytest.raises(IndexMismatchError, match="columns"):
        CompositeIndex(index_name, [Column("a", int, True)], connection=connection).range()


async def test_the_async_methods_do_the_same(connection: Connection, index_name: str) -> None:
    index = CompositeIndex(index_name, [Column("a", int)], connection=connection)
    assert await index.aput("x", {"a": 2})
    assert await index.aput_many({"y": {"a": 1}}) == 1
    assert await index.arange() == ["y", "x"]
    assert [member async for member, _ in index.aiterate(gt=1)] == ["x"]
    assert await index.aitems(limit=1) == [("y", {"a": 1})]
    assert (await index.apage(limit=1)).cursor is not None
    assert await index.aget(["x", "z"]) == [{"a": 2}, None]
    assert await index.acount() == 2
    assert await index.aremove(["x"]) == 1
