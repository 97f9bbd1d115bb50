"""Signs of a change: an index is in the same state as long as the replies to a few commands are the same.

The catalog has the number of writes and a random mark of the last batch, and the number of keys shows what expired, what
another program removed, and what a killed writer added. A server that restarts may have lost all of them, so its identity
is a sign, too. On one server the commands of a batch and the one that counts them are one pipeline.

In a cluster they are two round trips. A batch that changes existing documents holds their locks until it is counted, and
the locks of a killed writer stay. So while the index has locks, its state is unknown. Commands on several nodes have
no order: signs that were read together with counts prove nothing about them. Signs that were read before do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.connection.replicas import are_replicas_allowed
from valkey_vector.engines.read_scope import current_scope
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.errors import ServerError
from valkey_vector.filters.plan import Range, Tokens
from valkey_vector.records.tokens import SLIDING
from valkey_vector.storage.catalog import Catalog, has_hash_tag, locks_key
from valkey_vector.storage.layout import EXPIRES

if TYPE_CHECKING:
    from valkey_vector.engines.search.engine import SearchEngine

__all__ = [
    "Signs",
    "State",
    "are_quiet",
    "keys_command",
    "quiet_commands",
    "sign_commands",
    "signs_in",
    "state",
]


@dataclass(frozen=True, slots=True)
class Signs:
    """Signs of one moment.

    Attributes:
        writes: number of writes and mark of the last batch; None if it is unknown, or if writes may be in progress.
        keys: number of hashes under the prefix; None if it is unknown.
        run: identity of the server processes.
        is_quiet: no write was in progress, on one node.
    """

    writes: tuple[bytes, bytes | None] | None = None
    keys: int | None = None
    run: object = None
    is_quiet: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class State:
    """State of an index. Counts are the same while the states are equal.

    Attributes:
        run: identity of the server processes.
        writes: number of writes, and mark of the last batch.
        alive: number of documents that have not expired.
        is_quiet: no write was in progress, on one node.
    """

    run: object
    writes: tuple[bytes, bytes | None]
    alive: int
    is_quiet: bool = field(default=False, compare=False)


def keys_command(engine: SearchEngine, connection: Connection) -> list[Argument] | None:
    """The command that returns the number of hashes under the prefix, which the server knows; None without one."""
    name: list[Argument] = ["FT.INFO", engine.entry.search_index]
    if not engine.is_valkey_search:
        return None  # RediSearch counts them for each query
    if not connection.capabilities.cluster:
        return name
    alone = engine.support.primaries_alone is not None
    strict = current_scope().consistency == "strict"
    if not strict or alone or has_hash_tag(engine.entry.name) or not engine.support.checks_shards:
        return None
    return [*name, "PRIMARY"]


def sign_commands(engine: SearchEngine, connection: Connection) -> list[list[Argument]]:
    """The commands whose replies are signs; none if there are no signs."""
    locks, writes = quiet_commands(engine, connection)
    keys = keys_command(engine, connection)
    if keys is None:
        return [] if connection.capabilities.cluster else [writes]
    return [writes, keys, locks]


def quiet_commands(engine: SearchEngine, connection: Connection) -> list[list[Argument]]:
    """The commands whose replies `are_quiet` reads."""
    name = engine.entry.name
    writes: list[Argument] = ["HMGET", Catalog(connection, name).key, "seq", "batch"]
    return [["EXISTS", locks_key(name)], writes]


def are_quiet(replies: Sequence[Any], writes: tuple[bytes, bytes | None] | None) -> bool:
    """Return True if what was counted on one node since some signs is exactly as of these signs.

    A write that changed a document since then has its locks when this is asked, or the mark is another one.

    Args:
        replies: replies to `quiet_commands`, sent after the counts.
        writes: writes of the signs.
    """
    locked, (number, mark) = replies
    return not locked and writes == (number, mark)


def signs_in(engine: SearchEngine, connection: Connection, replies: Sequence[Any]) -> Signs:
    """Read the replies to `sign_commands`. An error among them leaves the state unknown.

    So do replicas: they differ in how far they are behind, and the next count may come from another one.
    """
    if not replies or any(isinstance(reply, ServerError) for reply in replies):
        return Signs()
    (number, mark), *others = replies
    writes = None if number is None else (number, mark)
    keys = int(commands.described(others[0]).get("num_docs", 0)) if others else None
    locked = len(others) > 1 and bool(others[1])
    cluster = connection.capabilities.cluster
    unknown = (locked and cluster) or are_replicas_allowed(connection.settings)
    is_quiet = bool(others) and not locked and not cluster
    return Signs(None if unknown else writes, keys, engine.support.run, is_quiet)


def state(engine: SearchEngine, connection: Connection) -> Pipelined[object | None]:
    """Return the state of an index; None if it is unknown, or if documents end without a trace in the index."""
    signs = sign_commands(engine, connection)
    if len(signs) < 2 or are_replicas_allowed(connection.settings):
        return None
    ends = (Range(EXPIRES, high=engine.now()), Tokens((SLIDING,)))
    counting = [commands.count_command(engine.entry, query_text(plan)) for plan in ends]
    replies = yield Request([*signs, *counting], errors=True)
    expired, sliding = replies[len(signs) :]
    found = signs_in(engine, connection, replies[: len(signs)])
    if found.writes is None or found.keys is None:
        return None
    if isinstance(expired, ServerError) or isinstance(sliding, ServerError):
        return None
    if commands.total(sliding):
        return None
    return State(found.run, found.writes, found.keys - commands.total(expired), found.is_quiet)
