"""What those of the stores share that are components of LlamaIndex: where they live, and how that is written down."""

from __future__ import annotations

from typing import Any, Protocol

from llama_index.core.bridge.pydantic import PrivateAttr, field_serializer
from llama_index.core.schema import BaseComponent

from valkey_vector import Connection, ConnectionSettings
from valkey_vector.concurrency.async_versions import twin

__all__ = ["Held", "ServerComponent"]


class Held(Protocol):
    """What a component has on a server: an index, or sequences."""

    @property
    def connection(self) -> Connection:
        """The connection it uses."""

    def close(self) -> None:
        """Let go of the connection, unless it was given."""


class ServerComponent(BaseComponent):
    """A component that lives on a server. It is serialised with the server's URL, but never with its password."""

    url: str | None = None

    _held: Any = PrivateAttr()
    _shared: bool = PrivateAttr()

    @staticmethod
    def _shareable(url: str | None) -> str | None:
        return None if url is None else ConnectionSettings.shareable(url)

    @field_serializer("url")
    def _written_url(self, url: str | None) -> str | None:
        if self._shared:
            raise ValueError(
                "a store on a connection that was given to it cannot be serialised: make it with url= instead"
            )
        return url

    @property
    def client(self) -> Connection:
        """The connection it uses."""
        connection: Connection = self._held.connection
        return connection

    def close(self) -> None:
        """Let go of the connection, unless it was given."""
        self._held.close()

    aclose = twin(close)

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseComponent would make the copy from its fields, which have no password.
        return _copy, (type(self), self._held, dict(self.__dict__), self._shared)


def _copy(
    kind: type[ServerComponent], held: Held, fields: dict[str, Any], shared: bool
) -> ServerComponent:
    copied = kind.model_construct(**fields)
    copied._held, copied._shared = held, shared
    return copied
