"""The verb `explain`."""

from __future__ import annotations

from typing import Any

import click

from valkey_vector.command_line.output import print_json, print_text
from valkey_vector.command_line.reading import search_options, search_request
from valkey_vector.command_line.session import Session, with_server
from valkey_vector.operations.opening import open_own
from valkey_vector.operations.searching import query_of

__all__ = ["VERBS"]


@click.command("explain")
@click.argument("name")
@search_options
@with_server
def explain(session: Session, name: str, **options: Any) -> None:
    """Run a search on the index NAME once, and print its plan, its commands and their times.

    Takes the options of `search`. Vectors are left out of the commands.
    """
    request = search_request(**options)
    with session.connection() as connection:
        index = open_own(connection, name)
        explanation = index.explain(query_of(index, request))
    if session.as_json:
        print_json(explanation)
    else:
        print_text(str(explanation))


VERBS = (explain,)
