"""The verb `tail`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from valkey_vector.command_line.output import plain, print_text
from valkey_vector.command_line.session import Session, with_server
from valkey_vector.operations.opening import open_own
from valkey_vector.operations.tailing import Change, Missed, tail

__all__ = ["VERBS"]


@click.command("tail")
@click.argument("name")
@click.option("--for", "seconds", type=float, help="End after this number of seconds.")
@click.option(
    "--interval", type=float, default=1.0, show_default=True, help="Seconds between two reads."
)
@click.option("--metadata", "with_metadata", is_flag=True, help="Also print the metadata.")
@click.option("--content", "with_content", is_flag=True, help="Also print the texts.")
@click.option(
    "--max-records",
    type=int,
    default=1_000_000,
    show_default=True,
    help="Records that the search engine may compare at each interval.",
)
@with_server
def tail_verb(session: Session, name: str, **options: Any) -> None:
    """Print the ids that are written to the index NAME, deleted and expired, until interrupted.

    The native engine's change log is read at intervals. On the search engine the versions of all records are compared at
    intervals: a record that is written and deleted in between is not seen. With --json, one object a line.
    """
    with session.connection() as connection:
        index = open_own(connection, name)
        for change in tail(index, on_begin=session.say, **options):
            if session.as_json:
                print_line(_fields(change))
            else:
                print_text(" ".join(_line(change).splitlines()))  # an id may have line breaks
            sys.stdout.flush()


def print_line(value: Any) -> None:
    """Print a value as JSON on one line."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")


def _time(change: Change | Missed) -> str:
    return datetime.fromtimestamp(change.time, UTC).isoformat(timespec="milliseconds")


def _fields(change: Change | Missed) -> dict[str, Any]:
    match change:
        case Missed():
            return {"time": _time(change), "operation": "missed", "reason": change.reason}
        case Change():
            shown = {"time": _time(change), "operation": change.operation, "id": change.id}
            more = {"metadata": change.metadata, "content": change.content}
            return shown | {name: value for name, value in more.items() if value is not None}


def _line(change: Change | Missed) -> str:
    match change:
        case Missed():
            return f"{_time(change)}  missed   {change.reason}"
        case Change():
            parts = [_time(change), f"{change.operation:<8}", change.id]
            if change.metadata is not None:
                parts.append(json.dumps(plain(change.metadata), ensure_ascii=False))
            if change.content is not None:
                parts.append(change.content)
            return "  ".join(parts)


VERBS = (tail_verb,)
