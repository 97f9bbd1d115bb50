"""What LangChain's side stores share: letting go of the connection."""

from __future__ import annotations

from typing import Protocol

from valkey_vector.concurrency import closing

__all__ = ["Closing"]


class _Closable(Protocol):
    """A store or cache of the core."""

    def close(self) -> None:
        """Let go of the connection, unless it was given."""

    async def aclose(self) -> None:
        """`close`, awaited."""


class Closing(closing.Closing):
    """Closes the core's store behind it."""

    _core: _Closable

    def close(self) -> None:
        """Let go of the connection, unless it was given. A private server that no one else uses ends with it."""
        self._core.close()

    async def aclose(self) -> None:
        """`close`, awaited."""
        await self._core.aclose()
