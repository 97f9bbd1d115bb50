"""The private Valkey server that ``embedded://`` stands for."""

from valkey_vector.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
