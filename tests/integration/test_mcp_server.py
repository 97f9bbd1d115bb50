"""The MCP server: its tools return what the locked filter allows, and nothing else; the process speaks the protocol."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

from command_runs import run_command
from servers import Server, start_server
from valkey_vector import ConfigurationError, F, FilterError, Index, Record
from valkey_vector.command_line.serving import load_function
from valkey_vector.mcp_server import ServedIndex, create_server

TOOLS = {"search", "similar", "get", "count", "facets", "describe"}


def at(degrees: float) -> list[float]:
    radians = math.radians(degrees)
    return [math.cos(radians), math.sin(radians)]


def embed(text: str) -> list[float]:
    """The vector of a text that ends in ``@degrees``."""
    return at(float(text.rpartition("@")[2] or 0))


@pytest.fixture
def articles(open_index: Callable[..., Index]) -> Index:
    index = open_index(dimension=2, full_text=True)
    index.upsert(
        [
            Record(
                id=f"{tenant}{n}",
                content=f"article {n} of {tenant} about {topic}",
                vector=at(10 * n),
                metadata={"tenant": tenant, "n": n, "topic": topic, "day": date(2026, 1, 1 + n)},
            )
            for tenant in ("ours", "theirs")
            for n, topic in enumerate(("cats", "dogs", "cats", "birds"))
        ]
    )
    return index


def of(result: Any) -> Any:
    """The structured result of a tool."""
    assert not result.is_error, result.content
    content = result.structured_content
    return content["result"] if set(content) == {"result"} else content


def ids(result: Any) -> list[str]:
    return [record["id"] for record in of(result)["records"]]


def error(result: Any) -> str:
    assert result.is_error
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def tenant_server(index: Index, **settings: Any) -> Any:
    locked = {"tenant": "ours"}
    return create_server([ServedIndex(index=index, locked_filter=locked, **settings)])


async def test_every_tool_only_reads_and_describes_its_arguments(articles: Index) -> None:
    async with Client(tenant_server(articles)) as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == TOOLS
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert tool.description
        for argument in tool.input_schema["properties"].values():
            assert argument["description"]


async def test_a_text_search_returns_the_best_records_of_the_tenant(articles: Index) -> None:
    async with Client(tenant_server(articles)) as client:
        found = of(await client.call_tool("search", {"text": "cats"}))
    assert found["method"] == "text"
    assert {record["id"] for record in found["records"]} == {"ours0", "ours2"}
    [first, second] = found["records"]
    assert first["score"] >= second["score"] > 0
    assert first["metadata"]["tenant"] == "ours"
    assert first["metadata"]["day"].startswith("2026-01-0")


@pytest.mark.parametrize("method", [None, "hybrid", "vector", "text"])
async def test_an_embedder_makes_every_method_available(
    articles: Index, method: str | None
) -> None:
    async with Client(tenant_server(articles, embed=embed)) as client:
        result = await client.call_tool("search", {"text": "birds @30", "method": method})
    assert of(result)["method"] == (method or "hybrid")
    assert ids(result)[0] == "ours3"


async def test_an_embedder_may_be_async(articles: Index) -> None:
    async def embed_later(text: str) -> list[float]:
        return embed(text)

    async with Client(tenant_server(articles, embed=embed_later)) as client:
        result = await client.call_tool("search", {"text": "@10", "method": "vector", "limit": 1})
    assert ids(result) == ["ours1"]


@pytest.mark.parametrize(
    "filter",
    [
        {"tenant": "theirs"},
        {"$or": [{"tenant": "theirs"}, {"tenant": "ours"}]},
        {"$not": {"tenant": "ours"}},
        {"tenant": {"$in": ["theirs", "ours"]}},
        {"tenant": {"$ne": "ours"}},
    ],
    ids=str,
)
async def test_no_filter_of_the_model_widens_the_locked_one(
    articles: Index, filter: dict[str, Any]
) -> None:
    async with Client(tenant_server(articles, embed=embed)) as client:
        for method in ("text", "vector", "hybrid"):
            arguments = {"text": "article @0", "method": method, "filter": filter, "limit": 20}
            found = of(await client.call_tool("search", arguments))["records"]
            assert {record["metadata"]["tenant"] for record in found} <= {"ours"}
        arguments = {"id": "ours0", "filter": filter, "limit": 20}
        found = of(await client.call_tool("similar", arguments))["records"]
        assert {record["metadata"]["tenant"] for record in found} <= {"ours"}
        [facet] = of(await client.call_tool("facets", {"keys": ["tenant"], "filter": filter}))
        assert {value["value"] for value in facet["values"]} <= {"ours"}


async def test_a_record_of_another_tenant_is_as_if_it_were_not_stored(articles: Index) -> None:
    async with Client(tenant_server(articles)) as client:
        assert of(await client.call_tool("get", {"ids": ["theirs0", "nowhere"]})) == []
        other = error(await client.call_tool("similar", {"id": "theirs0"}))
        missing = error(await client.call_tool("similar", {"id": "nowhere"}))
        [summary] = of(await client.call_tool("describe", {}))
    assert other.replace("theirs0", "nowhere") == missing
    assert summary["records"] == 4


async def test_similar_records_do_not_include_the_record_itself(articles: Index) -> None:
    async with Client(tenant_server(articles)) as client:
        result = await client.call_tool("similar", {"id": "ours1", "limit": 2})
        assert ids(result) == ["ours0", "ours2"] or ids(result) == ["ours2", "ours0"]
        arguments = {"id": "ours1", "limit": 2, "filter": {"n": {"$gte": 2}}}
        assert ids(await client.call_tool("similar", arguments)) == ["ours2", "ours3"]


async def test_records_are_fetched_by_id_and_long_texts_are_cut(articles: Index) -> None:
    async with Client(tenant_server(articles, max_characters=9)) as client:
        [record] = of(await client.call_tool("get", {"ids": ["ours2"]}))
    assert record["content"] == "article 2"
    assert record["truncated"]


async def test_describe_tells_keys_types_and_examples(articles: Index) -> None:
    server = create_server([ServedIndex(index=articles, description="Articles on animals.")])
    async with Client(server) as client:
        [summary] = of(await client.call_tool("describe", {}))
    assert summary["description"] == "Articles on animals."
    assert summary["records"] == summary["sampled"] == 8
    hints = {hint["key"]: hint for hint in summary["keys"]}
    assert hints["n"]["types"] == ["number"]
    assert hints["day"]["types"] == ["date"]
    assert set(hints["topic"]["examples"]) == {"cats", "dogs", "birds"}
    assert hints["topic"]["share"] == 1


async def test_facets_count_the_values(articles: Index) -> None:
    async with Client(tenant_server(articles)) as client:
        [facet] = of(await client.call_tool("facets", {"keys": ["topic"], "limit": 1}))
    assert facet == {
        "key": "topic", "values": [{"value": "cats", "count": 2}], "distinct": 3, "missing": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("search", {"text": "cats", "filter": {"n": {"$bigger": 1}}}, r"\$bigger"),
        ("search", {"text": "cats", "limit": 21}, "limit must be 1 to 20"),
        ("search", {"text": "cats", "limit": 0}, "limit"),
        ("search", {"text": "cats", "method": "vector"}, "has no vector search"),
        ("search", {"text": "cats", "index": "other"}, "index must be one of"),
        ("facets", {"keys": ["topic"], "limit": 100}, "limit must be 1 to 20"),
        ("get", {"ids": [str(n) for n in range(21)]}, "at most 20 ids"),
    ],
    ids=str,
)
async def test_a_wrong_argument_is_named_to_the_model(
    articles: Index, tool: str, arguments: dict[str, Any], message: str
) -> None:
    async with Client(tenant_server(articles)) as client:
        result = await client.call_tool(tool, arguments)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(error(result))


async def test_an_index_without_text_or_embedder_offers_similar_records_only(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(dimension=2)
    index.upsert([Record(id="a", content="cats", vector=at(0))])
    async with Client(create_server([ServedIndex(index=index)])) as client:
        [summary] = of(await client.call_tool("describe", {}))
        refused = error(await client.call_tool("search", {"text": "cats"}))
    assert summary["search_methods"] == ["similar"]
    assert "similar" in refused


@asynccontextmanager
async def connected(url: str, *arguments: str) -> AsyncIterator[Client]:
    """A client of the SDK, connected to the command."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "valkey_vector.command_line", "mcp", *arguments],
        env={**os.environ, "VALKEY_URL": url},
    )
    async with Client(parameters) as client:
        yield client


