"""All secondary indexes under one name, and writers that change them at random: in threads, or in a process to be killed."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from valkey_vector.connection import Connection
from valkey_vector.secondary import (
    Column,
    Completion,
    CompositeIndex,
    Dimension,
    Lease,
    LexicalIndex,
    NumericIndex,
    RandomSet,
    RecentList,
    Rotation,
    SpatialIndex,
    TripleStore,
)

MEMBERS = ["a", "b", "b\x00", "ÿ:", "", "e"]
NUMBERS = [1, 2**53 + 1, 0.5, -(2**70), 7]


@dataclass(frozen=True, slots=True)
class Everything:
    """One index of each kind."""

    numeric: NumericIndex[str]
    lexical: LexicalIndex[str]
    completion: Completion
    composite: CompositeIndex[str]
    spatial: SpatialIndex[str]
    triples: TripleStore[str]
    random_set: RandomSet[str]
    recent: RecentList[str]
    rotation: Rotation[str]

    @classmethod
    def of(cls, name: str, connection: Connection) -> Everything:
        where: Any = {"connection": connection}
        return cls(
            NumericIndex(name, **where),
            LexicalIndex(name, normalize=True, **where),
            Completion(name, max_entries=4, fade=0.5, **where),
            CompositeIndex(name, [Column("n", int), Column("t", str, True)], **where),
            SpatialIndex(name, [Dimension("x", 0, 99), Dimension("y", 0.0, 1, 0.1)], **where),
            TripleStore(name, **where),
            RandomSet(name, **where),
            RecentList(name, 5, **where),
            Rotation(name, visibility=0.005, **where),
        )

    @property
    def all(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__]


def writes(everything: Everything, rng: random.Random) -> dict[str, Callable[[], object]]:
    """A random change of each index."""
    one = everything
    member, other = rng.choice(MEMBERS), rng.choice(MEMBERS)

    def rotate() -> None:
        one.rotation.add_many([member, other])
        if (lease := one.rotation.take()) and rng.random() < 0.7:
            finish: list[Callable[[Lease[str]], object]] = [
                one.rotation.done,
                one.rotation.release,
                one.rotation.extend,
            ]
            rng.choice(finish)(lease)
        if rng.random() < 0.2:
            one.rotation.remove([other])

    def complete() -> None:
        if rng.random() < 0.2:
            one.completion.remove([f"{member}x"])
        one.completion.record(f"{member}x", rng.choice([1, 1, 20]))
        one.completion.suggest("")

    rows: dict[str, Any] = {
        m: {"n": rng.randint(-2, 2), "t": rng.choice(MEMBERS)} for m in (member, other)
    }
    changes: dict[str, list[Callable[[], object]]] = {
        "numeric": [
            lambda: one.numeric.add_many({member: rng.choice(NUMBERS), other: rng.choice(NUMBERS)}),
            lambda: one.numeric.remove([member]),
        ],
        "lexical": [lambda: one.lexical.add(member), lambda: one.lexical.remove([member])],
        "completion": [complete],
        "composite": [
            lambda: one.composite.put_many(rows),
            lambda: one.composite.remove([member]),
        ],
        "spatial": [
            lambda: one.spatial.put(member, (rng.randrange(100), rng.random())),
            lambda: one.spatial.remove([member]),
        ],
        "triples": [
            lambda: one.triples.add_many([(member, "p", other), (other, "p", member)]),
            lambda: one.triples.remove([(member, "p", other)]),
        ],
        "random_set": [lambda: one.random_set.add(member), one.random_set.take],
        "recent": [lambda: one.recent.push(member), lambda: one.recent.remove([member])],
        "rotation": [rotate],
    }
    return {name: rng.choice(choices) for name, choices in changes.items()}


def write_at_random(name: str, connection: Connection, seed: int, rounds: int) -> None:
    """Change every index, a number of times."""
    everything, rng = Everything.of(name, connection), random.Random(seed)
    for _ in range(rounds):
        for change in writes(everything, rng).values():
            change()


def disagreements(one: Everything) -> list[str]:
    """Where two ways to read an index give different answers."""
    wrong = []
    if [*zip(one.numeric.range(), one.numeric.values(one.numeric.range()), strict=True)] != (
        one.numeric.items()
    ):
        wrong.append("numeric")
    members = one.composite.range()
    if [*zip(members, one.composite.get(members), strict=True)] != one.composite.items():
        wrong.append("composite")
    points = one.spatial.box((None, None), (None, None)).items
    if one.spatial.get([member for member, _ in points]) != [point for _, point in points]:
        wrong.append("spatial")
    orders: Any = ["spo", "sop", "pso", "pos", "osp", "ops"]
    if len({frozenset(one.triples.match(order=order)) for order in orders}) != 1:
        wrong.append("triples")
    reader = Completion(one.completion.name, connection=one.completion.connection)  # nothing fades
    suggested = [(s.text, s.frequency) for s in reader.suggest("", 99)]
    if [f for _, f in suggested] != reader.frequencies([text for text, _ in suggested]) or (
        len(suggested) != reader.count()
    ):
        wrong.append("completion")
    return wrong


if __name__ == "__main__":
    with Connection.open(sys.argv[1]) as opened:
        print("ready", flush=True)
        write_at_random(sys.argv[2], opened, int(sys.argv[3]), 10**9)
