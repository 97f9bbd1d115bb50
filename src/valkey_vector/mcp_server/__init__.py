"""MCP server: read-only tools over chosen indexes for language models. Needs the extra ``mcp``."""

from valkey_vector.mcp_server.results import (
    FoundRecord,
    IndexSummary,
    KeyFacet,
    KeyHint,
    SearchResponse,
    ValueCount,
)
from valkey_vector.mcp_server.served_index import EmbedQuery, SearchMethod, ServedIndex
from valkey_vector.mcp_server.server import create_server

__all__ = [
    "EmbedQuery",
    "FoundRecord",
    "IndexSummary",
    "KeyFacet",
    "KeyHint",
    "SearchMethod",
    "SearchResponse",
    "ServedIndex",
    "ValueCount",
    "create_server",
]
