"""Refuse filters in the dialects of other libraries, recognised by their shape, and say how they are written here.

Keys of metadata may have any name, so no name alone is refused: ``{"path": "/a"}`` and ``{"must": "x"}`` are ordinary
filters. What is refused is what nobody means as a comparison with metadata: a list of dicts under a key, and a dict that
names a field and one of the usual operators. A record that does hold such values is found with ``$eq``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from valkey_vector.errors import FilterError

__all__ = ["no_filter", "no_operator", "refuse_foreign", "unknown_operator"]

_FIELDS = ("field", "key", "path", "attribute", "property", "name")
_OPERATORS = ("operator", "op", "comparator")

_SPELLINGS = {
    "$eq": ("==", "=", "eq", "equal", "equals"),
    "$ne": ("!=", "<>", "ne", "neq", "notequal"),
    "$gt": (">", "gt", "greaterthan"),
    "$gte": (">=", "gte", "ge", "geq", "greaterthanequal"),
    "$lt": ("<", "lt", "lessthan"),
    "$lte": ("<=", "lte", "le", "leq", "lessthanequal"),
    "$in": ("in",),
    "$nin": ("nin", "not in", "notin"),
    "$contains": ("contains", "contain"),
    "$any": ("any", "containsany"),
    "$all": ("all", "containsall"),
    "$like": ("like", "text_match"),
    "$ilike": ("ilike", "text_match_insensitive"),
    "$exists": ("exists", "isnull", "is_empty"),
    "$and": ("and", "must", "filter", "filters", "conditions", "operands"),
    "$or": ("or", "should"),
    "$not": ("not", "must_not"),
}
_MEANT = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}
"""Operators as other libraries spell them, in small letters, and what they are called here."""

_COMBINING = ("$and", "$or", "$not")


def refuse_foreign(clauses: Mapping[Any, Any]) -> None:
    """Refuse a dict that is a condition of another library, or holds such.

    Raises:
        FilterError: names the cure.
    """
    operator = next((clauses[key] for key in _OPERATORS if key in clauses), None)
    field = next((key for key in _FIELDS if key in clauses), None)
    if field is not None and isinstance(operator, str) and operator.lower() in _MEANT:
        raise FilterError(
            f"{dict(clauses)!r} is a filter of another library; here it is {_cure(clauses, field, operator)}. "
            f"If these are keys of the metadata, write {{{field!r}: {{'$eq': …}}, …}}"
        )
    for key, operand in clauses.items():
        if str(key).startswith("$"):
            continue
        if isinstance(operand, list | tuple) and any(isinstance(one, Mapping) for one in operand):
            name = _MEANT.get(str(key).lower())
            combined = name if name in _COMBINING else "$and"
            inner = "{'$or': […]}" if combined == "$not" else "[…]"
            raise FilterError(
                f"the filter compares {key!r} with a list of dicts. To combine filters write {{{combined!r}: {inner}}}; "
                f"to find records that hold this very list, {{{key!r}: {{'$eq': […]}}}}"
            )


def no_operator(path: str, name: Any) -> FilterError:
    """The error for a key in the dict under a metadata key, which has to be an operator."""
    meant = _MEANT.get(str(name).lower())
    if meant is not None and meant not in _COMBINING:
        return FilterError(f"{name!r} under {path!r} is no operator; write {meant!r}")
    for outer in (path, str(name)):
        if (combined := _MEANT.get(outer.lower())) in _COMBINING:
            return FilterError(
                f"the filter under {outer!r} is one of another library; give the inner filter itself, or combine "
                f"filters with {combined!r}. For equality with a dict use $eq"
            )
    return FilterError(
        f"{name!r} under {path!r} is no operator (they begin with $). For a nested item "
        f"write {path + '.' + str(name)!r}; for equality with a dict use $eq"
    )


def unknown_operator(
    name: str, operand: Any, known: tuple[str, ...], *, keyed: bool
) -> FilterError:
    """The error for a name with a $ that cannot be where it is.

    Args:
        name: the name.
        operand: what it was given.
        known: all operators.
        keyed: it is under a metadata key.
    """
    if name in _COMBINING and keyed:
        return FilterError(
            f"{name} combines whole filters, so it stands above the keys: {{{name!r}: […]}}"
        )
    if name in known:
        text = " For the text of records use F.content.has_text(…)." if name == "$contains" else ""
        return FilterError(
            f"{name} has no key that it is about: write {{'key': {{{name!r}: {operand!r}}}}}.{text}"
        )
    near = difflib.get_close_matches(name, known, 1)
    meant = _MEANT.get(name[1:].lower()) or next(iter(near), None)
    guess = "" if meant is None else f" (did you mean {meant!r}?)"
    return FilterError(f"unknown operator {name!r}{guess}; known are {', '.join(known)}")


def no_filter(value: Any, where: str = "a filter") -> FilterError:
    """The error for what is neither a dict nor an expression."""
    if callable(value):
        cure = "; a function is asked by F('key').satisfies((str,), function)"
    elif isinstance(value, list | tuple):
        cure = "; filters that must all match are {'$and': […]}"
    else:
        cure = ""
    return FilterError(
        f"{where} is a dict such as {{'tenant': 'a'}} or an expression such as F('tenant') == 'a', "
        f"not {value!r}{cure}"
    )


def _cure(clauses: Mapping[Any, Any], field: str, operator: str) -> str:
    name = _MEANT[operator.lower()]
    path = clauses[field]
    if name in _COMBINING:
        return f"{{{name!r}: […]}}"
    if isinstance(path, list) and path:
        path = path[-1]
    if not isinstance(path, str):
        path = "key"
    path = path.removeprefix("meta.").removeprefix("metadata.")
    values = [value for key, value in clauses.items() if str(key).lower().startswith("value")]
    value = repr(values[0]) if values else "…"
    return f"{{{path!r}: {{{name!r}: {value}}}}}"
