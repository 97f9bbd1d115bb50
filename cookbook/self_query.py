"""Derive filters from questions, search within a threshold, and send many searches at once: `python cookbook/self_query.py`.

Needs ``valkey-vector[quickstart]``, langchain-classic and lark. Without --url the program starts a private Valkey server,
which ends with it. An application uses a language model to turn a question into a text and a filter. Here a few rules do
so, and nothing is downloaded. You can use any model of LangChain instead.
"""

from __future__ import annotations

import argparse
import json
import re
import uuid
from typing import Any

from langchain_classic.chains.query_constructor.schema import AttributeInfo
from langchain_classic.retrievers.self_query.base import SelfQueryRetriever
from langchain_core.language_models import LLM
from quickstart import LsaEmbeddings, passages

from langchain_valkey import ValkeyRetriever, ValkeyTranslator, ValkeyVectorStore
from valkey_vector import CountQuery, F, FilterQuery, OrderBy, VectorQuery

ATTRIBUTES = [
    AttributeInfo(name="topic", description="the name of the topic", type="string"),
    AttributeInfo(name="part", description="which passage of its topic, from 0", type="integer"),
    AttributeInfo(name="chars", description="characters in the passage", type="integer"),
]
QUESTIONS = [
    "How do I catch an exception? Only from the topic 'try'.",
    "What is evaluated first? Long passages, please.",
    "How are strings formatted? Nothing about 'formatstrings', and the beginnings of topics.",
]
RULES = [
    (r"[Oo]nly from the topic '(\w+)'", 'eq("topic", "{0}")'),
    (r"[Ll]ong passages", 'gte("chars", 700)'),
    (r"[Nn]othing about '(\w+)'", 'ne("topic", "{0}")'),
    (r"the beginnings of topics", 'eq("part", 0)'),
]


class RuleModel(LLM):
    """Fake model that answers LangChain's prompt for structured queries by rules."""

    @property
    def _llm_type(self) -> str:
        return "rules"

    def _call(self, prompt: str, *_: Any, **__: Any) -> str:
        last = prompt.rpartition("User Query:")[2]
        question = last.partition("Structured Request:")[0].strip()
        parts = [
            condition.format(*found.groups())
            for pattern, condition in RULES
            if (found := re.search(pattern, question))
        ]
        wanted = f"and({', '.join(parts)})" if len(parts) > 1 else "".join(parts) or "NO_FILTER"
        answer = {"query": question.split("?", 1)[0] + "?", "filter": wanted}
        return f"```json\n{json.dumps(answer)}\n```"


def show(documents: list[Any]) -> None:
    for document in documents:
        print(f"   {document.metadata['topic']}, part {document.metadata['part']}")


def self_query(store: ValkeyVectorStore) -> None:
    print("Self-queries")
    retriever = SelfQueryRetriever.from_llm(
        RuleModel(),
        store,
        "passages of the Python language reference",
        ATTRIBUTES,
        structured_query_translator=ValkeyTranslator(),
        search_kwargs={"k": 3},
    )
    for question in QUESTIONS:
        print(f"Q: {question}")
        show(retriever.invoke(question))


def within_threshold(store: ValkeyVectorStore, embedding: LsaEmbeddings) -> None:
    vector = embedding.embed_query("How does a with statement leave its block?")
    print("\nAll passages within a threshold")
    for threshold in (0.6, 0.4, 0.2):
        hits = store.index.query(VectorQuery(vector=vector, min_similarity=threshold))
        print(f"   {len(hits):4} passages with a similarity of at least {threshold}")
    first = VectorQuery(
        vector=vector, min_similarity=0.2, filter=F("part") == 0, with_content=False
    )
    print(f"   {len(store.index.query(first)):4} of them at the beginning of a topic")


def batch(store: ValkeyVectorStore) -> None:
    print("\nMany questions in one round trip")
    retriever = ValkeyRetriever.from_store(store, k=1)
    texts = ["How are floats formatted?", "What is a coroutine?", "How does import find modules?"]
    for text, documents in zip(texts, retriever.batch(texts), strict=True):
        print(f"Q: {text}")
        show(documents)
    print("\nQueries of different kinds in one round trip")
    total, long, longest = store.index.search_many(
        [
            CountQuery(),
            CountQuery(filter=F("chars") >= 800),
            FilterQuery(order_by=[OrderBy("chars", descending=True), "topic"], limit=1),
        ]
    )
    assert isinstance(longest, list)
    print(f"   {long} of {total} passages have 800 characters or more; the longest:")
    show(longest)
    topics = {record.metadata["topic"] for record in store.index.iterate()}
    print(f"   iterating over all of them page by page: {len(topics)} topics")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--url", help="a server; by default a private one is started")
    url = parser.parse_args().url
    documents = passages()
    embedding = LsaEmbeddings([document.page_content for document in documents])
    name = f"self-query-{uuid.uuid4().hex[:8]}"
    with ValkeyVectorStore(embedding, index_name=name, url=url) as store:
        try:
            store.add_documents(documents, progress=False)
            self_query(store)
            within_threshold(store, embedding)
            batch(store)
        finally:
            store.index.drop()


if __name__ == "__main__":
    main()
