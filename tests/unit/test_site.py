"""The documentation site: its reference covers the public API and is current, its navigation every page."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import valkey_vector

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
API = DOCS / "reference" / "api"
# Public packages, and the API pages that list their names.
PACKAGES = {
    "valkey_vector": ["core", "queries", "connection", "attached", "errors"],
    "valkey_vector.cache": ["cache"],
    "valkey_vector.operations": ["operations"],
    "valkey_vector.stores": ["stores"],
    "valkey_vector.secondary": ["secondary"],
    "langchain_valkey": ["langchain"],
    "langgraph_valkey": ["langgraph"],
    "langgraph_valkey.middleware": ["langgraph"],
    "llama_index.vector_stores.valkey": ["llama-index"],
    "llama_index.storage.kvstore.valkey": ["llama-index"],
    "llama_index.storage.docstore.valkey": ["llama-index"],
    "llama_index.storage.index_store.valkey": ["llama-index"],
    "llama_index.storage.chat_store.valkey": ["llama-index"],
    "llama_index.storage.cache.valkey": ["llama-index"],
    "llama_index.graph_stores.valkey": ["llama-index"],
    "haystack_integrations.document_stores.valkey": ["haystack"],
    "haystack_integrations.components.retrievers.valkey": ["haystack"],
    "haystack_integrations.components.caching.valkey": ["haystack"],
}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_entry_in_the_api_reference(package: str) -> None:
    text = "\n".join((API / f"{page}.md").read_text(encoding="utf-8") for page in PACKAGES[package])
    documented = set(re.findall(rf"^::: {re.escape(package)}\.(\w+)$", text, re.MULTILINE))
    public = set(importlib.import_module(package).__all__) - {"__version__"}
    assert documented == public


def test_the_generated_tables_of_the_reference_are_current() -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "reference_tables.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert pages - set(re.findall(r"[\w/-]+\.md", navigation)) == set()


@pytest.mark.parametrize(
    "page",
    sorted(path.relative_to(ROOT).as_posix() for path in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]),
)
def test_links_and_images_of_a_page_lead_to_files(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), target


def test_the_entry_of_index_lists_all_its_methods() -> None:
    """The list gives the order. A method without a docstring of its own, an async version, has no entry."""
    text = (API / "core.md").read_text(encoding="utf-8")
    match = re.search(r"::: valkey_vector\.Index\n.*?members: \[(.*?)\]", text, re.DOTALL)
    assert match is not None
    public = {name for name in dir(valkey_vector.Index) if not name.startswith("_")}
    made = {f"a{name}" for name in public} - {
        "aattach",
        "aclose",
        "aquery",
        "asearch_many",
        "aiterate",
    }
    assert set(re.findall(r"\w+", match[1])) == public - made
