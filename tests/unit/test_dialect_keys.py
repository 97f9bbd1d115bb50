"""The guard refuses writes to indexed keys from scripts and transactions, and partial searches of a cluster."""

from __future__ import annotations

import shlex

import pytest

from dialect_guard import DialectError, DialectGuard
from guarded_traffic import GuardedTraffic
from round_trips import RoundTrip

CREATE = shlex.split("FT.CREATE idx ON HASH PREFIX 2 d: e: SCHEMA t TAG")
SEARCH = shlex.split("FT.SEARCH idx @t:{a} LIMIT 0 10")


@pytest.fixture
def guard() -> DialectGuard:
    guard = DialectGuard()
    guard.check(CREATE)
    guard.learn(CREATE)
    return guard


@pytest.mark.parametrize(
    "command",
    [
        'EVAL \'redis.call("HSET", KEYS[1], "a", 1)\' 1 d:1',
        "EVAL 'return 1' 2 other e:1",
        "eval 'redis.call(\"DEL\", ARGV[1])' 0 d:1",
        "EVALSHA ab12 1 d:1",
        "FCALL remove 1 e:2",
        "EVAL '#!lua flags=allow-stale\nreturn 1' 1 d:1",
    ],
)
def test_rejects_scripts_that_receive_indexed_keys(guard: DialectGuard, command: str) -> None:
    with pytest.raises(DialectError, match="indexed key"):
        guard.check(shlex.split(command))


@pytest.mark.parametrize(
    "command",
    [
        "EVAL 'return 1' 1 {d}:locks",
        "EVAL 'return 1' 1 other d",
        "EVAL_RO 'return 1' 1 d:1",
        "FCALL_RO read 1 d:1",
        "EVAL '#!lua flags=no-writes\nreturn 1' 1 d:1",
        "HSET d:1 t a",
        "UNLINK d:1 d:2",
        "HSETEX d:1 FNX FIELDS 1 t a",
        "PEXPIREAT d:1 1",
    ],
)
def test_accepts_plain_commands_and_scripts_on_other_keys(
    guard: DialectGuard, command: str
) -> None:
    guard.check(shlex.split(command))


@pytest.mark.parametrize(
    "command", ["HSET d:1 t a", "DEL other d:1", "PEXPIREAT d:1 1", "RENAME other d:1"]
)
def test_rejects_writes_to_indexed_keys_in_a_transaction(guard: DialectGuard, command: str) -> None:
    with pytest.raises(DialectError, match="in a transaction"):
        guard.check(shlex.split(command), in_transaction=True)


@pytest.mark.parametrize("command", ["HGET d:1 t", "HSET other t d:1", "DEL other", "EXISTS d:1"])
def test_accepts_other_commands_in_a_transaction(guard: DialectGuard, command: str) -> None:
    guard.check(shlex.split(command), in_transaction=True)


def test_keys_are_indexed_until_the_index_is_dropped(guard: DialectGuard) -> None:
    script = shlex.split("EVAL 'return 1' 1 d:1")
    guard.learn(["FT.DROPINDEX", "idx"])
    guard.check(script)
    guard.learn(CREATE)
    with pytest.raises(DialectError):
        guard.check(script)


def test_an_index_without_a_prefix_covers_every_key() -> None:
    guard = DialectGuard()
    guard.learn(shlex.split("FT.CREATE all SCHEMA t TAG"))
    with pytest.raises(DialectError):
        guard.check(shlex.split("EVAL 'return 1' 1 anything"))
    guard.check(shlex.split("EVAL 'return 1' 0 anything"))


def test_a_search_of_a_cluster_must_require_all_shards(guard: DialectGuard) -> None:
    guard.check(SEARCH)
    guard.complete = True
    for words in ("", "ALLSHARDS TIMEOUT 9", "CONSISTENT TIMEOUT 9", "SOMESHARDS INCONSISTENT"):
        with pytest.raises(DialectError, match="part of the answer"):
            guard.check([*SEARCH, *words.split()])
    with pytest.raises(DialectError, match="TIMEOUT"):
        guard.check([*SEARCH, "ALLSHARDS", "CONSISTENT"])
    guard.check([*SEARCH, "ALLSHARDS", "CONSISTENT", "TIMEOUT", "9000"])
    guard.check([*SEARCH, "LOCALONLY"])


@pytest.mark.parametrize(("number", "rejected"), [(66049, True), (21010, False), (65538, False)])
def test_the_module_of_a_server_decides_what_its_cluster_needs(number: int, rejected: bool) -> None:
    traffic = GuardedTraffic()
    hello = RoundTrip(server="a:1/0", cluster=False, transaction=False, commands=[[b"HELLO"]])
    modules = [[b"name", b"search", b"ver", number]]
    traffic.sending(hello)
    traffic.received(hello, [[b"server", b"valkey", b"modules", modules]])
    words = [word.encode() for word in SEARCH]
    one = RoundTrip(server="a:1/0", cluster=False, transaction=False, commands=[words])
    three = RoundTrip(server="b:2,a:1/0", cluster=True, transaction=False, commands=[words])
    traffic.sending(one)
    if rejected:
        with pytest.raises(DialectError, match="ALLSHARDS"):
            traffic.sending(three)
    else:
        traffic.sending(three)
