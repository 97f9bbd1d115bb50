"""Examples and programs of the documents on LangGraph work as shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_processes import approval
from langgraph_savers import conversation, thread
from langgraph_valkey import ValkeySaver, copy_checkpoints
from servers import Server
from valkey_vector import Connection

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "langgraph.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def ran(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "VALKEY_URL"}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs_in_an_empty_directory(example: str, tmp_path: Path) -> None:
    ended = ran(["-c", example], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize("arguments", [[], ["--url"]], ids=["private server", "a server"])
def test_the_cookbook_runs(arguments: list[str], search_server: Server, tmp_path: Path) -> None:
    chosen = [*arguments, search_server.url] if arguments else []
    ended = ran([str(ROOT / "cookbook" / "langgraph_agent.py"), *chosen], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert re.findall(r"ended with (-?\d+)", ended.stdout) == ["-9", "0", "0"][: 3 if chosen else 2]
    assert "[turn 3] You said: I live in Lisbon." in ended.stdout
    assert "[turn 1] You said: My cats are called Bits and Bytes." in ended.stdout
    with Connection.open(search_server.url) as connection:
        assert [key for keys in connection.scan("*cookbook*langgraph*") for key in keys] == []


def test_threads_move_from_another_checkpointer(server_url: str, index_name: str) -> None:
    old = InMemorySaver()
    for turn in ("one", "two"):
        conversation(old).invoke({"messages": [("user", turn)]}, thread("c"))
    approval(old).invoke({"done": []}, thread("t"))  # type: ignore[arg-type]
    with ValkeySaver(server_url, namespace=index_name) as new:
        assert copy_checkpoints(old, new, ["c"]) == 6
        count = copy_checkpoints(old, new)
        assert count == len(list(new.list(None)))
        for name in ("c", "t"):
            theirs: list[Any] = list(old.list(thread(name)))
            assert list(new.list(thread(name))) == theirs
        state = conversation(new).invoke({"messages": [("user", "three")]}, thread("c"))
        assert len(state["messages"]) == 6
        assert approval(new).get_state(thread("t")).next == ("ask",)


def test_the_benchmark_compares_what_is_installed(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.langgraph", "--checkpoints", "20", "--repeat", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (ours,) = re.findall(r"^\| ValkeySaver \| (.*) \|$", ended.stdout, re.MULTILINE)
    assert ours.split(" | ")[3:6] == ["1.0", "1.0", "1.0"]
    assert "| InMemorySaver |" in ended.stdout
