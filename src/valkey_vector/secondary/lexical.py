"""`LexicalIndex`: sorted set of texts, queried by range and prefix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, overload

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.secondary._base import BATCH
from valkey_vector.secondary._bounds import (
    Bounds,
    Page,
    after_prefix,
    check_page_limit,
    lex_bounds,
)
from valkey_vector.secondary._encoding import decode_bytes, encode_bytes
from valkey_vector.secondary._entries import MALFORMED
from valkey_vector.secondary._members import M, MemberType
from valkey_vector.secondary._normal import normal_form
from valkey_vector.secondary._ranges import LexRange, OrderedEntries
from valkey_vector.storage.keyspace import in_parts

__all__ = ["LexicalIndex"]


class LexicalIndex(OrderedEntries, Generic[M]):
    """Sorted set of texts, or of byte strings, in byte order.

    Texts are ordered by UTF-8 bytes, which is code point order. With `normalize`, order and queries use the normal
    form, without case and accents. Queries return the original texts. Different texts with the same normal form are
    all stored. Each method has an async version with the prefix ``a``.

    Args:
        name: name of the index, any non-empty text.
        members: `str` or `bytes`.
        normalize: ignore case and accents in order, ranges and prefixes.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the index.

    Raises:
        ConfigurationError: an argument is not valid; byte strings have no normal form.
    """

    kind = "lexical"
    parts: ClassVar[Mapping[str, str]] = {"entries": "zset"}

    @overload
    def __init__(
        self: LexicalIndex[str],
        name: str,
        *,
        members: type[str] = ...,
        normalize: bool = False,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: LexicalIndex[bytes],
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
        normalize: bool = False,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._members: MemberType[M] = MemberType(members)
        self._normalize = normalize
        if normalize and members is bytes:
            raise ConfigurationError(
                "byte strings have no normal form: use members=str, or normalize=False"
            )
        super().__init__(
            name,
            settings={"members": members.__name__, "normalize": normalize},
            url=url,
            connection=connection,
        )

    def add(self, member: M) -> bool:
        """Add a member. Returns True if it is new. Cost: one round trip."""
        return self.add_many([member]) == 1

    def add_many(self, members: Iterable[M]) -> int:
        """Add members. Returns the number of new ones. Cost: one round trip for each 500, each atomic.

        Raises:
            InvalidInputError: one has the wrong type, or holds a lone surrogate. Nothing was added.
        """
        entries = [self._entry(member) for member in self._members.encode_all(members)]
        return sum(
            self._write("lexical_add", ("entries",), *part) for part in in_parts(entries, BATCH)
        )

    def remove(self, members: Iterable[M]) -> int:
        """Remove members. Returns how many existed. Cost: one round trip for each 500, each atomic."""
        entries = [self._entry(member) for member in self._members.encode_all(members)]
        return sum(
            self._remove("lexical_remove", ("entries",), *part) for part in in_parts(entries, BATCH)
        )

    def contains(self, members: Iterable[M]) -> list[bool]:
        """Return True for each member that is in the index, compared exactly. Cost: one round trip for each 500."""
        entries = [self._entry(member) for member in self._members.encode_all(members)]
        return [
            found == 1
            for part in in_parts(entries, BATCH)
            for found in self._read("lexical_contains", ("entries",), *part)
        ]

    def range(
        self,
        *,
        prefix: M | None = None,
        ge: M | None = None,
        gt: M | None = None,
        le: M | None = None,
        lt: M | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[M]:
        """Return the texts of a range, in order. Cost: one round trip, O(log n + texts returned).

        Args:
            prefix: return texts that start with it. Cannot be combined with bounds.
            ge: minimum text, inclusive.
            gt: minimum text, exclusive. With `normalize`, after all texts with its normal form.
            le: maximum text, inclusive.
            lt: maximum text, exclusive.
            reverse: descending order.
            limit: maximum number of results, ≥ 0. None: all, in one reply. For more than a few 10,000 use `iterate`.

        Raises:
            InvalidInputError: a bound or the limit is not valid.
        """
        lex = self._lex(prefix, Bounds.of(ge, gt, le, lt))
        return self._decoded(self._entries(lex, reverse, check_page_limit(limit)))

    def page(
        self,
        *,
        prefix: M | None = None,
        ge: M | None = None,
        gt: M | None = None,
        le: M | None = None,
        lt: M | None = None,
        reverse: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[M]:
        """Return one page of a range. Cost: one round trip, for any page.

        Args:
            prefix: as for `range`, and so are `ge`, `gt`, `le`, `lt`.
            ge: minimum text, inclusive.
            gt: minimum text, exclusive.
            le: maximum text, inclusive.
            lt: maximum text, exclusive.
            reverse: descending order.
            limit: maximum number of texts on a page.
            after: cursor of the previous page. None: the first page.
        """
        lex = self._lex(prefix, Bounds.of(ge, gt, le, lt))
        entries, cursor = self._entry_page(lex, reverse, limit, after)
        return Page(tuple(self._decoded(entries)), cursor)

    def iterate(
        self,
        *,
        prefix: M | None = None,
        ge: M | None = None,
        gt: M | None = None,
        le: M | None = None,
        lt: M | None = None,
        reverse: bool = False,
    ) -> Iterator[M]:
        """Iterate over a range. Takes the arguments of `range`. Cost: one round trip for each 1000 texts."""
        lex = self._lex(prefix, Bounds.of(ge, gt, le, lt))
        for entries in self._entry_iterator(lex, reverse):
            yield from self._decoded(entries)

    async def aiterate(
        self,
        *,
        prefix: M | None = None,
        ge: M | None = None,
        gt: M | None = None,
        le: M | None = None,
        lt: M | None = None,
        reverse: bool = False,
    ) -> AsyncIterator[M]:
        """Async version of `iterate`."""
        batches = self._entry_iterator(self._lex(prefix, Bounds.of(ge, gt, le, lt)), reverse)
        while (entries := await offload(next, batches, None)) is not None:
            for member in self._decoded(entries):
                yield member

    def count(
        self,
        *,
        prefix: M | None = None,
        ge: M | None = None,
        gt: M | None = None,
        le: M | None = None,
        lt: M | None = None,
    ) -> int:
        """Return the number of texts in a range, or of all texts. Takes the arguments of `range`.

        Cost: one round trip, O(log n).
        """
        return self._count(self._lex(prefix, Bounds.of(ge, gt, le, lt)))

    aadd = async_version(add)
    aadd_many = async_version(add_many)
    aremove = async_version(remove)
    acontains = async_version(contains)
    arange = async_version(range)  # noqa: A003 - the method above
    apage = async_version(page)
    acount = async_version(count)

    def _entry(self, member: bytes) -> bytes:
        """Return the entry of an encoded member."""
        return self._ordered(member) + member if self._normalize else member

    def _ordered(self, member: bytes) -> bytes:
        """Return the prefix of all entries with a member's normal form."""
        return encode_bytes(normal_form(member.decode()).encode())

    def _lex(self, prefix: M | None, bounds: Bounds[M]) -> LexRange:
        if prefix is not None:
            if bounds.low is not None or bounds.high is not None:
                raise InvalidInputError("pass a prefix or bounds, not both")
            begin = self._members.encode(prefix, "prefix")
            if self._normalize:
                begin = self._ordered(begin)[:-2]  # without the end mark
            return lex_bounds(begin, after_prefix(begin))
        low = None if bounds.low is None else self._members.encode(bounds.low, "bound")
        high = None if bounds.high is None else self._members.encode(bounds.high, "bound")
        if not self._normalize:
            return lex_bounds(low, high, with_low=bounds.with_low, with_high=bounds.with_high)
        if low is not None:
            low = self._ordered(low) if bounds.with_low else after_prefix(self._ordered(low))
        if high is not None:
            high = after_prefix(self._ordered(high)) if bounds.with_high else self._ordered(high)
        return lex_bounds(low, high)

    def _decoded(self, entries: Sequence[bytes]) -> list[M]:
        if self._normalize:
            entries = [entry[decode_bytes(entry)[1] :] for entry in entries]
        return [self._members.decode(entry) for entry in entries]

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        for flat in self._scan("ZSCAN", "entries"):
            arguments: list[Argument] = []
            for entry in flat[::2]:
                proper = self._proper(entry)
                arguments += (
                    [entry, "unreadable", b""] if proper is None else [entry, "text", proper]
                )
            yield len(flat) // 2, "lexical_audit", ("entries",), arguments

    def _proper(self, entry: bytes) -> bytes | None:
        """Return the correct entry for the member in an entry, or None if it holds no valid member."""
        try:
            member = entry[decode_bytes(entry)[1] :] if self._normalize else entry
        except MALFORMED:
            return None
        return self._entry(member) if self._members.valid(member) else None
