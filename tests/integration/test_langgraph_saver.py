"""`ValkeySaver` beyond the conformance suite: graphs, names, round trips, sizes, errors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

import ormsgpack
import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_POS_ARGS, JsonPlusSerializer

from langgraph_savers import conversation, thread, trips
from langgraph_valkey import AllowListSerializer, ValkeySaver
from langgraph_valkey.serialization import dump, load
from round_trips import CommandLog
from valkey_vector import ConnectionLostError, InvalidInputError, ServerError
from valkey_vector.connection import Connection
from valkey_vector.stores import Place

NAMES = [
    "",
    "a",
    "a*",
    "a:b",
    "{a}",
    "}",
    "a}b{",
    "[a-z]?",
    "\0",
    "\1",
    "\0\1",
    "a\0b",
    "日本",
    "a b\n",
    "_",
    "t",
]


@dataclass(frozen=True, slots=True)
class Plan:
    """A class of the application."""

    steps: list[str]


@pytest.fixture
def open_saver(server_url: str, index_name: str) -> Iterator[Callable[..., ValkeySaver]]:
    with Connection.open(server_url) as connection:

        def opened(**settings: Any) -> ValkeySaver:
            return ValkeySaver(connection=connection, **{"namespace": index_name, **settings})

        yield opened


@pytest.fixture
def saver(open_saver: Callable[..., ValkeySaver]) -> ValkeySaver:
    return open_saver()


def checkpoint(values: dict[str, Any] | None = None, version: Any = 1) -> Checkpoint:
    made = empty_checkpoint()
    made["id"] = str(uuid6())
    made["channel_values"] = values or {}
    made["channel_versions"] = dict.fromkeys(values or {}, version)
    return made


def put(
    saver: ValkeySaver, name: str, values: dict[str, Any], version: Any = 1, **config: Any
) -> Any:
    made = checkpoint(values, version)
    config = thread(name, **{"checkpoint_ns": "", **config})  # type: ignore[assignment]
    return saver.put(config, made, {"step": 0}, made["channel_versions"])  # type: ignore[arg-type]


def test_two_turns_return_four_messages(saver: ValkeySaver) -> None:
    graph = conversation(saver)
    for text in ("one", "two"):
        state = graph.invoke({"messages": [HumanMessage(text)]}, thread("c"))
    texts = [message.content for message in state["messages"]]
    assert texts == ["one", "reply 1", "two", "reply 2"]
    found = saver.get_tuple(thread("c"))
    assert found is not None
    assert found.checkpoint["channel_values"]["messages"] == state["messages"]
    assert len(list(graph.get_state_history(thread("c")))) == 6


async def test_two_turns_of_an_async_graph_return_four_messages(saver: ValkeySaver) -> None:
    graph = conversation(saver)
    for text in ("one", "two"):
        state = await graph.ainvoke({"messages": [HumanMessage(text)]}, thread("c"))
    assert [message.content for message in state["messages"]][::2] == ["one", "two"]
    assert len([one async for one in saver.alist(thread("c"), limit=4)]) == 4
    assert len([one async for one in graph.aget_state_history(thread("c"))]) == 6


def test_puts_and_gets_are_one_round_trip(saver: ValkeySaver, commands: CommandLog) -> None:
    assert saver.get_tuple(thread("t")) is None  # connects
    for _ in range(2):  # the first time sends the scripts' source, later ones their digests
        commands.clear()
        config = put(saver, "t", {"a": 1, "b": [2]})
        saver.put_writes(config, [("a", 1), ("b", 2)], "task", "path")
        assert saver.get_tuple(config) is not None
        assert saver.get_tuple(thread("t")) is not None
        assert saver.get_delta_channel_history(config=config, channels=["a"])
        assert len(list(saver.list(thread("t"), limit=1))) == 1
        assert [len(trip) for trip in trips(commands)] == [1] * 6
    assert set(commands.names()) == {"EVALSHA"}


def test_a_value_is_sent_and_stored_once_for_its_version(
    saver: ValkeySaver, commands: CommandLog
) -> None:
    big = "x" * 10_000
    first = checkpoint({"big": big, "small": 0})
    config = saver.put(thread("t"), first, {}, first["channel_versions"])
    commands.clear()
    for step in range(1, 20):
        made = checkpoint({"big": big, "small": step})
        made["channel_versions"] = {"big": 1, "small": step + 1}
        config = saver.put(config, made, {}, {"small": step + 1})
    sent = sum(len(part) for trip in trips(commands) for part in trip[0])
    assert sent < 19 * 1000
    for one in saver.list(thread("t")):
        assert one.checkpoint["channel_values"]["big"] == big
    used = sum(
        saver._core.connection.execute("MEMORY", "USAGE", key, "SAMPLES", "0")
        for key in keys_of(saver, "t")
    )
    assert used < 25_000


def keys_of(saver: ValkeySaver, name: str) -> list[Any]:
    return saver._core._keys(name)


def test_a_get_in_a_long_thread_takes_no_longer(saver: ValkeySaver, commands: CommandLog) -> None:
    values = {f"channel {n}": "x" * 50 for n in range(5)}

    def seconds(name: str) -> float:
        begin = time.perf_counter()
        assert saver.get_tuple(thread(name)) is not None
        return time.perf_counter() - begin

    put(saver, "short", values)
    config = put(saver, "t", values)
    for n in range(2, 2001):
        made = checkpoint(values)
        made["channel_versions"] = {**dict.fromkeys(values, 1), "channel 0": n}
        config = saver.put(config, made, {"step": n}, {"channel 0": n})
    commands.clear()
    # In turns, so that a slow moment of the machine meets both.
    short, long = zip(*[(seconds("short"), seconds("t")) for _ in range(40)], strict=True)
    assert median(long) < 3 * median(short)
    assert [len(trip) for trip in trips(commands)] == [1] * 80
    commands.clear()
    assert [one.metadata["step"] for one in saver.list(thread("t"), limit=3)] == [2000, 1999, 1998]
    assert len(trips(commands)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_the_name_of_a_thread_and_a_namespace(saver: ValkeySaver, name: str) -> None:
    others = [other for other in NAMES if other != name]
    for other in others:
        put(saver, other, {"of": f"thread {other}"})
        put(saver, name, {"of": f"namespace {other}"}, checkpoint_ns=other)
    config = put(saver, name, {"of": "this"}, checkpoint_ns=name)
    saver.put_writes(config, [(name, name)], name, name)
    found = saver.get_tuple(thread(name, checkpoint_ns=name))
    assert found is not None
    assert found.config == config
    assert found.checkpoint["channel_values"] == {"of": "this"}
    assert found.pending_writes == [(name, name, name)]
    listed = list(saver.list(thread(name, checkpoint_ns=name)))
    assert [one.checkpoint["channel_values"]["of"] for one in listed] == ["this"]
    assert len(list(saver.list(thread(name)))) == len(NAMES)
    saver.delete_thread(name)
    assert list(saver.list(thread(name))) == []
    for other in others:
        found = saver.get_tuple(thread(other))
        assert found is not None
        assert found.checkpoint["channel_values"]["of"] == f"thread {other}"


def test_savers_of_different_namespaces_share_nothing(
    open_saver: Callable[..., ValkeySaver],
) -> None:
    one, other = open_saver(), open_saver(namespace=open_saver()._core._keyspace.namespace + "*")
    put(one, "t", {"a": 1})
    assert other.get_tuple(thread("t")) is None
    assert list(other.list(None)) == []
    other.delete_thread("t")
    assert one.get_tuple(thread("t")) is not None


def test_a_number_is_the_thread_of_its_text(saver: ValkeySaver) -> None:
    config: Any = {"configurable": {"thread_id": 7, "checkpoint_ns": ""}}
    assert put(saver, 7, {"a": 1})["configurable"]["thread_id"] == 7  # type: ignore[arg-type]
    assert saver.get_tuple(config) is not None
    assert saver.get_tuple(thread("7")) is not None


def test_a_list_of_all_namespaces_is_in_order_over_pages(saver: ValkeySaver) -> None:
    made = []
    for n in range(250):
        config = put(saver, "t", {"n": n}, checkpoint_ns=f"ns{n % 7}")
        made.append((config["configurable"]["checkpoint_ns"], n))
    listed = list(saver.list(thread("t")))
    found = [
        (one.config["configurable"]["checkpoint_ns"], one.checkpoint["channel_values"]["n"])
        for one in listed
    ]
    assert found == made[::-1]
    before = listed[99].config
    assert len(list(saver.list(thread("t"), before=before))) == 150
    assert list(saver.list(thread("t"), before=before, limit=1)) == [listed[100]]
    assert len(list(saver.list(thread("t", checkpoint_ns="ns3"), before=before))) in {21, 22}


def test_a_list_of_all_threads_is_in_order(saver: ValkeySaver) -> None:
    made = [(put(saver, f"t{n % 5}", {"n": n}), n)[1] for n in range(30)]
    found = [one.checkpoint["channel_values"]["n"] for one in saver.list(None)]
    assert found == made[::-1]
    assert [one.checkpoint["channel_values"]["n"] for one in saver.list(None, limit=3)] == [
        29,
        28,
        27,
    ]
    assert list(saver.list(None, filter={"step": 1})) == []
    assert len(list(saver.list(None, filter={"step": 0}, limit=7))) == 7


def test_a_filtered_list_reads_only_what_it_returns(
    saver: ValkeySaver, commands: CommandLog
) -> None:
    for n in range(300):
        made = checkpoint({"n": n})
        saver.put(thread("t"), made, {"step": n % 100}, {"n": 1})
    commands.clear()
    found = list(saver.list(thread("t", checkpoint_ns=""), filter={"step": 42}))
    assert [one.checkpoint["channel_values"]["n"] for one in found] == [242, 142, 42]
    kinds = [trip[0][5] for trip in trips(commands)]
    assert kinds == [b"metadata in", b"these"]
    assert len(trips(commands)[1][0]) == 9 + 3


def test_large_checkpoints_are_listed_in_pages_of_a_megabyte(
    saver: ValkeySaver, commands: CommandLog
) -> None:
    for n in range(12):
        put(saver, "t", {"big": os.urandom(300_000)}, version=n)
    commands.clear()
    assert len(list(saver.list(thread("t", checkpoint_ns="")))) == 12
    assert len(trips(commands)) == 4
    assert len(list(saver.list(thread("t"), filter={"step": 0}))) == 12


def test_versions_that_collide_never_mix_values(saver: ValkeySaver) -> None:
    configs = [put(saver, "t", {"x": n}, version=1) for n in range(5)]
    child = checkpoint({"x": 3, "y": 1})
    config = saver.put(configs[3], child, {}, {"y": 1})
    found = [saver.get_tuple(one) for one in [*configs, config]]
    assert [one and one.checkpoint["channel_values"]["x"] for one in found] == [0, 1, 2, 3, 4, 3]
    saver.prune(["t"])
    (last,) = saver.list(thread("t"))
    assert last.checkpoint["channel_values"] == {"x": 3, "y": 1}


def test_a_thread_that_is_removed_during_a_run_is_stored_completely_again(
    saver: ValkeySaver, commands: CommandLog
) -> None:
    config = put(saver, "t", {"old": [1, 2], "new": 1})
    saver.delete_thread("t")
    made = checkpoint({"old": [1, 2], "new": 2})
    made["channel_versions"] = {"old": 1, "new": 2}
    commands.clear()
    saver.put(config, made, {}, {"new": 2})
    assert len(trips(commands)) == 2
    found = saver.get_tuple(thread("t"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"old": [1, 2], "new": 2}


def test_values_without_versions_are_kept(saver: ValkeySaver) -> None:
    made = checkpoint({"a": 1})
    made["channel_versions"] = {}
    saver.put(thread("t"), made, {}, {})
    found = saver.get_tuple(thread("t"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"a": 1}
    assert found.checkpoint["channel_versions"] == {}


def test_versions_keep_their_type(saver: ValkeySaver) -> None:
    made = checkpoint({"a": 1, "b": 1, "c": 1, "d": 1})
    made["channel_versions"] = {"a": 1, "b": "1", "c": 1.0, "d": "x:\0y"}
    saver.put(thread("t"), made, {}, made["channel_versions"])
    found = saver.get_tuple(thread("t"))
    assert found is not None
    versions = found.checkpoint["channel_versions"]
    assert list(map(repr, versions.values())) == ["1", "'1'", "1.0", "'x:\\x00y'"]


def test_the_next_version_is_higher_and_unlike_any_other(saver: ValkeySaver) -> None:
    version = saver.get_next_version(None)
    assert saver.get_next_version(version) > version
    assert saver.get_next_version(version) != saver.get_next_version(version)
    memory = InMemorySaver().get_next_version(None, None)
    assert saver.get_next_version(memory) > memory
    assert saver.get_next_version(9).startswith("0000000000000010.")


def test_a_value_that_cannot_be_stored_is_refused_before_anything_is_written(
    saver: ValkeySaver, commands: CommandLog
) -> None:
    with pytest.raises(InvalidInputError, match="value of channel 'bad' cannot be stored"):
        put(saver, "t", {"good": 1, "bad": lambda: None})
    with pytest.raises(InvalidInputError, match="write to channel 'bad' cannot be stored"):
        saver.put_writes(thread("t", checkpoint_id="1"), [("good", 1), ("bad", object())], "task")
    with pytest.raises(InvalidInputError, match="no 'checkpoint_id'"):
        saver.put_writes(thread("t"), [("good", 1)], "task")
    with pytest.raises(InvalidInputError, match="no 'thread_id'"):
        saver.get_tuple({"configurable": {}})
    with pytest.raises(InvalidInputError, match="strategy"):
        saver.prune(["t"], strategy="some")
    with pytest.raises(InvalidInputError, match="surrogate"):
        put(saver, "\ud800", {})
    assert commands.round_trips == []
    assert saver.get_tuple(thread("t")) is None


def test_a_class_of_the_application_is_refused_unless_it_is_allowed(
    open_saver: Callable[..., ValkeySaver],
) -> None:
    plan = Plan(["a"])
    with pytest.raises(InvalidInputError, match=r"allow=\[Plan\]"):
        put(open_saver(), "t", {"plan": [{"deep": plan}]})
    allowed = open_saver(serde=AllowListSerializer([Plan]))
    put(allowed, "t", {"plan": plan})
    clone = open_saver().with_allowlist([(Plan.__module__, "Plan")])
    for one in (allowed, clone):
        found = one.get_tuple(thread("t"))
        assert found is not None
        assert found.checkpoint["channel_values"]["plan"] == plan
    with pytest.raises(ServerError, match="Plan must not be created from stored data"):
        open_saver().get_tuple(thread("t"))


def test_stored_bytes_that_name_a_function_do_not_call_it(
    open_saver: Callable[..., ValkeySaver], capfd: pytest.CaptureFixture[str]
) -> None:
    harmful = ormsgpack.packb(
        ormsgpack.Ext(EXT_CONSTRUCTOR_POS_ARGS, ormsgpack.packb(("os", "system", ("echo called",))))
    )

    class Attacker(JsonPlusSerializer):
        def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
            return ("msgpack", harmful) if obj == "attack" else super().dumps_typed(obj)

    put(open_saver(serde=Attacker()), "t", {"a": "attack"})
    with pytest.raises(ServerError, match=r"os\.system must not be created"):
        open_saver().get_tuple(thread("t"))
    assert "called" not in capfd.readouterr().out
    open_saver(serde=Attacker()).delete_thread("t")
    put(open_saver(serde=Pickling()), "t", {"a": 1})
    with pytest.raises(ServerError, match="pickle"):
        open_saver().get_tuple(thread("t"))


class Moment(datetime):
    """A date of the application."""


@pytest.mark.parametrize("kind", ["json", "pickle", "unknown"])
def test_kinds_that_are_never_written_are_never_read(kind: str) -> None:
    with pytest.raises(NotImplementedError, match=kind):
        AllowListSerializer().loads_typed((kind, b"{}"))


def test_a_date_of_another_class_is_refused_when_it_is_written() -> None:
    serde = AllowListSerializer()
    assert serde.loads_typed(serde.dumps_typed([datetime(2024, 1, 1)])) == [datetime(2024, 1, 1)]  # noqa: DTZ001
    with pytest.raises(InvalidInputError, match="Moment"):
        serde.dumps_typed([Moment(2024, 1, 1)])


class Pickling(JsonPlusSerializer):
    """Says that its bytes are a pickle."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        return "pickle", super().dumps_typed(obj)[1]


