"""Explain a query: run it once, and report its plan, its commands and its times.

Nothing is predicted. The commands are recorded at the connection while the query runs, and the plan is compiled by the
code that compiled it for the run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from valkey_vector.connection.recording import RecordedTrip, recording
from valkey_vector.engines.base import Engine
from valkey_vector.engines.native import scripts
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.execution import dispatch
from valkey_vector.execution.selection import prepare_selection
from valkey_vector.filters.plan import Everything, NoDocument
from valkey_vector.index.filter_text import filter_text
from valkey_vector.index.handle import IndexHandle, not_found
from valkey_vector.index.reader import IndexReader
from valkey_vector.query import CountQuery, Query
from valkey_vector.query.base import check_filter
from valkey_vector.query.read_options import Consistency
from valkey_vector.records.amounts import counted
from valkey_vector.storage.catalog import EngineName

__all__ = ["Decision", "ExplainedCommand", "ExplainedTrip", "Explanation", "explain_query"]

Decision: TypeAlias = Literal[
    "no filter", "server", "server, then client", "client", "by id", "nothing"
]
"""Part of the system that decides which records match a filter."""

_LONGEST = 300
_LONGEST_BYTES = 100
_MAX_WORDS = 60
_SCRIPTS = {
    scripts.FETCH: "fetch",
    scripts.LOAD: "load",
    scripts.SYNC: "sync",
    scripts.CHECK: "check",
    scripts.FOREIGN: "foreign",
}
"""Scripts of the native engine that read, and their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCommand:
    """One command that the query sent.

    Attributes:
        text: the command. Vectors, scripts and long arguments are replaced by their size.
        records: records that the reply contains; None for a reply without records.
        error: the server's error. Empty if there is none.
    """

    text: str
    records: int | None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedTrip:
    """One round trip of the query.

    Attributes:
        commands: the commands that were sent together.
        seconds: time until the replies arrived.
    """

    commands: tuple[ExplainedCommand, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Report on the execution of one query.

    Attributes:
        index: name of the index.
        engine: ``search`` or ``native``.
        server: search module and server with their versions.
        query: kind of the query, such as ``VectorQuery``.
        decision: who decides which records match the filter. ``server``: the index decides it exactly; the client
            still checks each returned record, which may have changed meanwhile. ``server, then client``: the index
            selects a superset, and the client checks each record of it. ``client``: the index cannot narrow the filter
            down, so the client checks every record. ``by id``: the filter names ids, which are fetched. ``nothing``:
            no record can match.
        server_query: what the index evaluates: the query in the syntax of FT.SEARCH, ``*`` for all records.
        client_filter: the filter that the client checks. Empty without a filter, or if nothing is left to check.
        trips: each round trip, in order.
        candidates: records that the server returned. The native engine first selects them in this process's memory.
        results: records in the answer, or the number that a count returned.
        seconds: time of the whole query.
        server_seconds: time of the round trips together.
        consistency: as requested (see `ReadOptions`).
        partial: True if the answer may lack records, as for `SearchResult`.
    """

    index: str
    engine: EngineName
    server: str
    query: str
    decision: Decision
    server_query: str
    client_filter: str
    trips: tuple[ExplainedTrip, ...]
    candidates: int
    results: int
    seconds: float
    server_seconds: float
    consistency: Consistency = "strict"
    partial: bool = False

    @property
    def round_trips(self) -> int:
        """Number of round trips."""
        return len(self.trips)

    @property
    def client_seconds(self) -> float:
        """Time outside the round trips: translating, checking and decoding."""
        return max(0.0, self.seconds - self.server_seconds)

    def __str__(self) -> str:
        lines = [
            f"{self.query} on index {self.index!r} ({self.engine} engine, {self.server})",
            f"filter decided by: {self.decision}",
            f"the index evaluates: {self.server_query}",
        ]
        if self.consistency != "strict":
            state = "may lack records" if self.partial else "is complete"
            lines.append(f"consistency: {self.consistency}, the answer {state}")
        lines += [f"the client checks: {self.client_filter}"] if self.client_filter else []
        for number, trip in enumerate(self.trips, 1):
            lines.append(f"round trip {number}, {1000 * trip.seconds:.2f} ms")
            for command in trip.commands:
                records = (
                    "" if command.records is None else f"  [{counted(command.records, 'record')}]"
                )
                error = f"  [error: {command.error}]" if command.error else ""
                lines.append(f"  {command.text}{records}{error}")
        lines.append(
            f"{counted(self.results, 'result')} from {counted(self.candidates, 'candidate')} in {1000 * self.seconds:.2f} ms, "
            f"{1000 * self.client_seconds:.2f} ms of them in the client"
        )
        return "\n".join(lines)


def explain_query(handle: IndexHandle, query: Query) -> Explanation:
    """Run a query, and explain how it was answered; see `Index.explain`.

    Raises:
        IndexNotFoundError: there is no such index.
    """
    checked = dispatch.check_query(query)
    engine = handle.existing()  # not recorded: an index is opened once
    if engine is None:
        raise not_found(handle.name)
    begun = time.perf_counter()
    with recording() as trips:
        answer, scope = IndexReader(handle).scoped_answer(checked)
    seconds = time.perf_counter() - begun
    decision, server_query, client_filter = _plan(engine, checked)
    explained = tuple(map(_explained, trips))
    return Explanation(
        index=handle.name,
        engine=engine.entry.engine,
        server=handle.connection.capabilities.description,
        query=type(checked).__name__,
        decision=decision,
        server_query=server_query,
        client_filter=client_filter,
        trips=explained,
        candidates=sum(c.records or 0 for trip in explained for c in trip.commands),
        results=answer if isinstance(answer, int) else len(answer),
        seconds=seconds,
        server_seconds=sum(trip.seconds for trip in trips),
        consistency=checked.consistency,
        partial=scope.partial,
    )


def _plan(engine: Engine, query: Query) -> tuple[Decision, str, str]:
    """Return who decides the filter, what the index evaluates, and what the client checks."""
    chosen = check_filter(query.filter)
    selection = prepare_selection(engine, chosen)
    if isinstance(selection.plan, NoDocument):
        return "nothing", "no record", ""
    text = "*" if isinstance(selection.plan, Everything) else query_text(selection.plan)
    if selection.filter is None:
        return "no filter", text, ""
    checked = _shown(filter_text(selection.filter))
    if selection.ids is not None:
        return "by id", f"{len(selection.ids)} ids", checked
    if selection.exact:
        return "server", text, "" if isinstance(query, CountQuery) else checked
    return "client" if text == "*" else "server, then client", text, checked


def _explained(trip: RecordedTrip) -> ExplainedTrip:
    replies = trip.reply if isinstance(trip.reply, list) else [trip.reply]
    if len(replies) != len(trip.commands):
        replies = [trip.reply] * len(trip.commands)
    return ExplainedTrip(
        commands=tuple(
            ExplainedCommand(
                text=_text(command),
                records=_records(command, reply),
                error=str(reply) if isinstance(reply, Exception) else "",
            )
            for command, reply in zip(trip.commands, replies, strict=True)
        ),
        seconds=trip.seconds,
    )


def _text(command: Sequence[str | bytes]) -> str:
    """A command with its vectors, scripts and long arguments replaced."""
    words: list[str] = []
    for position, argument in enumerate(command[:_MAX_WORDS]):
        before = words[-1] if words else ""
        if position == 1 and before.upper() in ("EVAL", "EVAL_RO"):
            known = _SCRIPTS.get(argument) if isinstance(argument, str) else None
            words.append(f"<script {known or f'of {len(argument)} characters'}>")
        elif isinstance(argument, bytes):
            words.append(_bytes(argument, is_vector=before == "vector"))
        else:
            words.append(_quoted(argument))
    more = len(command) - len(words)
    return " ".join([*words, *([f"… and {more} arguments more"] if more else [])])


def _bytes(argument: bytes, *, is_vector: bool) -> str:
    if is_vector:
        return f"<vector of {len(argument)} bytes>"
    try:
        text = argument.decode()
    except UnicodeDecodeError:
        return f"<{len(argument)} bytes>"
    return _quoted(text) if len(argument) <= _LONGEST_BYTES else f"<{len(argument)} bytes>"


def _quoted(text: str) -> str:
    shown = _shown(text)
    plain = shown.isprintable() and shown and not set(shown) & set(" \"'")
    return shown if plain else repr(shown)


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _records(command: Sequence[str | bytes], reply: Any) -> int | None:
    """Records in a reply; None for a reply without records."""
    first = command[0]
    match first.decode() if isinstance(first, bytes) else first:
        case "FT.SEARCH" if isinstance(reply, list):
            found = reply[1] if len(reply) > 1 else None
            return len(found) if isinstance(found, Mapping) else 0
        case "HMGET" if isinstance(reply, list):
            return int(any(value is not None for value in reply))
        case "EVAL" if command[1] == scripts.FETCH and isinstance(reply, list) and len(reply) == 3:
            return sum(row is not None for row in reply[2])
        case "HGETALL" if isinstance(reply, Mapping):
            return int(bool(reply))
        case _:
            return None
