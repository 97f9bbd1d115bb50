from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from nasty import Machine, byte_strings, run, texts
from valkey_vector import InvalidInputError
from valkey_vector.connection import Connection
from valkey_vector.secondary import Lease, RandomSet, RecentList, Rotation


class Randoms(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.index = RandomSet(self.name, members=bytes, connection=self.connection)
        self.oracle: set[bytes] = set()

    @rule(new=st.lists(byte_strings, max_size=5), gone=st.lists(byte_strings, max_size=2))
    def change(self, new: list[bytes], gone: list[bytes]) -> None:
        assert self.index.add_many(new) == len({*new} - self.oracle)
        self.oracle |= {*new}
        assert self.index.contains(gone) == [member in self.oracle for member in gone]
        assert self.index.remove(gone) == len({*gone} & self.oracle)
        self.oracle -= {*gone}

    @rule(count=st.integers(1, 9))
    def draw(self, count: int) -> None:
        different = self.index.sample(count)
        assert len(different) == len({*different}) == min(count, len(self.oracle))
        repeated = self.index.sample(count, replace=True)
        assert len(repeated) == (count if self.oracle else 0)
        assert {*different} | {*repeated} <= self.oracle
        assert sorted(self.index.iterate()) == sorted(self.oracle)
        assert self.index.count() == len(self.oracle)

    @rule(count=st.integers(1, 2))
    def take(self, count: int) -> None:
        taken = self.index.take(count)
        assert len(taken) == min(count, len(self.oracle))
        assert {*taken} <= self.oracle
        self.oracle -= {*taken}

    @invariant()
    def consistent(self) -> None:
        assert self.index.verify().found == 0

    def teardown(self) -> None:
        self.index.clear()


class Recents(Machine):
    MOST = 4

    def __init__(self) -> None:
        super().__init__()
        self.index = RecentList(self.name, self.MOST, connection=self.connection)
        self.oracle: list[str] = []

    @rule(items=st.lists(texts, max_size=6))
    def push(self, items: list[str]) -> None:
        self.oracle = [*reversed(items), *self.oracle][: self.MOST]
        assert self.index.push_many(items) == len(self.oracle) == self.index.count()

    @rule(limit=st.none() | st.integers(1, 5), offset=st.integers(0, 5))
    def latest(self, limit: int | None, offset: int) -> None:
        expected = self.oracle[offset:] if limit is None else self.oracle[offset : offset + limit]
        assert self.index.latest(limit, offset=offset) == expected

    @rule(item=texts)
    def remove(self, item: str) -> None:
        assert self.index.remove([item]) == self.oracle.count(item)
        self.oracle = [other for other in self.oracle if other != item]

    @invariant()
    def consistent(self) -> None:
        assert self.index.verify().found == 0

    def teardown(self) -> None:
        self.index.clear()


class Rotating(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.index = Rotation(self.name, visibility=1000, connection=self.connection)
        self.order: list[str] = []
        self.places: dict[str, int] = {}
        self.last = self.cursor = 0
        self.leases: dict[str, Lease[str]] = {}
        self.ended: list[Lease[str]] = []
        self.released: set[str] = set()

    @rule(items=st.lists(texts, max_size=4))
    def add(self, items: list[str]) -> None:
        new = [item for item in dict.fromkeys(items) if item not in self.order]
        assert self.index.add_many(items) == len(new)
        for item in new:
            self.last += 1
            self.places[item] = self.last
        self.order += new
        assert self.index.items() == self.order
        assert self.index.count() == len(self.order)

    @rule(item=texts)
    def remove(self, item: str) -> None:
        assert self.index.remove([item]) == (item in self.order)
        if item in self.order:
            self.order.remove(item)
        self.released.discard(item)
        if lease := self.leases.pop(item, None):
            self.ended.append(lease)

    @rule()
    def take(self) -> None:
        lease = self.index.take()
        free = [i for i in self.order if i not in self.leases and i not in self.released]
        following = [item for item in free if self.places[item] > self.cursor] or free
        if self.released:
            expected: str | None = min(self.released, key=str.encode)
        else:
            expected = following[0] if following else None
        if lease is None:
            assert expected is None
            return
        assert (lease.item, lease.again) == (expected, bool(self.released))
        if self.released:
            self.released.remove(lease.item)
        else:
            self.cursor = self.places[lease.item]
        self.leases[lease.item] = lease
        assert self.index.leased() == len(self.leases)

    @precondition(lambda self: self.leases)
    @rule(at=st.integers(0, 9), what=st.sampled_from(["done", "release", "extend"]))
    def finish(self, at: int, what: str) -> None:
        item = [*self.leases][at % len(self.leases)]
        lease = self.leases[item]
        if what == "extend":
            longer = self.index.extend(lease, visibility=2000)
            assert longer is not None
            assert longer.ends > lease.ends
            return
        assert getattr(self.index, what)(lease)
        self.ended.append(self.leases.pop(item))
        if what == "release":
            self.released.add(item)

    @precondition(lambda self: self.ended)
    @rule(at=st.integers(0, 9), what=st.sampled_from(["done", "release", "extend"]))
    def finish_too_late(self, at: int, what: str) -> None:
        assert not getattr(self.index, what)(self.ended[at % len(self.ended)])

    @invariant()
    def consistent(self) -> None:
        assert self.index.verify().found == 0

    def teardown(self) -> None:
        self.index.clear()


@pytest.mark.parametrize("machine", [Randoms, Recents, Rotating])
def test_they_equal_their_models(connection: Connection, machine: type[Machine]) -> None:
    run(machine, connection)


def test_every_member_is_as_likely_as_any_other(connection: Connection, index_name: str) -> None:
    index = RandomSet(index_name, connection=connection)
    index.add_many([*"abcdefgh"])
    drawn = Counter(index.sample(8000, replace=True))
    assert {*drawn} == {*"abcdefgh"}
    assert max(drawn.values()) < 1300
    assert min(drawn.values()) > 750


def test_what_a_dead_worker_had_comes_first(connection: Connection, index_name: str) -> None:
    index = Rotation(index_name, visibility=100, connection=connection)
    index.add_many(["a", "b", "c"])
    kept = index.take()
    lost = index.take(visibility=0.05)
    assert lost is not None
    assert kept is not None
    time.sleep(0.08)
    again = index.take()
    assert again is not None
    assert (again.item, again.again) == ("b", True)
    assert not index.done(lost)
    assert index.extend(lost) is None
    assert index.done(again)
    assert index.done(kept)
    following = index.take()
    assert following is not None
    assert (following.item, following.again) == ("c", False)


def test_many_workers_never_have_one_item_at_once(connection: Connection, index_name: str) -> None:
    index = Rotation(index_name, connection=connection)
    index.add_many(map(str, range(20)))
    held: set[str] = set()
    rounds: Counter[str] = Counter()

    def work(_: int) -> None:
        for _ in range(25):
            lease = index.take()
            assert lease is not None
            assert lease.item not in held
            held.add(lease.item)
            rounds[lease.item] += 1
            time.sleep(0.0005)
            held.remove(lease.item)
            assert index.done(lease)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert sum(rounds.values()) == 200
    assert max(rounds.values()) - min(rounds.values()) <= 8


@pytest.mark.parametrize("value", ["\ud800", b"a", 1, None])
def test_what_is_no_member_is_refused(connection: Connection, index_name: str, value: Any) -> None:
    random_set = RandomSet(index_name, connection=connection)
    recent = RecentList(index_name, 3, connection=connection)
    rotation = Rotation(index_name, connection=connection)
    for call in (random_set.add_many, recent.push_many, rotation.add_many):
        with pytest.raises(InvalidInputError):
            call(["a", value])
    assert random_set.count() == recent.count() == rotation.count() == 0
    for seconds in (0, -1, None, "1"):
        with pytest.raises(InvalidInputError):
            Rotation(index_name, visibility=seconds, connection=connection)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="lease"):
        rotation.done("a")  # type: ignore[arg-type]


async def test_the_async_methods_do_the_same(connection: Connection, index_name: str) -> None:
    random_set = RandomSet(index_name, connection=connection)
    assert await random_set.aadd("a")
    assert await random_set.asample(3, replace=True) == ["a"] * 3
    assert [member async for member in random_set.aiterate()] == ["a"]
    assert await random_set.atake() == ["a"]
    recent = RecentList(index_name, 2, connection=connection)
    assert await recent.apush_many(["a", "b", "c"]) == 2
    assert await recent.alatest() == ["c", "b"]
    rotation = Rotation(index_name, connection=connection)
    assert await rotation.aadd("a")
    lease = await rotation.atake()
    assert lease is not None
    assert await rotation.atake() is None
    assert await rotation.aextend(lease) is not None
    assert await rotation.arelease(lease)
    assert not await rotation.adone(lease)
    assert await rotation.aleased() == 0
