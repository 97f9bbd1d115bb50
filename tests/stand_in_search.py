"""FT commands of Valkey-Search 1.2.1, on top of RediSearch."""

from __future__ import annotations

from collections.abc import Sequence

from dialect_create import parse_create
from dialect_rules import DialectError
from dialect_search import Aggregate
from dialect_words import Words
from resp2 import Command, Failure, Reply, Simple
from stand_in_info import info_exchange
from stand_in_query import search_exchange
from stand_in_session import Exchange, Session, known_error, latin
from stand_in_state import DEFAULT_CAP, REFUSAL

_SHARDS = 3
_STAGES = {b"APPLY", b"GROUPBY", b"FILTER", b"SORTBY", b"LIMIT"}
_CUT = b"__cut"


def module_exchange(name: str, command: Command, session: Session) -> Exchange:
    """Return the handling of an FT command of Valkey-Search."""
    arguments = len(command) - 1
    wrong = f"ERR wrong number of arguments for '{name}' command"
    match name:
        case "FT.CREATE":
            return _create(command, session)
        case "FT.DROPINDEX":
            return _drop(command, session) if arguments == 1 else Exchange.failing(wrong)
        case "FT.INFO":
            return info_exchange(command, session) if arguments else Exchange.failing(wrong)
        case "FT._LIST":
            return Exchange([command], lambda replies: _listed(replies[0]))
        case "FT.SEARCH" if arguments:
            return search_exchange(command, session)
        case "FT.AGGREGATE" if arguments:
            return _aggregate(command, session)
        case "FT.SEARCH" | "FT.AGGREGATE":
            return Exchange.failing(wrong)
        case _:
            return Exchange.failing(f"STANDIN does not imitate {name}")


def _create(command: Command, session: Session) -> Exchange:
    try:
        name, schema = parse_create(Words(latin(command[1:])), session.state.dialect)
    except DialectError as error:
        return Exchange.failing(error.reply or f"STANDIN {error}")

    def answer(replies: Sequence[Reply]) -> Reply:
        reply = replies[0]
        if isinstance(reply, Failure) and "already exists" in reply.text:
            return Failure(f"Index {name} in database {session.database} already exists.")
        if not isinstance(reply, Failure):
            session.state.schemas[name] = schema
        return reply

    return Exchange([command], answer)


def _drop(command: Command, session: Session) -> Exchange:
    name = latin(command)[1]

    def answer(replies: Sequence[Reply]) -> Reply:
        if not isinstance(replies[0], Failure):
            session.state.schemas.pop(name, None)
        return known_error(replies[0], name, session)

    return Exchange([command], answer)


def _listed(reply: Reply) -> Reply:
    if not isinstance(reply, list):
        return reply
    return [Simple(one) if isinstance(one, bytes) else one for one in reply]


def _aggregate(command: Command, session: Session) -> Exchange:
    index, *rest = latin(command[1:])
    state = session.state
    schema = state.schemas.get(index)
    if schema is None:
        return Exchange([command], lambda replies: known_error(replies[0], index, session))
    try:
        Aggregate(Words(rest), schema, state.dialect).check()
    except DialectError as error:
        return Exchange.failing(error.reply or f"STANDIN {error}")
    if state.shard_lost and not state.partial_results:
        return Exchange.failing(REFUSAL)
    cut = state.result_cap < DEFAULT_CAP and "=>" not in rest[0]
    asked = _with_cut(command, state.result_cap) if cut else command
    lacking = state.shard_lost
    return Exchange(
        [asked], lambda replies: _aggregated(known_error(replies[0], index, session), lacking)
    )


def _with_cut(command: Command, cap: int) -> Command:
    """The aggregation over the first rows only.

    Before a GROUPBY they are cut where the first stage begins. RediSearch merges a cut with a later LIMIT when no
    GROUPBY lies between, so there the result is cut instead.
    """
    upper = [word.upper() for word in command]
    if b"GROUPBY" in upper:
        at = min(at for at, word in enumerate(upper) if at > 2 and word in _STAGES)
        cut = [b"LIMIT", b"0", b"%d" % cap, b"APPLY", b"1", b"AS", _CUT]
        return [*command[:at], *cut, *command[at:]]
    if b"LIMIT" not in upper:
        return [*command, b"LIMIT", b"0", b"%d" % cap]
    at = upper.index(b"LIMIT") + 1
    first, count = int(command[at]), int(command[at + 1])
    left = b"%d" % max(0, min(count, cap - first))
    return [*command[: at + 1], left, *command[at + 2 :]]


def _aggregated(reply: Reply, lacking: bool) -> Reply:
    """Rows as Valkey-Search returns them; with a shard lost, every third one is missing."""
    if not isinstance(reply, list):
        return reply
    rows = [row for at, row in enumerate(reply[1:], 1) if not (lacking and at % _SHARDS == 1)]
    return [len(rows), *map(_row, rows)]


def _row(row: Reply) -> Reply:
    if not isinstance(row, list):
        return row
    found: list[Reply] = []
    for name, value in zip(row[::2], row[1::2], strict=True):
        if name != _CUT and value is not None:
            found += [Simple(name) if isinstance(name, bytes) else name, value]
    return found
