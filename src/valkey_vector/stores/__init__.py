"""Stores on Valkey: bytes, cached results, message logs, indexing records, checkpoints and JSON items.

They need no search module. Only a store that is passed an index uses one.
"""

from typing import TYPE_CHECKING

from valkey_vector.concurrency.deferred_imports import deferred

if TYPE_CHECKING:
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
    from valkey_vector.stores.entry_store import EntryStore
    from valkey_vector.stores.indexed_keys import IndexedKeys
    from valkey_vector.stores.item_filters import compile_filter
    from valkey_vector.stores.item_index import Candidate, ItemIndex, ItemText, Question, SearchMode
    from valkey_vector.stores.item_records import (
        FindItems,
        GetItem,
        GetItems,
        Item,
        ItemName,
        ListNamespaces,
        Match,
        Namespace,
        Operation,
        PutItem,
        TouchItems,
    )
    from valkey_vector.stores.item_search import RankedItem, RankedSearch, search_ranked
    from valkey_vector.stores.item_store import ItemStore
    from valkey_vector.stores.message_log import MessageLog
else:
    __getattr__, __dir__ = deferred(
        __name__,
        {
            "valkey_vector.stores.byte_store": ["ByteStore"],
            "valkey_vector.stores.checkpoint_listing": ["list_all_threads", "list_thread"],
            "valkey_vector.stores.checkpoint_records": [
                "Ancestor",
                "Channel",
                "Checkpoint",
                "Place",
                "StoredChannel",
                "StoredCheckpoint",
                "TaskWrite",
            ],
            "valkey_vector.stores.checkpoint_store": ["CheckpointStore"],
            "valkey_vector.stores.entry_store": ["EntryStore"],
            "valkey_vector.stores.indexed_keys": ["IndexedKeys"],
            "valkey_vector.stores.item_filters": ["compile_filter"],
            "valkey_vector.stores.item_index": [
                "Candidate",
                "ItemIndex",
                "ItemText",
                "Question",
                "SearchMode",
            ],
            "valkey_vector.stores.item_records": [
                "FindItems",
                "GetItem",
                "GetItems",
                "Item",
                "ItemName",
                "ListNamespaces",
                "Match",
                "Namespace",
                "Operation",
                "PutItem",
                "TouchItems",
            ],
            "valkey_vector.stores.item_search": ["RankedItem", "RankedSearch", "search_ranked"],
            "valkey_vector.stores.item_store": ["ItemStore"],
            "valkey_vector.stores.message_log": ["MessageLog"],
        },
    )

__all__ = [
    "Ancestor",
    "ByteStore",
    "Candidate",
    "Channel",
    "Checkpoint",
    "CheckpointStore",
    "EntryStore",
    "FindItems",
    "GetItem",
    "GetItems",
    "IndexedKeys",
    "Item",
    "ItemIndex",
    "ItemName",
    "ItemStore",
    "ItemText",
    "ListNamespaces",
    "Match",
    "MessageLog",
    "Namespace",
    "Operation",
    "Place",
    "PutItem",
    "Question",
    "RankedItem",
    "RankedSearch",
    "SearchMode",
    "StoredChannel",
    "StoredCheckpoint",
    "TaskWrite",
    "TouchItems",
    "compile_filter",
    "list_all_threads",
    "list_thread",
    "search_ranked",
]
