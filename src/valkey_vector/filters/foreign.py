"""Reject filters in the dialects of other libraries, with an error that shows the right spelling.

A metadata key may have any name, so no name alone is rejected: ``{"path": "/a"}`` and ``{"must": "x"}`` are ordinary
filters. Two shapes are rejected: a list of dicts under a key, and a dict that names a field and a known operator. To
find records that hold such values, use ``$eq``.
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
"""Operators of other libraries, in lower case, mapped to the operators of this library."""

_COMBINING = ("$and", "$or", "$not")


def refuse_foreign(clauses: Mapping[Any, Any]) -> None:
    """Reject a dict that is a condition of another library, or contains one.

    Raises:
        FilterError: the message shows the right spelling.
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
    """Build the error for a name that is not an operator, in the dict under a metadata key."""
    meant = _MEANT.get(str(name).lower())
    if meant is not None and meant not in _COMBINING:
        return FilterError(f"{name!r} under {path!r} is not an operator; write {meant!r}")
    for outer in (path, str(name)):
        if (combined := _MEANT.get(outer.lower())) in _COMBINING:
            return FilterError(
                f"the filter under {outer!r} is one of another library; give the inner filter itself, or combine "
                f"filters with {combined!r}. For equality with a dict use $eq"
            )
    return FilterError(
        f"{name!r} under {path!r} is not an operator (operators begin with $). For a nested item "
        f"write {path + '.' + str(name)!r}; for equality with a dict use $eq"
    )


def unknown_operator(
    name: str, operand: Any, known: tuple[str, ...], *, keyed: bool
) -> FilterError:
    """Build the error for an operator that is unknown, or in the wrong position.

    Args:
        name: the operator, with its $.
        operand: the operand of the operator.
        known: all operators.
        keyed: the operator is under a metadata key.
    """
    if name in _COMBINING and keyed:
        return FilterError(
            f"{name} combines whole filters, so write it above the keys: {{{name!r}: […]}}"
        )
    if name in known:
        text = " For the text of records use F.content.has_text(…)." if name == "$contains" else ""
        return FilterError(
            f"{name} needs a metadata key: write {{'key': {{{name!r}: {operand!r}}}}}.{text}"
        )
    similar = difflib.get_close_matches(name, known, 1)
    meant = _MEANT.get(name[1:].lower()) or next(iter(similar), None)
    guess = "" if meant is None else f" (did you mean {meant!r}?)"
    return FilterError(f"unknown operator {name!r}{guess}; known are {', '.join(known)}")


def no_filter(value: Any, where: str = "a filter") -> FilterError:
    """Build the error for a value that is neither a dict nor a filter expression."""
    if callable(value):
        cure = "; to call a function use F('key').satisfies((str,), function)"
    elif isinstance(value, list | tuple):
        cure = "; to combine filters use {'$and': […]}"
    else:
        cure = ""
    return FilterError(
        f"{where} is a dict such as {{'tenant': 'a'}} or an expression such as F('tenant') == 'a', "
        f"not {value!r} ({type(value).__name__}){cure}"
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
