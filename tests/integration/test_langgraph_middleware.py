"""Middleware of agents: calls of the model or a tool, and results from the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from pydantic import Field

from langchain_valkey import ValkeyCache, ValkeySemanticCache
from langgraph_savers import thread
from langgraph_valkey import ValkeySaver
from langgraph_valkey.middleware import SemanticCacheMiddleware, ToolCacheMiddleware
from valkey_vector import ConfigurationError
from valkey_vector.connection import Connection

TOPICS = ["weather", "opening", "price"]


class Topics(Embeddings):
    """Points to the topic that a text is about."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0 if topic in text else 0.1 for topic in TOPICS] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class Model(BaseChatModel):
    """Counts its calls; calls a tool about the weather, and answers anything else at once."""

    name: str = "one"
    asked: list[list[BaseMessage]] = Field(default_factory=list, exclude=True)
    reason: str = "stop"

    @property
    def _llm_type(self) -> str:
        return "counting"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"name": self.name}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        self.asked.append(list(messages))
        last = messages[-1]
        if isinstance(last, HumanMessage) and "weather" in last.text:
            call = {"name": "weather", "args": {"city": "Paris"}, "id": f"id{len(self.asked)}"}
            answer = AIMessage("", tool_calls=[call])
        else:
            answer = AIMessage(
                f"answer {len(self.asked)}", response_metadata={"finish_reason": self.reason}
            )
        return ChatResult(generations=[ChatGeneration(message=answer)])


