"""The verbs that read records: `count`, `get`, `search` and `facets`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from valkey_vector.command_line.exit_codes import ExitCode
from valkey_vector.command_line.output import facts, plain, print_json, print_text, table
from valkey_vector.command_line.session import Session, read_json, with_server
from valkey_vector.operations.opening import open_any, open_own
from valkey_vector.operations.searching import SearchRequest, search
from valkey_vector.records.amounts import counted
from valkey_vector.records.record import Hit, Record

__all__ = ["VERBS", "filter_option", "search_options", "search_request"]

filter_option = click.option(
    "--filter",
    "filter_text",
    metavar="JSON",
    help='Only records that match, such as \'{"year": {"$gte": 2020}}\', or @FILE.',
)


@click.command("count")
@click.argument("name")
@filter_option
@with_server
def count(session: Session, name: str, filter_text: str | None) -> None:
    """Count the records of the index NAME, also of one of another program."""
    chosen = read_json(filter_text, "--filter")
    with session.connection() as connection:
        found = open_any(connection, name).count(chosen)
    if session.as_json:
        print_json({"index": name, "count": found})
    else:
        print_text(str(found))


@click.command("get")
@click.argument("name")
@click.argument("ids", nargs=-1, required=True)
@click.option("--vectors", "with_vectors", is_flag=True, help="Also print the vectors.")
@with_server
def get(session: Session, name: str, ids: tuple[str, ...], with_vectors: bool) -> int:
    """Print the records IDS of the index NAME. Exits with 1 if one does not exist."""
    with session.connection() as connection:
        found = open_own(connection, name).get(ids, with_vectors=with_vectors)
    missing = [id for id, record in zip(ids, found, strict=True) if record is None]
    if session.as_json:
        print_json([None if record is None else _record(record, with_vectors) for record in found])
    else:
        for record in found:
            if record is not None:
                facts(f"Record {record.id}", _record(record, with_vectors))
    if missing:
        click.echo(f"not stored: {', '.join(map(repr, missing))}", err=True)
    return ExitCode.PROBLEMS if missing else ExitCode.OK


def search_options(command: Any) -> Any:
    """Add the options that say what to search for."""
    options = (
        click.option("--like", metavar="ID", help="Compare the vector of this record."),
        click.option("--vector", metavar="JSON", help="Compare this vector, or @FILE."),
        click.option("--text", help="Search for these words (BM25). With a vector: hybrid."),
        filter_option,
        click.option("--field", help="Name of the vector in the schema."),
        click.option("-k", type=int, default=10, show_default=True, help="Number of records."),
        click.option("--ef-runtime", type=int, help="HNSW candidates to examine."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def search_request(*, vector: str | None, filter_text: str | None, **options: Any) -> SearchRequest:
    """Build the request of the options that `search_options` adds."""
    return SearchRequest(
        vector=read_json(vector, "--vector"), filter=read_json(filter_text, "--filter"), **options
    )


@click.command("search")
@click.argument("name")
@search_options
@with_server
def search_verb(session: Session, name: str, **options: Any) -> None:
    """Search the index NAME: by a vector, by words, by both, or by a filter alone."""
    request = search_request(**options)
    with session.connection() as connection:
        found = search(open_own(connection, name), request)
    if session.as_json:
        print_json({"kind": found.kind, "hits": [_hit(hit) for hit in found.hits]})
        return
    table(
        f"{counted(len(found.hits), 'record')} by {found.kind}",
        ("id", "score", "distance", "content", "metadata"),
        [
            (hit.record.id, hit.score, hit.distance, hit.record.content, dict(hit.record.metadata))
            for hit in found.hits
        ],
    )


@click.command("facets")
@click.argument("name")
@click.argument("keys", nargs=-1, required=True)
@filter_option
@click.option("--limit", type=int, default=20, show_default=True, help="Values of each key.")
@with_server
def facets(
    session: Session, name: str, keys: Sequence[str], filter_text: str | None, limit: int
) -> None:
    """Count the records of the index NAME with each value of the metadata KEYS."""
    chosen = read_json(filter_text, "--filter")
    with session.connection() as connection:
        found = open_own(connection, name).facets(list(keys), filter=chosen, limit=limit)
    if session.as_json:
        print_json(found)
        return
    for facet in found.values():
        table(
            f"{facet.key}: {counted(facet.distinct, 'value')}, {counted(facet.missing, 'record')} without",
            ("value", "records"),
            [(_exactly(each.value), each.count) for each in facet.values],
        )


def _exactly(value: Any) -> str:
    """Return a metadata value as it is stored, without the separators of a number in a table."""
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


VERBS = (count, get, search_verb, facets)


def _record(record: Record, with_vectors: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": record.id,
        "content": record.content,
        "metadata": record.metadata,
        "parent": record.parent,
    }
    if with_vectors:
        shown |= {"vector": record.vector, "vectors": record.vectors}
    return shown


def _hit(hit: Hit) -> dict[str, Any]:
    numbers = {"score": hit.score, "distance": hit.distance, "similarity": hit.similarity}
    return {**_record(hit.record, with_vectors=False), **numbers}
