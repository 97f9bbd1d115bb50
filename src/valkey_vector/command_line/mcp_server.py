"""MCP server: offers read access to chosen indexes as tools for a language model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from valkey_vector.command_line.output import plain
from valkey_vector.errors import ServerError, ValkeyVectorError
from valkey_vector.operations.guarded import GuardedIndexes
from valkey_vector.records.record import Record

__all__ = ["create_server"]

_log = logging.getLogger(__name__)

_FILTERS = (
    'A filter is a JSON object: {"year": {"$gte": 2020}, "lang": "en"}. Operators: $eq $ne $gt $gte $lt $lte $in $nin '
    "$between $exists $like $ilike $contains $any $all, combined with $and $or $not. Conditions in one object are "
    "combined with AND."
)


def create_server(indexes: GuardedIndexes) -> Any:
    """Create the server, an `mcp.server.MCPServer`. It offers no tool that writes.

    Args:
        indexes: the indexes, with their locked filters and limits.
    """
    # The SDK is optional: imported by name, so that the types of this module do not need it.
    server = import_module("mcp.server").MCPServer(
        "valkey-vector",
        instructions=(
            f"Search records in the indexes {', '.join(indexes.names)}. Call describe_index first: it lists the "
            f"metadata keys and their values. {_FILTERS}"
        ),
        log_level="WARNING",
    )

    def list_indexes() -> list[str]:
        """List the indexes that can be searched."""
        return list(indexes.names)

    def describe_index(index: str) -> dict[str, Any]:
        """Describe an index: number of records, metadata keys with their types and most frequent values, limits."""
        described: dict[str, Any] = plain(indexes.describe(index))
        return described

    def search(
        index: str,
        text: str | None = None,
        like: str | None = None,
        filter: dict[str, Any] | None = None,
        k: int = 10,
    ) -> dict[str, Any]:
        """Search an index by words (text), by similarity to a record (like: its id), by both, or by a filter alone."""
        found = indexes.search(index, text=text, like=like, filter=filter, k=k)
        hits = [{**_record(hit.record), "score": plain(hit.score)} for hit in found.hits]
        return {"kind": found.kind, "hits": hits}

    def get(index: str, ids: list[str]) -> list[dict[str, Any]]:
        """Read records by id. Ids that do not exist are left out."""
        return [_record(record) for record in indexes.get(index, ids)]

    def count(index: str, filter: dict[str, Any] | None = None) -> int:
        """Count the records that match a filter, or all records."""
        return indexes.count(index, filter)

    def facets(
        index: str, keys: list[str], filter: dict[str, Any] | None = None, limit: int = 20
    ) -> dict[str, Any]:
        """Count the records with each value of metadata keys."""
        found: dict[str, Any] = plain(indexes.facets(index, keys, filter=filter, limit=limit))
        return found

    reads = import_module("mcp.types").ToolAnnotations(
        read_only_hint=True, destructive_hint=False, open_world_hint=False
    )
    for tool in (list_indexes, describe_index, search, get, count, facets):
        server.add_tool(_with_messages(tool), annotations=reads)
    return server


def _with_messages(tool: Callable[..., Any]) -> Callable[..., Any]:
    """The tool, whose errors reach the model with a message. An outage is reported without the server's address."""
    tool_error = import_module("mcp.server.mcpserver.exceptions").ToolError

    @wraps(tool)
    def call(**arguments: Any) -> Any:
        try:
            return tool(**arguments)
        except ServerError as error:
            _log.warning("%s failed: %s", tool.__name__, error)
            raise tool_error("the server cannot answer now; try again later") from None
        except ValkeyVectorError as error:
            raise tool_error(str(error)) from None

    return call


def _record(record: Record) -> dict[str, Any]:
    return {"id": record.id, "content": record.content, "metadata": plain(record.metadata)}
