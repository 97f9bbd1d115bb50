"""Prints results: tables for readers, JSON for scripts."""

from __future__ import annotations

import base64
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["cell", "facts", "plain", "print_json", "print_text", "table"]

_WIDTH = 160
"""Columns of a table that is written to a file or a pipe."""

_LONGEST_CELL = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def plain(value: Any) -> Any:
    """Convert a value to JSON values.

    A dataclass becomes an object, NaN and infinity become null, bytes become base64.
    """
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case date():
            return value.isoformat()
        case np.ndarray() | np.generic():
            return plain(value.tolist())
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case _ if is_dataclass(value):
            return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
        case Iterable():
            return [plain(item) for item in value]
        case _:
            return str(value)


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n")


def print_text(text: str) -> None:
    """Print lines of text. Control characters of stored data are replaced."""
    lines = (_CONTROL.sub("�", line) for line in text.splitlines())
    sys.stdout.write("\n".join(lines) + "\n")


def cell(value: Any) -> Text:
    """Format a value for a table. Control characters are replaced, and long texts are cut."""
    match value:
        case None:
            return Text("–", style="dim")
        case bool():
            return Text("yes" if value else "no")
        case float() if math.isnan(value):
            return Text("–", style="dim")
        case float():
            return Text(f"{value:.6g}")
        case int():
            return Text(f"{value:,}")
        case str():
            shown = _CONTROL.sub("�", value.replace("\n", " "))
            return Text(shown if len(shown) <= _LONGEST_CELL else f"{shown[: _LONGEST_CELL - 1]}…")
        case _:
            return cell(json.dumps(plain(value), ensure_ascii=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table. Numbers are aligned right."""
    listed = [list(row) for row in rows]
    shown = Table(title=Text(title), title_justify="left")
    for number, name in enumerate(columns):
        values = [row[number] for row in listed if row[number] is not None]
        numeric = bool(values) and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in values
        )
        shown.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        shown.add_row(*map(cell, row))
    _console().print(shown)


def facts(title: str, values: Mapping[str, Any]) -> None:
    """Print a table of names and values."""
    shown = Table(title=Text(title), title_justify="left", show_header=False)
    shown.add_column("name", style="bold")
    shown.add_column("value", overflow="fold")
    for name, value in values.items():
        shown.add_row(name, cell(value))
    _console().print(shown)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the error of the pipe pass. Rich itself would exit with 1."""
        raise BrokenPipeError


def _console() -> Console:
    """A console on the standard output; wide where that is not a terminal."""
    return _Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH, markup=False)
