"""An index answers again after a node of a cluster has it in another version than the other nodes.

The stand-in for such a cluster only counts; `tests/multi_node` also searches a real one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from servers import StandInServer
from valkey_vector import F, Index, Record
from valkey_vector.connection import Connection
from valkey_vector.engines.search import recovery
from valkey_vector.errors import RequestTimeoutError

NAME = "articles"
HERE = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "PATIENCE", 0.2)


@pytest.fixture
def index(lossy_cluster: StandInServer) -> Iterator[Index]:
    with Index.open(NAME, url=lossy_cluster.url, engine="search", dimension=4) as index:
        index.upsert(
            [Record(id=f"r{n}", vector=[1, n, 0, 0], metadata={"n": n}) for n in range(20)]
        )
        yield index


def flush(cluster: StandInServer) -> str:
    """Make nodes differ about the index, as FLUSHALL on one of them does. Returns the name of the search index."""
    (name,) = cluster.stand_in.state.schemas
    cluster.stand_in.state.differing.add(name)
    return name


def search_indexes(cluster: StandInServer) -> list[Any]:
    reply = cluster.command("FT._LIST")
    assert isinstance(reply, list)
    return reply


def test_an_index_that_nodes_differ_about_answers_again(
    index: Index, lossy_cluster: StandInServer
) -> None:
    before = flush(lossy_cluster)
    assert index.count() == 20
    assert index.count(F("n") >= 5) == 15
    (after,) = search_indexes(lossy_cluster)
    assert after.decode() != before
    index.upsert([Record(id="new", vector=HERE, metadata={"n": 99})])
    assert index.count() == 21
    assert not index.verify().findings
    # It can break again, and is removed completely.
    flush(lossy_cluster)
    assert index.count() == 21
    index.drop()
    assert search_indexes(lossy_cluster) == []


def test_one_of_many_processes_creates_the_index_again(
    index: Index, lossy_cluster: StandInServer
) -> None:
    clients = [Connection.open(f"{lossy_cluster.url}?request_timeout={9 + n}") for n in range(5)]
    others = [Index.open(NAME, connection=each) for each in clients]
    assert [each.count() for each in others] == [20] * 5
    flush(lossy_cluster)
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: counts.append(each.count()))
        for each in (index, *others)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [20] * 6
    assert len(search_indexes(lossy_cluster)) == 1
    for each in clients:
        each.close()


def test_a_process_that_did_not_notice_opens_the_new_index(
    index: Index, lossy_cluster: StandInServer
) -> None:
    with Index.open(NAME, url=f"{lossy_cluster.url}?request_timeout=20") as other:
        assert other.count() == 20
        flush(lossy_cluster)
        assert index.count() == 20
        # The old name is gone: the server refuses it, so no search is answered before the new index is complete.
        assert other.count() == 20
        other.upsert([Record(id="new", vector=HERE)])
    assert index.count() == 21


def test_a_user_that_may_not_replace_the_index_changes_nothing(
    index: Index, lossy_cluster: StandInServer
) -> None:
    rules = ["reset", "on", ">secret", "~*", "+@all", "-ft.dropindex"]
    lossy_cluster.command("ACL", "SETUSER", "limited", *rules)
    place = lossy_cluster.url.partition("://")[2]
    before = flush(lossy_cluster)
    limited = f"valkey://limited:secret@{place}?request_timeout=1.5"
    with (
        Index.open(NAME, url=limited) as other,
        pytest.raises(RequestTimeoutError, match="disagree"),
    ):
        other.count()
    assert [each.decode() for each in search_indexes(lossy_cluster)] == [before]
    assert index.count() == 20


def test_a_record_that_is_lost_after_a_renewal_is_restored(
    index: Index, lossy_cluster: StandInServer
) -> None:
    flush(lossy_cluster)
    assert index.count() == 20
    lossy_cluster.command("UNLINK", f"{{{NAME}}}:index")
    index._handle.forget()
    assert index.count() == 20
    assert len(search_indexes(lossy_cluster)) == 1
