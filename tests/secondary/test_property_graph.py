from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from nasty import Machine, run, texts
from valkey_vector import InvalidInputError
from valkey_vector.connection import Connection
from valkey_vector.secondary import PropertyGraph, Relation

ids = texts
datas = st.sampled_from([b"", b"\x00", b"{}"])
relations = st.builds(Relation, ids, st.sampled_from(["p", "", "q\x00"]), ids, datas)


class Graphs(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.graph = PropertyGraph(self.name, connection=self.connection)
        self.nodes: dict[str, bytes] = {}
        self.relations: dict[tuple[str, str, str], bytes] = {}

    @rule(nodes=st.dictionaries(ids, datas, max_size=3))
    def put(self, nodes: dict[str, bytes]) -> None:
        before = {id: data for id, data in self.nodes.items() if id in nodes and data}
        assert self.graph.put_nodes(nodes) == before
        self.nodes |= nodes

    @rule(new=st.lists(relations, max_size=4))
    def relate(self, new: list[Relation]) -> None:
        expected = 0
        for one in new:
            for end in (one.subject, one.object):
                self.nodes.setdefault(end, b"made")
            if one[:3] not in self.relations:
                self.relations[one.subject, one.predicate, one.object] = one.data
                expected += 1
        assert self.graph.relate(new, missing=lambda _: b"made") == expected

    @rule(gone=st.lists(relations, max_size=2), known=st.integers(0, 5))
    def unrelate(self, gone: list[Relation], known: int) -> None:
        wanted = [(one.subject, one.predicate, one.object) for one in gone]
        wanted += sorted(self.relations)[known : known + 1]
        assert self.graph.relation_data(wanted) == [self.relations.get(one) for one in wanted]
        there = {one for one in wanted if one in self.relations}
        assert self.graph.remove(wanted) == len(there)
        for one in there:
            del self.relations[one]

    @rule(gone=st.lists(ids, max_size=2))
    def remove(self, gone: list[str]) -> None:
        assert self.graph.nodes(gone) == [self.nodes.get(id) for id in gone]
        there = {id for id in gone if id in self.nodes}
        assert self.graph.remove_nodes(gone) == len(there)
        for id in there:
            del self.nodes[id]
        self.relations = {
            (s, p, o): data
            for (s, p, o), data in self.relations.items()
            if s not in there and o not in there
        }

    @invariant()
    def consistent(self) -> None:
        assert self.graph.verify().found == 0
        assert {*self.graph.iterate()} == {*self.relations}
        stored = {id: data for batch in self.graph.iterate_nodes() for id, data in batch.items()}
        assert stored == self.nodes

    def teardown(self) -> None:
        self.graph.clear()


def test_it_equals_two_dicts(connection: Connection) -> None:
    run(Graphs, connection)


def test_a_relation_never_lacks_an_end_with_concurrent_writers(
    connection: Connection, index_name: str
) -> None:
    graph = PropertyGraph(index_name, connection=connection)

    def work(seed: int) -> None:
        rng = Random(seed)
        for _ in range(25):
            a, b = rng.choice("abcd"), rng.choice("abcd")
            match rng.randrange(4):
                case 0:
                    graph.relate([Relation(a, "p", b)])
                case 1:
                    graph.remove_nodes([a])
                case 2:
                    graph.remove([(a, "p", b)])
                case _:
                    graph.put_nodes({a: b"x"})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert graph.verify().found == 0


def test_damage_by_another_program_is_repaired(connection: Connection, index_name: str) -> None:
    rng = Random()
    for _ in range(25):
        graph = PropertyGraph(index_name, connection=connection)
        graph.clear()
        graph.relate([Relation(a, "p", b, b"data") for a in "ab" for b in "bc"])
        for _ in range(rng.randint(1, 3)):
            part = rng.choice([*graph.parts])
            key, kind = graph._key(part), graph.parts[part].encode()
            if connection.execute("TYPE", key) != kind:
                continue
            if part == "entries":
                entry = rng.choice(connection.execute("ZRANGE", key, "0", "-1"))
                connection.execute(
                    *rng.choice([("ZREM", key, entry), ("ZADD", key, "1", entry + b"x")])
                )
            else:
                field = rng.choice(connection.execute("HKEYS", key))
                connection.execute(
                    *rng.choice(
                        [("HDEL", key, field), ("UNLINK", key), ("HSET", key, b"\x00", b"x")]
                    )
                )
        graph.repair()
        assert str(graph.verify()).endswith("no problem found")
        assert None not in graph.relation_data(graph.match())
        assert None not in graph.nodes([end for s, _, o in graph.match() for end in (s, o)])


@pytest.mark.parametrize("data", ["text", None, 1])
def test_data_that_is_not_bytes_is_refused(
    connection: Connection, index_name: str, data: Any
) -> None:
    graph = PropertyGraph(index_name, connection=connection)
    with pytest.raises(InvalidInputError, match="bytes"):
        graph.put_nodes({"a": data})
    with pytest.raises(InvalidInputError, match="bytes"):
        graph.relate([Relation("a", "p", "b", data)])
    assert graph.count() == 0


async def test_the_async_methods_do_the_same(connection: Connection, index_name: str) -> None:
    graph = PropertyGraph(index_name, connection=connection)
    assert await graph.aput_nodes({"a": b"1"}) == {}
    assert await graph.arelate([Relation("a", "p", "b", b"2")]) == 1
    assert await graph.aadd("a", "p", "c")
    assert await graph.anodes(["a", "b", "x"]) == [b"1", b"", None]
    assert await graph.arelation_data([("a", "p", "b")]) == [b"2"]
    assert await graph.aremove([("a", "p", "c")]) == 1
    assert await graph.aremove_nodes(["a"]) == 1
    assert await graph.acount() == 0
