"""Consistency and time limit of a read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypedDict, cast, get_args

from valkey_vector.errors import InvalidInputError

__all__ = [
    "READ_OPTIONS",
    "Consistency",
    "ReadOptions",
    "check_read_options",
    "merge_read_options",
    "options_of_call",
    "unusual_read_options",
]

Consistency: TypeAlias = Literal["strict", "partial", "loose"]
"""Completeness of a read of a cluster; see `ReadOptions`."""

_CONSISTENCIES = get_args(Consistency)


class ReadOptions(TypedDict, total=False):
    """Keyword arguments of every read.

    Attributes:
        consistency: matters on a cluster with Valkey-Search. ``strict`` (default): the complete result, or an error.
            ``partial``: if shards do not answer, the result of the others, marked as partial. ``loose``: every shard
            answers, but the nodes do not check that they agree about the slots, so a result may lack records while
            slots move, and is marked as partial. Elsewhere all three are the same.
        timeout: seconds for the whole read, > 0; then `RequestTimeoutError` is raised, and the server stops, too. Each
            request is also limited by the ``request_timeout`` of the connection: None (default) is only that limit.
    """

    consistency: Consistency
    timeout: float | None


READ_OPTIONS = frozenset(ReadOptions.__annotations__)
"""Names of the read options."""


def merge_read_options(*levels: Mapping[str, Any]) -> ReadOptions:
    """Return the options of one call. A level replaces those before it, except where an option is missing or None.

    Args:
        levels: from the outermost, such as the store, the component and the call.
    """
    given = {name: value for level in levels for name, value in level.items() if value is not None}
    return cast("ReadOptions", given)


def options_of_call(store: ReadOptions, call: ReadOptions) -> ReadOptions:
    """Return the read options of one call: those of the store, unless the call has its own."""
    return merge_read_options(store, call) if call else store


def unusual_read_options(consistency: object, timeout: object) -> ReadOptions:
    """Validate the read options of a store. Return those that differ from the defaults of a read.

    Raises:
        InvalidInputError: an option is invalid; the message names it.
    """
    given = check_read_options(consistency, timeout)
    if given.get("consistency") == "strict":
        del given["consistency"]
    return merge_read_options(given)


def check_read_options(consistency: object, timeout: object) -> ReadOptions:
    """Validate the read options and return them.

    Raises:
        InvalidInputError: an option is invalid; the message names it.
    """
    if consistency not in _CONSISTENCIES:
        raise InvalidInputError(
            f"consistency must be 'strict', 'partial' or 'loose', not {consistency!r}"
        )
    match timeout:
        case None:
            pass
        case int() | float() if not isinstance(timeout, bool) and 0 < timeout < math.inf:
            pass
        case _:
            raise InvalidInputError(f"timeout must be a number of seconds above 0, not {timeout!r}")
    return cast("ReadOptions", {"consistency": consistency, "timeout": timeout})
