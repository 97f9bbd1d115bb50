"""`ValkeyKVStore`: LlamaIndex key-value store on Valkey, over the core's `Collections`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from llama_index.core.storage.kvstore.types import DEFAULT_COLLECTION, BaseKVStore
from pydantic_core import to_jsonable_python

from valkey_vector import ConfigurationError, Connection, InvalidInputError
from valkey_vector.concurrency.async_versions import async_version
from valkey_vector.records.plain_values import NotPlainError, check_moments
from valkey_vector.records.representation import shown_as
from valkey_vector.stores.collections import Collections

__all__ = ["DEFAULT_BATCH_SIZE", "ValkeyKVStore", "storable"]

DEFAULT_BATCH_SIZE = 100
"""Default number of values per request."""


class ValkeyKVStore(BaseKVStore):
    """Store dicts by collection and key, for document stores, index stores and the cache of an ingestion pipeline.

    JSON values and dates are restored as they were; any other value is stored as pydantic serializes it. Without `url`,
    `connection` and ``VALKEY_URL``, the store starts a private server on first use; it ends with the process. Every
    method has an async version, which does not block the event loop.

    Args:
        url: server URL, such as ``valkey://user:password@host:6379``.
        connection: open connection to share instead of `url`. `close` does not close it.
        namespace: collections of different namespaces never mix.

    Raises:
        ConfigurationError: if a setting is invalid (a ValueError).
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        connection: Connection | None = None,
        namespace: str = "llamaindex",
    ) -> None:
        self._collections = Collections(namespace, url=url, connection=connection)

    @classmethod
    def chosen(
        cls, given: ValkeyKVStore | None, *, url: str | None, connection: Connection | None
    ) -> ValkeyKVStore:
        """Return the passed store, or create one. Used by the document store and the index store.

        Raises:
            ConfigurationError: if a store is passed together with `url` or `connection`.
        """
        if given is None:
            return cls(url, connection=connection)
        if url is not None or connection is not None:
            raise ConfigurationError("pass either kvstore, or url or connection, not both")
        return given

    def __repr__(self) -> str:
        return shown_as(self, self._collections)

    @property
    def client(self) -> Connection:
        """The connection."""
        return self._collections.connection

    def put(self, key: str, val: Mapping[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """Store a dict. Replaces the value of the key."""
        self._collections.put(
            collection, key, storable(val, f"the value of {key!r} in {collection!r}")
        )

    def put_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        """Store dicts. All are validated before the first is stored. Cost: one round trip per batch."""
        pairs = [
            (key, storable(val, f"the value of {key!r} in {collection!r}")) for key, val in kv_pairs
        ]
        self._collections.put_many(collection, pairs, batch_size=batch_size)

    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """Return the dict of a key, or None."""
        return self._collections.get(collection, key)

    def get_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """Return every dict of a collection by its key."""
        return self._collections.get_all(collection)

    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """Remove a dict. Return True if it existed."""
        return self._collections.delete(collection, key)

    def drop(self) -> None:
        """Remove every collection of the namespace. Cost: scans all keys of the server."""
        self._collections.drop()

    def close(self) -> None:
        """Close the connection, unless it was passed in."""
        self._collections.close()

    # The type checker infers the base class's methods as the arguments.
    aput = async_version(put)  # type: ignore[arg-type]
    aput_all = async_version(put_all)  # type: ignore[arg-type]
    aget = async_version(get)  # type: ignore[arg-type]
    aget_all = async_version(get_all)  # type: ignore[arg-type]
    adelete = async_version(delete)  # type: ignore[arg-type]
    adrop = async_version(drop)
    aclose = async_version(close)


def storable(value: Any, owner: str) -> Any:
    """Convert a value to one that the core can store: dates unchanged, the rest as pydantic serializes it.

    Args:
        value: any value.
        owner: name of the value in errors.

    Raises:
        InvalidInputError: if a part of it cannot be serialized.
    """
    try:
        check_moments(value)
        return _storable(value)
    except NotPlainError as error:
        raise InvalidInputError(
            f"metadata {error.path!r} of {owner} is {error.what}; store {error.cure} instead"
        ) from None
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{owner} cannot be serialized: {error}") from error
    except RecursionError:
        raise InvalidInputError(
            f"{owner} cannot be serialized: it contains itself, or is nested too deeply"
        ) from None


def _storable(value: Any) -> Any:
    match value:
        case None | bool() | date():
            return value
        case dict() if all(type(key) is str for key in value):
            return {key: _storable(item) for key, item in value.items()}
        case list():
            return [_storable(item) for item in value]
        case _:
            return to_jsonable_python(value, inf_nan_mode="constants")
