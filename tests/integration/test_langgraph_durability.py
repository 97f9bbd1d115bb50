"""Graphs survive the death of their process and of the server; crowds of writers lose and mix nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.messages import HumanMessage
from langgraph.types import Command

from langgraph_crowd import complaints, crowd
from langgraph_processes import approval, converse
from langgraph_savers import conversation, thread
from langgraph_valkey import ValkeySaver
from servers import Server, TestServer, start_server

PROGRAM = Path(__file__).parents[1] / "langgraph_processes.py"


def started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(PROGRAM), *arguments], stderr=subprocess.PIPE)


def ended_by(process: subprocess.Popen[bytes]) -> int:
    process.communicate()
    return process.returncode


@pytest.fixture
def server_url(native_server: Server) -> str:
    """Of one server: processes are slow to start, and what they do differs on none."""
    return native_server.url


@pytest.fixture
def saver(server_url: str, index_name: str) -> Iterator[ValkeySaver]:
    with ValkeySaver(server_url, namespace=index_name) as opened:
        yield opened


def test_a_graph_continues_where_a_killed_process_left_it(
    saver: ValkeySaver, server_url: str, index_name: str
) -> None:
    assert ended_by(started("interrupted", server_url, index_name)) == -signal.SIGKILL
    state = approval(saver).get_state(thread("t"))
    assert state.next == ("ask",)
    assert state.values["done"] == ["prepared"]
    assert [task.interrupts[0].value for task in state.tasks] == ["go on?"]
    assert ended_by(started("killed", server_url, index_name)) == -signal.SIGKILL
    state = approval(saver).get_state(thread("t"))
    assert state.next == ("act",)
    assert state.values == {"done": ["prepared", "asked"], "answer": "yes"}
    ended = approval(saver).invoke(None, thread("t"))
    assert ended["done"] == ["prepared", "asked", "acted on yes"]


def test_a_graph_continues_from_the_last_acknowledged_checkpoint_of_a_killed_server() -> None:
    durable = ["--appendonly", "yes", "--appendfsync", "always"]
    with start_server(extra=durable) as server, ValkeySaver(server.url) as saver:
        approval(saver).invoke({"done": []}, thread("t"))
        converse(saver, "c", 3)
        acknowledged = saver.get_tuple(thread("c"))
        server.kill()
        server.restart()
        assert saver.get_tuple(thread("c")) == acknowledged
        ended = approval(saver).invoke(Command(resume="yes"), thread("t"))
        assert ended["done"] == ["prepared", "asked", "acted on yes"]
        state = conversation(saver).invoke({"messages": [HumanMessage("more")]}, thread("c"))
        assert len(state["messages"]) == 8


def test_a_server_killed_in_mid_conversation_loses_no_acknowledged_turn() -> None:
    durable = ["--appendonly", "yes", "--appendfsync", "always"]
    with start_server(extra=durable) as server, ValkeySaver(server.url) as saver:
        for turn in range(1, 4):
            converse(saver, "c", 1)
            _killed_and_restarted(server)
            found = saver.get_tuple(thread("c"))
            assert found is not None
            assert len(found.checkpoint["channel_values"]["messages"]) == 2 * turn


def _killed_and_restarted(server: TestServer) -> None:
    server.kill()
    server.restart()


def test_threads_and_processes_on_one_thread_id_lose_and_mix_nothing(
    saver: ValkeySaver, server_url: str, index_name: str
) -> None:
    others = [started("crowd", server_url, index_name, f"p{n}", "8", "8") for n in range(4)]
    crowd(saver, "own", threads=32, puts=8)
    for other in others:
        _, errors = other.communicate()
        assert other.returncode == 0, errors.decode()
    assert complaints(saver, writers=32 + 4 * 8, puts=8) == []
