"""Statistics of a server and samples of it, as functions and as the verbs `statistics`, `watch` and `size`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from clusters import TestCluster
from command_runs import json_of, run_command
from doctor_setups import fill
from servers import Server, start_server
from valkey_vector import AuthenticationError, Connection, Index, InvalidInputError
from valkey_vector.operations import aserver_statistics, server_statistics, watch


@pytest.fixture
def connection(server_url: str) -> Iterator[Connection]:
    with Connection.open(server_url) as connection:
        yield connection


def test_a_server_reports_memory_clients_and_commands(connection: Connection) -> None:
    found = server_statistics(connection)
    assert found.used_memory == sum(node.used_memory for node in found.nodes) > 0
    for node in found.nodes:
        assert node.clients >= 1
        assert node.commands > 0
        assert node.version


async def test_the_asynchronous_version_reads_the_same_nodes(connection: Connection) -> None:
    nodes = [node.node for node in server_statistics(connection).nodes]
    assert [node.node for node in (await aserver_statistics(connection)).nodes] == nodes


def test_every_primary_of_a_cluster_is_counted() -> None:
    with TestCluster(3) as cluster, Connection.open(cluster.url) as connection:
        found = server_statistics(connection)
        assert len(found.nodes) == 3
        assert {node.node for node in found.nodes} == {
            f"{node.host}:{node.port}" for node in cluster.nodes
        }


def test_a_user_who_may_not_run_info_is_refused() -> None:
    with start_server() as server:
        server.command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-info")
        url = server.url.replace("//", "//app:pw@")
        with Connection.open(url) as connection, pytest.raises(AuthenticationError):
            server_statistics(connection)


def test_samples_hold_what_happened_between_them(
    connection: Connection, open_index: Callable[..., Index]
) -> None:
    index = open_index()
    samples = watch(connection, interval=0.05, count=2)
    first = next(samples)
    fill(index)
    assert index.get(["d1", "none"])[0] is not None
    second = next(samples)
    assert second.commands > first.commands
    assert second.seconds >= 0.05
    assert second.latency > 0
    assert second.hit_rate is not None
    assert 0 < second.hit_rate < 1
    assert next(samples, None) is None


@pytest.mark.parametrize("options", [{"interval": 0}, {"interval": -1}, {"count": 0}])
def test_intervals_and_counts_out_of_range_are_refused(
    connection: Connection, options: dict[str, float]
) -> None:
    with pytest.raises(InvalidInputError):
        watch(connection, **options)  # type: ignore[arg-type]


def test_the_verb_statistics_prints_nodes(server_url: str) -> None:
    found = json_of("statistics", url=server_url)
    assert found["nodes"][0]["used_memory"] > 0
    assert "total_indexed_documents" in found["search"]
    ended = run_command("statistics", url=server_url)
    assert ended.returncode == 0, ended.stderr
    assert "Nodes" in ended.stdout


def test_the_verb_watch_prints_one_line_for_each_sample(native_server: Server) -> None:
    options = ["watch", "--interval", "0.05", "--count", "3"]
    ended = run_command(*options, "--json", url=native_server.url)
    assert ended.returncode == 0, ended.stderr
    samples = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(samples) == 3
    assert all(sample["used_memory"] > 0 for sample in samples)
    ended = run_command(*options, url=native_server.url)
    assert len(ended.stdout.splitlines()) == 4
    assert "latency" in ended.stdout.splitlines()[0]


def test_the_verb_size_needs_no_server() -> None:
    ended = run_command("size", "1000000", "--dim", "384", "--node-memory", "8")
    assert ended.returncode == 0, ended.stderr
    assert "GiB" in ended.stdout
    ended = run_command("size", "1000000", "--dim", "384", "--node-memory", "8", "--json")
    assert json.loads(ended.stdout)["shards"] == 1
    whole = json.loads(ended.stdout)["vectors"]
    ended = run_command(
        "size", "1000000", "--dim", "384", "--data-type", "float16", "-m", "0", "--json"
    )
    half = json.loads(ended.stdout)
    assert (half["data_type"], half["vectors"]) == ("FLOAT16", 384 * 4 * 1_000_000)
    assert half["vectors"] < whole / 2
    wrong = run_command("size", "0", "--dim", "384")
    assert wrong.returncode == 2
    assert "documents" in wrong.stderr
