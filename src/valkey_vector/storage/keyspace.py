"""Keys of stores and caches without an index. Any two namespaces have disjoint keys.

A key is ``_<kind>:<namespace>:<name>``. No index name begins with ``_``, so these keys have no index's prefix. The
namespace is escaped to letters, digits and ``_`` (see `valkey_vector.records.tokens.escape`), so it ends at the next
colon: namespace ``a`` does not contain keys of ``a:b`` or ``ab``, and ``a*`` is not a pattern. The name is not escaped.
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
"""Maximum number of commands in one round trip."""

_T = TypeVar("_T")
_GLOB = re.compile(rb"[*?\[\]\\]")
_MAX_TTL = 10**10


@dataclass(frozen=True, slots=True)
class Keyspace:
    """Keys of one namespace of one kind of store.

    Attributes:
        kind: kind of store; letters only.
        namespace: name that the user chose: any non-empty text.

    Raises:
        ConfigurationError: the namespace is not text, is empty, or contains a lone surrogate.
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
        """Prefix of all keys of the namespace, and of no others."""
        return f"_{self.kind}:{escape(self.namespace)}:".encode()

    def key(self, name: str) -> bytes:
        """Key of a name."""
        return self.prefix + name.encode()

    def together(self, name: str) -> bytes:
        """Key in a cluster slot that all keys of the namespace from this method share."""
        return b"{" + self.prefix + b"}" + name.encode()

    def name(self, key: bytes) -> str:
        """Name of a key."""
        return key[len(self.prefix) :].decode()

    def scan(self, connection: Connection, name_prefix: str = "") -> Iterator[list[bytes]]:
        """Iterate over batches of the keys whose names begin with a text, with SCAN. Each key is returned once."""
        begin = self.key(name_prefix)
        seen: set[bytes] = set()
        for keys in connection.scan(_GLOB.sub(rb"\\\g<0>", begin) + b"*"):
            new = [key for key in dict.fromkeys(keys) if key not in seen]
            seen.update(new)
            if new:
                yield new

    def remove(self, connection: Connection, name_prefix: str = "") -> int:
        """Remove the keys whose names begin with a text. Returns their number."""
        return sum(
            sum(succeeded(connection.pipeline([["UNLINK", key] for key in keys])))
            for keys in self.scan(connection, name_prefix)
        )


def check_texts(names: Iterable[str], what: str) -> list[str]:
    """Return names as plain texts.

    Args:
        names: list of texts.
        what: kind of name, for errors.

    Raises:
        InvalidInputError: `names` is not a list of texts, or a text contains a lone surrogate.
    """
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise InvalidInputError(f"{what}s must be a list of texts, not {names!r}")
    listed = list(names)
    for name in listed:
        if not isinstance(name, str) or not is_unicode(name):
            raise InvalidInputError(f"a {what} must be text without lone surrogates, not {name!r}")
    return [plain_text(name) for name in listed]


def lifetime(ttl: float | None) -> int | None:
    """Convert a time to live into milliseconds, at least 1. None: no time to live.

    Args:
        ttl: seconds, > 0.

    Raises:
        InvalidInputError: `ttl` is not a positive number.
    """
    if ttl is None:
        return None
    if not isinstance(ttl, (int, float)) or isinstance(ttl, bool) or not 0 < ttl < _MAX_TTL:
        raise InvalidInputError(f"ttl must be a positive number of seconds, not {ttl!r}")
    return max(1, round(ttl * 1000))


def succeeded(replies: Sequence[Any]) -> list[Any]:
    """Return the replies of a pipeline if none of them is an error.

    Raises:
        ServerError: the first error among the replies.
    """
    for reply in replies:
        if isinstance(reply, ServerError):
            raise reply
    return list(replies)


def in_parts(
    items: Iterable[_T], size: int = BATCH, weigh: Callable[[_T], int] | None = None
) -> Iterator[list[_T]]:
    """Split items into lists of at most `size` items and, with `weigh`, about `REQUEST_BYTES` bytes."""
    return in_batches(items, size, weigh)
