"""LangChain's retriever of parent documents: small pieces are searched for, the documents they are from are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_classic.retrievers import ParentDocumentRetriever
from langchain_classic.storage import create_kv_docstore
from langchain_core.documents import Document
from langchain_text_splitters import CharacterTextSplitter

from langchain_stores import TableEmbeddings, opened
from langchain_valkey import ValkeyByteStore, ValkeyVectorStore

DOCUMENTS = [
    Document(f"beginning {n}\n\nmiddle {n}\n\nend {n}", metadata={"n": n, "even": n % 2 == 0})
    for n in range(6)
]


@pytest.fixture
def store(index_name: str, server_url: str, engine_name: str) -> Iterator[ValkeyVectorStore]:
    settings: Any = {"engine": engine_name}
    with opened(TableEmbeddings(), index_name, url=server_url, **settings) as store:
        yield store


@pytest.fixture
def byte_store(index_name: str, server_url: str) -> Iterator[ValkeyByteStore]:
    """Where the documents themselves are kept: on the same server."""
    with ValkeyByteStore(f"{index_name}-documents", url=server_url) as byte_store:
        yield byte_store


async def test_the_document_of_the_nearest_piece_is_found(
    store: ValkeyVectorStore, byte_store: ValkeyByteStore
) -> None:
    retriever = ParentDocumentRetriever(
        vectorstore=store,
        docstore=create_kv_docstore(byte_store),
        child_splitter=CharacterTextSplitter(separator="\n\n", chunk_size=10, chunk_overlap=0),
        search_kwargs={"k": 1},
    )
    retriever.add_documents(DOCUMENTS[:3], ids=["0", "1", "2"])
    await retriever.aadd_documents(DOCUMENTS[3:], ids=["3", "4", "5"])
    assert store.index.count() == 18
    assert sorted(byte_store.yield_keys()) == [str(n) for n in range(6)]
    for n in (0, 4):
        assert retriever.invoke(f"middle {n}") == [DOCUMENTS[n]]
        assert await retriever.ainvoke(f"end {n}") == [DOCUMENTS[n]]
    retriever.search_kwargs = {"k": 3, "filter": {"even": False, "n": {"$gt": 3}}}
    assert retriever.invoke("middle 0") == [DOCUMENTS[5]]
