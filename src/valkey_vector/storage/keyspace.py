"""The keys of what is no index: prefixes under which nobody else's keys lie, whatever the names are.

A key is ``_<kind>:<namespace>:<name>``. No index name begins with ``_``, so these keys lie under no index's
prefix. The namespace is written in letters, digits and ``_`` only (see `valkey_vector.records.tokens.escape`), so the colon
after it ends it: namespace ``a`` sees nothing of ``a:b`` or ``ab``, and one named ``a*`` is no pattern. The name
after it stands as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from valkey_vector.connection import Connection
from valkey_vector.connection.batches import in_batches
from valkey_vector.errors import ConfigurationError, InvalidInputError, ServerError
from valkey_vector.records.plain_values import plain_text
from valkey_vector.records.tokens import escape, is_unicode

__all__ = ["Keyspace", "check_texts", "in_parts", "lifetime", "succeeded"]

BATCH = 1000
"""Commands in one round trip; what has more takes several."""

_T = TypeVar("_T")
_GLOB = re.compile(rb"[*?\[\]\\]")
_LONGEST_TTL = 10**10


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The keys of one namespace of one kind of store.

    Attributes:
        kind: of the store; letters only.
        namespace: the user's name for it: any non-empty text.

    Raises:
        ConfigurationError: the namespace is no text, empty, or holds a lone surrogate.
    """

    kind: str
    namespace: str

    def __post_init__(self) -> None:
        name = self.namespace
        if not isinstance(name, str) or not name or not is_unicode(name):
            raise ConfigurationError(f"a namespace must be non-empty text, not {name!r}")
        object.__setattr__(self, "namespace", plain_text(name))

    @property
    def prefix(self) -> bytes:
        """What all its keys begin with, and no others."""
        return f"_{self.kind}:{escape(self.namespace)}:".encode()

    def key(self, name: str) -> bytes:
        """The key of a name."""
        return self.prefix + name.encode()

    def together(self, name: str) -> bytes:
        """A key that lies in the same slot of a cluster as the namespace's others made so."""
        return b"{" + self.prefix + b"}" + name.encode()

    def name(self, key: bytes) -> str:
        """The name that a key belongs to."""
        return key[len(self.prefix) :].decode()

    def scan(self, connection: Connection, name_prefix: str = "") -> Iterator[list[bytes]]:
        """Batches of the keys whose names begin with a text, found with SCAN; each key once."""
        begin = self.key(name_prefix)
        seen: set[bytes] = set()
        for keys in connection.scan(_GLOB.sub(rb"\\\g<0>", begin) + b"*"):
            new = [key for key in dict.fromkeys(keys) if key not in seen]
            seen.update(new)
            if new:
                yield new

    def remove(self, connection: Connection, name_prefix: str = "") -> int:
        """Remove the keys whose names begin with a text; returns how many there were."""
        return sum(
            sum(succeeded(connection.pipeline([["UNLINK", key] for key in keys])))
            for keys in self.scan(connection, name_prefix)
        )


def check_texts(names: Iterable[str], what: str) -> list[str]:
    """The names as plain texts, if they are a list of texts.

    Raises:
        InvalidInputError: they are one text or something else, or one cannot be sent.
    """
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise InvalidInputError(f"{what}s must be a list of texts, not {names!r}")
    listed = list(names)
    for name in listed:
        if not isinstance(name, str) or not is_unicode(name):
            raise InvalidInputError(f"a {what} must be text without lone surrogates, not {name!r}")
    return [plain_text(name) for name in listed]


def lifetime(ttl: float | None) -> int | None:
    """A time to live in milliseconds, at least one; None for none.

    Args:
        ttl: seconds, above 0.

    Raises:
        InvalidInputError: it is no such number.
    """
    if ttl is None:
        return None
    if not isinstance(ttl, (int, float)) or isinstance(ttl, bool) or not 0 < ttl < _LONGEST_TTL:
        raise InvalidInputError(f"ttl must be a positive number of seconds, not {ttl!r}")
    return max(1, round(ttl * 1000))


def succeeded(replies: Sequence[Any]) -> list[Any]:
    """The replies of a pipeline, none of which is an error.

    Raises:
        ServerError: one is; the first of them.
    """
    for reply in replies:
        if isinstance(reply, ServerError):
            raise reply
    return list(replies)


def in_parts(
    items: Iterable[_T], size: int = BATCH, weigh: Callable[[_T], int] | None = None
) -> Iterator[list[_T]]:
    """The items in lists of at most `size`, and of about `REQUEST_BYTES` where an item's bytes are known."""
    return in_batches(items, size, weigh)
