"""`ValkeyChatMessageHistory`: the messages of one conversation, in order."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from langchain_valkey.closing import Closing
from langchain_valkey.serialisation import dump_message, load_message
from valkey_vector import Connection, InvalidInputError, ServerError
from valkey_vector.records.validation import check_k
from valkey_vector.stores import MessageLog

__all__ = ["ValkeyChatMessageHistory"]

_logger = logging.getLogger(__name__)


class ValkeyChatMessageHistory(Closing, BaseChatMessageHistory):
    """The messages of one session. Any number of threads and processes may add to it at once.

    What one call of `add_messages` adds stands together and in its order. Messages come back whole, with tool
    calls, usage and ids.

    Args:
        session_id: which conversation; any non-empty text.
        namespace: sessions of different namespaces are different, whatever their ids.
        ttl: seconds until the whole conversation is gone; None keeps it.
        sliding: each message begins that time anew; otherwise it runs from the first one on.
        max_messages: keep only so many, the newest; None keeps all.
        window: `messages` brings only so many, the newest; None brings all.
        url: the server; by default ``VALKEY_URL``, or a private server that is gone with the process.
        connection: an open connection to share instead; it is not closed with the history.

    Raises:
        ConfigurationError: the namespace is not acceptable, or both url and connection are given.
        InvalidInputError: the id or a number is not acceptable.
    """

    def __init__(
        self,
        session_id: str,
        *,
        namespace: str = "langchain",
        ttl: float | None = None,
        sliding: bool = True,
        max_messages: int | None = None,
        window: int | None = None,
        url: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._window = None if window is None else check_k(window, "window")
        self._core: MessageLog = MessageLog(
            session_id,
            namespace=namespace,
            ttl=ttl,
            sliding=sliding,
            max_messages=max_messages,
            url=url,
            connection=connection,
        )

    @property
    def session_id(self) -> str:
        """Which conversation it is."""
        return self._core.name

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # read from the server, so not set
        """The messages, oldest first: all of them, or the newest `window`."""
        return self.get_messages(last=self._window)

    async def aget_messages(self) -> list[BaseMessage]:
        """`messages`, awaited."""
        return self._loaded(
            await self._core.aread()
            if self._window is None
            else await self._core.atail(self._window)
        )

    def get_messages(self, *, last: int | None = None) -> list[BaseMessage]:
        """Messages, oldest first, in one round trip. One that cannot be loaded is left out, with a warning in the log.

        Args:
            last: only so many, the newest; None for all, whatever the history's `window`.
        """
        return self._loaded(self._core.read() if last is None else self._core.tail(last))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages at the end, all or none, in one round trip.

        Raises:
            InvalidInputError: one is no message or cannot be stored. Nothing was added.
        """
        self._core.append(self._dumped(messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """`add_messages`, awaited."""
        await self._core.aappend(self._dumped(messages))

    def clear(self) -> None:
        """Remove the messages of this session, and of no other."""
        self._core.clear()

    async def aclear(self) -> None:
        """`clear`, awaited."""
        await self._core.aclear()

    def _dumped(self, messages: Sequence[BaseMessage]) -> list[bytes]:
        dumped: list[bytes] = []
        for position, message in enumerate(messages):
            try:
                dumped.append(dump_message(message))
            except InvalidInputError as error:
                raise InvalidInputError(
                    f"message {position} for session {self.session_id!r}: {error}"
                ) from error
        return dumped

    def _loaded(self, stored: Sequence[bytes]) -> list[BaseMessage]:
        """The messages that are ones: nothing is made of what something else wrote."""
        messages: list[BaseMessage] = []
        for position, data in enumerate(stored):
            try:
                messages.append(load_message(data))
            except ServerError as error:
                _logger.warning(
                    "session %r: message %d of %d is left out: %s",
                    self.session_id,
                    position,
                    len(stored),
                    error.message,
                )
        return messages
