"""LangChain's caches of models: right, complete answers, and never those of another scope."""

from __future__ import annotations

import copy
import importlib
import json
import logging
import math
import pickle
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, TypeAlias

import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation
from pydantic import BaseModel, PrivateAttr

from langchain_valkey import ValkeyCache, ValkeySemanticCache
from round_trips import CommandLog
from servers import start_server
from valkey_vector import ConfigurationError, Connection, ConnectionLostError, F, InvalidInputError
from valkey_vector.cache import CacheHit

Cache: TypeAlias = ValkeyCache | ValkeySemanticCache
Open: TypeAlias = Callable[..., Any]

ASKED, SIMILAR, LESS_SO, OTHER = "How big is it?", "What size is it?", "Is it big?", "Who made it?"
ANGLES = {ASKED: 0.0, SIMILAR: 0.1, LESS_SO: 0.4, OTHER: 1.5}  # cosines 1, 0.995, 0.921, 0.07


class Angles(Embeddings):
    """Puts known questions at known angles; any other text is at right angles to them. Notes what was embedded."""

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.awaited = 0

    def embed_query(self, text: str) -> list[float]:
        self.embedded.append(text)
        angle = ANGLES.get(text)
        return [0.0, 0.0, 1.0] if angle is None else [math.cos(angle), math.sin(angle), 0.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise AssertionError("questions are compared with questions")

    async def aembed_query(self, text: str) -> list[float]:
        self.awaited += 1
        return self.embed_query(text)


class CountingModel(BaseChatModel):
    """Answers with the number of its calls, and with a tool call."""

    name_of_model: str = "m"
    _calls: int = PrivateAttr(default=0)
    _before: Callable[[], None] | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "counting"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.name_of_model}

    @property
    def calls(self) -> int:
        return self._calls

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self._calls += 1
        if self._before is not None:
            self._before()
        message = AIMessage(
            f"{self.name_of_model} {self._calls}",
            tool_calls=[{"name": "t", "args": {"n": self._calls}, "id": "1"}],
            usage_metadata={"input_tokens": 2, "output_tokens": 3, "total_tokens": 5},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


@pytest.fixture
def embedding() -> Angles:
    return Angles()


@pytest.fixture
def exact(server_url: str, index_name: str) -> Iterator[Open]:
    with Connection.open(server_url) as connection:

        def opened(suffix: str = "", **settings: Any) -> ValkeyCache:
            asked = {"connection": connection, "on_error": "raise", **settings}
            return ValkeyCache(index_name + suffix, **asked)

        yield opened


@pytest.fixture
def semantic(
    server_url: str, index_name: str, engine_name: str, embedding: Angles
) -> Iterator[Open]:
    made: list[ValkeySemanticCache] = []
    with Connection.open(server_url) as connection:

        def opened(suffix: str = "", **settings: Any) -> ValkeySemanticCache:
            asked = {
                "connection": connection,
                "engine": engine_name,
                "on_error": "raise",
                **settings,
            }
            made.append(ValkeySemanticCache(embedding, index_name + suffix, **asked))
            return made[-1]

        yield opened
        for cache in made:
            cache.cache.drop()
            cache.close()


@pytest.fixture(params=["exact", "semantic"])
def either(request: pytest.FixtureRequest, exact: Open, semantic: Open) -> Open:
    return exact if request.param == "exact" else semantic


def conversation(*messages: BaseMessage) -> str:
    """The prompt of a chat model, as LangChain gives it to a cache."""
    return dumps(list(messages))


def answer(text: str) -> list[Generation]:
    return [ChatGeneration(message=AIMessage(text))]


def text_of(found: Sequence[Generation] | None) -> str | None:
    return None if found is None else found[0].text


WHOLE: list[Generation] = [
    ChatGeneration(
        message=AIMessage(
            [{"type": "text", "text": "Look:"}, {"type": "image", "url": "https://x"}],
            id="run-1",
            name="bot",
            tool_calls=[{"name": "look", "args": {"a": [1, 2.5, None, {"lc": 1}]}, "id": "1"}],
            invalid_tool_calls=[{"name": "n", "args": "{", "id": "2", "error": "no JSON"}],
            usage_metadata={
                "input_tokens": 1,
                "output_tokens": 2,
                "total_tokens": 3,
                "input_token_details": {"cache_read": 1},
            },
            response_metadata={"finish_reason": "tool_calls", "lc": 1, "type": "constructor"},
            additional_kwargs={"refusal": None},
        ),
        generation_info={"finish_reason": "tool_calls", "logprobs": None},
    ),
    ChatGeneration(message=AIMessage("another")),
    Generation(text="of no chat model", generation_info={"n": 1}),
]


def test_answers_are_returned_completely(either: Open) -> None:
    cache = either()
    cache.update("prompt", "llm", WHOLE)
    found = cache.lookup("prompt", "llm")
    assert type(found) is list  # LangChain takes anything else for a miss
    assert found == WHOLE
    assert [type(one) for one in found] == [type(one) for one in WHOLE]
    cache.update("empty", "llm", [])
    assert cache.lookup("empty", "llm") == []


def test_what_is_found_may_be_changed(either: Open) -> None:
    cache = either()
    cache.update("prompt", "llm", WHOLE)
    found = cache.lookup("prompt", "llm")
    found[0].message.content = "changed"
    found.clear()
    assert cache.lookup("prompt", "llm") == WHOLE


class Parsed(BaseModel):
    n: int


def test_a_parsed_object_is_returned_as_its_source(either: Open) -> None:
    cache = either()
    message = AIMessage("", additional_kwargs={"parsed": Parsed(n=1)})
    cache.update("prompt", "llm", [ChatGeneration(message=message)])
    (found,) = cache.lookup("prompt", "llm")
    assert found.message.additional_kwargs["parsed"] == {"n": 1}


def test_an_answer_that_could_not_be_returned_is_not_cached(
    either: Open, caplog: pytest.LogCaptureFixture
) -> None:
    unkeepable = [ChatGeneration(message=AIMessage("", additional_kwargs={"client": object()}))]
    with pytest.raises(InvalidInputError, match="cannot be stored"):
        either().update("prompt", "llm", unkeepable)
    tolerant = either(on_error="miss")
    tolerant.update("prompt", "llm", unkeepable)
    assert "did not store an answer" in caplog.text
    assert tolerant.lookup("prompt", "llm") is None


async def test_an_answer_that_is_too_large_is_returned_and_not_cached(
    semantic: Open, caplog: pytest.LogCaptureFixture
) -> None:
    prompt = "p" * 5_000_000
    with pytest.raises(InvalidInputError):
        semantic().update(prompt, "llm", answer("text"))
    tolerant = semantic(on_error="miss")
    model = CountingModel(cache=tolerant)
    assert model.invoke(prompt).text == "m 1"
    assert caplog.text.count("did not store an answer") == 1
    assert (await model.ainvoke(prompt)).text == "m 2"
    assert caplog.text.count("did not store an answer") == 2
    assert tolerant.lookup(prompt, "llm") is None


async def test_a_chat_model_is_called_once(either: Open) -> None:
    model = CountingModel(cache=either())
    first = model.invoke("question")
    again = model.invoke("question")
    awaited = await model.ainvoke("question")
    assert model.calls == 1
    assert first.text == again.text == awaited.text == "m 1"
    assert first.tool_calls == again.tool_calls == awaited.tool_calls
    assert again.usage_metadata == {**(first.usage_metadata or {}), "total_cost": 0}


def test_each_model_and_each_parameter_has_answers_of_its_own(either: Open) -> None:
    cache = either()
    one, other = CountingModel(cache=cache), CountingModel(cache=cache, name_of_model="n")
    with_tools = {"tools": [{"type": "function", "function": {"name": "t"}}]}
    variants: list[tuple[CountingModel, dict[str, Any]]] = [
        (one, {}),
        (other, {}),
        (one, {"stop": ["x"]}),
        (one, {"temperature": 1}),
        (one, with_tools),
        (one, {"tools": [{"type": "function", "function": {"name": "u"}}]}),
    ]
    first = [model.invoke(ASKED, **params).text for model, params in variants]
    assert len(set(first)) == len(variants)
    assert [model.invoke(ASKED, **params).text for model, params in variants] == first


NAMES = [
    "user.1", "user_1", "user/1", "user 1", "user:1", "user-1", "user*", "user.*", "user?", "User.1", "USER.1", "a",
    "a*", "a:", "a b", "ab", "*", "?", "", " ", "{a}", "[a]", "\\", "ü", "u\u0308", "\x00", "日本", "'", '"', "|", "@",
    "=>", "gpt-1", "gpt-1 ", "gpt_1", "gpt.1", "GPT-1", "gpt-1*", "true", "1", "1.0", "null", "None", "{}", "[]", "(",
    "%", "$", "#", "~",
]  # fmt: skip


@pytest.mark.parametrize("what", ["model", "tenant"])
def test_the_same_prompt_under_50_names_never_crosses(either: Open, what: str) -> None:
    assert len(set(NAMES)) == 50

    def asked(name: str) -> tuple[Cache, str]:
        return (either(), name) if what == "model" else (either(scope={"tenant": name}), "llm")

    for name in NAMES:
        cache, llm = asked(name)
        assert cache.lookup(ASKED, llm) is None, name
        cache.update(ASKED, llm, answer(f"for {name!r}"))
    for name in NAMES:
        cache, llm = asked(name)
        assert text_of(cache.lookup(ASKED, llm)) == f"for {name!r}"


def test_clear_removes_what_another_process_stored_and_nothing_else(
    either: Open, index_name: str
) -> None:
    either().update("prompt", "llm", answer("mine"))
    either("2").update("prompt", "llm", answer("other cache's"))
    either().clear()
    assert either().lookup("prompt", "llm") is None
    assert text_of(either("2").lookup("prompt", "llm")) == "other cache's"


async def test_the_answers_of_one_model_can_be_cleared(either: Open) -> None:
    cache = either()
    for llm in ("a", "a*", "b"):
        cache.update("prompt", llm, answer(llm))
        cache.update("another", llm, answer(llm))
    cache.clear(llm_string="a*")
    assert cache.lookup("prompt", "a*") is cache.lookup("another", "a*") is None
    assert text_of(cache.lookup("prompt", "a")) == "a"
    await cache.aclear(llm_string="a")
    assert cache.lookup("prompt", "a") is None
    assert text_of(cache.lookup("another", "b")) == "b"
    with pytest.raises(TypeError):
        cache.clear(everything=True)


# What the human asked


def test_only_the_human_message_is_embedded(semantic: Open, embedding: Angles) -> None:
    cache = semantic()
    prompt = conversation(
        SystemMessage("Be terse."), HumanMessage("Hi"), AIMessage("Yes?"), HumanMessage(ASKED)
    )
    assert cache.lookup(prompt, "llm") is None
    cache.update(prompt, "llm", answer("1 m"))
    blocks = HumanMessage(
        [{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": "data:,"}]
    )
    cache.update(conversation(blocks), "llm", answer("2 m"))
    cache.update(ASKED, "llm", answer("3 m"))
    assert set(embedding.embedded) == {ASKED}


def test_a_question_that_means_the_same_is_a_hit_and_another_is_not(semantic: Open) -> None:
    cache = semantic()

    def prompt(text: str) -> str:
        return conversation(SystemMessage("Be terse."), HumanMessage(text))

    cache.update(prompt(ASKED), "llm", answer("1 m"))
    assert text_of(cache.lookup(prompt(SIMILAR), "llm")) == "1 m"
    assert cache.lookup(prompt(LESS_SO), "llm") is None
    assert cache.lookup(prompt(OTHER), "llm") is None
    assert cache.lookup(prompt(SIMILAR), "another llm") is None


def test_the_threshold_is_the_one_that_was_set(semantic: Open) -> None:
    semantic().update(ASKED, "llm", answer("1 m"))
    for threshold, hits in [(0.999, []), (0.95, [SIMILAR]), (0.9, [SIMILAR, LESS_SO])]:
        cache = semantic(threshold=threshold)
        found = [text for text in (SIMILAR, LESS_SO, OTHER) if cache.lookup(text, "llm")]
        assert found == hits


def test_one_answer_is_returned_if_several_are_near(semantic: Open) -> None:
    cache = semantic(threshold=0.9)
    cache.update(ASKED, "llm", answer("first"))
    cache.update(LESS_SO, "llm", answer("second"))
    found = cache.lookup(SIMILAR, "llm")
    assert len(found) == 1
    assert text_of(found) == "first"


LOOK: Any = {"name": "look", "args": {}, "id": "1"}
CONVERSATIONS: list[list[BaseMessage]] = [
    [HumanMessage(ASKED)],
    [SystemMessage("Be terse."), HumanMessage(ASKED)],
    [SystemMessage("Be verbose."), HumanMessage(ASKED)],
    [HumanMessage("The moon"), HumanMessage(ASKED)],
    [HumanMessage("The moon"), AIMessage("Yes?"), HumanMessage(ASKED)],
    [HumanMessage("The sun"), AIMessage("Yes?"), HumanMessage(ASKED)],
    [HumanMessage("The moon"), AIMessage("What of it?"), HumanMessage(ASKED)],
    [HumanMessage("The moon"), AIMessage("Yes?"), HumanMessage(ASKED), AIMessage("", tool_calls=[LOOK])],
    [HumanMessage("The moon"), AIMessage("Yes?"), HumanMessage(ASKED), AIMessage("", tool_calls=[LOOK]),
     ToolMessage("3474 km", tool_call_id="1")],
    [HumanMessage("The moon"), AIMessage("Yes?"), HumanMessage(ASKED), AIMessage("", tool_calls=[LOOK]),
     ToolMessage("no moon", tool_call_id="1")],
    [HumanMessage([{"type": "text", "text": ASKED}])],
    [HumanMessage([{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": "data:,1"}])],
    [HumanMessage([{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": "data:,2"}])],
    [HumanMessage(ASKED, name="ann")],
    [HumanMessage(ASKED, name="bob")],
]  # fmt: skip


def test_no_conversation_gets_the_answer_of_another_with_the_same_last_question(
    semantic: Open, embedding: Angles
) -> None:
    cache = semantic()
    prompts = [conversation(*messages) for messages in CONVERSATIONS] + [ASKED]
    for number, prompt in enumerate(prompts):
        assert cache.lookup(prompt, "llm") is None, number
        cache.update(prompt, "llm", answer(str(number)))
    for number, prompt in enumerate(prompts):
        assert text_of(cache.lookup(prompt, "llm")) == str(number)
        similar = prompt.replace(ASKED, SIMILAR)
        assert text_of(cache.lookup(similar, "llm")) == str(number)
    assert set(embedding.embedded) <= {ASKED, SIMILAR}


def test_a_conversation_continues_from_cached_answers(semantic: Open) -> None:
    model = CountingModel(cache=semantic())
    for _ in range(3):
        messages: list[BaseMessage] = [HumanMessage(ASKED)]
        messages.append(model.invoke(messages))
        messages.append(HumanMessage(OTHER))
        messages.append(model.invoke(messages))
    assert model.calls == 2


def test_a_prompt_without_a_question_hits_only_as_a_whole(
    semantic: Open, embedding: Angles
) -> None:
    cache = semantic()
    silent = [
        conversation(SystemMessage("Say something.")),
        conversation(SystemMessage("Say nothing.")),
        conversation(HumanMessage("")),
        conversation(HumanMessage(" ")),
        conversation(HumanMessage([{"type": "image_url", "image_url": "data:,1"}])),
        conversation(HumanMessage([{"type": "image_url", "image_url": "data:,2"}])),
        conversation(HumanMessage("\ud800")),
        "",
        " ",
    ]
    for number, prompt in enumerate(silent):
        assert cache.lookup(prompt, "llm") is None, prompt
        cache.update(prompt, "llm", answer(str(number)))
    assert [text_of(cache.lookup(prompt, "llm")) for prompt in silent] == [
        str(number) for number in range(len(silent))
    ]
    assert not any("constructor" in text for text in embedding.embedded)


def test_the_very_same_question_needs_no_embedding_and_one_round_trip(
    semantic: Open, embedding: Angles, commands: CommandLog
) -> None:
    cache = semantic()
    cache.update(ASKED, "llm", answer("1 m"))
    assert cache.lookup(SIMILAR, "llm")
    embedding.embedded.clear()
    commands.clear()
    assert cache.lookup(ASKED, "llm")
    assert (embedding.embedded, len(commands.round_trips)) == ([], 1)
    commands.clear()
    assert cache.lookup(SIMILAR, "llm")
    assert (embedding.embedded, len(commands.round_trips)) == ([SIMILAR], 2)


async def test_embeddings_are_awaited(semantic: Open, embedding: Angles) -> None:
    cache = semantic()
    await cache.aupdate(ASKED, "llm", WHOLE)
    assert await cache.alookup(SIMILAR, "llm") == WHOLE
    assert embedding.awaited == len(embedding.embedded) == 2


async def test_doubtful_hits_are_decided_by_the_passed_function(semantic: Open) -> None:
    doubted: list[tuple[str, str]] = []

    async def verify(text: str, hit: CacheHit) -> bool:
        doubted.append((text, hit.prompt))
        return text == LESS_SO

    cache = semantic(threshold=0.95, margin=0.048, verify=verify)
    await cache.aupdate(ASKED, "llm", answer("1 m"))
    assert text_of(await cache.alookup(LESS_SO, "llm")) == "1 m"
    assert await cache.alookup(SIMILAR, "llm") is None
    assert await cache.alookup(OTHER, "llm") is None
    assert doubted == [(LESS_SO, ASKED), (SIMILAR, ASKED)]


def test_saved_tokens_are_counted(semantic: Open) -> None:
    model = CountingModel(cache=semantic())
    for text in (ASKED, ASKED, SIMILAR, OTHER):
        model.invoke(text)
    stats = model.cache.cache.stats()  # type: ignore[union-attr]
    assert (stats.exact_hits, stats.semantic_hits, stats.misses) == (1, 1, 2)
    assert stats.saved_tokens == 10


def test_the_same_question_has_one_entry_after_any_number_of_answers(semantic: Open) -> None:
    cache = semantic()
    for number in range(3):
        cache.update(ASKED, "llm", answer(str(number)))
    assert cache.cache.count() == 1
    assert text_of(cache.lookup(ASKED, "llm")) == "2"


def test_many_threads_may_be_the_first_to_use_a_cache(either: Open) -> None:
    start = threading.Barrier(16)

    def work(number: int) -> str | None:
        cache = either()
        start.wait()
        cache.update(ASKED, f"llm {number}", answer(str(number)))
        return text_of(cache.lookup(ASKED, f"llm {number}"))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(16))) == [str(number) for number in range(16)]


# What others put there

POISON: list[Any] = [
    {"lc": 1, "type": "constructor", "id": ["langchain", "chat_models", "openai", "ChatOpenAI"],
     "kwargs": {"base_url": "URL", "api_key": "x", "model": "m"}},
    {"lc": 1, "type": "constructor", "id": ["langchain_core", "prompts", "prompt", "PromptTemplate"],
     "kwargs": {"template": "x", "input_variables": []}},
    {"lc": 1, "type": "constructor", "id": ["subprocess", "Popen"], "kwargs": {"args": "x"}},
    {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "document", "Document"],
     "kwargs": {"page_content": "no generation"}},
    {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"],
     "kwargs": {"content": "no generation"}},
    {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "output", "ChatGeneration"],
     "kwargs": {"message": {"lc": 1, "type": "constructor", "id": ["langchain", "llms", "openai", "OpenAI"],
                            "kwargs": {"base_url": "URL"}}}},
    {"lc": 1, "type": "not_implemented", "id": ["a"], "repr": "x"},
    {"lc": 1, "type": "constructor", "id": [], "kwargs": {}},
    {"lc": 1, "type": "constructor", "id": "AIMessage", "kwargs": []},
    "text", None, 1, [],
]  # fmt: skip


def poisoned(cache: Cache, data: Any) -> None:
    """Put into the entry of the prompt what LangChain did not put there."""
    text, scope = cache._lookup_key(ASKED, "llm")
    cache.cache.store(text, data, scope)


@pytest.mark.parametrize("number", range(len(POISON)))
async def test_a_poisoned_entry_creates_no_object_and_uses_no_network(
    either: Open, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    imported: list[str] = []
    real = importlib.import_module

    def noted(name: str, package: str | None = None) -> ModuleType:
        imported.append(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", noted)
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}"
        data = json.dumps([POISON[number]]).replace("URL", url).encode()
        cache = either(on_error="miss")
        poisoned(cache, data)
        with pytest.raises(Exception, match="cannot be loaded"):
            either().lookup(ASKED, "llm")
        assert cache.lookup(ASKED, "llm") is None
        assert "removing an unreadable entry" in caplog.text
        caplog.clear()
        assert cache.lookup(ASKED, "llm") is None
        assert caplog.text == ""  # it is gone
        poisoned(cache, data)
        assert await cache.alookup(ASKED, "llm") is None
        with pytest.raises(BlockingIOError):
            trap.accept()
    forbidden = ("openai", "prompts", "subprocess", "llms")
    assert not [name for name in imported if any(word in name for word in forbidden)]
    model = CountingModel(cache=cache)
    poisoned(cache, data)
    assert model.invoke(ASKED).text == "m 1"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[" * 100_000, {"a": 1}, "text", None], ids=range(7)
)
def test_garbage_is_a_miss_and_the_next_answer_heals_it(either: Open, data: Any) -> None:
    cache = either(on_error="miss")
    poisoned(cache, data)
    assert cache.lookup(ASKED, "llm") is None
    cache.update(ASKED, "llm", answer("1 m"))
    assert text_of(cache.lookup(ASKED, "llm")) == "1 m"


def test_a_text_that_looks_like_an_object_stays_a_text(either: Open) -> None:
    cache = either()
    nasty = [
        ChatGeneration(message=AIMessage(json.dumps(POISON[0]), additional_kwargs={"x": POISON[0]}))
    ]
    cache.update("prompt", "llm", nasty)
    assert cache.lookup("prompt", "llm") == nasty


# What fails


@pytest.mark.parametrize("kind", ["exact", "semantic"])
async def test_a_model_answers_although_the_server_is_down(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with start_server() as server, Connection.open(server.url, retries=0) as connection:

        def opened(**settings: Any) -> Cache:
            if kind == "exact":
                return ValkeyCache("c", connection=connection, **settings)
            return ValkeySemanticCache(Angles(), "c", connection=connection, **settings)

        model = CountingModel(cache=opened())
        strict = CountingModel(cache=opened(on_error="raise"))
        assert model.invoke("question").text == model.invoke("question").text
        server.kill()
        with caplog.at_level(logging.WARNING):
            assert model.invoke("question").text == "m 2"
            assert (await model.ainvoke("question")).text == "m 3"
        warned = [r.getMessage() for r in caplog.records if r.name.startswith("valkey_vector")]
        assert warned
        assert (
            len(set(warned)) == len(warned) <= 2
        )  # the semantic cache warns of looking up and of storing
        with pytest.raises(ConnectionLostError):
            strict.invoke("question")
        server.restart()
        assert model.invoke("question").text == model.invoke("question").text


@pytest.mark.parametrize("kind", ["exact", "semantic"])
async def test_a_server_that_dies_between_lookup_and_update_keeps_no_answer_back(kind: str) -> None:
    for awaited in (False, True):
        with start_server() as server, Connection.open(server.url, retries=0) as connection:
            cache: Cache = (
                ValkeyCache("c", connection=connection)
                if kind == "exact"
                else ValkeySemanticCache(Angles(), "c", connection=connection)
            )
            assert cache.lookup(ASKED, "llm") is None
            model = CountingModel(cache=cache)
            model._before = server.kill
            answered = await model.ainvoke(ASKED) if awaited else model.invoke(ASKED)
            assert answered.text == "m 1"
            assert not server.running


def test_entries_live_as_long_as_they_shall(either: Open, index_name: str) -> None:
    cache = either(ttl=60)
    cache.update(ASKED, "llm", answer("1 m"))
    connection = (
        cache.cache.connection if isinstance(cache, ValkeyCache) else cache.cache.index.connection
    )
    left = [
        connection.execute("PTTL", key)
        for keys in connection.scan(f"*{index_name}*")
        for key in keys
        if connection.execute("PTTL", key) >= 0
    ]
    assert left
    assert all(50_000 < milliseconds <= 60_000 for milliseconds in left)


def test_settings_that_cannot_be_are_refused(exact: Open, semantic: Open) -> None:
    for scope in ({"llm": "x"}, {"conversation": "x"}):
        for opened in (exact, semantic):
            with pytest.raises(ConfigurationError, match="another key"):
                opened(scope=scope)
    for opened in (exact, semantic):
        with pytest.raises(ConfigurationError, match="scope must be a dict"):
            opened(scope="a")
    with pytest.raises(ConfigurationError, match="embedding"):
        ValkeySemanticCache(lambda text: [1.0])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="threshold"):
        semantic(threshold=2.0)


def test_the_core_shows_what_langchain_has_no_words_for(semantic: Open) -> None:
    cache = semantic(scope={"tenant": "a"})
    cache.update(ASKED, "llm", answer("1 m"))
    assert cache.cache.count() == 1
    assert cache.cache.invalidate(filter=F("scope.tenant") == "b") == 0
    assert cache.cache.invalidate(filter=F("scope.tenant") == "a") == 1


def pickled(cache: Cache) -> Any:
    return pickle.loads(pickle.dumps(cache))  # noqa: S301 - made a moment ago


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_a_cache_that_is_in_use_can_be_copied(either: Open, copied: Callable[[Any], Any]) -> None:
    cache = either(scope={"tenant": "a"}, ttl=1000, sliding=True)
    cache.update("prompt", "llm", answer("kept"))
    again = copied(cache)
    try:
        assert type(again) is type(cache)
        assert text_of(again.lookup("prompt", "llm")) == "kept"
        assert again.lookup("prompt", "other") is None
        again.update("new", "llm", answer("of the copy"))
        assert text_of(cache.lookup("new", "llm")) == "of the copy"
    finally:
        again.close()
    assert text_of(cache.lookup("prompt", "llm")) == "kept"


def test_a_copy_of_a_semantic_cache_has_its_threshold_and_settings(semantic: Open) -> None:
    cache = semantic(threshold=0.9, max_entries=3)
    cache.cache.threshold = 0.93
    again = copy.deepcopy(cache)
    assert again.cache.threshold == 0.93
    cache.update(ASKED, "llm", answer("big"))
    assert text_of(again.lookup(SIMILAR, "llm")) == "big"
    assert again.lookup(LESS_SO, "llm") is None
    again.close()


def test_a_cache_that_opened_its_own_connection_can_be_copied(
    server_url: str, index_name: str
) -> None:
    with ValkeyCache(index_name, url=server_url, on_error="raise") as cache:
        cache.update("prompt", "llm", answer("kept"))
        with pickled(cache) as again:
            assert again.cache.connection is not cache.cache.connection
            assert text_of(again.lookup("prompt", "llm")) == "kept"
        assert text_of(cache.lookup("prompt", "llm")) == "kept"
        cache.clear()