@pytest.mark.parametrize(
    "value", ["x" * 511, "x" * 5000, os.urandom(5000), b"\1" * 3, [{"a": "b" * 600}], None]
)
def test_values_are_compressed_where_that_makes_them_smaller(value: Any) -> None:
    data = dump(AllowListSerializer(), value, "it")
    assert load(AllowListSerializer(), data, "it") == value
    assert len(data) < 6000
    assert len(data) < 200 or isinstance(value, bytes) or len(value) < 512


def test_broken_bytes_are_an_error() -> None:
    for data in (b"", b"\1", b"\1broken", b"msgpack\0\xc1", b"msgpack"):
        with pytest.raises(ServerError, match="it cannot be read"):
            load(AllowListSerializer(), data, "it")


def test_another_serializer_is_used_for_everything(open_saver: Callable[..., ValkeySaver]) -> None:
    class Reversing:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "reversed", plaintext[::-1]

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            assert ciphername == "reversed"
            return ciphertext[::-1]

    encrypted = open_saver(serde=EncryptedSerializer(Reversing(), AllowListSerializer()))
    config = put(encrypted, "t", {"a": "secret value"})
    encrypted.put_writes(config, [("a", "secret write")], "task")
    stored = b"".join(
        part
        for part in encrypted._core.connection.execute("HGETALL", keys_of(encrypted, "t")[0])
        if isinstance(part, bytes)
    )
    assert b"secret" not in stored
    found = encrypted.get_tuple(config)
    assert found is not None
    assert found.checkpoint["channel_values"] == {"a": "secret value"}


