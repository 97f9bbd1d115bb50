"""Search real text by meaning, by terms and by both, and plot the recall of each: `python cookbook/hybrid_search.py`.

Without --data the text is the Python language reference. The vectors are fitted on it (latent semantic analysis). A
question is a few words of one sentence; the passage with this sentence is the right answer. With --data the text is XQuAD:
paragraphs of an encyclopedia, questions by people, and the vectors of a sentence encoder. Nothing is downloaded. Without
--url the program starts a private Valkey server, which ends with it.

    python cookbook/hybrid_search.py --plot recall.png
    python cookbook/hybrid_search.py --data path/to/xquad --url valkey://localhost:6379
"""

from __future__ import annotations

import argparse
import json
import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from numpy.typing import NDArray

from valkey_vector import Fuzzy, Hit, Index, Phrase, Prefix, Record, Term

DEEPEST = 10
QUESTIONS = 300


@dataclass(frozen=True)
class Collection:
    """Passages and questions, with a vector for each, and the passage that answers each question."""

    passages: dict[str, str]
    vectors: NDArray[np.float32]
    questions: list[str]
    question_vectors: NDArray[np.float32]
    answers: list[str]


def language_reference() -> Collection:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    passages = {
        f"{topic}-{number:03}": " ".join(part.split())
        for topic, text in sorted(topics.items())
        for number, part in enumerate(re.split(r"\n\s*\n", text))
        if len(part) > 200
    }
    chosen = random.Random(0)
    questions, answers = [], []
    for id in chosen.sample(sorted(passages), min(QUESTIONS, len(passages))):
        sentence = max(re.split(r"(?<=[.:;])\s", passages[id]), key=len)
        words = re.findall(r"[A-Za-z]{3,}", sentence)
        questions.append(" ".join(chosen.sample(words, min(len(words), 6))))
        answers.append(id)
    model = make_pipeline(
        TfidfVectorizer(stop_words="english", sublinear_tf=True),
        TruncatedSVD(256, random_state=0),
        Normalizer(copy=False),
    )
    vectors = model.fit_transform(list(passages.values())).astype(np.float32)
    question_vectors = model.transform(questions).astype(np.float32)
    return Collection(passages, vectors, questions, question_vectors, answers)


def xquad(folder: Path) -> Collection:
    def lines(name: str) -> list[dict[str, Any]]:
        text = (folder / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    passages = {line["id"]: line["context"] for line in lines("xquad_en.jsonl")}
    questions = lines("xquad_en_questions.jsonl")
    arrays = np.load(folder / "xquad_en.npz", allow_pickle=False)
    return Collection(
        passages,
        arrays["paragraphs"],
        [line["question"] for line in questions],
        arrays["questions"],
        [line["paragraph_id"] for line in questions],
    )


def recall(collection: Collection, search: Callable[[int], list[Hit]]) -> list[float]:
    """Return the recall at 1 to DEEPEST: the share of questions whose answer is among the first hits."""
    found = np.zeros(DEEPEST)
    for number, answer in enumerate(collection.answers):
        ids = [hit.record.id for hit in search(number)]
        if answer in ids:
            found[ids.index(answer) :] += 1
    shares: list[float] = (found / len(collection.answers)).tolist()
    return shares


def plot(recalls: dict[str, list[float]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    for (name, shares), style in zip(recalls.items(), (":", "--", "-"), strict=True):
        axes.plot(range(1, DEEPEST + 1), shares, style, marker="o", label=name)
    axes.set(xlabel="hits looked at", ylabel="questions answered", xticks=range(1, DEEPEST + 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--url", help="a server; a private one by default")
    parser.add_argument("--data", type=Path, help="directory with xquad_en.jsonl and its like")
    parser.add_argument("--plot", type=Path, help="where to write the plot, a PNG file")
    arguments = parser.parse_args()
    collection = xquad(arguments.data) if arguments.data else language_reference()

    name = f"hybrid-{uuid.uuid4().hex[:8]}"
    url = arguments.url or "embedded://"
    with Index.open(name, url=url, dimension=collection.vectors.shape[1], full_text=True) as index:
        try:
            index.upsert(
                Record(id=id, content=text, vector=vector)
                for (id, text), vector in zip(
                    collection.passages.items(), collection.vectors, strict=True
                )
            )
            print(f"{len(collection.passages)} passages, {len(collection.questions)} questions\n")
            show(index, collection)
            measure(index, collection, arguments.plot)
        finally:
            index.drop()


def show(index: Index, collection: Collection) -> None:
    """Print hits of several kinds of query. The text of a user is only terms: no character in it is syntax."""
    question, vector = collection.questions[0], collection.question_vectors[0]
    word = max(question.split(), key=len)
    found: dict[str, list[Hit]] = {
        f"text: {question}": index.search_text(question, k=2),
        f"hybrid: {question}": index.search_hybrid(vector, question, k=2),
        f"all of: {word} | @{{}} -*": index.search_text(f"{word} | @{{}} -*", k=2, match="all"),
        f"beginning with: {word[:4]}": index.search_text((Prefix(word[:4]),), k=2),
        f"spelt like: {word[1:]}": index.search_text((Fuzzy(word[1:]),), k=2),
        "phrase or word": index.search_text((Phrase(question[:20], slop=3), Term(word)), k=2),
    }
    for title, hits in found.items():
        print(title)
        for hit in hits:
            print(f"   {hit.score:7.3f}  {hit.record.content[:90]}")


def measure(index: Index, collection: Collection, path: Path | None) -> None:
    questions, vectors = collection.questions, collection.question_vectors
    recalls = {
        "vector": recall(collection, lambda i: index.search(vectors[i], k=DEEPEST)),
        "text": recall(collection, lambda i: index.search_text(questions[i], k=DEEPEST)),
        "hybrid": recall(
            collection, lambda i: index.search_hybrid(vectors[i], questions[i], k=DEEPEST)
        ),
    }
    print("\nquestions answered among the first hits")
    print("         " + "".join(f"{number:7}" for number in range(1, DEEPEST + 1)))
    for kind, shares in recalls.items():
        print(f"{kind:9}" + "".join(f"  {share:.3f}" for share in shares))
    if path is not None:
        plot(recalls, path)
        print(f"\nplotted in {path}")


if __name__ == "__main__":
    main()
