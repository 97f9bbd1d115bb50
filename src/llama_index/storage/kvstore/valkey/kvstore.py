"""`ValkeyKVStore`: LlamaIndex's key-value store, translated to the core's `Collections`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from llama_index.core.storage.kvstore.types import DEFAULT_COLLECTION, BaseKVStore
from pydantic_core import to_jsonable_python

from valkey_vector import ConfigurationError, Connection, InvalidInputError
from valkey_vector.concurrency.async_versions import twin
from valkey_vector.records.plain_values import NotPlainError, check_moments
from valkey_vector.stores.collections import Collections

__all__ = ["DEFAULT_BATCH_SIZE", "ValkeyKVStore", "storable"]

DEFAULT_BATCH_SIZE = 100
"""Values in one request, unless told."""


class ValkeyKVStore(BaseKVStore):
    """Dicts by collection and key: below document and index stores, or as the cache of an ingestion pipeline.

    With neither `url` nor `connection` nor ``VALKEY_URL`` it lives in a private server, started on first use
    and gone with the process. Every method has an asynchronous twin, which does not block the event loop. What is in a
    dict comes back as it was, dates included; what JSON cannot hold becomes what pydantic serialises it to.

    Args:
        url: the server, such as ``valkey://user:password@host:6379``.
        connection: an open connection to share instead; it is not closed with the store.
        namespace: collections of different namespaces never mix.

    Raises:
        ConfigurationError: a setting is wrong (a ValueError).
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
        """The store that was given, or one on a server: how the stores above this one find theirs.

        Raises:
            ConfigurationError: both are given.
        """
        if given is None:
            return cls(url, connection=connection)
        if url is not None or connection is not None:
            raise ConfigurationError("give kvstore, or url or connection, not both")
        return given

    @property
    def client(self) -> Connection:
        """The connection it uses."""
        return self._collections.connection

    def put(self, key: str, val: Mapping[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """Store a dict, in place of what was there."""
        self._collections.put(
            collection, key, storable(val, f"the value of {key!r} in {collection!r}")
        )

    def put_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        """Store dicts, one round trip for each batch. All are checked before the first is stored."""
        pairs = [
            (key, storable(val, f"the value of {key!r} in {collection!r}")) for key, val in kv_pairs
        ]
        self._collections.put_many(collection, pairs, batch_size=batch_size)

    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """The dict under a key; None if there is none."""
        return self._collections.get(collection, key)

    def get_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """Every dict of a collection by its key."""
        return self._collections.get_all(collection)

    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """Remove a dict; whether it was there."""
        return self._collections.delete(collection, key)

    def drop(self) -> None:
        """Remove every collection of the namespace. Looks through all keys of the server for theirs."""
        self._collections.drop()

    def close(self) -> None:
        """Let go of the connection, unless it was given."""
        self._collections.close()

    # The checker takes the base class's methods for what these are made of.
    aput = twin(put)  # type: ignore[arg-type]
    aput_all = twin(put_all)  # type: ignore[arg-type]
    aget = twin(get)  # type: ignore[arg-type]
    aget_all = twin(get_all)  # type: ignore[arg-type]
    adelete = twin(delete)  # type: ignore[arg-type]
    adrop = twin(drop)
    aclose = twin(close)


def storable(value: Any, owner: str) -> Any:
    """A value of LlamaIndex as the core can keep it: dates as they are, the rest as pydantic serialises it.

    Args:
        value: anything.
        owner: how an error names it.

    Raises:
        InvalidInputError: something in it cannot be serialised.
    """
    try:
        check_moments(value)
        return _storable(value)
    except NotPlainError as error:
        raise InvalidInputError(
            f"metadata {error.path!r} of {owner} is {error.what}; store {error.cure} instead"
        ) from None
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{owner} cannot be serialised: {error}") from error
    except RecursionError:
        raise InvalidInputError(
            f"{owner} cannot be serialised: it holds itself, or is nested too deep"
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