def test_both_keys_of_a_thread_expire_together(open_saver: Callable[..., ValkeySaver]) -> None:
    saver = open_saver(ttl=60)
    config = put(saver, "t", {"a": 1})
    saver.put_writes(config, [("a", 1)], "task")
    connection = saver._core.connection

    def remaining() -> list[int]:
        return [connection.execute("PTTL", key) for key in keys_of(saver, "t")]

    assert all(59_000 < left <= 60_000 for left in remaining())
    for key in keys_of(saver, "t"):
        connection.execute("PEXPIRE", key, "1000")
    saver.get_tuple(config)
    assert all(left <= 1000 for left in remaining())
    open_saver(ttl=60, refresh_on_read=True).get_tuple(config)
    assert all(left > 59_000 for left in remaining())
    put(open_saver(), "t", {"a": 2})
    assert remaining() == [-1, -1]
    quick = open_saver(ttl=0.05)
    put(quick, "t", {"a": 3})
    time.sleep(0.1)
    assert quick.get_tuple(thread("t")) is None
    assert connection.execute("EXISTS", *keys_of(saver, "t")) == 0


def test_copy_refuses_a_thread_that_exists(saver: ValkeySaver) -> None:
    put(saver, "a", {"of": "a"})
    put(saver, "b", {"of": "b"})
    with pytest.raises(InvalidInputError, match="'b' exists already"):
        saver.copy_thread("a", "b")
    saver.copy_thread("a", "c")
    saver.delete_thread("a")
    found = saver.get_tuple(thread("c"))
    assert found is not None
    assert found.checkpoint["channel_values"] == {"of": "a"}
    assert found.config["configurable"]["thread_id"] == "c"


