"""The public API: every name in `__all__` exists and is documented; changes are detected."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
STORED = ROOT / "tests" / "public_api.txt"
SCRIPT = ROOT / "scripts" / "public_api.py"


def exported(path: Path) -> list[str] | None:
    """Return what `__all__` of a module lists; None if it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed: list[str] = ast.literal_eval(node.value)
            return listed
    return None


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py")) if exported(path)}
PACKAGES = sorted(name for name, path in MODULES.items() if path.name == "__init__.py")


def defined(path: Path) -> set[str]:
    """Return the names that a module defines itself, by `def`, `class` or assignment."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("name", MODULES)
def test_every_name_in_all_exists_and_is_listed_once(name: str) -> None:
    listed = exported(MODULES[name])
    assert listed is not None
    assert len(listed) == len(set(listed))
    module = importlib.import_module(name)
    assert [item for item in listed if not hasattr(module, item)] == []


@pytest.mark.parametrize("name", [*PACKAGES, "valkey_vector.errors"])
def test_what_a_public_package_defines_is_listed_or_private(name: str) -> None:
    assert defined(MODULES[name]) - set(exported(MODULES[name]) or ()) == set()


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_class_and_function_is_documented_where_it_is_defined(name: str) -> None:
    module = importlib.import_module(name)
    undocumented = []
    for item in exported(MODULES[name]) or ():
        value = getattr(module, item)
        if inspect.isclass(value) and value.__module__.startswith(tuple(PACKAGES)):
            documented = value.__dict__.get("__doc__")
        else:
            documented = inspect.getdoc(value) if inspect.isroutine(value) else "a value or type"
        if not documented or documented.startswith(f"{item}("):  # a dataclass without a docstring
            undocumented.append(item)
    assert undocumented == []


def test_the_public_api_is_the_stored_one() -> None:
    ended = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True
    )
    stored = STORED.read_text(encoding="utf-8").splitlines()
    difference = [
        line
        for line in difflib.unified_diff(stored, ended.stdout.splitlines(), lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    assert difference == [], (
        "the public API changed. If that is intended, note it in CHANGELOG.md and run "
        "`python scripts/public_api.py --write`"
    )
