"""The question of a prompt; all other parts of the prompt make a difference."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    ToolMessage,
)

from langchain_valkey.questions import question


class Customer(HumanMessage):
    """A message class of an application."""


def asked(*messages: BaseMessage) -> str:
    return question(dumps(list(messages))).text


@pytest.mark.parametrize(
    "human",
    [
        HumanMessage("What?"),
        HumanMessageChunk(content="What?"),
        Customer(content="What?"),
        ChatMessage(role="user", content="What?"),
        ChatMessage(role="human", content="What?"),
        HumanMessage(["What?"]),
        HumanMessage([{"type": "text", "text": "What?"}]),
        HumanMessage([{"type": "image_url", "image_url": "data:,"}, {"type": "text", "text": "What?"}]),
    ],
    ids=repr,
)  # fmt: skip
def test_the_last_human_message_is_the_question(human: BaseMessage) -> None:
    assert asked(human) == "What?"
    assert asked(SystemMessage("s"), HumanMessage("Before?"), AIMessage("a"), human) == "What?"
    assert asked(human, AIMessage("a"), ToolMessage("t", tool_call_id="1")) == "What?"


def test_several_texts_of_a_message_are_one_question() -> None:
    parts: list[Any] = ["One", {"type": "text", "text": "two?"}]
    assert asked(HumanMessage(parts)) == "One\ntwo?"


@pytest.mark.parametrize(
    "prompt",
    [
        "What?", "{}", "[]", "[1]", '["a"]', '{"lc": 1}', '[{"lc": 1}]', "[" * 100_000, "null", " [ ] ", '"What?"',
        '[{"lc": 1, "type": "constructor", "id": ["a"], "kwargs": {}}]',
        '[{"lc": 1, "type": "constructor", "id": "a", "kwargs": {"type": "human", "content": "x"}}, 1]',
    ],
    ids=lambda prompt: prompt[:30],
)  # fmt: skip
def test_a_prompt_that_is_not_a_conversation_is_the_question(prompt: str) -> None:
    assert question(prompt).text == prompt


def test_a_conversation_and_its_question_alone_differ() -> None:
    alone = question("What?")
    said = question(dumps([HumanMessage("What?")]))
    assert alone.text == said.text
    assert alone.rest != said.rest


def test_the_counts_of_langchain_make_no_difference() -> None:
    usage: Any = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    counted = [HumanMessage("a"), AIMessage("b", usage_metadata=usage), HumanMessage("c")]
    again = [
        HumanMessage("a"),
        AIMessage("b", usage_metadata={**usage, "total_cost": 0}),
        HumanMessage("c"),
    ]
    uncounted = [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]
    assert question(dumps(counted)) == question(dumps(again)) == question(dumps(uncounted))


TEXTS = st.sampled_from(["a", "b", "a\nb", "", " ", "text", "?", "ü", "human"])
BLOCKS = st.one_of(
    TEXTS,
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
    st.builds(lambda text: {"type": "text", "text": text, "index": 1}, TEXTS),
    st.builds(lambda text: {"type": "image_url", "image_url": text}, TEXTS),
    st.just({"type": "text"}),
)
CONTENTS = st.one_of(TEXTS, st.lists(BLOCKS, max_size=3))
MESSAGES = st.lists(
    st.one_of(
        st.builds(HumanMessage, CONTENTS),
        st.builds(SystemMessage, TEXTS),
        st.builds(AIMessage, CONTENTS),
        st.builds(lambda text: ToolMessage(text, tool_call_id="1"), TEXTS),
        st.builds(lambda text: AIMessage("", tool_calls=[{"name": text, "args": {}, "id": "1"}]), TEXTS),
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


@given(one=MESSAGES, other=MESSAGES)
def test_different_conversations_differ_in_what_has_to_be_the_same(
    one: list[BaseMessage], other: list[BaseMessage]
) -> None:
    first, second = dumps(one), dumps(other)
    assume(json.loads(first) != json.loads(second))
    assume(_structure(one) != _structure(other))
    assert (question(first).text, question(first).rest) != (
        question(second).text,
        question(second).rest,
    )
    if question(first).text == question(second).text:
        assert question(first).rest != question(second).rest


@given(messages=MESSAGES, text=st.text(min_size=1))
def test_only_the_question_may_differ(messages: list[BaseMessage], text: str) -> None:
    assume(text.strip())
    first = question(dumps([*messages, HumanMessage("another")]))
    second = question(dumps([*messages, HumanMessage(text)]))
    assert (first.text, second.text) == ("another", text)
    assert first.rest == second.rest


def _structure(messages: list[BaseMessage]) -> Any:
    """A conversation, in which the last human message's texts are one, as they are to whoever reads them."""
    dumped = json.loads(dumps(messages))
    for message in reversed(dumped):
        if message["kwargs"]["type"] == "human":
            content = message["kwargs"]["content"]
            blocks = content if isinstance(content, list) else [content]
            texts = [
                b if isinstance(b, str) else b["text"]
                for b in blocks
                if isinstance(b, str) or "text" in b
            ]
            shape = [
                "text" if isinstance(b, str) else {**b, "text": "text"} if "text" in b else b
                for b in blocks
            ]
            message["kwargs"]["content"] = [isinstance(content, list), "\n".join(texts), shape]
            break
    return dumped
