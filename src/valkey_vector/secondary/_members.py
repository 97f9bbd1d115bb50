"""Members of an index: checked and lossless conversion of texts or bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar, cast

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.records.tokens import is_unicode

__all__ = ["M", "MemberType", "pairs_of", "shown", "text_bytes"]

M = TypeVar("M", bound=str | bytes)
K = TypeVar("K")
V = TypeVar("V")


class MemberType(Generic[M]):
    """Type of the members of one index, with their encoding.

    Args:
        type: `str` or `bytes`.

    Raises:
        ConfigurationError: `type` is another type.
    """

    def __init__(self, type: type[str | bytes]) -> None:
        if type is not str and type is not bytes:
            raise ConfigurationError(f"members must be str or bytes, not {type!r}")
        self.type = type

    def encode(self, member: M, what: str = "member") -> bytes:
        """Encode a member.

        Raises:
            InvalidInputError: the member has another type, or contains a lone surrogate.
        """
        if self.type is bytes:
            if not isinstance(member, bytes):
                raise InvalidInputError(
                    f"a {what} of this index must be bytes, not {member!r}; open the index with members=str for texts"
                )
            return bytes(member)
        if isinstance(member, bytes):
            raise InvalidInputError(
                f"a {what} of this index must be text, not {member!r}; open the index with members=bytes for bytes"
            )
        return text_bytes(member, what)

    def encode_all(self, members: Iterable[M]) -> list[bytes]:
        """Encode several members.

        Raises:
            InvalidInputError: `members` is a single text or byte string, or a member is not valid.
        """
        if isinstance(members, (str, bytes)) or not isinstance(members, Iterable):
            raise InvalidInputError(f"members must be a list, not {members!r}")
        return [self.encode(member) for member in members]

    def decode(self, stored: bytes) -> M:
        """Decode a stored member."""
        return cast("M", stored if self.type is bytes else stored.decode())

    def valid(self, stored: bytes) -> bool:
        """Return True if stored bytes are a member."""
        if self.type is bytes:
            return True
        try:
            stored.decode()
        except UnicodeDecodeError:
            return False
        return True


def text_bytes(text: object, what: str = "text") -> bytes:
    """Encode text as UTF-8.

    Raises:
        InvalidInputError: `text` is not text, or contains a lone surrogate.
    """
    if not isinstance(text, str) or not is_unicode(text):
        raise InvalidInputError(f"a {what} must be text without lone surrogates, not {text!r}")
    return text.encode()


def shown(value: object) -> str:
    """Format a value for a message. Python does not format integers with thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"an integer of {value.bit_length()} bits"
    return repr(value)


def pairs_of(values: Mapping[K, V] | Iterable[tuple[K, V]], what: str) -> list[tuple[K, V]]:
    """Return the items of a mapping, or a list of pairs.

    Args:
        values: a mapping, or pairs.
        what: contents of a pair for errors, such as ``member and number``.

    Raises:
        InvalidInputError: `values` is neither a mapping nor pairs.
    """
    if isinstance(values, Mapping):
        return [*values.items()]
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidInputError(f"values must be a mapping, or pairs of {what}, not {values!r}")
    listed = list(values)
    for pair in listed:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidInputError(f"values must be pairs of {what}, not {pair!r}")
    return listed
