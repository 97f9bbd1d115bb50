"""The arguments that FT.SEARCH and FT.AGGREGATE of Valkey-Search accept."""

from __future__ import annotations

import re

from dialect_query import Query, parse_query
from dialect_rules import Dialect, DialectError, IndexSchema
from dialect_words import Words

MAX_TIMEOUT_MS = 60_000
MAX_UNSIGNED = 2**64 - 1

_FLAGS = ("LOCALONLY", "ALLSHARDS", "SOMESHARDS", "CONSISTENT", "INCONSISTENT", "NOCONTENT")
_REDUCER_ARGUMENTS = {
    "COUNT": 0,
    "COUNT_DISTINCT": 1,
    "SUM": 1,
    "AVG": 1,
    "MIN": 1,
    "MAX": 1,
    "STDDEV": 1,
}
_REFERENCE = re.compile(r"@(\w+)")


def _rejected(reply: str) -> DialectError:
    """The error for what the server rejects in just these words."""
    return DialectError(reply, reply=reply)


class _Command:
    """The common part of FT.SEARCH and FT.AGGREGATE: a query, its parameters and its options."""

    def __init__(self, words: Words, schema: IndexSchema | None, dialect: Dialect) -> None:
        self._words = words
        self._schema = schema
        self._dialect = dialect
        self._text = words.next("the query")
        self._seen: set[str] = set()
        self._parameters: dict[str, str] = {}

    def _option(self) -> str:
        option = self._words.next("an option").upper()
        if option in self._seen:
            raise DialectError(f"{option} is given twice: the last one wins in silence")
        return option

    def _common(self, option: str) -> None:
        """An option that both commands know."""
        match option:
            case "DIALECT":
                self._words.number(option, 2, 4)
            case "TIMEOUT":
                self._words.number(option, 0, MAX_TIMEOUT_MS)
            case "LIMIT":
                self._limit = [self._words.number(option, 0, MAX_UNSIGNED) for _ in range(2)]
            case "PARAMS":
                self._read_parameters()
            case "VERBATIM" | "INORDER" if self._dialect.text:
                pass
            case "SLOP" if self._dialect.text:
                self._words.number(option, 0, 2**32 - 1)
            case _:
                raise _rejected(f"Unexpected argument `{self._words.last}`")

    def _read_parameters(self) -> None:
        count = self._words.number("PARAMS", 0, 1000)
        if count % 2:
            text = "Parameter count must be an even number."
            raise _rejected(f"Error parsing value for the parameter `PARAMS` - {text}")
        for _ in range(count // 2):
            name = self._words.next("a parameter's name")
            if name in self._parameters:
                raise DialectError(f"Parameter {name} is already defined")
            if not re.fullmatch(r"[A-Za-z0-9_]+", name):
                raise DialectError(f"Parameter name {name!r} contains an invalid character")
            self._parameters[name] = self._words.next("a parameter's value")

    def _parse(self) -> Query:
        query = parse_query(
            self._text,
            schema=self._schema,
            parameters=self._parameters,
            dialect=self._dialect,
            proximity=bool(self._seen & {"SLOP", "INORDER"}),
        )
        if unused := self._parameters.keys() - query.used_parameters:
            raise _rejected(f"Parameter `{min(unused)}` not used.")
        return query

    def _require_field(self, alias: str, *, what: str) -> None:
        if self._schema is not None and alias not in self._schema.fields:
            text = f"Index field `{alias}` does not exist"
            raise DialectError(f"{what}: {text}", reply=text)


class Search(_Command):
    def check(self) -> None:
        returned: list[str] | None = None
        sort_by: str | None = None
        while self._words:
            option = self._option()
            match option:
                case "RETURN":
                    returned = self._read_return()
                case "SORTBY" if self._dialect.sort_by:
                    sort_by = self._words.next("a field to sort by")
                    self._words.take("ASC", "DESC")
                case "WITHSORTKEYS" if self._dialect.sort_by:
                    pass
                case flag if flag in _FLAGS:
                    pass
                case _:
                    self._common(option)
            self._seen.add(option)
        query = self._parse()
        self._check_completeness()
        no_content = "NOCONTENT" in self._seen or returned == []
        self._check_limit(query)
        if query.score_alias is not None and returned and query.score_alias not in returned:
            raise DialectError(
                f"RETURN without {query.score_alias!r} loses the distance of the KNN"
            )
        if sort_by is not None:
            self._check_sort_by(sort_by, query, no_content=no_content)

    def _read_return(self) -> list[str]:
        words = self._words.part(self._words.number("RETURN", 0, 1000))
        returned = []
        while words:
            name = words.next("a field")
            if name.startswith("@") or name == "__key":
                raise DialectError(f"RETURN {name!r} returns nothing")
            returned.append(name)
            if words.take("AS"):
                words.next("a name")
        return returned

    def _check_completeness(self) -> None:
        """Require all shards: by default the server silently returns a partial result if a shard fails."""
        if not self._dialect.complete or "LOCALONLY" in self._seen:
            return
        if "INCONSISTENT" in self._seen and self._limit == [0, 0]:
            return  # needs no result: it lets a node look up its slots, or compares versions of the index
        if missing := {"ALLSHARDS", "CONSISTENT"} - self._seen:
            raise DialectError(
                f"without {sorted(missing)} a cluster may return a part of the answer"
            )
        if "TIMEOUT" not in self._seen:
            raise DialectError("without TIMEOUT a search waits 50 s for a node that is gone")

    def _check_limit(self, query: Query) -> None:
        if "LIMIT" not in self._seen:
            raise DialectError("without LIMIT only 10 results come back, whatever k is")
        first, count = self._limit
        if query.score_alias is not None and first == 0 and 0 < count < query.k:
            raise DialectError(f"LIMIT 0 {count} cuts the {query.k} results of the KNN")

    def _check_sort_by(self, name: str, query: Query, *, no_content: bool) -> None:
        if no_content:
            raise DialectError("SORTBY is dropped in silence when no content is returned")
        if name == query.score_alias and self._dialect.sort_by_score:
            return
        if name.startswith("@") or name == query.score_alias:
            text = f"Index field `{name}` does not exist"
            raise DialectError(f"SORTBY: {text}", reply=text)
        self._require_field(name, what="SORTBY")


class Aggregate(_Command):
    """FT.AGGREGATE index query [LOAD n field...] [stage...]."""

    def __init__(self, words: Words, schema: IndexSchema | None, dialect: Dialect) -> None:
        super().__init__(words, schema, dialect)
        self._loaded: list[str] = []
        self._made = {"__key"}
        self._used: set[str] = set()
        self._left: set[str] | None = None  # what a GROUPBY leaves of the rows; None before one

    def check(self) -> None:
        while self._words:
            option = self._words.next("an option").upper()
            match option:
                case "LOAD":
                    self._load()
                case "APPLY":
                    self._use(self._words.next("an expression"))
                    self._name_result("APPLY")
                case "FILTER":
                    self._use(self._words.next("an expression"))
                case "GROUPBY":
                    self._group_by()
                case "SORTBY":
                    self._sort_by()
                case "ADDSCORES":
                    pass
                case _:
                    self._common(option)
            self._seen.add(option)
        query = self._parse()
        if query.score_alias is not None:
            self._made.add(query.score_alias)
        for name in self._loaded:
            if name not in self._made:
                self._require_field(name, what="LOAD")
                self._refuse_vector(name)
        if "*" not in self._loaded and (missing := self._used - self._made - set(self._loaded)):
            raise DialectError(f"{sorted(missing)} is used but not loaded: empty in every row")

    def _load(self) -> None:
        if self._words.take("*"):
            self._loaded.append("*")
            self._made.add("*")
            return
        for _ in range(self._words.number("LOAD", 0, 1000)):
            name = self._words.next("a field").removeprefix("@")
            if not name:
                raise DialectError("Empty argument in LOAD clause not allowed")
            self._loaded.append(name)

    def _group_by(self) -> None:
        keys: set[str] = set()
        for _ in range(self._words.number("GROUPBY", 1, 1000)):
            if not self._words.next("a field").startswith("@"):
                raise DialectError("Group field reference must start with '@'")
            self._use(self._words.last)
            keys.add(self._words.last[1:])
        made: set[str] = set()
        while self._words.take("REDUCE"):
            reducer = self._words.next("a reducer").upper()
            if reducer not in _REDUCER_ARGUMENTS:
                raise DialectError(f"reducer function `{reducer}` not found")
            wanted = _REDUCER_ARGUMENTS[reducer]
            for _ in range(self._words.number(f"arguments of {reducer}", wanted, wanted)):
                self._use(self._words.next("an argument"))
            if self._words.peek() == "AS":
                self._name_result("REDUCE")
                made.add(self._words.last)
        self._left = keys | made

    def _sort_by(self) -> None:
        keys = self._words.part(self._words.number("SORTBY", 1, 1000))
        while keys:
            self._use(keys.next("a field"))
            keys.take("ASC", "DESC")
        if self._words.take("MAX"):
            self._words.number("MAX", 0, MAX_UNSIGNED)

    def _use(self, expression: str) -> None:
        names = set(_REFERENCE.findall(expression))
        if self._left is not None and (gone := names - self._left):
            raise DialectError(f"{sorted(gone)} is gone after GROUPBY: empty in every row")
        self._used |= names

    def _name_result(self, stage: str) -> None:
        if not self._words.take("AS"):
            raise DialectError(f"`AS` argument to {stage} clause is missing")
        self._made.add(self._words.next("a name"))
        if self._left is not None:
            self._left.add(self._words.last)

    def _refuse_vector(self, name: str) -> None:
        if self._schema is not None and self._schema.fields[name].kind == "VECTOR":
            raise DialectError(f"Loading of vector fields is not supported (field `{name}`)")
