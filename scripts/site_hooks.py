"""Hooks of the documentation site: pages from files outside ``docs``, and links to them.

The pages keep the links that work in the repository, such as ``../cookbook/quickstart.py``. Here each
becomes a link to a page of the site. A link to a file that has no page stays, and fails a strict build.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()([^)\s#]+)")
# Files of the repository that are pages of the site, beside ``docs`` and the programs of the cookbook.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks.md",
    "tests/README.md": "tests.md",
}
COOKBOOK = "cookbook"


def site_page(path: str) -> str | None:
    """Return the page of the site that shows a file of the repository, or None if there is none."""
    if path == "README.md":
        return "index.md"
    if path in PAGES:
        return PAGES[path]
    if path == COOKBOOK:
        return f"{COOKBOOK}/index.md"
    if path.startswith(f"{COOKBOOK}/") and path.endswith(".py"):
        return f"{path.removesuffix('.py')}.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return None


def with_site_links(markdown: str, source: str, page: str) -> str:
    """Replace the links of a file in the repository, ``source``, by links from ``page`` of the site."""

    def replaced(match: re.Match[str]) -> str:
        target = match[2]
        if "://" in target or target.startswith(("mailto:", "/")):
            return match[0]
        found = site_page(posixpath.normpath(posixpath.join(posixpath.dirname(source), target)))
        if found is None:
            return match[0]
        return match[1] + posixpath.relpath(found, posixpath.dirname(page) or ".")

    return LINK.sub(replaced, markdown)


def program_page(path: Path) -> str:
    """Return the page of one program of the cookbook: what it shows, and its source."""
    source = path.read_text(encoding="utf-8")
    title, _, rest = (ast.get_docstring(ast.parse(source)) or path.stem).partition("\n")
    name = path.relative_to(ROOT).as_posix()
    about = f"```text\n{rest.strip()}\n```\n\n" if rest.strip() else ""
    return f"# {path.name}\n\n{title}\n\n{about}``` {{.python title={name!r}}}\n{source}```\n"


def cookbook_index(programs: list[Path]) -> str:
    """Return the page that lists the programs of the cookbook."""
    rows = []
    for path in programs:
        title = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[
            0
        ]
        rows.append(f"| [{path.name}]({path.stem}.md) | {title} |")
    return "\n".join(["# Cookbook", "", "Programs to copy and change.", "", "| program | |", "|---|---|", *rows, ""])  # fmt: skip


def on_config(config: Any) -> Any:
    """Put every program of the cookbook into the navigation."""
    pages = [f"{COOKBOOK}/{path.stem}.md" for path in sorted((ROOT / COOKBOOK).glob("*.py"))]
    config.nav.append({"Cookbook": [f"{COOKBOOK}/index.md", *pages]})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages whose source is outside ``docs``."""
    for source, page in PAGES.items():
        if (ROOT / source).exists():
            text = (ROOT / source).read_text(encoding="utf-8")
            files.append(File.generated(config, page, content=with_site_links(text, source, page)))
    programs = sorted((ROOT / COOKBOOK).glob("*.py"))
    files.append(File.generated(config, f"{COOKBOOK}/index.md", content=cookbook_index(programs)))
    for path in programs:
        page = f"{COOKBOOK}/{path.stem}.md"
        files.append(File.generated(config, page, content=program_page(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links to files of the repository to their pages."""
    source = page.file.src_uri
    if page.file.generated_by is not None:
        return markdown
    return with_site_links(markdown, f"docs/{source}", source)
