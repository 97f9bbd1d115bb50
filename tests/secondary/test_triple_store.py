from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from nasty import Machine, byte_strings, paged, run
from round_trips import CommandLog
from valkey_vector import InvalidInputError
from valkey_vector.connection import Connection
from valkey_vector.secondary import TripleStore, Variable

terms = byte_strings | st.sampled_from([b"x", b"y"])
triples = st.tuples(terms, terms, terms)
ORDERS = ["spo", "sop", "pso", "pos", "osp", "ops"]


class Triples(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.store = TripleStore(self.name, members=bytes, connection=self.connection)
        self.oracle: set[tuple[bytes, bytes, bytes]] = set()

    @rule(new=st.lists(triples, max_size=8))
    def add(self, new: list[tuple[bytes, bytes, bytes]]) -> None:
        assert self.store.add_many(new) == len({*new} - self.oracle)
        self.oracle |= {*new}

    @rule(gone=st.lists(triples, max_size=3), known=st.integers(0, 5))
    def remove(self, gone: list[tuple[bytes, bytes, bytes]], known: int) -> None:
        gone = gone + sorted(self.oracle)[known : known + 1]
        assert self.store.contains(gone) == [triple in self.oracle for triple in gone]
        assert self.store.remove(gone) == len({*gone} & self.oracle)
        self.oracle -= {*gone}

    @rule(triple=triples, known=st.integers(0, 9), given=st.tuples(*[st.booleans()] * 3))
    def match(
        self, triple: tuple[bytes, bytes, bytes], known: int, given: tuple[bool, ...]
    ) -> None:
        if known < len(self.oracle):
            triple = sorted(self.oracle)[known]
        pattern = [term if wanted else None for term, wanted in zip(triple, given, strict=True)]
        expected = {
            t for t in self.oracle if all(p in (None, x) for p, x in zip(pattern, t, strict=True))
        }
        count = sum(given)
        for order in ORDERS:
            places = ["spo".index(letter) for letter in order]
            if all(given[place] for place in places[:count]):
                ordered = sorted(expected, key=lambda t: [t[place] for place in places])
                assert self.store.match(*pattern, order=order) == ordered  # type: ignore[arg-type]
        assert {*self.store.match(*pattern)} == {*self.store.iterate(*pattern)} == expected
        assert self.store.count(*pattern) == len(expected)

        def page(after: str | None) -> tuple[tuple[object, ...], str | None]:
            got = self.store.page(*pattern, limit=2, after=after)
            return got.items, got.cursor

        assert paged(page) == self.store.match(*pattern)

    @invariant()
    def consistent(self) -> None:
        assert self.store.verify().found == 0

    def teardown(self) -> None:
        self.store.clear()


def test_it_equals_a_set_of_triples(connection: Connection) -> None:
    run(Triples, connection)


def solutions(
    stored: set[tuple[str, str, str]], patterns: list[Any]
) -> Iterator[frozenset[tuple[str, str]]]:
    """Every choice of triples that agrees, the slow way."""
    for chosen in itertools.product(stored, repeat=len(patterns)):
        bound: dict[str, str] = {}
        if all(
            bound.setdefault(part.name, term) == term
            if isinstance(part, Variable)
            else part == term
            for pattern, triple in zip(patterns, chosen, strict=True)
            for part, term in zip(pattern, triple, strict=True)
        ):
            yield frozenset(bound.items())


names = st.sampled_from(["a", "b", "c", "\x00"])
parts = names | st.sampled_from([Variable("x"), Variable("y"), Variable("z")])


@settings(max_examples=40)
@given(
    stored=st.sets(st.tuples(names, names, names), max_size=10),
    patterns=st.lists(st.tuples(parts, parts, parts), min_size=1, max_size=3),
)
def test_a_join_equals_trying_every_choice(
    cluster_url: str, stored: set[tuple[str, str, str]], patterns: list[Any]
) -> None:
    with Connection.open(cluster_url) as connection:
        store = TripleStore("joins", connection=connection)
        store.clear()
        store.add_many(stored)
        found = [frozenset(one.items()) for one in store.join(patterns)]
        assert len(found) == len({*found})
        assert {*found} == {*solutions(stored, patterns)}


def all_paths(
    stored: set[tuple[str, str, str]], source: str, target: str, depth: int
) -> Iterator[list[tuple[str, str, str]]]:
    for length in range(1, depth + 1):
        for path in itertools.permutations(stored, length):
            visited = [source, *(triple[2] for triple in path)]
            linked = all(a == t[0] for a, t in zip(visited, path, strict=False))
            if linked and visited[-1] == target and len({*visited}) == len(visited):
                yield [*path]


@settings(max_examples=40)
@given(
    stored=st.sets(st.tuples(names, st.sampled_from("pq"), names), max_size=8),
    source=names,
    target=names,
    depth=st.integers(1, 4),
)
def test_paths_equal_trying_every_sequence(
    cluster_url: str, stored: set[tuple[str, str, str]], source: str, target: str, depth: int
) -> None:
    with Connection.open(cluster_url) as connection:
        store = TripleStore("paths", connection=connection)
        store.clear()
        store.add_many(stored)
        found = [*store.paths(source, target, depth)]
        expected = [] if source == target else [*all_paths(stored, source, target, depth)]
        assert sorted(found) == sorted(expected)
        assert [len(path) for path in found] == sorted(len(path) for path in found)


def test_a_join_of_many_triples_streams_from_the_smallest_pattern(
    connection: Connection, index_name: str, commands: CommandLog
) -> None:
    store = TripleStore(index_name, connection=connection)
    rng = random.Random(1)
    friends = {(f"p{rng.randrange(60)}", "knows", f"p{rng.randrange(60)}") for _ in range(1500)}
    drinks = {(f"p{n}", "likes", rng.choice(["beer", "tea"])) for n in range(60)}
    store.add_many(friends | drinks | {("p1", "lives in", "Barcelona")})
    person, friend = Variable("person"), Variable("friend")
    patterns: list[Any] = [
        (person, "knows", friend), (friend, "likes", "beer"), (person, "lives in", "Barcelona")
    ]  # fmt: skip
    commands.clear()
    found = {(one["person"], one["friend"]) for one in store.join(patterns)}
    assert found == {(s, o) for s, _, o in friends if s == "p1" and (o, "likes", "beer") in drinks}
    assert len(commands.round_trips) <= 6
    everyone = [*store.join([(person, "knows", friend), (friend, "knows", Variable("third"))])]
    assert len(everyone) == sum(1 for a in friends for b in friends if a[2] == b[0])


def test_ways_that_would_fill_the_memory_are_refused(
    connection: Connection, index_name: str
) -> None:
    store = TripleStore(index_name, connection=connection)
    store.add_many((f"n{n}", "p", "hub") for n in range(300))
    with pytest.raises(InvalidInputError, match="max_triples"):
        [*store.paths("n1", "hub", 2, max_triples=100)]
    assert [*store.paths("n1", "hub", 2)] == [[("n1", "p", "hub")]]


@pytest.mark.parametrize(
    "triple", [("a", "b"), "abc", ("a", "b", "\ud800"), ("a", "b", b"c"), ("a", None, "c"), None]
)
def test_what_is_no_triple_is_refused_and_nothing_is_added(
    connection: Connection, index_name: str, triple: Any
) -> None:
    store = TripleStore(index_name, connection=connection)
    with pytest.raises(InvalidInputError):
        store.add_many([("a", "b", "c"), triple])
    assert store.count() == 0


def test_invalid_patterns_and_orders_are_refused(connection: Connection, index_name: str) -> None:
    store = TripleStore(index_name, connection=connection)
    for patterns in ([], "abc", [("a", "b")], [("a", None, "b")]):
        with pytest.raises(InvalidInputError):
            store.join(patterns)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="does not begin"):
        store.match("a", order="pso")
    with pytest.raises(InvalidInputError, match="order must be one of"):
        store.match("a", order="abc")  # type: ignore[arg-type]


async def test_the_async_methods_do_the_same(connection: Connection, index_name: str) -> None:
    store = TripleStore(index_name, connection=connection)
    assert await store.aadd("a", "p", "b")
    assert await store.aadd_many([("b", "p", "c")]) == 1
    assert await store.amatch(predicate="p") == [("a", "p", "b"), ("b", "p", "c")]
    assert await store.amatch_any([("a", None, None), (None, None, "b")]) == [("a", "p", "b")]
    assert [triple async for triple in store.aiterate("a")] == [("a", "p", "b")]
    x = Variable("x")
    assert [one async for one in store.ajoin([("a", "p", x), (x, "p", "c")])] == [{"x": "b"}]
    assert [len(path) async for path in store.apaths("a", "c", 3)] == [2]
    assert (await store.apage(limit=1)).cursor is not None
    assert await store.acontains([("a", "p", "b")]) == [True]
    assert await store.acount() == 2
    assert await store.aremove([("a", "p", "b")]) == 1
