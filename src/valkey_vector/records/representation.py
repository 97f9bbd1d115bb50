"""The `repr` of an adapter's object: its class, its name and its server, without any credential."""

from __future__ import annotations

from valkey_vector.connection import ConnectionSettings
from valkey_vector.errors import ConfigurationError

__all__ = ["location_of", "shown_as"]


def shown_as(adapter: object, core: object) -> str:
    """The `repr` of the core's object, with the adapter's class for its own."""
    return type(adapter).__name__ + repr(core).removeprefix(type(core).__name__)


def location_of(url: str | None) -> str | None:
    """A URL without any credential, for what has not connected yet; None if there is none, or it cannot be read."""
    if url is None:
        return None
    try:
        return ConnectionSettings.from_url(url).location
    except ConfigurationError:
        return None
