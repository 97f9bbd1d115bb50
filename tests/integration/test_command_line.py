"""Each verb of `valkey-vector` as a process on a real server: tables, JSON and exit codes."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from caches import Degrees
from command_runs import json_of, run_command
from servers import Server, free_port, start_server
from valkey_vector import Index, Record
from valkey_vector.cache import SemanticCache
from valkey_vector.command_line.application import application
from valkey_vector.command_line.entry import main
from valkey_vector.connection import Connection
from valkey_vector.index.report import IndexReport
from valkey_vector.operations import (
    SearchRequest,
    cache_report,
    clear_cache,
    describe,
    open_own,
    search,
    summarize,
)


@pytest.fixture
def articles(open_index: Callable[..., Index]) -> Index:
    index = open_index(full_text=True)
    index.upsert(
        [
            Record(
                id=f"d{n}",
                vector=[1.0, n / 10, 0, 0],
                content=f"red fox number {n}" if n % 2 else f"blue whale {n}",
                metadata={"year": 2020 + n, "tag": "odd" if n % 2 else "even"},
            )
            for n in range(10)
        ]
    )
    return index


def test_indexes_lists_name_engine_and_documents(
    articles: Index, server_url: str, engine_name: str
) -> None:
    (found,) = [one for one in json_of("indexes", url=server_url) if one["name"] == articles.name]
    assert found["own"] is True
    assert found["engine"] == engine_name
    assert found["documents"] == 10
    assert found["dimension"] == 4
    ended = run_command("indexes", url=server_url)
    assert ended.returncode == 0, ended.stderr
    assert articles.name in ended.stdout
    assert articles.name in [one.name for one in summarize(articles.connection)]


def test_info_describes_schema_slots_and_backfill(
    articles: Index, server_url: str, engine_name: str
) -> None:
    found = json_of("info", articles.name, url=server_url)
    assert found["summary"]["documents"] == 10
    assert found["schema"]["dimension"] == 4
    assert "year" in found["numeric_slots"]
    assert found["backfill"] == (1.0 if engine_name == "search" else None)
    ended = run_command("info", articles.name, url=server_url)
    assert ended.returncode == 0, ended.stderr
    assert "numeric_slots" in ended.stdout
    assert describe(articles.connection, articles.name).summary.documents == 10


def test_count_counts_with_and_without_a_filter(
    articles: Index, server_url: str, tmp_path: Path
) -> None:
    assert run_command("count", articles.name, url=server_url).stdout == "10\n"
    chosen = '{"year": {"$gte": 2027}}'
    assert json_of("count", articles.name, "--filter", chosen, url=server_url)["count"] == 3
    file = tmp_path / "filter.json"
    file.write_text(chosen)
    assert json_of("count", articles.name, "--filter", f"@{file}", url=server_url)["count"] == 3


def test_get_prints_records_and_names_missing_ones(articles: Index, server_url: str) -> None:
    (found,) = json_of("get", articles.name, "d3", "--vectors", url=server_url)
    assert found["content"] == "red fox number 3"
    assert found["metadata"] == {"year": 2023, "tag": "odd"}
    assert found["vector"] == pytest.approx([1.0, 0.3, 0.0, 0.0])
    assert json_of("get", articles.name, "d3", "none", url=server_url, code=1)[1] is None
    ended = run_command("get", articles.name, "d3", "none", url=server_url)
    assert ended.returncode == 1
    assert "red fox number 3" in ended.stdout
    assert "'none'" in ended.stderr


def test_search_by_a_record_by_a_vector_by_words_and_by_both(
    articles: Index, server_url: str
) -> None:
    def ids(*arguments: str) -> list[str]:
        found = json_of("search", articles.name, *arguments, url=server_url)
        return [hit["id"] for hit in found["hits"]]

    assert sorted(ids("--like", "d5", "-k", "2")) == ["d4", "d6"]
    assert ids("--vector", "[1, 0, 0, 0]", "-k", "2") == ["d0", "d1"]
    assert sorted(ids("--text", "whale")) == ["d0", "d2", "d4", "d6", "d8"]
    assert ids("--text", "whale", "--vector", "[1, 0, 0, 0]", "-k", "1") == ["d0"]
    assert ids("--filter", '{"tag": "odd"}', "-k", "2") == ["d1", "d3"]
    only = ["--like", "d5", "--filter", '{"tag": "odd"}', "-k", "2"]
    assert sorted(ids(*only)) == ["d3", "d7"]
    ended = run_command("search", articles.name, "--text", "fox", url=server_url)
    assert "5 records by text" in ended.stdout
    outcome = search(articles, SearchRequest(like="d5", k=2))
    assert sorted(hit.record.id for hit in outcome.hits) == ["d4", "d6"]


def test_facets_count_the_values_of_keys(articles: Index, server_url: str) -> None:
    found = json_of("facets", articles.name, "tag", url=server_url)
    assert {one["value"]: one["count"] for one in found["tag"]["values"]} == {"odd": 5, "even": 5}
    ended = run_command("facets", articles.name, "tag", "year", "--limit", "3", url=server_url)
    assert "tag: 2 values" in ended.stdout
    assert "year: 10 values" in ended.stdout
    assert "│ 2020 " in ended.stdout


def damage(index: Index) -> None:
    """Removes what filters use, which a reader would not notice."""
    key = f"{index.name}:d1"
    index.connection.execute("HDEL", key, "tags")


def test_verify_reports_and_repair_repairs_only_with_yes(articles: Index, server_url: str) -> None:
    assert json_of("verify", articles.name, url=server_url)["ok"] is True
    damage(articles)
    assert json_of("verify", articles.name, url=server_url, code=1)["ok"] is False
    ended = run_command("repair", articles.name, url=server_url)
    assert ended.returncode == 1
    assert "wrong field: 1" in ended.stdout
    assert "--yes" in ended.stdout
    assert not verified(articles).ok
    assert json_of("repair", articles.name, "--yes", url=server_url)["ok"] is True
    assert verified(articles).ok


def verified(index: Index) -> IndexReport:
    return open_own(index.connection, index.name).verify()


def test_cache_statistics_and_clearing(
    open_cache: Callable[..., SemanticCache], server_url: str, embedder: Degrees
) -> None:
    cache = open_cache()
    cache.store("a @0", "answer")
    assert cache.lookup("a @0") is not None
    cache.close()
    found = json_of("cache", "stats", cache.name, url=server_url)
    assert (found["entries"], found["hits"], found["hit_rate"]) == (1, 1, 1.0)
    refused = run_command("cache", "clear", cache.name, url=server_url, stdin="n\n")
    assert refused.returncode == 130
    with Connection.open(server_url) as connection:
        assert cache_report(connection, cache.name).entries == 1
        assert json_of("cache", "clear", cache.name, "--yes", url=server_url)["removed"] == 1
        assert cache_report(connection, cache.name).entries == 0
        assert clear_cache(connection, cache.name) == 0


def test_an_index_that_is_not_a_cache_is_not_cleared(articles: Index, server_url: str) -> None:
    ended = run_command("cache", "clear", articles.name, "--yes", url=server_url)
    assert ended.returncode == 2
    assert "not a semantic cache" in ended.stderr
    assert articles.count() == 10


def test_a_foreign_index_is_described_and_counted_but_not_searched(
    search_server: Server, index_name: str
) -> None:
    with Connection.open(search_server.url) as connection:
        create = f"FT.CREATE {index_name} ON HASH PREFIX 1 {index_name}: SCHEMA vec VECTOR FLAT 6"
        connection.execute(
            *create.split(), "TYPE", "FLOAT32", "DIM", "2", "DISTANCE_METRIC", "COSINE"
        )
        connection.execute("HSET", f"{index_name}:1", "vec", b"\0" * 8)
    found = json_of("info", index_name, url=search_server.url)
    assert found["summary"]["own"] is False
    assert found["summary"]["dimension"] == 2
    assert json_of("count", index_name, url=search_server.url)["count"] == 1
    ended = run_command("search", index_name, "--text", "x", url=search_server.url)
    assert ended.returncode == 2
    assert "another program" in ended.stderr


def test_control_characters_of_stored_texts_do_not_reach_the_terminal(
    open_index: Callable[..., Index], server_url: str
) -> None:
    index = open_index()
    index.upsert([Record(id="a", vector=[1, 0, 0, 0], content="x\x1b[31mred\x07")])
    ended = run_command("search", index.name, "--like", "none", url=server_url)
    assert ended.returncode == 5
    shown = run_command("get", index.name, "a", url=server_url).stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[31mred" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["count", "none"], 5, "there is no index 'none'"),
        (["count", "a b"], 2, "must begin with a letter or digit"),
        (["count", "none", "--filter", "{"], 2, "not valid JSON"),
        (["search", "none", "--like", "a", "--vector", "[1]"], 2, "like or vector, not both"),
        (["search", "none", "-k", "0"], 2, "k"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_mistakes_end_with_a_message_and_a_code(
    arguments: list[str], code: int, message: str, native_server: Server
) -> None:
    ended = run_command(*arguments, url=native_server.url)
    assert ended.returncode == code, ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_server_the_command_says_how_to_name_one() -> None:
    ended = run_command("indexes")
    assert ended.returncode == 2
    assert "VALKEY_URL" in ended.stderr


def test_an_unreachable_server_and_a_refused_password_have_their_own_codes() -> None:
    secret = "hunter2secret"
    nowhere = run_command("indexes", url=f"valkey://:{secret}@127.0.0.1:{free_port()}")
    assert nowhere.returncode == 3
    with start_server() as server:
        server.command("CONFIG", "SET", "requirepass", "right")
        refused = run_command("indexes", url=f"valkey://:{secret}@127.0.0.1:{server.port}")
    assert refused.returncode == 4
    malformed = run_command("indexes", "--url", f"valkey://:{secret}@host:port")
    assert malformed.returncode == 2
    for ended in (nowhere, refused, malformed):
        assert secret not in ended.stdout + ended.stderr


def test_help_lists_the_verbs_and_names_those_that_change_the_server() -> None:
    ended = run_command("--help")
    assert ended.returncode == 0
    for verb in ("indexes", "info", "count", "get", "search", "facets", "verify", "repair"):
        assert f"\n  {verb} " in ended.stdout
    assert "CHANGES THE SERVER" in run_command("repair", "--help").stdout


@pytest.mark.parametrize("package", ["click", "rich"])
def test_without_the_extra_the_command_says_what_to_install(package: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from valkey_vector.command_line.entry import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert 'pip install "valkey-vector[cli]"' in ended.stderr
    assert "Traceback" not in ended.stderr


def test_json_is_one_document_that_every_parser_reads(articles: Index, server_url: str) -> None:
    ended = run_command("search", articles.name, "--json", url=server_url)
    found = json.loads(ended.stdout, parse_constant=pytest.fail)
    assert found["kind"] == "filter"
    assert found["hits"][0]["score"] is None


def test_every_verb_is_documented_and_the_console_script_runs_them() -> None:
    root = Path(__file__).parents[2]
    text = (root / "docs" / "operations.md").read_text(encoding="utf-8")
    for verb in application.commands:
        assert re.search(rf"`{verb}[ `]", text), verb
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["valkey-vector"].partition(":")
    assert getattr(importlib.import_module(module), name) is main
