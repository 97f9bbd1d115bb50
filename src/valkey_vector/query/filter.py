"""Queries without a vector: records by filter, in any order, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from valkey_vector.errors import InvalidInputError
from valkey_vector.query.base import check_brought, check_count, check_filter
from valkey_vector.query.order import OrderLike, as_orders
from valkey_vector.records.validation import FilterLike

__all__ = ["CountQuery", "FilterQuery"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterQuery:
    """Records that match a filter.

    Attributes:
        filter: which; None for all.
        order_by: a key or several, the most important first: metadata keys, ``F.id``, ``F.content`` or `OrderBy`.
            What is equal stays oldest first. Without keys the oldest record comes first.
        descending: without keys, the newest first; with one, that key the other way round.
        limit: at most so many, 0 or more; None for all.
        offset: leave out so many at the beginning.
        with_content: bring the texts; without, they are empty.
        with_metadata: bring the metadata; without, it is empty.
        with_vectors: bring all vectors, too.
        with_payloads: bring the payloads, too.

    Raises:
        InvalidInputError: an attribute is not acceptable; names it.
    """

    filter: FilterLike | None = None
    order_by: OrderLike | Iterable[OrderLike] | None = None
    descending: bool = False
    limit: int | None = None
    offset: int = 0
    with_content: bool = True
    with_metadata: bool = True
    with_vectors: bool = False
    with_payloads: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "filter", check_filter(self.filter))
        orders = as_orders(self.order_by)
        object.__setattr__(self, "order_by", orders)
        if len(orders) > 1 and self.descending:
            raise InvalidInputError(
                "descending says nothing about several keys; give OrderBy(key, descending=True) for each"
            )
        if self.limit is not None:
            check_count(self.limit, "limit", 0)
        check_count(self.offset, "offset", 0)
        check_brought(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountQuery:
    """How many records match a filter.

    Attributes:
        filter: which; None for all.

    Raises:
        FilterError: the filter is not understood.
    """

    filter: FilterLike | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "filter", check_filter(self.filter))
