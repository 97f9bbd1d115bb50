"""Examples of docs/secondary.md and its programs work as shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers import Server
from valkey_vector import Connection

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "secondary.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


def ran(directory: Path, *arguments: str) -> str:
    """Run a program in a directory, without a variable that names a server; return its output. It must succeed."""
    environment = {name: value for name, value in os.environ.items() if name != "VALKEY_URL"}
    ended = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def checked(example: str) -> str:
    """An example in which a line whose comment is a Python value asserts that it returns it."""
    lines = []
    for line in example.splitlines():
        shown = re.fullmatch(r"(\S.*?)  # (\[.*\]|'.*'|\d+)", line)
        if shown and "=" not in shown[1].partition("(")[0] and "Suggestion" not in line:
            lines.append(f"assert ({shown[1]}) == {shown[2]}, {shown[1]}")
        else:
            lines.append(line)
    return "\n".join(lines)


@pytest.mark.parametrize("framework", [False, True])
def test_the_examples_run_in_an_empty_directory_and_return_what_they_say(
    framework: bool, tmp_path: Path
) -> None:
    chosen = [checked(one) for one in EXAMPLES if ("llama_index" in one) == framework]
    assert chosen
    # One process, and a namespace for each: importing takes longer than running.
    ran(tmp_path, "-c", f"for example in {chosen!r}: exec(example, {{}})")


def test_the_examples_state_results() -> None:
    assert len(EXAMPLES) >= 7
    assert DOCUMENT.count("  # [") >= 6


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", DOCUMENT):
        if not target.startswith("http"):
            assert (ROOT / "docs" / target).exists(), target


@pytest.mark.parametrize(
    ("program", "arguments", "expected"),
    [
        ("search_as_you_type", ["--type", "wtih", "--fuzzy"], "> wtih▏\n    With Statement"),
        ("map_search", [], "Lyon       1.38"),
        ("knowledge_graph", [], "len() calls __len__; see __bool__"),
    ],
)
def test_the_programs_of_the_cookbook_run_and_leave_nothing_behind(
    native_server: Server, tmp_path: Path, program: str, arguments: list[str], expected: str
) -> None:
    shown = ran(
        tmp_path, str(ROOT / "cookbook" / f"{program}.py"), "--url", native_server.url, *arguments
    )
    assert expected in shown
    with Connection.open(native_server.url) as connection:
        assert [key for keys in connection.scan("*cookbook*") for key in keys] == []