async def test_the_command_serves_on_standard_input_and_output(
    articles: Index, server_url: str
) -> None:
    arguments = [
        articles.name,
        "--describe",
        articles.name,
        "Animals",
        "--lock",
        '{"tenant": "ours"}',
    ]
    async with connected(server_url, *arguments) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        assert ids(await client.call_tool("search", {"text": "dogs"})) == ["ours1"]
        [summary] = of(await client.call_tool("describe", {}))
    assert summary["description"] == "Animals"


async def test_a_lock_of_one_index_is_added_to_the_common_one(
    articles: Index, server_url: str
) -> None:
    locks = ["--lock", '{"tenant": "ours"}', "--lock-index", articles.name, '{"n": {"$lt": 2}}']
    async with connected(server_url, articles.name, *locks) as client:
        assert of(await client.call_tool("count", {})) == 2
        assert of(await client.call_tool("count", {"filter": {"n": {"$gte": 1}}})) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 5, "there is no index 'nowhere'"),
        (["nowhere", "--lock", "{"], 2, "not valid JSON"),
        (["nowhere", "--lock", "[]"], 2, "must be a JSON object"),
        (["nowhere", "--lock-index", "other", "{}"], 2, "'other' is not one of the indexes"),
        (["nowhere", "--describe", "other", "text"], 2, "'other' is not one of the indexes"),
        (["nowhere", "--embedder", "json"], 2, "MODULE:FUNCTION"),
        (["nowhere", "--embedder", "json:nothing"], 2, "no function 'json:nothing'"),
    ],
    ids=str,
)
def test_mistakes_end_the_command_before_it_serves(
    native_server: Server, arguments: list[str], code: int, message: str
) -> None:
    ended = run_command("mcp", *arguments, url=native_server.url)
    assert ended.returncode == code, ended.stderr
    assert message in ended.stderr
    assert ended.stdout == ""


