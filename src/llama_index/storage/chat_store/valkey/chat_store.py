"""`ValkeyChatStore`: LlamaIndex's chat store, translated to the core's `Sequences`."""

from __future__ import annotations

import logging
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store.base import BaseChatStore

from llama_index.storage.kvstore.valkey.components import ServerComponent
from llama_index.storage.kvstore.valkey.kvstore import storable
from valkey_vector import Connection, InvalidInputError, ServerError
from valkey_vector.concurrency.async_versions import twin
from valkey_vector.stores.sequences import Sequences

__all__ = ["ValkeyChatStore"]

_logger = logging.getLogger(__name__)


class ValkeyChatStore(ServerComponent, BaseChatStore):
    """Conversations on Valkey: messages in order, by key. Each edit is atomic, so many may write at once.

    With neither `url` nor `connection` nor ``VALKEY_URL`` it lives in a private server, started on first use
    and gone with the process. Every method has an asynchronous twin, which does not block the event loop.

    Args:
        url: the server, such as ``valkey://user:password@host:6379``.
        connection: an open connection to share instead; it is not closed with the store.
        namespace: conversations of different namespaces never mix.

    Raises:
        ConfigurationError: a setting is wrong (a ValueError).
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
        """What LlamaIndex calls the class when it is serialised."""
        return "ValkeyChatStore"

    @property
    def _sequences(self) -> Sequences:
        held: Sequences = self._held
        return held

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Make these messages the whole conversation."""
        self._sequences.replace(
            key, [_stored(message, _owner(key, n)) for n, message in enumerate(messages)]
        )

    def get_messages(self, key: str) -> list[ChatMessage]:
        """The messages of a conversation, in order; none if it is not there.

        One that something else wrote is left out, with a warning in the log.
        """
        return _messages(key, self._sequences.read(key))

    def add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None:
        """Add a message at the end, or in front of the one at a position."""
        if idx is None:
            self._sequences.append(key, [_stored(message, f"a message for conversation {key!r}")])
        else:
            self._sequences.insert(key, idx, _stored(message, _owner(key, idx)))

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Remove a conversation; returns its messages, None if it was not there."""
        removed = self._sequences.remove(key)
        return None if removed is None else _messages(key, removed)

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Remove the message at a position, counted from the end if negative; returns it, None if there is none.

        Raises:
            ServerError: what was there is no message; it is removed all the same.
        """
        removed = self._sequences.pop(key, idx)
        if removed is None:
            return None
        try:
            return ChatMessage.model_validate(removed)
        except ValueError as error:
            raise ServerError(f"{_owner(key, idx)} is not one: {error}") from error

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Remove the last message; returns it, None if there is none."""
        return self.delete_message(key, -1)

    def get_keys(self) -> list[str]:
        """The conversations there are, the oldest first."""
        return self._sequences.names()

    def drop(self) -> None:
        """Remove every conversation of the namespace. Looks through all keys of the server for theirs."""
        self._sequences.drop()

    # The checker takes the base class's methods for what these are made of.
    aset_messages = twin(set_messages)  # type: ignore[arg-type]
    aget_messages = twin(get_messages)  # type: ignore[arg-type]
    async_add_message = twin(add_message, "async_add_message")  # type: ignore[arg-type]
    adelete_messages = twin(delete_messages)  # type: ignore[arg-type]
    adelete_message = twin(delete_message)  # type: ignore[arg-type]
    adelete_last_message = twin(delete_last_message)  # type: ignore[arg-type]
    aget_keys = twin(get_keys)  # type: ignore[arg-type]
    adrop = twin(drop)


def _stored(message: ChatMessage, owner: str) -> dict[str, Any]:
    if not isinstance(message, ChatMessage):
        raise InvalidInputError(f"a ChatMessage is needed, not a {type(message).__name__}")
    stored: dict[str, Any] = storable(message.model_dump(), owner)
    return stored


def _messages(key: str, stored: list[dict[str, Any]]) -> list[ChatMessage]:
    messages: list[ChatMessage] = []
    for position, item in enumerate(stored):
        try:
            messages.append(ChatMessage.model_validate(item))
        except ValueError as error:
            _logger.warning("%s is left out: %s", _owner(key, position), error)
    return messages


def _owner(key: str, position: int) -> str:
    return f"message {position} of conversation {key!r}"
