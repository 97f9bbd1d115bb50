"""Examples and programs of the documents work as shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest

from servers import Server
from valkey_vector import Connection
from valkey_vector.filters.dict_dialect import OPERATORS

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
ELSEWHERE = {
    "index.md": "test_site_examples.py",
    "langgraph.md": "test_langgraph_documents.py",
    "secondary.md": "test_secondary_documentation.py",
}
"""Pages of docs/ whose blocks another file of this folder runs."""

PAGES = sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in ELSEWHERE)
EXAMPLES = [
    pytest.param(example, id=f"{page.stem}-{number}")
    for page in (ROOT / "README.md", *PAGES)
    for number, example in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
]


def cooked(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program of the cookbook that has ended."""
    return subprocess.run(
        [sys.executable, str(ROOT / "cookbook" / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_documents_runs_in_an_empty_directory(
    example: str, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "VALKEY_URL"}
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 20


def test_the_examples_of_every_page_run_somewhere() -> None:
    for page, file in ELSEWHERE.items():
        assert f'"{page}"' in (Path(__file__).parent / file).read_text(encoding="utf-8"), page
    with_blocks = {
        page.relative_to(ROOT / "docs").parts[0]
        for page in (ROOT / "docs").glob("*/**/*.md")
        if BLOCK.search(page.read_text(encoding="utf-8"))
    }
    assert with_blocks <= {"tutorials", "how-to", "explanation"}


def test_every_operator_of_the_dict_dialect_is_documented() -> None:
    text = (ROOT / "docs" / "filters.md").read_text(encoding="utf-8")
    assert [name for name in OPERATORS if name not in text] == []


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *PAGES], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_the_quickstart_answers_on_a_server_and_leaves_nothing_behind(
    search_server: Server, tmp_path: Path
) -> None:
    url = search_server.url
    with Connection.open(url) as connection:
        before = {key for keys in connection.scan("*quickstart*") for key in keys}
        ended = cooked("quickstart", "--url", url)
        assert ended.returncode == 0, ended.stderr
        assert "search engine" in ended.stdout
        assert ended.stdout.count("Q: ") >= 4
        assert len(re.findall(r"^   0\.\d{3}  ", ended.stdout, re.MULTILINE)) >= 10
        assert ended.stdout.isprintable() or ended.stdout.replace("\n", "").isprintable()
        after = {key for keys in connection.scan("*quickstart*") for key in keys}
    assert after == before


@pytest.mark.parametrize("arguments", [[], ["--url"]], ids=["private server", "a server"])
def test_the_llama_index_cookbook_runs(
    arguments: list[str], search_server: Server, tmp_path: Path
) -> None:
    chosen = [*arguments, search_server.url] if arguments else []
    ended = cooked("llama_index_ingestion", *chosen)
    assert ended.returncode == 0, ended.stderr
    assert "Second run: 0 nodes written" in ended.stdout
    assert "One document changed: 1 nodes written" in ended.stdout
    assert len(re.findall(r"^   [01]\.\d{3}  ", ended.stdout, re.MULTILINE)) == 12
    assert ended.stdout.count("   user: ") == 2
    with Connection.open(search_server.url) as connection:
        assert [key for keys in connection.scan("*cookbook*llama*") for key in keys] == []


@pytest.mark.parametrize("arguments", [[], ["--url"]], ids=["private server", "a server"])
def test_the_haystack_cookbook_runs(
    arguments: list[str], search_server: Server, tmp_path: Path
) -> None:
    chosen = [*arguments, search_server.url] if arguments else []
    ended = cooked("haystack_pipeline", *chosen)
    assert ended.returncode == 0, ended.stderr
    assert "documents written" in ended.stdout
    assert len(re.findall(r"^   0\.\d{3}  ", ended.stdout, re.MULTILINE)) >= 9
    by_terms = ended.stdout.partition("(by terms)\n")[2].splitlines()[:3]
    assert [line for line in by_terms if not re.match(r"   \d+\.\d{3}  ", line)] == []
    assert len(by_terms) == 3


@pytest.mark.parametrize("arguments", [[], ["--url"]], ids=["private server", "a server"])
def test_the_self_query_cookbook_runs(arguments: list[str], search_server: Server) -> None:
    ended = cooked("self_query", *arguments, *([search_server.url] if arguments else []))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("   try, part ") == 3
    within = [int(n) for n in re.findall(r"^ +([0-9]+) passages with", ended.stdout, re.MULTILINE)]
    assert within == sorted(within)
    assert within[-1] > 10
    assert "iterating over all of them" in ended.stdout


@pytest.mark.parametrize("arguments", [[], ["--url"]], ids=["private server", "a server"])
def test_the_facets_of_the_cookbook_are_the_same_on_every_server(
    arguments: list[str], search_server: Server
) -> None:
    ended = cooked("facets", *([*arguments, search_server.url] if arguments else []))
    assert ended.returncode == 0, ended.stderr
    assert ("search engine" if arguments else "native engine") in ended.stdout
    counts = re.search(r"^(\d+) paragraphs stored", ended.stdout)
    kinds = re.findall(r"^ +(\d+)  (?:text|indented|grammar|session)$", ended.stdout, re.MULTILINE)
    assert counts is not None
    assert sum(map(int, kinds[:4])) == int(counts[1])
    assert len(re.findall(r"^    topic=", ended.stdout, re.MULTILINE)) == 5
    assert "notions=exception" in ended.stdout


def test_the_cookbook_serves_one_part_of_an_index_to_a_model(search_server: Server) -> None:
    for arguments in ([], ["--url", search_server.url]):
        ended = cooked("mcp_server", *arguments)
        assert ended.returncode == 0, ended.stderr
        assert '"id": "try"' in ended.stdout
        assert '"value": "statements"' in ended.stdout
        assert '"value": "other"' not in ended.stdout


@pytest.mark.parametrize("arguments", [[], ["--url"]], ids=["private server", "a server"])
def test_the_cookbook_of_operations_names_faults_and_repairs_them(
    arguments: list[str], search_server: Server
) -> None:
    ended = cooked("operations", *([*arguments, search_server.url] if arguments else []))
    assert ended.returncode == 0, ended.stderr
    assert "filter decided by: server" in ended.stdout
    assert "ACL SETUSER application reset on >PASSWORD" in ended.stdout
    before, after = ended.stdout.split("repair mended")
    for code in ("index.damaged_vectors", "index.wrong_fields", "index.foreign_keys"):
        assert code in before
    assert "index.wrong_fields" not in after
    assert "in order after repair: True" in after
    with Connection.open(search_server.url) as connection:
        assert not [key for keys in connection.scan("*operations_*") for key in keys]


def test_the_cookbook_attaches_to_the_index_of_another_application(search_server: Server) -> None:
    ended = cooked("attach", "--url", search_server.url)
    assert ended.returncode == 0, ended.stderr
    assert "created by this library: False" in ended.stdout
    assert len(re.findall(r"^   0\.\d{3}  ", ended.stdout, re.MULTILINE)) == 6
    counts = list(map(int, re.findall(r"^(\d+) documents of tenant", ended.stdout, re.MULTILINE)))
    with Connection.open(search_server.url) as connection:
        assert not [key for keys in connection.scan("elsewhere_*") for key in keys]
    assert all(counts)
    assert sum(counts) == len(topics), "no document is of two tenants"
    sizes = [
        int(size.replace(",", ""))
        for size in re.findall(r"^ +([\d,]+)  ", ended.stdout, re.MULTILINE)
    ]
    assert sizes == sorted(map(len, topics.values()), reverse=True)[:3]
    grouped = re.findall(
        r"^(\d+) texts of tenant '(\S+)' have ([\d,]+) letters", ended.stdout, re.MULTILINE
    )
    letters = {tenant: int(number.replace(",", "")) for _, tenant, number in grouped}
    for tenant, total in letters.items():
        of = [len(text) for topic, text in topics.items() if (topic < "h") == (tenant == "acme*")]
        assert total == sum(size for size in of if size > 1000)
    assert letters.keys() == {"acme", "acme*"}


@pytest.mark.parametrize("arguments", [[], ["--url"]], ids=["private server", "a server"])
def test_the_langchain_cookbook_prints_the_expected_figures(
    arguments: list[str], search_server: Server
) -> None:
    chosen = [*arguments, search_server.url] if arguments else []
    ended = cooked("langchain_memory", *chosen)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"again .*'num_added': 0, .*'num_skipped': [1-9]", ended.stdout)
    assert re.search(r"changed .*'num_added': 1, .*'num_deleted': 2", ended.stdout)
    assert "1 exact and 1 semantic hits, 2 misses, 60 tokens saved" in ended.stdout
    assert re.findall(r"^   (human|ai) ", ended.stdout, re.MULTILINE) == ["human", "ai"] * 2
    with Connection.open(search_server.url) as connection:
        assert not [key for keys in connection.scan("*cookbook-langchain*") for key in keys]


@pytest.mark.parametrize("arguments", [[], ["--url"]], ids=["private server", "a server"])
def test_the_cookbook_of_the_semantic_cache_runs(
    arguments: list[str], search_server: Server
) -> None:
    chosen = [*arguments, search_server.url] if arguments else []
    ended = cooked("semantic_cache", "--seconds", "0.1", *chosen)
    assert ended.returncode == 0, ended.stderr
    assert "<- proposed" in ended.stdout
    assert ended.stdout.count("[miss]") >= 6
    assert ended.stdout.count("[exact hit]") == 6
    assert ended.stdout.count("[hit, ") >= 6
    assert "16 hits were right, 0 were wrong" in ended.stdout
    with Connection.open(search_server.url) as connection:
        assert not list(connection.scan("*cookbook_cache*"))


def test_the_cookbook_of_the_semantic_cache_takes_a_real_model() -> None:
    arguments = ["--model", "langchain_core.language_models.FakeListChatModel"]
    ended = cooked("semantic_cache", *arguments, "--model-options", '{"responses": ["yes"]}')
    assert ended.returncode == 0, ended.stderr
    wrong = cooked("semantic_cache", "--model", "nowhere.Nothing")
    assert wrong.returncode != 0
    assert "nowhere" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def xquad_like(folder: Path) -> None:
    """A folder with a little of XQuAD's layout; each question is nearest to the paragraph before its own."""
    words = ["harbour", "orchard", "granite", "violin", "comet", "lantern"]
    paragraphs = [
        {"id": f"p{n}", "title": "t", "context": f"Some text about a {word}."}
        for n, word in enumerate(words)
    ]
    questions = [
        {"id": f"q{n}", "paragraph_id": f"p{n}", "question": f"What of {word}s?", "answer": word}
        for n, word in enumerate(words)
    ]
    for name, lines in (("xquad_en", paragraphs), ("xquad_en_questions", questions)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    vectors = np.eye(len(words), dtype=np.float32)
    np.savez(
        folder / "xquad_en.npz",
        paragraphs=vectors,
        questions=0.8 * vectors + np.roll(vectors, 1, axis=0),
    )


def test_the_hybrid_cookbook_measures_and_plots(search_server: Server, tmp_path: Path) -> None:
    plot = tmp_path / "recall.png"
    ended = cooked("hybrid_search", "--plot", str(plot))
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    shares = dict(
        re.findall(r"^(vector|text|hybrid) .*?  (\d\.\d{3})$", ended.stdout, re.MULTILINE)
    )
    assert len(shares) == 3
    assert min(map(float, shares.values())) > 0.9
    assert plot.read_bytes().startswith(b"\x89PNG")
    xquad_like(tmp_path)
    ended = cooked("hybrid_search", "--data", str(tmp_path), "--url", search_server.url)
    assert ended.returncode == 0, ended.stderr
    assert "6 passages, 6 questions" in ended.stdout


def test_the_benchmark_of_retrieval_measures_both_engines(tmp_path: Path) -> None:
    xquad_like(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.retrieval", "--data", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    rows = re.findall(r"^\| (\w[\w, ]*) \| ([\d.]+) \| ([\d.]+) \|", ended.stdout, re.MULTILINE)
    assert len(rows) == 8
    assert rows[:4] == rows[4:]
    assert ("vector", "0.0000", "1.0000") in rows
    assert ("text", "1.0000", "1.0000") in rows
    assert ("hybrid, reciprocal rank", "1.0000", "1.0000") in rows


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("nowhere.Nothing", "nowhere"),
        ("json.dumps", "json.dumps"),
        ("collections.Counter", "not a LangChain embedding"),
    ],
)
def test_the_quickstart_names_an_embedding_that_it_cannot_use(option: str, message: str) -> None:
    ended = cooked("quickstart", "--embeddings", option)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_quickstart_takes_any_langchain_embedding(tmp_path: Path) -> None:
    arguments = ["--embeddings", "langchain_core.embeddings.DeterministicFakeEmbedding"]
    ended = cooked("quickstart", *arguments, "--embeddings-options", '{"size": 32}')
    assert ended.returncode == 0, ended.stderr
    assert "DeterministicFakeEmbedding ready" in ended.stdout


def test_the_benchmark_of_vector_search_runs_against_raw_commands() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--documents", "300", "--dimension", "8"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(re.findall(r"^\| core \|", ended.stdout, re.MULTILINE)) == 2
    assert len(re.findall(r"^\| LangChain store \|", ended.stdout, re.MULTILINE)) == 2
    assert "raw GLIDE" in ended.stdout
