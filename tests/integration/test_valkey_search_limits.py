"""The fixtures for the limits of Valkey-Search, on the stand-in and on a real server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from servers import Server
from stand_in_state import RESULT_CAP
from valkey_vector import AuthenticationError, Connection, Index, Record, SearchModule

HERE = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture
def index(open_search_index: Callable[..., Index]) -> Index:
    index = open_search_index()
    index.upsert([Record(id=f"{n}", vector=[1.0, n, 0, 0], metadata={"n": n}) for n in range(60)])
    return index


def test_an_index_works_on_what_answers_as_valkey_search(index: Index) -> None:
    capabilities = index.connection.capabilities
    assert capabilities.module is SearchModule.VALKEY_SEARCH
    assert [hit.record.id for hit in index.search(HERE, k=3)] == ["0", "1", "2"]
    assert [hit.record.id for hit in index.search(HERE, k=2, filter={"n": {"$gt": 30}})] == [
        "31",
        "32",
    ]
    assert index.count({"n": {"$lt": 20}}) == 20
    assert [record.id for record in index.select({"n": {"$lt": 3}})] == ["0", "1", "2"]
    assert index.delete_by_filter({"n": {"$gte": 50}}) == 10
    assert index.info().documents == 50


def test_the_cap_is_reported_and_does_not_touch_searches_by_vector(
    index: Index, valkey_search_server: Server, result_cap: Callable[[int], None]
) -> None:
    result_cap(20)
    reply = valkey_search_server.command("CONFIG", "GET", RESULT_CAP)
    values = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
    assert values == {RESULT_CAP.encode(): b"20"}
    assert len(index.search(HERE, k=50)) == 50


def test_a_user_without_admin_may_not_list_indexes(index: Index, url_without_admin: str) -> None:
    with Connection.open(url_without_admin) as connection:
        assert connection.execute("HGET", f"{index.name}:1", "content") == b""
        with pytest.raises(AuthenticationError, match=r"FT\._LIST"):
            connection.execute("FT._LIST")
