"""Loader of Lua scripts from the ``.lua`` files of a package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["read_lua"]

_SHEBANG = "#!"


def read_lua(package: str, *names: str) -> str:
    """Join files of a package into one script, without comments and indentation.

    Every call sends the script, or compares its digest, so the text is short. A shebang line in any of the files becomes
    the first line of the script. Files are read once in each process.

    Args:
        package: the package with the files; pass ``__package__``.
        names: file names without ``.lua``. A file can use the local variables and functions of the files before it.

    Raises:
        ValueError: more than one of the files has a shebang line.
    """
    return _script(package, names)


@cache
def _script(package: str, names: tuple[str, ...]) -> str:
    lines = [line for name in names for line in _lines(package, name)]
    shebangs = [line for line in lines if line.startswith(_SHEBANG)]
    if len(shebangs) > 1:
        raise ValueError(f"{', '.join(names)} in {package}: only one file may have a shebang line")
    return "\n".join([*shebangs, *(line for line in lines if not line.startswith(_SHEBANG))])


@cache
def _lines(package: str, name: str) -> tuple[str, ...]:
    """Lines of code of one file, without lines that contain only a comment."""
    text = (files(package) / f"{name}.lua").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("--"))
