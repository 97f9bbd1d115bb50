"""The embedding seam: how the core asks for the vectors of texts, whichever framework or model makes them."""

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
    """Makes vectors of texts."""

    def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors of texts, one for each, in that order."""
        ...


@runtime_checkable
class AsyncEmbedder(Protocol):
    """Makes vectors of texts without blocking. An object may well be both this and an `Embedder`."""

    async def aembed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """The vectors of texts, one for each, in that order."""
        ...


EmbedFunction: TypeAlias = Callable[[str], Vector | Awaitable[Vector]]
"""A function of one text; a coroutine function serves the asynchronous methods only."""

Embed: TypeAlias = EmbedFunction | Embedder | AsyncEmbedder
"""Whatever can embed: a function of one text, or an object with `embed`, `aembed` or both, of many."""


class TextEmbedder:
    """One way to embed, blocking and not, whatever the caller gave.

    Args:
        embed: a function of one text (blocking, or a coroutine function), or an object with ``embed(texts)``,
            ``aembed(texts)`` or both. Asynchronous methods await the asynchronous form where there is one, and
            run a blocking one in a thread of this library.

    Raises:
        ConfigurationError: it is none of these.
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
            self._of_function(embed)  # type: ignore[arg-type]  # callable, as was checked

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of texts.

        Raises:
            ConfigurationError: there is only an asynchronous form.
        """
        if self._many is None:
            raise ConfigurationError(
                "this embedder is asynchronous only: use the asynchronous methods, or give an object with embed(texts)"
            )
        return _complete(self._many(list(texts)), texts)

    async def aembed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of texts, awaited."""
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
    """All vectors, or an error where a model returned another number of them."""
    found = list(vectors)
    if len(found) != len(texts):
        raise ConfigurationError(
            f"the embedder made {len(found)} vectors of {len(texts)} texts; it must make one for each"
        )
    return found
