"""Delta channels: the writes of a channel are returned, also after pruning and copying."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Send

from langgraph_savers import thread, trips
from langgraph_valkey import ValkeySaver
from round_trips import CommandLog

pytestmark = pytest.mark.filterwarnings("ignore:.*DeltaChannel.*beta")


def extended(state: list[str] | None, writes: Sequence[list[str]]) -> list[str]:
    return [*(state or []), *(item for write in writes for item in write)]


class Log(TypedDict):
    log: Annotated[list[str], DeltaChannel(extended, list, snapshot_frequency=4)]
    total: Annotated[int, operator.add]


class Task(TypedDict):
    name: str
    round: int


def graph(saver: BaseCheckpointSaver[Any]) -> Any:
    """Three tasks in parallel write to a delta channel, in an order that matters."""

    def work(state: Task) -> dict[str, Any]:
        return {"log": [f"{state['name']}-{state['round']}"], "total": 1}

    def fan_out(state: Log) -> list[Send]:
        return [Send("work", {"name": name, "round": state["total"]}) for name in "cab"]

    builder = StateGraph(Log)
    builder.add_node("work", work, input_schema=Task)
    builder.add_conditional_edges(START, fan_out, ["work"])
    return builder.compile(checkpointer=saver)


@pytest.fixture
def saver(server_url: str, index_name: str) -> Iterator[ValkeySaver]:
    with ValkeySaver(server_url, namespace=index_name) as opened:
        yield opened


def played(saver: BaseCheckpointSaver[Any], rounds: int) -> Any:
    made = graph(saver)
    for turn in range(rounds):
        made.invoke({"log": [f"turn {turn}"], "total": 0}, thread("t"))
    return made


@pytest.mark.parametrize("rounds", [1, 2, 3, 7])
def test_a_delta_channel_is_rebuilt_as_in_memory(
    saver: ValkeySaver, rounds: int, commands: CommandLog
) -> None:
    reference = InMemorySaver()
    expected = played(reference, rounds).get_state(thread("t"))
    assert len(expected.values["log"]) == 4 * rounds
    made = played(saver, rounds)
    commands.clear()
    assert made.get_state(thread("t")).values == expected.values
    assert len(trips(commands)) <= 2
    states = [state.values for state in made.get_state_history(thread("t"))]
    old = [state.values for state in played(reference, 0).get_state_history(thread("t"))]
    assert states == old
    history = saver.get_delta_channel_history(config=thread("t"), channels=["log", "total", "x"])
    other = reference.get_delta_channel_history(config=thread("t"), channels=["log", "total", "x"])
    for channel, found in history.items():
        assert _without_tasks(found) == _without_tasks(other[channel])


async def test_it_is_rebuilt_in_an_async_graph(saver: ValkeySaver) -> None:
    made = graph(saver)
    for turn in range(2):
        await made.ainvoke({"log": [f"turn {turn}"], "total": 0}, thread("t"))
    expected = played(InMemorySaver(), 2).get_state(thread("t"))
    assert (await made.aget_state(thread("t"))).values == expected.values


@pytest.mark.parametrize("rounds", [1, 2, 3, 7])
def test_pruning_and_copying_keep_the_ancestors_of_a_delta_channel(
    saver: ValkeySaver, rounds: int
) -> None:
    made = played(saver, rounds)
    before = made.get_state(thread("t")).values
    count = len(list(saver.list(thread("t"))))
    saver.prune(["t"])
    assert len(list(saver.list(thread("t")))) < count or rounds == 1
    assert made.get_state(thread("t")).values == before
    saver.copy_thread("t", "copy")
    saver.delete_thread("t")
    assert made.get_state(thread("copy")).values == before
    after = made.invoke({"log": ["more"], "total": 0}, thread("copy"))
    assert len(after["log"]) == 4 * (rounds + 1)


def _without_tasks(history: Any) -> Any:
    return {**history, "writes": [write[1:] for write in history["writes"]]}
