"""LlamaIndex's query engines and models behind the cache: answers whole, scopes exact, awaited natively."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    ImageBlock,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.base.response.schema import PydanticResponse, Response, StreamingResponse
from llama_index.core.llms import MockLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.schema import (
    ImageNode,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, PrivateAttr

from caches import vector_of
from llama_index.storage.cache.valkey import CachedLLM, CachedQueryEngine, QueryEmbedder
from valkey_vector import InvalidInputError
from valkey_vector.cache import SemanticCache


class Degrees(BaseEmbedding):
    """Questions say in degrees where they point."""

    _awaited: list[str] = PrivateAttr(default_factory=list)

    def _get_query_embedding(self, query: str) -> list[float]:
        return vector_of(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        self._awaited.append(query)
        return vector_of(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return vector_of(text)


@pytest.fixture
def embed_model() -> Degrees:
    return Degrees(model_name="degrees")


@pytest.fixture
def cache(open_cache: Callable[..., SemanticCache], embed_model: Degrees) -> SemanticCache:
    return open_cache(embed=QueryEmbedder(embed_model))


class Engine(BaseQueryEngine):
    """Answers with the question, and counts."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        super().__init__(None)
        self.asked: list[str] = []
        self._answer = answer

    def _get_prompt_modules(self) -> dict[str, Any]:
        return {}

    def _query(self, query_bundle: QueryBundle) -> Any:
        self.asked.append(query_bundle.query_str)
        return self._answer(query_bundle.query_str)

    async def _aquery(self, query_bundle: QueryBundle) -> Any:
        await asyncio.sleep(0)
        return self._query(query_bundle)


def response(question: str) -> Response:
    node = TextNode(
        text="source",
        id_="n1",
        metadata={"doc_id": "kept", "n": 1},
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="d1")},
    )
    picture = ImageNode(text="", image_url="https://example.org/x.png", id_="n2")
    return Response(
        question.upper(),
        source_nodes=[NodeWithScore(node=node, score=0.5), NodeWithScore(node=picture)],
        metadata={"n1": {"n": 1}},
    )


def test_a_query_engine_runs_once_for_questions_that_mean_the_same(
    cache: SemanticCache,
) -> None:
    engine = Engine(response)
    cached = CachedQueryEngine(engine, cache, scope={"index": "docs"})
    expected = response("what @0")
    for question in ("what @0", "what @0", "near @5"):
        assert cached.query(question) == expected
    assert engine.asked == ["what @0"]
    other = CachedQueryEngine(engine, cache, scope={"index": "others"})
    other.query("what @0")
    cached.query(QueryBundle("what @0", custom_embedding_strs=["something else"]))
    assert len(engine.asked) == 3


async def test_a_query_engine_is_awaited(cache: SemanticCache, embed_model: Degrees) -> None:
    engine = Engine(response)
    cached = CachedQueryEngine(engine, cache)
    answers = await asyncio.gather(*(cached.aquery("what @0") for _ in range(10)))
    assert answers == [response("what @0")] * 10
    assert await cached.aquery("near @5") == response("what @0")
    assert engine.asked == ["what @0"]
    assert set(embed_model._awaited) == {"what @0", "near @5"}


def test_a_streamed_answer_is_collected(cache: SemanticCache) -> None:
    engine = Engine(lambda question: StreamingResponse(response_gen=iter([question, "!"])))  # type: ignore[arg-type]
    cached = CachedQueryEngine(engine, cache)
    assert [str(cached.query("what @0")) for _ in range(2)] == ["what @0!"] * 2
    assert engine.asked == ["what @0"]


def test_an_answer_that_is_no_text_is_an_error(cache: SemanticCache) -> None:
    class Model(BaseModel):
        a: int = 1

    cached = CachedQueryEngine(Engine(lambda _: PydanticResponse(response=Model())), cache)
    with pytest.raises(InvalidInputError, match="PydanticResponse"):
        cached.query("what @0")


def test_a_query_that_is_not_in_words_goes_past_the_cache(cache: SemanticCache) -> None:
    engine = Engine(response)
    cached = CachedQueryEngine(engine, cache)
    for _ in range(2):
        cached.query(QueryBundle("what @0", embedding=[1.0, 0, 0, 0]))
    assert len(engine.asked) == 2
    assert cache.count() == 0


