"""Long chains are flat and cheap, deep filters are refused in every dialect, and patterns take linear time."""

from __future__ import annotations

import copy
import pickle
import time
from collections.abc import Callable
from functools import reduce
from operator import and_, or_
from typing import Any

import pytest
from haystack.errors import FilterError as HaystackFilterError
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.structured_query import (
    Comparator,
    Comparison,
    Operation,
    Operator,
    StructuredQuery,
)
from llama_index.core.vector_stores.types import FilterCondition, MetadataFilter, MetadataFilters

from haystack_integrations.document_stores.valkey.filters import to_filter as of_haystack
from langchain_valkey.translator import ValkeyTranslator
from llama_index.vector_stores.valkey.filters import to_filter as of_llama_index
from strategies import PATTERNS, filters, stored_metadata
from valkey_vector import F, Filter, FilterError, all_of, any_of
from valkey_vector.filters import from_dict
from valkey_vector.filters.ast import And, Not, Or
from valkey_vector.filters.evaluate import matches
from valkey_vector.filters.patterns import like_pattern
from valkey_vector.records.nesting import DEEPEST

LONG = 2000
LEAVES = st.sampled_from([F("a") == n for n in range(4)] + [F("b").exists(), F("a") > 1])
TREES = st.recursive(
    LEAVES.map(lambda leaf: ("leaf", leaf)),
    lambda inner: (
        st.tuples(st.sampled_from(["and", "or"]), inner, inner) | st.tuples(st.just("not"), inner)
    ),
    max_leaves=25,
)


def operated(tree: Any) -> Filter:
    """The filter as an application writes it."""
    match tree:
        case ("leaf", leaf):
            return leaf  # type: ignore[no-any-return]
        case ("not", inner):
            return ~operated(inner)
        case (name, left, right):
            one, other = operated(left), operated(right)
            return one & other if name == "and" else one | other
    raise AssertionError(tree)


def built(tree: Any) -> Filter:
    """The same, with a node for each part of the tree."""
    match tree:
        case ("leaf", leaf):
            return leaf  # type: ignore[no-any-return]
        case ("not", inner):
            return Not(built(inner))
        case (name, left, right):
            return (And if name == "and" else Or)((built(left), built(right)))
    raise AssertionError(tree)


def pickled(filter: Filter) -> Filter:
    """The filter as another process gets it."""
    return pickle.loads(pickle.dumps(filter))  # type: ignore[no-any-return]  # noqa: S301


def flat(filter: Filter) -> bool:
    """Return True if no And lies in an And, no Or in an Or, and no Not in a Not."""
    match filter:
        case And(parts) | Or(parts):
            return all(type(part) is not type(filter) and flat(part) for part in parts)
        case Not(part):
            return not isinstance(part, Not) and flat(part)
        case _:
            return True


@given(TREES, st.lists(stored_metadata(), max_size=4))
def test_a_flat_chain_means_the_same_as_the_tree(
    tree: Any, metadatas: list[dict[str, Any]]
) -> None:
    chain, expected = operated(tree), built(tree)
    assert flat(chain)
    for metadata in [*metadatas, {"a": 1}, {"a": 2, "b": 1}, {}]:
        assert matches(chain, metadata) is matches(expected, metadata)
    again = operated(tree)
    assert (chain, hash(chain), repr(chain)) == (again, hash(again), repr(again))
    assert pickled(chain) == chain
    assert copy.deepcopy(chain) == copy.copy(chain) == chain


def test_operands_stay_what_they_were_and_in_their_order() -> None:
    a, b, c, d = (F(name) == 1 for name in "abcd")
    left = a | b
    whole = left | (c | d)
    assert whole == any_of([left, c, d]) == Or((a, b, c, d))
    assert left == Or((a, b))
    assert (left | c) == Or((a, b, c))
    assert (left & c) == And((Or((a, b)), c))
    assert all_of([a & b, c]) == And((a, b, c))
    assert ~~a == a
    assert any_of([]) == Or(())
    assert Or((Or((a,)), b)).parts == (Or((a,)), b)


