"""`Closing`: `close`, `aclose` and `repr` of the LangChain stores."""

from __future__ import annotations

from typing import Protocol

from valkey_vector.concurrency import closing
from valkey_vector.records.representation import shown_as

__all__ = ["Closing"]


class _Closable(Protocol):
    """A store or cache of the core."""

    def close(self) -> None:
        """Close the connection, unless it was passed in."""

    async def aclose(self) -> None:
        """Async version of `close`."""


class Closing(closing.Closing):
    """Close the underlying store of the core."""

    _core: _Closable

    def close(self) -> None:
        """Close the connection, unless it was passed in. Stops a private server that no other store uses."""
        self._core.close()

    async def aclose(self) -> None:
        """Async version of `close`."""
        await self._core.aclose()

    def __repr__(self) -> str:
        return shown_as(self, self._core)
