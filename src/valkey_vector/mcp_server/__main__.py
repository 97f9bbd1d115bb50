"""``python -m valkey_vector.mcp_server``: serves indexes on standard input and output, or by HTTP on loopback."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, cast

from valkey_vector.connection import Connection
from valkey_vector.errors import ConfigurationError, ValkeyVectorError
from valkey_vector.index.index import Index
from valkey_vector.mcp_server.served_index import EmbedQuery, ServedIndex

__all__ = ["main", "parsed"]


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m valkey_vector.mcp_server",
        description="Serve indexes to language models by the Model Context Protocol. Read-only.",
    )
    parser.add_argument(
        "--url",
        help="the server (default: VALKEY_URL, or the embedded server)",
    )
    parser.add_argument(
        "--index",
        action="append",
        required=True,
        metavar="NAME[=DESCRIPTION]",
        help="an existing index to serve, and what it is about; repeat it for several",
    )
    parser.add_argument(
        "--filter",
        metavar="JSON",
        help='the tools see only records that match it, such as {"tenant": "a"}',
    )
    parser.add_argument(
        "--embedder",
        metavar="MODULE:FUNCTION",
        help="function that returns the vector of a text, for vector and hybrid search",
    )
    parser.add_argument("--max-results", type=int, default=20, help="records of one call")
    parser.add_argument(
        "--max-characters", type=int, default=4_000, help="length of the text of a record"
    )
    parser.add_argument("--http", type=int, metavar="PORT", help="serve by HTTP on 127.0.0.1")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the client disconnects. Returns the exit code: 2 for settings that cannot be used."""
    options = parsed(arguments)
    try:
        from valkey_vector.mcp_server.server import create_server

        embed = None if options.embedder is None else load_function(options.embedder)
        locked = None if options.filter is None else json_object(options.filter)
        with Connection.open(options.url) as connection:
            served = [
                ServedIndex(
                    index=Index.open(name, connection=connection, must_exist=True),
                    description=description,
                    locked_filter=locked,
                    embed=embed,
                    max_results=options.max_results,
                    max_characters=options.max_characters,
                )
                for name, _, description in (text.partition("=") for text in options.index)
            ]
            server = create_server(served)
            if options.http is None:
                server.run()
            else:
                server.run("streamable-http", host="127.0.0.1", port=options.http)
    except (ValkeyVectorError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def load_function(path: str) -> EmbedQuery:
    """Import a function by ``module:name``.

    Raises:
        ConfigurationError: there is no such function.
    """
    module, _, name = path.partition(":")
    try:
        function = getattr(import_module(module), name) if module and name else None
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigurationError(f"no function {path!r} for the embedder: {error}") from error
    if not callable(function):
        raise ConfigurationError(f"the embedder must be MODULE:FUNCTION, not {path!r}")
    return cast(EmbedQuery, function)


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"the filter is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"the filter must be a JSON object, not {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
