"""`ValkeyChatMessageHistory`: LangChain chat message history on Valkey."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from langchain_valkey.closing import Closing
from langchain_valkey.serialization import dump_message, load_message
from valkey_vector import Connection, InvalidInputError, ServerError
from valkey_vector.records.validation import check_k
from valkey_vector.stores import MessageLog

__all__ = ["ValkeyChatMessageHistory"]

_logger = logging.getLogger(__name__)


class ValkeyChatMessageHistory(Closing, BaseChatMessageHistory):
    """Store the messages of one session. Any number of threads and processes may add messages at the same time.

    Atomicity: messages of one `add_messages` call are stored together, in their order. Messages are restored
    completely, with tool calls, usage and ids.

    Args:
        session_id: id of the conversation, any non-empty text.
        namespace: sessions of different namespaces are separate, even with equal ids.
        ttl: time to live of the whole conversation in seconds. None stores without expiration.
        sliding: restart the TTL with each message. If False, the TTL starts with the first message.
        max_messages: number of messages to keep, newest first. None keeps all.
        window: number of messages that `messages` returns, the newest. None returns all.
        url: server URL. Defaults to ``VALKEY_URL``, or a private server that ends with the process.
        connection: open connection to share instead of `url`. `close` does not close it.

    Raises:
        ConfigurationError: if the namespace is invalid, or both `url` and `connection` are passed.
        InvalidInputError: if the id or a number is invalid.
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
        """The id of the conversation."""
        return self._core.name

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # read from the server, so not set
        """The messages, oldest first: all of them, or the newest `window` messages."""
        return self.get_messages(last=self._window)

    async def aget_messages(self) -> list[BaseMessage]:
        """Async version of `messages`."""
        return self._loaded(
            await self._core.aread()
            if self._window is None
            else await self._core.atail(self._window)
        )

    def get_messages(self, *, last: int | None = None) -> list[BaseMessage]:
        """Return messages, oldest first. A message that cannot be loaded is omitted and logged as a warning.

        Cost: one round trip.

        Args:
            last: number of messages to return, the newest. None returns all, regardless of `window`.
        """
        return self._loaded(self._core.read() if last is None else self._core.tail(last))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages, all or none.

        Cost: one round trip.

        Raises:
            InvalidInputError: if an item is not a message or cannot be stored. Nothing is added.
        """
        self._core.append(self._dumped(messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Async version of `add_messages`."""
        await self._core.aappend(self._dumped(messages))

    def clear(self) -> None:
        """Remove the messages of this session."""
        self._core.clear()

    async def aclear(self) -> None:
        """Async version of `clear`."""
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
        """Load the stored messages. Omit entries that another program wrote."""
        messages: list[BaseMessage] = []
        for position, data in enumerate(stored):
            try:
                messages.append(load_message(data))
            except ServerError as error:
                _logger.warning(
                    "session %r: omitting message %d of %d: %s",
                    self.session_id,
                    position,
                    len(stored),
                    error.message,
                )
        return messages
