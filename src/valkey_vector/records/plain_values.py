"""Plain values: exact instances of Python's own types, converted from any subclass that a caller passes.

``class Kind(str, Enum)`` is a ``str``, but ``format(Kind.NEWS)`` is ``"Kind.NEWS"`` and not ``"news"``. NumPy scalars,
``IntEnum`` and pandas timestamps are subclasses, too. Stored values, indexed values and the operands of filters
are all plain values, so that they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

__all__ = [
    "DEEPEST",
    "NotPlainError",
    "are_plain",
    "check_moments",
    "plain_moment",
    "plain_text",
    "plain_value",
]

DEEPEST = 32
"""Maximum depth of lists and dicts in a value."""

_EXACT = frozenset({str, bool, int, float, type(None)})


class NotPlainError(ValueError):
    """A value has no plain form.

    Attributes:
        path: position in the value, such as ``a.b[]``; empty for the value itself.
        what: description of the value, as the end of a sentence (``a set, …``).
        cure: the type to store instead.
    """

    def __init__(self, path: str, what: str, cure: str) -> None:
        super().__init__(path, what, cure)
        self.path = path
        self.what = what
        self.cure = cure

    def __str__(self) -> str:
        where = f"{self.path!r} is " if self.path else "it is "
        return f"{where}{self.what}; use {self.cure} instead"


def are_plain(values: Iterable[object]) -> bool:
    """Return True if all values are instances of exactly str, bool, int or float, or None: they need no conversion."""
    return _EXACT.issuperset(map(type, values))


def plain_text(text: str) -> str:
    """Convert text to a plain ``str``. A subclass, such as a member of an enumeration, becomes the text it holds.

    Every part of a key, a token or a name is converted by this function.
    """
    return text if type(text) is str else str.__str__(text)


def plain_moment(value: date) -> date:
    """Convert a date or datetime to an instance of exactly that class.

    Raises:
        NotPlainError: it is not a point in time (``pandas.NaT``), or has nanoseconds, which a datetime cannot hold.
    """
    if type(value) is datetime or type(value) is date:
        return value
    try:
        if not isinstance(value, datetime):
            return date(value.year, value.month, value.day)
        moment = datetime(
            value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond,
            tzinfo=value.tzinfo, fold=value.fold,
        )  # fmt: skip
    except (TypeError, ValueError):
        name = type(value).__name__
        raise NotPlainError(
            "", f"a {name} that is not a point in time ({value!r})", "None"
        ) from None
    if getattr(value, "nanosecond", 0):
        raise NotPlainError(
            "", "a time with nanoseconds, which a datetime cannot hold", "value.floor('us')"
        )
    return moment


def check_moments(value: Any, path: str = "") -> None:
    """Check that every date and datetime in a value has a plain form. For values whose other parts are converted later.

    Args:
        value: any value; dicts, lists, tuples and sets are searched.
        path: position of the value, for the error.

    Raises:
        NotPlainError: a date or datetime in the value has no plain form.
    """
    if type(value) is dict and are_plain(value.values()):
        return
    rest = [(value, path, 0)]
    while rest:
        item, where, depth = rest.pop()
        if isinstance(item, date):
            _moment_at(item, where)
        elif depth < DEEPEST and isinstance(item, Mapping):
            named = ((f"{where}.{key}" if where else str(key), each) for key, each in item.items())
            rest += [(each, name, depth + 1) for name, each in named]
        elif depth < DEEPEST and isinstance(item, (list, tuple, set, frozenset)):
            rest += [(each, f"{where}[]", depth + 1) for each in item]


def plain_value(value: Any, path: str = "", depth: int = 0) -> Any:
    """Convert a metadata value to Python's own types. Lists and dicts are copied.

    Args:
        value: None, a boolean, number, text, date or datetime, or a list or dict of these.
        path: position of the value, for the error.
        depth: number of lists and dicts around the value, >= 0.

    Raises:
        NotPlainError: the value has another type, or is nested more than `DEEPEST` deep.
    """
    if type(value) in _EXACT:
        return value
    match value:
        case str():
            return plain_text(value)
        case int():
            return int.__int__(value)
        case float():
            return float.__float__(value)
        case date():
            return _moment_at(value, path)
    if depth >= DEEPEST:
        raise NotPlainError(path, f"nested more than {DEEPEST} deep", "a flatter shape")
    if isinstance(value, list):
        inner = f"{path}[]"
        return [
            item if type(item) in _EXACT else plain_value(item, inner, depth + 1) for item in value
        ]
    if isinstance(value, dict) or (isinstance(value, Mapping) and depth == 0):
        return _plain_dict(value, path, depth)
    raise _unknown(value, path)


def _plain_dict(value: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise NotPlainError(f"{path}[{key!r}]", "under a key that is not text", "str keys")
        name = plain_text(key)
        if name in result:
            raise NotPlainError(
                f"{path}.{name}" if path else name, "there twice, under two keys of one text", "one"
            )
        if type(item) in _EXACT:
            result[name] = item
        else:
            result[name] = plain_value(item, f"{path}.{name}" if path else name, depth + 1)
    return result


def _moment_at(value: date, path: str) -> date:
    try:
        return plain_moment(value)
    except NotPlainError as error:
        raise NotPlainError(path, error.what, error.cure) from None


def _unknown(value: Any, path: str) -> NotPlainError:
    cures: dict[type, str] = {
        tuple: "a list",
        set: "a list",
        frozenset: "a list",
        bytes: "base64 text",
    }
    name = type(value).__name__
    cure = cures.get(type(value), "item.tolist()" if hasattr(value, "tolist") else "str(value)")
    return NotPlainError(path, f"a {name}, which JSON cannot hold exactly", cure)
