"""Commands, options and figures of the pages for operators are those of the command line, the server and the estimate."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import TestServer, start_server
from valkey_vector import Index, Record
from valkey_vector.operations import estimate_size

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "how-to" / f"{name}.md" for name in ("production", "monitoring")]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OPTION = re.compile(r"[a-z][a-z-]*( \S+)+")
PROGRAMS = ("valkey", "docker")
NOT_HERE = ("loadmodule", "tls-", "port", "maxmemory 16gb")
"""Options that the server of the tests lacks, or that start it elsewhere."""


def blocks(language: str) -> list[list[str]]:
    """The lines of the fenced blocks of the pages with this language, empty for none."""
    found = [
        match[2].splitlines()
        for page in PAGES
        for match in FENCED.finditer(page.read_text(encoding="utf-8"))
        if match[1] == language
    ]
    return [[line for line in block if line] for block in found]


def lines_of(program: str) -> list[str]:
    """The commands of a program, without where their output goes."""
    return [
        line.partition(" > ")[0]
        for block in blocks("sh")
        for line in block
        if line.startswith(f"{program} ")
    ]


def configurations() -> list[list[str]]:
    """The blocks that are lines of a server's configuration."""
    return [
        block
        for block in blocks("")
        if all(OPTION.fullmatch(line) and not line.startswith(PROGRAMS) for line in block)
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    """A private server with the index of the pages."""
    with start_server() as started:
        with Index.open("articles", url=started.url, dimension=2) as articles:
            articles.upsert([Record(id="1", vector=[1.0, 0.0])])
        yield started


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the commands run, one after the other."""
    return tmp_path_factory.mktemp("operator")


@pytest.mark.parametrize("line", lines_of("valkey-vector"))
def test_a_command_of_the_pages_runs(line: str, server: TestServer, directory: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "valkey_vector.command_line", *shlex.split(line)[1:]],
        cwd=directory,
        env=os.environ | {"VALKEY_URL": server.url},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.strip()


@pytest.mark.parametrize("line", lines_of("valkey-cli"))
def test_a_command_for_the_server_is_accepted(line: str, server: TestServer) -> None:
    server.command(*shlex.split(line)[1:])


def test_the_pages_have_commands_and_configurations() -> None:
    assert len(lines_of("valkey-vector")) >= 8
    assert len(configurations()) >= 3


@pytest.mark.parametrize("block", configurations(), ids=lambda block: block[0].split()[0])
def test_a_server_accepts_the_options_of_a_configuration(block: list[str]) -> None:
    options = [
        argument
        for line in block
        if not line.startswith(NOT_HERE)
        for argument in (f"--{line.split()[0]}", *line.split()[1:])
    ]
    with start_server(extra=options, cluster="cluster-enabled yes" in block) as started:
        assert started.command("PING") == b"PONG"


def test_the_user_of_the_exporter_reads_info_and_no_key() -> None:
    [line] = [
        line for block in blocks("") for line in block if line.startswith("ACL SETUSER exporter")
    ]
    with start_server() as started:
        assert started.command(*line.split()) == b"OK"

        def may(*command: str) -> bool:
            return started.command("ACL", "DRYRUN", "exporter", *command) == b"OK"

        for allowed in (["PING"], ["INFO", "everything"], ["SLOWLOG", "LEN"], ["CLUSTER", "INFO"]):
            assert may(*allowed), allowed
        for denied in (["GET", "x"], ["CONFIG", "GET", "*"], ["CLIENT", "LIST"], ["FLUSHALL"]):
            assert not may(*denied), denied


def test_the_table_of_sizes_is_the_estimate() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([\d,]+) numbers(, full text)? \| ([\d,]+) \| (\d+) GiB \| (\d+) GiB \| (\d+) \|$",
        text,
        re.MULTILINE,
    )
    assert len(rows) == 4
    for dimension, full_text, record, total, maxmemory, shards in rows:
        estimate = estimate_size(
            10_000_000,
            int(dimension.replace(",", "")),
            full_text=bool(full_text),
            node_memory=16,
        )
        shown = (int(record.replace(",", "")), int(total), int(maxmemory), int(shards))
        assert shown == (
            estimate.per_document,
            round(estimate.total / 1024**3),
            round(estimate.maxmemory / 1024**3),
            estimate.shards,
        )
