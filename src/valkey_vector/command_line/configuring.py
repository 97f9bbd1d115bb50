"""The verbs `config` and `config set`."""

from __future__ import annotations

import click

from valkey_vector.command_line.output import print_json, print_text, table
from valkey_vector.command_line.session import Session, with_server
from valkey_vector.operations.configuration import (
    ConfigurationChange,
    ServerConfiguration,
    configuration,
    set_configuration,
)
from valkey_vector.operations.configuration_values import ADVICE

__all__ = ["VERBS"]


class _ShowsByDefault(click.Group):
    """A group whose command `show` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the command if the arguments begin with an option."""
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group("config", cls=_ShowsByDefault)
def config() -> None:
    """Settings of the server that matter to indexes: all of them (`config`), or a change of one (`config set`)."""


@config.command("show")
@click.option("--differing", is_flag=True, help="Only settings that differ between nodes.")
@with_server
def show(session: Session, differing: bool) -> None:
    """Print the settings of each node, and where they differ. This is the default."""
    with session.connection() as connection:
        found = configuration(connection)
    names = sorted({name for node in found.nodes for name in node.values})
    if session.as_json:
        print_json({"nodes": found.nodes, "differing": found.differing})
        return
    if differing and not found.differing:
        print_text("no setting differs between nodes")
        return
    _show(found, list(found.differing) if differing else names)
    if found.differing:
        print_text(f"differ between nodes: {', '.join(found.differing)}")


@config.command("set")
@click.argument("name")
@click.argument("value")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@with_server
def set_verb(session: Session, name: str, value: str, *, yes: bool, dry_run: bool) -> None:
    """Set NAME to VALUE on all nodes, or on none. CHANGES THE SERVER, until its next restart."""
    with session.connection() as connection:
        if not (dry_run or yes):
            planned = set_configuration(connection, name, value, dry_run=True)
            for line in _lines(planned):
                click.echo(line, err=True)
            click.confirm("Change the server?", abort=True, err=True)
        changed = set_configuration(connection, name, value, dry_run=dry_run)
    if session.as_json:
        print_json(changed)
    else:
        print_text("\n".join(_lines(changed)))
    if not dry_run:
        session.say("until the next restart; CONFIG REWRITE on each node keeps it")


def _lines(change: ConfigurationChange) -> list[str]:
    return [
        f"{each.node}: {change.name} {each.old!r} → {each.new!r}{' (dry run)' if change.dry_run else ''}"
        for each in change.nodes
    ]


def _show(found: ServerConfiguration, names: list[str]) -> None:
    marked = bool(found.differing)
    rows = []
    for name in names:
        mark = ["≠" if name in found.differing else ""] if marked else []
        values = found.values(name)
        shown = [values.get(node.node) for node in found.nodes]
        rows.append((*mark, name, *shown, ADVICE.get(name, "")))
    columns = ("setting", *(node.node for node in found.nodes), "advice")
    table("Configuration", ("", *columns) if marked else columns, rows)


VERBS = (config,)
