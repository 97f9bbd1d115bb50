"""The MCP server: registers read-only tools over the served indexes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

from valkey_vector import __version__
from valkey_vector.errors import ConfigurationError, ServerError, ValkeyVectorError
from valkey_vector.mcp_server.results import FoundRecord, IndexSummary, KeyFacet, SearchResponse
from valkey_vector.mcp_server.served_index import SearchMethod, ServedIndex

try:
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.types import ToolAnnotations
    from pydantic import Field
except ModuleNotFoundError as error:
    raise ImportError(
        'the MCP server needs the mcp package: pip install "valkey-vector[mcp]"'
    ) from error

__all__ = ["create_server"]

_log = logging.getLogger("valkey_vector")

_P = ParamSpec("_P")
_T = TypeVar("_T")

_FILTER_HELP = (
    'Conditions on metadata keys, such as {"year": {"$gte": 2020}, "tags": {"$contains": "db"}}. Operators: $eq, $ne, '
    "$gt, $gte, $lt, $lte, $between, $in, $nin, $contains, $any, $all, $exists, $like, $ilike; $and, $or and $not "
    "combine. Call describe for the keys."
)
_READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)

IndexName = Annotated[
    str | None, Field(description="Name of the index. Not needed if only one index is served.")
]
FilterArgument = Annotated[dict[str, Any] | None, Field(description=_FILTER_HELP)]
Limit = Annotated[int, Field(ge=1, description="Maximum number of results.")]


def create_server(
    indexes: Sequence[ServedIndex], *, name: str = "valkey-vector"
) -> MCPServer[dict[str, Any]]:
    """Create an MCP server with the tools ``search``, ``similar``, ``get``, ``count``, ``facets`` and ``describe``.

    The tools only read. They see only the given indexes, and of each only the records that match its locked filter.

    Args:
        indexes: one or more indexes.
        name: name of the server, for its clients.

    Returns:
        A server of the official SDK: ``run()`` serves on standard input and output, ``run("streamable-http")`` by
        HTTP.

    Raises:
        ConfigurationError: no index is given, or two have the same name.
    """
    served = {index.name: index for index in indexes}
    if not served or len(served) < len(indexes):
        raise ConfigurationError(
            "give at least one index to serve" if not served else "each index must be served once"
        )
    about = "; ".join(
        f"{index.name}: {index.description}" if index.description else index.name
        for index in indexes
    )
    server = MCPServer[dict[str, Any]](
        name,
        version=__version__,
        instructions=f"Searches documents. Indexes: {about}. Call describe first to see the metadata keys.",
    )
    for tool in _tools(served):
        server.add_tool(_reported(tool), annotations=_READ_ONLY)
    return server


def _tools(served: dict[str, ServedIndex]) -> list[Callable[..., Awaitable[Any]]]:
    def chosen(index: str | None) -> ServedIndex:
        if index is None and len(served) == 1:
            return next(iter(served.values()))
        if index not in served:
            names = ", ".join(repr(name) for name in served)
            raise ToolError(f"index must be one of {names}, not {index!r}")
        return served[index]

    async def search(
        text: Annotated[str, Field(description="What to search for, in natural language.")],
        index: IndexName = None,
        filter: FilterArgument = None,
        limit: Limit = 5,
        method: Annotated[
            SearchMethod | None,
            Field(description="Ranking; the default is the best one that the index supports."),
        ] = None,
    ) -> SearchResponse:
        """Return the records that are most relevant to a text, best first."""
        return await chosen(index).search(text, limit=limit, filter=filter, method=method)

    async def similar(
        id: Annotated[str, Field(description="Id of a record, as search returned it.")],
        index: IndexName = None,
        filter: FilterArgument = None,
        limit: Limit = 5,
    ) -> SearchResponse:
        """Return the records most similar in meaning to a record, best first."""
        return await chosen(index).similar(id, limit=limit, filter=filter)

    async def get(
        ids: Annotated[list[str], Field(description="Ids of records.")], index: IndexName = None
    ) -> list[FoundRecord]:
        """Return records by their ids. Ids without a record are left out."""
        return await chosen(index).get(ids)

    async def count(index: IndexName = None, filter: FilterArgument = None) -> int:
        """Count the records that match a filter, or all records."""
        return await chosen(index).count(filter=filter)

    async def facets(
        keys: Annotated[list[str], Field(description="Metadata keys.")],
        index: IndexName = None,
        filter: FilterArgument = None,
        limit: Limit = 10,
    ) -> list[KeyFacet]:
        """Count the records with each value of metadata keys, the most frequent values first."""
        return await chosen(index).facets(keys, limit=limit, filter=filter)

    async def describe(index: IndexName = None) -> list[IndexSummary]:
        """Describe the indexes: number of records, search methods, metadata keys with types and examples."""
        asked = served.values() if index is None else [chosen(index)]
        return [await each.describe() for each in asked]

    return [search, similar, get, count, facets, describe]


def _reported(tool: Callable[_P, Awaitable[_T]]) -> Callable[_P, Awaitable[_T]]:
    """Return a tool that reports the errors of this library to the model. Any other error is a defect.

    An outage is reported without its message, which names the server.
    """

    @wraps(tool)
    async def reported(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await tool(*args, **kwargs)
        except ServerError as error:
            _log.warning("%s failed: %s", tool.__name__, error)
            raise ToolError("the server cannot answer now; try again later") from None
        except ValkeyVectorError as error:
            raise ToolError(str(error)) from None

    return reported