def test_a_real_query_engine_is_cached(cache: SemanticCache, embed_model: Degrees) -> None:
    nodes = [TextNode(text=f"passage @{n}", id_=f"p{n}") for n in (0, 90)]
    index = VectorStoreIndex(nodes, embed_model=embed_model)
    engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=1)
    cached = CachedQueryEngine(engine, cache)
    first, again = cached.query("what @3"), cached.query("what @4")
    assert str(first) == str(again)
    assert [found.node.node_id for found in again.source_nodes] == ["p0"]
    assert again.source_nodes[0].score == first.source_nodes[0].score
    assert cached.get_prompts()
    assert cache.stats().semantic_hits == 1


class Model(MockLLM):
    """Answers with the last message, and counts."""

    api_key: str = "secret"
    temperature: float = 0.0
    _asked: list[str] = PrivateAttr(default_factory=list)

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        self._asked.append(str(messages[-1].content))
        message = ChatMessage(
            str(messages[-1].content).upper(), role="assistant", additional_kwargs={"a": [1]}
        )
        return ChatResponse(message=message, raw=object(), additional_kwargs={"total_tokens": 3})

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        await asyncio.sleep(0)
        return self.chat(messages, **kwargs)

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._asked.append(prompt)
        return CompletionResponse(text=prompt.upper(), raw=object())

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        await asyncio.sleep(0)
        return self.complete(prompt, formatted, **kwargs)


def said(*texts: str) -> list[ChatMessage]:
    roles = [MessageRole.USER, MessageRole.ASSISTANT]
    system = ChatMessage("be brief", role=MessageRole.SYSTEM)
    return [system, *(ChatMessage(text, role=roles[n % 2]) for n, text in enumerate(texts))]


def test_a_model_is_called_once_for_conversations_that_end_alike(cache: SemanticCache) -> None:
    llm = Model(max_tokens=None)
    cached = CachedLLM(llm, cache)
    for text in ("what @0", "what @0", "near @5"):
        answer = cached.chat(said(text))
        assert answer.message.content == "WHAT @0"
        assert answer.message.additional_kwargs == {"a": [1]}
        assert answer.additional_kwargs == {"total_tokens": 3}
    assert llm._asked == ["what @0"]


def test_what_an_answer_depends_on_is_exact(cache: SemanticCache) -> None:
    llm = Model(max_tokens=None)
    cached = CachedLLM(llm, cache)
    cached.chat(said("what @0"))
    different: list[Callable[[], object]] = [
        lambda: cached.chat(said("hello @0", "hi @0", "what @0")),
        lambda: cached.chat(said("what @0")[1:]),
        lambda: cached.chat(said("what @0"), temperature=1),
        lambda: cached.complete("what @0"),
        lambda: CachedLLM(llm, cache, scope={"tenant": "b"}).chat(said("what @0")),
    ]
    for number, call in enumerate(different, 2):
        call()
        assert len(llm._asked) == number
        call()
        assert len(llm._asked) == number
    warmer = Model(max_tokens=None)
    warm = CachedLLM(warmer, cache)
    warmer.temperature = 0.5
    warm.chat(said("what @0"))
    assert len(warmer._asked) == 1
    same = Model(max_tokens=None)
    same.api_key = "another"
    assert CachedLLM(same, cache).chat(said("near @3")).message.content == "WHAT @0"
    assert same._asked == []
    picture = ChatMessage(
        role=MessageRole.USER,
        blocks=[TextBlock(text="what @0"), ImageBlock(url="https://example.org/x.png")],
    )
    cached.chat([said("")[0], picture])
    assert len(llm._asked) == 7


async def test_a_model_is_awaited(cache: SemanticCache, embed_model: Degrees) -> None:
    llm = Model(max_tokens=None)
    cached = CachedLLM(llm, cache)
    for text in ("what @0", "near @5"):
        assert (await cached.achat(said(text))).message.content == "WHAT @0"
        assert (await cached.acomplete(text)).text == "WHAT @0"
    assert llm._asked == ["what @0", "what @0"]
    assert embed_model._awaited


def test_what_cannot_be_compared_goes_past_the_cache(cache: SemanticCache) -> None:
    llm = Model(max_tokens=None)
    cached = CachedLLM(llm, cache)
    for _ in range(2):
        cached.chat(said("what @0"), tool=object())
        cached.chat([ChatMessage("be brief", role=MessageRole.SYSTEM)])
        cached.complete("what @0", stop=object())
    assert len(llm._asked) == 6
    assert cache.count() == 0
    assert [part.delta for part in cached.stream_complete("ab")] == ["a", "b"]
    assert not cached.metadata.is_function_calling_model


