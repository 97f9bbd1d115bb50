"""The `repr` of a store names its class, itself and its server, and never a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from haystack.utils import Secret
from langchain_core.embeddings import DeterministicFakeEmbedding

from haystack_integrations.components.caching.valkey import ValkeySemanticCache as HaystackCache
from haystack_integrations.document_stores.valkey import ValkeyDocumentStore as HaystackStore
from langchain_valkey import (
    ValkeyByteStore,
    ValkeyCache,
    ValkeyChatMessageHistory,
    ValkeyDocumentIndex,
    ValkeyRecordManager,
    ValkeyRetriever,
    ValkeySemanticCache,
    ValkeyVectorStore,
)
from langgraph_valkey import ValkeyCache as NodeCache
from langgraph_valkey import ValkeySaver, ValkeyStore
from langgraph_valkey.middleware import ToolCacheMiddleware
from llama_index.graph_stores.valkey import ValkeyPropertyGraphStore
from llama_index.storage.chat_store.valkey import ValkeyChatStore
from llama_index.storage.docstore.valkey import ValkeyDocumentStore
from llama_index.storage.index_store.valkey import ValkeyIndexStore
from llama_index.storage.kvstore.valkey import ValkeyKVStore
from llama_index.vector_stores.valkey import ValkeyVectorStore as LlamaIndexStore
from valkey_vector import Index
from valkey_vector.cache import EmbeddingsCache, ExactCache, SemanticCache
from valkey_vector.secondary import RandomSet
from valkey_vector.stores import (
    ByteStore,
    CheckpointStore,
    EntryStore,
    IndexedKeys,
    ItemStore,
    MessageLog,
)
from valkey_vector.stores.collections import Collections
from valkey_vector.stores.sequences import Sequences

# Nothing is connected before the first operation.
URL = "valkey://someone:hunter2@nowhere.example:1234/5"
MODEL = DeterministicFakeEmbedding(size=4)

MADE: list[Callable[[], Any]] = [
    lambda: Index.open("books", url=URL),
    lambda: ByteStore("books", url=URL),
    lambda: CheckpointStore("books", url=URL),
    lambda: Collections("books", url=URL),
    lambda: EmbeddingsCache(MODEL.embed_query, model="m", version="1", name="books", url=URL),
    lambda: EntryStore("books", url=URL),
    lambda: ExactCache("books", url=URL),
    lambda: HaystackCache(None, name="books", url=URL),  # type: ignore[arg-type]
    lambda: HaystackStore(index_name="books", url=URL),
    lambda: IndexedKeys("books", url=URL),
    lambda: ItemStore("books", url=URL),
    lambda: LlamaIndexStore(URL, index_name="books"),
    lambda: MessageLog("books", url=URL),
    lambda: NodeCache(URL, namespace="books"),
    lambda: RandomSet[str]("books", url=URL),
    lambda: SemanticCache(MODEL, name="books", url=URL),
    lambda: Sequences("books", url=URL),
    lambda: ToolCacheMiddleware({"tool": 60.0}, name="books", url=URL),
    lambda: ValkeyByteStore("books", url=URL),
    lambda: ValkeyCache("books", url=URL),
    lambda: ValkeyChatMessageHistory("books", url=URL),
    lambda: ValkeyChatStore(url=URL, namespace="books"),
    lambda: ValkeyDocumentIndex(vectorstore=ValkeyVectorStore(MODEL, index_name="books", url=URL)),
    lambda: ValkeyDocumentStore(url=URL, namespace="books"),
    lambda: ValkeyIndexStore(url=URL, namespace="books"),
    lambda: ValkeyKVStore(URL, namespace="books"),
    lambda: ValkeyPropertyGraphStore(URL, index_name="books"),
    lambda: ValkeyRecordManager("books", url=URL),
    lambda: ValkeyRetriever.from_store(ValkeyVectorStore(MODEL, index_name="books", url=URL)),
    lambda: ValkeySaver(URL, namespace="books"),
    lambda: ValkeySemanticCache(MODEL, "books", url=URL),
    lambda: ValkeyStore(URL, namespace="books"),
    lambda: ValkeyVectorStore(MODEL, index_name="books", url=URL),
]


@pytest.mark.parametrize("make", MADE, ids=range(len(MADE)))
def test_a_repr_has_class_name_and_server_and_no_password(make: Callable[[], Any]) -> None:
    made = make()
    shown = repr(made)
    assert shown.startswith(f"{type(made).__name__}(")
    assert "books" in shown
    assert "nowhere.example:1234" in shown
    assert "hunter2" not in shown
    assert "object at 0x" not in shown


def test_a_repr_names_the_engine_and_the_namespace_that_were_chosen() -> None:
    where = "'valkey://nowhere.example:1234/5'"
    index = Index.open("books", url=URL, engine="native")
    assert repr(index) == f"Index('books', Connection({where}), engine='native')"
    store = HaystackStore(index_name="books", url=URL, password=Secret.from_token("x"))
    assert repr(store) == f"ValkeyDocumentStore('books', url={where}, engine='auto')"
    nodes = HaystackStore(nodes_list=[("a", 1)], password=Secret.from_token("hunter2"))
    assert repr(nodes) == "ValkeyDocumentStore('default', nodes_list=[('a', 1)], engine='auto')"
    log = MessageLog("one", namespace="shop", url=URL)
    assert repr(log) == f"MessageLog('one', namespace='shop', Connection({where}))"


def test_a_repr_of_a_url_that_cannot_be_read_shows_none_of_it() -> None:
    cache = HaystackCache(None, url="nonsense:hunter2@host")  # type: ignore[arg-type]
    assert "hunter2" not in repr(cache)
