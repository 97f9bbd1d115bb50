"""`CachedLLM`: a language model whose answers are given again to the same question, or one that means the same."""

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
"""How settings end that an answer does not depend on, and that are nobody's business."""


class CachedLLM(LLM):
    """Asks a language model only what was not asked before.

    The last thing the user said is the question; the rest of the conversation, the model, its settings and the call's
    options must be the very same. Streams are passed through and not cached, like a chat in which the user says nothing, and calls with
    messages or options that are not JSON; an answer that is not is given and not kept, with a warning. An answer comes
    back without the provider's own ``raw`` object. Copies share the model and the cache.

    Over a model that calls functions this is a `FunctionCallingLLM`, too. What it answers when it is given tools is
    given again to the very same conversation with the very same tools only: a tool call made for a similar question
    would have that question's arguments.

    Args:
        llm: makes the answers.
        cache: keeps them; of the core, for instance ``SemanticCache(QueryEmbedder(embed_model))``.
        scope: over the cache's own: tenant, …
    """

    _llm: LLM = PrivateAttr()
    _chats: Answers[ChatResponse] = PrivateAttr()
    _completions: Answers[CompletionResponse] = PrivateAttr()
    _scope: dict[str, Any] = PrivateAttr()

    def __new__(cls, llm: LLM | None = None, *_: Any, **__: Any) -> Self:
        """The class for the model: one that calls functions needs what LlamaIndex looks for in such."""
        calls = cls is CachedLLM and isinstance(llm, FunctionCallingLLM)
        made: Any = object.__new__(_CachedFunctionCallingLLM if calls else cls)
        return made  # type: ignore[no-any-return]

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
        _described(llm)  # a model that cannot tell its settings is found out now

    @classmethod
    def class_name(cls) -> str:
        """The name by which LlamaIndex knows the class."""
        return "CachedLLM"

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy with settings of its own that shares the model and the cache, which hold connections and locks."""
        copied = self.model_copy()
        copied._scope = copy.deepcopy(self._scope, memo)
        return copied

    def to_dict(self, **_: Any) -> dict[str, Any]:
        """Refused: neither the cache nor the model could be made of it again.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "a CachedLLM cannot be written down; write the model's own to_dict() down, and make CachedLLM(llm, cache) "
            "of the model that was loaded"
        )

    @property
    def metadata(self) -> LLMMetadata:
        """The model's; it calls functions if the model is a `FunctionCallingLLM` that does."""
        known = self._llm.metadata
        calls = known.is_function_calling_model and isinstance(self._llm, FunctionCallingLLM)
        return known.model_copy(update={"is_function_calling_model": calls})

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """An answer to a conversation."""
        return self._chat(messages, kwargs, exactly="tools" in kwargs)

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Async version of `chat`."""
        return await self._achat(messages, kwargs, exactly="tools" in kwargs)

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """What follows a text."""
        scope = self._scope_of("completion", formatted, kwargs)
        if scope is None:
            return self._llm.complete(prompt, formatted=formatted, **kwargs)

        def make() -> CompletionResponse:
            return self._llm.complete(prompt, formatted=formatted, **kwargs)

        return self._completions.get(prompt, scope, make)

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """Async version of `complete`."""
        scope = self._scope_of("completion", formatted, kwargs)
        if scope is None:
            return await self._llm.acomplete(prompt, formatted=formatted, **kwargs)

        async def make() -> CompletionResponse:
            return await self._llm.acomplete(prompt, formatted=formatted, **kwargs)

        return await self._completions.aget(prompt, scope, make)

    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """As the model does."""
        return self._llm.stream_chat(messages, **kwargs)

    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """As the model does."""
        return await self._llm.astream_chat(messages, **kwargs)

    def stream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseGen:
        """As the model does."""
        return self._llm.stream_complete(prompt, formatted=formatted, **kwargs)

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """As the model does."""
        return await self._llm.astream_complete(prompt, formatted=formatted, **kwargs)

    def _chat(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any], *, exactly: bool
    ) -> ChatResponse:
        asked = self._asked(messages, options, exactly=exactly)
        if asked is None:
            return self._llm.chat(messages, **options)
        return self._chats.get(*asked, lambda: self._llm.chat(messages, **options))

    async def _achat(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any], *, exactly: bool
    ) -> ChatResponse:
        asked = self._asked(messages, options, exactly=exactly)
        if asked is None:
            return await self._llm.achat(messages, **options)
        return await self._chats.aget(*asked, lambda: self._llm.achat(messages, **options))

    def _asked(
        self,
        messages: Sequence[ChatMessage],
        options: Mapping[str, Any],
        *,
        exactly: bool = False,
    ) -> tuple[str, dict[str, Any]] | None:
        """The question and the scope of a chat; None if it is not to be cached.

        Args:
            messages: the conversation.
            options: the call's.
            exactly: the question is part of the scope, so that none serves that only means the same.
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
            return None  # as with options, below
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
            # Options that are not JSON, so that nobody can tell whether they are the same.
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
        """An answer to a conversation, or the tools to call."""
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
        """The tools to call, as the model reads them from its answer."""
        return self._model.get_tool_calls_from_response(
            response, error_on_no_tool_call=error_on_no_tool_call, **kwargs
        )

    @property
    def _model(self) -> FunctionCallingLLM:
        model: Any = self._llm
        return model  # type: ignore[no-any-return]  # `CachedLLM.__new__` chose this class by it

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
    """What an answer depends on: the model and its settings."""
    settings = llm.model_dump(mode="json")
    told = {name: value for name, value in settings.items() if not name.endswith(_SECRETS)}
    return {
        "class": type(llm).__qualname__,
        "settings": told,
        "model": llm.metadata.model_dump(mode="json"),
    }


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=20).hexdigest()


def _dumped(response: ChatResponse | CompletionResponse) -> dict[str, Any]:
    """An answer as JSON; LlamaIndex's own types validate it again: nothing else is made of it, whoever wrote it."""
    dumped: dict[str, Any] = response.model_dump(mode="json", exclude={"raw", "delta"})
    return dumped
