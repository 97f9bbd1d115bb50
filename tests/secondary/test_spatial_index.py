from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from nasty import Machine, run, texts
from valkey_vector import ConfigurationError, IndexMismatchError, InvalidInputError
from valkey_vector.connection import Connection
from valkey_vector.secondary import Dimension, SpatialIndex
from valkey_vector.secondary._zorder import Grid

whole = st.integers(-5, 5) | st.sampled_from([-1000, 1000])
fractions = st.sampled_from([-1.0, -0.999, -0.0, 0.1, 0.1 + 2**-55, 1 / 3, 0.5, 1.0])
height = st.integers(0, 2**70) | st.integers(2**60, 2**60 + 3)
points = st.tuples(whole, fractions, height)


class Spatial(Machine):
    dimensions = (
        Dimension("x", -1000, 1000, 3),
        Dimension("y", -1.0, 1, 0.25),
        Dimension("z", 0, 2**70, 2**20),
    )

    def __init__(self) -> None:
        super().__init__()
        self.index = SpatialIndex(self.name, self.dimensions, connection=self.connection)
        self.oracle: dict[str, tuple[Any, ...]] = {}

    @rule(rows=st.dictionaries(texts, points, max_size=5))
    def put(self, rows: dict[str, Any]) -> None:
        assert self.index.put_many(rows) == len({*rows} - {*self.oracle})
        self.oracle |= rows

    @rule(members=st.lists(texts, max_size=3))
    def remove(self, members: list[str]) -> None:
        there = [self.oracle.pop(member, None) is not None for member in members]
        assert self.index.remove(members) == sum(there)

    @rule(members=st.lists(texts, max_size=3))
    def get(self, members: list[str]) -> None:
        assert self.index.get(members) == [self.oracle.get(member) for member in members]
        assert self.index.count() == len(self.oracle)

    @rule(
        low=st.tuples(
            *(st.none() | s | st.floats(allow_nan=False) for s in (whole, fractions, height))
        ),
        high=st.tuples(*(st.none() | s for s in (whole, fractions, height))),
        most=st.integers(1, 9),
    )
    def box(self, low: Any, high: Any, most: int) -> None:
        expected = {
            member: point
            for member, point in self.oracle.items()
            if all(
                (a is None or a <= x) and (b is None or x <= b)
                for a, x, b in zip(low, point, high, strict=True)
            )
        }
        found = self.index.box(low, high, max_ranges=most)
        assert dict(found.items) == expected
        assert len(found.items) == len(expected)
        assert found.ranges <= most
        assert found.scanned >= len(expected)
        assert len(self.index.box(low, high, limit=1).items) == min(1, len(expected))

    @rule(
        point=points | st.tuples(st.integers(-3000, 3000), st.floats(-9, 9), height),
        k=st.integers(1, 4),
    )
    def nearest(self, point: Any, k: int) -> None:
        def distance(other: Any) -> float:
            return math.hypot(*(x - y for x, y in zip(other, point, strict=True)))

        expected = sorted(
            (distance(other), member.encode()) for member, other in self.oracle.items()
        )
        found = self.index.nearest(point, k)
        assert [(one.distance, one.member.encode()) for one in found] == expected[:k]

    @invariant()
    def consistent(self) -> None:
        assert self.index.verify().found == 0

    def teardown(self) -> None:
        self.index.clear()


def test_it_equals_a_filter_over_all_points(connection: Connection) -> None:
    run(Spatial, connection)


