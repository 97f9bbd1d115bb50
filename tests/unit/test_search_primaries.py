"""In a cluster with replicas, each primary answers a search itself, and the merged reply is that of one server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from valkey_vector.connection.pipelines import Request
from valkey_vector.engines.search.primaries import Primaries, exchange, has_replicas, merged
from valkey_vector.errors import ServerError

HALF = {b"a:1": b"0-8191", b"b:1": b"8192-16383"}
COUNT = ["FT.SEARCH", "i", "@tags:{v}", "VERBATIM", "LIMIT", "0", "0", "DIALECT", "2", "ALLSHARDS"]
PAGE = ["FT.SEARCH", "i", "@tags:{v}", "SORTBY", "created", "ASC", "LIMIT", "0", "3", "ALLSHARDS"]
KNN = [
    "FT.SEARCH",
    "i",
    "*=>[KNN 2 @v $vector AS distance]",
    "PARAMS",
    "2",
    "vector",
    b"LIMI",
    "LIMIT",
    "0",
    "2",
]


class Cluster:
    """Primaries that answer searches with their own rows, and report their slots."""

    settings = SimpleNamespace(request_timeout=5.0)

    def __init__(self, slots: dict[bytes, bytes] = HALF, epoch: int = 1) -> None:
        self.slots = dict(slots)
        self.epoch = epoch
        self.rows: dict[bytes, list[Any]] = {address: [0] for address in slots}
        self.sent: list[tuple[str, list[Any]]] = []

    def report(self, address: bytes) -> bytes:
        own = b"%s %s@1 myself,master - 0 0 %d connected %s" % (
            b"f" * 40, address, self.epoch, self.slots[address],
        )  # fmt: skip
        return b"0 x:1@1 slave " + b"0" * 40 + b" 0 0 9 connected\n" + own + b"\n"

    def execute_on_primaries(self, *_: Any, retry: bool) -> dict[bytes, Any]:
        assert retry
        return {address: self.report(address) for address in self.slots}

    def pipeline(self, commands: list[Any], *, retry: bool) -> list[Any]:
        assert retry
        return [b"other" for _ in commands]

    def pipeline_on(self, address: str, commands: list[Any]) -> list[Any]:
        self.sent += [(address, list(command)) for command in commands]
        place = address.encode()
        return [
            self.report(place) if command[0] == "CLUSTER" else self.rows[place]
            for command in commands
        ]


def answer_of(cluster: Any, search: Any) -> Any:
    (found,) = Primaries().search(cluster, [search]) or []
    return found


def test_totals_are_added_and_rows_are_merged_in_the_order_of_the_search() -> None:
    cluster: Any = Cluster()
    cluster.rows = {b"a:1": [7], b"b:1": [5]}
    assert Primaries().search(cluster, [COUNT]) == [[12]]
    cluster.rows = {
        b"a:1": [4, {b"k1": {b"created": b"1"}, b"k5": {b"created": b"5"}, b"k6": {b"created": b"6"}}],
        b"b:1": [1, {b"k3": {b"created": b"3"}}],
    }  # fmt: skip
    total, rows = answer_of(cluster, PAGE)
    assert total == 5
    assert list(rows) == [b"k1", b"k3", b"k5"]
    cluster.rows = {
        b"a:1": [2, {b"k1": {b"distance": b"0.5"}, b"k2": None}],
        b"b:1": [2, {b"k3": {b"distance": b"0.25"}, b"k4": {b"distance": b"nan"}}],
    }
    total, rows = answer_of(cluster, KNN)
    assert total == 4
    assert list(rows) == [b"k3", b"k1"]


def test_every_search_is_sent_to_each_primary_and_its_slots_are_reported_after_it() -> None:
    cluster: Any = Cluster()
    Primaries().search(cluster, [COUNT, PAGE])
    for address in ("a:1", "b:1"):
        sent = [command for place, command in cluster.sent if place == address]
        assert sent == [[*COUNT, "LOCALONLY"], [*PAGE, "LOCALONLY"], ["CLUSTER", "NODES"]]


@pytest.mark.parametrize("change", ["epoch", "slots"])
def test_a_search_during_which_slots_changed_is_sent_again(change: str) -> None:
    cluster: Any = Cluster()
    primaries = Primaries()
    assert primaries.search(cluster, [COUNT]) is not None
    if change == "epoch":
        cluster.epoch = 2  # a slot that moved away and came back
    else:
        cluster.slots = {b"a:1": b"0-8190", b"b:1": b"8191-16383"}
    assert primaries.search(cluster, [COUNT]) is None
    assert primaries.search(cluster, [COUNT]) is not None


def test_nothing_is_answered_while_a_slot_is_missing_or_on_two_nodes() -> None:
    for slots in ({**HALF, b"b:1": b"8193-16383"}, {**HALF, b"b:1": b"8191-16383"}):
        cluster: Any = Cluster(slots)
        assert Primaries().search(cluster, [COUNT]) is None
        assert all(command[0] == "CLUSTER" for _, command in cluster.sent)


def test_a_primary_that_the_client_does_not_know_is_asked() -> None:
    """A replica that took over is known to the other nodes first."""
    cluster: Any = Cluster()
    cluster.rows = {b"a:1": [7], b"b:1": [5]}
    known = {b"a:1": cluster.report(b"a:1") + b"n b:1@1 master - 0 0 2 connected 8192-16383\n"}
    cluster.execute_on_primaries = lambda *_, **__: known
    assert Primaries().search(cluster, [COUNT]) == [[12]]


def test_while_a_slot_moves_its_source_is_asked_first_and_no_record_counts_twice() -> None:
    moving = {
        b"a:1": b"0-8191 [9-<-%s]" % (b"e" * 40),
        b"b:1": b"8192-16383 [9->-%s]" % (b"d" * 40),
    }
    cluster: Any = Cluster(moving)
    cluster.rows = {
        b"a:1": [2, {b"k1": {b"created": b"1"}, b"k2": {b"created": b"2"}}],
        b"b:1": [2, {b"k2": {b"created": b"2"}, b"k3": {b"created": b"3"}}],
    }
    assert Primaries().search(cluster, [COUNT]) == [[3]]
    assert [place for place, command in cluster.sent if command[0] == "FT.SEARCH"] == ["b:1", "a:1"]
    listing = cluster.sent[0][1]
    assert listing[:7] == [*COUNT[:6], "1000000"]


def test_an_error_of_one_primary_is_the_reply() -> None:
    cluster: Any = Cluster()
    error = ServerError("Index with name 'i' not found in database 0", "FT.SEARCH")
    cluster.pipeline_on = lambda *_: [error, cluster.report(b"a:1")]
    cluster.slots = {b"a:1": b"0-16383"}
    assert Primaries().search(cluster, [COUNT]) == [error]


def test_other_commands_go_where_they_would_go() -> None:
    cluster: Any = Cluster()
    cluster.rows = {b"a:1": [7], b"b:1": [5]}
    get = ["HMGET", "key", "version"]
    aggregate = ["FT.AGGREGATE", "i", "*"]
    loose = [*COUNT[:-1], "SOMESHARDS"]
    requests = [Request([get]), Request([COUNT, aggregate]), Request(), Request([loose])]
    found = exchange(cluster, Primaries(), requests)
    assert found == [[b"other"], [[12], b"other"], [], [b"other"]]


def test_replicas_are_seen_in_the_slots_of_a_cluster() -> None:
    primary, replica = [b"a", 1, b"f"], [b"b", 1, b"e"]
    assert not has_replicas([[0, 8191, primary], [8192, 16383, primary]])
    assert has_replicas([[0, 8191, primary], [8192, 16383, primary, replica]])
    assert not has_replicas(ServerError("NOPERM", "CLUSTER"))


def test_one_reply_is_itself() -> None:
    reply = [2, {b"k1": {b"created": b"1"}, b"k2": {b"created": b"2"}}]
    assert merged(PAGE, [reply]) == reply


def test_a_node_that_became_a_replica_is_not_searched() -> None:
    """The client still takes it for a primary. It has the records of the node that took over."""
    cluster: Any = Cluster({**HALF, b"c:1": b""})
    cluster.rows = {b"a:1": [7], b"b:1": [5], b"c:1": [5]}
    assert Primaries().search(cluster, [COUNT]) == [[12]]


def test_rows_of_an_attached_index_are_merged_by_its_own_fields() -> None:
    cluster: Any = Cluster()
    cluster.rows = {
        b"a:1": [3, {b"k1": {b"LIMIT": b"1e2"}, b"k2": {b"LIMIT": b"x"}, b"k3": {b"LIMIT": b"7"}}],
        b"b:1": [1, {b"k4": {b"LIMIT": b"50"}}],
    }
    words = ["RETURN", "1", "LIMIT", "SORTBY", "LIMIT"]
    tail = ["LIMIT", "0", "3", "DIALECT", "2"]
    falling: list[Any] = ["FT.SEARCH", "i", "q", *words, "DESC", *tail]
    assert list(answer_of(cluster, falling)[1]) == [b"k1", b"k4", b"k3"]
    rising: list[Any] = ["FT.SEARCH", "i", "q", *words, "ASC", *tail]
    assert list(answer_of(cluster, rising)[1]) == [b"k3", b"k4", b"k1"]
    cluster.rows = {
        b"a:1": [1, {b"k1": {b"vector_distance_": b"0.5", b"distance": b"0"}}],
        b"b:1": [1, {b"k2": {b"vector_distance_": b"0.25", b"distance": b"9"}}],
    }
    knn: list[Any] = ["FT.SEARCH", "i", "(@t:{a})=>[KNN 2 @v $vector AS vector_distance_]", *tail]
    assert list(answer_of(cluster, knn)[1]) == [b"k2", b"k1"]
