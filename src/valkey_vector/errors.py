"""Every error this library raises, as one small tree.

::

    ValkeyVectorError
    ├── ConfigurationError (ValueError)     a setting is wrong, before any server is asked
    ├── InvalidInputError (ValueError)      a record, vector, id or argument is wrong; nothing was written
    │   └── FilterError                     a filter is malformed
    ├── UnsupportedFeatureError             this server or engine cannot do it; says what can
    ├── IndexNotFoundError (LookupError)    the index does not exist
    ├── IndexRecordLostError                the index's own record is gone, its documents are not
    ├── IndexMismatchError                  the index exists with another dimension, metric, …
    ├── DuplicateIdError                    policy FAIL met ids that are already stored
    ├── PartialWriteError                   a bulk write stopped half-way; says which ids are missing
    ├── QueryBatchError                     some of many queries failed; has the answers to the others
    └── ServerError                         the server answered with an error
        ├── ConnectionLostError (ConnectionError)
        ├── RequestTimeoutError (TimeoutError)
        ├── AuthenticationError
        └── ForeignKeyError             a key of this index's prefix belongs to another program

Facts are attributes as well as text. No message holds a credential. All errors survive pickling,
so they cross process pools unharmed.
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
    "UnsupportedFeatureError",
    "ValkeyVectorError",
]

_SHOWN = 5


def _shown(ids: Sequence[str]) -> str:
    """The first few ids, quoted, and how many more there are."""
    text = ", ".join(repr(item) for item in ids[:_SHOWN])
    return text if len(ids) <= _SHOWN else f"{text} and {len(ids) - _SHOWN} more"


class ValkeyVectorError(Exception):
    """The root of every error this library raises on purpose."""


class ConfigurationError(ValkeyVectorError, ValueError):
    """A setting is wrong or missing; raised before any server is asked."""


class InvalidInputError(ValkeyVectorError, ValueError):
    """A record, vector, id or argument is not acceptable. Nothing was written."""


class FilterError(InvalidInputError):
    """A filter is malformed: an unknown operator, or a value its operator cannot take."""


class UnsupportedFeatureError(ValkeyVectorError):
    """This server or engine cannot do what was asked.

    Attributes:
        feature: what was asked for.
        found: what the server or engine is.
        needed: what would be able to do it.
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
    """The index's own record on the server is gone, but its documents are there.

    Attributes:
        index: the index's name.
        key: the key that is missing.
    """

    def __init__(self, index: str, key: str) -> None:
        super().__init__(index, key)
        self.index = index
        self.key = key

    def __str__(self) -> str:
        return (
            f"the key {self.key!r}, in which the server keeps what index {self.index!r} is, is gone, but documents of "
            "the index are there: the server evicted the key, or something deleted it. Set maxmemory-policy to "
            "noeviction or a volatile policy. Then restore the key from a backup, or call drop() and write the records again"
        )


class IndexMismatchError(ValkeyVectorError):
    """The index exists, but not as asked for.

    Attributes:
        index: the index's name.
        differences: setting -> (what the server has, what was asked for).
    """

    def __init__(self, index: str, differences: Mapping[str, tuple[object, object]]) -> None:
        super().__init__(index, dict(differences))
        self.index = index
        self.differences = dict(differences)

    def __str__(self) -> str:
        parts = "; ".join(
            f"{name} is {found!r}, asked for {asked!r}"
            for name, (found, asked) in self.differences.items()
        )
        return (
            f"index {self.index!r} exists with other settings: {parts}. "
            "Open it with its own settings, use another name, or drop it first"
        )


class DuplicateIdError(ValkeyVectorError):
    """The write policy is FAIL and some ids are already stored.

    Attributes:
        ids: the ids that were there already.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(tuple(ids))
        self.ids = tuple(ids)

    def __str__(self) -> str:
        return f"already stored, and the policy is FAIL: {_shown(self.ids)}"


class PartialWriteError(ValkeyVectorError):
    """A bulk write did not complete. Writing the same records again completes it.

    Attributes:
        written: how many records the server acknowledged.
        failed: id -> the error its batch met. A batch whose reply was lost may have been
            stored nevertheless; writing it again is harmless.
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
    """Some of the queries that were asked together failed.

    Attributes:
        outcomes: for each query, in their order, its answer or its error.
        errors: the errors alone, by the position of their query.
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
    """The server answered with an error, or could not be asked.

    Attributes:
        message: the server's or client's own words.
        command: the name of the command, without its arguments.
    """

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message, command)
        self.message = message
        self.command = command

    def __str__(self) -> str:
        return f"{self.command}: {self.message}" if self.command else self.message


class ConnectionLostError(ServerError, ConnectionError):
    """The server cannot be reached, or the connection broke before the reply came."""


class RequestTimeoutError(ServerError, TimeoutError):
    """No reply came in time. The command may have been carried out."""


class ForeignKeyError(ServerError):
    """A key that an index needs holds something else: another program's hash, or a value of another type.

    Nothing of its batch was written, and the key was left as it is.

    Attributes:
        key: the key on the server.
    """

    def __init__(self, message: str, command: str = "", key: str = "") -> None:
        super().__init__(message, command)
        self.key = key

    @classmethod
    def of(cls, key: str, found: str) -> ForeignKeyError:
        """The error for one key.

        Args:
            key: on the server.
            found: a description of its value.
        """
        return cls(
            f"the key {key!r} holds {found}, not a record of this index, and was left as it is. Rename or remove that "
            "key if it is not needed, or choose another id or index name",
            key=key,
        )

    def __reduce__(self) -> tuple[type[ForeignKeyError], tuple[str, str, str]]:
        return type(self), (self.message, self.command, self.key)


class AuthenticationError(ServerError):
    """The server refused the credentials, or the user may not run the command."""
