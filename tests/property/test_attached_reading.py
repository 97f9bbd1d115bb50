"""Orders, ranges, chosen fields, aggregates and facets of an attached index are those of plain Python."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attached_indexes import definition_of, packed, write_hashes
from servers import Server
from valkey_vector import (
    AttachedDocument,
    AttachedIndex,
    Connection,
    F,
    Filter,
    Index,
    OrderBy,
    create_index,
)
from valkey_vector.connection import SearchModule
from valkey_vector.query import (
    AggregateQuery,
    Average,
    Count,
    CountDistinct,
    Distinct,
    FirstValue,
    Item,
    Maximum,
    Minimum,
    Sum,
)

EXAMPLES = 60
QUERIES = 8

Document = dict[str, bytes]
Row = dict[str, Any]
NAMES = ("t", "u", "n", "x", "s")
"""Two tag attributes, a number, a text, and a stored field that is not indexed."""


@pytest.fixture
def connection(search_server: Server) -> Iterator[Connection]:
    with Connection.open(search_server.url) as opened:
        yield opened


tags = st.sampled_from(["red", "Red", "blue", "star*", "ünï", "ÜNÏ", "a b"])
numbers = st.sampled_from(
    ["0", "-0", "1", "1.0", "1e0", "2", "2.5", "-3", "1e300", "inf", f"{2**53}", f"{2**53 + 1}", "0.1", "0.2", "0.3"]
)  # fmt: skip
documents: st.SearchStrategy[Document] = st.fixed_dictionaries(
    {"v": st.tuples(st.integers(-3, 3), st.integers(-3, 3)).map(lambda v: packed(*v))},
    optional={
        "t": st.lists(tags, max_size=2).map(lambda each: ",".join(each).encode()),
        "raw tenant": st.lists(tags, max_size=2).map(lambda each: "|".join(each).encode()),
        "n": numbers.map(str.encode),
        "x": st.sampled_from([b"red fox", b"", b"Red", b"the fox"]),
        "s": st.sampled_from([b"1", b"10", b"9", b"text", b"\xff"]),
    },
)  # fmt: skip


items: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 1, 2, 2.5, "1", "text", [1, "a"], [], {"a": 1}, 10**15]
)
json_documents: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"v": st.lists(st.integers(-3, 3), min_size=2, max_size=2)},
    optional={
        "t": st.lists(tags, max_size=2).map(",".join),
        "raw tenant": st.lists(tags, max_size=2).map("|".join),
        "n": st.sampled_from(
            [0, 1, 1.0, 2, 2.5, -3, 1e300, 2**53, 2**53 + 1, 0.1, 0.2, [1, 5], [2.5], [-3, 0.1, 2]]
        ),
        "x": st.sampled_from(["red fox", "", "Red", "the fox"]),
        "s": items,
    },
)


def json_row_of(document: Mapping[str, Any]) -> Row:
    """The items of a JSON document; written apart from the library."""
    numbers = {name: document[name] for name in ("n", "s") if document.get(name) is not None}
    if isinstance(numbers.get("n"), list) and len(numbers["n"]) == 1:
        numbers["n"] = numbers["n"][0]
    texts = {
        name: value.encode()
        for name, value in document.items()
        if name not in numbers and isinstance(value, str)
    }
    return row_of(texts) | numbers


def row_of(document: Document) -> Row:
    """The items of a document; written apart from the library."""
    row: Row = {}
    for name, field, separator in (("t", "t", ","), ("u", "raw tenant", "|")):
        if field not in document:
            continue
        parts = [part.strip() for part in document[field].decode().split(separator)]
        if name == "t":
            parts = [part.encode().lower().decode() for part in parts]
        unique = list(dict.fromkeys(filter(None, parts)))
        if unique:
            row[name] = unique if len(unique) > 1 else unique[0]
    if "n" in document:
        text = document["n"].decode()
        row["n"] = int(text) if text.lstrip("-").isdigit() else float(text)
    for name in ("x", "s"):
        if name in document:
            row[name] = document[name].decode("utf-8", "surrogateescape")
    return row


def rank(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool):
        return 0, value
    if isinstance(value, (int, float)):
        return 1, value
    return (3, value) if isinstance(value, str) else (4, "")


def ordered(rows: Mapping[str, Row], orders: Sequence[tuple[str, bool]]) -> list[str]:
    keys = sorted(rows)
    for name, descending in reversed(orders):
        if name == "id":
            keys.sort(reverse=descending)
            continue
        present = [key for key in keys if name in rows[key]]
        present.sort(key=lambda key, name=name: rank(rows[key][name]), reverse=descending)  # type: ignore[misc]
        keys = present + [key for key in keys if name not in rows[key]]
    return keys


def has(row: Row, name: str, wanted: Any) -> bool:
    if name not in row:
        return False
    held = row[name]
    if name == "t":
        wanted = wanted.encode().lower().decode()
    return wanted in held if isinstance(held, list) else bool(held == wanted)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


Condition = tuple[Filter, Callable[[Row], bool]]
conditions: st.SearchStrategy[Condition] = st.one_of(
    st.builds(
        lambda name, tag: (F(name) == tag, lambda row: has(row, name, tag)), st.sampled_from("tu"), tags
    ),
    st.builds(
        lambda name, tag: (~(F(name) == tag), lambda row: not has(row, name, tag)), st.sampled_from("tu"), tags
    ),
    st.builds(
        lambda number: (F("n") == number, lambda row: number in listed(row.get("n", []))), st.sampled_from([1, 2.5])
    ),
    st.builds(
        lambda low: (F("n") >= low, lambda row: any(number >= low for number in listed(row.get("n", [])))), st.sampled_from([-3, 0.1, 1, 2**53])
    ),
    st.sampled_from(NAMES[:4]).map(lambda name: (F(name).exists(), lambda row: name in row)),
)  # fmt: skip
orders = st.lists(
    st.tuples(st.sampled_from([*NAMES, "id"]), st.booleans()), max_size=2, unique_by=lambda one: one[0]
)  # fmt: skip


@pytest.mark.timeout(900)
def test_ranges_orders_and_fields_are_those_of_plain_python(
    connection: Connection, index_name: str
) -> None:
    create_index(connection, definition_of(index_name, f"{index_name}:"))
    index = Index.attach(f"{index_name}-foreign", connection=connection)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), st.lists(documents, min_size=1, max_size=12))
    def check(data: st.DataObject, stored: list[Document]) -> None:
        keyed = {f"{index_name}:{n:02}": doc for n, doc in enumerate(stored)}
        write_hashes(connection, keyed)
        try:
            for _ in range(QUERIES):
                check_range(data, index, keyed)
        finally:
            connection.pipeline([["DEL", key] for key in keyed])

    check()


def checked_range(
    data: st.DataObject,
    index: AttachedIndex,
    filter: Filter | None,
    rows: Mapping[str, Row],
    fields: Sequence[str] | None,
) -> list[AttachedDocument]:
    """Select a range in an order, check its keys, and return it.

    Args:
        data: draws the order and the range.
        index: the index to read.
        filter: None selects all documents.
        rows: items of the documents that match the filter, by key.
        fields: stored fields to return.
    """
    wanted = data.draw(orders)
    limit, offset = data.draw(st.none() | st.integers(0, 14)), data.draw(st.integers(0, 5))
    found = index.select(
        filter,
        order_by=[
            OrderBy(F.id if name == "id" else name, descending) for name, descending in wanted
        ],
        limit=limit,
        offset=offset,
        fields=fields,
    )
    end = None if limit is None else offset + limit
    assert [each.key for each in found] == ordered(rows, wanted)[offset:end]
    return found


def check_range(data: st.DataObject, index: AttachedIndex, keyed: Mapping[str, Document]) -> None:
    filter, passes = data.draw(st.none() | conditions) or (None, lambda _: True)
    rows = {key: row for key, doc in keyed.items() if passes(row := row_of(doc))}
    fields = data.draw(
        st.none() | st.lists(st.sampled_from([*NAMES, "raw tenant", "v"]), unique=True)
    )
    for each in checked_range(data, index, filter, rows, fields):
        stored = keyed[each.key]
        assert each.fields == {
            name: value for name, value in stored.items() if fields is None or name in fields
        }
        names = {"raw tenant": "u", "t": "t", "n": "n", "x": "x"}
        chosen = names.values() if fields is None else [names[f] for f in fields if f in names]
        row = row_of(stored)
        assert {
            name: v[0] if isinstance(v, list) and len(v) == 1 else v
            for name, v in each.values.items()
        } == {name: row[name] for name in chosen if name in row}


@pytest.mark.timeout(900)
def test_json_documents_are_ordered_and_grouped_as_in_plain_python(
    json_connection: Connection, index_name: str
) -> None:
    create_index(json_connection, definition_of(index_name, f"{index_name}:", on="json"))
    lists = json_connection.capabilities.module is SearchModule.REDISEARCH
    index = Index.attach(f"{index_name}-foreign", connection=json_connection)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), st.lists(json_documents, min_size=1, max_size=12))
    def check(data: st.DataObject, stored: list[dict[str, Any]]) -> None:
        for document in stored:
            if not lists and isinstance(document.get("n"), list):
                del document["n"]
        keyed = {f"{index_name}:{n:02}": doc for n, doc in enumerate(stored)}
        json_connection.pipeline(
            [["JSON.SET", key, "$", json.dumps(doc)] for key, doc in keyed.items()]
        )
        try:
            for _ in range(QUERIES):
                check_json(data, index, keyed)
        finally:
            json_connection.pipeline([["DEL", key] for key in keyed])

    check()


def check_json(
    data: st.DataObject, index: AttachedIndex, keyed: Mapping[str, dict[str, Any]]
) -> None:
    filter, passes = data.draw(st.none() | conditions) or (None, lambda _: True)
    rows = {key: row for key, doc in keyed.items() if passes(row := json_row_of(doc))}
    fields = data.draw(st.lists(st.sampled_from(["s", "raw tenant", "$.v", "none"]), unique=True))
    for each in checked_range(data, index, filter, rows, fields):
        stored = {**keyed[each.key], "$.v": keyed[each.key]["v"]}
        assert each.fields == {name: stored[name] for name in fields if name in stored}
    key = data.draw(st.sampled_from(["t", "n", "x"]))
    values = [row.get(key) for row in rows.values()]
    expected = sorted(
        ((value, number) for value, number in counted(values)), key=lambda one: position(one[0])
    )
    assert index.count(filter) == len(rows)
    rows_found = index.aggregate(AggregateQuery(filter).group_by(key, number=Count()))
    assert [(row[key], row["number"]) for row in rows_found] == expected


def counted(values: Sequence[Any]) -> list[tuple[Any, int]]:
    groups: list[Any] = []
    for value in values:
        if value not in groups:
            groups.append(value)
    return [(value, values.count(value)) for value in groups]


def group_of(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def position(value: Any) -> tuple[Any, ...]:
    return (
        (1,) if value is None else (0, rank(value), repr(value) if isinstance(value, list) else "")
    )


def exact_sum(values: Sequence[Any]) -> Any:
    kept = [value for value in values if isinstance(value, (int, float))]
    if any(math.isinf(value) for value in kept):
        return math.inf
    total = sum(map(Fraction, kept), Fraction())
    return int(total) if all(isinstance(value, int) for value in kept) else float(total)


def present(rows: Sequence[Row], name: str) -> list[Any]:
    return [row[name] for row in rows if name in row]


def reduced(rows: Sequence[Row]) -> Row:
    """Results of `REDUCERS` for the rows of a group; written apart from the library."""
    n, x = present(rows, "n"), present(rows, "x")
    mean = None
    if n:
        mean = math.inf if math.inf in n else float(sum(map(Fraction, n), Fraction()) / len(n))
    distinct = sorted(
        {group_of(value): value for value in present(rows, "t")}.values(), key=position
    )
    first = min(rows, key=lambda row: ("n" not in row, row.get("n", 0)), default={})
    return {
        "rows": len(rows),
        "sum": exact_sum(n),
        "mean": mean,
        "least": min(n, default=None),
        "last": max(x, default=None),
        "kinds": len({group_of(value) for value in present(rows, "u")}),
        "tags": distinct,
        "first": first.get("s"),
    }


REDUCERS: Mapping[str, Any] = {
    "rows": Count(), "sum": Sum("n"), "mean": Average("n"), "least": Minimum("n"), "last": Maximum("x"),
    "kinds": CountDistinct("u"), "tags": Distinct("t"), "first": FirstValue("s", by="n"),
}  # fmt: skip


@pytest.mark.timeout(900)
def test_aggregates_and_facets_are_those_of_plain_python(
    connection: Connection, index_name: str
) -> None:
    create_index(connection, definition_of(index_name, f"{index_name}:"))
    index = Index.attach(f"{index_name}-foreign", connection=connection)
    grouped = 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), st.lists(documents, min_size=4, max_size=12))
    def check(data: st.DataObject, stored: list[Document]) -> None:
        nonlocal grouped
        keyed = {f"{index_name}:{n:02}": doc for n, doc in enumerate(stored)}
        write_hashes(connection, keyed)
        try:
            for _ in range(QUERIES):
                grouped += check_aggregate(data, index, keyed)
        finally:
            connection.pipeline([["DEL", key] for key in keyed])

    check()
    assert grouped > EXAMPLES // 2


def check_aggregate(
    data: st.DataObject, index: AttachedIndex, keyed: Mapping[str, Document]
) -> int:
    filter, passes = data.draw(st.none() | conditions) or (None, lambda _: True)
    rows = [row for key in sorted(keyed) if passes(row := row_of(keyed[key]))]
    check_facets(index, filter, rows)
    query = AggregateQuery(filter)
    for row in rows:
        if "n" in row:
            row["double"] = row["n"] * 2
    query = query.apply(double=Item("n") * 2)
    if (condition := data.draw(st.none() | conditions)) is not None:
        query = query.where(condition[0])
        rows = [row for row in rows if condition[1](row)]
    unwound = data.draw(st.sampled_from([None, "t", "u"]))
    if unwound is not None:
        query = query.unwind(unwound)
        lists = [row[unwound] if isinstance(row.get(unwound), list) else [None] for row in rows]
        rows = [
            row if tag is None else {**row, unwound: tag}
            for row, several in zip(rows, lists, strict=True)
            for tag in several
        ]
        tag = data.draw(tags)
        query = query.where(F(unwound) != tag)
        rows = [row for row in rows if not has(row, unwound, tag)]
    keys = data.draw(st.lists(st.sampled_from([*NAMES, "double"]), max_size=2, unique=True))
    groups: dict[Any, list[Row]] = {} if keys else {(): []}
    for row in rows:
        groups.setdefault(tuple(group_of(row.get(key)) for key in keys), []).append(row)
    expected = [
        {**{key: several[0].get(key) for key in keys}, **reduced(several)}
        for several in groups.values()
    ]
    expected.sort(key=lambda row: tuple(position(row[key]) for key in keys))
    assert index.aggregate(query.group_by(*keys, reducers=REDUCERS)) == expected
    return len(expected) > 1


def check_facets(index: AttachedIndex, filter: Filter | None, rows: Sequence[Row]) -> None:
    for name, facet in index.facets(NAMES, filter=filter).items():
        values = present(rows, name)
        elements = [
            one for value in values for one in (value if isinstance(value, list) else [value])
        ]
        assert {each.value: each.count for each in facet.values} == {
            one: elements.count(one) for one in elements
        }
        assert (facet.missing, facet.distinct) == (len(rows) - len(values), len(set(elements)))
