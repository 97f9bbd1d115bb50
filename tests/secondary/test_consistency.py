from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import secondary_writer
from secondary_writer import Everything, disagreements, write_at_random, writes
from servers import start_server
from valkey_vector import ServerError
from valkey_vector.connection import Connection
from valkey_vector.secondary import NumericIndex, Report

TURNS = 12
KINDS = [*Everything.__slots__]


def start_writer(url: str, name: str, seed: int) -> subprocess.Popen[str]:
    program = [sys.executable, str(Path(secondary_writer.__file__)), url, name, str(seed)]
    started = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def test_threads_that_write_at_once_leave_every_pair_consistent(
    connection: Connection, index_name: str
) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda seed: write_at_random(index_name, connection, seed, 12), range(6)))
    everything = Everything.of(index_name, connection)
    assert [str(r) for one in everything.all if (r := one.verify()).found] == []
    assert disagreements(everything) == []


def test_processes_killed_during_writes_leave_only_what_repair_fixes(
    connection: Connection, secondary_url: str, index_name: str
) -> None:
    rng = random.Random()
    everything = Everything.of(index_name, connection)
    for turn in range(2):
        writers = [start_writer(secondary_url, index_name, 10 * turn + n) for n in range(2)]
        try:
            for _ in range(2):  # the others write on
                time.sleep(rng.uniform(0.0, 0.05))
                assert [one.verify().found for one in everything.all] == [0] * len(KINDS)
        finally:
            for writer in writers:
                writer.kill()
                writer.communicate()
        for one in everything.all:
            assert one.verify().found == 0
            assert one.repair().ok
        assert disagreements(everything) == []


def damage(connection: Connection, key: bytes, kind: str, rng: random.Random) -> None:
    """One thing that a careless hand does to a key."""
    entries = {
        "zset": lambda: connection.execute("ZRANGE", key, "0", "-1"),
        "hash": lambda: connection.execute("HKEYS", key),
        "set": lambda: connection.execute("SMEMBERS", key),
        "list": lambda: connection.execute("LRANGE", key, "0", "-1"),
    }[kind]()
    entry = rng.choice(sorted(entries)) if entries else b"x"
    garbage = rng.choice(
        [b"", b"\x00", b"\xff\xff", b"\x80", entry[:-1], entry + b"z", b"s\xff\x00\x01"]
    )
    commands: dict[str, list[list[bytes]]] = {
        "zset": [
            [b"ZREM", key, entry], [b"ZADD", key, b"0", garbage], [b"ZADD", key, b"5", entry],
            [b"ZADD", key, b"-1e300", garbage],
        ],
        "hash": [[b"HDEL", key, entry], [b"HSET", key, entry, garbage], [b"HSET", key, garbage, entry]],
        "set": [[b"SADD", key, garbage], [b"SREM", key, entry]],
        "list": [[b"LPUSH", key, garbage], [b"RPUSH", key, *[b"x"] * 7]],
    }  # fmt: skip
    anything = [[b"UNLINK", key], [b"SET", key, b"text"]]
    chosen = rng.choice([*commands[kind] * 3, *anything])
    if chosen[0] != b"SET" and connection.execute("TYPE", key) not in (kind.encode(), b"none"):
        return
    connection.execute(*chosen)


@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_by_another_program_is_reported_and_repaired(
    connection: Connection, index_name: str, kind: str
) -> None:
    rng = random.Random()
    seen: set[str] = set()
    for _ in range(TURNS):
        everything = Everything.of(index_name, connection)
        index: Any = getattr(everything, kind)
        index.clear()
        for _ in range(6):
            writes(everything, rng)[kind]()
        for _ in range(rng.randint(1, 3)):
            part = rng.choice([*index.parts])
            broken = connection.execute("TYPE", index._key(part)) not in (
                index.parts[part].encode(), b"none"
            )  # fmt: skip
            if not broken:
                damage(connection, index._key(part), index.parts[part], rng)
        if rng.random() < 0.2:
            connection.execute("UNLINK", index._key("settings"))
        reported = index.verify()
        mended = index.repair()
        assert (mended.found > 0) == (reported.found > 0)
        seen |= {problem.kind for problem in mended.problems}
        assert str(index.verify()).endswith("no problem found"), (str(mended), str(index.verify()))
        for _ in range(3):
            writes(everything, rng)[kind]()
        assert index.verify().found == 0
        assert kind not in disagreements(everything)
    assert seen


def test_a_report_lists_problems_and_counts_checked_entries(
    connection: Connection, index_name: str
) -> None:
    index = NumericIndex(index_name, connection=connection)
    index.add_many((str(n), n if n % 2 else 2**60 + 1 + n) for n in range(1200))
    progress: list[int] = []
    report = index.verify(progress=progress.append)
    assert (report.ok, report.found, report.problems) == (True, 0, ())
    assert report.checked == 600 + 2 * 600 == progress[-1]
    assert progress == sorted(progress)
    connection.execute("HDEL", index._key("held"), "0")
    found = index.verify()
    assert not found.ok
    assert [(problem.kind, problem.detail) for problem in found.problems] == [
        ("missing record", b"0")
    ]
    assert "1 problem found; call repair() to repair them: missing record: b'0'" in str(found)
    mended: Report = index.repair()
    assert mended.ok
    assert mended.repaired
    assert mended.found == 1
    assert index.value("0") == 2**60 + 1


def test_a_server_without_memory_refuses_whole_changes_and_lets_members_be_removed(
    index_name: str,
) -> None:
    with start_server() as server, Connection.open(server.url) as connection:
        everything = Everything.of(index_name, connection)
        write_at_random(index_name, connection, 1, 8)
        everything.numeric.add_many({"a": 1, "b": 2**53 + 1})
        everything.composite.put("a", {"n": 1, "t": "x"})
        before = everything.composite.items()
        connection.execute("CONFIG", "SET", "maxmemory", "1")
        row: dict[str, Any] = {"n": 2, "t": "y"}
        changes: list[Callable[[], object]] = [
            lambda: everything.composite.put_many({"a": row, "c": row}),
            lambda: everything.numeric.add("b", 5),
            lambda: everything.triples.add("a", "b", "c"),
        ]
        for change in changes:
            with pytest.raises(ServerError, match="OOM"):
                change()
        assert everything.composite.items() == before
        assert everything.composite.remove(["a"]) == everything.numeric.remove(["b"]) == 1
        assert [one.verify().found for one in everything.all] == [0] * len(KINDS)
