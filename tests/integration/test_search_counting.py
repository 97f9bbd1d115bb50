"""Counts on the search engine are exact, whatever the server reclaims meanwhile, and above its limit on read keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from round_trips import CommandLog
from valkey_vector import F, Index, Record
from valkey_vector.connection import Connection, Reply
from valkey_vector.connection.pipelines import Request, send
from valkey_vector.errors import ServerError

SENDER = "valkey_vector.engines.search.reading.send"


@pytest.fixture
def filled(open_search_index: Callable[..., Index]) -> Index:
    """Three records, and an expired one that the server has not reclaimed."""
    index = open_search_index()
    index.upsert(
        [Record(id=f"r{n}", vector=[1, n, 0, 1], metadata={"city": "Ulm"}) for n in range(3)]
    )
    index.upsert([Record(id="over", vector=[1, 0, 0, 1], metadata={"city": "Ulm"})], ttl=1_000)
    index.connection.execute("HSET", f"{index.name}:over", "expires", "1000")
    return index


def counts_sent(commands: CommandLog) -> list[list[bytes]]:
    """The queries of each round trip with searches."""
    found = [[each[2] for each in t if each[0] == b"FT.SEARCH"] for t in commands.round_trips]
    return [trip for trip in found if trip]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("position", [1, 2, 3, 4, 5])
def test_a_record_that_is_reclaimed_between_two_commands_of_a_count_is_not_counted(
    filled: Index, monkeypatch: pytest.MonkeyPatch, position: int, *, asynchronous: bool
) -> None:
    sent = 0

    def one_by_one(
        connection: Connection, requests: Sequence[Request], **options: Any
    ) -> list[list[Reply | ServerError]]:
        nonlocal sent
        replies: list[list[Reply | ServerError]] = []
        for request in requests:
            replies.append([])
            for command in request.commands:
                sent += command[0] == "FT.SEARCH"
                if command[0] == "FT.SEARCH" and sent == position:
                    connection.execute("UNLINK", f"{filled.name}:over")
                replies[-1] += send(connection, [Request([command])], **options)[0]
        return replies

    assert filled.count(F("city") == "Ulm") == 3
    monkeypatch.setattr(SENDER, one_by_one)
    wanted = F("city") == "Ulm"
    assert (asyncio.run(filled.acount(wanted)) if asynchronous else filled.count(wanted)) == 3
    assert sent
    assert filled.count() == 3


def test_an_expired_record_takes_no_other_round_trip(filled: Index, commands: CommandLog) -> None:
    filled.count()  # waits until the index is ready
    commands.clear()
    assert filled.count(F("city") == "Ulm") == 3
    (queries,) = counts_sent(commands)
    assert len(queries) == 4


@pytest.mark.parametrize("keys", [0, 1])
def test_more_records_than_the_server_reads_are_counted_once_and_then_in_parts(
    open_search_index: Callable[..., Index],
    commands: CommandLog,
    result_cap: Callable[[int], None],
    keys: int,
) -> None:
    result_cap(50)
    index = open_search_index()
    index.upsert([Record(id=f"r{n}", metadata={"city": "Ulm"}) for n in range(120)])
    if keys:
        index.upsert([Record(id="over", metadata={"city": "Ulm"})], ttl=1_000)
        index.connection.execute("HSET", f"{index.name}:over", "expires", "1000")
    index.count(F("city") == "Bonn")  # waits until the index is ready
    commands.clear()
    assert index.count(F("city") == "Ulm") == 120
    trips = counts_sent(commands)
    plain = [query for trip in trips for query in trip if b"created" not in query]
    whole = [query for query in plain if b"expires" not in query and b"_rs" not in query]
    assert len(whole) <= 2  # the count, and a sample of what it counted