async def test_streams_are_passed_through(cache: SemanticCache) -> None:
    cached = CachedLLM(MockLLM(), cache)
    assert "".join([part.delta or "" for part in cached.stream_chat(said("ab"))])
    assert [part.delta async for part in await cached.astream_complete("ab")] == ["a", "b"]
    assert [part async for part in await cached.astream_chat(said("ab"))]


def test_a_query_engine_works_with_a_cached_model(
    cache: SemanticCache, embed_model: Degrees
) -> None:
    index = VectorStoreIndex([TextNode(text="passage @0")], embed_model=embed_model)
    engine = index.as_query_engine(llm=CachedLLM(MockLLM(), cache))
    assert str(engine.query("what @0")) == str(engine.query("what @0"))
    assert cache.stats().exact_hits == 1


FOREIGN: list[Any] = [
    {"x": 1}, [], None, "text", b"", b"{", b"\xff", b"[1]", {"text": [1]},
    b'{"response":1,"source_nodes":[],"metadata":null}',
    b'{"response":"a","source_nodes":[{}],"metadata":null}',
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FOREIGN)))
async def test_what_something_else_wrote_is_a_miss_and_removed(
    cache: SemanticCache, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    engine, llm = Engine(response), Model(max_tokens=None)
    asked = CachedQueryEngine(engine, cache, scope={"of": "engine"})
    model = CachedLLM(llm, cache)
    chat, completion = (
        model._cache_key(said("what @0"), {}),
        model._scope_of("completion", False, {}),
    )
    assert chat is not None
    for scope in ({"of": "engine"}, chat[1], completion):
        cache.store("near @5", FOREIGN[number], scope)
        cache.store("what @0", FOREIGN[number], scope)
    assert asked.query("what @0") == response("what @0")
    assert model.chat(said("what @0")).message.content == "WHAT @0"
    assert model.complete("what @0").text == "WHAT @0"
    assert "removing an unreadable entry" in caplog.text
    calls = len(llm._asked)
    for scope in ({"of": "engine"}, chat[1], completion):
        cache.store("what @0", FOREIGN[number], scope)
    assert await asked.aquery("what @0") == response("what @0")
    assert (await model.achat(said("what @0"))).message.content == "WHAT @0"
    assert (await model.acomplete("what @0")).text == "WHAT @0"
    assert len(llm._asked) == calls + 2


async def test_dates_are_returned_with_the_nodes(cache: SemanticCache) -> None:
    day = {"day": date(2024, 1, 31), "at": datetime(2024, 1, 31, 12, tzinfo=UTC)}
    node = TextNode(text="source", id_="n1", metadata=day)
    made = Response("text", source_nodes=[NodeWithScore(node=node)], metadata={"n1": day})
    engine = Engine(lambda _: made)
    cached = CachedQueryEngine(engine, cache)
    for _ in range(2):
        assert cached.query("what @0") == made
        assert await cached.aquery("what @0") == made
    assert engine.asked == ["what @0"]


async def test_an_answer_that_cannot_be_serialized_is_returned_and_not_cached(
    cache: SemanticCache, caplog: pytest.LogCaptureFixture
) -> None:
    made = Response("text", metadata={"n1": {"odd": object()}})
    cached = CachedQueryEngine(Engine(lambda _: made), cache)
    assert cached.query("what @0") is made
    assert await cached.aquery("what @0") is made

    class Odd(Model):
        def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
            answer = super().chat(messages, **kwargs)
            answer.message.additional_kwargs["odd"] = object()
            return answer

    model = CachedLLM(Odd(max_tokens=None), cache)
    assert model.chat(said("what @0")).message.content == "WHAT @0"
    assert (await model.achat(said("what @0"))).message.content == "WHAT @0"
    assert caplog.text.count("did not store an answer") == 4
    plain = CachedLLM(Model(max_tokens=None), cache)
    question = ChatMessage("what @0", role="user", additional_kwargs={"odd": object()})
    assert plain.chat([question]).message.content == "WHAT @0"
    assert (await plain.achat([question])).message.content == "WHAT @0"
    assert cache.count() == 0


def test_a_copy_of_a_cached_model_shares_model_and_cache(cache: SemanticCache) -> None:
    llm = Model(max_tokens=None)
    cached = CachedLLM(llm, cache, scope={"tenant": {"name": "a"}})
    cached.complete("what @0")
    copied = copy.deepcopy(cached)
    assert copied.complete("what @0").text == "WHAT @0"
    assert llm._asked == ["what @0"]
    copied._scope["tenant"]["name"] = "b"
    assert cached._scope == {"tenant": {"name": "a"}}
    with pytest.raises(TypeError, match=r"CachedLLM\(llm, cache\)"):
        cached.to_dict()


class Caller(FunctionCallingLLM):
    """Calls the first tool it is given with the question, and answers with what the tool returned."""

    _asked: list[str] = PrivateAttr(default_factory=list)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_function_calling_model=True, model_name="caller")

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        last = messages[-1]
        self._asked.append(str(last.content))
        if last.role is not MessageRole.USER or not kwargs.get("functions"):
            return ChatResponse(message=ChatMessage(f"answer: {last.content}", role="assistant"))
        call = ToolCallBlock(
            tool_call_id="1", tool_name=kwargs["functions"][0], tool_kwargs={"text": last.content}
        )
        return ChatResponse(message=ChatMessage(role=MessageRole.ASSISTANT, blocks=[call]))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        await asyncio.sleep(0)
        return self.chat(messages, **kwargs)

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=prompt)

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        return CompletionResponse(text=prompt)

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        yield self.chat(messages, **kwargs)

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        async def stream() -> Any:
            yield self.chat(messages, **kwargs)

        return stream()

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _prepare_chat_with_tools(  # noqa: PLR0917 - LlamaIndex's signature
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        said = [] if user_msg is None else [ChatMessage(str(user_msg), role=MessageRole.USER)]
        names = [tool.metadata.name for tool in tools]
        return {"messages": [*(chat_history or []), *said], "functions": names, **kwargs}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        return [
            ToolSelection(
                tool_id=str(block.tool_call_id),
                tool_name=block.tool_name,
                tool_kwargs=dict(block.tool_kwargs),  # type: ignore[arg-type]
            )
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock)
        ]


