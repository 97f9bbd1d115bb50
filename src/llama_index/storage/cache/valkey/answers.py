"""Caching of LlamaIndex answers: unstorable answers are returned uncached, unreadable entries are removed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from valkey_vector import ServerError, UnreadableRecordError
from valkey_vector.cache import SemanticCache
from valkey_vector.cache.entries import Answer

__all__ = ["UNSTORABLE", "Answers"]

_T = TypeVar("_T")

UNSTORABLE = (RecursionError, TypeError, ValueError)
"""Errors that pydantic and the core raise for values that cannot be serialized."""

_MALFORMED = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, UnreadableRecordError, ValueError,
)  # fmt: skip

_logger = logging.getLogger(__name__)


class _UnstorableError(Exception):
    """Carries an answer that cannot be stored out of the cache's call."""

    def __init__(self, answer: Any) -> None:
        super().__init__("an answer cannot be stored")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Answers(Generic[_T]):
    """Cached answers of one type.

    Args:
        cache: cache of the core.
        dump: converts an answer to a value that the core can store, or raises one of `UNSTORABLE`.
        load: converts a stored value to an answer. Raises any error on malformed data.
    """

    cache: SemanticCache
    dump: Callable[[_T], Answer]
    load: Callable[[Answer], _T]

    def get(self, prompt: str, scope: Mapping[str, Any], create: Callable[[], _T]) -> _T:
        """Return the cached answer, or compute and store it."""

        def compute(_: str) -> Answer:
            return self._dumped(create())

        for _ in range(2):
            try:
                answer = self.cache.get_or_compute(prompt, compute, scope)
            except _UnstorableError as error:
                return self._uncached(error)
            if (loaded := self._loaded(answer)) is not None:
                return loaded
            try:
                hit = self.cache.lookup(prompt, scope)
                if hit is not None and self._loaded(hit.answer) is None:
                    self.cache.invalidate(id=hit.id)
            except ServerError as error:
                _log_unremoved(self.cache, error)
        return create()

    async def aget(
        self, prompt: str, scope: Mapping[str, Any], create: Callable[[], Awaitable[_T]]
    ) -> _T:
        """Async version of `get`."""

        async def compute(_: str) -> Answer:
            return self._dumped(await create())

        for _ in range(2):
            try:
                answer = await self.cache.aget_or_compute(prompt, compute, scope)
            except _UnstorableError as error:
                return self._uncached(error)
            if (loaded := self._loaded(answer)) is not None:
                return loaded
            try:
                hit = await self.cache.alookup(prompt, scope)
                if hit is not None and self._loaded(hit.answer) is None:
                    await self.cache.ainvalidate(id=hit.id)
            except ServerError as error:
                _log_unremoved(self.cache, error)
        return await create()

    def _dumped(self, answer: _T) -> Answer:
        try:
            return self.dump(answer)
        except UNSTORABLE as error:
            _logger.warning("cache %r: did not store an answer: %s", self.cache.name, error)
            raise _UnstorableError(answer) from error

    def _uncached(self, error: _UnstorableError) -> _T:
        answer: _T = error.answer
        return answer

    def _loaded(self, answer: Answer) -> _T | None:
        """Load an answer. Return None for an entry that another program wrote; the caller removes it."""
        try:
            return self.load(answer)
        except _MALFORMED as error:
            _logger.warning("cache %r: removing an unreadable entry: %s", self.cache.name, error)
            return None


def _log_unremoved(cache: SemanticCache, error: ServerError) -> None:
    _logger.warning("cache %r: cannot remove the entry: %s", cache.name, error)
