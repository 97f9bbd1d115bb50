"""Bulk writes hold a bounded number of bytes, and finish wherever they run."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from itertools import islice

import pytest

from round_trips import CommandLog
from valkey_vector import FullText, Index, InvalidInputError, Record, Schema
from valkey_vector.connection.batches import REQUEST_BYTES, even_size, in_batches, staggered_sizes
from valkey_vector.storage.sizes import estimated_size, prepared_size
from valkey_vector.stores import ByteStore

MEBIBYTE = 1024 * 1024
TEXT = "x" * MEBIBYTE


def large(count: int) -> Iterator[Record]:
    for n in range(count):
        yield Record(id=f"r{n}", content=TEXT, vector=[1.0, n, 0, 0], payload=bytes(100_000))


PROGRAM = """
import resource, sys
from valkey_vector import Index, Record
text = "x" * 1_000_000
def records(count):
    for n in range(count):
        where = {where!r}
        yield Record(
            id=f"r{{n}}", vector=[1.0, n, 0, 0],
            content=text[n:] if where == "content" else "", payload=text.encode()[n:] if where == "payload" else None,
            metadata={{"text": text[n:]}} if where == "metadata" else {{"n": n}},
        )
with Index.open({name!r}, url={url!r}, engine={engine!r}, dimension=4) as index:
    index.upsert(records(2), batch_size=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    given = records(150)
    result = index.upsert(list(given) if {listed!r} else given, batch_size={batch_size!r})
    assert result.written == 150
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert index.count() == 150
    index.drop()
print(grown // 1024)
"""


@pytest.mark.parametrize(
    "case", [("content", False, 10_000), ("metadata", False, 100), ("payload", True, 100)]
)
def test_large_records_take_little_memory_at_any_batch_size(
    server_url: str, index_name: str, engine_name: str, case: tuple[str, bool, int]
) -> None:
    where, listed, batch_size = case
    program = PROGRAM.format(
        name=index_name,
        url=server_url,
        engine=engine_name,
        where=where,
        listed=listed,
        batch_size=batch_size,
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    own = 150 if listed else 0  # the list itself
    assert int(ended.stdout) < own + 150


def test_a_list_of_large_records_is_checked_without_being_held_twice(index: Index) -> None:
    records = list(large(100))
    tracemalloc.start()
    try:
        index.upsert(records)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 190 * MEBIBYTE
    assert index.count() == 100
    records.append(Record(id="bad", content=b"x"))  # type: ignore[arg-type]
    records[0] = Record(id="new", content=TEXT)
    with pytest.raises(InvalidInputError, match="'bad'"):
        index.upsert(records)
    assert index.count() == 100
    with pytest.raises(InvalidInputError, match="more than once"):
        index.upsert([*records[1:100], records[1]])


def test_a_request_has_bounded_bytes(index: Index, commands: CommandLog) -> None:
    index.create()
    commands.clear()
    index.upsert(large(20))
    requests = [
        sum(len(part) for command in request for part in command)
        for request in commands.round_trips
        if any(len(part) > MEBIBYTE // 2 for command in request for part in command)
    ]
    assert len(requests) >= 5
    assert all(size <= REQUEST_BYTES + 2 * MEBIBYTE for size in requests)


def test_sizes_are_about_right() -> None:
    schema = Schema(dimension=4, full_text=FullText())
    from valkey_vector.storage.preparation import prepare

    record = Record(
        id="a", content="running " * 1000, vector=[1.0] * 4, metadata={"a": ["b" * 500] * 3}
    )
    (prepared,) = prepare([record], schema)
    size = prepared_size(prepared, 3)
    assert size > 2.5 * 8000 + 1500, "text, words, stems, metadata"
    assert estimated_size(record, 3) == pytest.approx(size, rel=0.2)
    for strange in (None, 1, Record(id=1, content=2, metadata=3, vectors=4)):  # type: ignore[arg-type]
        assert estimated_size(strange, 3) > 0


def test_batches_are_bounded_by_number_and_weight() -> None:
    assert list(in_batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(in_batches([1, 9, 3, 3, 20, 1], 10, int, max_bytes=10)) == [
        [1, 9],
        [3, 3],
        [20],
        [1],
    ]
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(9):
            taken.append(n)
            yield n

    assert next(in_batches(numbers(), 3)) == [0, 1, 2]
    assert taken == [0, 1, 2]
    assert list(in_batches([], 3)) == []


def test_batches_of_a_list_keep_all_connections_busy_until_the_end() -> None:
    def batches(count: int, size: int, connections: int) -> list[int]:
        even = even_size(count, size, connections)
        return [len(batch) for batch in in_batches(range(count), even)]

    assert batches(200, 200, 4) == [200], "a single batch stays one"
    assert batches(201, 200, 4) == [51, 51, 51, 48]
    assert batches(1000, 200, 4) == [125] * 8
    assert batches(20, 4, 4) == [3] * 6 + [2]
    assert batches(5, 1, 4) == [1] * 5
    assert batches(10_000, 200, 1) == [200] * 50
    for count in (1, 7, 199, 799, 801, 9_999):
        assert max(batches(count, 200, 4)) <= 200


def test_batches_of_a_long_list_begin_one_after_another_and_end_together() -> None:
    def batches(count: int, size: int, connections: int) -> list[int]:
        sizes = staggered_sizes(count, size, connections)
        return [len(batch) for batch in in_batches(range(count), sizes)]

    assert batches(200, 200, 4) == [200], "a single batch stays one"
    assert batches(800, 200, 4) == [200] * 4, "one batch on each connection"
    assert batches(2400, 200, 4) == [50, 100, 150, *[200] * 9, 150, 100, 50]
    assert batches(1000, 200, 4) == [31, 62, 93, *[125] * 5, 94, 63, 32]
    assert batches(20, 4, 4) == [3] * 6 + [2], "small batches stay even"
    for count in (1, 7, 199, 799, 801, 9_999):
        assert max(batches(count, 200, 4)) <= 200
        assert sum(batches(count, 200, 4)) == count
    assert list(islice(staggered_sizes(400, 200, 1), 4)) == [200] * 4
    heavy = in_batches(range(1_000), staggered_sizes(1_000, 200, 4), lambda _: 1, max_bytes=20)
    assert [len(batch) for batch in heavy] == [20] * 50, "bounded by weight, too"


def test_large_values_are_stored_in_bounded_requests(server_url: str, index_name: str) -> None:
    with ByteStore(index_name, url=server_url) as store:
        pairs = [(f"k{n}", bytes(MEBIBYTE)) for n in range(30)]
        tracemalloc.start()
        try:
            store.mset(pairs)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 20 * MEBIBYTE
        assert store.mget(["k29"]) == [bytes(MEBIBYTE)]
        store.clear()


OUTLIVING = """
import asyncio, threading, time
from valkey_vector import Index, Record
def records(first):
    return [Record(id=f"{{first}}-{{n}}", vector=[1.0, n, 0, 0]) for n in range(50)]
def blocking():
    threading.main_thread().join()
    with Index.open({name!r}, url={url!r}, engine={engine!r}, dimension=4) as index:
        index.upsert(records("blocking"), batch_size=5)
        print(index.count(), flush=True)
    asyncio.run(awaited())
async def awaited():
    with Index.open({name!r}, url={url!r}, engine={engine!r}, dimension=4) as index:
        await index.aupsert(records("awaited"), batch_size=5)
        print(await index.acount(), flush=True)
if {warm!r}:
    with Index.open({name!r}, url={url!r}, engine={engine!r}, dimension=4) as index:
        index.upsert(records("blocking"), batch_size=5)
threading.Thread(target=blocking).start()
"""


@pytest.mark.parametrize("warm", [False, True])
def test_a_write_in_a_thread_that_outlives_the_main_one_finishes(
    server_url: str, index_name: str, engine_name: str, warm: bool
) -> None:
    program = OUTLIVING.format(name=index_name, url=server_url, engine=engine_name, warm=warm)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout.split()) == (0, ["50", "100"]), ended.stderr
