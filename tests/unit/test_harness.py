"""The test harness: servers that die and restart, and the recorder of round trips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from glide_sync import Batch, GlideClient, GlideClientConfiguration, NodeAddress, RequestError

from clusters import TestCluster
from dialect_guard import DialectError
from guarded_traffic import GuardedTraffic
from round_trips import CommandLog, RoundTrip
from servers import Server, ServerReplyError, ServerUnavailableError, start_server
from valkey_vector.connection import Connection


@contextmanager
def client_of(url: str) -> Iterator[GlideClient]:
    host, port = url.removeprefix("valkey://").split(":")
    client = GlideClient.create(GlideClientConfiguration([NodeAddress(host, int(port))]))
    try:
        yield client
    finally:
        client.close()


def test_a_killed_server_restarts_on_its_port_with_its_persisted_data() -> None:
    with start_server(extra=["--appendonly", "yes", "--appendfsync", "always"]) as server:
        address, first = server.url, server.pid
        server.command("SET", "key", "value")
        server.kill()
        with pytest.raises(OSError, match=r"\w"):
            server.command("PING")
        server.restart()
        assert (server.url, server.command("GET", "key")) == (address, b"value")
        assert server.pid != first
    assert not server.directory.exists()


def test_a_server_without_persistence_restarts_empty() -> None:
    with start_server() as server:
        server.command("SET", "key", "value")
        server.terminate()
        server.restart()
        assert server.command("DBSIZE") == 0


@pytest.mark.parametrize("search", [False, True])
def test_a_cluster_of_one_serves_every_slot(search: bool) -> None:
    with start_server(cluster=True, search=search) as server:
        assert server.command("SET", "{any}key", "value") == b"OK"
        if search:
            assert server.command("FT._LIST") == []
        else:
            with pytest.raises(ServerReplyError, match="unknown command"):
                server.command("FT._LIST")


def test_a_cluster_of_three_serves_every_slot_until_a_node_dies() -> None:
    with TestCluster(3) as cluster, Connection.open(cluster.url) as connection:
        pairs = [["SET", f"key {number}", str(number)] for number in range(30)]
        assert connection.pipeline(pairs) == ["OK"] * 30
        stored = [node.command("DBSIZE") for node in cluster.nodes]
        assert all(stored)
        cluster.nodes[1].kill()
        with pytest.raises(OSError, match=r"\w"):
            cluster.nodes[1].command("PING")
        cluster.nodes[1].restart()
        assert cluster.nodes[1].command("DBSIZE") == 0


def test_tls_raises_an_error_that_names_the_cause() -> None:
    with pytest.raises(ServerUnavailableError, match="without TLS"):
        start_server(tls=True)


def test_commands_are_recorded_by_round_trip(
    server_url: str, index_name: str, commands: CommandLog
) -> None:
    with client_of(server_url) as client:
        batch = Batch(is_atomic=False)
        batch.set(f"{index_name}:1", "a")
        batch.custom_command(["GET", f"{index_name}:1"])
        assert client.exec(batch, raise_on_error=True) == ["OK", b"a"]
        client.custom_command(["PING"])
    key = f"{index_name}:1".encode()
    assert commands.round_trips == [[[b"SET", key, b"a"], [b"GET", key]], [[b"PING"]]]
    assert commands.names() == ["SET", "GET", "PING"]
    commands.clear()
    assert commands.round_trips == []


def test_the_guard_speaks_before_the_server_does() -> None:
    traffic = GuardedTraffic()
    trip = RoundTrip(
        server="one", cluster=False, transaction=False, commands=[[b"FT.SEARCH", b"i", b"*"]]
    )
    with pytest.raises(DialectError):
        traffic.sending(trip)
    assert len(traffic.violations) == 1


def test_a_server_without_a_search_module_has_no_index_of_an_earlier_one_with_its_port() -> None:
    traffic = GuardedTraffic()

    def sent(command: Sequence[bytes], reply: object) -> None:
        trip = RoundTrip(server="h:1/0", cluster=False, transaction=False, commands=[[*command]])
        traffic.sending(trip)
        traffic.received(trip, [reply])

    sent([b"FT.CREATE", b"i", b"PREFIX", b"1", b"i:", b"SCHEMA", b"tags", b"TAG"], b"OK")
    script = [b"EVAL", b"return 1", b"1", b"i:1"]
    with pytest.raises(DialectError, match="indexed key"):
        sent(script, 1)
    sent([b"HELLO", b"3"], {b"modules": []})
    sent(script, 1)


@pytest.mark.wrong_dialect
def test_a_marked_test_may_send_what_it_likes(search_server: Server) -> None:
    with (
        client_of(search_server.url) as client,
        pytest.raises(RequestError, match=r"(?i)no such index|not found"),
    ):
        client.custom_command(["FT.SEARCH", "missing", "*"])
