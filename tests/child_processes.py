"""Functions that tests run in other processes. Unlike a test module, they can import this one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from langchain_valkey import ValkeyVectorStore
from valkey_vector import F, Index, Record
from valkey_vector.index.settings import EngineChoice

HERE = [1.0, 0.0, 0.0, 0.0]


def make_and_write(url: str, name: str, engine: EngineChoice, number: int) -> int:
    """Make an index, as other processes do at the same time, and write to it; how many are found."""
    with Index.open(name, url=url, engine=engine, dimension=4) as index:
        records = [
            Record(
                id=f"{number}-{n}",
                vector=HERE,
                metadata={"n": n, f"k{number}": n, "process": number},
            )
            for n in range(40)
        ]
        index.upsert(records, batch_size=10)
        return index.count(F("process") == number)


def search_once(store: ValkeyVectorStore, text: str) -> str | None:
    """The id of what a store finds first."""
    (found,) = store.similarity_search(text, k=1)
    return found.id


def in_child(function: Callable[[], bool]) -> bool:
    """Return True if the function returned True in a forked child within ten seconds."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if function() else 1
        finally:
            os._exit(status)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False
