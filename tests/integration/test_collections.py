"""Collections and sequences, the basis of key-value, document and chat stores, on every kind of server."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from round_trips import CommandLog
from servers import start_server
from valkey_vector import ConfigurationError, Connection, InvalidInputError, ServerError
from valkey_vector.stores.collections import Collections
from valkey_vector.stores.sequences import Sequences

NASTY = ["", " ", "a", "a:b", "{a}", "{}", "*", "é", "\n", "\x00", "0", "k" * 1000]


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    with start_server(cluster=True) as server:
        yield server.url


@pytest.fixture(params=["native", "search", "cluster"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    kind = request.param
    url = (
        request.getfixturevalue("cluster_url")
        if kind == "cluster"
        else request.getfixturevalue(f"{kind}_server").url
    )
    with Connection.open(url) as opened:
        yield opened


@pytest.fixture
def collections(connection: Connection, index_name: str) -> Collections:
    return Collections(index_name, connection=connection)


@pytest.fixture
def sequences(connection: Connection, index_name: str) -> Sequences:
    return Sequences(index_name, connection=connection)


def test_an_object_is_returned_unchanged(collections: Collections) -> None:
    value = {
        "text": "é\x00\ud7ff", "n": 10**30, "f": 0.1, "inf": float("inf"), "none": None, "flag": True,
        "list": [1, [2.0, {"$date": "x"}]], "": {}, "day": date(2024, 1, 31), "at": datetime(2024, 1, 31, tzinfo=UTC),
    }  # fmt: skip
    for name in NASTY:
        collections.put(name, name, value)
    for name in NASTY:
        assert collections.get(name, name) == value
        assert collections.get_all(name) == {name: value}
        assert collections.get(name, "missing") is None
        assert collections.get("missing", name) is None


def test_the_last_value_of_a_key_stays(collections: Collections) -> None:
    collections.put("c", "k", {"n": 1})
    collections.put_many("c", [("k", {"n": 2}), ("other", {}), ("k", {"n": 3})])
    assert collections.get_all("c") == {"k": {"n": 3}, "other": {}}
    assert collections.delete("c", "k") is True
    assert collections.delete("c", "k") is False
    assert collections.get_all("c") == {"other": {}}


def test_namespaces_and_collections_do_not_mix(connection: Connection, index_name: str) -> None:
    names = [index_name, index_name + ":", index_name + "*", index_name + ":1:c"]
    several = [Collections(name, connection=connection) for name in names]
    for n, each in enumerate(several):
        each.put("c", "k", {"n": n})
        each.put("c:c", "k", {"n": -n})
    assert [each.get_all("c") for each in several] == [{"k": {"n": n}} for n in range(4)]


def test_everything_takes_as_many_round_trips_as_it_must(
    collections: Collections, commands: CommandLog
) -> None:
    collections.put("c", "warm", {})
    commands.clear()
    collections.put("c", "a", {})
    collections.get("c", "a")
    collections.delete("c", "a")
    assert commands.names() == ["HSET", "HGET", "HDEL"]
    commands.clear()
    collections.put_many("c", ((str(n), {"n": n}) for n in range(1000)), batch_size=500)
    assert len(commands.round_trips) == 2
    commands.clear()
    assert len(collections.get_all("c")) == 1001
    assert len(commands.round_trips) == 1
    assert set(commands.names()) == {"HSCAN"}


def test_a_collection_of_many_large_values_is_read_whole(collections: Collections) -> None:
    items = {f"key {n}": {"n": n, "text": "x" * 200} for n in range(40_000)}
    collections.put_many("c", items.items(), batch_size=5000)
    assert collections.get_all("c") == items


def test_nothing_is_sent_of_a_batch_that_cannot_be_stored(
    collections: Collections, commands: CommandLog
) -> None:
    bad: list[tuple[Any, Any]] = [
        (1, {}),
        ("\ud800", {}),
        ("k", "text"),
        ("k", {"x": {1}}),
        ("k", {1: 1}),
        ("k", {"x": "\ud800"}),
    ]
    for key, value in bad:
        with pytest.raises(InvalidInputError):
            collections.put_many("c", [("good", {}), (key, value)])
        with pytest.raises(InvalidInputError):
            collections.put("c", key, value)
    with pytest.raises(InvalidInputError):
        collections.put_many("c", [], batch_size=0)
    assert commands.names() == []


def test_a_server_that_refuses_one_of_a_batch_is_heard(
    collections: Collections, connection: Connection
) -> None:
    collections.put("c", "k", {})
    (key,) = {
        key for keys in connection.scan(f"*{collections._keyspace.namespace}*") for key in keys
    }
    connection.execute("DEL", key)
    connection.execute("SET", key, "no hash")
    with pytest.raises(ServerError, match="WRONGTYPE"):
        collections.put_many("c", [("k", {})])
    with pytest.raises(ServerError, match="WRONGTYPE"):
        collections.get_all("c")


@pytest.mark.parametrize("kind", [Collections, Sequences])
@pytest.mark.parametrize("namespace", ["", None, 5, "\ud800"])
def test_a_namespace_must_be_text(kind: Any, namespace: Any) -> None:
    with pytest.raises(ConfigurationError, match="namespace"):
        kind(namespace)


def test_a_namespace_is_dropped_whole_and_alone(connection: Connection, index_name: str) -> None:
    names = [index_name, f"{index_name}*", f"{index_name}:0"]
    kept = [
        (Collections(n, connection=connection), Sequences(n, connection=connection)) for n in names
    ]
    for collections, sequences in kept:
        collections.put_many("c", [(str(n), {}) for n in range(100)])
        sequences.append("s", [{}])
    kept[0][0].drop()
    kept[1][1].drop()
    assert [len(collections.get_all("c")) for collections, _ in kept] == [0, 100, 100]
    assert [sequences.names() for _, sequences in kept] == [["s"], [], ["s"]]
    assert kept[1][1].read("s") == []


def test_a_connection_and_a_url_exclude_each_other(connection: Connection) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        Collections("n", url="valkey://localhost", connection=connection)


def test_copies_elsewhere_see_the_same(collections: Collections, sequences: Sequences) -> None:
    copied = pickle.loads(pickle.dumps((collections, sequences)))  # noqa: S301 - our own
    collections.put("c", "k", {"n": 1})
    sequences.append("s", [{"n": 1}])
    assert copied[0].get("c", "k") == {"n": 1}
    assert copied[1].read("s") == [{"n": 1}]


class Model:
    """Sequences as Python lists."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Any]] = {}

    def append(self, name: str, items: list[Any]) -> None:
        self.lists.setdefault(name, []).extend(items)

    def replace(self, name: str, items: list[Any]) -> None:
        if name in self.lists:
            self.lists[name][:] = items
        else:
            self.lists[name] = list(items)

    def insert(self, name: str, position: int, item: Any) -> None:
        self.lists.setdefault(name, []).insert(position, item)

    def read(self, name: str) -> list[Any]:
        return self.lists.get(name, [])

    def pop(self, name: str, position: int) -> Any:
        there = self.lists.get(name, [])
        return there.pop(position) if -len(there) <= position < len(there) else None

    def remove(self, name: str) -> list[Any] | None:
        return self.lists.pop(name, None)

    def names(self) -> list[str]:
        return list(self.lists)


