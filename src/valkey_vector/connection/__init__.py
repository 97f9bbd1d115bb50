"""The connection to a Valkey server: settings, URLs, commands, capabilities."""

from __future__ import annotations

from valkey_vector.connection.capabilities import Capabilities, Feature, SearchModule
from valkey_vector.connection.client import Argument, Connection, Reply
from valkey_vector.connection.settings import (
    Address,
    ConnectionSettings,
    IamSettings,
    ReadFrom,
    TlsSettings,
)

__all__ = [
    "Address",
    "Argument",
    "Capabilities",
    "Connection",
    "ConnectionSettings",
    "Feature",
    "IamSettings",
    "ReadFrom",
    "Reply",
    "SearchModule",
    "TlsSettings",
]