@pytest.mark.parametrize("operator", [and_, or_])
def test_a_chain_takes_time_in_proportion_to_its_length(
    operator: Callable[[Any, Any], Any],
) -> None:
    started = time.process_time()
    chain: Any = reduce(operator, (F("n") == n for n in range(20_000)))
    assert len(chain.parts) == 20_000
    assert [part.value for part in chain.parts[:3]] == [0, 1, 2]
    backwards: Any = reduce(
        lambda right, left: operator(left, right), (F("n") == n for n in range(20_000))
    )
    assert backwards.parts[-1].value == 0
    assert matches(chain, {"n": 19_999}) is (operator is or_)
    assert time.process_time() - started < 15


def test_what_is_combined_with_itself_over_and_over_is_refused() -> None:
    def doubled() -> Filter:
        chain: Any = F("a") == 1
        for _ in range(64):
            chain = chain | chain
        return chain  # type: ignore[no-any-return]

    with pytest.raises(FilterError, match="conditions"):
        doubled()


def deepest() -> Filter:
    filter: Any = F("a") == 1
    for n in range(DEEPEST - 1):
        filter = (F("b") == n) & filter if n % 2 else (F("c") == n) | filter
    return filter  # type: ignore[no-any-return]


def test_the_deepest_filter_can_be_used_like_any_other() -> None:
    filter, same = deepest(), deepest()
    assert (filter, hash(filter), repr(filter)) == (same, hash(same), repr(same))
    assert pickled(filter) == filter
    assert copy.deepcopy(filter) == filter
    assert matches(filter, {"c": DEEPEST - 2})
    with pytest.raises(FilterError, match="deep"):
        _ = (F("b") == 1) & filter if isinstance(filter, Or) else (F("b") == 1) | filter
    with pytest.raises(FilterError, match="deep"):
        _ = ~filter


def nested_value(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [nested_value(LONG), {"a": nested_value(LONG)}, itself()])
def test_values_that_are_too_deep_are_refused(value: Any) -> None:
    for ask in (
        lambda: F("k") == value,
        lambda: F("k").contains(value),
        lambda: F("k").in_([value]),
    ):
        with pytest.raises(FilterError, match="deep"):
            ask()
    with pytest.raises(FilterError, match="deep"):
        from_dict({"k": {"$eq": value}})


def wrapped(times: int, leaf: Any, *wraps: Callable[[Any], Any]) -> Any:
    """A leaf in so many of the wrappings, in turn."""
    for n in range(times):
        leaf = wraps[n % len(wraps)](leaf)
    return leaf


DICT_LEAF = {"a": 1}
HAYSTACK_LEAF = {"field": "meta.a", "operator": "==", "value": 1}
LLAMA_LEAF = MetadataFilter(key="a", value=1)
LANGCHAIN_LEAF = Comparison(comparator=Comparator.EQ, attribute="a", value=1)


def dicts(operator: str) -> Callable[[Any], Any]:
    return lambda inner: {operator: [inner, {"b": 2}]}


def haystack(operator: str) -> Callable[[Any], Any]:
    return lambda inner: {"operator": operator, "conditions": [inner, HAYSTACK_LEAF]}


def llama(condition: FilterCondition) -> Callable[[Any], Any]:
    return lambda inner: MetadataFilters(filters=[inner, LLAMA_LEAF], condition=condition)


def structured(operator: Operator) -> Callable[[Any], Any]:
    arguments = [] if operator is Operator.NOT else [LANGCHAIN_LEAF]
    return lambda inner: Operation(operator=operator, arguments=[inner, *arguments])


def of_langchain(operation: Operation) -> Filter:
    query = StructuredQuery(query="q", filter=operation, limit=None)
    _, arguments = ValkeyTranslator().visit_structured_query(query)
    return arguments["filter"]


DEEP: list[tuple[Callable[[Any], Any], Any]] = [
    (from_dict, wrapped(LONG, DICT_LEAF, dicts("$and"), dicts("$or"))),
    (from_dict, wrapped(LONG, DICT_LEAF, lambda inner: {"$not": inner})),
    (from_dict, {"a": wrapped(LONG, 1, lambda inner: {"$not": inner})}),
    (of_haystack, wrapped(LONG, HAYSTACK_LEAF, haystack("AND"), haystack("OR"))),
    (of_haystack, wrapped(LONG, HAYSTACK_LEAF, haystack("NOT"))),
    (
        of_llama_index,
        wrapped(LONG, LLAMA_LEAF, llama(FilterCondition.AND), llama(FilterCondition.OR)),
    ),
    (of_llama_index, wrapped(LONG, LLAMA_LEAF, llama(FilterCondition.NOT))),
    (
        of_langchain,
        wrapped(LONG, LANGCHAIN_LEAF, structured(Operator.AND), structured(Operator.OR)),
    ),
    (of_langchain, wrapped(LONG, LANGCHAIN_LEAF, structured(Operator.NOT))),
]