names = st.sampled_from(["a", "b", "{a}", "é:\n"])
items: st.SearchStrategy[dict[str, int]] = st.builds(
    lambda n: {"n": n}, st.integers(0, 9)
) | st.just({})
steps = st.one_of(
    st.tuples(st.just("append"), names, st.lists(items, max_size=4)),
    st.tuples(st.just("replace"), names, st.lists(items, max_size=4)),
    st.tuples(st.just("insert"), names, st.integers(-5, 5), items),
    st.tuples(st.just("pop"), names, st.integers(-5, 5)),
    st.tuples(st.just("pop"), names, st.sampled_from([0, -1])),
    st.tuples(st.just("read"), names),
    st.tuples(st.just("remove"), names),
    st.tuples(st.just("names")),
)


def test_sequences_do_what_lists_do(sequences: Sequences) -> None:
    @settings(deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, max_size=15))
    def check(performed: list[Any]) -> None:
        for name in sequences.names():
            sequences.remove(name)
        model = Model()
        for method, *arguments in performed:
            expected = getattr(model, method)(*arguments)
            assert getattr(sequences, method)(*arguments) == expected
        assert sequences.names() == model.names()
        for name in model.names():
            assert sequences.read(name) == model.read(name)

    check()


def test_every_edit_of_a_sequence_is_one_round_trip(
    sequences: Sequences, commands: CommandLog
) -> None:
    sequences.append("s", [])
    commands.clear()
    sequences.append("s", [{"n": n} for n in range(5000)])
    sequences.replace("s", [{"n": n} for n in range(20)])
    sequences.insert("s", 3, {})
    sequences.pop("s", 3)
    sequences.read("s")
    sequences.names()
    sequences.remove("s")
    assert len(commands.round_trips) == 7
    assert "KEYS" not in commands.names()
    assert "SCAN" not in commands.names()


def test_order_is_kept_when_many_write_at_once(sequences: Sequences) -> None:
    def write(writer: int) -> None:
        for n in range(50):
            sequences.append(
                "s", [{"writer": writer, "n": n}, {"writer": writer, "n": n, "more": True}]
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    stored = sequences.read("s")
    assert len(stored) == 800
    for writer in range(8):
        assert [item["n"] for item in stored if item["writer"] == writer] == [
            n for n in range(50) for _ in range(2)
        ]
    for first, second in zip(stored[::2], stored[1::2], strict=True):
        assert {**first, "more": True} == second


def test_each_item_is_popped_once(sequences: Sequences) -> None:
    sequences.replace("s", [{"n": n} for n in range(200)])
    with ThreadPoolExecutor(8) as pool:
        popped = list(pool.map(lambda n: sequences.pop("s", (-1) ** n * (n % 7)), range(240)))
    taken = [item["n"] for item in popped if item is not None]
    rest = [item["n"] for item in sequences.read("s")]
    assert len(set(taken)) == len(taken)
    assert sorted(taken + rest) == list(range(200))
    assert rest == sorted(rest)


def test_async_versions_do_the_same_in_several_loops(
    collections: Collections, sequences: Sequences
) -> None:
    async def use(round: int) -> None:
        await collections.aput("c", "k", {"n": round})
        await collections.aput_many("c", [("l", {})])
        assert await collections.aget("c", "k") == {"n": round}
        assert len(await collections.aget_all("c")) == 2
        assert await collections.adelete("c", "l")
        await sequences.aappend("s", [{"n": round}])
        await sequences.ainsert("s", 0, {"n": -1})
        assert await sequences.apop("s", 0) == {"n": -1}
        assert len(await sequences.aread("s")) == round + 1
        await sequences.areplace("t", [])
        assert sorted(await sequences.anames()) == ["s", "t"]
        assert await sequences.aremove("t") == []

    for round in range(2):
        asyncio.run(use(round))


@pytest.mark.parametrize("position", ["0", 0.5, None, True])
def test_a_position_is_an_integer(sequences: Sequences, position: Any) -> None:
    with pytest.raises(InvalidInputError, match="position"):
        sequences.pop("s", position)
