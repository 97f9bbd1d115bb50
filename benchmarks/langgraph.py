"""Checkpointers side by side: operations per second, round trips, bytes sent and bytes stored.

    python -m benchmarks.langgraph [--checkpoints 200] [--repeat 3] [--postgres URL]

Every installed contender takes part: LangGraph's own `InMemorySaver` and `SqliteSaver`, `PostgresSaver` with a URL, the Valkey
saver of langgraph-checkpoint-aws, and the Redis saver of langgraph-checkpoint-redis, which needs RediSearch and RedisJSON.
Networked savers use a private server: directly for the rates, then through a proxy that counts bytes and round trips.

The thread is a conversation. Each step adds a message and leaves a document of 4 KB unchanged. The texts are from Python's
manual. Prints Markdown. Ratios compare a contender with `ValkeySaver`; above 1 the contender needs more.
"""

from __future__ import annotations

import argparse
import gc
import select
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_valkey import ValkeySaver
from servers import TestServer, free_port, start_server

TEXT = " ".join(" ".join(topics.values()).split())
DOCUMENT = TEXT[-4000:]
LENGTH = 120  # of a message


class Proxy:
    """Proxy between clients and a server that counts bytes and round trips."""

    def __init__(self, port: int) -> None:
        self.sent = self.received = self.round_trips = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> None:
        self.sent = self.received = self.round_trips = 0

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        sending = False
        with client, server, suppress(OSError):
            while True:
                for readable in select.select([client, server], [], [])[0]:
                    data = readable.recv(1 << 16)
                    if not data:
                        return
                    if readable is client:
                        self.round_trips += not sending
                        sending = True
                        self.sent += len(data)
                        server.sendall(data)
                    else:
                        sending = False
                        self.received += len(data)
                        client.sendall(data)


@dataclass
class Contender:
    """A saver, and a function that returns the bytes it stores; for a networked one also a saver behind a proxy."""

    name: str
    saver: BaseCheckpointSaver[Any]
    stored: Callable[[], int]
    watched: BaseCheckpointSaver[Any] | None = None
    proxy: Proxy | None = None
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, figure: str, value: float) -> None:
        self.figures.setdefault(figure, []).append(value)

    def median(self, figure: str) -> float | None:
        values = self.figures.get(figure)
        return statistics.median(values) if values else None


def conversation(
    saver: BaseCheckpointSaver[Any], thread: str, count: int
) -> Iterator[Callable[[], None]]:
    """Yield the puts of a conversation, step by step."""
    config: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
    versions = {"document": saver.get_next_version(None, None), "messages": None}
    messages: list[AIMessage] = []
    for step in range(count):
        messages = [*messages, AIMessage(TEXT[step * LENGTH :][:LENGTH], id=str(step))]
        versions = {**versions, "messages": saver.get_next_version(versions["messages"], None)}
        new = dict(versions) if step == 0 else {"messages": versions["messages"]}
        checkpoint: Any = {
            "v": 4, "id": str(uuid6(clock_seq=step)), "ts": "2026-01-01T00:00:00+00:00",
            "channel_values": {"document": DOCUMENT, "messages": messages}, "channel_versions": versions,
            "versions_seen": {"node": {"messages": versions["messages"]}}, "updated_channels": ["messages"],
        }  # fmt: skip
        metadata: Any = {"source": "loop", "step": step, "parents": {}, "run_id": "run"}
        returned: list[Any] = []

        def put(
            config: Any = config,
            checkpoint: Any = checkpoint,
            metadata: Any = metadata,
            new: Any = new,
            returned: list[Any] = returned,
        ) -> None:
            returned.append(saver.put(config, checkpoint, metadata, new))

        yield put
        config = returned[0]
        last = [("messages", messages[-1])]
        saver.put_writes(config, last, f"00000000-0000-0000-0000-{step:012}", "path")


def measure(contender: Contender, thread: str, count: int) -> None:
    """Measure one conversation: puts, gets of the newest checkpoint, lists of ten; once for rates, once for traffic."""
    before = contender.stored()
    _measure(contender, contender.saver, None, thread, count)
    contender.note("bytes stored", (contender.stored() - before) / count)
    if contender.watched is not None:
        _measure(contender, contender.watched, contender.proxy, f"{thread} watched", count)


