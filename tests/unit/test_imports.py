"""Importing the packages is fast: what is needed later is imported later."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

# Packages that import their public names on first use.
DEFERRED = ["langchain_valkey", "valkey_vector", "valkey_vector.stores"]
RARELY_NEEDED = [
    "tqdm",
    "snowballstemmer",
    "glide_sync",
    "importlib.metadata",
    "valkey_vector.engines.native.engine",
    "valkey_vector.engines.search.engine",
    "valkey_vector.execution.aggregates",
    "valkey_vector.index.verification",
    "valkey_vector.query.aggregate",
]
PARTS = [
    "valkey_vector.attached",
    "valkey_vector.cache",
    "valkey_vector.embedded",
    "valkey_vector.secondary",
    "valkey_vector.stores",
]


def loaded_after(statement: str, modules: list[str]) -> list[str]:
    """Return which modules are in memory after a statement in a new process."""
    program = (
        f"{statement}\nimport sys\nprint(*[name for name in {modules!r} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return ended.stdout.split()


def test_importing_the_core_imports_nothing_but_the_package_itself() -> None:
    modules = ["numpy", "asyncio", "valkey_vector.index.index", *RARELY_NEEDED, *PARTS]
    assert loaded_after("import valkey_vector", modules) == []


def test_filters_need_no_index() -> None:
    modules = ["numpy", "valkey_vector.index.index", "valkey_vector.engines"]
    assert loaded_after("from valkey_vector import F", modules) == []


def test_the_class_of_an_index_needs_no_engine_side_store_server_or_progress_bar() -> None:
    assert loaded_after("from valkey_vector import Index", [*RARELY_NEEDED, *PARTS]) == []


def test_the_langchain_store_needs_no_cache_and_no_side_store() -> None:
    modules = [*RARELY_NEEDED, *PARTS, "langchain_valkey.caches"]
    modules.remove("importlib.metadata")  # LangChain imports it
    assert loaded_after("from langchain_valkey import ValkeyVectorStore", modules) == []


@pytest.mark.parametrize("package", DEFERRED)
def test_every_deferred_name_is_the_one_that_type_checkers_see(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    declared: dict[str, str] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        declared |= {alias.name: str(node.module) for alias in node.names}
    assert sorted({*declared, "__version__"} & {*module.__all__}) == sorted(module.__all__)
    for name, home in declared.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name), name
        assert name in dir(module)


def test_a_name_that_does_not_exist_is_named() -> None:
    import valkey_vector

    with pytest.raises(AttributeError, match="'valkey_vector' has no attribute 'Indx'"):
        valkey_vector.Indx  # type: ignore[attr-defined]  # noqa: B018
