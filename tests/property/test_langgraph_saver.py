"""`ValkeySaver` answers every sequence of calls as LangGraph's `InMemorySaver` does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_valkey import ValkeySaver
from servers import Server

NAMES = st.sampled_from(["", "a", "a:b", "a*", "\0", "é"])
IDS = st.sampled_from([f"{n:02}" for n in range(12)])
CHANNELS = ["m", "n", "{m}"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
PUTS = st.tuples(
    st.just("put"),
    NAMES, NAMES, IDS, st.none() | IDS, st.dictionaries(st.sampled_from(CHANNELS), VALUES), st.integers(0, 2),
)  # fmt: skip
WRITES = st.tuples(
    st.just("writes"),
    NAMES, NAMES, IDS,
    st.lists(st.tuples(st.sampled_from([*CHANNELS, "__error__", "__interrupt__"]), VALUES), max_size=3),
    st.sampled_from(["t1", "t2"]), st.sampled_from(["", "path"]),
)  # fmt: skip
DELETES = st.tuples(st.just("delete"), NAMES)
OPERATIONS = st.lists(PUTS | WRITES | DELETES, min_size=1, max_size=12)


@pytest.fixture(scope="module")
def saver(native_server: Server) -> Iterator[ValkeySaver]:
    with ValkeySaver(native_server.url, namespace=f"t{uuid4().hex}") as opened:
        yield opened


def config(thread: str, namespace: str | None = None, id: str | None = None) -> Any:
    given = {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": id}
    return {"configurable": {key: value for key, value in given.items() if value is not None}}


def apply(saver: BaseCheckpointSaver[Any], operation: tuple[Any, ...], version: int) -> None:
    match operation:
        case "put", thread, namespace, id, parent, values, step:
            # Each put has versions of its own, as LangGraph gives them.
            versions = dict.fromkeys(values, f"{version:04}")
            checkpoint: Any = {
                "v": 1, "id": id, "ts": "", "channel_values": values, "channel_versions": versions,
                "versions_seen": {"node": versions}, "updated_channels": None,
            }  # fmt: skip
            saver.put(config(thread, namespace, parent), checkpoint, {"step": step}, dict(versions))
        case "writes", thread, namespace, id, writes, task, path:
            saver.put_writes(config(thread, namespace, id), writes, task, path)
        case "delete", thread:
            saver.delete_thread(thread)


def answers(saver: BaseCheckpointSaver[Any], thread: str, namespace: str) -> list[Any]:
    exact = [saver.get_tuple(config(thread, namespace, id)) for id in ("03", "07")]
    before = config(thread, namespace, "06")
    own = config(thread, namespace)
    return [
        saver.get_tuple(own),
        *exact,
        list(saver.list(own)),
        list(saver.list(own, before=before, limit=2)),
        list(saver.list(own, filter={"step": 1})),
        list(saver.list(own, filter={"step": 1}, before=before, limit=1)),
        _by_place(saver.list(config(thread))),
        _by_place(saver.list(config(thread), filter={"step": 2})),
    ]


def _by_place(found: Any) -> list[Any]:
    # The reference lists one namespace after the other.
    return sorted(found, key=lambda one: sorted(one.config["configurable"].items()))


@settings(max_examples=40)
@given(operations=OPERATIONS, thread=NAMES, namespace=NAMES)
def test_it_answers_as_the_saver_in_memory(
    saver: ValkeySaver, operations: list[tuple[Any, ...]], thread: str, namespace: str
) -> None:
    saver._core.clear()
    reference = InMemorySaver()
    for version, operation in enumerate(operations):
        apply(saver, operation, version)
        apply(reference, operation, version)
    assert answers(saver, thread, namespace) == answers(reference, thread, namespace)