def shout(text: str) -> str:
    """Returns the text in capitals."""
    return text.upper()


async def test_a_model_that_calls_functions_does_so_behind_the_cache(cache: SemanticCache) -> None:
    llm = Caller()
    cached = CachedLLM(llm, cache)
    assert isinstance(cached, FunctionCallingLLM)
    assert isinstance(copy.deepcopy(cached), FunctionCallingLLM)
    assert cached.metadata.is_function_calling_model
    assert not isinstance(CachedLLM(Model(max_tokens=None), cache), FunctionCallingLLM)
    tools = [FunctionTool.from_defaults(shout)]
    for answer in (
        cached.chat_with_tools(tools, "what @0"),
        cached.chat_with_tools(tools, "what @0"),
        await cached.achat_with_tools(tools, "what @0"),
    ):
        (call,) = cached.get_tool_calls_from_response(answer)
        assert (call.tool_name, call.tool_kwargs) == ("shout", {"text": "what @0"})
    assert llm._asked == ["what @0"]
    # A call for a question that only means the same would have the arguments of the other.
    near = cached.get_tool_calls_from_response(cached.chat_with_tools(tools, "near @5"))
    assert [call.tool_kwargs for call in near] == [{"text": "near @5"}]
    assert llm._asked == ["what @0", "near @5"]
    assert str(cached.predict_and_call(tools, "what @0")) == "WHAT @0"
    assert llm._asked == ["what @0", "near @5"]
    # Without tools, what means the same has the same answer.
    for text in ("what @0", "near @5"):
        assert cached.chat(said(text)).message.content == "answer: what @0"
    assert llm._asked == ["what @0", "near @5", "what @0"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_agent_works_with_a_cached_model(cache: SemanticCache) -> None:
    llm = Caller()
    agent = FunctionAgent(
        tools=[FunctionTool.from_defaults(shout)], llm=CachedLLM(llm, cache), streaming=False
    )
    for _ in range(2):
        assert str(await agent.run("what @0")) == "answer: WHAT @0"
    assert llm._asked == ["what @0", "WHAT @0"]
