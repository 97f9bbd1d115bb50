"""`IndexedKeys`: a record of indexed keys, with the time of indexing by the server's clock and their source.

Four keys in one cluster slot hold a namespace: the records (a hash: key -> time and group), the keys by time (a sorted
set), the keys by group and time (a sorted set in lexicographic order), and the clock. Every change is one
script, so concurrent updates and deletions never leave half a record.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import InvalidInputError
from valkey_vector.records.validation import check_k
from valkey_vector.storage.keyspace import Keyspace, check_texts, in_parts

__all__ = ["IndexedKeys"]

_NO_GROUP = "-"
_MICROSECONDS = 1_000_000
_LATEST = 10**16  # microseconds; beyond any clock, and exact as a sorted set's score is near it


_NOW = read_lua(__package__, "indexed_keys_tick", "indexed_keys_now")


_UPDATE = read_lua(__package__, "indexed_keys_tick", "indexed_keys_forget", "indexed_keys_update")

_DELETE = read_lua(__package__, "indexed_keys_forget", "indexed_keys_delete")

_LIST_GROUPS = read_lua(__package__, "indexed_keys_list_groups")


class IndexedKeys(Connected):
    """Keys with the time of their last update, which the server's clock gives, and the group they belong to.

    Times are seconds since 1970, exact to the microsecond, and each call gets a later one than all before it: what
    was updated before `time` was called is listed as before it. Every method has an async version.

    Args:
        namespace: keys of different namespaces never meet.
        url: the server; see `Connected`.
        connection: an open one to share instead.

    Raises:
        ConfigurationError: the namespace is not acceptable, or both url and connection are given.
    """

    def __init__(
        self,
        namespace: str = "default",
        *,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        keyspace = Keyspace("indexed", namespace)
        self._clock, self._records = keyspace.together("clock"), keyspace.together("records")
        self._times, self._groups = keyspace.together("times"), keyspace.together("groups")
        super().__init__(namespace, url=url, connection=connection)

    def time(self) -> float:
        """Return the server's time in seconds, later than in any call before."""
        micros = self._connection.execute("EVAL", _NOW, "1", self._clock)
        return int(micros) / _MICROSECONDS

    def update(
        self,
        keys: Sequence[str],
        *,
        groups: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """Record that keys were indexed now. Atomic for up to 1000 keys; more keys take several scripts.

        Args:
            keys: new or recorded keys.
            groups: the group of each key, such as its source; by default none.
            time_at_least: refuse if the server's clock has not reached this time.

        Raises:
            InvalidInputError: the numbers of groups and keys differ, a key or group is not text, or `time_at_least` is in
                the future. Nothing was recorded.
        """
        listed = check_texts(keys, "key")
        marks = _marks([None] * len(listed) if groups is None else groups)
        if len(marks) != len(listed):
            raise InvalidInputError(f"{len(marks)} groups were given for {len(listed)} keys")
        earliest = "0" if time_at_least is None else str(_from(time_at_least, "time_at_least"))
        for part in in_parts(zip(listed, marks, strict=True)):
            pairs = [text for pair in part for text in pair]
            late = self._connection.execute("EVAL", _UPDATE, "4", *self._all_keys, earliest, *pairs)
            if late:
                raise InvalidInputError(
                    f"time_at_least {time_at_least!r} is in the future: the server's time is "
                    f"{int(late) / _MICROSECONDS}"
                )

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Return for each key if it is recorded, in order. One round trip per 1000 keys."""
        found: list[bool] = []
        for part in in_parts(check_texts(keys, "key")):
            values = self._connection.execute("HMGET", self._records, *part, retry=True)
            found += [value is not None for value in values]
        return found

    def select(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        groups: Sequence[str | None] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Return the matching keys, oldest update first; with groups, by group and then by time.

        Args:
            before: only those last updated before this time, itself excluded.
            after: only those last updated after it, itself excluded.
            groups: only those of these groups; None among them stands for keys of no group. An empty list
                matches nothing.
            limit: maximum number of keys, >= 1; None for all.

        Raises:
            InvalidInputError: an argument is not acceptable.
        """
        wanted = -1 if limit is None else check_k(limit, "limit")
        earliest = 0 if after is None else _after(after)
        latest = _LATEST if before is None else _from(before, "before") - 1
        if latest < earliest:
            return []
        if groups is None:
            window = [str(earliest), str(latest), "BYSCORE", "LIMIT", "0", str(wanted)]
            return _texts(self._connection.execute("ZRANGE", self._times, *window, retry=True))
        found: list[str] = []
        for part in in_parts(dict.fromkeys(_marks(groups))):
            rest = wanted if wanted < 0 else wanted - len(found)
            bounds = [str(earliest), str(latest), str(rest)]
            found += _texts(
                self._connection.execute(
                    "EVAL", _LIST_GROUPS, "1", self._groups, *bounds, *part, retry=True
                )
            )
            if len(found) == wanted:
                break
        return found

    def delete(self, keys: Sequence[str]) -> None:
        """Forget keys. Keys that are not recorded are ignored."""
        for part in in_parts(check_texts(keys, "key")):
            self._connection.execute("EVAL", _DELETE, "4", *self._all_keys, *part)

    def clear(self) -> None:
        """Forget all keys of this namespace."""
        self._connection.execute("UNLINK", self._records, self._times, self._groups)

    atime = async_version(time)
    aupdate = async_version(update)
    aexists = async_version(exists)
    aselect = async_version(select)
    adelete = async_version(delete)
    aclear = async_version(clear)

    @property
    def _all_keys(self) -> tuple[bytes, bytes, bytes, bytes]:
        return self._clock, self._records, self._times, self._groups


def _marks(groups: Sequence[str | None]) -> list[str]:
    """What stands for each group in the sorted set: of one length, and with no colon."""
    if isinstance(groups, str):
        raise InvalidInputError("groups must be a list of groups, not one text")
    listed = list(groups)
    check_texts([group for group in listed if group is not None], "group")
    return [
        _NO_GROUP if group is None else hashlib.sha256(group.encode()).hexdigest()
        for group in listed
    ]


def _texts(members: Iterable[bytes]) -> list[str]:
    return [member.decode() for member in members]


def _from(time: float, name: str) -> int:
    """The first microsecond that is not before a time."""
    micros = _microsecond(time, name)
    return micros if micros / _MICROSECONDS >= time else micros + 1


def _after(time: float) -> int:
    """The first microsecond that is after a time."""
    micros = _microsecond(time, "after")
    return micros if micros / _MICROSECONDS > time else micros + 1


def _microsecond(time: float, name: str) -> int:
    """The microsecond nearest to a time, or one next to it."""
    if not isinstance(time, (int, float)) or isinstance(time, bool) or math.isnan(time):
        raise InvalidInputError(f"{name} must be a time in seconds, not {time!r}")
    return round(min(max(time, 0.0) * _MICROSECONDS, float(_LATEST)))
