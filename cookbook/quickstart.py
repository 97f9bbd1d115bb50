"""Index real text and search it with LangChain on Valkey: `./quickstart`, or `python cookbook/quickstart.py`.

The text is the Python language reference, which is part of every Python. The embedding is fitted on it (latent semantic
analysis), so nothing is downloaded. Without --url the program starts a private Valkey server, which ends with it.

    ./quickstart
    ./quickstart --url valkey://localhost:6379
    ./quickstart --embeddings langchain_openai.OpenAIEmbeddings --embeddings-options '{"model": "…"}'
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from importlib import import_module
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_valkey import ValkeyVectorStore
from valkey_vector import F
from valkey_vector.filters import Filter

PASSAGE = 900
CLEANUP = "How do I catch an exception and run cleanup code afterwards?"
ATTRIBUTE = "What happens when an attribute is not found on an object?"
# A question, a filter, and how the filter is written.
QUESTIONS: list[tuple[str, Filter | dict[str, Any] | None, str]] = [
    (CLEANUP, None, ""),
    (CLEANUP, F("topic") == "with", 'F("topic") == "with"'),
    ("How are floats formatted?", {"chars": {"$gte": 400}}, '{"chars": {"$gte": 400}}'),
    (
        ATTRIBUTE,
        F("topic").like("%attribute%") & (F("part") < 2),
        'F("topic").like("%attribute%") & (F("part") < 2)',
    ),
]


class LsaEmbeddings(Embeddings):
    """Latent semantic analysis, fitted on the given texts: a real embedding that needs no download."""

    def __init__(self, texts: list[str], dimension: int = 256) -> None:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._words = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2)
        weights = self._words.fit_transform(texts)
        self._topics = TruncatedSVD(min(dimension, weights.shape[1] - 1), random_state=0)
        self._topics.fit(weights)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors = self._topics.transform(self._words.transform(texts))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        embedded: list[list[float]] = (vectors / np.where(lengths > 0, lengths, 1)).tolist()
        return embedded

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def passages() -> list[Document]:
    """Return the language reference in passages of whole paragraphs, each with its topic."""
    documents = []
    for topic, text in sorted(topics.items()):
        title = text.strip().split("\n", 1)[0]
        for number, passage in enumerate(joined(re.split(r"\n\s*\n", text.strip()))):
            metadata = {"topic": topic, "title": title, "part": number, "chars": len(passage)}
            documents.append(
                Document(passage, id=f"{topic}-{number}", metadata=metadata),
            )
    return documents


def joined(paragraphs: list[str]) -> Iterator[str]:
    """Join paragraphs until a passage is long enough."""
    passage = ""
    for paragraph in paragraphs:
        if passage and len(passage) + len(paragraph) > PASSAGE:
            yield passage
            passage = ""
        passage = f"{passage}\n\n{paragraph}" if passage else paragraph
    if passage:
        yield passage


def chosen_embeddings(arguments: argparse.Namespace, texts: list[str]) -> Embeddings:
    if arguments.embeddings is None:
        return LsaEmbeddings(texts)
    module, _, name = arguments.embeddings.rpartition(".")
    try:
        chosen = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        sys.exit(f"--embeddings {arguments.embeddings}: {error}")
    if not isinstance(chosen, type) or not issubclass(chosen, Embeddings):
        sys.exit(f"--embeddings {arguments.embeddings} is not a LangChain embedding class")
    try:
        return chosen(**json.loads(arguments.embeddings_options))
    except (TypeError, ValueError) as error:
        sys.exit(f"--embeddings-options {arguments.embeddings_options}: {error}")


def ask(
    store: ValkeyVectorStore,
    question: str,
    where: Filter | dict[str, Any] | None,
    written: str,
) -> None:
    began = time.perf_counter()
    vector = store.embeddings.embed_query(question)
    embedded = time.perf_counter()
    found = store.similarity_search_with_score_by_vector(vector, k=3, filter=where)
    ended = time.perf_counter()
    print(f"\nQ: {question}")
    if written:
        print(f"   filter: {written}")
    milliseconds = 1000 * (embedded - began), 1000 * (ended - embedded)
    print("   embedded in {:.1f} ms, searched in {:.1f} ms".format(*milliseconds))
    for document, score in found:
        print(f"   {score:.3f}  {document.metadata['title']} ({document.id})")
        text = " ".join(document.page_content.split())
        print(textwrap.indent(textwrap.fill(textwrap.shorten(text, 160), 80), " " * 10))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a Valkey server; by default VALKEY_URL or a private one")
    parser.add_argument("--embeddings", metavar="MODULE.CLASS", help="a LangChain embedding class")
    parser.add_argument("--embeddings-options", metavar="JSON", default="{}", help="its arguments")
    parser.add_argument(
        "--keep", metavar="INDEX", help="keep the documents in an index of this name"
    )
    arguments = parser.parse_args()

    documents = passages()
    began = time.perf_counter()
    embeddings = chosen_embeddings(arguments, [document.page_content for document in documents])
    print(f"{len(documents)} passages of the Python language reference")
    print(f"{type(embeddings).__name__} ready in {time.perf_counter() - began:.1f} s")

    name = arguments.keep or f"quickstart_{uuid.uuid4().hex[:8]}"
    with ValkeyVectorStore(embeddings, index_name=name, url=arguments.url) as store:
        try:
            began = time.perf_counter()
            store.add_documents(documents, progress=True)
            seconds = time.perf_counter() - began
            info = store.index.info()
            print(
                f"{store.index.count()} passages embedded and stored in {seconds:.2f} s"
                f" on {store.index.connection.capabilities.server}, {info.engine} engine"
            )
            for question, where, written in QUESTIONS:
                ask(store, question, where, written)
        finally:
            if arguments.keep is None:
                store.index.drop(documents=True)
    if arguments.keep:
        print(f"\nKept as index {name!r}.")


if __name__ == "__main__":
    main()
