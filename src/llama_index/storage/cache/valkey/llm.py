"""`CachedLLM`: a language model whose answers are given again to the same question, or one that means the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

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
from llama_index.core.llms.llm import LLM

from valkey_vector.cache import SemanticCache

__all__ = ["CachedLLM"]

_SECRETS = ("key", "password", "secret", "_token", "headers")
"""How settings end that an answer does not depend on, and that are nobody's business."""


class CachedLLM(LLM):
    """Asks a language model only what was not asked before.

    The last thing the user said is the question; the rest of the conversation, the model, its settings and the call's
    options must be the very same. Streams are passed through and not cached, like a chat in which the user says nothing, and calls with
    options that are not JSON. An answer comes back without the provider's own ``raw`` object.

    Args:
        llm: makes the answers.
        cache: keeps them; of the core, for instance ``SemanticCache(QueryEmbedder(embed_model))``.
        scope: over the cache's own: tenant, …
    """

    _llm: LLM = PrivateAttr()
    _cache: SemanticCache = PrivateAttr()
    _scope: dict[str, Any] = PrivateAttr()

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
        self._cache = cache
        self._scope = dict(scope or {})
        _described(llm)  # a model that cannot tell its settings is found out now

    @classmethod
    def class_name(cls) -> str:
        """The name by which LlamaIndex knows the class."""
        return "CachedLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """The model's, but that it takes no tools: calling functions is not a matter of a cache."""
        return self._llm.metadata.model_copy(update={"is_function_calling_model": False})

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """An answer to a conversation."""
        asked = self._asked(messages, kwargs)
        if asked is None:
            return self._llm.chat(messages, **kwargs)
        answer = self._cache.get_or_compute(
            asked[0], lambda _: _chat_json(self._llm.chat(messages, **kwargs)), asked[1]
        )
        return _chat_response(answer)

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat`, awaited."""
        asked = self._asked(messages, kwargs)
        if asked is None:
            return await self._llm.achat(messages, **kwargs)

        async def make(_: str) -> dict[str, Any]:
            return _chat_json(await self._llm.achat(messages, **kwargs))

        return _chat_response(await self._cache.aget_or_compute(asked[0], make, asked[1]))

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """What follows a text."""
        scope = self._scope_of("completion", formatted, kwargs)
        if scope is None:
            return self._llm.complete(prompt, formatted=formatted, **kwargs)

        def make(text: str) -> dict[str, Any]:
            return _completion_json(self._llm.complete(text, formatted=formatted, **kwargs))

        return CompletionResponse(**self._cache.get_or_compute(prompt, make, scope))

    async def acomplete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponse:
        """`complete`, awaited."""
        scope = self._scope_of("completion", formatted, kwargs)
        if scope is None:
            return await self._llm.acomplete(prompt, formatted=formatted, **kwargs)

        async def make(text: str) -> dict[str, Any]:
            made = await self._llm.acomplete(text, formatted=formatted, **kwargs)
            return _completion_json(made)

        return CompletionResponse(**await self._cache.aget_or_compute(prompt, make, scope))

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

    def _asked(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        """The question and the scope of a chat; None if it is not to be cached."""
        said = [n for n, message in enumerate(messages) if message.role is MessageRole.USER]
        if not said or not messages[said[-1]].content:
            return None
        rest = [message.model_dump(mode="json") for message in messages]
        rest[said[-1]]["blocks"] = [
            block.model_dump(mode="json") if not isinstance(block, TextBlock) else "text"
            for block in messages[said[-1]].blocks
        ]
        scope = self._scope_of("chat", rest, options)
        return None if scope is None else (str(messages[said[-1]].content), scope)

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
        except TypeError:
            return (
                None  # options that are not JSON, so that nobody can tell whether they are the same
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


def _chat_json(response: ChatResponse) -> dict[str, Any]:
    dumped: dict[str, Any] = response.model_dump(mode="json", exclude={"raw", "delta"})
    return dumped


def _chat_response(answer: Any) -> ChatResponse:
    """Validated by LlamaIndex's own types: nothing else is made of an answer, whatever somebody wrote there."""
    made: ChatResponse = ChatResponse.model_validate(answer)
    return made


def _completion_json(response: CompletionResponse) -> dict[str, Any]:
    dumped: dict[str, Any] = response.model_dump(mode="json", exclude={"raw", "delta"})
    return dumped
