"""`RandomSet`: members without an order, of which random ones are drawn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar, Generic, overload

from valkey_vector.concurrency.async_versions import twin
from valkey_vector.concurrency.threads import offload
from valkey_vector.connection import Argument, Connection
from valkey_vector.records.validation import check_k
from valkey_vector.secondary._base import BATCH, SecondaryIndex
from valkey_vector.secondary._members import M, MemberType
from valkey_vector.storage.keyspace import in_parts

__all__ = ["RandomSet"]


class RandomSet(SecondaryIndex, Generic[M]):
    """A set of members, for random samples and for membership.

    Every method has an async version named with a leading ``a``.

    Args:
        name: of the set; any non-empty text.
        members: `str` or `bytes`, the type of all members.
        url: the server (see `Connection.open`); by default ``VALKEY_URL`` or the embedded server.
        connection: an open connection to use instead; it is not closed with the set.

    Raises:
        ConfigurationError: an argument is not acceptable.
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
        """Add a member; returns whether it is new. One round trip."""
        return self.add_many([member]) == 1

    def add_many(self, members: Iterable[M]) -> int:
        """Add members; returns how many are new. One round trip for each 500, each atomic; all are checked first.

        Raises:
            InvalidInputError: one is of the wrong type, or holds a lone surrogate; nothing was added.
        """
        encoded = self._members.encode_all(members)
        return sum(self._write("set_add", ("members",), *part) for part in in_parts(encoded, BATCH))

    def remove(self, members: Iterable[M]) -> int:
        """Remove members; returns how many were there. One round trip for each 500, each atomic."""
        encoded = self._members.encode_all(members)
        return sum(
            self._remove("set_remove", ("members",), *part) for part in in_parts(encoded, BATCH)
        )

    def contains(self, members: Iterable[M]) -> list[bool]:
        """Whether each member is there. One round trip for each 500."""
        return [
            found == 1
            for part in in_parts(self._members.encode_all(members), BATCH)
            for found in self._read("set_contains", ("members",), *part)
        ]

    def sample(self, count: int = 1, *, replace: bool = False) -> list[M]:
        """Random members, each about as likely as any other. One round trip.

        Args:
            count: how many, at least 1.
            replace: draw each from all members, so that one may come twice and `count` may exceed the size of the set.
                Otherwise all are different; fewer are returned only if there are fewer.

        Raises:
            InvalidInputError: `count` is not a whole number from 1 on.
        """
        wanted = check_k(count, "count")
        return self._decoded(
            self._read("set_sample", ("members",), str(-wanted if replace else wanted))
        )

    def take(self, count: int = 1) -> list[M]:
        """Remove random members and return them; no other caller gets them. One round trip, atomic."""
        return self._decoded(self._remove("set_take", ("members",), str(check_k(count, "count"))))

    def count(self) -> int:
        """How many members there are. One round trip."""
        return int(self._read("set_count", ("members",)))

    def iterate(self) -> Iterator[M]:
        """All members, each once, in no order: one round trip for about each 500.

        One that is there throughout is found. Keeps the members that it found in memory.
        """
        seen: set[bytes] = set()
        for batch in self._scan("SSCAN", "members"):
            new = [member for member in batch if member not in seen]
            seen.update(new)
            yield from self._decoded(new)

    async def aiterate(self) -> AsyncIterator[M]:
        """The async version of `iterate`."""
        members = self.iterate()
        while batch := await offload(lambda: list(islice(members, BATCH))):
            for member in batch:
                yield member

    aadd = twin(add)
    aadd_many = twin(add_many)
    aremove = twin(remove)
    acontains = twin(contains)
    asample = twin(sample)
    atake = twin(take)
    acount = twin(count)

    def _decoded(self, members: Sequence[bytes]) -> list[M]:
        return [self._members.decode(member) for member in members]

    def _audits(self) -> Iterator[tuple[int, str, Sequence[str], Sequence[Argument]]]:
        for batch in self._scan("SSCAN", "members"):
            unreadable = [member for member in batch if not self._members.valid(member)]
            yield len(batch), "set_audit", ("members",), unreadable
