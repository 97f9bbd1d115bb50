"""Queries without a vector: retrieve records by filter, in any order, or count them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from valkey_vector.errors import InvalidInputError
from valkey_vector.query.base import check_count, check_filter, check_returned_parts
from valkey_vector.query.filter_like import FilterLike
from valkey_vector.query.order import OrderLike, as_orders
from valkey_vector.query.read_options import Consistency, check_read_options

__all__ = ["CountQuery", "FilterQuery"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterQuery:
    """Retrieve the records that match a filter.

    Attributes:
        filter: return only records that match; None for all.
        order_by: one sort key or several, the most important first: metadata keys, ``F.id``, ``F.content`` or `OrderBy`.
            Records with equal keys come oldest first. Without keys the oldest record comes first.
        descending: without sort keys, newest first. With one key, reverses its direction.
        limit: maximum number of records, 0 or more; None for all.
        offset: number of records to skip, 0 or more.
        with_content: return the texts; otherwise they are empty.
        with_metadata: return the metadata; otherwise it is empty.
        with_vectors: also return all vectors.
        with_payloads: also return the payloads.
        consistency, timeout: see `ReadOptions`. While iterating, the timeout is for each page.

    Raises:
        InvalidInputError: an attribute is invalid; the message names it.
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
    consistency: Consistency = "strict"
    timeout: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "filter", check_filter(self.filter))
        orders = as_orders(self.order_by)
        object.__setattr__(self, "order_by", orders)
        if len(orders) > 1 and self.descending:
            raise InvalidInputError(
                "descending=True does not apply to several keys: use OrderBy(key, descending=True) for each key"
            )
        if self.limit is not None:
            check_count(self.limit, "limit", 0)
        check_count(self.offset, "offset", 0)
        check_returned_parts(self)
        check_read_options(self.consistency, self.timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountQuery:
    """Count the records that match a filter.

    Attributes:
        filter: count only records that match; None for all.
        consistency, timeout: see `ReadOptions`. A number cannot report that it is partial: `PartialResultWarning` does.

    Raises:
        FilterError: the filter is invalid.
        InvalidInputError: another attribute is invalid; the message names it.
    """

    filter: FilterLike | None = None
    consistency: Consistency = "strict"
    timeout: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "filter", check_filter(self.filter))
        check_read_options(self.consistency, self.timeout)
