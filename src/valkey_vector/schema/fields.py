"""Declared fields: metadata items that get a field of their own in the server's index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

from valkey_vector.errors import ConfigurationError
from valkey_vector.records.setting_validation import check_known

__all__ = [
    "TAG_LIST_SEPARATOR",
    "DeclaredField",
    "NumericField",
    "TagField",
    "TextField",
    "declared_fields",
]

CONTENT = "content"
"""What queries call the record's own text."""

TAG_LIST_SEPARATOR = "\x1f"
"""Between the texts of a declared tag field that is a list, unless the field says otherwise."""


@dataclass(frozen=True, slots=True)
class TagField:
    """A metadata item of exact text, or a list of them, as a TAG field of its own.

    Attributes:
        path: of the item.
        separator: one ASCII character between the texts of a list, at which the server splits every text, too. It
            matters to those who read the server's index by its attributes; filters of this library tell texts from
            lists by the metadata.
        case_sensitive: likewise, whether ``Red`` and ``red`` are two for them.
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
    """A metadata item that is a number wherever it occurs, as a NUMERIC field of its own."""

    kind: ClassVar[Literal["numeric"]] = "numeric"
    path: str


@dataclass(frozen=True, slots=True)
class TextField:
    """A metadata item of running text that can be searched by its words (Valkey-Search 1.2 or RediSearch).

    Attributes:
        path: of the item.
        stem: whether words are also found by other forms of theirs; needs the schema's `FullText` to do so.
    """

    kind: ClassVar[Literal["text"]] = "text"
    path: str
    stem: bool = True

    def __post_init__(self) -> None:
        if self.path == CONTENT:
            raise ConfigurationError(
                f"a text field cannot be called {CONTENT!r}: so queries call the record's own text"
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
    """The fields that a dict of path to kind, or a list of fields or dicts with path and kind, stands for.

    Raises:
        ConfigurationError: one is none of these, or has an unknown setting.
    """
    if isinstance(value, Mapping):
        value = [{"path": path, "kind": kind} for path, kind in value.items()]
    if not isinstance(value, list | tuple):
        raise ConfigurationError(
            f"fields are a dict of path to kind, or a list of fields, not {value!r}"
        )
    for item in value:
        if isinstance(item, (TagField, NumericField, TextField)):
            yield item
            continue
        if not isinstance(item, Mapping) or not isinstance(item.get("path"), str):
            raise ConfigurationError(f"a declared field is a dict with path and kind, not {item!r}")
        kind = _KINDS.get(str(item.get("kind")))
        if kind is None:
            raise ConfigurationError(
                f"the field {item['path']!r} must have a path and a kind out of {', '.join(_KINDS)}"
            )
        settings = {name: value for name, value in item.items() if name != "kind"}
        check_known(f"the field {item['path']!r}", settings, {each.name for each in fields(kind)})
        yield kind(**settings)