@pytest.mark.parametrize(("translate", "deep"), DEEP, ids=range(len(DEEP)))
def test_a_filter_that_is_too_deep_is_refused_in_every_dialect(
    translate: Callable[[Any], Any], deep: Any
) -> None:
    with pytest.raises((FilterError, HaystackFilterError), match="deep"):
        translate(deep)


CHAINS: list[tuple[Callable[[Any], Any], Any]] = [
    (from_dict, wrapped(LONG, DICT_LEAF, dicts("$or"))),
    (of_haystack, wrapped(LONG, HAYSTACK_LEAF, haystack("OR"))),
    (of_llama_index, wrapped(LONG, LLAMA_LEAF, llama(FilterCondition.OR))),
    (of_langchain, wrapped(LONG, LANGCHAIN_LEAF, structured(Operator.OR))),
]


@pytest.mark.parametrize(("translate", "chain"), CHAINS, ids=range(len(CHAINS)))
def test_a_chain_is_flat_in_every_dialect(translate: Callable[[Any], Any], chain: Any) -> None:
    filter = translate(chain)
    assert isinstance(filter, Or)
    assert len(filter.parts) >= LONG + 1
    assert matches(filter, {"a": 1})
    assert not matches(filter, {"a": 3})


def test_a_list_of_filters_that_holds_itself_is_refused() -> None:
    endless: list[Any] = [{"a": 1}]
    endless.append({"$or": endless})
    with pytest.raises(FilterError, match="deep"):
        from_dict({"$or": endless})
    condition: dict[str, Any] = {"operator": "AND", "conditions": []}
    condition["conditions"].append(condition)
    with pytest.raises(HaystackFilterError, match="deep"):
        of_haystack(condition)


def fits(pattern: str, text: str, ignore_case: bool) -> bool:
    """The definition of a pattern, one place of the text after the other."""
    parts: list[tuple[str, str]] = []
    rest = iter(pattern)
    for character in rest:
        if character == "\\":
            parts.append(("is", next(rest, "\\")))
        else:
            parts.append({"%": ("any", ""), "_": ("one", "")}.get(character, ("is", character)))
    reached = {0}
    for kind, character in parts:
        if kind == "any":
            reached = set(range(min(reached, default=len(text) + 1), len(text) + 1))
        elif kind == "one":
            reached = {n + 1 for n in reached if n < len(text)}
        else:
            reached = {
                n + 1
                for n in reached
                if n < len(text)
                and (text[n] == character or (ignore_case and text[n].lower() == character.lower()))
            }
    return len(text) in reached


SMALL = st.text("ab%_\\B", max_size=9)


@given(SMALL | st.sampled_from(PATTERNS), st.text("abAB%_\\\n", max_size=12), st.booleans())
def test_a_pattern_matches_by_its_definition(pattern: str, text: str, ignore_case: bool) -> None:
    assert like_pattern(pattern, ignore_case).matches(text) is fits(pattern, text, ignore_case)


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize(
    "pattern", ["%a" * 30 + "%b", "%a_" * 30 + "%b", "%" * 500 + "b", "a%" * 300 + "b"]
)
def test_a_pattern_takes_linear_time(pattern: str, ignore_case: bool) -> None:
    text = "a" * 200_000
    started = time.perf_counter()
    assert not like_pattern(pattern, ignore_case).matches(text)
    assert like_pattern(pattern, ignore_case).matches(text + "b")
    assert time.perf_counter() - started < 2


@given(filters, stored_metadata())
def test_filters_survive_pickling(filter: Filter, metadata: dict[str, Any]) -> None:
    if "Satisfies" in repr(filter):
        return  # its function may be local
    copied = pickled(filter)
    assert matches(copied, metadata) is matches(filter, metadata)