async def test_an_outage_is_reported_without_the_address_of_the_server() -> None:
    with start_server() as server:
        with Index.open("reports", url=server.url, dimension=2) as index:
            index.upsert([Record(id="1", vector=at(0))])
        async with connected(server.url, "reports", "--timeout", "2") as client:
            assert of(await client.call_tool("count", {})) == 1
            server.kill()
            message = error(await client.call_tool("count", {}))
    assert "cannot answer now" in message
    assert str(server.port) not in message


def test_without_the_extra_the_verb_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['mcp'] = None\n"
        "sys.argv = ['valkey-vector', 'mcp', 'reports', '--url', 'valkey://localhost']\n"
        "from valkey_vector.command_line.entry import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert 'pip install "valkey-vector[mcp]"' in ended.stderr


def test_an_embedder_is_found_by_its_module_and_name() -> None:
    loaded: object = load_function("json:dumps")
    assert loaded is json.dumps


@pytest.mark.parametrize("limit", ["max_results", "max_characters", "sample"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5])
def test_a_limit_below_one_is_refused(articles: Index, limit: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=limit):
        ServedIndex(index=articles, **{limit: value})


def test_a_locked_filter_that_is_not_valid_is_refused_at_once(articles: Index) -> None:
    with pytest.raises(FilterError, match="bigger"):
        ServedIndex(index=articles, locked_filter={"n": {"$bigger": 1}})


def test_an_index_is_served_once(articles: Index) -> None:
    served = ServedIndex(index=articles, locked_filter=F("tenant") == "ours")
    with pytest.raises(ConfigurationError, match="once"):
        create_server([served, served])
    with pytest.raises(ConfigurationError, match="at least one"):
        create_server([])
