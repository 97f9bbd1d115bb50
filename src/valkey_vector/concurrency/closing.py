"""Base class of objects that are closed at the end of a ``with`` or ``async with`` block."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from valkey_vector.concurrency.threads import offload

__all__ = ["Closing"]


class Closing:
    """Context manager that calls `close`, or awaits `aclose`, at the end of the block."""

    def close(self) -> None:
        """Release all resources."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Async version of `close`."""
        await offload(self.close)

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
