"""`Rotation`: items in a fixed order, taken in turn by many workers, again and again."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, overload

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import InvalidInputError
from valkey_vector.secondary._base import BATCH, SecondaryIndex
from valkey_vector.secondary._members import M, MemberType
from valkey_vector.storage.keyspace import in_parts, lifetime

__all__ = ["Lease", "Rotation"]

_ALL = ("order", "state", "leases", "tokens")


@dataclass(frozen=True, slots=True)
class Lease(Generic[M]):
    """An item that one worker has for a time.

    Attributes:
        item: what to work on.
        again: whether an earlier worker did not complete it in time.
        ends: when the lease ends, in seconds since 1970 by the server's clock.
        token: proves whose the lease is.
    """

    item: M
    again: bool
    ends: float
    token: str


class Rotation(SecondaryIndex, Generic[M]):
    """Items in the order in which they were added, taken in turn: after the last one the first comes again.

    `take` leases an item to one worker; `done` completes it. If a worker dies, its lease ends after the visibility time,
    and the next call of `take` returns that item before any other. So each item is worked on at least once in its turn;
    a worker that is late finds that `done` returns False. Every method has an async version named with a leading ``a``.

    Args:
        name: of the rotation; any non-empty text.
        visibility: seconds until a lease ends, by the server's clock.
        members: `str` or `bytes`, the type of all items.
        url: the server (see `Connection.open`); by default ``VALKEY_URL`` or the embedded server.
        connection: an open connection to use instead; it is not closed with the rotation.

    Raises:
        ConfigurationError: an argument is not acceptable.
        InvalidInputError: `visibility` is not a positive number.
    """

    kind = "rotation"
    parts: ClassVar[Mapping[str, str]] = {
        "order": "zset",
        "state": "hash",
        "leases": "zset",
        "tokens": "hash",
    }

    @overload
    def __init__(
        self: Rotation[str],
        name: str,
        *,
        visibility: float = ...,
        members: type[str] = ...,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: Rotation[bytes],
        name: str,
        *,
        visibility: float = ...,
        members: type[bytes],
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        *,
        visibility: float = 60.0,
        members: type[str | bytes] = str,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._members: MemberType[M] = MemberType(members)
        self._milliseconds = _milliseconds(visibility)
        super().__init__(
            name, settings={"members": members.__name__}, url=url, connection=connection
        )

    def add(self, item: M) -> bool:
        """Put an item at the end of the order; returns whether it is new. One round trip, atomic."""
        return self.add_many([item]) == 1

    def add_many(self, items: Iterable[M]) -> int:
        """Put items at the end of the order; returns how many are new. One round trip for each 500, each atomic.

        An item that is there keeps its place.

        Raises:
            InvalidInputError: one is of the wrong type, or holds a lone surrogate; nothing was added.
        """
        return sum(
            self._write("rotation_add", ("order", "state"), *part)
            for part in in_parts(self._members.encode_all(items), BATCH)
        )

    def remove(self, items: Iterable[M]) -> int:
        """Remove items, leased or not; returns how many were there. One round trip for each 500, each atomic."""
        return sum(
            self._remove("rotation_remove", ("order", "leases", "tokens"), *part)
            for part in in_parts(self._members.encode_all(items), BATCH)
        )

    def take(self, *, visibility: float | None = None) -> Lease[M] | None:
        """Lease the next item; None if every item is leased. One round trip, atomic.

        Costs O(log n) for each leased item that lies between the last one taken and the next free one.

        Args:
            visibility: seconds until this lease ends; by default the rotation's.
        """
        token = uuid.uuid4().hex
        time = self._milliseconds if visibility is None else _milliseconds(visibility)
        taken = self._write("rotation_take", _ALL, str(time), token)
        if not taken:
            return None
        item, again, ends = taken
        return Lease(self._members.decode(item), again == b"1", int(ends) / 1000, token)

    def done(self, lease: Lease[M]) -> bool:
        """Complete a lease; False if it had ended and another worker took the item. One round trip, atomic."""
        return bool(self._finish(lease, "done"))

    def release(self, lease: Lease[M]) -> bool:
        """Give an item back, so that the next caller gets it; False as for `done`. One round trip, atomic."""
        return bool(self._finish(lease, "release"))

    def extend(self, lease: Lease[M], *, visibility: float | None = None) -> Lease[M] | None:
        """Prolong a lease from now on; None if another worker took the item. One round trip, atomic.

        Args:
            lease: which.
            visibility: seconds from now until it ends; by default the rotation's.
        """
        time = self._milliseconds if visibility is None else _milliseconds(visibility)
        reply = self._finish(lease, str(time))
        return replace(lease, ends=int(reply[0]) / 1000) if reply else None

    def items(self) -> list[M]:
        """All items in their order. One round trip for each 500."""
        found: list[M] = []
        while True:
            first = len(found)
            part = self._read("rotation_items", ("order",), str(first), str(first + BATCH - 1))
            found += [self._members.decode(item) for item in part]
            if len(part) < BATCH:
                return found

    def count(self) -> int:
        """How many items there are. One round trip."""
        return int(self._read("rotation_counts", ("order", "leases"))[0])

    def leased(self) -> int:
        """How many items are leased now. One round trip."""
        return int(self._read("rotation_counts", ("order", "leases"))[1])

    aadd = twin(add)
    aadd_many = twin(add_many)
    aremove = twin(remove)
    atake = twin(take)
    adone = twin(done)
    arelease = twin(release)
    aextend = twin(extend)
    aitems = twin(items)
    acount = twin(count)
    aleased = twin(leased)

    def _finish(self, lease: Lease[M], what: str) -> list[bytes]:
        if not isinstance(lease, Lease):
            raise InvalidInputError(f"a lease that take() returned is needed, not {lease!r}")
        item = self._members.encode(lease.item, "item")
        reply: list[bytes] = self._write(
            "rotation_finish", ("leases", "tokens"), item, lease.token, what
        )
        return reply

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        yield 0, "rotation_audit", _ALL, ["s", b""]
        sources = (("ZSCAN", "order", "o"), ("ZSCAN", "leases", "l"), ("HSCAN", "tokens", "t"))
        for command, part, kind in sources:
            for flat in self._scan(command, part):
                arguments: list[Argument] = []
                for item in flat[::2]:
                    readable = kind != "o" or self._members.valid(item)
                    arguments += [kind if readable else "x", item]
                yield len(flat) // 2, "rotation_audit", _ALL, arguments


def _milliseconds(seconds: float) -> int:
    milliseconds = lifetime(seconds)
    if milliseconds is None:
        raise InvalidInputError("visibility must be a positive number of seconds, not None")
    return milliseconds
