"""Hypothesis strategies: nasty metadata, records, and filters that match about half of them.

Keys and values come mostly from small pools, so that what a filter asks for is often there; the pools hold what has
broken other stores. The filters are built from the closed union of nodes: a node without a strategy is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, get_args

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from valkey_vector import (
    F,
    Filter,
    Flat,
    Hnsw,
    Metric,
    NumericField,
    Record,
    Schema,
    TagField,
    TextField,
)
from valkey_vector.filters.ast import (
    ITEM_TYPES,
    Always,
    And,
    Compare,
    Contains,
    Equal,
    Exists,
    Field,
    Like,
    Never,
    Not,
    OneOf,
    Operator,
    Or,
    Satisfies,
)
from valkey_vector.records.temporal import parse_iso

DIMENSION = 4

LONG_TEXT = "long " * 40
LONG_KEY = "k" * 130

TEXTS = [
    "", " ", "red", "Red", "red ", " red", "acme", "acme*", "*", "%", "_", "\\", "|", "}", "{", "=>", "->",
    "=>[KNN 9 @vector $v]", "a|b", "a,b", ",", "'", '"', "\n", "\x00", "\x1f", "a\x00b", "é", "e\u0301", "ß",
    "SS", "日本", "😀", "1", "1.0", "True", "true", "None", "null", "nan", "inf", "v", "a_xn", "_xs", "-1", "(5",
    "@tags:{x}", "$date", LONG_TEXT, LONG_TEXT + "x", "2024-01-31", "2024-01-31T00:00:00Z",
    "2024-01-31T00:00:00+00:00", "2024-01-31 12:00", "2024-01-31T01:00:00+01:00", "1600-02-29", "2024-02-30",
    "20240131", "9999-12-31T23:59:59.999999Z",
]  # fmt: skip
"""Texts, among them every character with a meaning in a query, look-alikes of tokens, and points in time."""

MOMENT_TEXTS = [text for text in TEXTS if parse_iso(text) is not None]

NUMBERS: list[int | float] = [
    0, 1, 1.0, -1, 2, 3, 0.5, -0.0, 0.1, 0.1 + 0.2, 0.3, 1e-7, 5e-324, -2.5, 1e22, 10**22, 10**23, 1e23, 2**53 - 1,
    2**53, 2**53 + 1, 2.0**53, -(2**53) - 1, 2**63, 10**30, -(10**30), 10**400, -(10**400), 1e308,
    1.7976931348623157e308, float("inf"), float("-inf"), float("nan"),
]  # fmt: skip
"""Numbers, among them those that a double cannot tell apart, or not hold."""

MOMENTS: list[date | datetime] = [
    date(2024, 1, 31),
    date(2024, 2, 1),
    date(1600, 2, 29),
    date.min,
    date.max,
    datetime(2024, 1, 31),  # noqa: DTZ001
    datetime(2024, 1, 31, tzinfo=UTC),
    datetime(2024, 1, 31, 1, tzinfo=timezone(timedelta(hours=1))),
    datetime(2024, 1, 31, 12, 0, 0, 1),  # noqa: DTZ001
    datetime(2300, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
]  # fmt: skip
"""Points in time, several of them one and the same, and some beyond what a double holds exactly."""

KEYS = ["a", "b", "a.b", "a.b.c", "", ".", "_", "a_xn", "v", "é\n", LONG_KEY]
"""Keys of metadata, and paths into it."""

NUMBER_KEY, TAG_KEY, TEXT_KEY = "num", "tag", "text"
"""Keys that hold only what a schema may declare them to be."""

PATTERNS = [
    "%",
    "",
    "_",
    "%e%",
    "r_d",
    "R%",
    "%\\%%",
    "acme\\*",
    "%\n%",
    "\\",
    "%%_",
    "%é",
    "2024-%",
    "%\x00%",
]

IDS = [
    "a", "b", "A", " ", "*", "a*", "a:b", ":", "{a}", "é", "😀", "\n", "\x01", "v", "x\\", '"', "2024-01-31",
    "2024-02-01", "1", "k" * 300,
]  # fmt: skip
PARENTS = ["a", "b", "a*", "é\n", "2024-01-31", "1", "x", "red", "_px", "k" * 300]
CONTENTS = ["", "red", "a|b", "2024-01-31", "\x00", "日本", LONG_TEXT]

numbers = st.sampled_from(NUMBERS) | st.integers(-3, 3) | st.floats(-3, 3)
texts = st.sampled_from(TEXTS) | st.sampled_from(["red", "acme", "acme*", "1"])
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=150)
moments = st.sampled_from(MOMENTS)
keys = st.sampled_from(KEYS) | st.sampled_from(["a", "b", "a.b"])
paths = keys | st.sampled_from([NUMBER_KEY, TAG_KEY, TEXT_KEY])

scalars: SearchStrategy[Any] = st.one_of(
    st.booleans(), numbers, texts, moments, st.sampled_from([0, 1, 2, "red", "acme", True])
)
"""A value that is neither None nor a list nor a dict."""


def values(leaves: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """A leaf, or a list or dict of such, nested up to three deep."""
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["b", "c", "", "b.c", "$date"]), inner, max_size=2)
        ),
        max_leaves=4,
    )


stored_values = st.one_of(scalars, scalars, values(st.none() | scalars | anything))
"""Values that metadata can contain under a key."""

literals = st.one_of(scalars, values(scalars))
"""Values that a predicate can compare with."""

metadata = st.dictionaries(keys, stored_values, max_size=5)


@st.composite
def stored_metadata(draw: DrawFn) -> dict[str, Any]:
    """Metadata that fits every schema of `schemas`."""
    items: dict[str, Any] = draw(metadata)
    if draw(st.booleans()):
        items[NUMBER_KEY] = draw(numbers.filter(lambda number: number == number))
    if draw(st.booleans()):
        items[TAG_KEY] = draw(texts | st.lists(texts, max_size=2))
    if draw(st.booleans()):
        items[TEXT_KEY] = draw(texts)
    return items


vectors = st.lists(st.integers(-2, 2), min_size=DIMENSION, max_size=DIMENSION)


directions = vectors.filter(any)
"""Vectors of records: RediSearch refuses zero vectors under COSINE."""


@st.composite
def collections(draw: DrawFn, size: int) -> list[Record]:
    """Up to `size` records of different ids, some of them without a vector; usually several."""
    least = draw(st.sampled_from([0, 1, size // 4, size // 2]))
    id = st.sampled_from(IDS) | st.integers(0, 99).map(str)
    ids = draw(st.lists(id, unique=True, min_size=least, max_size=size))
    return [
        Record(
            id=id,
            content=draw(st.sampled_from(CONTENTS)),
            vector=draw(st.none() | directions | directions),
            metadata=draw(stored_metadata()),
            parent=draw(st.none() | st.sampled_from(PARENTS)),
        )
        for id in ids
    ]


schemas = st.builds(
    Schema,
    dimension=st.just(DIMENSION),
    metric=st.sampled_from(list(Metric)),
    algorithm=st.sampled_from([Hnsw(), Flat()]),
    fields=st.sampled_from(
        [(), (NumericField(NUMBER_KEY), TagField(TAG_KEY)), (TextField(TEXT_KEY),)]
    ),
    numeric_slots=st.sampled_from([0, 1, 3, 10]),
)

fields = st.one_of(
    paths.map(Field),
    paths.map(Field),
    paths.map(Field),
    st.sampled_from([Field("id", "id"), Field("content", "content"), Field("parent", "parent")]),
)
comparable = st.one_of(numbers, numbers, texts, moments, st.booleans())


def _is_short(item: Any) -> bool:
    return len(repr(item)) < 5


_PREDICATES: dict[type, SearchStrategy[Filter]] = {
    Always: st.just(Always()),
    Never: st.just(Never()),
    Equal: st.builds(Equal, fields, literals),
    OneOf: st.builds(OneOf, fields, st.lists(literals, max_size=8).map(tuple), st.booleans()),
    Compare: st.builds(Compare, fields, st.sampled_from(Operator), comparable),
    Contains: st.builds(Contains, fields, literals),
    Exists: st.builds(Exists, fields),
    Like: st.builds(Like, fields, st.sampled_from(PATTERNS) | texts, st.booleans()),
    Satisfies: st.builds(
        Satisfies,
        fields,
        st.lists(st.sampled_from(ITEM_TYPES), unique=True, max_size=3).map(tuple),
        st.sampled_from([bool, _is_short, lambda item: item == item]),
    ),
}


def _combinations(parts: SearchStrategy[Filter]) -> dict[type, SearchStrategy[Filter]]:
    several = st.lists(parts, max_size=3).map(tuple)
    return {And: st.builds(And, several), Or: st.builds(Or, several), Not: st.builds(Not, parts)}


def _every_node() -> SearchStrategy[Filter]:
    """A strategy for any filter, from the union itself, so that no node can be forgotten."""
    unknown = set(get_args(Filter)) ^ {*_PREDICATES, *_combinations(st.nothing())}
    if unknown:
        raise TypeError(f"nodes and strategies do not fit: {unknown}")
    rare, usual = (Always, Never), [node for node in _PREDICATES if node not in (Always, Never)]
    leaves = st.one_of(
        *(_PREDICATES[node] for node in usual), st.one_of(*(_PREDICATES[node] for node in rare))
    )
    return st.recursive(
        leaves, lambda parts: st.one_of(*_combinations(parts).values()), max_leaves=6
    )


filters = _every_node()
"""Any filter."""


@st.composite
def pointed_filters(draw: DrawFn, records: list[Record]) -> Filter:
    """Generate a filter with a condition on a value of one of the records."""
    pointed = draw(filters)
    if not records or draw(st.integers(0, 7).map(lambda number: number == 0)):
        return pointed
    record = draw(st.sampled_from(records))
    asked = [(F(key), value) for key, value in record.metadata.items() if value is not None]
    asked += [(F.id, record.id), (F.content, record.content)]
    asked += [] if record.parent is None else [(F.parent, record.parent)]
    field, value = draw(st.sampled_from(asked))
    makers: list[Callable[[], Filter]] = [
        lambda: field == value,
        lambda: field.in_([value, *draw(st.lists(literals, max_size=40))]),
        lambda: field.equals_one_of([value, *draw(st.lists(literals, max_size=40))]),
        field.exists,
    ]
    if isinstance(value, list) and value and value[0] is not None:
        makers += [lambda: field.contains(value[0]), lambda: field.in_(["x", value[0]])]
    if isinstance(value, date):
        makers.append(lambda: field == draw(st.sampled_from(MOMENT_TEXTS)))
    if not isinstance(value, (list, dict)):
        makers += [
            lambda: field >= value,
            lambda: field < value,
            lambda: field.between(value, value),
        ]
    found = draw(st.sampled_from(makers))()
    return draw(
        st.sampled_from([found, ~found, found | pointed, found & ~pointed, ~(found & pointed)])
    )


def nodes_of(filter: Filter) -> Iterator[Filter]:
    """The filter and every filter in it."""
    yield filter
    match filter:
        case And(parts) | Or(parts):
            for part in parts:
                yield from nodes_of(part)
        case Not(part):
            yield from nodes_of(part)
        case _:
            pass


def literals_of(filter: Filter) -> Iterator[Any]:
    """Every value that a predicate of the filter compares with, and what is inside of lists and dicts."""
    for node in nodes_of(filter):
        match node:
            case Equal(_, value) | Compare(_, _, value) | Contains(_, value):
                yield from _parts(value)
            case OneOf(_, several):
                for value in several:
                    yield from _parts(value)
            case _:
                pass


def kind_of(value: Any) -> str:
    """Return the kind of literal of a value. Each kind has its own possible faults."""
    match value:
        case None | bool():
            return type(value).__name__
        case int():
            return "int" if abs(value) < 2**53 else "big int"
        case float():
            return "float" if abs(value) < 1e400 else repr(abs(value))
        case str():
            if value == "":
                return "empty text"
            if parse_iso(value) is not None:
                return "ISO text"
            if len(value) > 120:
                return "long text"
            return "text" if value.isalnum() else "text with signs"
        case datetime():
            return "datetime" if value.tzinfo is None else "datetime with a zone"
        case _:
            return type(value).__name__


KINDS = {
    "bool", "int", "big int", "float", "inf", "nan", "empty text", "ISO text", "long text", "text",
    "text with signs", "date", "datetime", "datetime with a zone", "list", "dict",
}  # fmt: skip
"""Every kind of literal that `kind_of` distinguishes, except None."""


def _parts(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, list):
        for item in value:
            yield from _parts(item)
    if isinstance(value, dict):
        for item in value.values():
            yield from _parts(item)
