"""`TripleStore`: graph of subjects, predicates and objects, queried by any of the three (a hexastore)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar, Generic, TypeVar, overload

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import InvalidInputError
from valkey_vector.records.validation import check_k
from valkey_vector.secondary._base import BATCH
from valkey_vector.secondary._bounds import Page, check_page_limit
from valkey_vector.secondary._encoding import encode_bytes
from valkey_vector.secondary._joins import join, matches, paths
from valkey_vector.secondary._members import M, MemberType
from valkey_vector.secondary._patterns import (
    Order,
    Pattern,
    Terms,
    Triple,
    Variable,
    range_of,
    triple_of,
)
from valkey_vector.secondary._ranges import LexRange, OrderedEntries
from valkey_vector.storage.keyspace import in_parts

__all__ = ["TripleStore"]

_STREAM = 100
_T = TypeVar("_T")


class TripleStore(OrderedEntries, Generic[M]):
    """Set of triples. Each is stored in all six orders, so any pattern is one range.

    Terms can contain any character. The same term can be a subject, a predicate and an object. Each method has an async version
    with the prefix ``a``.

    Args:
        name: name of the store, any non-empty text.
        members: type of all terms, `str` or `bytes`.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the store.

    Raises:
        ConfigurationError: an argument is not valid.
    """

    kind = "triples"
    parts: ClassVar[Mapping[str, str]] = {"entries": "zset"}

    @overload
    def __init__(
        self: TripleStore[str],
        name: str,
        *,
        members: type[str] = ...,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: TripleStore[bytes],
        name: str,
        *,
        members: type[bytes],
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        *,
        members: type[str | bytes] = str,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._members: MemberType[M] = MemberType(members)
        super().__init__(
            name, settings={"members": members.__name__}, url=url, connection=connection
        )

    def add(self, subject: M, predicate: M, object: M) -> bool:
        """Add a triple. Returns True if it is new. Cost: one round trip, atomic in all six orders."""
        return self.add_many([(subject, predicate, object)]) == 1

    def add_many(self, triples: Iterable[Triple[M]]) -> int:
        """Add triples. Returns the number of new ones. Cost: one round trip for each 500, each atomic.

        Raises:
            InvalidInputError: one does not consist of three terms of the store's type; nothing was added.
        """
        return self._added(triples)

    def remove(self, triples: Iterable[Triple[M]]) -> int:
        """Remove triples. Returns how many existed. Cost: one round trip for each 500, each atomic."""
        return self._removed(triples)

    def contains(self, triples: Iterable[Triple[M]]) -> list[bool]:
        """Return True for each triple that exists. Cost: one round trip for each 500."""
        rows = [self._encoded(triple) for triple in triples]
        found: list[bool] = []
        for part in in_parts(rows, BATCH):
            found += [count == 1 for count in self._counts([range_of(terms) for terms in part])]
        return found

    def match(
        self,
        subject: M | None = None,
        predicate: M | None = None,
        object: M | None = None,
        *,
        order: Order | None = None,
        limit: int | None = None,
    ) -> list[Triple[M]]:
        """Return the triples that have the passed terms. Cost: one round trip, O(log n + triples returned).

        Args:
            subject: None: any.
            predicate: None: any.
            object: None: any.
            order: sort order of the result by the bytes of the terms. Must start with the passed terms. Default: the
                passed terms, then the others as subject, predicate, object.
            limit: maximum number of results, ≥ 0. None: all, in one reply. For more than a few 10,000 use `iterate`.

        Raises:
            InvalidInputError: a term, the order or the limit is not valid.
        """
        lex = range_of(self._terms(subject, predicate, object), order)
        return self._decoded(self._entries(lex, False, check_page_limit(limit)))

    def page(
        self,
        subject: M | None = None,
        predicate: M | None = None,
        object: M | None = None,
        *,
        order: Order | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Triple[M]]:
        """Return one page of the results of `match`. Cost: one round trip, for any page.

        Args:
            subject: as for `match`, and so are `predicate`, `object` and `order`.
            predicate: None: any.
            object: None: any.
            order: sort order of the result.
            limit: maximum number of triples on a page.
            after: cursor of the previous page. None: the first page.
        """
        lex = range_of(self._terms(subject, predicate, object), order)
        entries, cursor = self._entry_page(lex, False, limit, after)
        return Page(tuple(self._decoded(entries)), cursor)

    def iterate(
        self,
        subject: M | None = None,
        predicate: M | None = None,
        object: M | None = None,
        *,
        order: Order | None = None,
    ) -> Iterator[Triple[M]]:
        """Iterate over the results of `match`. Cost: one round trip for each 1000 triples."""
        lex = range_of(self._terms(subject, predicate, object), order)
        for entries in self._entry_iterator(lex):
            yield from self._decoded(entries)

    async def aiterate(
        self,
        subject: M | None = None,
        predicate: M | None = None,
        object: M | None = None,
        *,
        order: Order | None = None,
    ) -> AsyncIterator[Triple[M]]:
        """Async version of `iterate`."""
        batches = self._entry_iterator(range_of(self._terms(subject, predicate, object), order))
        while (entries := await offload(next, batches, None)) is not None:
            for triple in self._decoded(entries):
                yield triple

    def match_any(self, patterns: Iterable[Sequence[M | None]]) -> list[Triple[M]]:
        """Return the triples that match any of several patterns, each once.

        Args:
            patterns: subject, predicate and object of each pattern. None: any.

        Cost: one round trip for each 100 patterns, more if these have over 10,000 triples.
        """
        wanted = [self._terms(*_three(pattern)) for pattern in patterns]
        found = dict.fromkeys(triple for _, triple in matches(self._ranges, wanted))
        return [self._triple(triple) for triple in found]

    def count(
        self, subject: M | None = None, predicate: M | None = None, object: M | None = None
    ) -> int:
        """Return the number of triples with the passed terms, or of all triples. Cost: one round trip, O(log n)."""
        return self._count(range_of(self._terms(subject, predicate, object)))

    def join(self, patterns: Sequence[Sequence[M | Variable]]) -> Iterator[dict[str, M]]:
        """Iterate over the variable values with which all patterns match. Yields each solution once.

        Streams the solutions: holds at most about 10,000 for each pattern in memory.

        Args:
            patterns: at least one pattern of three terms or `Variable` objects.

        Yields:
            Terms by variable name, in no particular order.

        Cost: each step takes the pattern with the fewest triples. One round trip chooses it, and one round trip is
            needed for each 100 solutions.

        Raises:
            InvalidInputError: a pattern is not valid.
        """
        wanted = self._patterns(patterns)
        return self._solved(wanted)

    async def ajoin(
        self, patterns: Sequence[Sequence[M | Variable]]
    ) -> AsyncIterator[dict[str, M]]:
        """Async version of `join`."""
        solutions = self._solved(self._patterns(patterns))
        while batch := await offload(lambda: list(islice(solutions, _STREAM))):
            for solution in batch:
                yield solution

    def paths(
        self, source: M, target: M, max_depth: int, *, max_triples: int = 100_000
    ) -> Iterator[list[Triple[M]]]:
        """Iterate over the paths from a subject to an object that visit no term twice, shortest first.

        Args:
            source: subject of the first triple.
            target: object of the last triple. There is no path from a term to itself.
            max_depth: maximum number of triples in a path, ≥ 1.
            max_triples: maximum number of triples to read, ≥ 1.

        Cost: reads the triples that lead to the target backwards, one round trip for each step and 100 terms. Then
            finds the paths in memory.

        Yields:
            The triples of a path, in order.

        Raises:
            InvalidInputError: an argument is not valid, or more triples than that lead to the target.
        """
        check_k(max_depth, "max_depth")
        check_k(max_triples, "max_triples")
        start, end = self._members.encode(source, "term"), self._members.encode(target, "term")
        found = paths(start, end, max_depth, max_triples, self._ranges)
        return ([*map(self._triple, path)] for path in found)

    async def apaths(
        self, source: M, target: M, max_depth: int, *, max_triples: int = 100_000
    ) -> AsyncIterator[list[Triple[M]]]:
        """Async version of `paths`."""
        found = self.paths(source, target, max_depth, max_triples=max_triples)
        while batch := await offload(lambda: list(islice(found, _STREAM))):
            for path in batch:
                yield path

    aadd = async_version(add)
    aadd_many = async_version(add_many)
    aremove = async_version(remove)
    acontains = async_version(contains)
    amatch = async_version(match)
    amatch_any = async_version(match_any)
    apage = async_version(page)
    acount = async_version(count)

    def _added(self, triples: Iterable[Triple[M]]) -> int:
        return sum(self._write("triples_add", ("entries",), *part) for part in self._parts(triples))

    def _removed(self, triples: Iterable[Triple[M]]) -> int:
        return sum(
            self._remove("triples_remove", ("entries",), *part) for part in self._parts(triples)
        )

    def _parts(self, triples: Iterable[Triple[M]]) -> Iterator[list[bytes]]:
        """Yield the arguments of each script call: the terms of 500 triples. Checks all triples first."""
        rows = [self._encoded(triple) for triple in triples]
        for part in in_parts(rows, BATCH):
            yield [encode_bytes(term) for row in part for term in row]

    def _encoded(self, triple: Sequence[M]) -> tuple[bytes, bytes, bytes]:
        s, p, o = (self._members.encode(term, "term") for term in _three(triple))
        return s, p, o

    def _terms(self, subject: M | None, predicate: M | None, object: M | None) -> Terms:
        s, p, o = (
            None if term is None else self._members.encode(term, "term")
            for term in (subject, predicate, object)
        )
        return s, p, o

    def _triple(self, triple: Sequence[bytes]) -> Triple[M]:
        s, p, o = (self._members.decode(term) for term in triple)
        return s, p, o

    def _decoded(self, entries: Sequence[bytes]) -> list[Triple[M]]:
        return [self._triple(triple_of(entry)) for entry in entries]

    def _patterns(self, patterns: Sequence[Sequence[M | Variable]]) -> list[Pattern[M]]:
        if isinstance(patterns, (str, bytes)) or not patterns:
            raise InvalidInputError(f"a join needs a list of patterns, not {patterns!r}")
        return [Pattern(pattern, self._members) for pattern in patterns]

    def _solved(self, patterns: list[Pattern[M]]) -> Iterator[dict[str, M]]:
        for solution in join(patterns, self._ranges, self._counts):
            yield {name: self._members.decode(term) for name, term in solution.items()}

    def _ranges(self, ranges: Sequence[LexRange], limit: int) -> list[list[bytes]]:
        bounds = [bound for pair in ranges for bound in pair]
        found: list[list[bytes]] = self._read("triples_ranges", ("entries",), str(limit), *bounds)
        return found

    def _counts(self, ranges: Sequence[LexRange]) -> list[int]:
        bounds = [bound for pair in ranges for bound in pair]
        found: list[int] = self._read("triples_counts", ("entries",), *bounds)
        return found

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        for flat in self._scan("ZSCAN", "entries"):
            arguments: list[Argument] = []
            for entry in flat[::2]:
                arguments += [entry, *self._audited(entry)]
            yield len(flat) // 2, "triples_audit", ("entries",), arguments

    def _audited(self, entry: bytes) -> Sequence[bytes]:
        """Return the terms of an entry with their end marks, or three empty texts if it is not readable."""
        try:
            triple = triple_of(entry)
        except ValueError:
            return b"", b"", b""
        if not all(map(self._members.valid, triple)):
            return b"", b"", b""
        return [encode_bytes(term) for term in triple]


def _three(triple: Sequence[_T]) -> Sequence[_T]:
    if isinstance(triple, (str, bytes)) or not isinstance(triple, Sequence) or len(triple) != 3:
        raise InvalidInputError(f"a triple must be subject, predicate and object, not {triple!r}")
    return triple
