"""The verb `config` and `operations.configuration`: settings of every node, and a change of all nodes or of none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters import ClusterNode, TestCluster
from command_runs import json_of, run_command
from servers import Server, free_port, start_server
from valkey_vector import (
    AuthenticationError,
    Connection,
    InvalidInputError,
    ServerError,
    UnsupportedFeatureError,
)
from valkey_vector.operations import (
    aconfiguration,
    aset_configuration,
    configuration,
    set_configuration,
)
from valkey_vector.operations.configuration_values import ADVICE, SearchConfiguration

_VALUES = {
    "search.reader-threads": "4",
    "search.enable-partial-results": "yes",
    "search.prefiltering-threshold-ratio": "0.001",
    "search.log-level": "notice",
}


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server whose settings a test may change."""
    with start_server() as server:
        yield server


@pytest.fixture
def own_cluster() -> Iterator[TestCluster]:
    with TestCluster(3) as cluster:
        yield cluster


def setting(server: Server, name: str) -> str:
    reply = server.command("CONFIG", "GET", name)
    values = list(reply.values()) if isinstance(reply, dict) else reply[1::2]
    text = values[0]
    return text.decode() if isinstance(text, bytes) else str(text)


def test_settings_are_typed(server_url: str) -> None:
    with Connection.open(server_url) as connection:
        found = configuration(connection)
    for node in found.nodes:
        assert isinstance(node.maxmemory, int)
        assert isinstance(node.appendonly, bool)
        assert node.maxmemory_policy
        assert node.save is not None
        assert node.values["maxmemory"] == str(node.maxmemory)
        assert "requirepass" not in node.values


def test_settings_of_the_search_module_have_their_types() -> None:
    found = SearchConfiguration.of({**_VALUES, "maxmemory": "0"})
    assert found.reader_threads == 4
    assert found.enable_partial_results is True
    assert found.prefiltering_threshold_ratio == 0.001
    assert found.writer_threads is None
    assert found.other == {"log_level": "notice"}


def test_a_real_search_module_reports_its_threads(valkey_search_server: Server) -> None:
    with Connection.open(valkey_search_server.url) as connection:
        found = configuration(connection)
    known = found.nodes[0].search
    reported = {name for name in found.nodes[0].values if name.startswith("search.")}
    assert known.max_nonvector_search_results_fetched
    if "search.reader-threads" in reported:  # the stand-in reports only the limit
        assert known.reader_threads
        assert {name for name in ADVICE if name.startswith("search.")} <= reported


async def test_the_async_versions_read_and_change(own_server: Server) -> None:
    with Connection.open(own_server.url) as connection:
        await aset_configuration(connection, "maxclients", "321")
        assert (await aconfiguration(connection)).nodes[0].maxclients == 321


def test_a_change_reports_old_and_new_value(own_server: Server) -> None:
    with Connection.open(own_server.url) as connection:
        planned = set_configuration(connection, "maxmemory", "1gb", dry_run=True)
        assert planned.dry_run
        assert setting(own_server, "maxmemory") == "0"
        changed = set_configuration(connection, "maxmemory", "1gb")
    (node,) = changed.nodes
    assert (node.old, node.new) == ("0", str(1024**3))
    assert setting(own_server, "maxmemory") == str(1024**3)


@pytest.mark.parametrize("name", ["requirepass", "dir", "nonsense", "max*", "search.*"])
def test_settings_that_do_not_belong_to_indexes_are_not_changed(
    own_server: Server, name: str
) -> None:
    before = setting(own_server, "requirepass")
    with Connection.open(own_server.url) as connection, pytest.raises(InvalidInputError):
        set_configuration(connection, name, "x")
    assert setting(own_server, "requirepass") == before


def test_a_change_reaches_every_node_of_a_cluster_and_differences_are_listed(
    own_cluster: TestCluster,
) -> None:
    own_cluster.nodes[1].command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with Connection.open(own_cluster.url) as connection:
        found = configuration(connection)
        assert len(found.nodes) == 3
        assert "maxmemory-policy" in found.differing
        changed = set_configuration(connection, "maxmemory-policy", "volatile-ttl")
        assert len(changed.nodes) == 3
        assert "maxmemory-policy" not in configuration(connection).differing
    assert {setting(node, "maxmemory-policy") for node in own_cluster.nodes} == {"volatile-ttl"}


def test_if_one_node_refuses_no_node_is_changed(own_cluster: TestCluster) -> None:
    with Connection.open(own_cluster.url) as connection:
        last = max(own_cluster.nodes, key=lambda node: f"{node.host}:{node.port}")
        last.command("ACL", "SETUSER", "default", "-config|set")
        with pytest.raises(AuthenticationError):
            set_configuration(connection, "maxmemory-policy", "volatile-ttl")
        last.command("ACL", "SETUSER", "default", "+config|set")
        with pytest.raises(ServerError):
            set_configuration(connection, "maxmemory-policy", "nonsense")
    assert {setting(node, "maxmemory-policy") for node in own_cluster.nodes} == {"noeviction"}


def interrupt_last(
    monkeypatch: pytest.MonkeyPatch, cluster: TestCluster, action: Callable[[ClusterNode], None]
) -> None:
    """Run the action before CONFIG SET is sent to the last node for the first time."""
    last = max(cluster.nodes, key=lambda node: (node.host, node.port))
    send, waiting = Connection.pipeline_on, [True]

    def pipeline_on(self: Connection, address: str, commands: Any) -> Any:
        if address == f"{last.host}:{last.port}" and commands[0][1] == "SET" and waiting:
            waiting.clear()
            action(last)
        return send(self, address, commands)

    monkeypatch.setattr(Connection, "pipeline_on", pipeline_on)


