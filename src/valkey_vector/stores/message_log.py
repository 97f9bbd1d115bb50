"""`MessageLog`: ordered log of messages, such as the history of one conversation."""

from __future__ import annotations

from collections.abc import Sequence

from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.connection import Connection
from valkey_vector.connection.connected import Connected
from valkey_vector.connection.lua import read_lua
from valkey_vector.errors import InvalidInputError
from valkey_vector.records.validation import check_k, check_limit
from valkey_vector.storage.keyspace import Keyspace, check_texts, lifetime

__all__ = ["MessageLog"]

_APPEND = read_lua(__package__, "message_log_append")


class MessageLog(Connected):
    """Log of messages, each of any bytes, in the order in which they were appended.

    Any number of threads and processes can append. The messages of one call stay together. Every method has
    an async version. Reading a log that does not exist returns no messages.

    Args:
        name: name of the log, such as a session id; any non-empty text.
        namespace: any non-empty text. Logs of different namespaces are different, even with the same name.
        ttl: seconds until the whole log expires, > 0. None: it does not expire.
        sliding: True: each append restarts the time to live. False: it starts with the first message.
        max_messages: maximum number of messages, >= 1. Older messages are removed. None: no limit.
        url: the server; see `Connected`.
        connection: an open connection to use instead. It is not closed with the log.

    Raises:
        ConfigurationError: the namespace is not valid, or both `url` and `connection` are passed.
        InvalidInputError: the name or a number is not valid.
    """

    def __init__(
        self,
        name: str,
        *,
        namespace: str = "default",
        ttl: float | None = None,
        sliding: bool = True,
        max_messages: int | None = None,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        (self.name,) = check_texts([name], "name")
        if not name:
            raise InvalidInputError("a log's name must not be empty")
        self.namespace = namespace
        self._key = Keyspace("log", namespace).key(name)
        self._milliseconds = lifetime(ttl)
        self._sliding = sliding
        self._max_messages = 0 if max_messages is None else check_k(max_messages, "max_messages")
        super().__init__(name, url=url, connection=connection)

    def append(self, messages: Sequence[bytes]) -> int:
        """Append messages, all or none, and return the new length of the log.

        Raises:
            InvalidInputError: a message is not bytes. Nothing was added.
        """
        if isinstance(messages, (str, bytes)):
            raise InvalidInputError("messages must be a list of bytes, not one message")
        listed = list(messages)
        for message in listed:
            if not isinstance(message, bytes):
                raise InvalidInputError(f"a message is a {type(message).__name__}, not bytes")
        if not listed:
            return self.count()
        settings = [
            str(self._milliseconds or 0),
            "1" if self._sliding else "0",
            str(self._max_messages),
        ]
        return int(self._connection.execute("EVAL", _APPEND, "1", self._key, *settings, *listed))

    def read(self, *, offset: int = 0, limit: int | None = None) -> list[bytes]:
        """Return messages, oldest first, in one round trip.

        Args:
            offset: number of oldest messages to skip, >= 0.
            limit: maximum number of messages; None for all.

        Raises:
            InvalidInputError: a number is not an integer >= 0.
        """
        check_limit(offset, "offset")
        if limit is not None:
            check_limit(limit, "limit")
        if limit == 0:
            return []
        return self._range(offset, -1 if limit is None else offset + limit - 1)

    def tail(self, count: int) -> list[bytes]:
        """Return the newest messages, oldest first, in one round trip.

        Args:
            count: number of messages, >= 1. A shorter log is returned whole.
        """
        return self._range(-check_k(count, "count"), -1)

    def count(self) -> int:
        """Return the number of messages."""
        return int(self._connection.execute("LLEN", self._key, retry=True))

    def clear(self) -> None:
        """Remove all messages."""
        self._connection.execute("UNLINK", self._key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, namespace={self.namespace!r}, {self.connection!r})"

    aappend = async_version(append)
    aread = async_version(read)
    atail = async_version(tail)
    acount = async_version(count)
    aclear = async_version(clear)

    def _range(self, start: int, stop: int) -> list[bytes]:
        found: list[bytes] = self._connection.execute(
            "LRANGE", self._key, str(start), str(stop), retry=True
        )
        return found
