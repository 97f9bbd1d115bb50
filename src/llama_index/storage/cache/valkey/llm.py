"""`CachedLLM`: LlamaIndex LLM with a semantic cache."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    TextBlock,
)
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM, ToolSelection
from llama_index.core.tools.types import BaseTool

from llama_index.storage.cache.valkey.answers import UNSTORABLE, Answers
from valkey_vector.cache import SemanticCache

__all__ = ["CachedLLM"]

_SECRETS = ("key", "password", "secret", "_token", "headers")
"""Suffixes of settings that are secret. An answer does not depend on them, so the scope omits them."""


class CachedLLM(LLM):
    """Answer repeated questions from a semantic cache instead of the language model.

    The last user message is the question, compared by similarity. The rest of the conversation, the model, its settings
    and the options of the call must be equal. Cached answers do not contain the provider's ``raw`` object. Copies share
    the model and the cache.

    Not cached: streams, chats without a user message, and calls whose messages or options are not JSON. An answer that
    is not JSON is returned but not stored, with a warning in the log.

    Over a model that calls functions, the object is also a `FunctionCallingLLM`. Answers to calls with tools are reused
    only for an identical conversation with identical tools, because a tool call contains the arguments of its question.

    Args:
        llm: language model to call.
        cache: cache of the core, such as ``SemanticCache(QueryEmbedder(embed_model))``.
        scope: JSON values that must be equal for a hit, in addition to the scope of the cache, such as a tenant.
    """

    _llm: LLM = PrivateAttr()
    _chats: Answers[ChatResponse] = PrivateAttr()
    _completions: Answers[CompletionResponse] = PrivateAttr()
    _scope: dict[str, Any] = PrivateAttr()

    def __new__(cls, llm: LLM | None = None, *_: Any, **__: Any) -> Self:
        """Select the class by the model: LlamaIndex checks for `FunctionCallingLLM` with isinstance."""
        calls = cls is CachedLLM and isinstance(llm, FunctionCallingLLM)
        created: Any = object.__new__(_CachedFunctionCallingLLM if calls else cls)
        return created  # type: ignore[no-any-return]  # `cls`, or a subclass

    def __init__(
        self, llm: LLM, cache: SemanticCache, *, scope: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(
            callback_manager=llm.callback_manager,
            system_prompt=llm.system_prompt,
            messages_to_prompt=llm.messages_to_prompt,
            completion_to_prompt=llm.completion_to_prompt,
            output_parser=llm.output_parser,
            pydantic_program_mode=llm.pydantic_program_mode,
        )
        self._llm = llm
        self._chats = Answers(cache, _dumped, ChatResponse.model_validate)
        self._completions = Answers(cache, _dumped, CompletionResponse.model_validate)
        self._scope = dict(scope or {})
        _described(llm)  # raises now if the settings of the model cannot be serialized

    @classmethod
    def class_name(cls) -> str:
        """The class name in LlamaIndex's serialized form."""
        return "CachedLLM"

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy the settings. The copy shares the model and the cache, which contain connections and locks."""
        copied = self.model_copy()
        copied._scope = copy.deepcopy(self._scope, memo)
        return copied

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """Raise: the cache and the model cannot be recreated from a dict.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "a CachedLLM cannot be serialized; serialize the model with its own to_dict(), load it, and create "
            "CachedLLM(llm, cache)"
        )

    @property
    def metadata(self) -> LLMMetadata:
        """The metadata of the model. Function calling requires that the model is a `FunctionCallingLLM`."""
        known = self._llm.metadata
        calls = known.is_function_calling_model and isinstance(self._llm, FunctionCallingLLM)
        return known.model_copy(update={"is_function_calling_model": calls})

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Return an answer to a conversation, from the cache if possible."""
        return self._chat(messages, kwargs, exactly="tools" in kwargs)

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Async version of `chat`."""
        return await self._achat(messages, kwargs, exactly="tools" in kwargs)

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Return the completion of a text, from the cache if possible."""
        scope = self._scope_of("completion", formatted, kwargs)
        if scope is None:
            return self._llm.complete(prompt, formatted=formatted, **kwargs)

        def create() -> CompletionResponse:
            return self._llm.complete(prompt, formatted=formatted, **kwargs)

        return self._completions.get(prompt, scope, create)

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Async version of `complete`."""
        scope = self._scope_of("completion", formatted, kwargs)
        if scope is None:
            return await self._llm.acomplete(prompt, formatted=formatted, **kwargs)

        async def create() -> CompletionResponse:
            return await self._llm.acomplete(prompt, formatted=formatted, **kwargs)

        return await self._completions.aget(prompt, scope, create)

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Call the model. Streams are not cached."""
        return self._llm.stream_chat(messages, **kwargs)

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Call the model. Streams are not cached."""
        return await self._llm.astream_chat(messages, **kwargs)

    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """Call the model. Streams are not cached."""
        return self._llm.stream_complete(prompt, formatted=formatted, **kwargs)

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Call the model. Streams are not cached."""
        return await self._llm.astream_complete(prompt, formatted=formatted, **kwargs)

    def _chat(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any], *, exactly: bool
    ) -> ChatResponse:
        key = self._cache_key(messages, options, exactly=exactly)
        if key is None:
            return self._llm.chat(messages, **options)
        return self._chats.get(*key, lambda: self._llm.chat(messages, **options))

    async def _achat(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any], *, exactly: bool
    ) -> ChatResponse:
        key = self._cache_key(messages, options, exactly=exactly)
        if key is None:
            return await self._llm.achat(messages, **options)
        return await self._chats.aget(*key, lambda: self._llm.achat(messages, **options))

    def _cache_key(
        self,
        messages: Sequence[ChatMessage],
        options: Mapping[str, Any],
        *,
        exactly: bool = False,
    ) -> tuple[str, dict[str, Any]] | None:
        """Return the question and the scope of a chat, or None if the call is not cacheable.

        Args:
            messages: the conversation.
            options: options of the call.
            exactly: add the question to the scope, so that only an identical question is a hit.
        """
        said = [n for n, message in enumerate(messages) if message.role is MessageRole.USER]
        if not said or not messages[said[-1]].content:
            return None
        try:
            rest = [message.model_dump(mode="json") for message in messages]
            rest[said[-1]]["blocks"] = [
                block.model_dump(mode="json") if not isinstance(block, TextBlock) else "text"
                for block in messages[said[-1]].blocks
            ]
        except UNSTORABLE:
            return None  # not JSON, as with options below
        question = str(messages[said[-1]].content)
        scope = self._scope_of("chat", [question, rest] if exactly else rest, options)
        return None if scope is None else (question, scope)

    def _scope_of(
        self, kind: str, context: Any, options: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        try:
            return {
                **self._scope,
                "llm": _digest(_described(self._llm)),
                "kind": kind,
                "context": _digest(context),
                "options": _digest(dict(options)),
            }
        except UNSTORABLE:
            # Options that are not JSON cannot be compared.
            return None


class _CachedFunctionCallingLLM(CachedLLM, FunctionCallingLLM):
    """A `CachedLLM` over a model that calls functions."""

    def chat_with_tools(  # noqa: PLR0917 - LlamaIndex's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        """Return an answer to a conversation, or the tools to call."""
        options = self._prepare_chat_with_tools_compat(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, tool_required,
            **kwargs,
        )  # fmt: skip
        answer = self._chat(options.pop("messages"), options, exactly=True)
        return self._validate_chat_with_tools_response(
            answer, tools, allow_parallel_tool_calls, **kwargs
        )

    async def achat_with_tools(  # noqa: PLR0917 - likewise
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        """Async version of `chat_with_tools`."""
        options = self._prepare_chat_with_tools_compat(
            tools, user_msg, chat_history, verbose, allow_parallel_tool_calls, tool_required,
            **kwargs,
        )  # fmt: skip
        answer = await self._achat(options.pop("messages"), options, exactly=True)
        return self._validate_chat_with_tools_response(
            answer, tools, allow_parallel_tool_calls, **kwargs
        )

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """Return the tools to call, as the model parses them from its answer."""
        return self._model.get_tool_calls_from_response(
            response, error_on_no_tool_call=error_on_no_tool_call, **kwargs
        )

    @property
    def _model(self) -> FunctionCallingLLM:
        model: Any = self._llm
        return model  # type: ignore[no-any-return]  # `CachedLLM.__new__` selected this class by it

    def _prepare_chat_with_tools(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        return self._model._prepare_chat_with_tools(tools, *args, **kwargs)

    def _prepare_chat_with_tools_compat(
        self, tools: Sequence[BaseTool], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        return self._model._prepare_chat_with_tools_compat(tools, *args, **kwargs)

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,
    ) -> ChatResponse:
        return self._model._validate_chat_with_tools_response(
            response, tools, allow_parallel_tool_calls=allow_parallel_tool_calls, **kwargs
        )


def _described(llm: LLM) -> dict[str, Any]:
    """Return the model and its settings, on which an answer depends."""
    settings = llm.model_dump(mode="json")
    public = {name: value for name, value in settings.items() if not name.endswith(_SECRETS)}
    return {
        "class": type(llm).__qualname__,
        "settings": public,
        "model": llm.metadata.model_dump(mode="json"),
    }


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=20).hexdigest()


def _dumped(response: ChatResponse | CompletionResponse) -> dict[str, Any]:
    """Serialize an answer to JSON. LlamaIndex's types validate it on load, so no other class is created."""
    dumped: dict[str, Any] = response.model_dump(mode="json", exclude={"raw", "delta"})
    return dumped
