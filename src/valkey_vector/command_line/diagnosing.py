"""The verbs `doctor` and `acl`."""

from __future__ import annotations

from typing import Any, cast

import click

from valkey_vector.command_line.exit_codes import ExitCode
from valkey_vector.command_line.output import print_json, print_text, table
from valkey_vector.command_line.session import Session, with_server
from valkey_vector.operations.doctor.diagnose import diagnose
from valkey_vector.operations.doctor.findings import DoctorReport, Severity
from valkey_vector.operations.privileges import ROLES, Role, acl_line
from valkey_vector.storage.catalog import EngineName

__all__ = ["VERBS"]


@click.command("doctor")
@click.argument("names", nargs=-1)
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="application",
    show_default=True,
    help="What this user does; its permissions are checked.",
)
@click.option(
    "--deep/--no-deep", default=None, help="Verify every document of large indexes, or of none."
)
@click.option("--recall/--no-recall", default=True, help="Measure the recall of HNSW indexes.")
@click.option("--cores", type=int, help="Processors of the server's machine.")
@click.option("--acl", "show_acl", is_flag=True, help="Print the ACL line of each role.")
@click.option("--strict", is_flag=True, help="Also exit with 1 if there is a warning.")
@with_server
def doctor(
    session: Session, names: tuple[str, ...], *, show_acl: bool, strict: bool, **options: Any
) -> int:
    """Find out what is wrong with the server, the user and the indexes NAMES, or all indexes.

    Changes nothing. Exits with 1 if there is an error; warnings count with --strict, notes never.
    """
    settings: dict[str, Any] = (
        {} if session.timeout is None else {"request_timeout": session.timeout}
    )
    report = diagnose(session.url, names=names, **options, **settings)
    if session.as_json:
        print_json({"ok": report.ok, **{name: getattr(report, name) for name in _PARTS}})
    else:
        _show(report, show_acl=show_acl)
    warned = any(finding.severity is Severity.WARNING for finding in report.findings)
    return ExitCode.OK if report.ok and not (strict and warned) else ExitCode.PROBLEMS


_PARTS = ("location", "server", "user", "findings", "checked", "skipped", "recall", "acl")


def _show(report: DoctorReport, *, show_acl: bool) -> None:
    print_text(
        f"{report.location}  {report.server or 'not reached'}  user {report.user or 'unknown'}"
    )
    for finding in report.findings:
        print_text(f"\n{finding}")
    if not report.findings:
        print_text("\nno problem found")
    if report.recall:
        table(
            "Recall of the 10 nearest neighbors",
            ("index", "ef_runtime", "default", "recall", "milliseconds"),
            [(r.index, r.ef_runtime, r.default, r.recall, r.milliseconds) for r in report.recall],
        )
    for skipped in report.skipped:
        print_text(f"not checked: {skipped}")
    if report.acl and (show_acl or any(f.code.startswith("acl.") for f in report.findings)):
        print_text("\nUsers of least privilege (replace PASSWORD):")
        for each in report.acl:
            print_text(f"\n# {each.role}\n{each.line}")


@click.command("acl")
@click.argument("names", nargs=-1, required=True)
@click.option("--role", type=click.Choice(ROLES), help="Default: one line for each role.")
@click.option("--user", help="Name of the user. Default: the name of the role.")
@click.option(
    "--engine", type=click.Choice(["search", "native"]), default="search", show_default=True
)
@click.option("--cluster", is_flag=True, help="The server is a cluster.")
@click.option("--redisearch", is_flag=True, help="The search module is RediSearch.")
@click.option("--database", type=int, default=0, help="Number of the database.")
@click.option("--client-name", is_flag=True, help="The connection has a client name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def acl(
    names: tuple[str, ...], *, role: str | None, engine: str, as_json: bool, **options: Any
) -> None:
    """Print the ACL SETUSER line of least privilege for the indexes NAMES. Needs no server."""
    lines = [
        acl_line(each, names, cast("EngineName", engine), **options)
        for each in ROLES
        if role is None or cast("Role", role) == each
    ]
    if as_json:
        print_json(lines)
        return
    for each in lines:
        print_text(each.line)


VERBS = (doctor, acl)
