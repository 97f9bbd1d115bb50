"""The verbs `verify` and `repair`."""

from __future__ import annotations

from typing import Any

import click

from valkey_vector.command_line.exit_codes import ExitCode
from valkey_vector.command_line.output import print_json, print_text
from valkey_vector.command_line.session import Session, with_server
from valkey_vector.index.report import IndexReport
from valkey_vector.operations.opening import open_own

__all__ = ["VERBS"]

_examples = click.option(
    "--examples", type=int, default=10, show_default=True, help="Problems of each kind to print."
)


@click.command("verify")
@click.argument("name")
@_examples
@with_server
def verify(session: Session, name: str, examples: int) -> int:
    """Check every record of the index NAME. Changes nothing. Exits with 1 if there are problems."""
    with session.connection() as connection:
        report = open_own(connection, name).verify(examples=examples, progress=session.progress)
    return _show(session, report)


@click.command("repair")
@click.argument("name")
@_examples
@click.option("--yes", is_flag=True, help="Change the server. Without it, only report.")
@click.option("--remove-orphans", is_flag=True, help="Remove documents of dropped indexes.")
@click.option("--remove-damaged", is_flag=True, help="Remove what cannot be repaired.")
@with_server
def repair(session: Session, name: str, *, yes: bool, **options: Any) -> int:
    """Check the index NAME, and with --yes repair it. CHANGES THE SERVER with --yes.

    Exits with 1 if problems are left.
    """
    with session.connection() as connection:
        report = open_own(connection, name).repair(
            dry_run=not yes, progress=session.progress, **options
        )
    return _show(session, report)


def _show(session: Session, report: IndexReport) -> int:
    if session.as_json:
        print_json({"ok": report.ok, "report": report})
    else:
        print_text(str(report))
        if not report.ok and report.dry_run:
            print_text("nothing was changed; `valkey-vector repair NAME --yes` repairs it")
    return ExitCode.OK if report.ok else ExitCode.PROBLEMS


VERBS = (verify, repair)
