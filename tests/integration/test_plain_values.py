"""Members of enumerations, as ids, parents, metadata, filters, names, scopes and keys, are the texts that they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from haystack import Document
from langchain_core.messages import HumanMessage
from llama_index.core.schema import TextNode

from haystack_integrations.document_stores.valkey import ValkeyDocumentStore
from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyByteStore, ValkeyChatMessageHistory, ValkeyRecordManager
from llama_index.storage.chat_store.valkey import ValkeyChatStore
from llama_index.storage.kvstore.valkey import ValkeyKVStore
from llama_index.vector_stores.valkey import ValkeyVectorStore as LlamaStore
from llamaindex_stores import only
from subclasses import Kind, Level, Tenant, Text
from valkey_vector import F, Index, InvalidInputError, Record, Schema, TagField
from valkey_vector.cache import ExactCache, SemanticCache
from valkey_vector.stores import ByteStore, IndexedKeys, MessageLog
from valkey_vector.stores.collections import Collections
from valkey_vector.stores.sequences import Sequences


def record(id: str, kind: str, **more: Any) -> Record:
    return Record(
        id=id, vector=[1.0, 0, 0, 0], metadata={"kind": kind, "level": Level.HIGH}, **more
    )


@pytest.mark.parametrize("schema", [None, Schema(dimension=4, fields=(TagField("kind"),))])
def test_metadata_of_members_is_found_by_member_and_by_text(
    open_index: Callable[..., Index], schema: Schema | None
) -> None:
    index = open_index(schema=schema)
    index.upsert([record("m", Kind.NEWS), record("t", "news"), record("b", Kind.BLOG)])
    for asked in ("news", Kind.NEWS, Text("news")):
        assert index.count({"kind": asked}) == 2
        assert index.count({"kind": {"$in": [asked]}}) == 2
        assert index.count({"kind": {"$ne": asked}}) == 1
        assert index.count(F(Text("kind")) == asked) == 2
        assert len(index.search([1, 0, 0, 0], k=5, filter={"kind": asked})) == 2
    assert index.count({"level": 7}) == index.count(F("level") >= Level.HIGH) == 3
    assert index.delete_by_filter({"kind": {"$ne": "news"}}) == 1
    assert {one.metadata["kind"] for one in index.select()} == {"news"}
    assert all(type(one.metadata["kind"]) is str for one in index.select())


def test_updates_of_metadata_are_found(index: Index) -> None:
    index.upsert([record("1", "blog")])
    index.update_metadata([Text("1")], {Text("kind"): Kind.NEWS, "tags": [Kind.BLOG]})
    assert index.count({"kind": "news"}) == index.count({"tags": {"$contains": "blog"}}) == 1
    assert index.count({"kind": "blog"}) == 0


def test_ids_parents_and_names_are_the_text_they_hold(
    open_index: Callable[..., Index], index_name: str
) -> None:
    index = Index.open(
        Text(index_name),
        connection=open_index().connection,
        dimension=4,
        engine=_engine(open_index),
    )
    index.upsert([record(Kind.NEWS, "x", parent=Tenant.ACME), record("blog", "x", parent="acme")])
    assert {one.id for one in index.select()} == {"news", "blog"}
    (found,) = index.get([Kind.NEWS])
    assert found is not None
    assert (found.id, found.parent) == ("news", "acme")
    assert index.count(F.parent == "acme") == index.count(F.parent == Tenant.ACME) == 2
    assert index.count(F.id == Kind.NEWS) == 1
    assert open_index().count() == 2
    index.upsert([record("news", "again")])
    assert index.count() == 2
    assert index.delete([Kind.BLOG]) == 1


def _engine(open_index: Callable[..., Index]) -> Any:
    return open_index()._lifecycle.request.engine


def test_a_scope_of_members_is_that_of_their_texts(
    open_cache: Callable[..., SemanticCache],
) -> None:
    cache = open_cache()
    cache.store("prompt @0", 1, {"tenant": Tenant.ACME, "level": Level.LOW})
    cache.store("prompt @0", 2, {"tenant": "other", "level": 1})
    hit = cache.lookup("prompt @5", {"tenant": "acme", "level": 1})
    assert hit is not None
    assert (hit.answer, hit.scope) == (1, {"tenant": "acme", "level": 1})
    assert cache.lookup("prompt @0", {"tenant": Tenant.ACME, "level": 1}) is not None
    assert cache.invalidate(filter=F("scope.tenant") == "acme") == 1
    assert cache.invalidate(filter={"scope.tenant": Tenant.OTHER}) == 1


def test_an_exact_cache_takes_members_for_their_texts(server_url: str, index_name: str) -> None:
    with ExactCache(Text(index_name), url=server_url) as cache:
        cache.store(Kind.NEWS, 1, {"tenant": Tenant.ACME})
        assert cache.clear({"tenant": "other"}) == 0
    with ExactCache(index_name, url=server_url) as cache:
        hit = cache.lookup("news", {"tenant": "acme"})
        assert hit is not None
        assert cache.delete("news", {"tenant": Tenant.ACME})


def test_stores_take_members_for_their_texts(server_url: str, index_name: str) -> None:
    name = Text(index_name)
    with ByteStore(name, url=server_url) as store, ByteStore(index_name, url=server_url) as same:
        store.mset([(Kind.NEWS, b"1")])
        assert same.mget(["news"]) == [b"1"]
        assert list(same.yield_keys()) == ["news"]
    with MessageLog(Kind.NEWS, namespace=name, url=server_url) as log:
        log.append([b"1"])
    with MessageLog("news", namespace=index_name, url=server_url) as log:
        assert log.read() == [b"1"]
    with IndexedKeys(name, url=server_url) as keys:
        keys.update([Kind.NEWS], groups=[Tenant.ACME])
        assert keys.select(groups=["acme"]) == ["news"]
        assert keys.exists(["news"]) == [True]
    with Collections(name, url=server_url) as collections:
        collections.put(Kind.BLOG, Kind.NEWS, {Text("kind"): Kind.NEWS})
        assert collections.get("blog", "news") == {"kind": "news"}
    with Sequences(name, url=server_url) as sequences:
        sequences.append(Kind.NEWS, [{"kind": Kind.NEWS}])
        assert sequences.names() == ["news"]
        assert sequences.read("news") == [{"kind": "news"}]


def test_langchains_stores_take_members_for_their_texts(server_url: str, index_name: str) -> None:
    embedding = TableEmbeddings({})
    with opened(embedding, index_name, url=server_url) as store:
        ids = store.add_texts(
            ["a", "b"], [{"kind": Kind.NEWS}, {"kind": "blog"}], ids=[Kind.NEWS, "b"]
        )
        assert ids == ["news", "b"]
        (found,) = store.similarity_search("a", filter={"kind": "news"})
        assert (found.id, found.metadata) == ("news", {"kind": "news"})
        store.delete([Kind.NEWS])
        assert store.get_by_ids(["news"]) == []
    with ValkeyByteStore(Text(index_name), url=server_url) as store_of_bytes:
        store_of_bytes.mset([(Kind.NEWS, b"1")])
        assert store_of_bytes.mget(["news"]) == [b"1"]
    with ValkeyRecordManager(Text(index_name), url=server_url) as manager:
        manager.update([Kind.NEWS], group_ids=[Tenant.ACME])
        assert manager.list_keys(group_ids=["acme"]) == ["news"]
    with ValkeyChatMessageHistory(Kind.NEWS, namespace=index_name, url=server_url) as history:
        history.add_messages([HumanMessage("hello", additional_kwargs={"kind": Kind.NEWS})])
    with ValkeyChatMessageHistory("news", namespace=index_name, url=server_url) as history:
        assert history.messages[0].additional_kwargs == {"kind": "news"}


def test_llamaindexes_stores_take_members_for_their_texts(server_url: str, index_name: str) -> None:
    kv = ValkeyKVStore(server_url, namespace=Text(index_name))
    kv.put(Kind.NEWS, {"kind": Kind.NEWS}, Kind.BLOG)
    kv.put_all([(Kind.BLOG, {Text("kind"): Kind.NEWS})], "blog")
    assert kv.get_all("blog") == {"news": {"kind": "news"}, "blog": {"kind": "news"}}
    assert kv.delete("news", Kind.BLOG)
    kv.close()
    chats = ValkeyChatStore(server_url, namespace=index_name)
    assert chats.get_keys() == []
    chats.close()


def test_llamaindexes_nodes_are_found_by_member_and_by_text(
    server_url: str, index_name: str, engine_name: Any
) -> None:
    store = LlamaStore(server_url, index_name=index_name, engine=engine_name)
    for id, kind in (("m", Kind.NEWS), ("t", "news"), ("b", "blog")):
        store.add([TextNode(id_=id, text=id, embedding=[1.0, 0.0], metadata={"kind": kind})])
    for asked in ("news", Kind.NEWS):
        found = store.get_nodes(filters=only("kind", asked))
        assert {node.node_id for node in found} == {"m", "t"}
        assert {node.metadata["kind"] for node in found} == {"news"}
    store.delete_nodes([Text("m")])
    store.delete_nodes(filters=only("kind", Kind.NEWS))
    assert [node.node_id for node in store.get_nodes()] == ["b"]
    store.index.drop()
    store.close()


def test_haystacks_documents_are_found_by_member_and_by_text(
    server_url: str, index_name: str
) -> None:
    store = ValkeyDocumentStore(url=server_url, index_name=index_name, embedding_dim=2)
    store.write_documents(
        [
            Document(id=Text("m"), content="m", meta={"kind": Kind.NEWS}),
            Document(id="t", content="t", meta={"kind": "news"}),
            Document(id="b", content="b", meta={"kind": Kind.BLOG}),
        ]
    )
    for asked in ("news", Kind.NEWS):
        for operator, expected in (("==", {"m", "t"}), ("!=", {"b"})):
            chosen = {"field": "meta.kind", "operator": operator, "value": asked}
            assert {one.id for one in store.filter_documents(chosen)} == expected
    with pytest.raises(Exception, match="'when'"):
        store.write_documents([Document(id="x", content="x", meta={"when": pd.NaT})])
    assert store.count_documents() == 3
    store.delete_documents([Text("m"), "t", "b"])
    assert store.count_documents() == 0
    store.close()


def test_what_is_no_point_in_time_is_refused_before_anything_is_written(index: Index) -> None:
    good = Record(id="good", vector=[1.0, 0, 0, 0], metadata={"when": pd.Timestamp("2024-01-31")})
    bad = Record(id="bad", vector=[1.0, 0, 0, 0], metadata={"when": pd.NaT})
    with pytest.raises(InvalidInputError, match="metadata 'when' of record 'bad' is a NaTType"):
        index.upsert([good, bad])
    assert index.count() == 0
    index.upsert([good])
    assert index.count({"when": {"$gte": pd.Timestamp("2024-01-30")}}) == 1
    with pytest.raises(InvalidInputError, match="'when'"):
        index.update_metadata(["good"], {"when": pd.NaT})
    (found,) = index.get(["good"])
    assert found is not None
    assert found.metadata["when"] == pd.Timestamp("2024-01-31")
