"""`Reading`: the stored fields of documents to fetch and to return, and the names of stored fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from valkey_vector.attached.attributes import (
    Attribute,
    NumericAttribute,
    OtherAttribute,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
    attribute_name,
)
from valkey_vector.attached.definition import IndexDefinition
from valkey_vector.attached.encoding import text_of
from valkey_vector.attached.paths import is_definite
from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Field
from valkey_vector.records.metadata import MISSING

__all__ = ["KEY_ONLY", "Items", "Reading", "reading_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Stored fields of documents to fetch, and those to return.

    Attributes:
        fields: stored fields to return: hash fields, items of a JSON document or JSON paths. None returns all.
        vectors: vector attributes to return as numbers.
        needed: further stored fields to fetch, as hash fields or JSON paths.
    """

    fields: tuple[str, ...] | None = None
    vectors: tuple[VectorAttribute, ...] = ()
    needed: tuple[str, ...] = ()

    def needing(self, identifiers: Iterable[str]) -> Reading:
        """Return a reading that also fetches these hash fields or JSON paths."""
        needed = tuple(dict.fromkeys([*self.needed, *identifiers]))
        return Reading(fields=self.fields, vectors=self.vectors, needed=needed)

    def fetched(self, definition: IndexDefinition) -> list[str] | None:
        """Hash fields or JSON paths to fetch; None for whole hashes."""
        further = [*(each.identifier for each in self.vectors), *self.needed]
        if self.fields is not None:
            chosen = [stored_path(name, definition) for name in self.fields]
            return list(dict.fromkeys([*chosen, *further])) or [_small(definition)]
        if definition.on == "hash":
            return None
        identifiers = [each.identifier for each in definition.attributes]
        return list(dict.fromkeys(["$", *identifiers, *further]))


KEY_ONLY = Reading(fields=())
"""A reading that returns no stored field."""


def reading_of(
    fields: Sequence[str] | None, definition: IndexDefinition, *, with_vectors: bool
) -> Reading:
    """Check the requested fields of a search.

    Raises:
        InvalidInputError: `fields` is not a list of names, or `with_vectors` is not a boolean.
    """
    if with_vectors is not True and with_vectors is not False:
        raise InvalidInputError(f"with_vectors must be True or False, not {with_vectors!r}")
    vectors = definition.vectors if with_vectors else ()
    if fields is None:
        return Reading(vectors=vectors)
    if isinstance(fields, str | bytes) or not isinstance(fields, Iterable):
        raise InvalidInputError(f"fields must be a list of names of stored fields, not {fields!r}")
    names = tuple(dict.fromkeys(fields))
    for name in names:
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"the name of a field must be non-empty text, not {name!r}")
        stored_path(name, definition)
    return Reading(fields=names, vectors=vectors)


def stored_path(name: str, definition: IndexDefinition) -> str:
    """Return the hash field with a name, or the JSON path of an item: ``a.b`` is the item ``b`` of the object ``a``.

    Raises:
        InvalidInputError: no JSON path can express the name.
    """
    if definition.on == "hash" or name.startswith("$"):
        return name
    return "$" + "".join(map(_step, name.split(".")))


def stored_value(found: Mapping[str, Any], path: str) -> Any:
    """Return the value of a hash field (bytes) or JSON path; `MISSING` if there is none."""
    value = found.get(path, MISSING)
    if isinstance(value, list):  # the matches of a JSON path
        if not value:
            return MISSING
        return value[0] if is_definite(path) else value
    return value


class Items:
    """Items of documents, for orders and aggregates: values of attributes, and of other stored fields.

    A numeric attribute is its number, a text attribute its text, a tag attribute its tag, or a list if there are several.
    A stored field that is not an attribute is the text of a hash field, or the value of a JSON item.

    Args:
        definition: definition of the index.
    """

    def __init__(self, definition: IndexDefinition) -> None:
        self._definition = definition
        self._attributes = {attribute_name(each): each for each in definition.attributes}

    @property
    def names(self) -> list[str]:
        """Names of the attributes with indexed values."""
        return [
            name
            for name, each in self._attributes.items()
            if isinstance(each, (TagAttribute, NumericAttribute, TextAttribute))
        ]

    def identifier(self, name: str) -> str:
        """Hash field or JSON path to fetch for an item.

        Raises:
            InvalidInputError: the item is a vector, or no JSON path can express its name.
        """
        attribute = self._attributes.get(name)
        if isinstance(attribute, VectorAttribute):
            raise InvalidInputError(
                f"{name!r} is a vector attribute, which has no order and no groups"
            )
        return attribute.identifier if attribute else stored_path(name, self._definition)

    def value(self, name: str, values: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
        """Return the item of a document; `MISSING` if there is none.

        Args:
            name: name of the item.
            values: indexed values of the document by attribute.
            found: stored values of the document by hash field or JSON path.
        """
        attribute: Attribute | None = self._attributes.get(name)
        match attribute:
            case TagAttribute():
                tags = values.get(name, MISSING)
                return tags[0] if isinstance(tags, list) and len(tags) == 1 else tags
            case NumericAttribute() | TextAttribute():
                return values.get(name, MISSING)
            case VectorAttribute() | OtherAttribute() | None:
                value = stored_value(found, self.identifier(name))
                return text_of(value) if isinstance(value, bytes) else value

    def sort_identifiers(self, fields: Iterable[Field]) -> list[str]:
        """Hash fields or JSON paths to fetch for sort keys.

        Raises:
            InvalidInputError: a sort key is a vector, or ``F.content`` or ``F.parent``.
        """
        identifiers: list[str] = []
        for field in fields:
            match field.source:
                case "id":
                    pass
                case "metadata":
                    identifiers.append(self.identifier(field.path))
                case _:
                    raise InvalidInputError(
                        f"an attached index has no {field.source}: order by an attribute, a stored field or F.id"
                    )
        return identifiers


def _small(definition: IndexDefinition) -> str:
    """A hash field or JSON path that costs little to fetch: the reply shows if the document exists."""
    for each in definition.attributes:
        if isinstance(each, (NumericAttribute, TagAttribute)):
            return each.identifier
    return "none" if definition.on == "hash" else "$.none"


def _step(name: str) -> str:
    if re.fullmatch(r"\w+", name):
        return f".{name}"
    quote = next((mark for mark in "\"'" if mark not in name), None)
    if quote is None or not name or "\\" in name:
        raise InvalidInputError(f"{name!r} cannot be written in a JSON path: pass a JSON path")
    return f"[{quote}{name}{quote}]"
