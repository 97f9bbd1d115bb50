"""The arguments that FT.CREATE of Valkey-Search accepts, and the resulting schema."""

from __future__ import annotations

from dialect_rules import PUNCTUATION, STOP_WORDS, Dialect, DialectError, IndexSchema, SchemaField
from dialect_words import Words

MAX_ATTRIBUTES = 1000
MAX_TEXT_FIELDS = 64
MAX_PREFIXES = 8

# The bounds of each attribute of a vector field that is a number.
_VECTOR_NUMBERS = {
    "HNSW": {
        "DIM": (1, 32_768),
        "INITIAL_CAP": (1, 10_000_000),
        "M": (2, 2_000_000),
        "EF_CONSTRUCTION": (1, 1_000_000),
        "EF_RUNTIME": (1, 1_000_000),
    },
    "FLAT": {
        "DIM": (1, 32_768),
        "INITIAL_CAP": (1, 10_000_000),
        "BLOCK_SIZE": (1, 10_000_000),
    },
}
_VECTOR_CHOICES = {"TYPE": ("FLOAT32",), "DISTANCE_METRIC": ("L2", "IP", "COSINE")}


def parse_create(words: Words, dialect: Dialect) -> tuple[str, IndexSchema]:
    """Parse what follows FT.CREATE; the index's name and its schema.

    Raises:
        DialectError: the server would reject it.
    """
    name = words.next("the index's name")
    prefixes = _parse_placement(words, name, dialect)
    offsets, stop_words = _parse_index_options(words, dialect)
    if words.next("SCHEMA").upper() != "SCHEMA":
        raise _rejected(f"Unexpected parameter `{words.last}`, expecting `SCHEMA`")
    fields: dict[str, SchemaField] = {}
    identifiers: set[str] = set()
    while words:
        identifier = words.next("a field")
        alias = words.next("an alias") if words.take("AS") else identifier
        if identifier in identifiers or alias in fields:
            raise _rejected(f"Duplicate field in schema - {identifier}")
        if bad := set(alias) & set(PUNCTUATION):
            raise DialectError(f"Attribute alias `{alias}` contains invalid character {bad}")
        identifiers.add(identifier)
        fields[alias] = _parse_field(words, identifier, dialect)
        if words.take("SORTABLE") and not dialect.filter_queries:
            raise DialectError("this version has no SORTABLE")
    if not 0 < len(fields) <= MAX_ATTRIBUTES:
        raise DialectError(
            f"an index has 1 to {MAX_ATTRIBUTES} attributes, not {len(fields)}",
            reply=None if fields else "Index schema must have at least one attribute",
        )
    if sum(one.kind == "TEXT" for one in fields.values()) > MAX_TEXT_FIELDS:
        raise DialectError(f"an index has at most {MAX_TEXT_FIELDS} text fields")
    schema = IndexSchema(fields=fields, prefixes=prefixes, offsets=offsets, stop_words=stop_words)
    return name, schema


def _parse_placement(words: Words, name: str, dialect: Dialect) -> tuple[str, ...]:
    """Read ON and PREFIX, in this order and before everything else; the prefixes of the index's keys."""
    if words.take("ON") and words.next("a type").upper() not in ("HASH", "JSON"):
        raise DialectError(f"neither hashes nor JSON: {words.last!r}")
    tag = _hash_tag(name)
    if tag is not None and not dialect.text:
        raise DialectError("Index name must not contain a hash tag")
    if not words.take("PREFIX"):
        if tag is not None:
            raise DialectError("PREFIX parameter is required for hash-tagged indexes")
        return ("",)
    prefixes = []
    for _ in range(words.number("PREFIX", 0, MAX_PREFIXES)):
        prefixes.append(words.next("a prefix"))
        if _hash_tag(words.last) != tag:
            raise DialectError(
                f"PREFIX {words.last!r} must have the hash tag of the index, or none",
                reply=None if tag else "PREFIX argument(s) must not contain a hash tag",
            )
    return tuple(prefixes) or ("",)


def _rejected(reply: str) -> DialectError:
    """The error for what the server rejects in just these words."""
    return DialectError(reply, reply=reply)


def _hash_tag(text: str) -> str | None:
    """Return the text between the first brace and the next closing one; None if it is empty."""
    _, _, rest = text.partition("{")
    tag, closing, _ = rest.partition("}")
    return tag if tag and closing else None


