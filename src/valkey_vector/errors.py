"""The hierarchy of exceptions that this library raises.

::

    ValkeyVectorError
    ├── ConfigurationError (ValueError)     a setting is invalid; raised before anything is sent
    ├── InvalidInputError (ValueError)      a record, vector, id or argument is invalid; nothing was written
    │   └── FilterError                     a filter is malformed
    ├── UnsupportedFeatureError             the server or engine does not support a feature; names what does
    ├── IndexNotFoundError (LookupError)    the index does not exist
    ├── IndexRecordLostError                the catalog record of an index is missing, but its documents exist
    ├── IndexMismatchError                  the index exists with another dimension, metric, …
    ├── DuplicateIdError                    ids are already stored, and the write policy is FAIL
    ├── PartialWriteError                   a bulk write stopped before its end; lists the missing ids
    ├── QueryBatchError                     some queries of a batch failed; holds the results of the others
    └── ServerError                         the server returned an error
        ├── ConnectionLostError (ConnectionError)
        ├── RequestTimeoutError (TimeoutError)
        ├── AuthenticationError
        ├── ForeignKeyError             a key with the index's prefix belongs to another program
        └── UnreadableRecordError       stored data is corrupted, or was written by another program

Each exception has its facts as attributes and in its message. No message contains a credential. All exceptions
can be pickled, so they can be raised across process boundaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "ConnectionLostError",
    "DuplicateIdError",
    "FilterError",
    "ForeignKeyError",
    "IndexMismatchError",
    "IndexNotFoundError",
    "IndexRecordLostError",
    "InvalidInputError",
    "PartialWriteError",
    "QueryBatchError",
    "RequestTimeoutError",
    "ServerError",
    "UnreadableRecordError",
    "UnsupportedFeatureError",
    "ValkeyVectorError",
]

_SHOWN = 5


def _shown(ids: Sequence[str]) -> str:
    """The first ids, quoted, and the number of the remaining ones."""
    text = ", ".join(repr(item) for item in ids[:_SHOWN])
    return text if len(ids) <= _SHOWN else f"{text} and {len(ids) - _SHOWN} more"


class ValkeyVectorError(Exception):
    """Base class of all exceptions that this library raises."""


class ConfigurationError(ValkeyVectorError, ValueError):
    """A setting is invalid or missing. Raised before anything is sent to a server."""


class InvalidInputError(ValkeyVectorError, ValueError):
    """A record, vector, id or argument is invalid. Nothing was written."""


class FilterError(InvalidInputError):
    """A filter is malformed: an operator is unknown, or its value has the wrong type."""


class UnsupportedFeatureError(ValkeyVectorError):
    """The server or engine does not support a requested feature.

    Attributes:
        feature: the requested feature.
        found: the server or engine, with its version.
        needed: a server, version or engine that supports the feature.
    """

    def __init__(self, feature: str, found: str, needed: str) -> None:
        super().__init__(feature, found, needed)
        self.feature = feature
        self.found = found
        self.needed = needed

    def __str__(self) -> str:
        return f"{self.feature} is not available on {self.found}; it needs {self.needed}"


class IndexNotFoundError(ValkeyVectorError, LookupError):
    """The named index does not exist on this server and database."""


class IndexRecordLostError(ValkeyVectorError):
    """The catalog record of an index is missing on the server, but its documents exist.

    Attributes:
        index: the index's name.
        key: the missing key.
    """

    def __init__(self, index: str, key: str) -> None:
        super().__init__(index, key)
        self.index = index
        self.key = key

    def __str__(self) -> str:
        return (
            f"the key {self.key!r}, which holds the definition of index {self.index!r}, is missing, but documents of "
            "the index exist: the server evicted the key, or another client deleted it. Set maxmemory-policy to "
            "noeviction or a volatile policy. Then restore the key from a backup, or call drop() and write the records again"
        )


class IndexMismatchError(ValkeyVectorError):
    """The index exists with other settings than the requested ones.

    Attributes:
        index: the index's name.
        differences: setting -> (stored value, requested value).
    """

    def __init__(self, index: str, differences: Mapping[str, tuple[object, object]]) -> None:
        super().__init__(index, dict(differences))
        self.index = index
        self.differences = dict(differences)

    def __str__(self) -> str:
        parts = "; ".join(
            f"{name} is {found!r}, requested {requested!r}"
            for name, (found, requested) in self.differences.items()
        )
        return (
            f"index {self.index!r} exists with other settings: {parts}. "
            "Open it with its stored settings, use another name, or drop it first"
        )


class DuplicateIdError(ValkeyVectorError):
    """The write policy is FAIL and some ids are already stored.

    Attributes:
        ids: the ids that were already stored.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(tuple(ids))
        self.ids = tuple(ids)

    def __str__(self) -> str:
        return f"ids are already stored, and the write policy is FAIL: {_shown(self.ids)}"