def test_pruned_values_are_removed_with_their_checkpoints(saver: ValkeySaver) -> None:
    config = thread("t", checkpoint_ns="")
    for n in range(20):
        made = checkpoint({"n": "x" * 1000})
        made["channel_versions"] = {"n": n}
        config = saver.put(config, made, {"run_id": f"run {n}"}, {"n": n})
        saver.put_writes(config, [("n", n)], "task")
    saver.delete_for_runs(["run 3", "run 4", "no such run"])
    assert len(list(saver.list(thread("t")))) == 18
    saver.prune(["t", "no such thread"])
    data, _ = keys_of(saver, "t")
    # The record, one value, the task, its writes and the run.
    assert saver._core.connection.execute("HLEN", data) == 5
    saver.delete_for_runs(["run 19"])
    assert saver._core.connection.execute("EXISTS", *keys_of(saver, "t")) == 0


def test_a_checkpoint_put_as_its_own_parent_stops_no_server(saver: ValkeySaver) -> None:
    config = put(saver, "t", {"a": 1})
    made = checkpoint({"b": 1})
    made["id"] = config["configurable"]["checkpoint_id"]
    made["channel_versions"] = {"b": 1, "d": 1}
    config = saver.put(config, made, {"counters_since_delta_snapshot": {"d": (1, 1)}}, {"b": 1})
    assert saver.get_delta_channel_history(config=config, channels=["d"]) == {"d": {"writes": []}}
    saver.prune(["t"])
    assert len(list(saver.list(thread("t")))) == 1


