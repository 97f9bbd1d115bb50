"""Indexes and tenants that share a database never see, change or remove each other's records."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strategies import TEXTS
from valkey_vector import ConfigurationError, F, Index, Record

HERE = [1.0, 0.0, 0.0, 0.0]

TENANTS = [
    "acme", "acme*", "*", "acm?", "a|b", "a", "b", "|", "}", "{", "acme}", "=>", "acme}=>[KNN 9 @vector $v]",
    "\\", "acme\\", '"', "'", '"acme"', "\n", "acme\n", "\x00", "acme\x00", " acme", "acme ", " ", "", "ACME",
    "Acme", "a,b", ",", "a b", "аcme", "acmé", "acme\u0301", "-acme", "@tags:{acme}", "(acme)", "acme|other",
    "other", "$eq", "None", "1", "1.0", "true", "acme:1", "x" * 5000, "x" * 5001,
]  # fmt: skip


def by_tenant(index: Index, tenants: list[str]) -> None:
    index.upsert(
        Record(id=f"{number}", vector=HERE, content=tenant[:9], metadata={"tenant": tenant})
        for number, tenant in enumerate(tenants)
    )


def test_a_tenant_sees_its_own_records_only(index: Index) -> None:
    by_tenant(index, TENANTS)
    for number, tenant in enumerate(TENANTS):
        own = [str(number)]
        for wanted in (
            F("tenant") == tenant,
            F("tenant").in_([tenant]),
            {"tenant": tenant},
            {"tenant": {"$in": [tenant, 5]}},
            {"$and": [{"tenant": {"$eq": tenant}}, {"tenant": {"$exists": True}}]},
        ):
            assert [found.id for found in index.select(wanted)] == own, tenant
            assert index.count(wanted) == 1, tenant
            hits = index.search(HERE, k=len(TENANTS), filter=wanted)
            assert [hit.record.id for hit in hits] == own, tenant
        others = index.select(F("tenant") != tenant)
        assert len(others) == len(TENANTS) - 1
        assert own[0] not in {found.id for found in others}


def test_a_tenant_that_has_nothing_sees_nothing(index: Index) -> None:
    by_tenant(index, ["acme", "other"])
    for tenant in set(TENANTS) - {"acme", "other"}:
        assert index.search(HERE, k=9, filter=F("tenant") == tenant) == [], tenant
        assert index.delete_by_filter(F("tenant") == tenant) == 0, tenant
    assert index.count() == 2


def test_keys_that_look_alike_are_different_keys(index: Index) -> None:
    keys = [
        "a",
        "A",
        "a.b",
        "a_b",
        "a b",
        "a*",
        "*",
        "",
        "a:b",
        "a=b",
        "ab",
        "é",
        "@a",
        "a\\",
        "a\n",
    ]
    index.upsert(Record(id=str(n), metadata={key: "v"}) for n, key in enumerate(keys))
    for number, key in enumerate(keys):
        assert [found.id for found in index.select(F(key) == "v")] == [str(number)], key
        assert [found.id for found in index.select(F(key).exists())] == [str(number)], key


def test_no_tenant_and_no_text_finds_the_record_of_another(
    open_index: Callable[..., Index],
) -> None:
    index = open_index()
    index.upsert([Record(id="secret", vector=HERE, metadata={"tenant": "acme", "list": ["acme"]})])
    texts = st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)

    @settings(suppress_health_check=list(HealthCheck))
    @given(texts)
    def check(text: str) -> None:
        if text == "acme":
            return
        for wanted in (
            F("tenant") == text,
            F("tenant").in_([text, f"{text}*", f"*{text}"]),
            F("list").contains(text),
            F(text) == "acme" if text not in ("tenant", "list") else F("x") == text,
        ):
            assert index.search(HERE, filter=wanted) == []
            assert index.count(wanted) == 0

    check()


@pytest.mark.parametrize(("first", "second"), [("", "2"), ("a", "a.b"), ("-x", "-x_1"), ("", "-")])
def test_indexes_with_similar_names_never_mix(
    open_index: Callable[..., Index], first: str, second: str
) -> None:
    mem, other = open_index(first), open_index(second)
    mem.upsert([Record(id="1", vector=HERE, content="mine", metadata={"k": 1})])
    other.upsert(
        [
            Record(id="1", vector=HERE, metadata={"k": 1}),
            Record(id="2:1", vector=HERE),
            Record(id="x"),
        ]
    )
    assert mem.count() == 1
    assert other.count() == 3
    assert [hit.record.content for hit in mem.search(HERE, k=9)] == ["mine"]
    assert len(other.search(HERE, k=9)) == 2
    assert [found.id for found in mem.select()] == ["1"]
    assert mem.delete_all() == 1
    assert other.count() == 3
    mem.upsert([Record(id="1", vector=HERE)])
    assert mem.drop() == 1
    assert other.count() == 3
    assert other.count(F("k") == 1) == 1
    assert len(other.search(HERE, k=9)) == 2


def test_an_index_without_a_suffix_does_not_own_ids_that_look_like_another_index(
    open_index: Callable[..., Index],
) -> None:
    outer, inner = open_index("a"), open_index("a-b")
    outer.upsert([Record(id="-b:1", vector=HERE)])
    inner.upsert([Record(id="1", vector=HERE)])
    assert outer.drop() == 1
    assert inner.count() == 1


def test_deleting_all_leaves_no_document_behind_and_a_new_index_is_empty(
    open_index: Callable[..., Index], index_name: str
) -> None:
    index = open_index()
    index.upsert(Record(id=f"r{n}", vector=HERE, metadata={"n": n}) for n in range(300))
    assert index.delete_all() == 300
    keys = [key for batch in index.connection.scan(f"{index_name}:*") for key in batch]
    assert keys == []
    assert index.drop() == 0
    assert [key for batch in index.connection.scan(f"*{index_name}*") for key in batch] == []

    again = open_index()
    again.create()
    assert again.count() == 0
    assert again.search(HERE) == []
    assert again.select() == []


def test_dropping_without_documents_keeps_them_for_a_recreated_index(
    open_index: Callable[..., Index],
) -> None:
    index = open_index()
    index.upsert(Record(id=f"r{n}", vector=HERE, metadata={"n": n}) for n in range(50))
    assert index.drop(documents=False) == 0
    assert not index.exists()
    assert index.count() == 0

    again = open_index()
    again.create()
    again.wait_until_indexed()
    assert again.count() == 50
    assert again.count(F("n") < 10) == 10
    assert len(again.search(HERE, k=50)) == 50


def test_kept_documents_are_not_read_with_another_layout(
    open_index: Callable[..., Index],
) -> None:
    index = open_index()
    index.upsert([Record(id="r", vector=HERE, metadata={"n": 1, "m": 2.5})])
    index.drop(documents=False)
    for other in ({"dimension": 5}, {"schema": {"numeric_slots": 1}}):
        with pytest.raises(ConfigurationError, match=r"dropped without its documents.*drop\(\)"):
            open_index(**other).create()
    flat = open_index(algorithm="FLAT", metric="L2")
    flat.create()
    assert flat.count(F("m") > 2) == 1
    flat.drop(documents=False)
    assert flat.drop() == 1
    open_index(dimension=5).create()


def test_dropping_removes_only_documents_under_the_prefix(
    open_index: Callable[..., Index], index_name: str
) -> None:
    index = open_index()
    index.upsert([Record(id="mine", vector=HERE)])
    foreign = [f"{index_name}:counter", f"{index_name}:hash", f"{index_name}2:hash", index_name]
    index.connection.execute("SET", foreign[0], "1")
    for key in foreign[1:]:
        index.connection.execute("HSET", key, "field", "value")
    assert index.drop() == 1
    for key in foreign:
        assert index.connection.execute("EXISTS", key) == 1, key


def test_a_writer_that_still_knows_a_dropped_index_creates_it_again(
    open_index: Callable[..., Index],
) -> None:
    first, second = open_index(), open_index()
    first.upsert([Record(id="old", vector=HERE)])
    assert second.count() == 1
    assert first.drop() == 1
    second.upsert([Record(id="new", vector=HERE)])
    assert [found.id for found in first.select()] == ["new"]
    assert [hit.record.id for hit in first.search(HERE)] == ["new"]