def _measure(
    contender: Contender,
    saver: BaseCheckpointSaver[Any],
    proxy: Proxy | None,
    thread: str,
    count: int,
) -> None:
    config: Any = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
    gets = (lambda: saver.get_tuple(config) for _ in range(count))
    lists = (lambda: list(saver.list(config, limit=10)) for _ in range(count // 10))
    _timed(contender, "put", conversation(saver, thread, count), proxy)
    _timed(contender, "get", gets, proxy)
    _timed(contender, "list", lists, proxy)


def _timed(
    contender: Contender, name: str, calls: Iterator[Callable[[], Any]], proxy: Proxy | None
) -> None:
    seconds, round_trips, traffic, count = 0.0, 0, 0, 0
    for count, call in enumerate(calls, 1):  # noqa: B007 - the last number is used
        if proxy is not None:
            proxy.reset()
        begin = time.perf_counter()
        call()
        seconds += time.perf_counter() - begin
        if proxy is not None:
            round_trips += proxy.round_trips
            traffic += proxy.sent + proxy.received
    if proxy is None:
        contender.note(f"{name}/s", count / seconds)
    else:
        contender.note(f"{name} trips", round_trips / count)
        contender.note(f"{name} bytes", traffic / count)


@contextmanager
def _server(**options: Any) -> Iterator[tuple[TestServer, Proxy, Callable[[], int]]]:
    with start_server(**options) as server:
        proxy = Proxy(server.port)

        def stored() -> int:
            time.sleep(0.3)  # the search module frees and counts in the background
            info: Any = server.command("INFO", "memory")
            return int(info.split(b"used_memory:")[1].split(b"\r")[0])

        yield server, proxy, stored
        proxy.close()


def contenders(stack: ExitStack, postgres: str | None) -> list[Contender]:
    """Open every saver that is installed."""
    server, proxy, stored = stack.enter_context(_server())
    ours, watched = (
        stack.enter_context(ValkeySaver(f"valkey://127.0.0.1:{port}"))
        for port in (server.port, proxy.port)
    )
    found = [Contender("ValkeySaver", ours, stored, watched, proxy)]
    for make in (_aws, _redis, _memory, _sqlite):
        try:
            found.append(make(stack))
        except ImportError as error:
            print(f"<!-- left out: {error} -->")
    if postgres is not None:
        found.append(_postgres(stack, postgres))
    return found


def _aws(stack: ExitStack) -> Contender:
    from langgraph_checkpoint_aws import ValkeySaver as AwsSaver
    from valkey import Valkey

    server, proxy, stored = stack.enter_context(_server())
    saver, watched = (
        AwsSaver(Valkey.from_url(f"valkey://127.0.0.1:{port}", decode_responses=False))
        for port in (server.port, proxy.port)
    )
    return Contender("AWS ValkeySaver", saver, stored, watched, proxy)


def _redis(stack: ExitStack) -> Contender:
    from langgraph.checkpoint.redis import RedisSaver

    server, proxy, stored = stack.enter_context(_server(search=True, json=True))
    saver, watched = (
        stack.enter_context(RedisSaver.from_conn_string(f"redis://127.0.0.1:{port}"))
        for port in (server.port, proxy.port)
    )
    for one in (saver, watched):
        one.setup()
    return Contender("RedisSaver", saver, stored, watched, proxy)


def _memory(stack: ExitStack) -> Contender:
    del stack
    saver = InMemorySaver()

    def stored() -> int:
        return sum(len(data) for _, data in saver.blobs.values()) + sum(
            len(one[0][1]) + len(one[1][1])
            for thread in saver.storage.values()
            for namespace in thread.values()
            for one in namespace.values()
        )

    return Contender("InMemorySaver", saver, stored)


def _sqlite(stack: ExitStack) -> Contender:
    import tempfile

    from langgraph.checkpoint.sqlite import SqliteSaver

    path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "checkpoints.db"
    saver = stack.enter_context(SqliteSaver.from_conn_string(str(path)))
    saver.setup()

    def stored() -> int:
        return sum(file.stat().st_size for file in path.parent.iterdir())

    return Contender("SqliteSaver", saver, stored)


def _postgres(stack: ExitStack, url: str) -> Contender:
    from langgraph.checkpoint.postgres import PostgresSaver

    saver = stack.enter_context(PostgresSaver.from_conn_string(url))
    saver.setup()

    def stored() -> int:
        with saver._cursor() as cursor:
            row: Any = cursor.execute(
                "SELECT pg_database_size(current_database()) AS size"
            ).fetchone()
            return int(row["size"])

    return Contender("PostgresSaver", saver, stored)


FIGURES = [
    "put/s",
    "get/s",
    "list/s",
    "put trips",
    "get trips",
    "list trips",
    "put bytes",
    "get bytes",
    "list bytes",
    "bytes stored",
]


def report(found: list[Contender]) -> None:
    """Print absolute figures, then ratios to the first contender."""
    print("| saver | " + " | ".join(FIGURES) + " |")
    print("|---" * (len(FIGURES) + 1) + "|")
    for one in found:
        print(f"| {one.name} | " + " | ".join(_shown(one.median(name)) for name in FIGURES) + " |")
    print("\nRatios (rates: ValkeySaver's over the contender's):\n")
    print("| saver | " + " | ".join(FIGURES) + " |")
    print("|---" * (len(FIGURES) + 1) + "|")
    first = found[0]
    for one in found[1:]:
        ratios = [_ratio(name, one.median(name), first.median(name)) for name in FIGURES]
        print(f"| {one.name} | " + " | ".join(ratios) + " |")


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _ratio(name: str, theirs: float | None, ours: float | None) -> str:
    if not theirs or not ours:
        return "–"
    ratio = ours / theirs if name.endswith("/s") else theirs / ours
    return f"{ratio:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--postgres", help="the URL of a database")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        found = contenders(stack, arguments.postgres)
        for one in found:
            measure(one, "warm", 20)
            one.figures.clear()
        for repetition in range(arguments.repeat):
            for one in found:
                gc.collect()
                measure(one, f"thread {repetition} {free_port()}", arguments.checkpoints)
        print(f"{arguments.checkpoints} checkpoints in a thread, median of {arguments.repeat}\n")
        report(found)


if __name__ == "__main__":
    main()
