"""The stores beside the index, on a server: what they keep, from whom they keep it apart, and in what order."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from round_trips import CommandLog
from servers import TestServer, start_server
from valkey_vector import (
    ConfigurationError,
    Connection,
    ConnectionLostError,
    Index,
    InvalidInputError,
    PartialWriteError,
    Record,
)
from valkey_vector.storage.keyspace import Keyspace
from valkey_vector.stores import ByteStore, IndexedKeys, MessageLog

THREADS = 32
# Names that other stores confuse: separators, wildcards, prefixes of each other, what an escape looks like.
NAMES = [
    "", ".", "_", "/", ":", "*", "a", "a*", "a:", "a:b", "ab", "a_3ab", "[a]", "a?", "\\", "{a}", "a}", "user.1",
    "user_1", "user/1", "user 1", "User.1", "ü", "日本", "\x00", "\r\n", " ", "a ",
]  # fmt: skip


@pytest.fixture
def connection(server_url: str) -> Iterator[Connection]:
    with Connection.open(server_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestServer]:
    with start_server(cluster=True) as server:
        yield server


def test_namespaces_of_any_name_are_isolated(connection: Connection, index_name: str) -> None:
    stores = {name: ByteStore(index_name + name, connection=connection) for name in NAMES}
    for name, store in stores.items():
        store.mset([("key", name.encode()), ("b:key", name.encode())])
    for name, store in stores.items():
        assert store.mget(["key", "b:key"]) == [name.encode()] * 2
        assert sorted(store.yield_keys()) == ["b:key", "key"], name
    assert stores["a*"].clear() == 2
    assert stores["a*"].mget(["key"]) == [None]
    assert all(sorted(s.yield_keys()) == ["b:key", "key"] for n, s in stores.items() if n != "a*")


def test_any_text_is_a_key_and_a_prefix_is_no_pattern(
    connection: Connection, index_name: str
) -> None:
    store = ByteStore(index_name, connection=connection)
    store.mset({name: str(number).encode() for number, name in enumerate(NAMES)})
    assert store.mget(NAMES) == [str(number).encode() for number in range(len(NAMES))]
    for prefix in [*NAMES, None]:
        found = list(store.yield_keys(prefix))
        assert sorted(found) == sorted(n for n in NAMES if n.startswith(prefix or ""))


def test_no_index_takes_the_keys_of_a_store_for_its_documents(
    connection: Connection, open_index: Callable[..., Index], index_name: str
) -> None:
    store = ByteStore(index_name, connection=connection)
    log = MessageLog("1", namespace=index_name, connection=connection)
    keys = IndexedKeys(index_name, connection=connection)
    store.mset([("1", b"x")])
    log.append([b"x"])
    keys.update(["1"])
    index = open_index()
    index.upsert([Record(id="1", vector=[1.0, 0.0, 0.0, 0.0])])
    assert index.count() == 1
    assert index.drop() == 1
    assert (store.mget(["1"]), log.read(), keys.select()) == ([b"x"], [b"x"], ["1"])


def test_many_keys_go_in_one_round_trip_for_each_thousand(
    connection: Connection, index_name: str, commands: CommandLog
) -> None:
    store = ByteStore(index_name, connection=connection)
    pairs = [(f"key {number}", str(number).encode()) for number in range(1000)]
    store.mset(pairs)
    commands.clear()
    store.mset(pairs)
    assert store.mget([key for key, _ in pairs]) == [value for _, value in pairs]
    assert len(commands.round_trips) == 2
    commands.clear()
    assert store.mdelete([key for key, _ in pairs]) == 1000
    assert len(commands.round_trips) == 1
    assert store.mget([key for key, _ in pairs]) == [None] * 1000


def test_keys_are_found_with_scan_and_never_with_keys(
    connection: Connection, index_name: str, commands: CommandLog
) -> None:
    store = ByteStore(index_name, connection=connection)
    store.mset([(f"{number}", b"") for number in range(2500)])
    commands.clear()
    found = list(store.yield_keys())
    assert len(found) == len(set(found)) == 2500
    names = set(commands.names())
    slots = {"CLUSTER"} if connection.capabilities.cluster else set()  # they may move during a scan
    assert names == {"SCAN"} | slots


async def test_the_async_versions_do_what_the_blocking_methods_do(
    connection: Connection, index_name: str
) -> None:
    store = ByteStore(index_name, connection=connection)
    await store.amset({"a": b"1", "b": b"2"})
    assert await store.amget(["b", "c", "a"]) == [b"2", None, b"1"]
    assert sorted([key async for key in store.ayield_keys()]) == ["a", "b"]
    assert await store.amdelete(["a", "c"]) == 1
    assert await store.aclear() == 1
    log = MessageLog("s", namespace=index_name, connection=connection)
    assert await log.aappend([b"1", b"2", b"3"]) == 3
    assert await log.aread(offset=1) == await log.atail(2) == [b"2", b"3"]
    await log.aclear()
    assert await log.acount() == 0
    keys = IndexedKeys(index_name, connection=connection)
    begin = await keys.atime()
    await keys.aupdate(["a", "b"], groups=["g", None], time_at_least=begin)
    assert await keys.aexists(["a", "c"]) == [True, False]
    assert await keys.aselect(groups=["g"]) == ["a"]
    await keys.adelete(["a"])
    assert await keys.aselect() == ["b"]
    await keys.aclear()
    assert await keys.aselect() == []


def test_a_time_to_live_is_there_from_the_first_moment(
    connection: Connection, index_name: str, commands: CommandLog
) -> None:
    store = ByteStore(index_name, ttl=60, connection=connection)
    MessageLog("s", namespace=index_name, ttl=60, connection=connection).append([b"1"])
    store.mset([("a", b"1")])
    assert "EXPIRE" not in " ".join(commands.names())
    for keyspace, name in (
        (Keyspace("bytes", index_name), "a"),
        (Keyspace("log", index_name), "s"),
    ):
        assert 50_000 < connection.execute("PTTL", keyspace.key(name)) <= 60_000
    # A value that is stored again without one has none left.
    ByteStore(index_name, connection=connection).mset([("a", b"2")])
    assert connection.execute("PTTL", Keyspace("bytes", index_name).key("a")) == -1


def test_expired_entries_are_removed(connection: Connection, index_name: str) -> None:
    store = ByteStore(index_name, ttl=0.05, connection=connection)
    log = MessageLog("s", namespace=index_name, ttl=0.05, connection=connection)
    store.mset([("a", b"1")])
    log.append([b"1"])
    time.sleep(0.2)
    assert (store.mget(["a"]), list(store.yield_keys()), log.read()) == ([None], [], [])


@pytest.mark.parametrize("sliding", [True, False])
def test_an_append_prolongs_a_logs_life_only_if_it_shall(
    connection: Connection, index_name: str, sliding: bool
) -> None:
    log = MessageLog("s", namespace=index_name, ttl=1000, sliding=sliding, connection=connection)
    key = Keyspace("log", index_name).key("s")
    log.append([b"1"])
    connection.execute("PEXPIRE", key, "500000")
    log.append([b"2"])
    left = connection.execute("PTTL", key)
    assert left > 900_000 if sliding else left <= 500_000


def test_windows_of_a_log_are_parts_of_the_whole(connection: Connection, index_name: str) -> None:
    log = MessageLog("s", namespace=index_name, connection=connection)
    whole = [str(number).encode() for number in range(7)]
    assert log.read() == log.tail(3) == []
    assert log.append(whole[:4]) == 4
    assert log.append([]) == 4
    assert log.append(whole[4:]) == 7
    for offset in range(9):
        assert log.read(offset=offset) == whole[offset:]
        for limit in range(9):
            assert log.read(offset=offset, limit=limit) == whole[offset : offset + limit]
    for count in range(1, 9):
        assert log.tail(count) == whole[-count:]
    log.clear()
    assert log.read() == []


def test_logs_of_different_namespaces_and_names_never_meet(
    connection: Connection, index_name: str
) -> None:
    pairs = list(product(NAMES, NAMES[1:]))
    logs = [
        MessageLog(name, namespace=index_name + namespace, connection=connection)
        for namespace, name in pairs
    ]
    for number, log in enumerate(logs):
        assert log.append([str(number).encode()]) == 1, pairs[number]
    assert [log.read() for log in logs] == [[str(n).encode()] for n in range(len(logs))]


def test_a_log_keeps_its_newest_messages(connection: Connection, index_name: str) -> None:
    log = MessageLog("s", namespace=index_name, max_messages=3, connection=connection)
    assert log.append([b"1", b"2"]) == 2
    assert log.append([b"3", b"4"]) == 3
    assert log.read() == [b"2", b"3", b"4"]


def test_a_log_is_ordered_under_many_threads(connection: Connection, index_name: str) -> None:
    start = threading.Barrier(THREADS)

    def converse(number: int) -> None:
        log = MessageLog("s", namespace=index_name, connection=connection)
        start.wait()
        for turn in range(10):
            log.append([f"{number} {turn} {role}".encode() for role in ("asks", "answers")])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(converse, range(THREADS)))
    found = [
        m.decode().split()
        for m in MessageLog("s", namespace=index_name, connection=connection).read()
    ]
    assert len(found) == THREADS * 10 * 2
    for asked, answered in zip(found[::2], found[1::2], strict=True):
        assert (asked[:2], asked[2], answered[2]) == (answered[:2], "asks", "answers")
    for number in range(THREADS):
        turns = [int(turn) for own, turn, role in found if int(own) == number and role == "asks"]
        assert turns == list(range(10))


def test_times_are_the_servers_and_each_is_later_than_the_last(
    connection: Connection, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    keys = IndexedKeys(index_name, connection=connection)
    seconds, micros = connection.execute("TIME")
    begin = keys.time()
    assert 0 <= begin - (int(seconds) + int(micros) / 1e6) < 60
    with ThreadPoolExecutor(8) as pool:
        times = list(pool.map(lambda _: keys.time(), range(200)))
    assert len(set(times)) == 200
    assert min(times) > begin


def test_a_clock_that_is_set_back_does_not_make_new_keys_look_old(
    connection: Connection, index_name: str
) -> None:
    keys = IndexedKeys(index_name, connection=connection)
    ahead = int(
        (keys.time() + 3600) * 1e6
    )  # as if the server's clock had been an hour ahead until now
    connection.execute("SET", Keyspace("indexed", index_name).together("clock"), str(ahead))
    keys.update(["old"])
    begin = keys.time()
    assert begin > ahead / 1e6
    keys.update(["new"], time_at_least=begin)
    assert keys.select(before=begin) == ["old"]
    assert keys.select(after=begin) == ["new"]


def test_updates_of_many_threads_leave_no_half_record(
    connection: Connection, index_name: str
) -> None:
    keys = IndexedKeys(index_name, connection=connection)
    names = [f"key {number}" for number in range(5)]

    def work(number: int) -> None:
        for turn in range(10):
            if (number + turn) % 4 == 0:
                keys.delete(names[:2])
            else:
                keys.update(names, groups=[f"group {(number + turn) % 3}"] * 5)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    there = [name for name, found in zip(names, keys.exists(names), strict=True) if found]
    assert sorted(keys.select()) == sorted(there)
    assert sorted(keys.select(groups=[f"group {n}" for n in range(3)])) == sorted(there)
    keys.delete(names)
    left = [key for batch in connection.scan(f"*{index_name}*") for key in batch]
    assert left == [Keyspace("indexed", index_name).together("clock")]


def test_more_keys_than_one_command_takes_are_all_recorded(
    connection: Connection, index_name: str
) -> None:
    keys = IndexedKeys(index_name, connection=connection)
    names = [f"{number}" for number in range(2345)]
    keys.update(names, groups=names)
    assert keys.exists([*names, "x"]) == [True] * 2345 + [False]
    in_time = sorted(names[:1000]) + sorted(names[1000:2000]) + sorted(names[2000:])
    assert keys.select() == in_time
    assert sorted(keys.select(groups=names)) == sorted(names)
    assert len(set(keys.select(groups=names, limit=1500))) == 1500
    assert len(keys.select(limit=1500)) == 1500
    keys.delete(names)
    assert keys.select() == []


def test_bad_input_is_refused_before_anything_is_written(
    connection: Connection, index_name: str, commands: CommandLog
) -> None:
    store = ByteStore(index_name, connection=connection)
    log = MessageLog("s", namespace=index_name, connection=connection)
    keys = IndexedKeys(index_name, connection=connection)
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: store.mset([("a", b"1"), ("b", "2")]), "'b' must be bytes, not a str"),  # type: ignore[list-item]
        (lambda: store.mset([("a", b"1"), (1, b"2")]), "not 1"),  # type: ignore[list-item]
        (lambda: store.mget("abc"), "list"),
        (lambda: store.mdelete(["\ud800"]), "surrogate"),
        (lambda: log.append([b"1", "2"]), "str, not bytes"),  # type: ignore[list-item]
        (lambda: log.append(b"12"), "list"),  # type: ignore[arg-type]
        (lambda: log.tail(0), "count"),
        (lambda: log.read(offset=-1), "offset"),
        (lambda: log.read(limit=-1), "limit"),
        (lambda: keys.update(["a", "b"], groups=["g"]), "1 groups .* 2 keys"),
        (lambda: keys.update(["a"], groups="g"), "list"),
        (lambda: keys.select(groups="g"), "list"),
        (lambda: keys.update(["a"], groups=[1]), "group"),  # type: ignore[list-item]
        (lambda: keys.update(["a"], time_at_least=float("nan")), "time_at_least"),
        (lambda: keys.select(limit=0), "limit"),
        (lambda: keys.select(before=float("nan")), "before"),
        (lambda: keys.select(after="1"), "after"),  # type: ignore[arg-type]
        (lambda: ByteStore(index_name, ttl=0, connection=connection), "ttl"),
        (lambda: MessageLog("", connection=connection), "empty"),
        (lambda: MessageLog("s", ttl=-1, connection=connection), "ttl"),
        (lambda: MessageLog("s", max_messages=0, connection=connection), "max_messages"),
    ]
    commands.clear()
    for call, message in wrong:
        with pytest.raises(InvalidInputError, match=message):
            call()
    assert commands.round_trips == []
    for namespace in ("", None, 1, "\ud800"):
        with pytest.raises(ConfigurationError, match="namespace"):
            ByteStore(namespace, connection=connection)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="not both"):
        ByteStore(index_name, url="embedded://", connection=connection)


def test_a_time_in_the_future_is_refused_and_nothing_recorded(
    connection: Connection, index_name: str
) -> None:
    keys = IndexedKeys(index_name, connection=connection)
    for ahead in (60.0, 1e12, float("inf")):
        with pytest.raises(InvalidInputError, match="future"):
            keys.update(["a"], time_at_least=keys.time() + ahead)
    assert keys.select() == []
    keys.update(["a"], time_at_least=keys.time())
    assert keys.select() == ["a"]


def test_no_group_lists_nothing_and_none_lists_what_has_no_group(
    connection: Connection, index_name: str
) -> None:
    keys = IndexedKeys(index_name, connection=connection)
    keys.update(["a", "b", "c"], groups=["-", None, ""])
    assert keys.select(groups=[]) == []
    assert keys.select(groups=[None]) == ["b"]
    assert keys.select(groups=["-"]) == ["a"]
    assert keys.select(groups=[""]) == ["c"]


def test_everything_works_on_a_cluster(cluster: TestServer) -> None:
    with Connection.open(cluster.url) as connection:
        assert connection.capabilities.cluster
        store = ByteStore("a*", connection=connection)
        names = [f"{number}" for number in range(1500)]
        store.mset([(name, name.encode()) for name in names])
        assert store.mget(names) == [name.encode() for name in names]
        assert sorted(store.yield_keys("1")) == sorted(n for n in names if n.startswith("1"))
        assert store.mdelete(names[:10]) == 10
        assert store.clear() == 1490
        log = MessageLog("s", ttl=60, connection=connection)
        log.append([b"1", b"2"])
        assert log.tail(1) == [b"2"]
        keys = IndexedKeys("{n", connection=connection)
        begin = keys.time()
        keys.update(names, groups=["g{1}"] * 1500, time_at_least=begin)
        assert len(keys.select(groups=["g{1}"], after=begin)) == 1500
        keys.delete(names)
        assert keys.select() == []
        keys.clear()


def test_an_outage_raises_and_is_over_when_the_server_is_back() -> None:
    with start_server() as server, Connection.open(server.url, retries=0) as connection:
        store = ByteStore("s", connection=connection)
        log = MessageLog("s", connection=connection)
        keys = IndexedKeys("s", connection=connection)
        calls: list[Callable[[], object]] = [
            lambda: store.mget(["a"]),
            lambda: store.mset([("a", b"1")]),
            lambda: list(store.yield_keys()),
            log.read,
            lambda: log.append([b"1"]),
            lambda: keys.update(["a"]),
            keys.select,
            keys.time,
        ]
        for call in calls:
            call()
        server.kill()
        for call in calls:
            with pytest.raises(ConnectionLostError):
                call()
        server.restart()
        for call in calls:
            call()


def test_a_value_that_the_server_refuses_is_named() -> None:
    with start_server() as server, Connection.open(server.url) as connection:
        store = ByteStore("s", connection=connection)
        store.mset([("a", b"1")])
        connection.execute("CONFIG", "SET", "maxmemory-policy", "noeviction")
        connection.execute("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(PartialWriteError, match=r"'b'.*OOM") as caught:
            store.mset([("b", b"2")])
        assert (caught.value.written, list(caught.value.failed)) == (0, ["b"])


def test_a_store_closes_its_own_connection_and_not_a_passed_one(
    server_url: str, connection: Connection, index_name: str
) -> None:
    with ByteStore(index_name, url=server_url) as own:
        own.mset([("a", b"1")])
    with pytest.raises(ConfigurationError, match="closed"):
        own.mget(["a"])
    with ByteStore(index_name, connection=connection) as given:
        assert given.connection is connection
    assert given.mget(["a"]) == [b"1"]

    async def use() -> list[bytes | None]:
        async with ByteStore(index_name, url=server_url) as store:
            return await store.amget(["a"])

    assert asyncio.run(use()) == [b"1"]
    assert asyncio.run(use()) == [b"1"]