def test_a_node_that_dies_meanwhile_is_named_and_the_others_are_set_back(
    own_cluster: TestCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Connection.open(own_cluster.url, request_timeout=2.0) as connection:
        interrupt_last(monkeypatch, own_cluster, lambda node: node.kill())
        with pytest.raises(ServerError) as caught:
            set_configuration(connection, "maxmemory-policy", "volatile-ttl")
    alive = sorted(own_cluster.nodes, key=lambda node: (node.host, node.port))
    dead = alive.pop()
    assert f"could not be set back: {dead.host}:{dead.port}" in str(caught.value)
    assert {setting(node, "maxmemory-policy") for node in alive} == {"noeviction"}


def test_an_interrupt_sets_all_nodes_back(
    own_cluster: TestCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: ClusterNode) -> None:
        raise KeyboardInterrupt

    with Connection.open(own_cluster.url) as connection:
        interrupt_last(monkeypatch, own_cluster, interrupt)
        with pytest.raises(KeyboardInterrupt):
            set_configuration(connection, "maxmemory-policy", "volatile-ttl")
    assert {setting(node, "maxmemory-policy") for node in own_cluster.nodes} == {"noeviction"}


def test_a_primary_without_slots_is_changed_too(own_cluster: TestCluster, tmp_path: Path) -> None:
    nodes_file = str(tmp_path / "nodes.conf")
    bus = str(free_port())  # the default is the port + 10,000, which not every free port allows
    options = ["--cluster-enabled", "yes", "--cluster-config-file", nodes_file]
    with start_server(extra=[*options, "--cluster-port", bus]) as empty:
        own_cluster.nodes[0].command("CLUSTER", "MEET", empty.host, empty.port, bus)
        place = f"{empty.host}:{empty.port}"
        deadline = time.monotonic() + 30
        with Connection.open(own_cluster.url) as connection:
            while not all(
                place in str(node.command("CLUSTER", "NODES")) for node in own_cluster.nodes
            ):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert place in [node.node for node in configuration(connection).nodes]
            changed = set_configuration(connection, "maxmemory-policy", "volatile-ttl")
        assert len(changed.nodes) == 4
        assert setting(empty, "maxmemory-policy") == "volatile-ttl"


def test_a_server_without_config_is_named() -> None:
    with start_server(extra=["--rename-command", "CONFIG", ""]) as server:
        with Connection.open(server.url) as connection:
            with pytest.raises(UnsupportedFeatureError, match="managed services"):
                configuration(connection)
            with pytest.raises(UnsupportedFeatureError):
                set_configuration(connection, "maxmemory", "1gb")
        ended = run_command("config", url=server.url)
    assert ended.returncode == 6
    assert "managed services" in ended.stderr


def test_a_user_without_permission_learns_what_to_grant(own_server: Server) -> None:
    own_server.command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-config")
    url = own_server.url.replace("//", "//app:pw@")
    with (
        Connection.open(url) as connection,
        pytest.raises(AuthenticationError, match=r"config\|get"),
    ):
        configuration(connection)


def test_the_verb_prints_settings_with_advice(server_url: str) -> None:
    found = json_of("config", url=server_url)
    assert found["nodes"][0]["values"]["appendonly"] in ("yes", "no")
    ended = run_command("config", "show", url=server_url)
    assert ended.returncode == 0, ended.stderr
    assert "maxmemory-policy" in ended.stdout
    assert "noeviction for documents" in ended.stdout
    assert "≠" not in ended.stdout
    header = next(line for line in ended.stdout.splitlines() if "setting" in line)
    assert header.split("┃")[1].strip() == "setting"  # one node needs no column of differences
    same = run_command("config", "--differing", url=server_url)
    assert same.stdout == "no setting differs between nodes\n"


def test_the_verb_sets_only_after_a_confirmation(own_server: Server) -> None:
    change = ["config", "set", "maxmemory-policy", "volatile-lru"]
    refused = run_command(*change, url=own_server.url, stdin="n\n")
    assert refused.returncode == 130
    assert "'noeviction' → 'volatile-lru'" in refused.stderr
    planned = run_command(*change, "--dry-run", url=own_server.url)
    assert planned.returncode == 0
    assert "dry run" in planned.stdout
    assert setting(own_server, "maxmemory-policy") == "noeviction"
    found = json_of(*change, "--yes", url=own_server.url)
    assert found["nodes"][0]["new"] == "volatile-lru"
    assert setting(own_server, "maxmemory-policy") == "volatile-lru"
    wrong = run_command("config", "set", "requirepass", "x", "--yes", url=own_server.url)
    assert wrong.returncode == 2
    assert "CHANGES THE SERVER" in run_command("config", "set", "--help").stdout


def test_the_verb_marks_settings_that_differ(own_cluster: TestCluster) -> None:
    own_cluster.nodes[2].command("CONFIG", "SET", "maxclients", "99")
    ended = run_command("config", "--differing", url=own_cluster.url)
    assert ended.returncode == 0, ended.stderr
    assert "≠" in ended.stdout
    assert "differ between nodes: maxclients" in ended.stdout
