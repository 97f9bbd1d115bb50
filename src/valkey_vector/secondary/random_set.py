"""`RandomSet`: unordered set of members with random sampling."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar, Generic, overload

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.records.validation import check_k
from valkey_vector.secondary._base import BATCH, SecondaryIndex
from valkey_vector.secondary._members import M, MemberType
from valkey_vector.storage.keyspace import in_parts

__all__ = ["RandomSet"]


class RandomSet(SecondaryIndex, Generic[M]):
    """Set of members, for random samples and membership tests.

    Each method has an async version with the prefix ``a``.

    Args:
        name: name of the set, any non-empty text.
        members: type of all members, `str` or `bytes`.
        url: the server (see `Connection.open`). Default: ``VALKEY_URL``, or the embedded server.
        connection: an open connection to use instead. It is not closed with the set.

    Raises:
        ConfigurationError: an argument is not valid.
    """

    kind = "random"
    parts: ClassVar[Mapping[str, str]] = {"members": "set"}

    @overload
    def __init__(
        self: RandomSet[str],
        name: str,
        *,
        members: type[str] = ...,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: RandomSet[bytes],
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

    def add(self, member: M) -> bool:
        """Add a member. Returns True if it is new. One round trip."""
        return self.add_many([member]) == 1

    def add_many(self, members: Iterable[M]) -> int:
        """Add members. Returns the number of new ones. Cost: one round trip for each 500, each atomic.

        Raises:
            InvalidInputError: one has the wrong type, or holds a lone surrogate. Nothing was added.
        """
        encoded = self._members.encode_all(members)
        return sum(self._write("set_add", ("members",), *part) for part in in_parts(encoded, BATCH))

    def remove(self, members: Iterable[M]) -> int:
        """Remove members. Returns how many existed. One round trip for each 500, each atomic."""
        encoded = self._members.encode_all(members)
        return sum(
            self._remove("set_remove", ("members",), *part) for part in in_parts(encoded, BATCH)
        )

    def contains(self, members: Iterable[M]) -> list[bool]:
        """Return True for each member that exists, in order. Cost: one round trip for each 500."""
        return [
            found == 1
            for part in in_parts(self._members.encode_all(members), BATCH)
            for found in self._read("set_contains", ("members",), *part)
        ]

    def sample(self, count: int = 1, *, replace: bool = False) -> list[M]:
        """Return random members, each about equally likely. Cost: one round trip.

        Args:
            count: how many, at least 1.
            replace: draw each from all members, so that one may come twice and `count` may exceed the size of the set.
                Otherwise all are different; fewer are returned only if there are fewer.

        Raises:
            InvalidInputError: `count` is not an integer ≥ 1.
        """
        wanted = check_k(count, "count")
        return self._decoded(
            self._read("set_sample", ("members",), str(-wanted if replace else wanted))
        )

    def take(self, count: int = 1) -> list[M]:
        """Remove random members and return them. No other caller gets them. Cost: one round trip, atomic."""
        return self._decoded(self._remove("set_take", ("members",), str(check_k(count, "count"))))

    def count(self) -> int:
        """Return the number of members. Cost: one round trip."""
        return int(self._read("set_count", ("members",)))

    def iterate(self) -> Iterator[M]:
        """Iterate over all members, each once, in no particular order.

        Returns each member that exists during the whole iteration. Keeps the returned members in memory.

        Cost: about one round trip for each 500 members.
        """
        seen: set[bytes] = set()
        for batch in self._scan("SSCAN", "members"):
            new = [member for member in batch if member not in seen]
            seen.update(new)
            yield from self._decoded(new)

    async def aiterate(self) -> AsyncIterator[M]:
        """Async version of `iterate`."""
        members = self.iterate()
        while batch := await offload(lambda: list(islice(members, BATCH))):
            for member in batch:
                yield member

    aadd = async_version(add)
    aadd_many = async_version(add_many)
    aremove = async_version(remove)
    acontains = async_version(contains)
    asample = async_version(sample)
    atake = async_version(take)
    acount = async_version(count)

    def _decoded(self, members: Sequence[bytes]) -> list[M]:
        return [self._members.decode(member) for member in members]

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        for batch in self._scan("SSCAN", "members"):
            unreadable = [member for member in batch if not self._members.valid(member)]
            yield len(batch), "set_audit", ("members",), unreadable