def _parse_index_options(words: Words, dialect: Dialect) -> tuple[bool, frozenset[str]]:
    offsets, stop_words = True, STOP_WORDS
    while words and words.peek() != "SCHEMA":
        option = words.next("an option").upper()
        if option in ("SCORE", "LANGUAGE"):
            if words.next(option).upper() not in ("1", "1.0", "ENGLISH"):
                raise DialectError(f"{option} {words.last!r} is not supported")
        elif not dialect.text:
            raise _rejected(f"Unexpected parameter `{option}`, expecting `SCHEMA`")
        elif option == "STOPWORDS":
            count = words.number("STOPWORDS", 0, 10_000)
            stop_words = frozenset(words.next("a stop word") for _ in range(count))
        elif option == "MINSTEMSIZE":
            words.number(option, 1, 2**31 - 1)
        elif option == "PUNCTUATION":
            if not words.next(option):
                raise DialectError("PUNCTUATION string cannot be empty")
        elif option == "NOSTOPWORDS":
            stop_words = frozenset()
        elif option in ("WITHOFFSETS", "NOOFFSETS"):
            offsets = option == "WITHOFFSETS"
        elif option not in ("SKIPINITIALSCAN", "NOSTEM"):
            raise _rejected(f"Unexpected parameter `{words.last}`, expecting `SCHEMA`")
    return offsets, stop_words


def _parse_field(words: Words, identifier: str, dialect: Dialect) -> SchemaField:
    kind = words.next(f"the type of field {identifier!r}").upper()
    match kind:
        case "TAG":
            return _parse_tag(words, identifier)
        case "NUMERIC":
            if len(identifier) > 128:
                raise DialectError("A numeric field can have a maximum length of 128")
            return SchemaField(identifier=identifier, kind=kind)
        case "TEXT" if dialect.text:
            return _parse_text(words, identifier)
        case "VECTOR":
            return _parse_vector(words, identifier)
        case _:
            raise DialectError(f"Invalid field type for field `{identifier}`: {kind!r}")


def _parse_tag(words: Words, identifier: str) -> SchemaField:
    if len(identifier) > 256:
        raise DialectError("A tag field can have a maximum length of 256")
    separator = ","
    while option := words.take("SEPARATOR", "CASESENSITIVE"):
        if option == "SEPARATOR":
            separator = words.next("a separator")
    if len(separator) != 1:
        raise DialectError(f"The separator must be a single character, but got {separator!r}")
    return SchemaField(identifier=identifier, kind="TAG", separator=separator)


def _parse_text(words: Words, identifier: str) -> SchemaField:
    suffix_trie = False
    while option := words.take("WITHSUFFIXTRIE", "NOSUFFIXTRIE", "NOSTEM", "WEIGHT"):
        if option == "WEIGHT" and words.next("a weight") not in ("1", "1.0"):
            raise DialectError("a WEIGHT other than 1.0 is not supported")
        if option.endswith("SUFFIXTRIE"):
            suffix_trie = option == "WITHSUFFIXTRIE"
    return SchemaField(identifier=identifier, kind="TEXT", suffix_trie=suffix_trie)


def _parse_vector(words: Words, identifier: str) -> SchemaField:
    algorithm = words.next("an algorithm").upper()
    if algorithm not in _VECTOR_NUMBERS:
        raise DialectError(f"unknown vector algorithm {algorithm!r}")
    attributes = words.part(words.number(algorithm, 0, 1000))
    seen: dict[str, int] = {}
    metric = ""
    while attributes:
        option = attributes.next("a vector attribute").upper()
        if option in seen:
            raise DialectError(f"{option} is given twice")
        if option in _VECTOR_NUMBERS[algorithm]:
            seen[option] = attributes.number(option, *_VECTOR_NUMBERS[algorithm][option])
        elif option in _VECTOR_CHOICES:
            if attributes.next(option).upper() not in _VECTOR_CHOICES[option]:
                raise DialectError(f"{option} {attributes.last!r} is not supported")
            metric = attributes.last.upper() if option == "DISTANCE_METRIC" else metric
            seen[option] = 0
        else:
            raise DialectError(f"Unexpected argument `{option}` for {algorithm}")
    if missing := {"DIM", *_VECTOR_CHOICES} - seen.keys():
        raise DialectError(f"a vector field lacks {sorted(missing)}")
    return SchemaField(
        identifier=identifier,
        kind="VECTOR",
        algorithm=algorithm,
        metric=metric,
        dimension=seen["DIM"],
    )
