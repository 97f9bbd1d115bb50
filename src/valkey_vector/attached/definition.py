"""Definition of an index of a search module: the arguments of FT.CREATE, and the result of FT.INFO, as data.

The index covers hashes or JSON documents that any program writes. An `Index` of this library has a `Schema` instead.
The rules follow the recorded behavior of Valkey-Search 1.2.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from valkey_vector.attached.attributes import (
    ELEMENT_TYPES,
    Attribute,
    VectorAttribute,
    attribute_name,
    attribute_options,
    check_creatable,
)
from valkey_vector.connection import Argument
from valkey_vector.errors import ConfigurationError, InvalidInputError, UnsupportedFeatureError

__all__ = [
    "DocumentType",
    "IndexDefinition",
    "TextOptions",
    "optional_clauses",
    "vector_attribute",
]

DocumentType: TypeAlias = Literal["hash", "json"]

_PUNCTUATION = re.compile(r"[,.<>{}\[\]\"':;!@#$%^&*()\-+=~/\\|?]")
"""Characters that Valkey-Search does not allow in the name of an attribute."""

_MAX_PREFIXES = 8
_MAX_ATTRIBUTES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """Text analysis settings of an index. None uses the server's default.

    Attributes:
        stop_words: terms that are not indexed; an empty tuple indexes all terms.
        punctuation: characters that separate terms.
        min_stem_size: minimum length of terms that are stemmed, in characters.
        offsets: True stores the positions of terms, which phrase queries need.
        stemming: False disables stemming in all attributes.
        language: language of the stemmer; Valkey-Search 1.2 supports only ``english``, RediSearch others, too.
    """

    stop_words: tuple[str, ...] | None = None
    punctuation: str | None = None
    min_stem_size: int | None = None
    offsets: bool | None = None
    stemming: bool | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDefinition:
    """Definition of an index of a search module.

    Attributes:
        name: name in FT.* commands.
        on: document type, ``hash`` or ``json``.
        prefixes: key prefixes of the documents, at most 8; empty for all keys.
        attributes: indexed attributes of the documents.
        skip_initial_scan: do not index documents that exist when the index is created. FT.INFO does not report it.
        text: text analysis settings.
        condition: FILTER expression, which a document must satisfy to be in the index (RediSearch).
    """

    name: str
    on: DocumentType = "hash"
    prefixes: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    skip_initial_scan: bool = False
    text: TextOptions = field(default_factory=TextOptions)
    condition: str | None = None

    def attribute(self, name: str) -> Attribute | None:
        """Return the attribute with this name in queries, or None."""
        return next((each for each in self.attributes if attribute_name(each) == name), None)

    @property
    def vectors(self) -> tuple[VectorAttribute, ...]:
        """Vector attributes of the index."""
        return tuple(each for each in self.attributes if isinstance(each, VectorAttribute))

    def create_command(self) -> list[Argument]:
        """Return the FT.CREATE command for this index.

        Raises:
            ConfigurationError: no server would accept the command, or Valkey-Search would create another index.
        """
        self._check()
        command: list[Argument] = ["FT.CREATE", self.name, "ON", self.on.upper()]
        if self.prefixes:
            command += ["PREFIX", str(len(self.prefixes)), *self.prefixes]
        if self.condition is not None:
            command += ["FILTER", self.condition]
        if self.skip_initial_scan:
            command.append("SKIPINITIALSCAN")
        command += _text_options(self.text)
        command.append("SCHEMA")
        for attribute in self.attributes:
            command.append(attribute.identifier)
            if attribute.alias is not None:
                command += ["AS", attribute.alias]
            command += attribute_options(attribute)
        return command

    def _check(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigurationError(f"the name of an index must be text, not {self.name!r}")
        if self.on not in ("hash", "json"):
            raise ConfigurationError(f"on must be 'hash' or 'json', not {self.on!r}")
        if self.condition is not None and not (self.condition and isinstance(self.condition, str)):
            raise ConfigurationError(f"condition must be non-empty text, not {self.condition!r}")
        if isinstance(self.prefixes, str) or len(self.prefixes) > _MAX_PREFIXES:
            raise ConfigurationError(f"prefixes must be a tuple of at most {_MAX_PREFIXES} texts")
        for prefix in self.prefixes:
            if _hash_tag(prefix) != _hash_tag(self.name):
                raise ConfigurationError(
                    f"the prefix {prefix!r} and the index's name {self.name!r} must have the same hash tag, or none"
                )
        if not 0 < len(self.attributes) <= _MAX_ATTRIBUTES:
            raise ConfigurationError(f"an index has 1 to {_MAX_ATTRIBUTES} attributes")
        names = [attribute_name(each) for each in self.attributes]
        identifiers = [each.identifier for each in self.attributes]
        for attribute in self.attributes:
            name = attribute_name(attribute)
            if names.count(name) > 1 or identifiers.count(attribute.identifier) > 1:
                raise ConfigurationError(f"the attribute {name!r} occurs more than once")
            if found := _PUNCTUATION.search(name):
                raise ConfigurationError(
                    f"the name of an attribute must not contain punctuation, but {name!r} contains {found[0]!r}: "
                    "set an alias"
                )
            if self.on == "json" and not attribute.identifier.startswith("$"):
                raise ConfigurationError(
                    f"{attribute.identifier!r} is not a JSON path: JSON paths begin with $"
                )
            check_creatable(attribute)


def vector_attribute(definition: IndexDefinition, name: str | None) -> VectorAttribute:
    """Return the vector attribute with a name, or the only one.

    Raises:
        InvalidInputError: there is no such attribute, or there are several and `name` is None.
        UnsupportedFeatureError: the attribute cannot be searched.
    """
    vectors = definition.vectors
    names = ", ".join(repr(attribute_name(each)) for each in vectors) or "none"
    if name is None:
        if len(vectors) != 1:
            raise InvalidInputError(
                f"index {definition.name!r} has {len(vectors)} vector attributes ({names}): choose one with attribute="
            )
        (chosen,) = vectors
    else:
        found = definition.attribute(name)
        if not isinstance(found, VectorAttribute):
            raise InvalidInputError(
                f"index {definition.name!r} has no vector attribute {name!r}: use one of {names}"
            )
        chosen = found
    if chosen.data_type not in ELEMENT_TYPES or not attribute_name(chosen).isidentifier():
        raise UnsupportedFeatureError(
            f"search by the attribute {attribute_name(chosen)!r} of {chosen.data_type}",
            f"index {definition.name!r}",
            f"an attribute of {', '.join(ELEMENT_TYPES)} with a name of letters, digits and _",
        )
    return chosen


def optional_clauses(definition: IndexDefinition) -> dict[str, str]:
    """Clauses of FT.CREATE that not every server supports, and the word that a server without it names."""
    clauses = {} if definition.condition is None else {"a condition (FILTER)": "FILTER"}
    for each in definition.vectors:
        if each.data_type != "FLOAT32":
            clauses[f"vectors of {each.data_type}"] = each.data_type
    if definition.text.language is not None:
        clauses[f"the language {definition.text.language!r}"] = "LANGUAGE"
    return clauses


def _text_options(options: TextOptions) -> Iterator[str]:
    if options.language is not None:
        yield from ("LANGUAGE", options.language)
    if options.punctuation is not None:
        yield from ("PUNCTUATION", options.punctuation)
    if options.min_stem_size is not None:
        yield from ("MINSTEMSIZE", str(options.min_stem_size))
    if options.offsets is not None:
        yield "WITHOFFSETS" if options.offsets else "NOOFFSETS"
    if options.stemming is False:
        yield "NOSTEM"
    if options.stop_words is not None:
        yield from ("STOPWORDS", str(len(options.stop_words)), *options.stop_words)


def _hash_tag(text: str) -> str | None:
    """Text between the first brace and the next closing brace; None if it is empty or missing."""
    _, _, rest = text.partition("{")
    tag, closing, _ = rest.partition("}")
    return tag if tag and closing else None