def test_an_outage_raises_and_reads_as_no_thread_never(saver: ValkeySaver) -> None:
    dead = ValkeySaver("valkey://127.0.0.1:1")
    for call in (
        lambda: dead.get_tuple(thread("t")),
        lambda: list(dead.list(thread("t"))),
        lambda: list(dead.list(None)),
        lambda: put(dead, "t", {}),
        lambda: dead.put_writes(thread("t", checkpoint_id="1"), [("a", 1)], "task"),
        lambda: dead.delete_thread("t"),
        lambda: conversation(dead).invoke({"messages": ["hi"]}, thread("t")),
    ):
        with pytest.raises(ConnectionLostError):
            call()


def test_a_broken_record_is_an_error_not_an_empty_value(saver: ValkeySaver) -> None:
    config = put(saver, "t", {"a": 1})
    data, _ = keys_of(saver, "t")
    for field in saver._core.connection.execute("HKEYS", data):
        if field.startswith(b"b"):
            saver._core.connection.execute("HDEL", data, field)
    with pytest.raises(ServerError, match="value of channel 'a'"):
        saver.get_tuple(config)


def test_a_private_server_needs_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VALKEY_URL", raising=False)
    with ValkeySaver() as saver:
        put(saver, "t", {"a": 1})
        assert saver.get_tuple(thread("t")) is not None


@pytest.mark.parametrize("text", NAMES)
def test_a_position_is_decoded_from_its_bytes(text: str) -> None:
    place = Place(text, f"1{text}")
    assert Place.decoded(place.encoded) == place
