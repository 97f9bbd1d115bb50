"""Tools for a language model over real text: an MCP server that sees one part of an index.

The text is the Python language reference, which is part of every Python. The program acts as the model: it calls the tools and
prints the results. Without --url the program starts a private Valkey server, which ends with it.

    python cookbook/mcp_server.py
    python cookbook/mcp_server.py --url valkey://localhost:6379
"""

from __future__ import annotations

import argparse
import asyncio
import json
import uuid
from pydoc_data.topics import topics
from typing import Any

from mcp import Client

from valkey_vector import Index, Record
from valkey_vector.mcp_server import ServedIndex, create_server

STATEMENTS = {"assert", "async", "break", "class", "continue", "del", "for", "function", "global"}
STATEMENTS |= {"if", "import", "nonlocal", "pass", "raise", "return", "try", "while", "with"}


def articles() -> list[Record]:
    """The topics of the language reference, each with its part and its number of words."""
    return [
        Record(
            id=name,
            content=" ".join(text.split()),
            metadata={
                "part": "statements" if name in STATEMENTS else "other",
                "words": len(text.split()),
            },
        )
        for name, text in sorted(topics.items())
    ]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--url", help="a Valkey server; without it a private one is started")
    options = parser.parse_args()

    name = f"cookbook-mcp-{uuid.uuid4().hex[:8]}"
    with Index.open(name, url=options.url, dimension=2, full_text=True) as index:
        try:
            index.upsert(articles())
            served = ServedIndex(
                index=index,
                description="The Python language reference, statements only.",
                locked_filter={"part": "statements"},
                max_characters=60,
            )
            async with Client(create_server([served])) as client:
                await call(client, "describe", {})
                await call(client, "search", {"text": "handle an exception", "limit": 2})
                # The model asks for more than it may see.
                everything = {"$or": [{"part": "other"}, {"part": "statements"}]}
                await call(client, "facets", {"keys": ["part"], "filter": everything})
        finally:
            index.drop()


async def call(client: Client, tool: str, arguments: dict[str, Any]) -> None:
    """Call a tool and print what the model sees."""
    result = await client.call_tool(tool, arguments)
    print(f"{tool} {json.dumps(arguments)}")
    print(json.dumps(result.structured_content, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    asyncio.run(main())
