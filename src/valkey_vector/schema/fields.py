"""Declared fields: metadata items with their own field in the server's index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

from valkey_vector.errors import ConfigurationError
from valkey_vector.records.validation import check_known

__all__ = [
    "TAG_LIST_SEPARATOR",
    "DeclaredField",
    "NumericField",
    "TagField",
    "TextField",
    "declared_fields",
]

CONTENT = "content"
"""Name of the record's content in queries."""

TAG_LIST_SEPARATOR = "\x1f"
"""Default separator between the strings of a list in a declared tag field."""


@dataclass(frozen=True, slots=True)
class TagField:
    """TAG field for a metadata item that is a string or a list of strings, matched exactly.

    Attributes:
        path: path of the metadata item.
        separator: one ASCII character between the strings of a list. The server also splits single strings at
            it. It affects only programs that query the server's index directly: filters of this library
            distinguish strings from lists by the metadata.
        case_sensitive: whether ``Red`` and ``red`` differ, for the same programs.

    Raises:
        ConfigurationError: the separator or `case_sensitive` is invalid.
    """

    kind: ClassVar[Literal["tag"]] = "tag"
    path: str
    separator: str = TAG_LIST_SEPARATOR
    case_sensitive: bool = True

    def __post_init__(self) -> None:
        if (
            not isinstance(self.separator, str)
            or len(self.separator) != 1
            or not self.separator.isascii()
        ):
            raise ConfigurationError(
                f"the separator of field {self.path!r} must be one ASCII character, not {self.separator!r}"
            )
        if not isinstance(self.case_sensitive, bool):
            raise ConfigurationError(
                f"case_sensitive of field {self.path!r} must be True or False, not {self.case_sensitive!r}"
            )


@dataclass(frozen=True, slots=True)
class NumericField:
    """NUMERIC field for a metadata item that is a number in every record that has it."""

    kind: ClassVar[Literal["numeric"]] = "numeric"
    path: str


@dataclass(frozen=True, slots=True)
class TextField:
    """TEXT field for a metadata item that text search covers.

    Attributes:
        path: path of the metadata item.
        stem: whether a term also matches other forms of the word. Requires `FullText.stem` of the schema.

    Engines:
        Valkey-Search 1.2 or later, or RediSearch.
    """

    kind: ClassVar[Literal["text"]] = "text"
    path: str
    stem: bool = True

    def __post_init__(self) -> None:
        if self.path == CONTENT:
            raise ConfigurationError(
                f"a text field cannot be named {CONTENT!r}: queries use that name for the record's content; use another name"
            )
        if not isinstance(self.stem, bool):
            raise ConfigurationError(
                f"stem of field {self.path!r} must be True or False, not {self.stem!r}"
            )


DeclaredField: TypeAlias = TagField | NumericField | TextField

_KINDS: dict[str, type[TagField | NumericField | TextField]] = {
    "tag": TagField,
    "numeric": NumericField,
    "text": TextField,
}


def declared_fields(value: Any) -> Iterable[DeclaredField]:
    """Parse declared fields.

    Args:
        value: a dict of path to kind, or a list of fields and of dicts with path and kind.

    Raises:
        ConfigurationError: an item has another type, an unknown kind or an unknown setting.
    """
    if isinstance(value, Mapping):
        value = [{"path": path, "kind": kind} for path, kind in value.items()]
    if not isinstance(value, list | tuple):
        raise ConfigurationError(
            f"fields must be a dict of path to kind, or a list of fields, not {value!r}"
        )
    for item in value:
        if isinstance(item, (TagField, NumericField, TextField)):
            yield item
            continue
        if not isinstance(item, Mapping) or not isinstance(item.get("path"), str):
            raise ConfigurationError(
                f"a declared field must be a dict with path and kind, not {item!r}"
            )
        kind = _KINDS.get(str(item.get("kind")))
        if kind is None:
            raise ConfigurationError(
                f"the kind of field {item['path']!r} must be one of {', '.join(_KINDS)}, not {item.get('kind')!r}"
            )
        settings = {name: value for name, value in item.items() if name != "kind"}
        check_known(f"the field {item['path']!r}", settings, {each.name for each in fields(kind)})
        yield kind(**settings)
