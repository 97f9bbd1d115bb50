"""`ServerComponent`: connection and serialization of the stores that are LlamaIndex components."""

from __future__ import annotations

from typing import Any, Protocol

from llama_index.core.bridge.pydantic import PrivateAttr, field_serializer
from llama_index.core.schema import BaseComponent

from valkey_vector import Connection, ConnectionSettings
from valkey_vector.concurrency.async_versions import async_version

__all__ = ["Held", "ServerComponent"]


class Held(Protocol):
    """The core object that a component holds: an index, or sequences."""

    @property
    def connection(self) -> Connection:
        """The connection."""

    def close(self) -> None:
        """Close the connection, unless it was passed in."""


class ServerComponent(BaseComponent):
    """A component on a server. Its serialized form contains the URL of the server, without the password."""

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
                "a store with a shared connection cannot be serialized: create it with url= instead"
            )
        return url

    @property
    def client(self) -> Connection:
        """The connection."""
        connection: Connection = self._held.connection
        return connection

    def close(self) -> None:
        """Close the connection, unless it was passed in."""
        self._held.close()

    aclose = async_version(close)

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseComponent would copy the fields only, which contain no password.
        return _copy, (type(self), self._held, dict(self.__dict__), self._shared)


def _copy(
    kind: type[ServerComponent], held: Held, fields: dict[str, Any], shared: bool
) -> ServerComponent:
    copied = kind.model_construct(**fields)
    copied._held, copied._shared = held, shared
    return copied
