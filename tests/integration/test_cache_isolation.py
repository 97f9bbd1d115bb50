"""The same prompt under many scopes: no answer crosses, no entry evicts another's, clearing touches its own keys only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from caches import Degrees
from valkey_vector import F, InvalidInputError
from valkey_vector.cache import SemanticCache

OpenCache = Callable[..., SemanticCache]

NAMES = [
    "user.1", "user_1", "user/1", "user-1", "user 1", " user.1", "user.1 ", "USER.1", "a*", "a", "a,b", "a|b",
    "a}b", "{a}", "@tags:{a}", "a=>[KNN 1 @vector $v]", "*", "", "a\\*", "a\x00b", "é", "e\u0301", "用户", "\u202euser",
    "x" * 200, "x" * 201, "-a", "(a)", "[a b]", "a:b", "true", "null", "1",
]  # fmt: skip

SCOPES: list[dict[str, Any]] = [
    *({"tenant": name} for name in NAMES),
    {},
    {"tenant": None},
    {"tenant": 1},
    {"tenant": 1.5},
    {"tenant": True},
    {"tenant": ["a"]},
    {"tenant": ["a", "b"]},
    {"tenant": {"a": 1}},
    {"model": "a"},
    {"model": "user.1"},
    {"tenant": "a", "model": "m1"},
    {"tenant": "a", "model": "m2"},
    {"tenant": "a", "model": "m1", "temperature": 0},
    {"tenant": "a", "model": "m1", "temperature": 0.5},
    {"tenant.a": "a"},
    {"conversation": [["human", "hello"]]},
    {"conversation": [["human", "hello"], ["ai", "hi"]]},
]


def test_there_are_fifty_scopes() -> None:
    assert len(SCOPES) == 50


def test_no_answer_crosses_from_one_scope_to_another(cache: SemanticCache) -> None:
    for number, scope in enumerate(SCOPES):
        assert cache.lookup("prompt @0", scope) is None
        assert cache.lookup("near @5", scope) is None
        cache.store("prompt @0", number, scope)
    assert cache.count() == len(SCOPES)
    for number, scope in enumerate(SCOPES):
        for prompt in ("prompt @0", "near @5"):
            hit = cache.lookup(prompt, scope)
            assert hit is not None
            assert (hit.answer, hit.scope) == (number, scope)
    for number, scope in enumerate(SCOPES):
        assert cache.invalidate(scope=scope) == 1
        assert cache.lookup("near @5", scope) is None
        assert cache.count() == len(SCOPES) - number - 1


def test_a_crowd_of_nearer_entries_in_other_scopes_hides_nothing(cache: SemanticCache) -> None:
    cache.store("mine @8", "mine", {"tenant": "a"})
    for number in range(60):
        cache.store(f"theirs {number} @0", "theirs", {"tenant": f"b{number % 7}"})
    hit = cache.lookup("asked @0", {"tenant": "a"})
    assert hit is not None
    assert hit.answer == "mine"


def test_a_shared_beginning_of_a_conversation_is_not_enough(cache: SemanticCache) -> None:
    beginning = [["system", "you are helpful"], ["human", "my name is Ada"], ["ai", "hello Ada"]]
    cache.store("what is my name? @0", "Ada", {"conversation": beginning})
    for other in (beginning[:2], [*beginning, ["human", "call me Bob"]], beginning[1:], []):
        assert cache.lookup("what is my name? @0", {"conversation": other}) is None
        assert cache.lookup("what's my name? @1", {"conversation": other}) is None
    assert cache.lookup("what's my name? @1", {"conversation": list(beginning)}) is not None


def test_caches_whose_names_begin_alike_do_not_meet(open_cache: OpenCache) -> None:
    caches = [open_cache(suffix) for suffix in ("", "-2", "2", ".2")]
    for number, cache in enumerate(caches):
        cache.store("prompt @0", number)
    for number, cache in enumerate(caches):
        hit = cache.lookup("near @5")
        assert hit is not None
        assert hit.answer == number


def test_clearing_touches_its_own_keys_only(open_cache: OpenCache, embedder: Degrees) -> None:
    cache, other = open_cache(max_entries=10), open_cache("-other")
    connection = cache.index.connection
    foreign = [f"{cache.name}", f"{cache.name}:mine", f"x{cache.name}:y", f"{cache.name}-other:z"]
    for key in foreign:
        connection.execute("SET", key, "kept")
    for number in range(5):
        cache.store(f"prompt {number} @{number * 40}", number)
        other.store(f"prompt {number} @{number * 40}", number)
    assert cache.clear() == 5
    assert (cache.count(), other.count()) == (0, 5)
    assert [connection.execute("GET", key) for key in foreign] == [b"kept"] * 4
    assert cache.stats().stores == 5
    cache.store("prompt", 1)
    assert cache.lookup("prompt") is not None
    cache.drop()
    left = {key for keys in connection.scan(f"*{cache.name}*") for key in keys}
    assert {key for key in left if not key.startswith((f"{cache.name}-other".encode(), f"{{{cache.name}-other".encode()))} == {
        key.encode() for key in foreign[:3]
    }  # fmt: skip
    assert other.count() == 5


@pytest.fixture
def filled(cache: SemanticCache) -> SemanticCache:
    for tenant in "ab":
        for number in range(4):
            cache.store(
                f"prompt {number} @{40 * number}",
                number,
                {"tenant": tenant},
                metadata={"topic": "even" if number % 2 == 0 else "odd"},
            )
    return cache


def answers(cache: SemanticCache, tenant: str) -> list[Any]:
    hits = cache.lookup_many([f"prompt {n} @{40 * n}" for n in range(4)], {"tenant": tenant})
    return [hit.answer for hit in hits if hit is not None]


def test_one_prompt_is_invalidated_in_one_scope(filled: SemanticCache) -> None:
    assert filled.invalidate(prompt="prompt 1 @40", scope={"tenant": "a"}) == 1
    assert filled.invalidate(prompt="prompt 1 @40", scope={"tenant": "a"}) == 0
    assert filled.invalidate(prompt="prompt 1 @40") == 0
    assert answers(filled, "a") == [0, 2, 3]
    assert answers(filled, "b") == [0, 1, 2, 3]


def test_an_entry_is_invalidated_by_its_id(filled: SemanticCache) -> None:
    hit = filled.lookup("prompt 2 @80", {"tenant": "b"})
    assert hit is not None
    assert filled.invalidate(id=hit.id, prompt="prompt 0 @0", scope={"tenant": "b"}) == 0
    assert filled.invalidate(id=hit.id, filter=F("topic") == "odd") == 0
    assert filled.invalidate(id=hit.id) == 1
    assert answers(filled, "b") == [0, 1, 3]
    assert answers(filled, "a") == [0, 1, 2, 3]


def test_a_scope_is_invalidated(filled: SemanticCache) -> None:
    assert filled.invalidate(scope={}) == 0
    assert filled.invalidate(scope={"tenant": "a"}) == 4
    assert answers(filled, "a") == []
    assert answers(filled, "b") == [0, 1, 2, 3]


def test_entries_are_invalidated_by_a_filter(filled: SemanticCache) -> None:
    assert filled.invalidate(filter={"topic": "odd"}, scope={"tenant": "a"}) == 2
    assert answers(filled, "a") == [0, 2]
    assert filled.invalidate(filter=F("scope.tenant") == "b") == 4
    assert filled.count() == 2


def test_entries_are_invalidated_by_age(filled: SemanticCache) -> None:
    assert filled.invalidate(older_than=3600) == 0
    filled.index.update_metadata(F("topic") == "odd", {"stored_at": 1.0e9})
    assert filled.invalidate(older_than=3600, scope={"tenant": "b"}) == 2
    assert filled.invalidate(older_than=3600) == 2
    assert filled.count() == 4
    assert filled.invalidate(older_than=0) == 4


def test_storing_again_resets_the_age_of_an_entry(filled: SemanticCache) -> None:
    filled.index.update_metadata(F("topic") == "odd", {"stored_at": 1.0e9})
    filled.store("prompt 1 @40", "new", {"tenant": "a"})
    assert filled.invalidate(older_than=3600) == 3
    assert answers(filled, "a") == [0, "new", 2]


@pytest.mark.parametrize("conditions", [{}, {"older_than": -1}], ids=repr)
def test_invalidating_without_a_condition_is_refused(
    filled: SemanticCache, conditions: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError):
        filled.invalidate(**conditions)
    assert filled.count() == 8
