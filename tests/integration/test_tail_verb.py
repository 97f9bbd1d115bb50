"""The verb `tail` and `operations.tail`: what is written to a real index, deleted and expired, as it happens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from command_runs import start_command
from valkey_vector import (
    Connection,
    Index,
    IndexNotFoundError,
    InvalidInputError,
    Record,
    ValkeyVectorError,
)
from valkey_vector.operations import Change, Missed, atail, tail


@pytest.fixture
def filled(open_index: Callable[..., Index]) -> Index:
    index = open_index()
    index.upsert([record(n) for n in range(5)])
    return index


def record(number: int, **metadata: object) -> Record:
    return Record(
        id=f"d{number}", vector=[1, number, 0, 0], content=f"text {number}", metadata=metadata
    )


class Tail:
    """A tail in a thread, from the moment at which it sees changes."""

    def __init__(self, index: Index, **options: object) -> None:
        self.changes: list[Change | Missed] = []
        self.error: Exception | None = None
        begun = threading.Event()
        settings = {"interval": 0.05, "seconds": 60.0, **options}

        def read() -> None:
            try:
                for change in tail(index, on_begin=lambda _: begun.set(), **settings):  # type: ignore[arg-type]
                    self.changes.append(change)
            except ValkeyVectorError as error:  # at the end of a test, its connection is closed
                self.error = error

        self.thread = threading.Thread(target=read, daemon=True)
        self.thread.start()
        assert begun.wait(10)

    def pairs(self) -> list[tuple[str, str]]:
        return [(each.operation, each.id) for each in self.changes if isinstance(each, Change)]

    def until(self, *expected: tuple[str, str]) -> None:
        """Wait for exactly these changes; more of them fail."""
        deadline = time.monotonic() + 30
        while len(self.pairs()) < len(expected) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        assert sorted(self.pairs()) == sorted(expected)
        self.changes.clear()


def test_written_updated_and_deleted_records_are_reported(filled: Index) -> None:
    seen = Tail(filled)
    filled.upsert([record(7), record(1)])
    seen.until(("written", "d7"), ("written", "d1"))
    filled.update_metadata(["d2"], {"a": 1})
    seen.until(("written", "d2"))
    filled.delete(["d3", "d4"])
    seen.until(("deleted", "d3"), ("deleted", "d4"))
    filled.upsert([record(3)])
    seen.until(("written", "d3"))


def test_an_expired_record_is_reported_as_expired(filled: Index) -> None:
    seen = Tail(filled)
    filled.upsert([record(8)], ttl=3.0)
    seen.until(("written", "d8"))
    seen.until(("expired", "d8"))
    filled.upsert([record(9)])  # the native engine's log now notes the expiration, too
    seen.until(("written", "d9"))


def test_changes_have_the_time_of_the_server(filled: Index) -> None:
    seen = Tail(filled)
    filled.upsert([record(6)])
    deadline = time.monotonic() + 30
    while not seen.changes and time.monotonic() < deadline:
        time.sleep(0.02)
    seconds, _ = filled.connection.execute("TIME")
    assert abs(seen.changes[0].time - int(seconds)) < 10


def test_metadata_and_content_come_only_on_request(filled: Index) -> None:
    plain, full = Tail(filled), Tail(filled, with_metadata=True, with_content=True)
    filled.upsert([record(6, tag="x")])
    deadline = time.monotonic() + 30
    while not (plain.changes and full.changes) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert isinstance(plain.changes[0], Change)
    assert (plain.changes[0].metadata, plain.changes[0].content) == (None, None)
    assert isinstance(full.changes[0], Change)
    assert (full.changes[0].metadata, full.changes[0].content) == ({"tag": "x"}, "text 6")


def test_more_changes_than_one_poll_holds_are_all_reported(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(dimension=1)
    index.create()
    seen = Tail(index, interval=1.0)
    index.upsert([Record(id=str(n), vector=[1.0]) for n in range(10_500)])
    deadline = time.monotonic() + 30
    while len(set(seen.pairs())) < 10_500 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {id for _, id in seen.pairs()} == {str(n) for n in range(10_500)}


def test_a_dropped_index_ends_the_tail(filled: Index) -> None:
    seen = Tail(filled)
    filled.drop()
    seen.thread.join(10)
    assert isinstance(seen.error, IndexNotFoundError)


def test_trimmed_deletions_are_noticed(open_index: Callable[..., Index], engine_name: str) -> None:
    if engine_name == "search":
        return  # a comparison misses no deletion
    index = open_index()
    index.upsert([record(n) for n in range(3)])
    seen = Tail(index, interval=0.5)
    index.delete(["d1"])
    catalog = f"{{{index.name}}}:index"
    last = int(index.connection.execute("HGET", catalog, "seq"))
    index.connection.execute("HSET", catalog, "floor", str(last))
    deadline = time.monotonic() + 30
    while (
        not any(isinstance(each, Missed) for each in seen.changes) and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    assert any(isinstance(each, Missed) and "trimmed" in each.reason for each in seen.changes)


def test_an_index_that_is_too_large_to_compare_is_refused_with_the_cure(
    filled: Index, engine_name: str
) -> None:
    if engine_name == "native":
        assert list(tail(filled, seconds=0.1, max_records=2)) == []
        return
    with pytest.raises(InvalidInputError, match="max_records"):
        tail(filled, max_records=2)


def test_a_native_index_in_one_slot_of_a_cluster_is_followed(
    cluster_url: str, index_name: str
) -> None:
    with Connection.open(cluster_url) as connection:
        index = Index.open(f"{{{index_name}}}a", dimension=4, connection=connection)
        index.upsert([record(1)])
        seen = Tail(index)
        index.upsert([record(2)], ttl=3.0)
        index.delete(["d1"])
        seen.until(("written", "d2"), ("deleted", "d1"), ("expired", "d2"))
        index.drop()
        seen.thread.join(10)


@pytest.mark.parametrize("options", [{"interval": 0}, {"seconds": -1}])
def test_times_out_of_range_are_refused(filled: Index, options: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError):
        tail(filled, **options)  # type: ignore[arg-type]


async def test_the_async_version_yields_the_same(filled: Index) -> None:
    def write(_: str) -> None:
        filled.upsert([record(6)])

    found = [each async for each in atail(filled, interval=0.05, seconds=5.0, on_begin=write)]
    assert [(each.operation, each.id) for each in found if isinstance(each, Change)] == [
        ("written", "d6")
    ]


def test_a_slow_reader_is_not_waited_for_twice(filled: Index) -> None:
    def write(_: str) -> None:
        filled.upsert([record(6)])

    changes = tail(filled, interval=0.05, seconds=60, on_begin=write)
    next(changes)
    filled.upsert([record(7)])
    time.sleep(3)
    begun = time.monotonic()
    next(changes)
    assert time.monotonic() - begun < 1.5


_CANCELLED = """
import asyncio, sys
from valkey_vector import Connection, Index
from valkey_vector.operations import atail

