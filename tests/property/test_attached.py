"""Filters on the raw attributes of an index of another program: exact on nasty documents and values."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attached_indexes import definition_of, packed, write_hashes
from servers import Server
from strategies import TEXTS
from valkey_vector import (
    AttachedIndex,
    Connection,
    F,
    Filter,
    Index,
    create_index,
)
from valkey_vector.filters.ast import (
    Always,
    And,
    Compare,
    Contains,
    Equal,
    Exists,
    Like,
    Never,
    Not,
    OneOf,
    Or,
)

EXAMPLES = 60
FILTERS = 12
BLANKS = " \t\n\v\f\r"

TENANTS = [
    *TEXTS, "star*", "starfish", "star", "star**", "star\\", "a*b", "x}|@u:{*", "$p", "{}", "end\\", "*lead", "_", "__",
    "~a", "(p)", "[1 2]", "a\tb", "\x7f", "ünï", "ÜNÏ", "Star*", "@t:{star} | @t:{a}", "-a", "y" * 1_100,
]  # fmt: skip


@pytest.fixture
def connection(search_server: Server) -> Iterator[Connection]:
    with Connection.open(search_server.url) as opened:
        yield opened


def tags(document: dict[str, bytes], field: str, separator: str) -> set[str]:
    parts = document.get(field, b"").decode().split(separator)
    return {part.strip(BLANKS) for part in parts} - {""}


def lowered(text: str) -> str:
    return text.encode().lower().decode()  # of bytes, lower() knows ASCII only


def holds(document: dict[str, bytes], path: str) -> Any:
    """Return the value of a document under an attribute; written apart from the library."""
    match path:
        case "t":
            return {lowered(tag) for tag in tags(document, "t", ",")} or None
        case "u":
            return tags(document, "raw tenant", "|") or None
        case "n":
            return float(document["n"]) if "n" in document else None
        case "x":
            return document["x"].decode() if "x" in document else None
        case _:
            raise AssertionError(path)


def wanted(value: str, path: str) -> str:
    return lowered(value.strip(BLANKS)) if path == "t" else value.strip(BLANKS)


def passes(filter: Filter, document: dict[str, bytes]) -> bool:
    match filter:
        case Always():
            return True
        case Never():
            return False
        case And(parts):
            return all(passes(part, document) for part in parts)
        case Or(parts):
            return any(passes(part, document) for part in parts)
        case Not(part):
            return not passes(part, document)
        case Exists(field):
            return holds(document, field.path) is not None
        case Equal(field, value) | Contains(field, value):
            return passes(OneOf(field, (value,)), document)
        case OneOf(field, values):
            held = holds(document, field.path)
            if isinstance(held, set):
                return not held.isdisjoint(wanted(value, field.path) for value in values)
            return held is not None and held in values
        case Compare(field, ordering, value):
            held = holds(document, field.path)
            compare = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
            return held is not None and bool(compare[ordering.value](held, value))
        case Like(field, pattern, _):
            held = holds(document, field.path)
            return held is not None and pattern.strip("%") in held
        case _:
            raise AssertionError(filter)


tenants = st.sampled_from(TENANTS)
numbers = st.integers(-3, 3) | st.sampled_from([0.5, -2.25, 1e10, 1e-7])
words = st.sampled_from(["red fox", "the fox", "", "Red"])

documents = st.fixed_dictionaries(
    {"v": st.tuples(st.integers(-3, 3), st.integers(-3, 3)).map(lambda v: packed(*v))},
    optional={
        "t": st.lists(tenants, max_size=2).map(lambda each: ",".join(each).encode()),
        "raw tenant": st.lists(tenants, max_size=2).map(lambda each: "|".join(each).encode()),
        "n": numbers.map(lambda number: repr(number).encode()),
        "x": words.map(str.encode),
    },
)  # fmt: skip

predicates: st.SearchStrategy[Filter] = st.one_of(
    st.builds(lambda path, value: F(path) == value, st.sampled_from("tu"), tenants),
    st.builds(lambda path, value: F(path) == value, st.sampled_from("tu"), tenants),
    st.builds(lambda path, value: F(path).contains(value), st.sampled_from("tu"), tenants),
    st.builds(
        lambda path, several: F(path).in_(several), st.sampled_from("tu"), st.lists(tenants, max_size=4)
    ),
    st.builds(lambda value: F("n") == value, numbers),
    st.builds(lambda low, high: F("n").between(low, high), numbers, numbers),
    st.builds(lambda value: F("n") < value, numbers),
    st.builds(lambda value: F("n") >= value, numbers),
    st.builds(lambda several: F("n").in_(several), st.lists(numbers, max_size=3)),
    st.builds(lambda value: F("x") == value, words),
    st.just(F("x").like("%fox%")),
    st.builds(lambda path: F(path).exists(), st.sampled_from("tunx")),
)  # fmt: skip
filters: st.SearchStrategy[Filter] = st.recursive(
    predicates,
    lambda parts: st.one_of(
        st.builds(operator.and_, parts, parts), st.builds(operator.or_, parts, parts), parts.map(operator.inv)
    ),
    max_leaves=4,
)  # fmt: skip


@pytest.mark.timeout(900)
def test_searches_of_raw_attributes_find_what_plain_python_finds(
    connection: Connection, index_name: str
) -> None:
    create_index(connection, definition_of(index_name, f"{index_name}:a:", f"{index_name}:b:"))
    index = Index.attach(f"{index_name}-foreign", connection=connection)
    telling = 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), st.lists(documents, min_size=1, max_size=12))
    def check(data: st.DataObject, stored: list[dict[str, bytes]]) -> None:
        nonlocal telling
        keyed = {f"{index_name}:{'ab'[n % 2]}:{n:02}": doc for n, doc in enumerate(stored)}
        write_hashes(connection, keyed)
        try:
            for _ in range(FILTERS):
                filter = data.draw(filters)
                keys = [key for key in keyed if passes(filter, keyed[key])]
                telling += 0 < len(keys) < len(keyed)
                check_answers(index, filter, sorted(keys), keyed)
        finally:
            connection.pipeline([["DEL", key] for key in keyed])

    check()
    assert telling > EXAMPLES


def check_answers(
    index: AttachedIndex, filter: Filter, keys: Sequence[str], keyed: dict[str, dict[str, bytes]]
) -> None:
    found = index.select(filter)
    assert [document.key for document in found] == keys
    assert all(document.fields == keyed[document.key] for document in found)
    assert index.count(filter) == len(keys)
    measured = sorted(
        (float(np.sum((np.frombuffer(keyed[key]["v"], "<f4") - 1.0) ** 2)), key) for key in keys
    )
    for k in (2, len(keyed) + 3):
        hits = index.search([1, 1], k=k, filter=filter)
        assert [hit.distance for hit in hits] == pytest.approx([d for d, _ in measured[:k]])
        assert {hit.document.key for hit in hits} <= set(keys)


@pytest.mark.parametrize("attribute", ["t", "u"])
def test_no_value_of_a_tenant_matches_that_of_another(
    connection: Connection, index_name: str, attribute: str
) -> None:
    create_index(connection, definition_of(index_name, f"{index_name}:a:", f"{index_name}:b:"))
    vector = packed(0, 0)
    field = {"t": "t", "u": "raw tenant"}[attribute]
    keyed = {
        f"{index_name}:a:{n}": {"v": vector, field: tenant.encode()}
        for n, tenant in enumerate(TENANTS)
    }
    write_hashes(connection, keyed)
    index = Index.attach(f"{index_name}-foreign", connection=connection)
    for tenant in TENANTS:
        expected = {
            key for key, document in keyed.items() if passes(F(attribute) == tenant, document)
        }
        for filter in (F(attribute) == tenant, F(attribute).in_([tenant]), {attribute: tenant}):
            assert {document.key for document in index.select(filter)} == expected, tenant
            hits = index.search([0, 0], k=len(TENANTS), filter=filter)
            assert {hit.document.key for hit in hits} == expected, tenant
            assert index.count(filter) == len(expected)
        others = index.count(~(F(attribute) == tenant))
        assert others == len(keyed) - len(expected)
