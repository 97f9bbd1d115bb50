"""A partial read: whole if every shard answers, otherwise merged from those that do, and never mistaken for whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from valkey_vector.connection.pipelines import Request
from valkey_vector.connection.time_limits import time_limit
from valkey_vector.engines.read_scope import ReadScope, reading
from valkey_vector.engines.search import shards
from valkey_vector.engines.search.partial import PartialReads
from valkey_vector.engines.search.shards import Shard, Shards
from valkey_vector.errors import ConnectionLostError, RequestTimeoutError, ServerError
from valkey_vector.storage.rows import StaleIndexError

A, B, C = "127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003"
SLOTS = {A: "0-5460", B: "5461-10922", C: "10923-16383"}
COUNT = ["FT.SEARCH", "i", "q", "LIMIT", "0", "0"]
DEAD = ConnectionLostError("connection refused")
HUNG = RequestTimeoutError("timed out")


class Cluster:
    """Three nodes; those in `down` fail with their error, and `replies` holds the others' replies by command."""

    def __init__(self) -> None:
        self.settings = SimpleNamespace(request_timeout=5.0, addresses=())
        self.down: dict[str, Exception] = {}
        self.replies: dict[str, dict[str, Any]] = {each: {} for each in SLOTS}
        self.primaries = dict(SLOTS)
        self.asked: list[tuple[str, str]] = []

    def pipeline_on(self, address: str, commands: Sequence[Sequence[Any]]) -> list[Any]:
        self.asked += [(address, command[0]) for command in commands]
        if address in self.down:
            raise self.down[address]
        return [self._reply(address, command) for command in commands]

    def _reply(self, address: str, command: Sequence[Any]) -> Any:
        if command[0] == "CLUSTER":
            lines = [
                f"{'a' * 40} {each}@1 master - 0 0 1 connected {ranges}"
                for each, ranges in self.primaries.items()
            ]
            return "\n".join(lines).encode()
        return self.replies[address].get(command[0], [1])


class Engine:
    """Sends requests to the whole cluster: returns `answer`, or raises it."""

    def __init__(self) -> None:
        self.support: Any = SimpleNamespace(
            primaries=[A, B, C],
            knows_time=True,
            on_one_node=lambda command: [*command, "LOCALONLY"],
        )
        self.answer: Any = [[[3]]]
        self.attempts = 0

    def attempt(self, requests: Sequence[Request]) -> Any:
        self.attempts += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def make_ready(self) -> None:
        if isinstance(self.answer, Exception):
            raise self.answer


class Reads:
    """Partial reads of a fake cluster."""

    def __init__(self) -> None:
        self.cluster = cast("Any", Cluster())
        self.engine = Engine()
        self.reads = PartialReads(self.engine, self.cluster)

    def send(self, *commands: Sequence[Any]) -> tuple[list[Any], ReadScope]:
        with reading("partial") as scope:
            (replies,) = self.reads.send([Request(list(commands))])
            return replies, scope

    def lose(self, *addresses: str, error: Exception = DEAD) -> None:
        self.cluster.down = dict.fromkeys(addresses, error)
        self.engine.answer = error


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    monkeypatch.setattr(shards, "_MEMORY_SECONDS", 0.2)
    return Reads()


def test_the_slot_of_a_key_is_that_of_its_hash_tag() -> None:
    whole = Shard(A, ((0, 16_383),))
    assert whole.serves("any")
    assert Shard(A, ((15_495, 15_495),)).serves("a")
    assert Shard(A, ((15_495, 15_495),)).serves(b"x{a}y")
    assert Shard(A, ((3_300, 3_300),)).serves("b")
    assert not Shard(A, ((0, 0),)).serves("{}a")


def test_a_whole_answer_is_not_partial_and_asks_no_shard(reads: Reads) -> None:
    replies, scope = reads.send(COUNT)
    assert replies == [[3]]
    assert scope.partial is False
    assert reads.cluster.asked == []


