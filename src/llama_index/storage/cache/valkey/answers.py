"""Answers of LlamaIndex in the core's cache: what cannot be kept is given uncached, and what cannot be used is removed."""

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
"""What pydantic and the core raise for what cannot be written down."""

_MALFORMED = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, UnreadableRecordError, ValueError,
)  # fmt: skip

_logger = logging.getLogger(__name__)


class _UnkeptError(Exception):
    """Brings an answer that cannot be kept past the cache."""

    def __init__(self, answer: Any) -> None:
        super().__init__("an answer cannot be kept")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Answers(Generic[_T]):
    """Answers of one kind.

    Args:
        cache: keeps them.
        dump: an answer as the core keeps it; raises one of `UNSTORABLE` where that cannot be.
        load: an answer of what was kept; raises any error that malformed data leads to.
    """

    cache: SemanticCache
    dump: Callable[[_T], Answer]
    load: Callable[[Answer], _T]

    def get(self, prompt: str, scope: Mapping[str, Any], make: Callable[[], _T]) -> _T:
        """The answer that is kept, else the one that is made."""

        def made(_: str) -> Answer:
            return self._dumped(make())

        for _ in range(2):
            try:
                answer = self.cache.get_or_compute(prompt, made, scope)
            except _UnkeptError as unkept:
                return self._passed(unkept)
            if (loaded := self._loaded(answer)) is not None:
                return loaded
            try:
                hit = self.cache.lookup(prompt, scope)
                if hit is not None and self._loaded(hit.answer) is None:
                    self.cache.invalidate(id=hit.id)
            except ServerError as error:
                _unremoved(self.cache, error)
        return make()

    async def aget(
        self, prompt: str, scope: Mapping[str, Any], make: Callable[[], Awaitable[_T]]
    ) -> _T:
        """Async version of `get`."""

        async def made(_: str) -> Answer:
            return self._dumped(await make())

        for _ in range(2):
            try:
                answer = await self.cache.aget_or_compute(prompt, made, scope)
            except _UnkeptError as unkept:
                return self._passed(unkept)
            if (loaded := self._loaded(answer)) is not None:
                return loaded
            try:
                hit = await self.cache.alookup(prompt, scope)
                if hit is not None and self._loaded(hit.answer) is None:
                    await self.cache.ainvalidate(id=hit.id)
            except ServerError as error:
                _unremoved(self.cache, error)
        return await make()

    def _dumped(self, answer: _T) -> Answer:
        try:
            return self.dump(answer)
        except UNSTORABLE as error:
            _logger.warning("cache %r: an answer is not kept: %s", self.cache.name, error)
            raise _UnkeptError(answer) from error

    def _passed(self, unkept: _UnkeptError) -> _T:
        passed: _T = unkept.answer
        return passed

    def _loaded(self, answer: Answer) -> _T | None:
        """The answer; None if something else wrote it, which is then to be removed."""
        try:
            return self.load(answer)
        except _MALFORMED as error:
            _logger.warning(
                "cache %r: an entry cannot be used and is removed: %s", self.cache.name, error
            )
            return None


def _unremoved(cache: SemanticCache, error: ServerError) -> None:
    _logger.warning("cache %r: the entry could not be removed: %s", cache.name, error)
