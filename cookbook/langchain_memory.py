"""Keep the memory of a LangChain application on Valkey: `python cookbook/langchain_memory.py`.

1. Index documents so that only changed ones are written again: `index` with a record manager, and a byte store that caches
   the embeddings.
2. Put a semantic cache in front of a slow model, so that a question that means the same is answered at once.
3. Keep the conversation in a chat history.

The model is a fake one that searches and sleeps. `--model langchain_openai.ChatOpenAI --model-options '{"model": "…"}'` uses
a real one.

Needs ``valkey-vector[langchain,quickstart]`` and ``langchain-classic``, for `CacheBackedEmbeddings`. Without --url the
program starts a private Valkey server, which ends with it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from importlib import import_module
from typing import Any

from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.documents import Document
from langchain_core.indexing import index
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from quickstart import LsaEmbeddings, passages

from langchain_valkey import (
    ValkeyByteStore,
    ValkeyCache,
    ValkeyChatMessageHistory,
    ValkeyRecordManager,
    ValkeySemanticCache,
    ValkeyVectorStore,
)
from valkey_vector import Connection

NAME = "cookbook-langchain"
QUESTIONS = [
    "How do I catch an exception?",
    "How do I catch an exception?",  # word for word
    "How can I catch an exception, please?",  # the same in other words
    "How are floating point numbers formatted?",
]


class SlowModel(BaseChatModel):
    """Fake model that sleeps, then names the passage that fits the last question best."""

    store: Any
    seconds: float = 0.5

    @property
    def _llm_type(self) -> str:
        return "slow"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self._llm_type}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - LangChain passes it, and the next two
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResult:
        time.sleep(self.seconds)
        (found,) = self.store.similarity_search(messages[-1].text, k=1)
        text = f"See {found.metadata['title']!r}."
        usage: Any = {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30}
        message = AIMessage(text, usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])


def index_documents(
    documents: list[Document], records: ValkeyRecordManager, store: ValkeyVectorStore
) -> None:
    """Index three times: all new, nothing new, and one source with a removed and a changed passage."""
    changed = [Document(d.page_content, metadata=dict(d.metadata)) for d in documents]
    source = changed[0].metadata["topic"]
    of_source = [d for d in changed if d.metadata["topic"] == source]
    changed.remove(of_source[-1])
    of_source[0].page_content += "\n\nThis was added later."
    for what, run in (("first", documents), ("again", documents), ("changed", changed)):
        began = time.perf_counter()
        done = index(
            run,
            records,
            store,
            cleanup="incremental",
            # One batch: LangChain would clean up a source after the first of two batches.
            batch_size=len(documents),
            source_id_key="topic",
            key_encoder="blake2b",
        )
        print(f"index, {what:8} {time.perf_counter() - began:5.2f} s  {dict(done)}")


def ask(model: BaseChatModel) -> None:
    for question in QUESTIONS:
        began = time.perf_counter()
        answer = model.invoke([HumanMessage(question)])
        print(f"   {time.perf_counter() - began:6.3f} s  {question}  {answer.text[:60]}")


async def converse(model: BaseChatModel, history: ValkeyChatMessageHistory) -> None:
    for question in QUESTIONS[::3]:
        message = HumanMessage(question)
        answer = await model.ainvoke([*await history.aget_messages(), message])
        await history.aadd_messages([message, answer])


def chosen_model(arguments: argparse.Namespace, store: ValkeyVectorStore) -> BaseChatModel:
    if arguments.model is None:
        return SlowModel(store=store)
    module, _, name = arguments.model.rpartition(".")
    model: BaseChatModel = getattr(import_module(module), name)(
        **json.loads(arguments.model_options)
    )
    return model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a Valkey server; by default VALKEY_URL or a private one")
    parser.add_argument("--model", metavar="MODULE.CLASS", help="a LangChain chat model")
    parser.add_argument("--model-options", default="{}", metavar="JSON", help="its arguments")
    arguments = parser.parse_args()

    documents = [Document(p.page_content, metadata=p.metadata) for p in passages()]
    embedding = LsaEmbeddings([document.page_content for document in documents], 128)
    with Connection.open(arguments.url) as connection:
        vectors = ValkeyByteStore(NAME, connection=connection)
        # The namespace contains the model and its version, so no model gets the vectors of another.
        cached = CacheBackedEmbeddings.from_bytes_store(
            embedding, vectors, namespace="lsa 128 v1", key_encoder="blake2b"
        )
        store = ValkeyVectorStore(cached, index_name=NAME, connection=connection)
        records = ValkeyRecordManager(NAME, connection=connection)
        index_documents(documents, records, store)
        print(f"{len(list(vectors.yield_keys()))} vectors in the byte store")

        model = chosen_model(arguments, store)
        exact = ValkeyCache(NAME, ttl=3600, connection=connection)
        semantic = ValkeySemanticCache(
            embedding, f"{NAME}-cache", threshold=0.9, ttl=3600, connection=connection
        )
        for what, cache in (
            ("no cache", False),
            ("exact cache", exact),
            ("semantic cache", semantic),
        ):
            print(f"\n{what}:")
            ask(model.model_copy(update={"cache": cache}))
        counts = semantic.cache.stats()
        print(
            f"   {counts.exact_hits} exact and {counts.semantic_hits} semantic hits, {counts.misses} misses, "
            f"{counts.saved_tokens} tokens saved"
        )

        history = ValkeyChatMessageHistory("anna", namespace=NAME, ttl=3600, connection=connection)
        asyncio.run(converse(model.model_copy(update={"cache": semantic}), history))
        print("\nthe conversation:")
        for message in ValkeyChatMessageHistory(
            "anna", namespace=NAME, connection=connection
        ).messages:
            print(f"   {message.type:5}  {message.text[:60]}")

        history.clear()
        exact.clear()
        semantic.cache.drop()
        vectors.mdelete(list(vectors.yield_keys()))
        records.delete_keys(records.list_keys())
        store.index.drop()


if __name__ == "__main__":
    main()
