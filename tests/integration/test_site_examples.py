"""The pages of the site whose Python blocks a reader copies from top to bottom, run so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
SECTIONS = ("tutorials", "how-to", "explanation")
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for section in SECTIONS
    for page in (ROOT / "docs" / section).glob("*.md")
    if BLOCK.search(page.read_text(encoding="utf-8"))
)


def run(program: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a directory, without a variable that names a server."""
    environment = {name: value for name, value in os.environ.items() if name != "VALKEY_URL"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=directory,
        env=environment | {"HAYSTACK_TELEMETRY_ENABLED": "False"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run_one_after_the_other(page: str, tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    ended = run("\n\n".join(blocks), tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


@pytest.mark.parametrize(
    "block", BLOCK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
)
def test_each_block_of_the_landing_page_runs_alone_and_prints(block: str, tmp_path: Path) -> None:
    ended = run(block, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert ended.stdout.strip()
