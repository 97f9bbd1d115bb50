"""Check a built wheel: it has every file under ``src``, nothing else, and imports.

Usage: ``python scripts/check_wheel.py dist/*.whl [version]``, in an environment where the wheel is installed.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import valkey_vector

SOURCE = Path(__file__).parents[1] / "src"


def main() -> None:
    """Compare the wheel with the sources, and the version with the expected one."""
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    files = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    if packed != files:
        sys.exit(f"missing: {sorted(files - packed)}; not in src: {sorted(packed - files)}")
    if SOURCE in Path(valkey_vector.__file__).parents:
        sys.exit("valkey_vector was imported from src, not from the wheel")
    missing = [name for name in valkey_vector.__all__ if not hasattr(valkey_vector, name)]
    if missing:
        sys.exit(f"valkey_vector lacks {missing}")
    if len(sys.argv) > 2 and valkey_vector.__version__ != sys.argv[2].removeprefix("v"):
        sys.exit(f"the wheel is {valkey_vector.__version__}, the tag is {sys.argv[2]}")
    print(f"{len(packed)} files, version {valkey_vector.__version__}")


if __name__ == "__main__":
    main()
