"""`SpatialIndex`: index of members by points, queried by box and by distance."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeAlias, overload

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.records.validation import check_k
from valkey_vector.secondary._base import BATCH, SecondaryIndex
from valkey_vector.secondary._bounds import after_prefix, check_page_limit
from valkey_vector.secondary._entries import audit_arguments
from valkey_vector.secondary._members import M, MemberType, pairs_of
from valkey_vector.secondary._zorder import Coordinate, Dimension, Grid
from valkey_vector.storage.keyspace import in_parts

__all__ = ["BoxResult", "Neighbor", "SpatialIndex"]

Point: TypeAlias = Sequence[Coordinate]
"""One coordinate for each dimension, in order."""

_LARGEST_REPLY = 10_000
_RANGES = 64
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class BoxResult(Generic[M]):
    """Members in a box.

    Attributes:
        items: members and their points, in the order of the Z-order curve.
        ranges: number of ranges of the curve that were read.
        scanned: number of entries in these ranges, including those outside the box.
    """

    items: tuple[tuple[M, tuple[Coordinate, ...]], ...]
    ranges: int
    scanned: int


@dataclass(frozen=True, slots=True)
class Neighbor(Generic[M]):
    """Nearest neighbor of a point.

    Attributes:
        member: the member.
        point: its coordinates.
        distance: its Euclidean distance.
    """

    member: M
    point: tuple[Coordinate, ...]
    distance: float


class SpatialIndex(SecondaryIndex, Generic[M]):
    """Index of members by points of 2 to 8 dimensions, for exact box and nearest neighbor queries.

    A member has one point. Putting a member again replaces its point; removing it needs only the member. Each method has an async
    version with the prefix ``a``.

    Args:
        name: name of the index, any non-empty text.
        dimensions: range and precision of each dimension; see `Dimension`.
        members: type of all members, `str` or `bytes`.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the index.

    Raises:
        ConfigurationError: there are not 2 to 8 dimensions of different names, or another argument is not valid.
    """

    kind = "spatial"
    parts: ClassVar[Mapping[str, str]] = {"entries": "zset", "held": "hash"}

    @overload
    def __init__(
        self: SpatialIndex[str],
        name: str,
        dimensions: Sequence[Dimension],
        *,
        members: type[str] = ...,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: SpatialIndex[bytes],
        name: str,
        dimensions: Sequence[Dimension],
        *,
        members: type[bytes],
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        dimensions: Sequence[Dimension],
        *,
        members: type[str | bytes] = str,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._members: MemberType[M] = MemberType(members)
        self.dimensions = tuple(dimensions)
        names = [dimension.name for dimension in self.dimensions]
        if not 2 <= len(names) <= 8 or len(set(names)) < len(names):
            raise ConfigurationError(
                f"there must be 2 to 8 dimensions of different names, not {names!r}"
            )
        self._grid = Grid(self.dimensions)
        described = [
            [d.name, kind.__name__, *map(kind, (d.minimum, d.maximum, d.precision))]
            for d in self.dimensions
            for kind in (int if d.whole else float,)
        ]
        super().__init__(
            name,
            settings={"members": members.__name__, "dimensions": described},
            url=url,
            connection=connection,
        )

    def put(self, member: M, point: Point) -> bool:
        """Set the point of a member. Returns True if the member is new. Cost: one round trip, atomic.

        Raises:
            InvalidInputError: a coordinate is missing, outside its range, or not a number of its dimension.
        """
        return self.put_many([(member, point)]) == 1

    def put_many(self, points: Mapping[M, Point] | Iterable[tuple[M, Point]]) -> int:
        """Set the points of members. Returns the number of new members. One round trip for each 500.

        All are checked first. Each 500 are set atomically. If a member occurs twice, the last point is stored.

        Raises:
            InvalidInputError: a point is not valid; nothing was set.
        """
        pairs = pairs_of(points, "member and point")
        rows = [
            (self._members.encode(member), self._grid.encode(self._checked(point)))
            for member, point in pairs
        ]
        return sum(
            self._write(
                "entries_put", ("entries", "held"), *[text for pair in part for text in pair]
            )
            for part in in_parts(rows, BATCH)
        )

    def remove(self, members: Iterable[M]) -> int:
        """Remove members. Returns how many existed. Cost: one round trip for each 500, each atomic."""
        return sum(
            self._remove("entries_remove", ("entries", "held"), *part)
            for part in in_parts(self._members.encode_all(members), BATCH)
        )

    def get(self, members: Iterable[M]) -> list[tuple[Coordinate, ...] | None]:
        """Return the points of members, in the same order. None for an unknown member.

        Cost: one round trip for each 500 members.
        """
        return [
            None if held is None else self._grid.decode(held)[0]
            for part in in_parts(self._members.encode_all(members), BATCH)
            for held in self._read("entries_held", ("held",), *part)
        ]

    def count(self) -> int:
        """Return the number of members. Cost: one round trip."""
        return int(self._read("entries_count", ("entries",), b"-", b"+"))

    def box(
        self,
        low: Sequence[Coordinate | None],
        high: Sequence[Coordinate | None],
        *,
        limit: int | None = None,
        max_ranges: int = _RANGES,
    ) -> BoxResult[M]:
        """Return the members in a box, including its edges. Cost: one round trip for each 10,000 scanned entries.

        Args:
            low: minimum coordinate of each dimension. None: no bound.
            high: maximum coordinate of each dimension. None: no bound.
            limit: maximum number of results. None: all.
            max_ranges: maximum number of ranges of the curve to read, ≥ 1. More ranges scan fewer entries outside.

        Raises:
            InvalidInputError: a corner is not valid.
        """
        wanted = check_page_limit(limit)
        ranges = self._ranges(low, high, max_ranges)
        items: list[tuple[M, tuple[Coordinate, ...]]] = []
        scanned = 0
        for count, inside in self._inside(low, high, ranges):
            scanned += count
            items += inside
            if 0 <= wanted <= len(items):
                del items[wanted:]
                break
        return BoxResult(tuple(items), len(ranges), scanned)

    def iterate_box(
        self,
        low: Sequence[Coordinate | None],
        high: Sequence[Coordinate | None],
        *,
        max_ranges: int = _RANGES,
    ) -> Iterator[tuple[M, tuple[Coordinate, ...]]]:
        """Iterate over the members in a box, one reply after the other. Takes the arguments of `box`."""
        for _, items in self._inside(low, high, self._ranges(low, high, max_ranges)):
            yield from items

    async def aiterate_box(
        self,
        low: Sequence[Coordinate | None],
        high: Sequence[Coordinate | None],
        *,
        max_ranges: int = _RANGES,
    ) -> AsyncIterator[tuple[M, tuple[Coordinate, ...]]]:
        """Async version of `iterate_box`."""
        batches = self._inside(low, high, self._ranges(low, high, max_ranges))
        while (batch := await offload(next, batches, None)) is not None:
            for item in batch[1]:
                yield item

    def nearest(self, point: Point, k: int = 1) -> list[Neighbor[M]]:
        """Return the k nearest neighbors of a point by Euclidean distance, nearest first. Ties are ordered by member.

        All dimensions have the same weight: choose comparable units.

        Args:
            point: the query point. It can be outside the declared ranges.
            k: number of neighbors, ≥ 1. Returns fewer only if the index has fewer members.

        Cost: usually two or three round trips, more for clustered points. Reads a box around the point, and enlarges
            it until the k nearest are certain.

        Raises:
            InvalidInputError: the point or `k` is not valid.
        """
        check_k(k, "k")
        center = self._corner(point)
        if None in center:
            raise InvalidInputError(f"a point must have all coordinates, not {point!r}")
        at = [coordinate for coordinate in center if coordinate is not None]
        radius = self._first_radius(k)
        while True:
            low = [_below(x, radius) for x in at]
            high = [_above(x, radius) for x in at]
            found = self._neighbors(low, high, at)
            found.sort(key=lambda one: (one.distance, self._members.encode(one.member)))
            if len(found) >= k and found[k - 1].distance <= radius:
                return found[:k]
            if self._covers(low, high):
                return found[:k]
            # With k candidates, the k-th distance limits the result: one more box is enough.
            radius = found[k - 1].distance if len(found) >= k else radius * 2

    aput = async_version(put)
    aput_many = async_version(put_many)
    aremove = async_version(remove)
    aget = async_version(get)
    acount = async_version(count)
    abox = async_version(box)
    anearest = async_version(nearest)

    def _checked(self, point: Point) -> tuple[Coordinate, ...]:
        self._check_length(point)
        return tuple(
            dimension.check(value) for dimension, value in zip(self.dimensions, point, strict=True)
        )

    def _check_length(self, point: Sequence[object]) -> None:
        if (
            isinstance(point, (str, bytes))
            or not isinstance(point, Sequence)
            or len(point) != len(self.dimensions)
        ):
            names = [dimension.name for dimension in self.dimensions]
            raise InvalidInputError(f"a point must have the coordinates {names!r}, not {point!r}")

    def _corner(self, corner: Sequence[Coordinate | None]) -> Sequence[Coordinate | None]:
        self._check_length(corner)
        for dimension, value in zip(self.dimensions, corner, strict=True):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and (not number or value != value):
                raise InvalidInputError(f"dimension {dimension.name!r}: {value!r} is not a number")
        return corner

    def _ranges(
        self,
        low: Sequence[Coordinate | None],
        high: Sequence[Coordinate | None],
        max_ranges: int,
    ) -> list[tuple[bytes, bytes]]:
        check_k(max_ranges, "max_ranges")
        start: list[Coordinate] = []
        end: list[Coordinate] = []
        corners = zip(self.dimensions, self._corner(low), self._corner(high), strict=True)
        for dimension, smallest, largest in corners:
            first = dimension.minimum if smallest is None else smallest
            last = dimension.maximum if largest is None else largest
            if first > last or first > dimension.maximum or last < dimension.minimum:
                return []
            start.append(_whole(first, math.ceil) if dimension.whole else first)
            end.append(_whole(last, math.floor) if dimension.whole else last)
        return self._grid.ranges(start, end, max_ranges)

    def _inside(
        self,
        low: Sequence[Coordinate | None],
        high: Sequence[Coordinate | None],
        ranges: Sequence[tuple[bytes, bytes]],
    ) -> Iterator[tuple[int, list[tuple[M, tuple[Coordinate, ...]]]]]:
        """For each reply, yield the number of scanned entries and the entries inside the box."""
        bounds: list[tuple[bytes, bytes]] = []
        for first, last in ranges:
            end = after_prefix(last)
            bounds.append((b"[" + first, b"+" if end is None else b"(" + end))
        while bounds:
            arguments = [text for pair in bounds for text in pair]
            entries = self._read("spatial_ranges", ("entries",), str(_LARGEST_REPLY), *arguments)
            decoded = [(*self._grid.decode(entry), entry) for entry in entries]
            yield (
                len(entries),
                [
                    (self._members.decode(entry[end:]), point)
                    for point, end, entry in decoded
                    if _contains(low, high, point)
                ],
            )
            if len(entries) < _LARGEST_REPLY:
                return
            bounds = _after(bounds, entries[-1])

    def _neighbors(
        self, low: Sequence[Coordinate], high: Sequence[Coordinate], at: Sequence[Coordinate]
    ) -> list[Neighbor[M]]:
        return [
            Neighbor(member, point, _distance(point, at))
            for member, point in self.iterate_box(low, high)
        ]

    def _first_radius(self, k: int) -> float:
        """Return half the side of a box with about 2k points, assuming a uniform distribution."""
        share = min(1.0, 2 * k / max(1, self.count()))
        extents = [float(d.maximum - d.minimum) for d in self.dimensions]
        mean = math.exp(sum(map(math.log, extents)) / len(extents))
        return mean * math.pow(share, 1 / len(extents)) / 2

    def _covers(self, low: Sequence[Coordinate], high: Sequence[Coordinate]) -> bool:
        return all(
            start <= dimension.minimum and dimension.maximum <= end
            for dimension, start, end in zip(self.dimensions, low, high, strict=True)
        )

    def _split(self, entry: bytes) -> int:
        """Return the offset of the member in an entry."""
        point, end = self._grid.decode(entry)
        if self._grid.encode(self._checked(point)) != entry[:end]:
            raise ValueError("a point that is not where it belongs")
        return end

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        return audit_arguments(self._scan, self._split, self._members.valid)


def _contains(
    low: Sequence[Coordinate | None], high: Sequence[Coordinate | None], point: Point
) -> bool:
    return all(
        (start is None or start <= value) and (end is None or value <= end)
        for start, end, value in zip(low, high, point, strict=True)
    )


def _after(bounds: Sequence[tuple[bytes, bytes]], entry: bytes) -> list[tuple[bytes, bytes]]:
    """Return the parts of ranges after an entry of one of them."""
    rest = [(low, high) for low, high in bounds if high == b"+" or high[1:] > entry]
    if rest and rest[0][0][1:] <= entry:
        rest[0] = (b"(" + entry, rest[0][1])
    return rest


def _distance(point: Point, other: Point) -> float:
    """Euclidean distance. Differences of integers are exact for any size."""
    differences = [float(x - y) for x, y in zip(point, other, strict=True)]
    return math.hypot(*differences)


def _below(value: Coordinate, radius: float) -> Coordinate:
    """Return a coordinate at least one radius below, despite rounding."""
    wide = radius * (1 + _ROUNDING)
    if isinstance(value, int) and math.isfinite(wide):
        return value - math.ceil(wide)
    return math.nextafter(float(value) - wide, -math.inf)


def _above(value: Coordinate, radius: float) -> Coordinate:
    """Return a coordinate at least one radius above, despite rounding."""
    wide = radius * (1 + _ROUNDING)
    if isinstance(value, int) and math.isfinite(wide):
        return value + math.ceil(wide)
    return math.nextafter(float(value) + wide, math.inf)


def _whole(value: Coordinate, rounded: Callable[[float], int]) -> Coordinate:
    """Return the next integer inside a box. Returns an infinite bound unchanged."""
    return value if isinstance(value, int) or math.isinf(value) else rounded(value)
