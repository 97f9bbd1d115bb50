"""Ranked search of items: fetches candidates from the index and checks them against the stored items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from valkey_vector.records.validation import check_limit
from valkey_vector.stores.item_index import Candidate, ItemIndex, Question
from valkey_vector.stores.item_records import FindItems, GetItems, Item, ItemName, TouchItems
from valkey_vector.stores.item_store import ItemStore

__all__ = ["RankedItem", "RankedSearch", "search_ranked"]

_FIRST = 20
_GROWTH = 4


@dataclass(frozen=True, slots=True)
class RankedSearch:
    """Ranked search for items.

    Attributes:
        question: the query.
        accept: returns True for each item to find. None: all.
        offset: number of best items to skip, ≥ 0.
        limit: maximum number of items, ≥ 0.
        refresh: restart the time to live of the found items.
    """

    question: Question
    accept: Callable[[Item], bool] | None = None
    offset: int = 0
    limit: int = 10
    refresh: bool = True


@dataclass(frozen=True, slots=True)
class RankedItem:
    """Found item with the score of its best text. None without texts."""

    item: Item
    score: float | None


@dataclass(slots=True)
class _Progress:
    """State of a running search."""

    search: RankedSearch
    depth: int
    ended: bool = False
    items: dict[ItemName, Item | None] = field(default_factory=dict)
    ranked: list[RankedItem] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        return self.search.offset + self.search.limit


def search_ranked(
    store: ItemStore, index: ItemIndex, searches: Sequence[RankedSearch]
) -> list[list[RankedItem]]:
    """Return the best items for each search, best first.

    Each item is returned once, with the score of its best text. If there are too few, items without a text in the
    index follow in the order of creation.

    Args:
        store: store of the items.
        index: index of their texts.
        searches: any number of searches.

    Cost: two round trips for all searches together, one to the index and one to the items. If conditions leave too few
        items, it fetches four times as many candidates each time. So results are exact for any number of matches.
    """
    for search in searches:
        check_limit(search.offset, "offset")
        check_limit(search.limit, "limit")
    progress = [_Progress(one, max(_FIRST, 2 * (one.offset + one.limit))) for one in searches]
    while due := [one for one in progress if not one.ended]:
        # All searches of a round use the same depth, so that they share one pipeline.
        depth = max(one.depth for one in due)
        found = index.candidates([one.search.question for one in due], depth)
        _fetch(store, due, found)
        for one, candidates in zip(due, found, strict=True):
            stale = _rank(one, candidates)
            index.forget_stale(stale)
            one.ended = len(one.ranked) >= one.wanted or len(candidates) < depth
            one.depth = depth * _GROWTH
    return _completed(store, progress)


def _fetch(
    store: ItemStore, due: Sequence[_Progress], found: Sequence[Sequence[Candidate]]
) -> None:
    """Fetch the unknown items of candidates, for all searches at once."""
    names = [
        [name for name in dict.fromkeys(c.name for c in candidates) if name not in one.items]
        for one, candidates in zip(due, found, strict=True)
    ]
    if not any(names):
        return
    replies = store.run([GetItems(part) for part in names])
    for one, part, items in zip(due, names, replies, strict=True):
        one.items.update(zip(part, items, strict=True))  # type: ignore[arg-type]  # a `GetItems` returns items


def _rank(one: _Progress, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Rank the items of candidates. Returns the candidates without an item."""
    accept, seen, stale = one.search.accept, set[ItemName](), []
    one.ranked = []
    for candidate in candidates:
        item = one.items[candidate.name]
        if item is None or item.revision != candidate.revision:
            stale.append(candidate)
        elif candidate.name not in seen:
            seen.add(candidate.name)
            if accept is None or accept(item):
                one.ranked.append(RankedItem(item, candidate.score))
    return stale


def _completed(store: ItemStore, progress: Sequence[_Progress]) -> list[list[RankedItem]]:
    """Return the requested pages, filled with items that have no text in the index."""
    pages = [one.ranked[one.search.offset : one.wanted] for one in progress]
    short: list[int] = []
    operations: list[FindItems | TouchItems] = []
    for position, (one, page) in enumerate(zip(progress, pages, strict=True)):
        search = one.search
        if len(page) < search.limit:
            short.append(position)
            operations.append(
                FindItems(
                    search.question.namespace,
                    _without_text(search.accept),
                    limit=search.limit - len(page),
                    refresh=search.refresh,
                )
            )
        if search.refresh and (names := [hit.item.name for hit in page if hit.item.expires]):
            operations.append(TouchItems(names))
    if operations:
        replies = store.run(operations)
        lists = [reply for reply in replies if isinstance(reply, list)]
        for position, items in zip(short, lists, strict=True):
            pages[position] += [RankedItem(item, None) for item in items if isinstance(item, Item)]
    return pages


def _without_text(accept: Callable[[Item], bool] | None) -> Callable[[Item], bool]:
    return lambda item: item.vectors == 0 and (accept is None or accept(item))
