"""An embedded server that dies is started or joined again by whoever has it open."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from child_processes import in_child
from langchain_valkey import ValkeyVectorStore
from langgraph_valkey import ValkeySaver
from valkey_vector import Connection, Index, Record
from valkey_vector.cache import ExactCache
from valkey_vector.errors import ConnectionLostError
from valkey_vector.stores import MessageLog

# From Python 3.12 on a fork with threads warns; that it works all the same is what is tested here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

WRITER = """
import sys
from valkey_vector import Connection
connection = Connection.open(sys.argv[1])
connection.execute("INCR", "n")
print("ready", flush=True)
for line in sys.stdin:
    print(connection.execute("INCR", "n"), flush=True)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def url(directory: Path) -> str:
    return f"embedded://{directory}"


def kill(pid: int) -> None:
    """Kill a process that is not a child of this one, and wait until nothing of it is left."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        assert time.monotonic() < deadline
        time.sleep(0.0001)


def server_of(connection: Connection) -> int:
    if connection.execute("CONFIG", "GET", "appendonly") == {b"appendonly": b"yes"}:
        # With appendfsync everysec the server may answer before it writes to the file, while an fsync is under way.
        connection.execute("WAITAOF", "1", "0", "5000")
    info = connection.execute("INFO", "server")
    (line,) = [line for line in info.splitlines() if line.startswith(b"process_id:")]
    return int(line.partition(b":")[2])


def test_a_write_after_the_server_was_killed_starts_it_again_with_its_data(url: str) -> None:
    with Connection.open(url) as connection:
        connection.execute("SET", "kept", "v")
        for _ in range(3):
            kill(server_of(connection))
            assert connection.execute("SET", "new", "w") == "OK"
            assert connection.pipeline([["GET", "kept"]], lane=1) == [b"v"]


def test_a_server_whose_supervisor_was_killed_is_started_again(url: str, directory: Path) -> None:
    with Connection.open(url) as connection:
        connection.execute("SET", "kept", "v")
        record = json.loads((directory / "server.json").read_text())
        kill(record["supervisor"])
        assert connection.execute("GET", "kept") == b"v"
        assert server_of(connection) != record["server"]


def test_stores_caches_and_histories_that_are_open_go_on(url: str) -> None:
    embedding = DeterministicFakeEmbedding(size=8)
    with (
        Index.open("numbers", dimension=2, url=url) as index,
        ValkeyVectorStore(embedding, index_name="texts", url=url) as store,
        MessageLog("log", url=url) as log,
        ExactCache("answers", on_error="raise", url=url) as cache,
        ValkeySaver(url=url) as saver,
    ):
        calls: list[Callable[[], Any]] = [
            lambda: index.upsert([Record(id="a", vector=[1, 0])]),
            lambda: store.add_documents([Document("text", id="t")]),
            lambda: log.append([b"x"]),
            lambda: cache.store("question", "answer"),
            lambda: saver.get_tuple({"configurable": {"thread_id": "t"}}),
            lambda: index.search([1, 0], k=1)[0].record.id,
            lambda: store.similarity_search("text", k=1)[0].id,
            log.count,
            lambda: cache.lookup("question"),
        ]
        for call in calls[:5]:
            call()
        found = [call() for call in calls[5:]]
        for call in calls:
            kill(server_of(index.connection))
            call()
        assert index.search([1, 0], k=1)[0].record.id == found[0] == "a"
        assert store.similarity_search("text", k=1)[0].id == found[1] == "t"
        hit = cache.lookup("question")
        assert (log.count(), hit and hit.answer) == (2, "answer")


def test_asynchronous_methods_go_on_too(url: str) -> None:
    async def use() -> int:
        async with (
            MessageLog("log", url=url) as log,
            Index.open("n", dimension=2, url=url) as index,
        ):
            for count in range(1, 4):
                await log.aappend([b"x"])
                await index.aupsert([Record(id=f"{count}", vector=[1, 0])])
                kill(server_of(index.connection))
                assert await log.acount() == count
                assert len(await index.asearch([1, 0], k=9)) == count
            return int(await index.acount())

    assert asyncio.run(use()) == 3


def test_every_process_that_has_the_directory_open_rejoins_one_server(url: str) -> None:
    users = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        with Connection.open(url) as connection:
            for user in users:
                assert user.stdout is not None
                assert user.stdout.readline() == "ready\n"
            kill(server_of(connection))
            for user in users:
                assert user.stdin is not None
                user.stdin.write("again\n")
                user.stdin.flush()
            assert connection.execute("INCR", "n")
            told = [int(user.stdout.readline()) for user in users if user.stdout is not None]
            assert max({*told, 7}) == 7
            assert connection.execute("GET", "n") == b"7"
    finally:
        for user in users:
            user.communicate(timeout=20)


def test_a_forked_child_and_its_parent_each_rejoin(url: str) -> None:
    with Connection.open(url) as connection:
        connection.execute("SET", "n", "0")
        kill(server_of(connection))
        assert in_child(lambda: connection.execute("INCR", "n") == 1)
        assert connection.execute("INCR", "n") == 2


def test_what_cannot_be_started_again_names_the_directory_and_both_causes(
    url: str, directory: Path
) -> None:
    with Connection.open(url) as connection:
        pid = server_of(connection)
        kill(pid)
        deadline = time.monotonic() + 10
        while (directory / "server.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        shutil.rmtree(directory)
        directory.write_text("in the way")
        for _ in range(2):
            with pytest.raises(ConnectionLostError) as caught:
                connection.execute("PING")
            for part in (
                str(directory),
                "SIGKILL",
                "could not be started again",
                "not a directory",
            ):
                assert part in str(caught.value)
        directory.unlink()
        assert connection.execute("PING") == b"PONG"


def test_the_loss_of_a_temporary_server_is_raised_once_to_each_connection() -> None:
    program = """
import os, sys
from valkey_vector import Connection, ConnectionLostError
with Connection.open("embedded://") as one, Connection.open("embedded://") as other:
    one.execute("SET", "k", "v")
    other.execute("GET", "k")
    info = one.execute("INFO", "server")
    (line,) = [line for line in info.splitlines() if line.startswith(b"process_id:")]
    os.kill(int(line.partition(b":")[2]), 9)
    while one._clients._resources.embedded.running:
        pass
    for each in (one, other):
        try:
            each.execute("GET", "k", retry=True)
        except ConnectionLostError as error:
            assert "temporary embedded server was killed (SIGKILL" in str(error), error
            assert "data is lost" in str(error), error
        else:
            sys.exit("the loss was not raised")
        assert each.execute("SET", "k", "w") == "OK"
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
