"""`Rotation`: circular work queue whose items many workers lease in turn."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, overload

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Argument, Connection
from valkey_vector.errors import InvalidInputError
from valkey_vector.secondary._base import BATCH, SecondaryIndex
from valkey_vector.secondary._members import M, MemberType
from valkey_vector.storage.keyspace import in_parts, lifetime

__all__ = ["Lease", "Rotation"]

_ALL = ("order", "state", "leases", "tokens")


@dataclass(frozen=True, slots=True)
class Lease(Generic[M]):
    """Item that is leased to one worker.

    Attributes:
        item: the item to process.
        again: True if an earlier worker did not complete the item in time.
        ends: end of the lease, in seconds since 1970 by the server's clock.
        token: identifies the owner of the lease.
    """

    item: M
    again: bool
    ends: float
    token: str


class Rotation(SecondaryIndex, Generic[M]):
    """Circular queue of items in the order they were added. After the last item, the first is next again.

    `take` leases an item to one worker, and `done` completes it. If a worker crashes, its lease ends after the
    visibility time. Then the next `take` returns that item first. So each item is processed at least once in its turn.
    For a worker that is too late, `done` returns False. Each method has an async version with the prefix ``a``.

    Args:
        name: name of the rotation, any non-empty text.
        visibility: duration of a lease in seconds, > 0, by the server's clock.
        members: type of all items, `str` or `bytes`.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the rotation.

    Raises:
        ConfigurationError: an argument is not valid.
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
        """Append an item. Returns True if it is new. Cost: one round trip, atomic."""
        return self.add_many([item]) == 1

    def add_many(self, items: Iterable[M]) -> int:
        """Append items. Returns the number of new ones. One round trip for each 500, each atomic.

        An existing item keeps its position.

        Raises:
            InvalidInputError: one has the wrong type, or holds a lone surrogate. Nothing was added.
        """
        return sum(
            self._write("rotation_add", ("order", "state"), *part)
            for part in in_parts(self._members.encode_all(items), BATCH)
        )

    def remove(self, items: Iterable[M]) -> int:
        """Remove items, leased or not. Returns how many existed. Cost: one round trip for each 500, each atomic."""
        return sum(
            self._remove("rotation_remove", ("order", "leases", "tokens"), *part)
            for part in in_parts(self._members.encode_all(items), BATCH)
        )

    def take(self, *, visibility: float | None = None) -> Lease[M] | None:
        """Lease the next item. Returns None if all items are leased.

        Args:
            visibility: duration of this lease in seconds, > 0. Default: that of the rotation.

        Cost: one round trip, atomic. O(log n) for each leased item between the last taken and the next free item.
        """
        token = uuid.uuid4().hex
        time = self._milliseconds if visibility is None else _milliseconds(visibility)
        taken = self._write("rotation_take", _ALL, str(time), token)
        if not taken:
            return None
        item, again, ends = taken
        return Lease(self._members.decode(item), again == b"1", int(ends) / 1000, token)

    def done(self, lease: Lease[M]) -> bool:
        """Complete a lease. Returns False if it ended and another worker took the item.

        Cost: one round trip, atomic.
        """
        return bool(self._finish(lease, "done"))

    def release(self, lease: Lease[M]) -> bool:
        """Return an item, so that the next `take` leases it. Returns False as `done` does.

        Cost: one round trip, atomic.
        """
        return bool(self._finish(lease, "release"))

    def extend(self, lease: Lease[M], *, visibility: float | None = None) -> Lease[M] | None:
        """Extend a lease. Returns None if another worker took the item. Cost: one round trip, atomic.

        Args:
            lease: the lease to extend.
            visibility: seconds, > 0, from now until the lease ends. Default: that of the rotation.
        """
        time = self._milliseconds if visibility is None else _milliseconds(visibility)
        reply = self._finish(lease, str(time))
        return replace(lease, ends=int(reply[0]) / 1000) if reply else None

    def items(self) -> list[M]:
        """Return all items in order. Cost: one round trip for each 500."""
        found: list[M] = []
        while True:
            first = len(found)
            part = self._read("rotation_items", ("order",), str(first), str(first + BATCH - 1))
            found += [self._members.decode(item) for item in part]
            if len(part) < BATCH:
                return found

    def count(self) -> int:
        """Return the number of items. Cost: one round trip."""
        return int(self._read("rotation_counts", ("order", "leases"))[0])

    def leased(self) -> int:
        """Return the number of leased items. Cost: one round trip."""
        return int(self._read("rotation_counts", ("order", "leases"))[1])

    aadd = async_version(add)
    aadd_many = async_version(add_many)
    aremove = async_version(remove)
    atake = async_version(take)
    adone = async_version(done)
    arelease = async_version(release)
    aextend = async_version(extend)
    aitems = async_version(items)
    acount = async_version(count)
    aleased = async_version(leased)

    def _finish(self, lease: Lease[M], what: str) -> list[bytes]:
        if not isinstance(lease, Lease):
            raise InvalidInputError(f"lease must be a Lease that take() returned, not {lease!r}")
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