class PartialWriteError(ValkeyVectorError):
    """A bulk write did not complete. Write the same records again to complete it.

    Attributes:
        written: number of records that the server acknowledged.
        failed: id -> the error of its batch. If the reply to a batch was lost, its records may be
            stored; writing them again is safe.
        pending: ids that were read from the input but never sent.
    """

    def __init__(
        self, written: int, failed: Mapping[str, Exception], pending: Sequence[str] = ()
    ) -> None:
        super().__init__(written, dict(failed), tuple(pending))
        self.written = written
        self.failed = dict(failed)
        self.pending = tuple(pending)

    def __str__(self) -> str:
        reasons = sorted({f"{type(error).__name__}: {error}" for error in self.failed.values()})
        text = (
            f"{self.written} records were written, {len(self.failed) + len(self.pending)} "
            f"were not: {_shown([*self.failed, *self.pending])}"
        )
        if reasons:
            text += f" ({'; '.join(reasons[:3])})"
        return f"{text}. Write the same records again to complete it"


class QueryBatchError(ValkeyVectorError):
    """Some queries of a batch failed.

    Attributes:
        outcomes: the result or the error of each query, in the order of the queries.
        errors: position of a query -> its error; only the queries that failed.
    """

    def __init__(self, outcomes: Sequence[object]) -> None:
        super().__init__(list(outcomes))
        self.outcomes = list(outcomes)
        self.errors = {
            position: outcome
            for position, outcome in enumerate(self.outcomes)
            if isinstance(outcome, ValkeyVectorError)
        }

    def __str__(self) -> str:
        shown = [f"query {at}: {error}" for at, error in list(self.errors.items())[:3]]
        more = len(self.errors) - len(shown)
        text = f"{len(self.errors)} of {len(self.outcomes)} queries failed: {'; '.join(shown)}"
        return f"{text}; and {more} more" if more else text


class ServerError(ValkeyVectorError):
    """The server returned an error, or the request could not be sent.

    Attributes:
        message: the message of the server or the client.
        command: the name of the command, without its arguments.
    """

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message, command)
        self.message = message
        self.command = command

    def __str__(self) -> str:
        return f"{self.command}: {self.message}" if self.command else self.message


class ConnectionLostError(ServerError, ConnectionError):
    """The server is unreachable, or the connection was lost before the reply arrived."""


class RequestTimeoutError(ServerError, TimeoutError):
    """No reply arrived within the timeout. The server may have executed the command."""


class ForeignKeyError(ServerError):
    """A key that the index needs holds other data: another program's hash, or a value of another type.

    Nothing of the batch was written. The key is unchanged.

    Attributes:
        key: the key on the server.
    """

    def __init__(self, message: str, command: str = "", key: str = "") -> None:
        super().__init__(message, command)
        self.key = key

    @classmethod
    def of(cls, key: str, found: str) -> ForeignKeyError:
        """Create the error for one key.

        Args:
            key: the key on the server.
            found: a description of its value.
        """
        return cls(
            f"the key {key!r} holds {found}, not a record of this index; it was not changed. Rename or delete that "
            "key if it is not needed, or choose another id or index name",
            key=key,
        )

    def __reduce__(self) -> tuple[type[ForeignKeyError], tuple[str, str, str]]:
        return type(self), (self.message, self.command, self.key)


class AuthenticationError(ServerError):
    """The server rejected the credentials, or the user lacks permission for the command."""


class UnreadableRecordError(ServerError):
    """Stored data is corrupted, or was written by another program. The message names it."""
