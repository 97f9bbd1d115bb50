"""The verb `mcp`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import click

from valkey_vector.command_line.extras import is_installed
from valkey_vector.command_line.session import Session, read_json, with_server
from valkey_vector.index.index import Index

if TYPE_CHECKING:
    from valkey_vector.mcp_server import EmbedQuery

__all__ = ["VERBS", "load_function"]


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
    "--describe",
    "descriptions",
    metavar="NAME TEXT",
    nargs=2,
    multiple=True,
    help="What an index contains, in one sentence for the model.",
)
@click.option(
    "--embedder",
    metavar="MODULE:FUNCTION",
    help="Function that returns the vector of a text, for vector and hybrid search.",
)
@click.option("--max-results", type=int, default=20, show_default=True, help="Records of one call.")
@click.option(
    "--max-characters",
    type=int,
    default=4_000,
    show_default=True,
    help="Length of the text of a record.",
)
@click.option("--http", "port", type=int, metavar="PORT", help="Serve by HTTP on 127.0.0.1.")
@with_server
def mcp(
    session: Session,
    names: tuple[str, ...],
    *,
    lock: str | None,
    locks: tuple[tuple[str, str], ...],
    descriptions: tuple[tuple[str, str], ...],
    embedder: str | None,
    port: int | None,
    **limits: int,
) -> None:
    """Serve the indexes NAMES to a language model, over MCP on standard input and output.

    The model can search, get, count and describe. It cannot write, reach other indexes, or widen a locked filter.
    """
    if not is_installed("mcp"):
        raise click.ClickException(
            'the verb mcp needs the extra `mcp`: pip install "valkey-vector[mcp]"'
        )
    from valkey_vector.mcp_server import ServedIndex, create_server

    filters: dict[str, list[dict[str, Any]]] = {
        name: [] if lock is None else [_filter(lock, "--lock")] for name in names
    }
    for name, text in locks:
        _check_name(name, names, "--lock-index")
        filters[name].append(_filter(text, "--lock-index"))
    for name, _ in descriptions:
        _check_name(name, names, "--describe")
    embed = None if embedder is None else load_function(embedder)
    described = dict(descriptions)
    with session.connection() as connection:
        served = [
            ServedIndex(
                index=Index.open(name, connection=connection, must_exist=True),
                description=described.get(name, ""),
                locked_filter={"$and": each} if each else None,
                embed=embed,
                **limits,
            )
            for name, each in filters.items()
        ]
        server = create_server(served)
        if port is None:
            server.run()
        else:
            server.run("streamable-http", host="127.0.0.1", port=port)


def load_function(path: str) -> EmbedQuery:
    """Import a function by ``module:name``.

    Raises:
        click.BadParameter: there is no such function.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise click.BadParameter(f"must be MODULE:FUNCTION, not {path!r}", param_hint="--embedder")
    try:
        function = getattr(import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise click.BadParameter(
            f"no function {path!r}: {error}", param_hint="--embedder"
        ) from error
    return cast("EmbedQuery", function)


def _filter(text: str, option: str) -> dict[str, Any]:
    value = read_json(text, option)
    if not isinstance(value, dict):
        raise click.BadParameter(f"a filter must be a JSON object, not {text}", param_hint=option)
    return value


def _check_name(name: str, names: tuple[str, ...], option: str) -> None:
    if name not in names:
        raise click.BadParameter(f"{name!r} is not one of the indexes", param_hint=option)


VERBS = (mcp,)
