"""Stores beside the index: bytes by key, ordered logs, and what was indexed when. They need no search module."""

from valkey_vector.stores.byte_store import ByteStore
from valkey_vector.stores.indexed_keys import IndexedKeys
from valkey_vector.stores.message_log import MessageLog

__all__ = ["ByteStore", "IndexedKeys", "MessageLog"]