class Tools:
    """A tool that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        calls = self.calls

        @tool
        def weather(city: str) -> str:
            """The weather in a city."""
            calls.append(city)
            if city == "Atlantis":
                raise ValueError("no such city")
            return f"sunny {len(calls)}"

        self.weather = weather


@pytest.fixture
def connection(server_url: str) -> Iterator[Connection]:
    with Connection.open(server_url) as opened:
        yield opened


@pytest.fixture
def cache(connection: Connection, index_name: str) -> ValkeySemanticCache:
    return ValkeySemanticCache(
        Topics(), index_name, threshold=0.9, connection=connection, on_error="raise"
    )


def asked(agent: Any, text: str, **more: Any) -> Any:
    return agent.invoke({"messages": [HumanMessage(text)]}, **more)["messages"]


def test_a_question_that_means_the_same_calls_the_model_once(cache: ValkeySemanticCache) -> None:
    model = Model()
    agent = create_agent(model, middleware=[SemanticCacheMiddleware(cache)])
    first = asked(agent, "what are your opening hours?")
    again = asked(agent, "when are you opening?")
    assert [message.content for message in (first[-1], again[-1])] == ["answer 1", "answer 1"]
    assert first[-1].id != again[-1].id
    assert asked(agent, "what is the price?")[-1].content == "answer 2"
    assert len(model.asked) == 2


async def test_an_async_agent_shares_the_cache(cache: ValkeySemanticCache) -> None:
    model = Model()
    agent = create_agent(model, middleware=[SemanticCacheMiddleware(cache)])
    asked(agent, "opening?")
    state = await agent.ainvoke({"messages": [HumanMessage("opening hours")]})
    assert state["messages"][-1].content == "answer 1"
    state = await agent.ainvoke({"messages": [HumanMessage("the price")]})
    assert state["messages"][-1].content == "answer 2"


def test_all_else_must_be_the_same(cache: ValkeySemanticCache) -> None:
    models = [Model(), Model(name="two"), Model(), Model(), Model()]
    tools = [[], [], [], [Tools().weather], []]
    prompts = [None, None, "be brief", None, None]
    for model, own, prompt in zip(models, tools, prompts, strict=True):
        agent: Any = create_agent(
            model, tools=own, system_prompt=prompt, middleware=[SemanticCacheMiddleware(cache)]
        )
        asked(agent, "opening?")
    assert [len(model.asked) for model in models] == [1, 1, 1, 1, 0]


def test_tool_calls_are_kept_with_ids_of_their_own(cache: ValkeySemanticCache) -> None:
    model, tools = Model(), Tools()
    agent = create_agent(model, tools=[tools.weather], middleware=[SemanticCacheMiddleware(cache)])
    first, again = asked(agent, "weather in Paris?"), asked(agent, "the weather of Paris")
    assert [len(messages) for messages in (first, again)] == [4, 4]
    assert again[1].tool_calls[0]["args"] == {"city": "Paris"}
    assert again[1].tool_calls[0]["id"] != first[1].tool_calls[0]["id"]
    assert again[2].tool_call_id == again[1].tool_calls[0]["id"]
    assert again[2].content == "sunny 2"  # the tool is called again, and its result told anew
    assert len(model.asked) == 3


@pytest.mark.parametrize(("policy", "calls"), [("history", 2), ("thread", 3), ("question", 1)])
def test_the_thread_policy_determines_what_else_must_be_equal(
    cache: ValkeySemanticCache, connection: Connection, index_name: str, policy: Any, calls: int
) -> None:
    model = Model()
    saver = ValkeySaver(connection=connection, namespace=index_name)
    middleware = SemanticCacheMiddleware(cache, thread_policy=policy)
    agent = create_agent(model, middleware=[middleware], checkpointer=saver)
    asked(agent, "opening?", config=thread("a"))
    asked(agent, "opening?", config=thread("b"))  # the same history, another thread
    asked(agent, "opening?", config=thread("b"))  # another history
    assert len(model.asked) == calls
    assert len(asked(agent, "opening?", config=thread("b"))) == 6


def test_histories_with_tool_calls_are_equal_with_any_ids(
    cache: ValkeySemanticCache,
) -> None:
    def history(number: int) -> list[BaseMessage]:
        call = {"name": "weather", "args": {"city": "Paris"}, "id": f"call{number}"}
        return [
            HumanMessage("hi", id=f"h{number}"),
            AIMessage("", tool_calls=[call], id=f"a{number}"),
            ToolMessage("sunny", tool_call_id=f"call{number}", id=f"t{number}"),
            AIMessage("sunny", response_metadata={"request": number}),
            HumanMessage("opening?", id=f"o{number}"),
        ]

    model = Model()
    agent: Any = create_agent(model, middleware=[SemanticCacheMiddleware(cache)])
    for number in range(3):
        agent.invoke({"messages": history(number)})
    assert len(model.asked) == 1


def test_turns_that_are_not_cacheable_are_not_cached(cache: ValkeySemanticCache) -> None:
    def short(request: ModelRequest[Any]) -> bool:
        return len(str(request.messages[-1].content)) < 20

    cut = Model(reason="length")
    agent = create_agent(cut, middleware=[SemanticCacheMiddleware(cache)])
    for _ in range(2):
        asked(agent, "opening?")
    assert len(cut.asked) == 2
    model = Model()
    agent = create_agent(model, middleware=[SemanticCacheMiddleware(cache, cacheable=short)])
    for _ in range(2):
        asked(agent, "when in the world are you opening?")
    assert len(model.asked) == 2
    with pytest.raises(ConfigurationError, match="thread_policy"):
        SemanticCacheMiddleware(cache, thread_policy="none")  # type: ignore[arg-type]


def test_an_exact_cache_answers_the_very_same_question(
    connection: Connection, index_name: str
) -> None:
    model = Model()
    middleware = SemanticCacheMiddleware(ValkeyCache(index_name, connection=connection))
    agent = create_agent(model, middleware=[middleware])
    for text in ("opening?", "opening?", "opening hours?"):
        asked(agent, text)
    assert len(model.asked) == 2


def test_results_of_named_tools_are_returned_from_the_cache(
    connection: Connection, index_name: str
) -> None:
    tools, model = Tools(), Model()
    middleware = ToolCacheMiddleware({"weather": 60}, name=index_name, connection=connection)
    agent = create_agent(model, tools=[tools.weather], middleware=[middleware])
    first, again = asked(agent, "weather?"), asked(agent, "the weather!")
    assert tools.calls == ["Paris"]
    assert again[2].content == first[2].content == "sunny 1"
    assert again[2].tool_call_id == again[1].tool_calls[0]["id"]
    assert again[2].id != first[2].id
    middleware.cache.clear()
    asked(agent, "weather?")
    assert tools.calls == ["Paris", "Paris"]


async def test_results_are_returned_from_the_cache_in_an_async_agent(
    connection: Connection, index_name: str
) -> None:
    tools = Tools()
    middleware = ToolCacheMiddleware({"weather": None}, name=index_name, connection=connection)
    agent: Any = create_agent(Model(), tools=[tools.weather], middleware=[middleware])
    for _ in range(2):
        await agent.ainvoke({"messages": [HumanMessage("weather?")]})
    assert tools.calls == ["Paris"]


def test_other_tools_and_scopes_are_left_alone(connection: Connection, index_name: str) -> None:
    tools = Tools()
    users = iter(["ann", "bob", "ann"])
    middleware = ToolCacheMiddleware(
        {"weather": 60},
        scope=lambda _: {"user": next(users)},
        name=index_name,
        connection=connection,
    )
    agent = create_agent(Model(), tools=[tools.weather], middleware=[middleware])
    for _ in range(3):
        asked(agent, "weather?")
    assert len(tools.calls) == 2
    other = ToolCacheMiddleware({"news": 60}, name=index_name, connection=connection)
    agent = create_agent(Model(), tools=[tools.weather], middleware=[other])
    asked(agent, "weather?")
    assert len(tools.calls) == 3
    with pytest.raises(ConfigurationError, match="tools must be a dict"):
        ToolCacheMiddleware(["weather"])  # type: ignore[arg-type]


def test_an_outage_is_a_miss(index_name: str) -> None:
    tools = Tools()
    middleware = ToolCacheMiddleware({"weather": 60}, name=index_name, url="valkey://127.0.0.1:1")
    agent = create_agent(Model(), tools=[tools.weather], middleware=[middleware])
    assert asked(agent, "weather?")[2].content == "sunny 1"
    assert middleware.cache.failures == 2
