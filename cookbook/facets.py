"""Facets and aggregates over real text, as a search page shows them beside its results.

The text is the Python language reference, which is part of every Python. Its paragraphs are stored with metadata such as
their length; no vectors are needed. Without --url the program starts a private Valkey server, which ends with it.

    python cookbook/facets.py
    python cookbook/facets.py --url valkey://localhost:6379
"""

from __future__ import annotations

import argparse
import re
import uuid
from pydoc_data.topics import topics
from typing import Any

from valkey_vector import F, Facet, Index, Record
from valkey_vector.query import (
    AggregateQuery,
    Average,
    Call,
    Count,
    CountDistinct,
    FirstValue,
    Item,
    Maximum,
    StandardDeviation,
    Sum,
)

WORDS = ["exception", "iterator", "generator", "descriptor", "coroutine", "metaclass", "slice"]
SCHEMA = {"dimension": 2, "fields": {"topic": "tag"}}


def paragraphs() -> list[Record]:
    """Return the paragraphs of the language reference, each with its topic, kind, length and notions."""
    records = []
    for topic, text in sorted(topics.items()):
        for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
            lowered = paragraph.lower()
            metadata: dict[str, Any] = {
                "topic": topic,
                "kind": kind_of(paragraph),
                "words": len(paragraph.split()),
                "notions": [word for word in WORDS if word in lowered],
                "new": "New in version" in paragraph or "Added in version" in paragraph,
            }
            records.append(Record(id=f"{topic}-{number}", content=paragraph, metadata=metadata))
    return records


def kind_of(paragraph: str) -> str:
    if ">>>" in paragraph:
        return "session"
    if "::=" in paragraph or re.match(r"\s+\w+:\s", paragraph):
        return "grammar"
    if paragraph.startswith("   "):
        return "indented"
    return "text"


def show_facet(facet: Facet) -> None:
    print(f"  {facet.key}: {facet.distinct} values, {facet.missing} without")
    for each in facet.values:
        print(f"    {each.count:5}  {each.value}")


def show(title: str, rows: list[dict[str, Any]]) -> None:
    print(f"\n{title}")
    for row in rows:
        cells = (f"{k}={v:.1f}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items())
        print("   ", "  ".join(cells))


def show_all(index: Index) -> None:
    print("\nFacets of all paragraphs")
    for facet in index.facets(["kind", "notions", "new", "topic"], limit=5).values():
        show_facet(facet)

    print("\nFacets of the paragraphs about exceptions with at most 40 words")
    narrowed = F("notions").contains("exception") & (F("words") <= 40)
    for facet in index.facets(["kind", "topic"], filter=narrowed, limit=3).values():
        show_facet(facet)

    lengths = (
        AggregateQuery(filter=F("kind") == "text")
        .group_by(
            "topic",
            paragraphs=Count(),
            words=Sum("words"),
            mean=Average("words"),
            spread=StandardDeviation("words"),
            longest=Maximum("words"),
        )
        .where(F("paragraphs") >= 5)
        .sort_by("words", descending=True)
        .limit(5)
    )
    show("The topics with the most running text", index.aggregate(lengths))

    notions = (
        AggregateQuery()
        .unwind("notions")
        .apply(density=Call.of("length", Item.content()) / Item("words"))
        .group_by(
            "notions",
            paragraphs=Count(),
            topics=CountDistinct("topic"),
            characters_a_word=Average("density"),
            shortest_in=FirstValue("topic", by="words"),
        )
        .sort_by("paragraphs", descending=True)
    )
    show("The notions, and how often they occur", index.aggregate(notions))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", help="a Valkey server; by default VALKEY_URL or a private one")
    arguments = parser.parse_args()
    records = paragraphs()
    with Index.open(f"facets_{uuid.uuid4().hex[:8]}", url=arguments.url, schema=SCHEMA) as index:
        try:
            index.upsert(records)
            print(f"{index.count()} paragraphs stored, {index.info().engine} engine")
            show_all(index)
        finally:
            index.drop()


if __name__ == "__main__":
    main()
