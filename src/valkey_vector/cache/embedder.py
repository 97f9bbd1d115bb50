"""Embedder interface: computes the vectors of texts with any framework or model."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from valkey_vector.concurrency.threads import offload
from valkey_vector.errors import ConfigurationError
from valkey_vector.records.record import Vector

__all__ = ["AsyncEmbedder", "Embed", "EmbedFunction", "Embedder", "TextEmbedder"]


@runtime_checkable
class Embedder(Protocol):
    """Blocking embedder of texts."""

    def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one vector for each text, in the same order."""
        ...


@runtime_checkable
class AsyncEmbedder(Protocol):
    """Async embedder of texts. An object can be both an `Embedder` and an `AsyncEmbedder`."""

    async def aembed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Return one vector for each text, in the same order."""
        ...


EmbedFunction: TypeAlias = Callable[[str], Vector | Awaitable[Vector]]
"""A function of one text. A coroutine function works with the async methods only."""

Embed: TypeAlias = EmbedFunction | Embedder | AsyncEmbedder
"""An embedder: a function of one text, or an object with `embed`, `aembed` or both, which take many texts."""


class TextEmbedder:
    """Blocking and async methods for any embedder.

    Args:
        embed: a function of one text (blocking, or a coroutine function), or an object with ``embed(texts)``,
            ``aembed(texts)`` or both. The async methods await ``aembed`` if the embedder has it, and otherwise run
            ``embed`` in a thread of this library.

    Raises:
        ConfigurationError: `embed` is none of these.
    """

    def __init__(self, embed: Embed) -> None:
        many = getattr(embed, "embed", None)
        amany = getattr(embed, "aembed", None)
        if not callable(many) and not callable(amany) and not callable(embed):
            raise ConfigurationError(
                "embed must be a function of one text, or an object with embed(texts) or aembed(texts), "
                f"not a {type(embed).__name__}"
            )
        self._many: Callable[..., Any] | None = many if callable(many) else None
        self._amany: Callable[..., Any] | None = amany if callable(amany) else None
        if self._many is None and self._amany is None:
            self._of_function(embed)  # type: ignore[arg-type]  # callable: checked above

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vectors of texts.

        Raises:
            ConfigurationError: the embedder is async only.
        """
        if self._many is None:
            raise ConfigurationError(
                "this embedder is asynchronous only: use the async methods, or pass an object with embed(texts)"
            )
        return _complete(self._many(list(texts)), texts)

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        """Async version of `embed`."""
        if self._amany is not None:
            return _complete(await self._amany(list(texts)), texts)
        return await offload(self.embed, texts)

    def _of_function(self, function: Callable[[str], Any]) -> None:
        if _is_coroutine_function(function):

            async def aeach(texts: Sequence[str]) -> list[Vector]:
                return [await function(text) for text in texts]

            self._amany = aeach
        else:
            self._many = lambda texts: [function(text) for text in texts]


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    called = getattr(function, "__call__", None)  # noqa: B004 - an object whose call is a coroutine
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _complete(vectors: Sequence[Vector], texts: Sequence[str]) -> list[Vector]:
    """Return the vectors. Raises `ConfigurationError` if their number differs from the number of texts."""
    found = list(vectors)
    if len(found) != len(texts):
        raise ConfigurationError(
            f"the embedder returned {len(found)} vectors for {len(texts)} texts; it must return one for each text"
        )
    return found
