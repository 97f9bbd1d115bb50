"""LangGraph on Valkey: checkpointer, store and node cache."""

try:
    import langgraph.checkpoint.base  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'langgraph_valkey needs langgraph-checkpoint: pip install "valkey-vector[langgraph]"'
    ) from error

from langgraph_valkey.cache import ValkeyCache
from langgraph_valkey.migration import copy_checkpoints
from langgraph_valkey.saver import ValkeySaver
from langgraph_valkey.serialization import AllowListSerializer
from langgraph_valkey.store import ValkeyStore

__all__ = ["AllowListSerializer", "ValkeyCache", "ValkeySaver", "ValkeyStore", "copy_checkpoints"]
