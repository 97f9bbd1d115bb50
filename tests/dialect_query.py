"""A whole query string for Valkey-Search: a filter, and the KNN after ``=>``.

Strings are Latin-1, one character for each byte, so that lengths are the server's.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from dialect_filter import FilterParser
from dialect_rules import WHITE_SPACE, Dialect, DialectError, IndexSchema, SchemaField

MAX_QUERY_BYTES = 10_240
MAX_KNN = 10_000
MAX_EF = 1_000_000


@dataclass(slots=True, kw_only=True)
class Query:
    """A parsed query string."""

    filtered: bool
    score_alias: str | None = None  # None: no KNN
    k: int = 0
    used_parameters: set[str] = field(default_factory=set)


def parse_query(
    text: str,
    *,
    schema: IndexSchema | None,
    parameters: Mapping[str, str],
    dialect: Dialect,
    proximity: bool = False,
) -> Query:
    """Parse a whole query string.

    Args:
        text: the query, one character for each byte.
        schema: the index's attributes; None when unknown, then fields are not checked.
        parameters: the PARAMS by name.
        dialect: the version to judge by.
        proximity: whether SLOP or INORDER is given.

    Raises:
        DialectError: the server would reject it, or answer otherwise than meant.
    """
    if len(text) > MAX_QUERY_BYTES:
        raise DialectError(f"Query string is too long: {len(text)} > {MAX_QUERY_BYTES} bytes")
    query = Query(filtered=False)
    if dialect.vector_range and (found := _VECTOR_RANGE.search(text)):
        _read_vector_range(found, query, schema=schema, parameters=parameters)
        text = text[: found.start()] + text[found.end() :]
        if not text.strip(WHITE_SPACE):
            return query
    before, arrow, after = text.partition("=>")  # the first one, wherever it is
    knn = after.strip(WHITE_SPACE)
    if proximity and schema is not None and not (schema.has_text and schema.offsets):
        raise DialectError("SLOP and INORDER need an index with text offsets")
    parser = FilterParser(before.strip(WHITE_SPACE), schema=schema, dialect=dialect)
    match_all = parser.matches_all()
    filtered = not match_all and parser.parse()
    if before.strip(WHITE_SPACE) and not (match_all or filtered):
        raise DialectError(f"{text!r} has nothing but stop words and punctuation")
    if not knn:
        if arrow:
            raise DialectError("nothing follows `=>`")
        if not filtered and not (match_all and dialect.match_all):
            raise DialectError(
                f"Invalid query string syntax: {text!r} selects nothing by itself",
                reply="Invalid query string syntax",
            )
        if not dialect.filter_queries:
            raise DialectError("this version has no queries without KNN")
        query.filtered = filtered
        return query
    if query.score_alias is not None:
        raise DialectError("a vector range cannot be used in the filter of a KNN query")
    return _parse_knn(knn, filtered=filtered, schema=schema, parameters=parameters)


_VECTOR_RANGE = re.compile(
    r"@(\w+):\[VECTOR_RANGE (\S+) \$(\w+)\]=>\{\$YIELD_DISTANCE_AS: (\w+)\}", re.IGNORECASE
)
"""As 1.3 documents it (docs/topics/search-query.md), with the distance named, at most once in a query."""


def _read_vector_range(
    found: re.Match[str],
    query: Query,
    *,
    schema: IndexSchema | None,
    parameters: Mapping[str, str],
) -> None:
    alias, radius, vector, query.score_alias = found.groups()
    if radius.startswith("$"):
        query.used_parameters.add(radius[1:])
        radius = parameters.get(radius[1:], "nothing")
    if not re.fullmatch(r"[0-9.]+(?:e[+-]?[0-9]+)?|inf", radius, re.IGNORECASE):
        raise DialectError(f"a radius is a number from 0 on, not {radius!r}")
    if vector not in parameters:
        raise _vector_error(f"Parameter {vector} not found.")
    query.used_parameters.add(vector)
    _check_vector(parameters[vector], _vector_field(alias, schema))
    if schema is not None and query.score_alias in schema.fields:
        raise DialectError(f"the distance alias {query.score_alias!r} is also a field's name")


def _parse_knn(
    text: str, *, filtered: bool, schema: IndexSchema | None, parameters: Mapping[str, str]
) -> Query:
    if not (text.startswith("[") and text.endswith("]")):
        raise DialectError(f"a vector clause is `[KNN ...]` and nothing after it, not {text!r}")
    words = [word for word in text[1:-1].split(" ") if word]
    if len(words) < 4 or words[0].upper() != "KNN":
        raise DialectError(f"expecting `KNN k @field $vector`, not {text!r}")
    if not words[2].startswith("@") or len(words[2]) == 1:
        raise DialectError(f"a vector field starts with `@`: {words[2]!r}")
    alias = words[2][1:]
    query = Query(filtered=filtered, score_alias=f"__{alias}_score")

    def value(word: str) -> str:
        if not word.startswith("$"):
            return word
        if word[1:] not in parameters:
            raise _vector_error(f"Parameter {word[1:]} not found.")
        query.used_parameters.add(word[1:])
        return parameters[word[1:]]

    query.k = _bounded(value(words[1]), 1, MAX_KNN, "k of KNN", "KNN parameter")
    declared = _vector_field(alias, schema)
    if not words[3].startswith("$"):
        raise DialectError("the vector of a KNN is a parameter, `$name`")
    _check_vector(value(words[3]), declared)
    rest = iter(words[4:])
    for word in rest:
        argument = next(rest, None)
        if argument is None:
            raise DialectError(f"{word} lacks its argument")
        match word.upper():
            case "EF_RUNTIME":
                _bounded(value(argument), 1, MAX_EF, "EF_RUNTIME", "`EF_RUNTIME`")
                if declared is not None and declared.algorithm == "FLAT":
                    raise DialectError("EF_RUNTIME has no meaning on a FLAT index")
            case "AS":
                query.score_alias = value(argument)
            case _:
                raise DialectError(f"Unexpected argument {word!r} in KNN")
    if schema is not None and query.score_alias in schema.fields:
        raise DialectError(f"the distance alias {query.score_alias!r} is also a field's name")
    return query


def _vector_field(alias: str, schema: IndexSchema | None) -> SchemaField | None:
    if schema is None:
        return None
    if alias not in schema.fields:
        text = f"Index field `{alias}` does not exist"
        raise DialectError(text, reply=text)
    if schema.fields[alias].kind != "VECTOR":
        text = f"Index field `{alias}` is not a Vector index "
        raise DialectError(text, reply=text)
    return schema.fields[alias]


def _check_vector(blob: str, declared: SchemaField | None) -> None:
    data = blob.encode("latin-1")
    if not data or len(data) % 4 or (declared is not None and len(data) != declared.dimension * 4):
        wanted = "any" if declared is None else declared.dimension * 4
        text = (
            f"query vector blob size ({len(data)}) does not match index's expected size ({wanted})."
        )
        raise _vector_error(text)
    if not all(math.isfinite(item) for (item,) in struct.iter_unpack("<f", data)):
        raise DialectError("a vector with NaN or infinity has distance nan to everything")


def _bounded(text: str, low: int, high: int, what: str, name: str) -> int:
    """Return an integer within bounds; ``name`` is its name on the server."""
    if re.fullmatch(r"[0-9]+", text):
        number = int(text)
        if low <= number <= high:
            return number
        side = "below minimum" if number < low else "above maximum"
        must = "must be a positive integer greater than 0 and cannot exceed"
        reply = f"Invalid range: Value {side}; {name} {must} {high}."
    else:
        bounds = "outside acceptable bounds" if text[:1] == "-" else "not a valid numeric value"
        reply = f"{_VECTOR}`{text}` is {bounds}"
    message = f"{what} must be an integer from {low} to {high}, not {text!r}"
    raise DialectError(message, reply=reply)


_VECTOR = "Error parsing vector similarity parameters: "


def _vector_error(reply: str) -> DialectError:
    """The error for what the server rejects in just these words."""
    return DialectError(_VECTOR + reply, reply=_VECTOR + reply)
