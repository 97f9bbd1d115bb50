"""`IndexedKeys`: record of indexed keys, with their source and the time of indexing by the server's clock.

A namespace is stored in four keys of one cluster slot: the records (a hash: key -> time and group), the keys by time (a
sorted set), the keys by group and time (a sorted set in lexicographic order), and the clock. Each change is one script, so
concurrent updates and deletions never leave an incomplete record.
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


_UPDATE = read_lua(__package__, "indexed_keys_tick", "indexed_keys_update")

_DELETE = read_lua(__package__, "indexed_keys_forget", "indexed_keys_delete")

_LIST_GROUPS = read_lua(__package__, "indexed_keys_list_groups")


class IndexedKeys(Connected):
    """Keys with their group and the time of their last update, by the server's clock.

    Times are seconds since 1970, exact to the microsecond. Each call gets a later time than all calls before it. So a key
    that was updated before a call of `time` has an earlier time. Every method has an async version.

    Args:
        namespace: any non-empty text. Different namespaces do not share keys.
        url: the server; see `Connected`.
        connection: an open connection to use instead. It is not closed with this object.

    Raises:
        ConfigurationError: the namespace is not valid, or both `url` and `connection` are passed.
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
        """Record that keys were indexed now.

        Args:
            keys: new or recorded keys.
            groups: group of each key, such as its source. None: the keys have no group.
            time_at_least: raise if the server's clock has not reached this time.

        Raises:
            InvalidInputError: the numbers of groups and keys differ, a key or group is not text, or `time_at_least` is in
                the future. Nothing was recorded.

        Atomicity: one script for up to 1000 keys.
        """
        listed = check_texts(keys, "key")
        marks = _marks([None] * len(listed) if groups is None else groups)
        if len(marks) != len(listed):
            raise InvalidInputError(
                f"{len(marks)} groups were passed for {len(listed)} keys: pass one group for each key"
            )
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
        """Return True for each key that is recorded, in order. Cost: one round trip for each 1000 keys."""
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
        """Return the matching keys, oldest update first. With groups, they are ordered by group, then by time.

        Args:
            before: only keys that were last updated before this time (exclusive).
            after: only keys that were last updated after this time (exclusive).
            groups: only keys of these groups. None in the list selects keys without a group. An empty list matches
                nothing.
            limit: maximum number of keys, >= 1. None: all.

        Raises:
            InvalidInputError: an argument is not valid.
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
        """Remove keys from the record. Keys that are not recorded are ignored."""
        for part in in_parts(check_texts(keys, "key")):
            self._connection.execute("EVAL", _DELETE, "4", *self._all_keys, *part)

    def clear(self) -> None:
        """Remove all keys of this namespace from the record."""
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
    """Return a mark of fixed length, without a colon, for each group."""
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
    """Return the first microsecond that is not before a time."""
    micros = _microsecond(time, name)
    return micros if micros / _MICROSECONDS >= time else micros + 1


def _after(time: float) -> int:
    """Return the first microsecond after a time."""
    micros = _microsecond(time, "after")
    return micros if micros / _MICROSECONDS > time else micros + 1


def _microsecond(time: float, name: str) -> int:
    """Convert a time in seconds into microseconds, rounded."""
    if not isinstance(time, (int, float)) or isinstance(time, bool) or math.isnan(time):
        raise InvalidInputError(f"{name} must be a time in seconds, not {time!r}")
    return round(min(max(time, 0.0) * _MICROSECONDS, float(_LATEST)))
