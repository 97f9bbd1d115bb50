"""Definition of an index of a search module: the arguments of FT.CREATE, and the result of FT.INFO, as data.

The index covers hashes or JSON documents that any program writes. An `Index` of this library has a `Schema` instead.
The rules follow the recorded behavior of Valkey-Search 1.2.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias, assert_never

from valkey_vector.connection import Argument
from valkey_vector.errors import ConfigurationError
from valkey_vector.schema.schema import LARGEST_DIMENSION, Metric

__all__ = [
    "ELEMENT_TYPES",
    "Attribute",
    "DocumentType",
    "IndexDefinition",
    "NumericAttribute",
    "OtherAttribute",
    "TagAttribute",
    "TextAttribute",
    "TextOptions",
    "VectorAttribute",
    "attribute_name",
    "optional_clauses",
]

DocumentType: TypeAlias = Literal["hash", "json"]

ELEMENT_TYPES = ("FLOAT32", "FLOAT16", "BFLOAT16", "FLOAT64")
"""Element types of vectors that this library searches. Valkey-Search has FLOAT32 only."""

_PUNCTUATION = re.compile(r"[,.<>{}\[\]\"':;!@#$%^&*()\-+=~/\\|?]")
"""Characters that Valkey-Search does not allow in the name of an attribute."""

_MAX_TAG_FIELD = 256
_MAX_NUMERIC_FIELD = 128
_MAX_PREFIXES = 8
_MAX_ATTRIBUTES = 1000


@dataclass(frozen=True, slots=True)
class _Named:
    """Location and name of an attribute.

    Attributes:
        identifier: hash field, or JSON path (``$.address.city``).
        alias: name in queries; None uses the hash field. A JSON path needs an alias.
    """

    identifier: str
    alias: str | None = None

    def _check(self) -> None:
        if self.alias == self.identifier:
            object.__setattr__(self, "alias", None)
        for value in (self.identifier, attribute_name(self)):
            if not isinstance(value, str) or not value:
                raise ConfigurationError(
                    f"an attribute needs a field and a name of non-empty text, not {value!r}"
                )


@dataclass(frozen=True, slots=True)
class TagAttribute(_Named):
    """TAG attribute: texts that are matched exactly.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        separator: one character at which the server splits a text into tags; it cannot be escaped. Empty only for an
            existing index that does not split texts (RediSearch over JSON).
        case_sensitive: True distinguishes ``Red`` and ``red``. False ignores the case of ASCII letters.
        indexed: False only for an existing RediSearch index with NOINDEX: the attribute cannot be queried, so the client
            checks filters on it.
    """

    kind: ClassVar[Literal["TAG"]] = "TAG"
    separator: str = ","
    case_sensitive: bool = False
    indexed: bool = True

    def __post_init__(self) -> None:
        self._check()
        if not isinstance(self.separator, str) or len(self.separator) > 1:
            raise ConfigurationError(
                f"the separator of tag attribute {attribute_name(self)!r} must be one character, not {self.separator!r}"
            )


@dataclass(frozen=True, slots=True)
class NumericAttribute(_Named):
    """NUMERIC attribute: numbers, as doubles.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        indexed: False only for an existing RediSearch index with NOINDEX: the attribute cannot be queried, so the client
            checks filters on it.
    """

    kind: ClassVar[Literal["NUMERIC"]] = "NUMERIC"
    indexed: bool = True

    def __post_init__(self) -> None:
        self._check()


@dataclass(frozen=True, slots=True)
class TextAttribute(_Named):
    """TEXT attribute: text for full-text search.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        stemming: True also matches other forms of a term.
        suffix_trie: True allows queries for suffixes.
        indexed: False only for an existing RediSearch index with NOINDEX: the attribute cannot be queried, so the client
            checks filters on it.

    Engines:
        Valkey-Search 1.2 or later, or RediSearch.
    """

    kind: ClassVar[Literal["TEXT"]] = "TEXT"
    stemming: bool = True
    suffix_trie: bool = False
    indexed: bool = True

    def __post_init__(self) -> None:
        self._check()


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorAttribute(_Named):
    """VECTOR attribute: vectors, in hashes as little-endian bytes of the element type, in JSON as a list of numbers.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        dimension: number of components, 1 to 32,768.
        metric: COSINE, L2 or IP.
        algorithm: HNSW or FLAT.
        m, ef_construction, ef_runtime: parameters of HNSW; None uses the server's default.
        initial_cap: number of vectors to allocate space for; None uses the server's default. The server can report
            another number than requested.
        block_size: parameter of FLAT; None uses the server's default.
        data_type: element type: FLOAT32, or on RediSearch FLOAT16, BFLOAT16 or FLOAT64. An existing index can have other
            types, which this library does not search.
    """

    kind: ClassVar[Literal["VECTOR"]] = "VECTOR"
    identifier: str = field(kw_only=False)
    alias: str | None = field(default=None, kw_only=False)
    dimension: int
    metric: Metric = Metric.COSINE
    algorithm: Literal["HNSW", "FLAT"] = "HNSW"
    m: int | None = None
    ef_construction: int | None = None
    ef_runtime: int | None = None
    initial_cap: int | None = None
    block_size: int | None = None
    data_type: str = "FLOAT32"

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "metric", Metric.parse(self.metric))
        if self.algorithm not in ("HNSW", "FLAT"):
            raise ConfigurationError(f"algorithm must be HNSW or FLAT, not {self.algorithm!r}")
        for name, value, highest in (
            ("dimension", self.dimension, LARGEST_DIMENSION),
            ("m", self.m, 2_000_000),
            ("ef_construction", self.ef_construction, 1_000_000),
            ("ef_runtime", self.ef_runtime, 1_000_000),
            ("initial_cap", self.initial_cap, None),
            ("block_size", self.block_size, None),
        ):
            low = 2 if name == "m" else 1
            if value is not None and not _is_within(value, low, highest):
                raise ConfigurationError(
                    f"{name} of vector attribute {attribute_name(self)!r} must be an integer "
                    + (f"from {low} to {highest}" if highest else f">= {low}")
                    + f", not {value!r}"
                )
        only_hnsw = (self.m, self.ef_construction, self.ef_runtime)
        if self.algorithm == "FLAT" and any(value is not None for value in only_hnsw):
            raise ConfigurationError("m, ef_construction and ef_runtime are settings of HNSW")
        if self.algorithm == "HNSW" and self.block_size is not None:
            raise ConfigurationError("block_size is a setting of FLAT")

    @property
    def settings(self) -> dict[str, str]:
        """Parameter name in FT.CREATE -> value."""
        named = {
            "TYPE": self.data_type,
            "DIM": self.dimension,
            "DISTANCE_METRIC": self.metric.value,
            "INITIAL_CAP": self.initial_cap,
            "M": self.m,
            "EF_CONSTRUCTION": self.ef_construction,
            "EF_RUNTIME": self.ef_runtime,
            "BLOCK_SIZE": self.block_size,
        }
        return {name: str(value) for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class OtherAttribute(_Named):
    """Attribute of a type that only RediSearch has. It is reported, but cannot be created or used in filters.

    Attributes:
        identifier: hash field, or JSON path.
        alias: name in queries.
        kind: type of the attribute.
    """

    kind: str = "UNKNOWN"


Attribute: TypeAlias = (
    TagAttribute | NumericAttribute | TextAttribute | VectorAttribute | OtherAttribute
)
"""One attribute of an index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """Text analysis settings of an index. None uses the server's default.

    Attributes:
        stop_words: terms that are not indexed; an empty tuple indexes all terms.
        punctuation: characters that separate terms.
        min_stem_size: minimum length of terms that are stemmed, in characters.
        offsets: True stores the positions of terms, which phrase queries need.
        stemming: False disables stemming in all attributes.
        language: language of the stemmer; Valkey-Search 1.2 supports only ``english``.
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
            command += _attribute_options(attribute)
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
            _check_creatable(attribute)


def optional_clauses(definition: IndexDefinition) -> dict[str, str]:
    """Clauses of FT.CREATE that not every server supports, and the word that a server without it names."""
    clauses = {} if definition.condition is None else {"a condition (FILTER)": "FILTER"}
    for each in definition.vectors:
        if each.data_type != "FLOAT32":
            clauses[f"vectors of {each.data_type}"] = each.data_type
    if definition.text.language is not None:
        clauses[f"the language {definition.text.language!r}"] = "LANGUAGE"
    return clauses


def attribute_name(attribute: Any) -> str:
    """Name of an attribute in queries."""
    name: str = attribute.identifier if attribute.alias is None else attribute.alias
    return name


def _check_creatable(attribute: Attribute) -> None:
    name = attribute_name(attribute)
    if (
        isinstance(attribute, (TagAttribute, NumericAttribute, TextAttribute))
        and not attribute.indexed
    ):
        raise ConfigurationError(f"{name!r} is not indexed: leave it out of the index")
    match attribute:
        case OtherAttribute(kind=kind):
            raise ConfigurationError(f"Valkey-Search has no attributes of type {kind} ({name!r})")
        case TagAttribute(separator=separator):
            if not separator or not separator.isascii():
                raise ConfigurationError(
                    f"the separator of {name!r} must be one ASCII character, not {separator!r}"
                )
            max_length = _MAX_TAG_FIELD
        case NumericAttribute():
            max_length = _MAX_NUMERIC_FIELD
        case VectorAttribute(data_type=data_type):
            if data_type not in ELEMENT_TYPES:
                raise ConfigurationError(
                    f"the data_type of {name!r} must be one of {', '.join(ELEMENT_TYPES)}, not {data_type!r}"
                )
            return
        case TextAttribute():
            return
        case _:
            assert_never(attribute)
    if len(attribute.identifier) > max_length:
        raise ConfigurationError(
            f"the field of {name!r} has more than {max_length} characters, the maximum of {attribute.kind}"
        )


def _attribute_options(attribute: Attribute) -> Iterator[str]:
    yield attribute.kind
    match attribute:
        case TagAttribute(separator=separator, case_sensitive=case_sensitive):
            yield from ("SEPARATOR", separator)
            if case_sensitive:
                yield "CASESENSITIVE"
        case TextAttribute(stemming=stemming, suffix_trie=suffix_trie):
            if not stemming:
                yield "NOSTEM"
            if suffix_trie:
                yield "WITHSUFFIXTRIE"
        case VectorAttribute():
            settings = [word for pair in attribute.settings.items() for word in pair]
            yield from (attribute.algorithm, str(len(settings)), *settings)
        case NumericAttribute() | OtherAttribute():
            pass
        case _:
            assert_never(attribute)


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


def _is_within(value: Any, low: int, high: int | None) -> bool:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return is_integer and value >= low and (high is None or value <= high)
