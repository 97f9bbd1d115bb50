"""Private Valkey server of ``embedded://`` URLs."""

from valkey_vector.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
