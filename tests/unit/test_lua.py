"""Lua scripts are in ``.lua`` files, never in Python strings, and are read without what the server does not need."""

from __future__ import annotations

from pathlib import Path

import pytest

import valkey_vector
from valkey_vector.connection.lua import read_lua

CORE = Path(valkey_vector.__file__).parent
FILES = sorted(CORE.rglob("*.lua"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "package_of_lua_files"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "begin.lua").write_text("-- Prelude.\n\nlocal a = 1\n")
    (folder / "main.lua").write_text(
        "#!lua flags=no-writes\n-- Main.\nif a then\n  return a\nend\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return folder.name


def test_files_are_joined_in_order_with_the_shebang_line_first(package: str) -> None:
    joined = read_lua(package, "begin", "main")
    assert joined == "#!lua flags=no-writes\nlocal a = 1\nif a then\nreturn a\nend"


def test_a_second_shebang_line_is_refused(package: str) -> None:
    with pytest.raises(ValueError, match="main, begin, main"):
        read_lua(package, "main", "begin", "main")


def test_no_python_file_contains_lua() -> None:
    paths = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))
    assert paths
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    assert not [
        path for path, text in texts.items() if "redis.call" in text or "redis.pcall" in text
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORE)))
def test_a_lua_file_begins_with_a_comment_and_has_no_block_comments(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines[1] if lines[0].startswith("#!") else lines[0]
    assert first.startswith("-- ")
    assert not [line for line in lines if "--[" in line]
