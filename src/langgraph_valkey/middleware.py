"""Middleware for the agents of LangChain 1.x: caches of model answers and tool results."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias
from uuid import uuid4

try:
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
    from langchain.agents.middleware.types import ToolCallRequest
except ModuleNotFoundError as error:
    raise ImportError(
        'langgraph_valkey.middleware needs langchain: pip install "valkey-vector[agents]"'
    ) from error

from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.types import Command

from langchain_valkey import ValkeyCache, ValkeySemanticCache
from langchain_valkey.serialization import dump_message, load_message
from valkey_vector import ConfigurationError, Connection, InvalidInputError, ServerError
from valkey_vector.cache import CacheHit, ExactCache
from valkey_vector.concurrency.closing import Closing
from valkey_vector.records.representation import shown_as

__all__ = ["SemanticCacheMiddleware", "ThreadPolicy", "ToolCacheMiddleware"]

ThreadPolicy: TypeAlias = Literal["history", "thread", "question"]
"""The part of a conversation that must be equal: the earlier messages, these and the thread, or nothing."""

_UNFINISHED = frozenset({"length", "max_tokens", "content_filter", "refusal"})

_logger = logging.getLogger(__name__)


class SemanticCacheMiddleware(AgentMiddleware[Any, Any, Any]):
    """Semantic cache of an agent's model: a question that means the same gets the stored answer.

    The last human message is compared by meaning. Everything else must be equal: the model and its parameters, the tools, the
    system prompt, the response format, and the part of the conversation that `thread_policy` names. A turn is cached only if
    its last message is a human one. So the model always runs on tool results. An answer is stored only if it is complete and
    has no structured response. Tool calls are stored; they get new ids when the cache returns them.

    Args:
        cache: a `ValkeySemanticCache`, or a `ValkeyCache` for equal questions only. All processes that use the same name
            share the cache.
        thread_policy: ``history``: the earlier messages must be equal, in any thread. ``thread``: they must be equal, in the
            same thread. ``question``: earlier messages are ignored; use this only for agents without memory.
        cacheable: called with the request. Returns False for a turn that must not be cached. None: no such turns.

    Raises:
        ConfigurationError: the thread policy is unknown.
    """

    def __init__(
        self,
        cache: ValkeySemanticCache | ValkeyCache,
        *,
        thread_policy: ThreadPolicy = "history",
        cacheable: Callable[[ModelRequest[Any]], bool] | None = None,
    ) -> None:
        super().__init__()
        if thread_policy not in ("history", "thread", "question"):
            raise ConfigurationError(
                f"thread_policy must be 'history', 'thread' or 'question', not {thread_policy!r}"
            )
        self._cache = cache
        self._policy = thread_policy
        self._cacheable = cacheable

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Answer from the cache, or call the model and store its answer."""
        entry = self._entry(request)
        if entry is None:
            return handler(request)
        response = _response(self._cache.lookup(*entry))
        if response is None:
            response = handler(request)
            if (generations := _generations(response)) is not None:
                self._cache.update(*entry, generations)
        return response

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Async version of `wrap_model_call`."""
        entry = self._entry(request)
        if entry is None:
            return await handler(request)
        response = _response(await self._cache.alookup(*entry))
        if response is None:
            response = await handler(request)
            if (generations := _generations(response)) is not None:
                await self._cache.aupdate(*entry, generations)
        return response

    def _entry(self, request: ModelRequest[Any]) -> tuple[str, str] | None:
        """Return the prompt, and everything else that must be equal. None if the turn is not cached."""
        messages = request.messages
        if not messages or not isinstance(messages[-1], HumanMessage):
            return None
        if self._cacheable is not None and not self._cacheable(request):
            return None
        if self._policy == "question":
            messages = messages[-1:]
        system = [] if request.system_message is None else [request.system_message]
        prompt = dumps(_without_ids([*system, *messages]))
        same = {
            "model": request.model._get_llm_string(),
            "settings": request.model_settings,
            "tools": [_described(tool) for tool in request.tools],
            "tool choice": request.tool_choice,
            "response format": repr(request.response_format),
            "thread": _thread_of(request) if self._policy == "thread" else None,
        }
        return prompt, json.dumps(same, sort_keys=True, default=repr)


class ToolCacheMiddleware(Closing, AgentMiddleware[Any, Any, Any]):
    """Cache of tool results: a call of a listed tool with equal arguments gets the stored result.

    Use it for tools without side effects whose result depends on their arguments alone. Put other inputs, such as a user in
    the agent's state, into `scope`. Results that are errors or commands are not stored.

    Cost: one round trip for a lookup, one for storing a result.

    Args:
        tools: the names of the tools, each with the time to live of its results in seconds, > 0, or None for no expiration.
        scope: called with the tool call. Returns a dict of JSON values that must be equal, too.
        name: caches of different names never see each other's results. Any non-empty text.
        on_error: the reaction when the server fails. ``miss`` continues without the cache and logs one warning. ``raise`` raises.
        url: the server. Default: ``VALKEY_URL``, or a private server that ends with the process.
        connection: an open connection to share instead. The middleware does not close it.

    Raises:
        ConfigurationError: a setting is invalid.
    """

    def __init__(
        self,
        tools: Mapping[str, float | None],
        *,
        scope: Callable[[ToolCallRequest], Mapping[str, Any]] | None = None,
        name: str = "tools",
        on_error: Literal["raise", "miss"] = "miss",
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(tools, Mapping):
            raise ConfigurationError(
                f"tools must be a dict of names and seconds, not a {type(tools).__name__}"
            )
        self._ttls = dict(tools)
        self._scope = scope
        self._core: ExactCache = ExactCache(name, on_error=on_error, url=url, connection=connection)

    @property
    def cache(self) -> ExactCache:
        """The cache of the core, for operations that middleware does not have: `clear`, `failures`."""
        return self._core

    def __repr__(self) -> str:
        return shown_as(self, self._core)

    def close(self) -> None:
        """Release the connection, unless it was passed as `connection`."""
        self._core.close()

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Answer from the cache, or call the tool and store its result."""
        entry = self._entry(request)
        if entry is None:
            return handler(request)
        cached = _result(self._core.lookup(*entry), request)
        if cached is not None:
            return cached
        result = handler(request)
        if (data := _dumped(result)) is not None:
            self._core.store(entry[0], data, entry[1], ttl=self._ttl(request))
        return result

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Async version of `wrap_tool_call`."""
        entry = self._entry(request)
        if entry is None:
            return await handler(request)
        cached = _result(await self._core.alookup(*entry), request)
        if cached is not None:
            return cached
        result = await handler(request)
        if (data := _dumped(result)) is not None:
            await self._core.astore(entry[0], data, entry[1], ttl=self._ttl(request))
        return result

    def _ttl(self, request: ToolCallRequest) -> float | None:
        return self._ttls[request.tool_call["name"]]

    def _entry(self, request: ToolCallRequest) -> tuple[str, dict[str, Any]] | None:
        """Return the arguments of a call, and its scope. None if the tool is not cached."""
        name = request.tool_call["name"]
        if name not in self._ttls:
            return None
        own = {} if self._scope is None else dict(self._scope(request))
        return json.dumps(request.tool_call["args"], sort_keys=True), {"tool": name, "scope": own}


def _described(tool: BaseTool | Mapping[str, Any]) -> Any:
    return convert_to_openai_tool(tool) if isinstance(tool, BaseTool) else dict(tool)


def _thread_of(request: ModelRequest[Any]) -> Any:
    """Return the id of the thread that the agent runs in."""
    info = getattr(request.runtime, "execution_info", None)
    thread = getattr(info, "thread_id", None)
    if thread is None:
        raise ConfigurationError(
            "thread_policy 'thread' needs a thread: run the agent with a checkpointer and a thread_id"
        )
    return thread


def _without_ids(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Copy messages without the parts that differ each time: ids, and the model's metadata of its answer."""
    calls: dict[str, str] = {}
    copies = []
    for message in messages:
        update: dict[str, Any] = {"id": None, "response_metadata": {}}
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                calls.setdefault(str(call["id"]), f"call {len(calls)}")
            update["usage_metadata"] = None
        copies.append(_renamed(message.model_copy(update=update), calls))
    return copies


