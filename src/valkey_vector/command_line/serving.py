"""The verb `mcp`."""

from __future__ import annotations

import click

from valkey_vector.command_line.extras import is_installed
from valkey_vector.command_line.session import Session, read_json, with_server
from valkey_vector.operations.guarded import GuardedIndexes

__all__ = ["VERBS"]


@click.command("mcp")
@click.argument("names", nargs=-1, required=True)
@click.option("--lock", metavar="JSON", help="Filter that all answers must match, or @FILE.")
@click.option(
    "--lock-index",
    "locks",
    metavar="NAME JSON",
    nargs=2,
    multiple=True,
    help="Filter that all answers of one index must match, besides --lock.",
)
@click.option(
    "--max-records", type=int, default=20, show_default=True, help="Records in an answer."
)
@with_server
def mcp(
    session: Session,
    names: tuple[str, ...],
    *,
    lock: str | None,
    locks: tuple[tuple[str, str], ...],
    max_records: int,
) -> None:
    """Serve the indexes NAMES to a language model, over MCP on standard input and output.

    The model can search, get, count, and describe. It cannot write, reach other indexes, or widen a locked filter.
    """
    if not is_installed("mcp"):
        raise click.ClickException(
            'the verb mcp needs the extra `mcp`: pip install "valkey-vector[mcp]"'
        )
    from valkey_vector.command_line.mcp_server import create_server

    filters = {name: read_json(lock, "--lock") for name in names}
    for name, text in locks:
        if name not in filters:
            raise click.BadParameter(
                f"{name!r} is not one of the indexes", param_hint="--lock-index"
            )
        both = [
            each for each in (filters[name], read_json(text, "--lock-index")) if each is not None
        ]
        filters[name] = {"$and": both}
    with session.connection() as connection:
        server = create_server(GuardedIndexes(connection, filters, max_records=max_records))
        server.run("stdio")


VERBS = (mcp,)
