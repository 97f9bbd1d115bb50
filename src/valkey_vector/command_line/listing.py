"""The verbs `indexes` and `info`."""

from __future__ import annotations

from dataclasses import fields

import click

from valkey_vector.command_line.output import facts, print_json, table
from valkey_vector.command_line.session import Session, with_server
from valkey_vector.operations.listing import IndexDetails, IndexSummary, describe, summarize
from valkey_vector.records.amounts import counted

__all__ = ["VERBS"]

_COLUMNS = ("name", "own", "engine", "documents", "indexed", "dimension", "metric", "failures")


@click.command("indexes")
@with_server
def indexes(session: Session) -> None:
    """List the indexes of the server's database. Scans all keys."""
    with session.connection() as connection:
        found = summarize(connection)
        location = connection.settings.location
    if session.as_json:
        print_json(found)
        return
    table(
        f"{counted(len(found), 'index', 'indexes')} on {location}",
        (*_COLUMNS, "problem"),
        [[getattr(each, name) for name in (*_COLUMNS, "problem")] for each in found],
    )


@click.command("info")
@click.argument("name")
@with_server
def info(session: Session, name: str) -> None:
    """Describe the index NAME, also one of another program."""
    with session.connection() as connection:
        found = describe(connection, name)
    if session.as_json:
        print_json(found)
        return
    shown = {each.name: getattr(found.summary, each.name) for each in fields(IndexSummary)}
    shown |= {
        each.name: getattr(found, each.name)
        for each in fields(IndexDetails)
        if each.name not in ("summary", "definition")
    }
    facts(f"Index {name}", shown)
    if found.definition is not None:
        attributes = found.definition.attributes
        table(
            "Attributes in the search module",
            ("identifier", "kind"),
            [(each.identifier, each.kind) for each in attributes],
        )


VERBS = (indexes, info)
