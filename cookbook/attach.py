"""Search an index that another application created: its hashes, its attributes, its raw tags.

Needs a server with a search module. The "other application" writes with plain commands, as a client in any language
does. At the end the program removes everything that it wrote.

    python cookbook/attach.py --url valkey://localhost:6379
"""

from __future__ import annotations

import argparse
import hashlib
import uuid
from pydoc_data.topics import topics

import numpy as np

from valkey_vector import (
    AttachedIndex,
    Connection,
    F,
    Index,
    IndexDefinition,
    Metric,
    NumericAttribute,
    TagAttribute,
    TextAttribute,
    VectorAttribute,
    create_index,
    list_indexes,
)
from valkey_vector.query import AggregateQuery, Count, Sum

DIMENSION = 64
QUESTION = "exceptions that are raised and handled in a try statement"


def embed(text: str) -> bytes:
    """Hash the words of a text into 64 dimensions: a plain embedding that needs no download."""
    vector = np.zeros(DIMENSION, "<f4")
    for word in text.lower().split():
        digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
        vector[int.from_bytes(digest, "big") % DIMENSION] += 1
    return (vector / max(1.0, float(np.linalg.norm(vector)))).tobytes()


def write_as_another_application(connection: Connection, prefix: str) -> None:
    """Write one hash for each topic of the Python language reference, as another application would."""
    commands: list[list[str | bytes]] = []
    for topic, text in sorted(topics.items()):
        title = text.strip().split("\n", 1)[0]
        tenant = "acme*" if topic < "h" else "acme"
        commands.append(
            [
                *("HSET", f"{prefix}{topic}", "vec", embed(text), "title", title),
                *("tenant", tenant, "size", str(len(text)), "topics", topic.replace("-", ",")),
            ]
        )
    connection.pipeline(commands)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="a server with a search module")
    name = f"elsewhere_{uuid.uuid4().hex[:8]}"
    with Connection.open(parser.parse_args().url) as connection:
        write_as_another_application(connection, f"{name}:")
        definition = IndexDefinition(
            name=name,
            prefixes=(f"{name}:",),
            attributes=(
                VectorAttribute("vec", dimension=DIMENSION, metric=Metric.COSINE, m=16),
                TagAttribute("tenant", case_sensitive=True),
                TagAttribute("topics", "topic"),
                NumericAttribute("size"),
                TextAttribute("title"),
            ),
        )
        try:
            create_index(connection, definition)
            search(connection, name)
        finally:
            connection.execute("FT.DROPINDEX", name)
            for keys in connection.scan(f"{name}:*"):
                connection.pipeline([["UNLINK", key] for key in keys])


def search(connection: Connection, name: str) -> None:
    own = [each.own for each in list_indexes(connection) if each.name == name]
    print(f"index {name!r}, created by this library: {own[0]}")
    index = Index.attach(name, connection=connection)
    index.wait_until_indexed()
    for attribute in index.definition.attributes:
        print(f"   {attribute.kind:8} {attribute.identifier}")
    vector = np.frombuffer(embed(QUESTION), "<f4")
    for tenant in ("acme", "acme*"):
        mine = F("tenant") == tenant
        print(f"\n{index.count(mine)} documents of tenant {tenant!r}; nearest to {QUESTION!r}:")
        for hit in index.search(vector, k=3, filter=mine & (F("size") > 1000)):
            title = hit.document.fields["title"].decode()
            print(f"   {hit.similarity:.3f}  {title}  {hit.document.values['topic']}")
    summarize(index)


def summarize(index: AttachedIndex) -> None:
    """Order documents by a number, and group them. Only the named fields are fetched."""
    print("\nthe longest texts:")
    for document in index.select(
        order_by="size", descending=True, limit=3, fields=["title", "size"]
    ):
        print(f"   {document.values['size']:8,}  {document.values['title']}")
    sizes = AggregateQuery(F("size") > 1000).group_by("tenant", texts=Count(), letters=Sum("size"))
    for row in index.aggregate(sizes):
        print(f"{row['texts']} texts of tenant {row['tenant']!r} have {row['letters']:,} letters")
    facet = index.facets(["topic"], limit=3)["topic"]
    print(f"{facet.distinct} topics, the first: {[each.value for each in facet.values]}")


if __name__ == "__main__":
    main()
