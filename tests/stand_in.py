"""A stand-in for Valkey-Search 1.2.1: RediSearch behind an intermediary that answers as Valkey-Search does.

Clients connect to the intermediary. It presents the module as Valkey-Search, refuses what that refuses in
its words, and applies its limits: the result cap, and the parts that a cluster returns when a shard fails
(`stand_in_search`, `stand_in_identity`). What Valkey-Search does with threads (freezes, backfill in the
background) it does not imitate, nor the order of equally near records.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import IncompleteReadError, Queue, StreamReader, StreamWriter
from contextlib import suppress
from types import TracebackType
from typing import Self

from resp2 import encode, encode_command, read_command, read_reply
from stand_in_session import Exchange, Session
from stand_in_state import State

_LARGEST_LINE = 2**20


class StandIn:
    """The intermediary, in a thread of its own while the block runs.

    Args:
        host, port: of the server with RediSearch; ``port`` may be set before the first client connects.
        cluster: whether to play a cluster of one node.

    Attributes:
        port: of the stand-in itself, on loopback.
        state: settings and indexes; tests change the former.
    """

    host = "127.0.0.1"

    def __init__(self, *, cluster: bool = False) -> None:
        self.port = 0
        self.upstream: tuple[str, int] = (self.host, 0)
        self.state = State(cluster=cluster)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The URL of the stand-in."""
        return f"valkey://{self.host}:{self.port}"

    def start(self) -> None:
        """Listen on a free port."""
        self._thread.start()
        listening = asyncio.start_server(self._serve, self.host, 0, limit=_LARGEST_LINE)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        self.state.port = self.port

    def stop(self) -> None:
        """Close every connection; may be called twice."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)  # a connection that was accepted just now gets its task
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one client: pass commands and replies on, each in order."""
        opened = [writer]
        running: list[asyncio.Task[None]] = []
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(
                *self.upstream, limit=_LARGEST_LINE
            )
            opened.append(upstream_writer)
            waiting: Queue[Exchange | None] = Queue()
            session = Session(self.state)
            running += [
                asyncio.ensure_future(_answer(waiting, upstream_reader, writer)),
                asyncio.ensure_future(_ask(session, waiting, reader, upstream_writer)),
            ]
            # If one side closes, the other side is closed, too.
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass  # the server is not there
        finally:
            # Closed before anything is awaited: `stop` may cancel this task here.
            for each in opened:
                each.close()
            for one in running:
                one.cancel()
            results = await asyncio.gather(*running, return_exceptions=True)
            self.state.failures += [error for error in results if _is_unexpected(error)]


def _is_unexpected(error: object) -> bool:
    gone = (IncompleteReadError, OSError, asyncio.CancelledError)
    return isinstance(error, BaseException) and not isinstance(error, gone)


async def _ask(
    session: Session, waiting: Queue[Exchange | None], reader: StreamReader, upstream: StreamWriter
) -> None:
    with suppress(IncompleteReadError):
        while True:
            exchange = session.translate(await read_command(reader))
            for command in exchange.commands:
                upstream.write(encode_command(command))
            waiting.put_nowait(exchange)
            await upstream.drain()


async def _answer(
    waiting: Queue[Exchange | None], upstream: StreamReader, writer: StreamWriter
) -> None:
    with suppress(IncompleteReadError):
        while (exchange := await waiting.get()) is not None:
            replies = [await read_reply(upstream) for _ in exchange.commands]
            writer.write(encode(exchange.answer(replies)))
            if waiting.empty():
                await writer.drain()
