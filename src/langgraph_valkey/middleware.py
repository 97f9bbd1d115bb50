"""Middleware for the agents of LangChain 1.x: answers of the model and results of tools are used again."""

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
"""What else of a conversation must be the same: its earlier messages, these and the thread, or nothing."""

_UNFINISHED = frozenset({"length", "max_tokens", "content_filter", "refusal"})

_logger = logging.getLogger(__name__)


class SemanticCacheMiddleware(AgentMiddleware[Any, Any, Any]):
    """Answers of an agent's model, given again to a question that means the same.

    The last human message is compared by meaning. All else must be the same: the model with its parameters, the tools, the
    system prompt, and of the conversation what `thread_policy` says. A turn is cached only if it begins with a human message:
    what the model makes of tool results is always made anew. An answer is kept only if it is complete and has no structured
    response. Tool calls are kept, and get new ids when they are given again.

    Args:
        cache: a `ValkeySemanticCache`, or a `ValkeyCache` for the very same questions only. Both are shared by all processes
            that use the same name.
        thread_policy: ``history``: the earlier messages must be the same, in whatever thread; ``thread``: in the same thread
            only; ``question``: earlier messages do not matter. Use this only for agents without memory.
        cacheable: decides on further turns that are not to be cached; gets the request.

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
        """Answer from the cache, or call the model and keep its answer."""
        asked = self._asked(request)
        if asked is None:
            return handler(request)
        found = _response(self._cache.lookup(*asked))
        if found is None:
            found = handler(request)
            if (kept := _generations(found)) is not None:
                self._cache.update(*asked, kept)
        return found

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Async version of `wrap_model_call`."""
        asked = self._asked(request)
        if asked is None:
            return await handler(request)
        found = _response(await self._cache.alookup(*asked))
        if found is None:
            found = await handler(request)
            if (kept := _generations(found)) is not None:
                await self._cache.aupdate(*asked, kept)
        return found

    def _asked(self, request: ModelRequest[Any]) -> tuple[str, str] | None:
        """The prompt, and all that must be the same beside it; None if the turn is not to be cached."""
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
    """Results of named tools, given again to a call with the very same arguments.

    Only for tools without side effects whose result depends on their arguments alone; what else it depends on, such as a user
    in the agent's state, belongs into `scope`. Results that are errors or commands are not kept. A lookup and a store are one
    round trip each.

    Args:
        tools: the names of the tools, each with the seconds that a result is kept, or None to keep it.
        scope: makes a dict of JSON values from a call, which must be the same.
        name: caches of different names never meet; any non-empty text.
        on_error: what happens if the server fails: ``miss`` goes on without the cache and logs one warning; ``raise`` raises.
        url: the server; by default ``VALKEY_URL``, or a private server that ends with the process.
        connection: an open connection to share instead; it is not closed with this.

    Raises:
        ConfigurationError: a setting is wrong.
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
        """The core's cache, for what middleware has no words for: `clear`, `failures`."""
        return self._core

    def __repr__(self) -> str:
        return shown_as(self, self._core)

    def close(self) -> None:
        """Release the connection, unless it was given."""
        self._core.close()

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Answer from the cache, or call the tool and keep its result."""
        asked = self._asked(request)
        if asked is None:
            return handler(request)
        found = _result(self._core.lookup(*asked), request)
        if found is not None:
            return found
        made = handler(request)
        if (kept := _kept(made)) is not None:
            self._core.store(asked[0], kept, asked[1], ttl=self._ttl(request))
        return made

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Async version of `wrap_tool_call`."""
        asked = self._asked(request)
        if asked is None:
            return await handler(request)
        found = _result(await self._core.alookup(*asked), request)
        if found is not None:
            return found
        made = await handler(request)
        if (kept := _kept(made)) is not None:
            await self._core.astore(asked[0], kept, asked[1], ttl=self._ttl(request))
        return made

    def _ttl(self, request: ToolCallRequest) -> float | None:
        return self._ttls[request.tool_call["name"]]

    def _asked(self, request: ToolCallRequest) -> tuple[str, dict[str, Any]] | None:
        """The arguments of a call, and the scope; None if its tool is not one of those to cache."""
        name = request.tool_call["name"]
        if name not in self._ttls:
            return None
        own = {} if self._scope is None else dict(self._scope(request))
        return json.dumps(request.tool_call["args"], sort_keys=True), {"tool": name, "scope": own}


def _described(tool: BaseTool | Mapping[str, Any]) -> Any:
    return convert_to_openai_tool(tool) if isinstance(tool, BaseTool) else dict(tool)


def _thread_of(request: ModelRequest[Any]) -> Any:
    """The thread that the agent runs in."""
    info = getattr(request.runtime, "execution_info", None)
    thread = getattr(info, "thread_id", None)
    if thread is None:
        raise ConfigurationError(
            "thread_policy 'thread' needs a thread: run the agent with a checkpointer and a thread_id"
        )
    return thread


def _without_ids(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Copies of messages without what is different each time: ids, and the model's remarks on its answer."""
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
    """A copy of a message with other ids of tool calls, wherever it mentions them."""

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
    """A response with new ids, so that it is a message of its own in whatever thread it is given again."""
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
    """What to keep of a response; None if it is not complete."""
    if response.structured_response is not None or len(response.result) != 1:
        return None
    message: AnyMessage | BaseMessage = response.result[0]
    if not isinstance(message, AIMessage) or message.invalid_tool_calls:
        return None
    remarks = message.response_metadata
    reason = remarks.get("finish_reason") or remarks.get("stop_reason")
    return None if reason in _UNFINISHED else [ChatGeneration(message=message)]


def _kept(made: ToolMessage | Command[Any]) -> bytes | None:
    """The bytes to keep of a tool's result; None if it is not to be kept."""
    if not isinstance(made, ToolMessage) or made.status == "error":
        return None
    try:
        return dump_message(made.model_copy(update={"id": None}))
    except InvalidInputError as error:
        _logger.warning("the result of tool %r is not kept: %s", made.name, error)
        return None


def _result(hit: CacheHit | None, request: ToolCallRequest) -> ToolMessage | None:
    """The kept result as an answer to this call."""
    if hit is None or not isinstance(hit.answer, bytes):
        return None
    try:
        message = load_message(hit.answer)
    except ServerError as error:
        _logger.warning("a kept result of a tool cannot be used: %s", error)
        return None
    if not isinstance(message, ToolMessage):
        return None
    return message.model_copy(update={"tool_call_id": request.tool_call["id"]})
