"""Errors for natural mistakes name the mistake, the place and the cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from servers import Server
from valkey_vector import (
    ConfigurationError,
    Connection,
    ConnectionLostError,
    Index,
    InvalidInputError,
    QueryBatchError,
    Record,
    VectorQuery,
)


def test_a_vector_of_another_model_is_refused_with_index_cause_and_cure(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(dimension=4)
    index.upsert([Record(id="a", content="x", vector=[1, 2, 3, 4])])
    calls: list[Callable[[], Any]] = [
        lambda: index.search([1, 2]),
        lambda: index.search_mmr([1, 2]),
        lambda: index.search_hybrid([1, 2], "x"),
        lambda: index.upsert([Record(id="b", content="x", vector=[1, 2])]),
        lambda: index.upsert(iter([Record(id="b", content="x", vector=[1, 2])])),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError) as caught:
            call()
        for words in ("2 dimensions", "has 4", repr(index.name), "another embedding model"):
            assert words in str(caught.value)
    with pytest.raises(QueryBatchError, match="another embedding model"):
        index.search_many([VectorQuery(vector=[1, 2], k=1)])
    assert index.count() == 1


def test_a_writer_that_opened_the_index_before_it_existed_raises_the_same_error(
    open_index: Callable[..., Index],
) -> None:
    late = open_index()
    assert late.count() == 0
    open_index().upsert([Record(id="a", content="x", vector=[1, 2, 3, 4])])
    with pytest.raises(InvalidInputError, match="another embedding model"):
        late.upsert([Record(id="b", content="x", vector=[1, 2])])


def test_an_index_is_opened_not_constructed() -> None:
    wrong: Any = Index
    mistakes: list[tuple[list[Any], dict[str, Any]]] = [
        (["documents"], {}),
        (["documents"], {"url": "valkey://host"}),
        ([], {"name": "documents"}),
        ([], {}),
    ]
    for arguments, settings in mistakes:
        with pytest.raises(TypeError, match=r"Index\.open"):
            wrong(*arguments, **settings)


@pytest.mark.parametrize(
    ("records", "cure"),
    [
        (Record(id="a", content="x", vector=[1, 2, 3, 4]), r"\[record\]"),
        ({"id": "a"}, "list of records, not a dict"),
        ("abc", "list of records, not a str"),
        (None, "list of records, not a NoneType"),
    ],
)
def test_upsert_takes_a_list_of_records(
    open_index: Callable[..., Index], records: Any, cure: str
) -> None:
    index = open_index(dimension=4)
    with pytest.raises(InvalidInputError, match=cure):
        index.upsert(records)
    assert not index.exists()


def test_a_database_that_the_server_does_not_have_is_named(native_server: Server) -> None:
    with pytest.raises(ConfigurationError, match=r"no database 99.*`databases`"):
        Connection.open(native_server.url, database=99).execute("PING")


def test_tls_on_a_port_without_it_names_the_likely_cure(native_server: Server) -> None:
    url = native_server.url.replace("valkey://", "valkeys://")
    with pytest.raises(ConnectionLostError, match="does not speak TLS, write valkey://"):
        Connection.open(url, connection_timeout=1).execute("PING")
