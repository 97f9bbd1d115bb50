"""`OrderBy`: sort keys of a query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from valkey_vector.errors import InvalidInputError
from valkey_vector.filters.ast import Field
from valkey_vector.filters.builder import FieldExpression

__all__ = ["OrderBy", "OrderLike", "as_orders"]


@dataclass(frozen=True, slots=True, init=False)
class OrderBy:
    """One sort key.

    Booleans come first, then numbers, points in time, text. Records without the item come last in both directions.

    Args:
        field: a metadata key (dotted for nested dicts), or ``F("key")``, ``F.id``, ``F.content`` or ``F.parent``.
        descending: sort in descending order.

    Raises:
        InvalidInputError: `field` is none of these.
    """

    field: Field
    descending: bool = False

    def __init__(self, field: str | FieldExpression | Field, descending: bool = False) -> None:
        object.__setattr__(self, "field", _field(field))
        object.__setattr__(self, "descending", bool(descending))


OrderLike: TypeAlias = str | FieldExpression | OrderBy
"""A sort key: ascending, unless it is an `OrderBy` with ``descending=True``."""


def as_orders(order_by: OrderLike | Iterable[OrderLike] | None) -> tuple[OrderBy, ...]:
    """Normalize sort keys, the most important first; None means no keys.

    Raises:
        InvalidInputError: a value is not a sort key.
    """
    if order_by is None:
        return ()
    if isinstance(order_by, str | FieldExpression | OrderBy):
        order_by = [order_by]
    if not isinstance(order_by, Iterable):
        raise InvalidInputError(f"order_by must be a metadata key or several, not {order_by!r}")
    return tuple(key if isinstance(key, OrderBy) else OrderBy(key) for key in order_by)


def _field(field: object) -> Field:
    match field:
        case Field():
            return field
        case FieldExpression():
            return field.field
        case str():
            return Field(field)
        case _:
            raise InvalidInputError(
                f"order_by must be a metadata key, F.id, F.content or F.parent, not {field!r}"
            )