async def read(index, begun):
    async for change in atail(index, interval=600.0, on_begin=lambda _: begun.set()):
        pass

async def main():
    with Connection.open(sys.argv[1]) as connection:
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        index = Index.open(sys.argv[2], connection=connection)
        class Threadsafe:
            def set(self):
                loop.call_soon_threadsafe(begun.set)
        task = asyncio.create_task(read(index, Threadsafe()))
        await begun.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

asyncio.run(main())
"""


def test_a_cancelled_tail_does_not_keep_the_process_alive(filled: Index, server_url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _CANCELLED, server_url, filled.name],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def started(url: str, *arguments: str) -> subprocess.Popen[str]:
    """The verb as a process that sees changes from now on."""
    process = start_command("tail", *arguments, url=url)
    assert process.stderr is not None
    begun = process.stderr.readline()
    assert "change log" in begun or "comparing" in begun
    return process


def test_the_verb_prints_one_object_a_line_and_ends_by_itself(
    filled: Index, server_url: str
) -> None:
    options = ["--for", "5", "--interval", "0.1", "--metadata", "--json"]
    process = started(server_url, filled.name, *options)
    filled.upsert([record(6, tag="x")])
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    (found,) = [json.loads(line) for line in output.splitlines()]
    assert (found["operation"], found["id"]) == ("written", "d6")
    assert found["metadata"] == {"tag": "x"}
    assert "content" not in found
    assert found["time"].endswith("+00:00")


def test_an_interrupt_ends_the_verb_without_a_traceback(filled: Index, server_url: str) -> None:
    process = started(server_url, filled.name)
    try:
        filled.upsert([record(6)])
        assert process.stdout is not None
        assert "written" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=20)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in error


def test_a_change_is_one_line_although_its_id_has_several(filled: Index, server_url: str) -> None:
    process = started(server_url, filled.name, "--for", "4", "--interval", "0.1")
    filled.upsert([Record(id="a\n2026-01-01  deleted  b", vector=[1, 0, 0, 0])])
    output, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    (line,) = output.splitlines()
    assert line.endswith("written   a 2026-01-01  deleted  b")
