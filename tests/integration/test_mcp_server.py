"""`valkey-vector mcp` as a process, used by a client of the official SDK."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import pytest

from command_runs import run_command
from servers import Server, start_server
from valkey_vector import Index, Record

TOOLS = {"list_indexes", "describe_index", "search", "get", "count", "facets"}


@pytest.fixture
def index(open_index: Callable[..., Index]) -> Index:
    opened = open_index(full_text=True)
    opened.upsert(
        [
            Record(
                id=f"{tenant}{n}",
                vector=[1.0, n, 0, 0],
                content=f"report {n}",
                metadata={"tenant": tenant},
            )
            for tenant in ("a", "b")
            for n in range(5)
        ]
    )
    return opened


@asynccontextmanager
async def connected(url: str, *arguments: str) -> AsyncIterator[Any]:
    """A client of the SDK, connected to the command."""
    mcp = import_module("mcp")
    parameters = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "valkey_vector.command_line", "mcp", *arguments],
        env={**os.environ, "VALKEY_URL": url},
    )
    async with mcp.Client(parameters) as client:
        yield client


async def test_a_model_searches_within_the_locked_filter(index: Index, server_url: str) -> None:
    lock = '{"tenant": "a"}'
    async with connected(server_url, index.name, "--lock", lock) as client:
        listed = await client.list_tools()
        assert {tool.name for tool in listed.tools} == TOOLS
        assert all(tool.annotations.read_only_hint for tool in listed.tools)

        async def call(tool: str, **arguments: Any) -> Any:
            result = await client.call_tool(tool, {"index": index.name, **arguments})
            assert not result.is_error, result.content
            return result.structured_content

        described = await call("describe_index")
        assert described["records"] == 5
        found = await call("search", text="report", filter={"tenant": {"$in": ["a", "b"]}})
        assert sorted(hit["id"] for hit in found["hits"]) == [f"a{n}" for n in range(5)]
        similar = await call("search", like="a1", k=2)
        assert all(hit["metadata"] == {"tenant": "a"} for hit in similar["hits"])
        assert [record["id"] for record in (await call("get", ids=["a1", "b1"]))["result"]] == [
            "a1"
        ]
        assert (await call("count"))["result"] == 5
        facets = await call("facets", keys=["tenant"])
        assert facets["tenant"]["values"] == [{"value": "a", "count": 5}]
        refused = await client.call_tool("search", {"index": "other"})
        assert refused.is_error
        assert "there is no index 'other'" in str(refused.content)
        refused = await client.call_tool("search", {"index": index.name, "k": 1000})
        assert refused.is_error


async def test_a_lock_of_one_index_comes_on_top(index: Index, server_url: str) -> None:
    arguments = ["--lock", '{"tenant": "a"}', "--lock-index", index.name, '{"tenant": "b"}']
    async with connected(server_url, index.name, *arguments) as client:
        result = await client.call_tool("count", {"index": index.name})
        assert result.structured_content == {"result": 0}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["none"], 5),
        (["none", "--lock", "{"], 2),
        (["none", "--lock-index", "other", "{}"], 2),
    ],
)
def test_mistakes_end_the_server_before_it_serves(
    native_server: Server, arguments: list[str], code: int
) -> None:
    ended = run_command("mcp", *arguments, url=native_server.url)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""


async def test_an_outage_is_reported_without_the_address_of_the_server() -> None:
    with start_server() as server:
        with Index.open("reports", url=server.url, dimension=4) as index:
            index.upsert([Record(id="1", vector=[1, 0, 0, 0])])
        async with connected(server.url, "reports", "--timeout", "2") as client:
            assert not (await client.call_tool("count", {"index": "reports"})).is_error
            server.kill()
            result = await client.call_tool("count", {"index": "reports"})
            assert result.is_error
            assert "cannot answer now" in str(result.content)
            assert str(server.port) not in str(result.content)


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
