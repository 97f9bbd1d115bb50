"""The chat history: whole messages, in order, apart from every other session's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables.history import RunnableWithMessageHistory

from langchain_valkey import ValkeyChatMessageHistory
from round_trips import CommandLog
from valkey_vector import ConfigurationError, Connection, InvalidInputError
from valkey_vector.stores import MessageLog

CONVERSATION: list[BaseMessage] = [
    SystemMessage("You are terse.", id="0"),
    HumanMessage([{"type": "text", "text": "What is in it?"}, {"type": "image_url", "image_url": "data:,"}]),
    AIMessage(
        "",
        tool_calls=[{"name": "look", "args": {"lc": 1, "deep": [1, 2.5, None, "ü"]}, "id": "call"}],
        usage_metadata={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        response_metadata={"model": "m", "lc": 1, "type": "constructor", "id": ["a"]},
    ),
    ToolMessage("a cat", tool_call_id="call", artifact=[Document("a cat", id="1")], status="error"),
    ChatMessage(role="critic", content="Hm."),
    AIMessage("A cat.", additional_kwargs={"refusal": None}, name="bot"),
    RemoveMessage(id="0"),
]  # fmt: skip

Open = Callable[..., ValkeyChatMessageHistory]


@pytest.fixture
def history(server_url: str, index_name: str) -> Iterator[Open]:
    with Connection.open(server_url) as connection:

        def opened(session: str = "s", **settings: Any) -> ValkeyChatMessageHistory:
            asked = {"namespace": index_name, "connection": connection, **settings}
            return ValkeyChatMessageHistory(session, **asked)

        yield opened


def test_messages_are_returned_completely(history: Open) -> None:
    history().add_messages(CONVERSATION)
    assert history().messages == CONVERSATION
    assert [type(m) for m in history().messages] == [type(m) for m in CONVERSATION]


async def test_the_async_versions_do_the_same(history: Open) -> None:
    one = history()
    await one.aadd_messages(CONVERSATION)
    assert await one.aget_messages() == one.messages == CONVERSATION
    assert await history(window=2).aget_messages() == CONVERSATION[-2:]
    await one.aclear()
    assert await one.aget_messages() == []


def test_what_one_call_adds_is_one_round_trip_and_so_is_reading(
    history: Open, commands: CommandLog
) -> None:
    one = history(ttl=60)
    one.add_messages([])
    commands.clear()
    one.add_messages(CONVERSATION)
    assert len(one.messages) == len(CONVERSATION)
    assert len(commands.round_trips) == 2


def test_a_window_returns_the_newest(history: Open) -> None:
    history().add_messages(CONVERSATION)
    for window in range(1, 10):
        assert history(window=window).messages == CONVERSATION[-window:]
        assert history().get_messages(last=window) == CONVERSATION[-window:]
    assert history(window=1).get_messages() == CONVERSATION
    assert history(max_messages=2).messages == CONVERSATION  # until the next message
    history(max_messages=2).add_user_message("more")
    assert [m.content for m in history().messages] == ["", "more"]


@pytest.mark.parametrize(
    "other", ["1", "s0", "s*", "S", "s ", ":s", "s:", "*", "?", "s\x00", "{s}", "[s]"]
)
def test_sessions_never_meet(history: Open, other: str, index_name: str) -> None:
    history().add_user_message("mine")
    history(other).add_user_message("theirs")
    history(namespace=index_name + other).add_user_message("elsewhere")
    assert [m.content for m in history().messages] == ["mine"]
    history(other).clear()
    history(namespace=index_name + other).clear()
    assert [m.content for m in history().messages] == ["mine"]


def test_32_threads_add_whole_turns_in_their_order(history: Open) -> None:
    start = threading.Barrier(32)

    def converse(number: int) -> None:
        one = history(ttl=60)
        start.wait()
        for turn in range(5):
            text = f"{number} {turn}"
            one.add_messages([HumanMessage(text), AIMessage(text), AIMessage(text)])

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(converse, range(32)))
    found = history().messages
    assert len(found) == 32 * 5 * 3
    for turn in zip(found[::3], found[1::3], found[2::3], strict=True):
        assert len({m.content for m in turn}) == 1
        assert [m.type for m in turn] == ["human", "ai", "ai"]
    for number in range(32):
        own = [str(m.content) for m in found[::3] if str(m.content).split()[0] == str(number)]
        assert own == [f"{number} {turn}" for turn in range(5)]


async def test_dates_in_artifacts_are_returned_unchanged(history: Open) -> None:
    at = datetime(2024, 1, 31, 12, 30, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    artifact = {
        "at": at, "naive": at.replace(tzinfo=None), "days": [date(2024, 1, 31), {"x": date(1, 1, 1)}],
        "own": {"__valkey_date__": "2024-01-31"}, "owns": {"__valkey_own__": [1, at]},
    }  # fmt: skip
    tool = ToolMessage("done", tool_call_id="1", artifact=artifact)
    turn = [HumanMessage("when?"), tool, AIMessage("then", additional_kwargs={"at": at})]
    before = tool.model_copy(deep=True)
    history().add_messages(turn)
    await history().aadd_messages(turn)
    assert tool == before
    assert history().messages == [*turn, *turn]
    read = history().messages[1]
    assert isinstance(read, ToolMessage)
    assert read.artifact == artifact
    assert read.artifact["at"].utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    "bad", [object(), "text", AIMessage("", response_metadata={"client": object()})], ids=type
)
def test_messages_that_could_not_be_returned_unchanged_are_refused_before_any_is_added(
    history: Open, bad: Any
) -> None:
    with pytest.raises(InvalidInputError):
        history().add_messages([HumanMessage("fine"), bad])
    assert history().messages == []


@pytest.mark.parametrize(
    "poison",
    [
        {"lc": 1, "type": "constructor", "id": ["langchain_core", "prompts", "prompt", "PromptTemplate"],
         "kwargs": {"template": "x"}},
        {"lc": 1, "type": "constructor", "id": ["langchain", "chat_models", "openai", "ChatOpenAI"],
         "kwargs": {"base_url": "http://127.0.0.1:9"}},
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "document", "Document"],
         "kwargs": {"page_content": "no message"}},
        {"lc": 1, "type": "constructor", "id": ["os", "path", "join"], "kwargs": {}},
        {"lc": 1, "type": "not_implemented", "id": ["a"]},
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"], "kwargs": {}},
        {"lc": 1, "type": "secret", "id": ["HOME"]}, {}, [], None, 1,
    ],
    ids=range(11),
)  # fmt: skip
def test_a_poisoned_message_creates_no_object_and_does_not_hide_its_neighbors(
    history: Open,
    poison: Any,
    index_name: str,
    server_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    history().add_user_message("before")
    with MessageLog("s", namespace=index_name, url=server_url) as log:
        log.append([json.dumps(poison).encode()])
    history().add_ai_message("after")
    assert [message.content for message in history().messages] == ["before", "after"]
    (warning,) = caplog.messages
    assert "session 's': omitting message 1 of 3" in warning
    assert "cannot be loaded" in warning


def test_a_secret_in_a_message_is_not_filled_in_from_the_environment(
    history: Open,
    index_name: str,
    server_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HUSH", "a secret")
    history().add_user_message("SECRET")
    with MessageLog("s", namespace=index_name, url=server_url) as log:
        (stored,) = log.read()
        log.clear()
        log.append([stored.replace(b'"SECRET"', b'[{"lc": 1, "type": "secret", "id": ["HUSH"]}]')])
    assert history().messages == []
    assert "cannot be loaded" in caplog.text
    assert "a secret" not in caplog.text


# LangChain deprecated the runnable in favour of LangGraph; what uses it still works.
@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
def test_a_runnable_remembers_the_conversation(history: Open) -> None:
    model = FakeListChatModel(responses=["one", "two"])
    chain = RunnableWithMessageHistory(model, history)
    chain.invoke([HumanMessage("first")], {"configurable": {"session_id": "s"}})
    chain.invoke([HumanMessage("second")], {"configurable": {"session_id": "s"}})
    assert [m.content for m in history("s").messages] == ["first", "one", "second", "two"]


def test_settings_that_cannot_be_are_refused(history: Open) -> None:
    for settings in ({"window": 0}, {"max_messages": 0}, {"ttl": 0}, {"session": ""}):
        with pytest.raises(InvalidInputError):
            history(**settings)
    with pytest.raises(ConfigurationError):
        history(url="embedded://")
