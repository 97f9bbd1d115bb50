"""Exact count of the documents that a plan selects.

Expired keys stay in the server's index until it reclaims them, at any time. So they are counted before and after all keys.
If both counts are the same, nothing was reclaimed in between, and the difference is exact. Otherwise one query counts what
has not expired. It takes the server several times as long, but nothing can change while it runs.

The commands of a request run in order: a server answers a search before it reads the client's next command.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from valkey_vector.connection.pipelines import Pipelined, Request
from valkey_vector.engines.search import commands
from valkey_vector.engines.search.pages import parts
from valkey_vector.filters.plan import NoDocument, Plan, Range, Tokens, all_of, complement
from valkey_vector.records.tokens import SLIDING
from valkey_vector.storage.layout import EXPIRES

if TYPE_CHECKING:
    from valkey_vector.engines.search.reading import SearchReading

__all__ = ["counting"]


def counting(engine: SearchReading, plan: Plan) -> Pipelined[int]:
    """Count the documents that a plan selects; records whose expiration only their key has are listed.

    Cost: one round trip, as a rule. More if the server reclaims keys meanwhile, for records with a sliding expiration, and
    above the server's limit on the keys that a query reads.
    """
    if isinstance(plan, NoDocument):
        return 0
    if not engine.capabilities.filter_queries or not engine.fits_one(plan):
        return sum(len(page) for page in engine.select(plan, ()))
    over, sliding = Range(EXPIRES, high=engine.now()), Tokens((SLIDING,))
    expired = all_of([plan, over])
    counts = yield from _counts(engine, [expired, all_of([plan, sliding]), plan, expired])
    before, unknown, total, after = counts
    if unknown:
        listed = yield from engine.selecting(all_of([plan, sliding]), (), None, None)
        lasting = all_of([plan, complement(sliding)])
        return len(listed) + (yield from counting(engine, lasting))
    limit = engine.support.safe_total
    if total < limit and before == after:
        return total - before
    # A count in parts takes several requests, so expired keys must not be in it.
    lasting = all_of([plan, complement(over)]) if before or after else plan
    if total < limit:
        (total,) = yield from _counts(engine, [lasting])
        if total < limit:
            return total
    pieces = yield from parts(engine, lasting, is_large=True)
    scanned = (engine.scanned(part, ()) for part, number in pieces if number is None)
    number_scanned = sum(1 for _ in chain.from_iterable(scanned))
    return sum(number or 0 for _, number in pieces) + number_scanned


def _counts(engine: SearchReading, plans: Sequence[Plan]) -> Pipelined[list[int]]:
    """The numbers of keys that plans select, according to the server."""
    counted = [commands.count_command(engine.entry, engine.query_for(plan)) for plan in plans]
    return [commands.total(reply) for reply in (yield Request(counted))]
