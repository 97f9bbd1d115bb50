"""Counts of many plans, with one plain query each.

A count takes the server time in proportion to the keys that the query reads, and several times as long if they must also be
compared with a second condition. So no query is restricted to records or to what has not expired. Instead two counts for all
plans show that nothing has expired. The number of all keys is in FT.INFO, which takes no counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from valkey_vector.connection import Argument, Connection
from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.query_syntax import query_text
from valkey_vector.engines.search.signs import keys_command
from valkey_vector.filters.plan import (
    AllOf,
    AnyOf,
    Everything,
    NoDocument,
    Plan,
    Range,
    Tokens,
    Words,
)
from valkey_vector.records.tokens import SLIDING
from valkey_vector.storage.layout import EXPIRES

if TYPE_CHECKING:
    from valkey_vector.engines.search.engine import SearchEngine

__all__ = ["totals"]

_INFO = "FT.INFO"


def totals(
    engine: SearchEngine, connection: Connection, plans: Sequence[Plan]
) -> Pipelined[list[int] | None]:
    """Count plans (see `valkey_vector.engines.base.Engine.totals`). Cost: one round trip."""
    ends = (Range(EXPIRES, high=engine.now()), Tokens((SLIDING,)))
    counted = [plan for plan in [*ends, *plans] if not isinstance(plan, NoDocument)]
    counting: list[list[Argument]] = []
    for plan in counted:
        command = _counting(engine, connection, plan)
        if command is None:
            return None
        counting.append(command)
    expired, sliding, *numbers = map(_number, counting, (yield Request(counting)))
    counts = zip(counting[len(ends) :], numbers, strict=True)
    large = any(
        number >= engine.support.safe_total for command, number in counts if command[0] != _INFO
    )
    if expired or sliding or large:
        return None
    left = iter(numbers)
    return [0 if isinstance(plan, NoDocument) else next(left) for plan in plans]


def _counting(engine: SearchEngine, connection: Connection, plan: Plan) -> list[Argument] | None:
    """The command that counts a plan; None if one query cannot select it."""
    if isinstance(plan, Everything):
        keys = keys_command(engine, connection)
        if keys is not None:
            return keys
    if not engine.fits_one(plan):
        return None
    query = query_text(plan) if _is_positive(plan) else engine.query_for(plan)
    return commands.count_command(engine.entry, query)


def _number(command: Sequence[Argument], reply: Any) -> int:
    if command[0] == _INFO:
        return int(commands.described(reply)["num_docs"])
    return commands.total(reply)


def _is_positive(plan: Plan) -> bool:
    """Return True if an index of the server selects the keys; without it, the server reads every key."""
    match plan:
        case Tokens() | Range() | Words():
            return True
        case AllOf(parts):
            return any(map(_is_positive, parts))
        case AnyOf(parts):
            return all(map(_is_positive, parts))
        case _:
            return False
