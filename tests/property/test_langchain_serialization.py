"""Messages and generations of any content are returned unchanged; foreign data creates no object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
)

from langchain_valkey.serialization import (
    dump_generations,
    dump_message,
    load_generations,
    load_message,
)
from valkey_vector import ServerError

KEYS = st.sampled_from(
    ["a", "lc", "type", "id", "kwargs", "__lc_escaped__", "template_format", "ü", ""]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5), st.sampled_from(["constructor", "secret", "jinja2", "not_implemented", "langchain"]),
    st.just(1),
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=10,
)
DICTS = st.dictionaries(KEYS, JSON, max_size=4)
CONTENTS = st.text(max_size=10) | st.lists(st.text(max_size=5) | DICTS, max_size=3)
COUNTS = st.integers(0, 10**6)
CALLS = st.builds(
    lambda name, args, call: {"name": name, "args": args, "id": call, "type": "tool_call"},
    st.text(max_size=5), DICTS, st.none() | st.text(max_size=5),
)  # fmt: skip
USAGES = st.none() | st.builds(
    lambda a, b: {"input_tokens": a, "output_tokens": b, "total_tokens": a + b, "input_token_details": {"audio": a}},
    COUNTS, COUNTS,
)  # fmt: skip
ANSWERS = st.builds(
    AIMessage, CONTENTS, tool_calls=st.lists(CALLS, max_size=2), usage_metadata=USAGES, response_metadata=DICTS,
    id=st.none() | st.text(max_size=5), name=st.none() | st.text(max_size=5),
)  # fmt: skip
MESSAGES = st.one_of(
    ANSWERS,
    st.builds(HumanMessage, CONTENTS, additional_kwargs=DICTS),
    st.builds(SystemMessage, CONTENTS),
    st.builds(lambda text, role: ChatMessage(content=text, role=role), CONTENTS, st.text(max_size=5)),
    st.builds(
        lambda text, artifact: ToolMessage(text, tool_call_id="1", artifact=artifact), CONTENTS,
        JSON | st.builds(lambda text, metadata: [Document(text, metadata=metadata)], st.text(max_size=5), DICTS),
    ),
    st.builds(lambda text: AIMessageChunk(content=text), st.text(max_size=5)),
)  # fmt: skip
GENERATIONS = st.one_of(
    st.builds(lambda message, info: ChatGeneration(message=message, generation_info=info), ANSWERS, st.none() | DICTS),
    st.builds(lambda text, info: Generation(text=text, generation_info=info), st.text(max_size=5), st.none() | DICTS),
    st.builds(lambda text: GenerationChunk(text=text), st.text(max_size=5)),
    st.builds(lambda text: ChatGenerationChunk(message=AIMessageChunk(content=text)), st.text(max_size=5)),
)  # fmt: skip


@given(MESSAGES)
def test_a_message_is_returned_unchanged(message: BaseMessage) -> None:
    loaded = load_message(dump_message(message))
    assert loaded == message
    assert type(loaded) is type(message)


@given(st.lists(GENERATIONS, max_size=3))
def test_generations_are_returned_unchanged(generations: list[Generation]) -> None:
    loaded = load_generations(dump_generations(generations))
    assert loaded == generations
    assert [type(one) for one in loaded] == [type(one) for one in generations]


@given(JSON)
def test_any_other_json_is_an_error_of_the_server(data: Any) -> None:
    with pytest.raises(ServerError):
        load_message(json.dumps(data).encode())
    with pytest.raises(ServerError):
        load_generations(json.dumps([data]).encode())


@given(st.binary(max_size=20))
def test_so_is_what_is_no_json(data: bytes) -> None:
    with pytest.raises(ServerError):
        load_message(data)
