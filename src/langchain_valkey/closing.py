"""What LangChain's side stores share: letting go of the connection."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

__all__ = ["Closable", "Closing"]


class Closable(Protocol):
    """A store or cache of the core."""

    def close(self) -> None:
        """Let go of the connection, unless it was given."""

    async def aclose(self) -> None:
        """`close`, awaited."""


class Closing:
    """Lets go of the connection of the core's store behind it, at the end of a ``with`` block or on `close`."""

    _core: Closable

    def close(self) -> None:
        """Let go of the connection, unless it was given. A private server that no one else uses ends with it."""
        self._core.close()

    async def aclose(self) -> None:
        """`close`, awaited."""
        await self._core.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
