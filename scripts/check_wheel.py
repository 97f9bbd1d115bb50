"""Check a built wheel: it has every file under ``src``, nothing else, is typed, and imports.

Usage: ``python scripts/check_wheel.py dist/*.whl [version]``, in an environment where the wheel is installed.
"""

from __future__ import annotations

import sys
import zipfile
from importlib import import_module
from pathlib import Path

import valkey_vector

SOURCE = Path(__file__).parents[1] / "src"


# Public packages that need no framework. Their Lua scripts are read on import.
PACKAGES = ["valkey_vector"] + [
    f"valkey_vector.{name}" for name in ("cache", "query", "secondary", "stores")
]


def package_roots(files: set[str]) -> list[str]:
    """Return the outermost packages among files of a wheel."""
    packages = {name.rpartition("/")[0] for name in files if name.endswith("/__init__.py")}
    return sorted(name for name in packages if name.rpartition("/")[0] not in packages)


def main() -> None:
    """Compare the wheel with the sources, and the version with the expected one."""
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    files = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    if packed != files:
        sys.exit(f"missing: {sorted(files - packed)}; not in src: {sorted(packed - files)}")
    untyped = [root for root in package_roots(packed) if f"{root}/py.typed" not in packed]
    if untyped:
        sys.exit(f"packages without py.typed: {untyped}")
    if SOURCE in Path(valkey_vector.__file__).parents:
        sys.exit("valkey_vector was imported from src, not from the wheel")
    for name in PACKAGES:
        package = import_module(name)
        missing = [each for each in package.__all__ if not hasattr(package, each)]
        if missing:
            sys.exit(f"{name} lacks {missing}")
    if len(sys.argv) > 2 and valkey_vector.__version__ != sys.argv[2].removeprefix("v"):
        sys.exit(f"the wheel is {valkey_vector.__version__}, the tag is {sys.argv[2]}")
    print(f"{len(packed)} files, version {valkey_vector.__version__}")


if __name__ == "__main__":
    main()
