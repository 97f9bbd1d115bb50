"""The verbs `export`, `load` and `migrate`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from typing import Any

import click

from valkey_vector.command_line.exit_codes import ExitCode
from valkey_vector.command_line.output import print_json, print_text
from valkey_vector.command_line.reading import filter_option
from valkey_vector.command_line.session import Session, read_json, with_output, with_server
from valkey_vector.operations.opening import open_own
from valkey_vector.operations.transfer.copying import export_index, load_index, migrate_index
from valkey_vector.operations.transfer.values import LoadReport, Progress
from valkey_vector.records.amounts import counted

__all__ = ["VERBS"]

_EVERY = 2.0
"""Seconds between two lines of progress."""

_STREAM = "-"
_ENVIRONMENT = "env:"

_engine = click.option(
    "--engine",
    type=click.Choice(["auto", "search", "native"]),
    default="auto",
    show_default=True,
    help="Engine of a new index.",
)
_existing = click.option(
    "--existing",
    type=click.Choice(["overwrite", "skip"]),
    default="overwrite",
    show_default=True,
    help="Records whose ids are stored already; skip resumes an interrupted load.",
)


@click.command("export")
@click.argument("name")
@click.argument("file")
@filter_option
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@with_server
def export(session: Session, name: str, file: str, *, filter_text: str | None, force: bool) -> None:
    """Write the index NAME to FILE: JSON Lines, compressed if it ends with .gz; - for the standard output.

    Every part of each record is copied exactly: id, content, metadata, vectors, parent, payload, time to live, order.
    """
    chosen = read_json(filter_text, "--filter")
    target: Any = sys.stdout.buffer if file == _STREAM else file
    with session.connection() as connection:
        report = export_index(
            open_own(connection, name),
            target,
            filter=chosen,
            overwrite=force,
            progress=_progress(session),
        )
    exported = counted(report.records, "record")
    if file == _STREAM:
        session.say(f"{exported} exported")  # the output is the file
    elif session.as_json:
        print_json({**asdict(report), "file": file})
    else:
        print_text(f"{exported} exported to {file} in {report.seconds:.1f} seconds")


@click.command("load")
@click.argument("file")
@click.argument("name", required=False)
@_engine
@_existing
@with_server
def load(session: Session, file: str, name: str | None, **options: Any) -> None:
    """Write the records of FILE to the index NAME. CHANGES THE SERVER.

    FILE is one that `export` wrote, or - for the standard input. The index is created if it does not exist. Without NAME it has the name of the exported index. Loading again is safe.
    """
    source: Any = sys.stdin.buffer if file == _STREAM else file
    with session.connection() as connection:
        report = load_index(connection, source, name, progress=_progress(session), **options)
    if session.as_json:
        print_json(report)
    else:
        print_text(_loaded(report))


@click.command("migrate")
@click.argument("source_url")
@click.argument("name")
@click.argument("target_url")
@click.option("--to", "new_name", help="Name of the copy. Default: the same name.")
@filter_option
@_engine
@_existing
@with_output
def migrate(
    session: Session,
    source_url: str,
    name: str,
    target_url: str,
    *,
    new_name: str | None,
    filter_text: str | None,
    **options: Any,
) -> int:
    """Copy the index NAME to another server. CHANGES THE TARGET SERVER.

    Copies from SOURCE_URL to TARGET_URL, and compares the counts at the end.
    A URL may be env:VARIABLE, which keeps a password out of the list of processes. Exits with 1 if the counts differ.
    """
    chosen = read_json(filter_text, "--filter")
    source, target = session.at(_url(source_url)), session.at(_url(target_url))
    with source.connection() as read, target.connection() as written:
        report = migrate_index(
            open_own(read, name),
            written,
            new_name,
            filter=chosen,
            progress=_progress(session),
            **options,
        )
    if session.as_json:
        print_json({"ok": report.ok, **asdict(report)})
    else:
        print_text(_loaded(report.load))
        print_text(
            f"source: {counted(report.source, 'record')}; target: {report.before:,} before, {report.after:,} now"
        )
    if not report.ok:
        click.echo(
            "the counts differ: other clients wrote meanwhile, or records expired. Run the command again, or compare "
            "with `count`",
            err=True,
        )
    return ExitCode.OK if report.ok else ExitCode.PROBLEMS


def _loaded(report: LoadReport) -> str:
    where = f"the new index {report.index}" if report.created else report.index
    counts = f"{report.written:,} of {counted(report.read, 'record')}"
    lines = [f"{counts} written to {where} in {report.seconds:.1f} seconds"]
    if report.skipped:
        lines.append(
            f"{report.skipped:,} {'was' if report.skipped == 1 else 'were'} stored already and stayed"
        )
    return "\n".join([*lines, *(f"note: {note}" for note in report.notes)])


def _progress(session: Session) -> Progress:
    """Print the progress at intervals."""
    last = time.monotonic()

    def show(done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            part = "" if total is None else f"{done:,} of "
            session.say(part + counted(done if total is None else total, "record"))

    return show


def _url(text: str) -> str:
    """The URL, or the value of the environment variable that it names."""
    if not text.startswith(_ENVIRONMENT):
        return text
    name = text.removeprefix(_ENVIRONMENT)
    if not os.environ.get(name):
        raise click.UsageError(f"the environment variable {name} is not set")
    return os.environ[name]


VERBS: tuple[click.Command, ...] = (export, load, migrate)
