"""`ValkeyChatStore`: LlamaIndex chat store on Valkey."""

from __future__ import annotations

import logging
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store.base import BaseChatStore

from llama_index.storage.kvstore.valkey.components import ServerComponent
from llama_index.storage.kvstore.valkey.kvstore import storable
from valkey_vector import Connection, InvalidInputError, ServerError
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.stores.sequences import Sequences

__all__ = ["ValkeyChatStore"]

_logger = logging.getLogger(__name__)


class ValkeyChatStore(ServerComponent, BaseChatStore):
    """Store conversations by key, each with its messages in order.

    Atomicity: each edit is atomic, so several clients may write at the same time. Without `url`, `connection` and
    ``VALKEY_URL``, the store starts a private server on first use; it ends with the process. Every method has an async
    version, which does not block the event loop.

    Args:
        url: server URL, such as ``valkey://user:password@host:6379``.
        connection: open connection to share instead of `url`. `close` does not close it.
        namespace: conversations of different namespaces never mix.

    Raises:
        ConfigurationError: if a setting is invalid (a ValueError).
    """

    namespace: str

    def __init__(
        self,
        url: str | None = None,
        *,
        connection: Connection | None = None,
        namespace: str = "llamaindex",
    ) -> None:
        sequences = Sequences(namespace, url=url, connection=connection)
        fields: dict[str, Any] = {"url": self._shareable(url), "namespace": namespace}
        super().__init__(**fields)
        self._held, self._shared = sequences, connection is not None

    @classmethod
    def class_name(cls) -> str:
        """The class name in LlamaIndex's serialized form."""
        return "ValkeyChatStore"

    @property
    def _sequences(self) -> Sequences:
        held: Sequences = self._held
        return held

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Replace the whole conversation with these messages."""
        self._sequences.replace(
            key, [_stored(message, _owner(key, n)) for n, message in enumerate(messages)]
        )

    def get_messages(self, key: str) -> list[ChatMessage]:
        """Return the messages of a conversation in order, or an empty list for an unknown key.

        An entry that another program wrote is omitted and logged as a warning.
        """
        return _messages(key, self._sequences.read(key))

    def add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None:
        """Append a message, or insert it before the message at position `idx`."""
        if idx is None:
            self._sequences.append(key, [_stored(message, f"a message for conversation {key!r}")])
        else:
            self._sequences.insert(key, idx, _stored(message, _owner(key, idx)))

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Remove a conversation. Return its messages, or None if it did not exist."""
        removed = self._sequences.remove(key)
        return None if removed is None else _messages(key, removed)

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Remove the message at a position, counted from the end if negative. Return it, or None if there is none.

        Raises:
            ServerError: if the entry is not a message. It is removed nevertheless.
        """
        removed = self._sequences.pop(key, idx)
        if removed is None:
            return None
        try:
            return ChatMessage.model_validate(removed)
        except ValueError as error:
            raise ServerError(f"{_owner(key, idx)} is not a ChatMessage: {error}") from error

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Remove the last message. Return it, or None if there is none."""
        return self.delete_message(key, -1)

    def get_keys(self) -> list[str]:
        """Return the keys of all conversations, oldest first."""
        return self._sequences.names()

    def drop(self) -> None:
        """Remove every conversation of the namespace. Cost: scans all keys of the server."""
        self._sequences.drop()

    # The type checker infers the base class's methods as the arguments.
    aset_messages = async_version(set_messages)  # type: ignore[arg-type]
    aget_messages = async_version(get_messages)  # type: ignore[arg-type]
    async_add_message = async_version(add_message, "async_add_message")  # type: ignore[arg-type]
    adelete_messages = async_version(delete_messages)  # type: ignore[arg-type]
    adelete_message = async_version(delete_message)  # type: ignore[arg-type]
    adelete_last_message = async_version(delete_last_message)  # type: ignore[arg-type]
    aget_keys = async_version(get_keys)  # type: ignore[arg-type]
    adrop = async_version(drop)


def _stored(message: ChatMessage, owner: str) -> dict[str, Any]:
    if not isinstance(message, ChatMessage):
        raise InvalidInputError(f"a message must be a ChatMessage, not a {type(message).__name__}")
    stored: dict[str, Any] = storable(message.model_dump(), owner)
    return stored


def _messages(key: str, stored: list[dict[str, Any]]) -> list[ChatMessage]:
    messages: list[ChatMessage] = []
    for position, item in enumerate(stored):
        try:
            messages.append(ChatMessage.model_validate(item))
        except ValueError as error:
            _logger.warning("omitting %s: %s", _owner(key, position), error)
    return messages


def _owner(key: str, position: int) -> str:
    return f"message {position} of conversation {key!r}"
