"""FT.SEARCH of Valkey-Search 1.2.1, on top of RediSearch."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from dialect_query import MAX_QUERY_BYTES, Query, parse_query
from dialect_rules import DialectError, IndexSchema
from dialect_words import Words
from resp2 import Command, Failure, Reply
from stand_in_session import Exchange, Session, known_error, latin
from stand_in_state import DEFAULT_CAP, DIFFERENT, INCONSISTENT, REFUSAL, State

__all__ = ["TOO_LONG", "search_exchange"]

TOO_LONG = "Query string is too long, max length is 10240 bytes."

_SHARDS = 3
_ALL = b"1000000"  # what RediSearch returns at most
_FLAGS = {
    *("NOCONTENT", "WITHSORTKEYS", "LOCALONLY"),
    *("ALLSHARDS", "SOMESHARDS", "CONSISTENT", "INCONSISTENT"),
}
_VALUE = "Error parsing value for the parameter "
_DIALECT = "DIALECT requires a non negative integer >=2 and <= 4"
_TIMEOUT = "TIMEOUT must be a positive integer greater than 0 and cannot exceed 60000."


@dataclass(slots=True)
class _Options:
    """The options of FT.SEARCH, checked one by one.

    Raises:
        DialectError: the server rejects one.
    """

    words: Words
    parameters: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    kept: list[str] = field(default_factory=list)
    returned: list[str] | None = None
    sort_by: list[str] = field(default_factory=list)
    limit: tuple[int, int] = (0, 10)

    def read(self) -> None:
        while self.words:
            given = self.words.next("an option")
            option = given.upper()
            self.seen.add(option)
            match option:
                case "DIALECT":
                    self._number(option, 2, 4, _DIALECT)
                case "TIMEOUT":
                    self._number(option, 0, 60_000, _TIMEOUT)
                case "LIMIT":
                    self.limit = self._bound(), self._bound()
                case "PARAMS":
                    self._read_parameters()
                case "RETURN":
                    fields = self.words.part(self._number(option, 0, 1000, "Missing argument"))
                    self.returned = []
                    while fields:
                        self.returned.append(fields.next("a field"))
                case "SORTBY":
                    self.sort_by = [self.words.next("a field")]
                    if order := self.words.take("ASC", "DESC"):
                        self.sort_by.append(order)
                case "SLOP":
                    self.kept += [option, self.words.next("a distance")]
                case "VERBATIM" | "INORDER":
                    self.kept.append(option)
                case flag if flag in _FLAGS:
                    pass
                case _:
                    raise DialectError(option, reply=f"Unexpected argument `{given}`")

    @property
    def no_content(self) -> bool:
        return "NOCONTENT" in self.seen or self.returned == []

    def _number(self, option: str, low: int, high: int, text: str) -> int:
        try:
            return self.words.number(option, low, high)
        except DialectError as error:
            raise DialectError(str(error), reply=text) from error

    def _bound(self) -> int:
        reason = "Missing argument"
        if self.words:
            reason = f"`{self.words.peek()}` is outside acceptable bounds"
        return self._number("LIMIT", 0, 2**64 - 1, f"{_VALUE}`LIMIT` - {reason}")

    def _read_parameters(self) -> None:
        count = self._number("PARAMS", 0, 1000, f"{_VALUE}`PARAMS` - Missing argument")
        if count % 2:
            text = f"{_VALUE}`PARAMS` - Parameter count must be an even number."
            raise DialectError(text, reply=text)
        for _ in range(count // 2):
            name = self.words.next("a name")
            self.parameters[name] = self.words.next("a value")


def search_exchange(command: Command, session: Session) -> Exchange:
    """Return the handling of FT.SEARCH with at least one argument."""
    index, *rest = latin(command[1:])
    schema = session.state.schemas.get(index)
    if schema is None:  # checked before the query; or the index was created outside the stand-in
        return Exchange(
            [[b"FT.INFO", command[1]], command],
            lambda replies: known_error(
                replies[0] if isinstance(replies[0], Failure) else replies[1], index, session
            ),
        )
    if not rest:
        return Exchange.failing("Missing argument")
    options = _Options(Words(rest[1:]))
    try:
        options.read()
        query = _checked(rest[0], schema, options, session.state)
    except DialectError as error:
        return Exchange.failing(error.reply or f"STANDIN {error}")
    if index in session.state.differing and "SOMESHARDS" not in options.seen:
        return Exchange.failing(INCONSISTENT if "CONSISTENT" in options.seen else DIFFERENT)
    lost = _lost_shard(session.state, options)
    if isinstance(lost, Failure):
        return Exchange.of(lost)
    return _Plan(command, options, query, schema, session, lost).exchange()


def _checked(text: str, schema: IndexSchema, options: _Options, state: State) -> Query:
    if len(text) > MAX_QUERY_BYTES:
        raise DialectError("too long", reply=TOO_LONG)
    query = parse_query(text, schema=schema, parameters=options.parameters, dialect=state.dialect)
    if unused := options.parameters.keys() - query.used_parameters:
        text = f"Parameter `{min(unused)}` not used."
        raise DialectError(text, reply=text)
    if options.sort_by and options.sort_by[0] not in schema.fields:
        text = f"Index field `{options.sort_by[0]}` does not exist"
        raise DialectError(text, reply=text)
    return query


def _lost_shard(state: State, options: _Options) -> Failure | bool:
    """Return True if the reply lacks a shard; the error if that is not allowed."""
    if not state.shard_lost:
        return False
    if "LOCALONLY" in options.seen:
        return True  # the only node of the stand-in plays those that are left
    partial = state.partial_results
    if stated := options.seen & {"ALLSHARDS", "SOMESHARDS"}:
        partial = "SOMESHARDS" in stated
    return True if partial else Failure(REFUSAL)


@dataclass(slots=True)
class _Plan:
    """One search that the server accepts."""

    command: Command
    options: _Options
    query: Query
    schema: IndexSchema
    session: Session
    lacking: bool

    def exchange(self) -> Exchange:
        cap = self.session.state.result_cap
        if self.query.score_alias is not None or (cap >= DEFAULT_CAP and not self.lacking):
            first, count = (str(number).encode() for number in self.options.limit)
            return Exchange([self._asked(first, count)], self._plain)
        keys = [*self._base(), b"NOCONTENT", b"LIMIT", b"0", _ALL, b"DIALECT", b"2"]
        if self.options.limit[1] == 0:
            return Exchange([keys], self._capped)
        return Exchange([keys, self._asked(b"0", _ALL)], self._capped)

    def _base(self) -> Command:
        return [*self.command[:3], *(word.encode("latin-1") for word in self.options.kept)]

    def _asked(self, first: bytes, count: bytes) -> Command:
        """The search for RediSearch: without what it does not know, and with what is the default."""
        command = self._base()
        parameters = [part for pair in self.options.parameters.items() for part in pair]
        if parameters:
            command += [b"PARAMS", b"%d" % len(parameters)]
            command += [part.encode("latin-1") for part in parameters]
        if self.options.no_content:
            command.append(b"NOCONTENT")
        else:
            if self.options.returned is not None:
                command += [b"RETURN", b"%d" % len(self.options.returned)]
                command += [name.encode("latin-1") for name in self.options.returned]
            if self.options.sort_by:
                command += [b"SORTBY", *(word.encode("latin-1") for word in self.options.sort_by)]
                command += [b"WITHSORTKEYS"] * ("WITHSORTKEYS" in self.options.seen)
        return [*command, b"LIMIT", first, count, b"DIALECT", b"2"]

    def _plain(self, replies: Sequence[Reply]) -> Reply:
        reply = known_error(replies[0], self.command[1].decode("latin-1"), self.session)
        if not isinstance(reply, list):
            return reply
        rows = self._rows(reply)
        total = reply[0]
        if self.lacking:
            rows = [row for row in rows if _is_there(row[0])]
            total = len(rows)
        return [total, *(part for row in rows for part in row)]

    def _capped(self, replies: Sequence[Reply]) -> Reply:
        """Only the first keys that the server meets are sorted, counted and returned."""
        for reply in replies:
            if not isinstance(reply, list):
                return known_error(reply, self.command[1].decode("latin-1"), self.session)
        found = replies[0]
        assert isinstance(found, list)
        keys = [key for key in found[1:] if not self.lacking or _is_there(key)]
        kept = set(map(_key, keys[: self.session.state.result_cap]))
        first, count = self.options.limit
        if count == 0:
            return [len(kept)]
        whole = replies[1]
        assert isinstance(whole, list)
        rows = [row for row in self._rows(whole) if _key(row[0]) in kept]
        return [len(kept), *(part for row in rows[first : first + count] for part in row)]

    def _rows(self, reply: list[Reply]) -> list[list[Reply]]:
        with_keys = bool(self.options.sort_by) and "WITHSORTKEYS" in self.options.seen
        width = 1 if self.options.no_content else 3 if with_keys else 2
        rows = [reply[at : at + width] for at in range(1, len(reply), width)]
        return [self._in_order(row) for row in rows]

    def _in_order(self, row: list[Reply]) -> list[Reply]:
        """The fields in the order of RETURN; by cosine, a vector without direction is at distance 1."""
        fields = row[-1]
        if self.options.returned is None or not isinstance(fields, list):
            return row
        found = dict(zip(map(_key, fields[::2]), fields[1::2], strict=True))
        alias = (self.query.score_alias or "").encode("latin-1")
        if found.get(alias) in (b"nan", b"-nan"):
            found[alias] = b"1"
        names = sorted(found, key=self._position)
        return [*row[:-1], [part for name in names for part in (name, found[name])]]

    def _position(self, name: bytes) -> int:
        returned = self.options.returned or []
        text = name.decode("latin-1")
        return returned.index(text) if text in returned else len(returned)


def _key(key: Reply) -> bytes:
    assert isinstance(key, bytes)
    return key


def _is_there(key: Reply) -> bool:
    """Return True if a key is not on the shard that refuses."""
    return zlib.crc32(_key(key)) % _SHARDS > 0