@pytest.mark.parametrize("error", [DEAD, HUNG])
def test_the_others_answer_without_a_shard_that_does_not(reads: Reads, error: Exception) -> None:
    reads.lose(B, error=error)
    replies, scope = reads.send(COUNT)
    assert replies == [[2]]
    assert scope.partial is True
    assert (B, "FT.SEARCH") not in reads.cluster.asked


def test_a_lost_shard_is_remembered_and_then_tried_again(reads: Reads) -> None:
    reads.lose(B)
    reads.send(COUNT)
    attempts, asked = reads.engine.attempts, len(reads.cluster.asked)
    assert reads.send(COUNT)[0] == [[2]]
    assert reads.engine.attempts == attempts
    assert all(address != B for address, _ in reads.cluster.asked[asked:])
    reads.cluster.down.clear()
    reads.engine.answer = [[[3]]]
    time.sleep(0.25)
    replies, scope = reads.send(COUNT)
    assert (replies, scope.partial) == ([[3]], False)


def test_a_shard_that_is_still_lost_costs_a_question_and_no_attempt(reads: Reads) -> None:
    reads.lose(B)
    reads.send(COUNT)
    attempts = reads.engine.attempts
    time.sleep(0.25)
    assert reads.send(COUNT)[0] == [[2]]
    assert reads.engine.attempts == attempts


def test_a_slow_search_of_living_shards_is_tried_twice_and_then_labeled(reads: Reads) -> None:
    reads.engine.answer = HUNG
    replies, scope = reads.send(COUNT)
    assert reads.engine.attempts == 2
    assert replies == [[3]]
    assert scope.partial is True


def test_a_shard_that_fails_in_the_search_itself_is_left_out(reads: Reads) -> None:
    reads.engine.answer = [[ServerError("OOM command not allowed", "FT.SEARCH")]]
    reads.cluster.replies[C]["FT.SEARCH"] = ServerError("OOM command not allowed", "FT.SEARCH")
    replies, scope = reads.send(COUNT)
    assert (replies, scope.partial) == ([[2]], True)


def test_an_error_of_every_shard_is_the_answer(reads: Reads) -> None:
    wrong = ServerError("Invalid query string syntax", "FT.SEARCH")
    reads.engine.answer = [[wrong]]
    for address in SLOTS:
        reads.cluster.replies[address]["FT.SEARCH"] = wrong
    assert reads.send(COUNT)[0] == [wrong]


def test_the_nearest_of_all_shards_are_merged_and_cut(reads: Reads) -> None:
    reads.lose(B)
    reads.cluster.replies[A]["FT.SEARCH"] = [
        2,
        {b"k1": {b"distance": b"0.1"}, b"k3": {b"distance": b"0.3"}},
    ]
    reads.cluster.replies[C]["FT.SEARCH"] = [
        2,
        {b"k2": {b"distance": b"0.2"}, b"k4": {b"distance": b"nan"}},
    ]
    knn = ["FT.SEARCH", "i", "*=>[KNN 3 @v $q AS distance]", b"LIMIT", b"0", b"3"]
    ((total, found),) = reads.send(knn)[0]
    assert (total, list(found)) == (4, [b"k1", b"k2", b"k3"])


def test_the_oldest_of_all_shards_are_merged_and_cut(reads: Reads) -> None:
    reads.lose(A)
    reads.cluster.replies[B]["FT.SEARCH"] = [9, {b"k2": {b"created": b"20"}}]
    reads.cluster.replies[C]["FT.SEARCH"] = [1, {b"k1": {b"created": b"3"}, b"gone": None}]
    page = ["FT.SEARCH", "i", "q", "SORTBY", "created", "ASC", "LIMIT", "0", "2"]
    ((total, found),) = reads.send(page)[0]
    assert (total, list(found)) == (10, [b"k1", b"k2"])