def _renamed(message: BaseMessage, names: Mapping[str, str]) -> BaseMessage:
    """Copy a message with other ids of tool calls, wherever it contains them."""

    def rename(value: Any) -> Any:
        match value:
            case str():
                return names.get(value, value)
            case list():
                return [rename(item) for item in value]
            case dict():
                return {key: rename(item) for key, item in value.items()}
            case _:
                return value

    update: dict[str, Any] = {"additional_kwargs": rename(message.additional_kwargs)}
    if isinstance(message.content, list):
        update["content"] = rename(message.content)
    if isinstance(message, AIMessage):
        update["tool_calls"] = [
            {**call, "id": names.get(str(call["id"]), call["id"])} for call in message.tool_calls
        ]
    if isinstance(message, ToolMessage):
        update["tool_call_id"] = names.get(message.tool_call_id, message.tool_call_id)
    return message.model_copy(update=update)


def _response(found: Sequence[Generation] | None) -> ModelResponse[Any] | None:
    """Return stored generations as a response with new ids, so that it is a message of its own in every thread."""
    if found is None:
        return None
    messages: list[BaseMessage] = []
    for generation in found:
        if not isinstance(generation, ChatGeneration) or not isinstance(
            generation.message, AIMessage
        ):
            return None
        message = generation.message
        names = {str(call["id"]): f"call_{uuid4().hex}" for call in message.tool_calls}
        messages.append(_renamed(message.model_copy(update={"id": None}), names))
    return ModelResponse(result=messages)


def _generations(response: ModelResponse[Any]) -> list[ChatGeneration] | None:
    """Return the generations of a response to store; None if it is not complete."""
    if response.structured_response is not None or len(response.result) != 1:
        return None
    message: AnyMessage | BaseMessage = response.result[0]
    if not isinstance(message, AIMessage) or message.invalid_tool_calls:
        return None
    metadata = message.response_metadata
    reason = metadata.get("finish_reason") or metadata.get("stop_reason")
    return None if reason in _UNFINISHED else [ChatGeneration(message=message)]


def _dumped(result: ToolMessage | Command[Any]) -> bytes | None:
    """Return the bytes of a tool's result to store; None if it must not be stored."""
    if not isinstance(result, ToolMessage) or result.status == "error":
        return None
    try:
        return dump_message(result.model_copy(update={"id": None}))
    except InvalidInputError as error:
        _logger.warning("the result of tool %r is not cached: %s", result.name, error)
        return None


def _result(hit: CacheHit | None, request: ToolCallRequest) -> ToolMessage | None:
    """Return the stored result as the answer to this call; None if there is none or it cannot be used."""
    if hit is None or not isinstance(hit.answer, bytes):
        return None
    try:
        message = load_message(hit.answer)
    except ServerError as error:
        _logger.warning(
            "the cached result of tool %r is ignored: %s", request.tool_call["name"], error
        )
        return None
    if not isinstance(message, ToolMessage):
        return None
    return message.model_copy(update={"tool_call_id": request.tool_call["id"]})
