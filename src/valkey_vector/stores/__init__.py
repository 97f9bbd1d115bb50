"""Stores beside the index. They need no search module.

Bytes by key, ordered logs, what was indexed when, and the checkpoints of threads.
"""

from valkey_vector.stores.byte_store import ByteStore
from valkey_vector.stores.checkpoint_listing import list_all_threads, list_thread
from valkey_vector.stores.checkpoint_records import (
    Ancestor,
    Channel,
    Checkpoint,
    Place,
    StoredChannel,
    StoredCheckpoint,
    TaskWrite,
)
from valkey_vector.stores.checkpoint_store import CheckpointStore
from valkey_vector.stores.indexed_keys import IndexedKeys
from valkey_vector.stores.message_log import MessageLog

__all__ = [
    "Ancestor",
    "ByteStore",
    "Channel",
    "Checkpoint",
    "CheckpointStore",
    "IndexedKeys",
    "MessageLog",
    "Place",
    "StoredChannel",
    "StoredCheckpoint",
    "TaskWrite",
    "list_all_threads",
    "list_thread",
]
