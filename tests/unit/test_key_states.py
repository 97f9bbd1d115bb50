"""A key that is read by two commands may change between them."""

from __future__ import annotations

import pytest

from valkey_vector.engines.search.key_states import parse_states, state_commands
from valkey_vector.errors import ForeignKeyError
from valkey_vector.schema.schema import Schema
from valkey_vector.storage.catalog import CatalogEntry

ENTRY = CatalogEntry(
    name="articles",
    generation="1",
    engine="search",
    schema=Schema(dimension=2),
    embedding_model=None,
    slots={},
    lineage="abc",
)
NAMES = [b"version", b"created", b"expires", b"metadata", b"vector"]


@pytest.mark.parametrize("names", [NAMES, set(NAMES)])
@pytest.mark.parametrize("refuse_foreign", [True, False])
def test_a_record_that_expires_between_the_two_reads_is_absent(
    names: list[bytes] | set[bytes], *, refuse_foreign: bool
) -> None:
    assert len(state_commands(ENTRY, ["articles:1"])) == 2
    (state,) = parse_states(
        ENTRY, ["articles:1"], [names, [None] * 3], refuse_foreign=refuse_foreign
    )
    assert not state.names
    assert not state.own


def test_a_hash_with_other_fields_is_foreign() -> None:
    with pytest.raises(ForeignKeyError, match="articles:1"):
        parse_states(ENTRY, ["articles:1"], [[b"price"], [None] * 3], refuse_foreign=True)
    with pytest.raises(ForeignKeyError, match="articles:1"):
        parse_states(ENTRY, ["articles:1"], [[b"created"], [None, b"5", None]], refuse_foreign=True)


@pytest.mark.parametrize("names", [[b"metadata"], [b"metadata", b"price"]])
def test_a_hash_with_metadata_of_another_program_is_foreign(names: list[bytes]) -> None:
    with pytest.raises(ForeignKeyError, match="articles:1"):
        parse_states(ENTRY, ["articles:1"], [names, [None] * 3], refuse_foreign=True)


def test_metadata_is_not_read_where_versions_identify_records() -> None:
    names, values = state_commands(ENTRY, ["articles:1"])
    assert names == ["HKEYS", "articles:1"]
    assert values == ["HMGET", "articles:1", "version", "created", "expires"]
    (state,) = parse_states(
        ENTRY, ["articles:1"], [NAMES, [b"abc:unique:v", b"5", None]], refuse_foreign=True
    )
    assert state.own
