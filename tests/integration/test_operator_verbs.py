"""Rules of all operator's verbs: least privileges, exit codes, quiet runs, completion of the shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from command_runs import json_of, run_command
from servers import Server, TestServer, free_port, start_server
from valkey_vector import Connection, Index, Record
from valkey_vector.command_line.application import application
from valkey_vector.operations import acl_line
from valkey_vector.storage.catalog import EngineName

NAME = "articles"


@pytest.fixture(params=["native", "search"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    name: EngineName = request.param
    return name


@pytest.fixture
def server(engine: EngineName) -> Iterator[TestServer]:
    with start_server(search=engine == "search") as server:
        with Connection.open(server.url) as connection:
            index = Index.open(NAME, dimension=4, connection=connection, engine=engine)
            index.upsert([Record(id=f"d{n}", vector=[1, n, 0, 0]) for n in range(20)])
        yield server


def reader(server: TestServer, engine: EngineName) -> str:
    """The URL of a user with the least privileges of a reader."""
    line = acl_line("reader", [NAME], engine, user="app", redisearch=engine == "search").line
    server.command(*line.replace(">PASSWORD", ">pw").split())
    return server.url.replace("valkey://", "valkey://app:pw@")


def test_a_reader_may_bench_export_and_tail_but_not_load(
    server: TestServer, engine: EngineName, tmp_path: Path
) -> None:
    url = reader(server, engine)
    path = str(tmp_path / "a.jsonl")
    assert json_of("export", NAME, path, url=url)["records"] == 20
    found = json_of("bench", NAME, "--seconds", "1", "--queries", "3", url=url)
    assert found["measures"][0]["recall"] is not None
    ended = run_command("tail", NAME, "--for", "0.5", url=url)
    assert ended.returncode == 0, ended.stderr
    refused = run_command("load", path, NAME, url=url)
    assert refused.returncode in (4, 6), refused.stderr
    assert "Traceback" not in refused.stderr
    refused = run_command("config", url=url)
    assert refused.returncode == 4
    assert "+config|get" in refused.stderr


@pytest.mark.parametrize(
    "verb",
    [
        ["bench", "none"],
        ["tail", "none"],
        ["export", "none", "none.jsonl"],
    ],
)
def test_a_missing_index_has_its_exit_code(server: TestServer, verb: list[str]) -> None:
    ended = run_command(*verb, url=server.url)
    assert ended.returncode == 5, ended.stderr
    assert "there is no index 'none'" in ended.stderr
    assert not Path("none.jsonl").exists()


@pytest.mark.parametrize(
    "verb",
    [
        ["bench", NAME],
        ["tail", NAME],
        ["export", NAME, "none.jsonl"],
        ["config"],
        ["config", "set", "maxmemory", "1gb", "--yes"],
    ],
)
def test_an_unreachable_server_has_its_exit_code(verb: list[str]) -> None:
    ended = run_command(*verb, url=f"valkey://127.0.0.1:{free_port()}")
    assert ended.returncode == 3, ended.stderr
    assert "Traceback" not in ended.stderr


def test_quiet_verbs_print_nothing_on_the_standard_error(
    server: TestServer, tmp_path: Path
) -> None:
    for verb in (
        ["bench", NAME, "--seconds", "0.5"],
        ["tail", NAME, "--for", "0.3"],
        ["export", NAME, str(tmp_path / "a.gz")],
        ["export", NAME, "-"],
        ["load", str(tmp_path / "a.gz"), NAME],
        ["verify", NAME],
    ):
        ended = run_command(*verb, "--quiet", url=server.url)
        assert (ended.returncode, ended.stderr) == (0, ""), verb


def verbs(group: click.Group) -> Iterator[click.Command]:
    """All verbs, those of groups included."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from verbs(command)
        else:
            yield command


def test_every_verb_with_a_server_takes_the_common_options() -> None:
    found = {command.name: command for command in verbs(application)}
    assert {"bench", "tail", "show", "set", "export", "load", "migrate"} <= found.keys()
    for name, command in found.items():
        options = {option for each in command.params for option in each.opts}
        assert "--json" in options, name
        if name not in {"acl", "size"}:  # these need no server
            assert {"--timeout", "--quiet"} <= options, name


def test_a_file_that_cannot_be_written_is_an_error_without_a_traceback(
    server: TestServer, tmp_path: Path
) -> None:
    (tmp_path / "folder.png").mkdir()
    ended = run_command("export", NAME, str(tmp_path / "no" / "a.jsonl"), url=server.url)
    assert ended.returncode == 2
    assert "cannot write" in ended.stderr
    if Path("/dev/full").exists():
        program = f"{sys.executable} -m valkey_vector.command_line export {NAME} - > /dev/full"
        ended = subprocess.run(
            ["/bin/sh", "-c", program],
            env={**os.environ, "VALKEY_URL": server.url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 6
        assert "No space left" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_doctor_can_be_strict(server: TestServer) -> None:
    options = ["doctor", NAME, "--no-recall", "--json"]
    found = run_command(*options, url=server.url)
    warned = any(each["severity"] == "warning" for each in json.loads(found.stdout)["findings"])
    assert found.returncode == 0
    strict = run_command(*options, "--strict", url=server.url)
    assert strict.returncode == (1 if warned else 0)
    assert warned  # a server of the tests keeps nothing on the disk


def test_the_shell_completes_verbs() -> None:
    environment = {
        **os.environ,
        "_VALKEY_VECTOR_COMPLETE": "bash_complete",
        "COMP_WORDS": "valkey-vector ex",
        "COMP_CWORD": "1",
    }
    program = (
        "import sys; sys.argv = ['valkey-vector']\n"
        "from valkey_vector.command_line.entry import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["plain,explain", "plain,export"]


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_of_the_output_that_has_ended_is_no_error(
    native_server: Server, options: list[str]
) -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "valkey_vector.command_line", "config", *options],
        env={**os.environ, "VALKEY_URL": native_server.url},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, "")


_INTERRUPTED_IMPORT = """
import sys
from valkey_vector.command_line.entry import main

class Interrupt:
    def find_spec(self, name, *_):
        if name == "valkey_vector.command_line.application":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
main()
"""


def test_an_interrupt_while_the_command_is_imported_has_no_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED_IMPORT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
