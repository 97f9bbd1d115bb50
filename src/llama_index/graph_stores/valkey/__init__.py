"""LlamaIndex property graph store on Valkey: `ValkeyPropertyGraphStore`."""

try:
    import llama_index.core  # noqa: F401 - only checks that it is installed
except ModuleNotFoundError as error:
    raise ImportError(
        'llama_index.graph_stores.valkey needs LlamaIndex: pip install "valkey-vector[llama-index]"'
    ) from error

from llama_index.graph_stores.valkey.store import ValkeyPropertyGraphStore

__all__ = ["ValkeyPropertyGraphStore"]
