"""The `repr` of an adapter's object: class, name and server, without credentials."""

from __future__ import annotations

from valkey_vector.connection import ConnectionSettings
from valkey_vector.errors import ConfigurationError

__all__ = ["location_of", "shown_as"]


def shown_as(adapter: object, core: object) -> str:
    """Return the `repr` of an adapter: that of its core object, with the adapter's class name."""
    return type(adapter).__name__ + repr(core).removeprefix(type(core).__name__)


def location_of(url: str | None) -> str | None:
    """Return a URL without credentials, for a client that is not connected yet. None without a valid URL."""
    if url is None:
        return None
    try:
        return ConnectionSettings.from_url(url).location
    except ConfigurationError:
        return None