@given(
    count=st.integers(2, 8),
    most=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_the_ranges_cover_every_point_of_the_box_and_stay_within_their_number(
    count: int, most: int, seed: int
) -> None:
    rng = random.Random(seed)
    grid = Grid(
        [Dimension(str(d), -rng.randint(1, 99), 99.5, rng.choice([1, 0.1])) for d in range(count)]
    )

    def point() -> list[float]:
        return [rng.uniform(d.minimum, d.maximum) for d in grid.dimensions]

    one, other = point(), point()
    low, high = [*map(min, one, other)], [*map(max, one, other)]
    ranges = grid.ranges(low, high, most)
    assert 1 <= len(ranges) <= most
    assert all(a[1] < b[0] for a, b in itertools.pairwise(ranges))
    for _ in range(20):
        inside = [rng.uniform(a, b) for a, b in zip(low, high, strict=True)]
        position = grid.position(inside)
        assert any(a <= position <= b for a, b in ranges)


@pytest.mark.parametrize("count", range(2, 9))
def test_two_to_eight_dimensions(connection: Connection, index_name: str, count: int) -> None:
    rng = random.Random(count)
    dimensions = [Dimension(f"d{at}", -10.0, 10, 0.01) for at in range(count)]
    index = SpatialIndex(index_name, dimensions, connection=connection)
    stored = {str(n): [rng.uniform(-10, 10) for _ in dimensions] for n in range(600)}
    index.put_many(stored)
    low, high = [-6.0] * count, [7.0] * count
    found = index.box(low, high)
    assert {member for member, _ in found.items} == {
        member for member, point in stored.items() if all(-6 <= x <= 7 for x in point)
    }
    center = [0.0] * count
    expected = sorted(stored, key=lambda member: math.hypot(*stored[member]))[:5]
    assert [one.member for one in index.nearest(center, 5)] == expected


def test_more_ranges_scan_less_outside_the_box(connection: Connection, index_name: str) -> None:
    rng = random.Random(7)
    index = SpatialIndex(
        index_name, [Dimension("x", 0, 10**6), Dimension("y", 0, 10**6)], connection=connection
    )
    index.put_many((str(n), (rng.randrange(10**6), rng.randrange(10**6))) for n in range(3000))
    few = index.box((0, 490_000), (10**6, 510_000), max_ranges=2)
    many = index.box((0, 490_000), (10**6, 510_000), max_ranges=200)
    assert {*few.items} == {*many.items}
    assert many.scanned < few.scanned / 5
    assert few.ranges <= 2 < many.ranges <= 200


@pytest.mark.parametrize(
    "settings",
    [(1, 1), (2, 1), (0, 1, 0), (0, 1, -1), (0, math.inf), (math.nan, 1), (0.0, 1e301), (0.0, 1.0, 1e-30), (0, 2**65),
     (True, 2), (0.0, 10**400)],
    ids=range(11),
)  # fmt: skip
def test_an_invalid_dimension_is_refused(settings: Any) -> None:
    with pytest.raises(ConfigurationError, match="dimension 'x'"):
        Dimension("x", *settings)


@pytest.mark.parametrize(
    "point", [(1,), (1, 2, 3), "ab", (1.5, 0), (True, 0), (-1, 0), (0, 1.1), (0, math.nan), (0, "1"), (0, None), None]
)  # fmt: skip
def test_a_point_outside_or_not_of_the_dimensions_is_refused(
    connection: Connection, index_name: str, point: Any
) -> None:
    index = SpatialIndex(
        index_name, [Dimension("x", 0, 9), Dimension("y", 0.0, 1)], connection=connection
    )
    with pytest.raises(InvalidInputError):
        index.put_many({"a": point})
    assert index.count() == 0


def test_equal_dimensions_open_the_same_index(connection: Connection, index_name: str) -> None:
    def opened(*dimension: Any) -> SpatialIndex[str]:
        return SpatialIndex(
            index_name, [Dimension("x", *dimension), Dimension("y", 0, 9)], connection=connection
        )

    opened(0, 1.0, 1).put("a", (0.5, 3))
    assert opened(0.0, 1, 1.0).get(["a"]) == [(0.5, 3)]
    for other in ((0, 1), (0.0, 2.0), (0.0, 1.0, 0.5)):
        with pytest.raises(IndexMismatchError, match="dimensions"):
            opened(*other).count()


async def test_the_async_methods_do_the_same(connection: Connection, index_name: str) -> None:
    dimensions = [Dimension("x", 0, 9), Dimension("y", 0, 9)]
    index = SpatialIndex(index_name, dimensions, connection=connection)
    assert await index.aput("a", (1, 2))
    assert await index.aput_many({"b": (3, 4)}) == 1
    assert (await index.abox((0, 0), (2, 2))).items == (("a", (1, 2)),)
    assert [member async for member, _ in index.aiterate_box((0, 0), (9, 9))] == ["a", "b"]
    assert [one.member for one in await index.anearest((3, 3))] == ["b"]
    assert await index.aget(["a"]) == [(1, 2)]
    assert await index.acount() == 2
    assert await index.aremove(["a"]) == 1
