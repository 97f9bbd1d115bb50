"""The record manager against LangChain's own in memory, on random sequences of what an indexer does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from typing import TypeAlias
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.indexing import InMemoryRecordManager

from langchain_valkey import ValkeyRecordManager
from servers import Server
from valkey_vector import Connection

Group: TypeAlias = str | None

KEYS = st.sampled_from(["a", "b", "ab", "a:b", "a*", ":", "", "ü", "\x00", "0", "-"])
GROUPS = st.sampled_from(["g", "g:", "g*", "", "-", "ü"])


@st.composite
def update(draw: st.DrawFn) -> tuple[str, list[str], list[Group] | None]:
    keys = draw(st.lists(KEYS, max_size=5))
    groups = st.lists(st.none() | GROUPS, min_size=len(keys), max_size=len(keys))
    return "update", keys, draw(st.none() | groups if keys else st.none())


STEPS = st.lists(
    update()
    | st.tuples(st.just("delete"), st.lists(KEYS, max_size=5), st.none())
    | st.tuples(st.just("mark"), st.just([]), st.none()),
    max_size=12,
)


class Clock:
    """The oracle's time: each reading is later than the last, as the server's is."""

    def __init__(self) -> None:
        self._ticks = count(1)

    def __call__(self) -> float:
        return float(next(self._ticks))


@pytest.fixture(scope="module")
def connection(native_server: Server) -> Iterator[Connection]:
    with Connection.open(native_server.url) as opened:
        yield opened


@given(steps=STEPS, data=st.data())
def test_it_answers_as_the_one_in_memory(
    connection: Connection,
    steps: Sequence[tuple[str, list[str], list[Group] | None]],
    data: st.DataObject,
) -> None:
    ours = ValkeyRecordManager(f"property {uuid4()}", connection=connection)
    theirs = InMemoryRecordManager("namespace")
    theirs.get_time = Clock()  # type: ignore[method-assign]
    marks: list[tuple[float, float]] = []
    for step, keys, groups in steps:
        match step:
            case "update":
                mark = (ours.get_time(), theirs.get_time())
                ours.update(keys, group_ids=groups, time_at_least=mark[0])
                theirs.update(keys, group_ids=groups, time_at_least=mark[1])
            case "delete":
                ours.delete_keys(keys)
                theirs.delete_keys(keys)
            case _:
                marks.append((ours.get_time(), theirs.get_time()))
    asked = data.draw(st.lists(KEYS, max_size=8))
    assert ours.exists(asked) == theirs.exists(asked)
    for _ in range(4):
        before = data.draw(st.none() | st.sampled_from(marks) if marks else st.none())
        after = data.draw(st.none() | st.sampled_from(marks) if marks else st.none())
        chosen = data.draw(st.none() | st.lists(GROUPS, min_size=1, max_size=3))
        limit = data.draw(st.none() | st.integers(1, 12))
        expected = theirs.list_keys(
            before=before and before[1], after=after and after[1], group_ids=chosen
        )
        listed = partial(
            ours.list_keys,
            before=before and before[0],
            after=after and after[0],
            group_ids=chosen,
        )
        assert sorted(listed()) == sorted(expected)
        some = listed(limit=limit)
        assert len(some) == len(set(some)) == min(len(expected), limit or len(expected))
        assert set(some) <= set(expected)
    ours.delete_keys(ours.list_keys())
    assert ours.list_keys() == []
