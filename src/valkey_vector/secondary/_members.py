"""Members of an index: texts or bytes, checked on the way in and exact on the way out."""

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
    """Encodes the members of one index, all of one type.

    Args:
        type: `str` or `bytes`.

    Raises:
        ConfigurationError: another type.
    """

    def __init__(self, type: type[str | bytes]) -> None:
        if type is not str and type is not bytes:
            raise ConfigurationError(f"members must be str or bytes, not {type!r}")
        self.type = type

    def encode(self, member: M, what: str = "member") -> bytes:
        """A member as it is stored.

        Raises:
            InvalidInputError: it is of another type, or text with a lone surrogate.
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
        """Several members; one text or byte string in place of a list is refused."""
        if isinstance(members, (str, bytes)) or not isinstance(members, Iterable):
            raise InvalidInputError(f"members must be a list, not {members!r}")
        return [self.encode(member) for member in members]

    def decode(self, stored: bytes) -> M:
        """A stored member."""
        return cast("M", stored if self.type is bytes else stored.decode())

    def valid(self, stored: bytes) -> bool:
        """Whether stored bytes are a member."""
        if self.type is bytes:
            return True
        try:
            stored.decode()
        except UnicodeDecodeError:
            return False
        return True


def text_bytes(text: object, what: str = "text") -> bytes:
    """Text as UTF-8.

    Raises:
        InvalidInputError: it is not text, or holds a lone surrogate.
    """
    if not isinstance(text, str) or not is_unicode(text):
        raise InvalidInputError(f"a {what} must be text without lone surrogates, not {text!r}")
    return text.encode()


def shown(value: object) -> str:
    """A value in a message. Python refuses to write out whole numbers of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a whole number of {value.bit_length()} bits"
    return repr(value)


def pairs_of(values: Mapping[K, V] | Iterable[tuple[K, V]], what: str) -> list[tuple[K, V]]:
    """The items of a mapping, or a list of pairs.

    Args:
        values: either.
        what: of what each pair is, such as ``member and number``.

    Raises:
        InvalidInputError: it is neither.
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
