"""The verbs `cache stats` and `cache clear`."""

from __future__ import annotations

from dataclasses import fields

import click

from valkey_vector.cache import CacheStatistics
from valkey_vector.command_line.output import facts, print_json, print_text
from valkey_vector.command_line.session import Session, with_server
from valkey_vector.operations.caches import cache_report, clear_cache
from valkey_vector.records.amounts import counted

__all__ = ["VERBS"]


@click.group("cache")
def cache() -> None:
    """Statistics of semantic caches, and clearing them."""


@cache.command("stats")
@click.argument("name")
@with_server
def stats(session: Session, name: str) -> None:
    """Print the statistics of the semantic cache NAME."""
    with session.connection() as connection:
        report = cache_report(connection, name)
    if session.as_json:
        print_json(report)
        return
    counters = {
        each.name: getattr(report.statistics, each.name) for each in fields(CacheStatistics)
    }
    shown = {"entries": report.entries, "lookups": report.lookups, "hit rate": report.hit_rate}
    facts(f"Cache {name}", shown | counters)


@cache.command("clear")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_server
def clear(session: Session, name: str, yes: bool) -> None:
    """Remove all entries of the semantic cache NAME. CHANGES THE SERVER."""
    if not yes:
        click.confirm(f"Remove all entries of the cache {name}?", abort=True, err=True)
    with session.connection() as connection:
        removed = clear_cache(connection, name)
    if session.as_json:
        print_json({"cache": name, "removed": removed})
    else:
        print_text(f"{counted(removed, 'entry', 'entries')} removed")


VERBS = (cache,)
