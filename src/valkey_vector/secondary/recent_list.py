"""`RecentList`: list of the latest items, newest first, with a maximum length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, overload

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Argument, Connection
from valkey_vector.records.validation import check_k, check_limit
from valkey_vector.secondary._base import BATCH, SecondaryIndex
from valkey_vector.secondary._members import M, MemberType
from valkey_vector.storage.keyspace import in_parts

__all__ = ["RecentList"]


class RecentList(SecondaryIndex, Generic[M]):
    """List of the last pushed items, newest first. An item can occur several times.

    Each method has an async version with the prefix ``a``.

    Args:
        name: name of the list, any non-empty text.
        maximum: maximum number of items, ≥ 1. A push removes the oldest items above it.
        members: type of all items, `str` or `bytes`.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the list.

    Raises:
        ConfigurationError: an argument is not valid.
        InvalidInputError: `maximum` is not an integer ≥ 1.
    """

    kind = "recent"
    parts: ClassVar[Mapping[str, str]] = {"items": "list"}

    @overload
    def __init__(
        self: RecentList[str],
        name: str,
        maximum: int,
        *,
        members: type[str] = ...,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: RecentList[bytes],
        name: str,
        maximum: int,
        *,
        members: type[bytes],
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        maximum: int,
        *,
        members: type[str | bytes] = str,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._members: MemberType[M] = MemberType(members)
        self._maximum = check_k(maximum, "maximum")
        super().__init__(
            name, settings={"members": members.__name__}, url=url, connection=connection
        )

    def push(self, item: M) -> int:
        """Add the newest item. Returns the new number of items. One round trip, atomic."""
        return self.push_many([item])

    def push_many(self, items: Iterable[M]) -> int:
        """Add items, the newest last. Returns the new number of items. One round trip for each 500, each atomic.

        Raises:
            InvalidInputError: one has the wrong type, or holds a lone surrogate. Nothing was added.
        """
        encoded = self._members.encode_all(items)
        if not encoded:
            return self.count()
        count = 0
        for part in in_parts(encoded, BATCH):
            count = int(self._write("recent_push", ("items",), str(self._maximum), *part))
        return count

    def latest(self, limit: int | None = None, *, offset: int = 0) -> list[M]:
        """Return items, newest first. Cost: one round trip.

        Args:
            limit: maximum number of items, ≥ 1. None: all.
            offset: number of newest items to skip, ≥ 0.

        Raises:
            InvalidInputError: `limit` or `offset` is not valid.
        """
        first = check_limit(offset, "offset")
        last = -1 if limit is None else first + check_k(limit, "limit") - 1
        found = self._read("recent_range", ("items",), str(first), str(last))
        return [self._members.decode(item) for item in found]

    def remove(self, items: Iterable[M]) -> int:
        """Remove all occurrences of items. Returns their number. Cost: one round trip for each 500."""
        return sum(
            self._remove("recent_remove", ("items",), *part)
            for part in in_parts(self._members.encode_all(items), BATCH)
        )

    def count(self) -> int:
        """Return the number of items. Cost: one round trip."""
        return int(self._read("recent_count", ("items",)))

    apush = async_version(push)
    apush_many = async_version(push_many)
    alatest = async_version(latest)
    aremove = async_version(remove)
    acount = async_version(count)

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        first = 0
        while True:
            items = self._read("recent_range", ("items",), str(first), str(first + BATCH - 1))
            unreadable = [item for item in items if not self._members.valid(item)]
            yield len(items), "recent_audit", ("items",), [str(self._maximum), *unreadable]
            if len(items) < BATCH:
                return
            first += BATCH