def test_a_record_of_a_lost_shard_is_missing_and_another_key_is_an_error(reads: Reads) -> None:
    lost = next(each for each in SLOTS if Shard(each, (_range(each),)).serves("a"))
    reads.lose(lost)
    for address in SLOTS:
        reads.cluster.replies[address]["HMGET"] = [b"1", b"2"]
    replies, _ = reads.send(["HMGET", "a", "x", "y"], ["HMGET", "b", "x", "y"], ["HGET", "a", "x"])
    assert replies[:2] == [[None, None], [b"1", b"2"]]
    assert isinstance(replies[2], ConnectionLostError)
    assert "'a'" in str(replies[2])


def test_reads_by_key_that_the_cluster_refuses_name_the_setting(reads: Reads) -> None:
    reads.lose(B)
    for address in SLOTS:
        reads.cluster.replies[address]["HMGET"] = ConnectionLostError(
            "CLUSTERDOWN The cluster is down", "HMGET"
        )
    with pytest.raises(ConnectionLostError, match="cluster-allow-reads-when-down"):
        reads.send(["HMGET", "b", "x"], ["HMGET", "foo", "x"])


def test_an_index_that_no_shard_knows_was_dropped(reads: Reads) -> None:
    reads.lose(B)
    for address in SLOTS:
        reads.cluster.replies[address]["FT.SEARCH"] = ServerError(
            "Index with name 'i' not found in database 0", "FT.SEARCH"
        )
    with pytest.raises(StaleIndexError):
        reads.send(COUNT)


def test_without_any_shard_the_failure_is_raised(reads: Reads) -> None:
    reads.lose(A, B, C)
    with pytest.raises(ConnectionLostError, match="refused"):
        reads.send(COUNT)
    with pytest.raises(ConnectionLostError, match="no primary"):
        reads.send(COUNT)


def test_the_node_that_took_over_is_asked(reads: Reads) -> None:
    reads.lose(B)
    promoted = "127.0.0.1:7009"
    reads.cluster.primaries = {A: SLOTS[A], promoted: SLOTS[B], C: SLOTS[C]}
    reads.cluster.replies[promoted] = {}
    replies, scope = reads.send(COUNT)
    assert replies == [[3]]
    assert scope.partial is True  # the search of the whole cluster failed, so nothing was verified
    reads.engine.answer = [[[3]]]
    assert reads.send(COUNT)[1].partial is False


def test_a_lost_shard_neither_blocks_readiness_nor_the_time(reads: Reads) -> None:
    reads.lose(B, error=HUNG)
    begun = time.monotonic()
    with reading("partial"), time_limit(1.0):
        reads.reads.await_ready()
        reads.reads.send([Request([COUNT])])
    assert time.monotonic() - begun < 1.0


def test_the_shards_belong_to_a_connection(reads: Reads) -> None:
    assert Shards.of(reads.cluster) is Shards.of(reads.cluster)
    assert Shards.of(reads.cluster) is not Shards.of(Reads().cluster)


def _range(address: str) -> tuple[int, int]:
    first, _, last = SLOTS[address].partition("-")
    return int(first), int(last)


def test_documents_of_other_programs_on_a_lost_shard_are_missing(reads: Reads) -> None:
    lost = next(each for each in SLOTS if Shard(each, (_range(each),)).serves("a"))
    reads.lose(lost)
    for address in SLOTS:
        reads.cluster.replies[address] |= {
            "HGETALL": {b"x": b"1"},
            "JSON.GET": b"[1]",
            "EXISTS": 1,
        }
    absent, _ = reads.send(["HGETALL", "a"], ["JSON.GET", "a", "$"], ["EXISTS", "a"])
    assert absent == [{}, None, 0]
    present, _ = reads.send(["HGETALL", "b"], ["JSON.GET", "b", "$"], ["EXISTS", "b"])
    assert present == [{b"x": b"1"}, b"[1]", 1]
