"""`Index.explain`: the commands that a query really sends, who decides its filter, and no vector among it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from command_runs import json_of, run_command
from round_trips import CommandLog
from valkey_vector import (
    CountQuery,
    Explanation,
    F,
    FilterQuery,
    HybridQuery,
    Index,
    IndexNotFoundError,
    Query,
    Record,
    TextQuery,
    VectorQuery,
)
from valkey_vector.connection.recording import recording

VECTOR = [0.1, 0.2, 0.3, 0.4]
NUMBER = 60


@pytest.fixture
def index(open_index: Callable[..., Index]) -> Index:
    opened = open_index(full_text=True)
    rng = np.random.default_rng(3)
    opened.upsert(
        [
            Record(
                id=f"d{n}",
                vector=rng.normal(size=4).tolist(),
                content="red fox" if n % 2 else "blue whale",
                metadata={"year": n, "tag": f"t{n % 3}"},
            )
            for n in range(NUMBER)
        ]
    )
    opened.search(VECTOR)  # what is read once for a process is read
    return opened


QUERIES: dict[str, Query] = {
    "vector": VectorQuery(vector=VECTOR, k=3),
    "vector and filter": VectorQuery(vector=VECTOR, k=3, filter=F("year") >= 20),
    "text": TextQuery("fox", k=3),
    "hybrid": HybridQuery(VECTOR, "fox", k=3),
    "filter": FilterQuery(filter=F("tag") == "t1", limit=3),
    "count": CountQuery(filter=F("year") < 10),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_commands_are_those_that_the_query_sends(
    index: Index, query: Query, commands: CommandLog
) -> None:
    answer = index.query(query)
    commands.clear()
    explanation = index.explain(query)
    sent = [[command[0].decode() for command in trip] for trip in commands.round_trips]
    explained = [[c.text.split()[0] for c in trip.commands] for trip in explanation.trips]
    assert explained == sent[: len(explained)]
    assert explanation.round_trips == len(explained) > 0
    assert explanation.results == (answer if isinstance(answer, int) else len(answer))
    assert 0 < explanation.server_seconds <= explanation.seconds
    assert explanation.query == type(query).__name__
    assert not [c.error for trip in explanation.trips for c in trip.commands if c.error]


@pytest.mark.parametrize(
    ("filter", "decision", "evaluated"),
    [
        (None, "no filter", "*"),
        (F("year") >= 20, "server", "@n0:[20 inf]"),
        (F("tag").like("t%"), "server, then client", "@tags:{tag_xs}"),
        (F("tag").like("t%") | (F("year") >= 0), "server, then client", "@"),
        (~F("tag").like("nothing%"), "client", "*"),
        (F.id == "d1", "by id", "1 ids"),
        ((F("year") > 1) & (F("year") < 1), "nothing", "no record"),
    ],
)
def test_it_says_who_decides_the_filter(
    index: Index, filter: object, decision: str, evaluated: str
) -> None:
    query = VectorQuery(vector=VECTOR, k=3, filter=filter)  # type: ignore[arg-type]
    explanation = index.explain(query)
    assert explanation.decision == decision
    assert evaluated in explanation.server_query
    assert bool(explanation.client_filter) == (decision not in ("no filter", "nothing"))


def test_a_filter_that_the_client_checks_has_more_candidates_than_results(index: Index) -> None:
    few = index.explain(FilterQuery(filter=F("tag").like("%1")))
    assert few.results == NUMBER // 3
    assert few.candidates == NUMBER
    assert few.client_filter == "tag like '%1'"
    exact = index.explain(FilterQuery(filter=(F("tag") == "t1") & (F("year") >= 0)))
    assert exact.candidates == exact.results == NUMBER // 3
    assert exact.client_filter == "(tag == 't1' and year >= 0)"


def test_vectors_and_scripts_are_left_out_of_the_commands(index: Index, engine_name: str) -> None:
    text = str(index.explain(QUERIES["vector"]))
    assert text.isprintable() or text.replace("\n", "").isprintable()
    assert ("<vector of 16 bytes>" if engine_name == "search" else "<script ") in text
    assert "return {1, now, rows}" not in text


def test_an_index_that_does_not_exist_cannot_be_explained(open_index: Callable[..., Index]) -> None:
    with pytest.raises(IndexNotFoundError):
        open_index("-none").explain(QUERIES["vector"])


async def test_the_asynchronous_version_explains_the_same(index: Index) -> None:
    index.explain(QUERIES["vector and filter"])  # the first search with a filter counts it
    explanation = await index.aexplain(QUERIES["vector and filter"])
    assert isinstance(explanation, Explanation)
    assert explanation.decision == "server"
    assert explanation.round_trips == index.explain(QUERIES["vector and filter"]).round_trips


async def test_only_the_code_in_the_block_is_recorded(index: Index) -> None:
    with recording() as trips:
        await index.acount()
        recorded = len(trips)
    index.count()
    assert recorded == len(trips) > 0


def test_a_command_that_fails_is_recorded_with_its_time(index: Index) -> None:
    with recording() as trips, pytest.raises(Exception, match="wrong number"):
        index.connection.execute("ECHO")
    (trip,) = trips
    assert trip.commands == (("ECHO",),)
    assert trip.seconds > 0


def test_the_command_prints_the_plan(index: Index, server_url: str) -> None:
    options = ["explain", index.name, "--like", "d1", "--filter", '{"year": {"$gte": 20}}']
    found = json_of(*options, url=server_url)
    assert found["decision"] == "server"
    assert found["results"] > 0
    ended = run_command(*options, url=server_url)
    assert ended.returncode == 0, ended.stderr
    assert "round trip 1" in ended.stdout
    assert "filter decided by: server" in ended.stdout
