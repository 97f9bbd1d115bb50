"""List the public API: every public name of every public package, with its members and parameters.

Prints the list. With ``--write`` it becomes the stored one, ``tests/public_api.txt``, which a test compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]
STORED = ROOT / "tests" / "public_api.txt"
PACKAGES = (
    "haystack_integrations.components.caching.valkey",
    "haystack_integrations.components.retrievers.valkey",
    "haystack_integrations.document_stores.valkey",
    "langchain_valkey",
    "langgraph_valkey",
    "langgraph_valkey.middleware",
    "llama_index.graph_stores.valkey",
    "llama_index.storage.cache.valkey",
    "llama_index.storage.chat_store.valkey",
    "llama_index.storage.docstore.valkey",
    "llama_index.storage.index_store.valkey",
    "llama_index.storage.kvstore.valkey",
    "llama_index.vector_stores.valkey",
    "valkey_vector",
    "valkey_vector.cache",
    "valkey_vector.connection",
    "valkey_vector.errors",
    "valkey_vector.filters",
    "valkey_vector.mcp_server",
    "valkey_vector.operations",
    "valkey_vector.query",
    "valkey_vector.secondary",
    "valkey_vector.stores",
    "valkey_vector.telemetry",
)


def parameters(function: griffe.Function) -> str:
    """Return the names of a function's parameters, with the marks of their kinds."""
    kinds = griffe.ParameterKind
    marks = {kinds.var_positional: "*", kinds.var_keyword: "**"}
    shown: list[str] = []
    for parameter in function.parameters:
        if parameter.name in {"self", "cls"}:
            continue
        starred = any(part.startswith("*") for part in shown)
        if parameter.kind is kinds.keyword_only and not starred:
            shown.append("*")
        optional = "" if parameter.default is None or parameter.kind in marks else "="
        shown.append(
            marks.get(parameter.kind or kinds.positional_or_keyword, "") + parameter.name + optional
        )
    return f"({', '.join(shown)})"


def entries(path: str, item: griffe.Object | griffe.Alias) -> Iterator[str]:
    """Yield the lines of one public name."""
    if item.is_alias:
        item = item.final_target  # type: ignore[union-attr]
    if isinstance(item, griffe.Function):
        yield path + parameters(item)
        return
    yield path
    if isinstance(item, griffe.Class):
        members = item.all_members
        for name, member in sorted(members.items()):
            if name[0] == "a" and name[1:] in members:
                yield f"{path}.{name}"  # the async version of another member, with its parameters
            elif not name.startswith("_"):
                yield from entries(f"{path}.{name}", member)


def public_api() -> list[str]:
    """Return the lines of the list."""
    lines: list[str] = []
    # One loader, so that a name defined in another package is found.
    loader = griffe.GriffeLoader(search_paths=[ROOT / "src"], allow_inspection=False)
    for top in sorted({package.split(".")[0] for package in PACKAGES}):
        loader.load(top)
    loader.resolve_aliases(external=False)
    for package in PACKAGES:
        module = loader.modules_collection[package]
        for name in sorted(map(str, module.exports or ())):
            lines += entries(f"{package}.{name}", module.members[name])
    return lines


def main() -> None:
    """Print the list, or store it."""
    text = "\n".join(public_api()) + "\n"
    if "--write" in sys.argv[1:]:
        STORED.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
