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
from llama_index.core.llms.llm import LLM

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

    Args:
        llm: makes the answers.
        cache: keeps them; of the core, for instance ``SemanticCache(QueryEmbedder(embed_model))``.
        scope: over the cache's own: tenant, …
    """

    _llm: LLM = PrivateAttr()
    _chats: Answers[ChatResponse] = PrivateAttr()
    _completions: Answers[CompletionResponse] = PrivateAttr()
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
        """The model's, but that it takes no tools: calling functions is not a matter of a cache."""
        return self._llm.metadata.model_copy(update={"is_function_calling_model": False})

    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """An answer to a conversation."""
        asked = self._asked(messages, kwargs)
        if asked is None:
            return self._llm.chat(messages, **kwargs)
        return self._chats.get(*asked, lambda: self._llm.chat(messages, **kwargs))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """`chat`, awaited."""
        asked = self._asked(messages, kwargs)
        if asked is None:
            return await self._llm.achat(messages, **kwargs)
        return await self._chats.aget(*asked, lambda: self._llm.achat(messages, **kwargs))

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
        """`complete`, awaited."""
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

    def _asked(
        self, messages: Sequence[ChatMessage], options: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]] | None:
        """The question and the scope of a chat; None if it is not to be cached."""
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
        except UNSTORABLE:
            # Options that are not JSON, so that nobody can tell whether they are the same.
            return None


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
