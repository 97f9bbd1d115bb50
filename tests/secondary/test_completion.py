from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from nasty import Machine, run, texts
from round_trips import CommandLog
from valkey_vector import ConfigurationError, InvalidInputError
from valkey_vector.connection import Connection
from valkey_vector.secondary import Completion, Suggestion
from valkey_vector.secondary._normal import normal_form


def level_of(frequency: int) -> int:
    if frequency < 16:
        return frequency
    return 11 + frequency.bit_length()


visible = texts.map(lambda text: text if normal_form(text) else f"x{text}")
counts = st.integers(1, 4) | st.sampled_from(
    [15, 16, 17, 19, 20, 24, 31, 32, 33, 10**6, 10**12 - 1]
)


class Completing(Machine):
    SEED, MOST, FADE = 7, 6, 0.5

    def __init__(self) -> None:
        super().__init__()
        self.index = Completion(
            self.name,
            scope="{t}",
            max_entries=self.MOST,
            fade=self.FADE,
            rng=random.Random(self.SEED),
            connection=self.connection,
        )
        self.draws = random.Random(self.SEED)
        self.oracle: dict[bytes, tuple[int, str]] = {}

    def ranked(self, prefix: str) -> list[tuple[bytes, int, str]]:
        return sorted(
            (
                (normal, frequency, text)
                for normal, (frequency, text) in self.oracle.items()
                if normal.startswith(normal_form(prefix).encode())
            ),
            key=lambda row: (-row[1], row[0]),
        )

    def evict(self, chance: float) -> None:
        lowest = min(level_of(frequency) for frequency, _ in self.oracle.values())
        rarest = sorted(n for n, (f, _) in self.oracle.items() if level_of(f) == lowest)
        del self.oracle[rarest[math.floor(chance * len(rarest))]]

    @rule(pairs=st.lists(st.tuples(visible, counts), max_size=4))
    def record(self, pairs: list[tuple[str, int]]) -> None:
        expected = []
        for text, count in pairs:
            chance = self.draws.random()
            normal = normal_form(text).encode()
            if normal not in self.oracle and len(self.oracle) == self.MOST:
                self.evict(chance)
            frequency = min(self.oracle.get(normal, (0, ""))[0] + count, 10**12 - 1)
            self.oracle[normal] = (frequency, text)
            expected.append(frequency)
        assert self.index.record_many(pairs) == expected

    @rule(prefix=texts, limit=st.integers(1, 4))
    def suggest(self, prefix: str, limit: int) -> None:
        fades = self.draws.random() < self.FADE
        chance = self.draws.random() if fades else 0
        rows = self.ranked(prefix)[:limit]
        assert self.index.suggest(prefix, limit) == [Suggestion(t, f) for _, f, t in rows]
        if fades and rows:
            rest = chance * sum((1 / frequency for _, frequency, _ in rows), 0.0)
            chosen = rows[-1]
            for row in rows:
                rest -= 1 / row[1]
                if rest < 0:
                    chosen = row
                    break
            normal, frequency, text = chosen
            if frequency == 1:
                del self.oracle[normal]
            else:
                self.oracle[normal] = (frequency - 1, text)

    @rule(gone=st.lists(visible, max_size=2))
    def remove(self, gone: list[str]) -> None:
        normals = [normal_form(text).encode() for text in gone]
        assert self.index.frequencies(gone) == [self.oracle.get(n, (0, ""))[0] for n in normals]
        there = [self.oracle.pop(normal, None) is not None for normal in normals]
        assert self.index.remove(gone) == sum(there)
        assert self.index.count() == len(self.oracle)

    @invariant()
    def consistent(self) -> None:
        assert self.index.verify().found == 0

    def teardown(self) -> None:
        self.index.clear()


def test_it_equals_a_counter_that_ranks_fades_and_evicts(connection: Connection) -> None:
    run(Completing, connection)


def test_many_texts_of_many_frequencies_are_ranked_exactly(
    connection: Connection, index_name: str
) -> None:
    rng = random.Random(3)
    index = Completion(index_name, connection=connection)
    words = {
        "".join(rng.choices("abc", k=rng.randint(1, 7))): int(rng.paretovariate(0.4))
        for _ in range(900)
    }
    index.record_many(words)
    for prefix in ("", "a", "bc", "cab", "abca", "zz"):
        expected = sorted(
            ((-frequency, word) for word, frequency in words.items() if word.startswith(prefix))
        )
        found = index.suggest(prefix, 20)
        assert [(-one.frequency, one.text) for one in found] == expected[:20]


def test_one_mistake_in_the_first_letters_is_forgiven(
    connection: Connection, index_name: str
) -> None:
    rng = random.Random(5)
    index = Completion(index_name, connection=connection)
    words = {
        "".join(rng.choices("abcd", k=rng.randint(2, 6))): rng.randint(1, 40) for _ in range(300)
    }
    index.record_many(words)

    def distance(one: str, other: str) -> int:
        rows = [[*range(len(other) + 1)]]
        for i, a in enumerate(one, 1):
            rows.append([i])
            for j, b in enumerate(other, 1):
                cost = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a != b))
                if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                    cost = min(cost, rows[i - 2][j - 2] + 1)
                rows[i].append(cost)
        return int(rows[-1][-1])

    for prefix in ("abc", "dcba", "ddddd", "ba"):
        exact = sorted((-f, w) for w, f in words.items() if w.startswith(prefix))
        fuzzy = sorted(
            (-f, w)
            for w, f in words.items()
            if not w.startswith(prefix)
            and any(
                len(w[:end]) > 0 and distance(w[:end], prefix) <= 1 for end in range(1, len(w) + 1)
            )
        )
        found = index.suggest(prefix, 40, fuzzy=True)
        assert [(-one.frequency, one.text) for one in found] == (exact + fuzzy)[:40]
        assert index.suggest(prefix, 40) == found[: len(exact)]


def test_a_text_is_shown_as_it_was_recorded_last(connection: Connection, index_name: str) -> None:
    index = Completion(index_name, connection=connection)
    index.record("Banana")
    index.record("banana split")
    index.record("BANÀNA", 3)
    assert index.suggest("bana") == [Suggestion("BANÀNA", 4), Suggestion("banana split", 1)]
    exact = Completion(f"{index_name}x", normalize=False, connection=connection)
    exact.record_many([("Banana", 1), ("banana", 2)])
    assert exact.suggest("b") == [Suggestion("banana", 2)]


def test_what_is_suggested_and_not_recorded_any_more_disappears(
    connection: Connection, index_name: str
) -> None:
    index = Completion(index_name, fade=1, rng=random.Random(1), connection=connection)
    index.record_many({"banana": 200, "banaooo": 1, "banned": 150})
    for _ in range(20):
        index.suggest("ban")
    assert [one.text for one in index.suggest("ban")] == ["banana", "banned"]


def test_memory_stays_bounded(connection: Connection, index_name: str) -> None:
    index = Completion(index_name, max_entries=50, rng=random.Random(1), connection=connection)
    index.record_many({"kept one": 9, "kept two": 30})
    for number in range(300):
        index.record(f"seen once {number}")
    assert index.count() == 50
    assert index.frequencies(["kept one", "Kept TWO"]) == [9, 30]
    assert index.verify().found == 0


def test_scopes_never_mix(connection: Connection, index_name: str) -> None:
    one, other, none = (
        Completion(index_name, scope=scope, connection=connection) for scope in ("a", "a:b", None)
    )
    one.record("text")
    assert other.count() == none.count() == 0
    none.clear()
    assert one.count() == 1


def test_a_suggestion_is_one_round_trip_and_writes_nothing_by_default(
    connection: Connection, index_name: str, commands: CommandLog
) -> None:
    index = Completion(index_name, connection=connection)
    index.record("text")
    commands.clear()
    index.suggest("te", fuzzy=True)
    assert len(commands.round_trips) == 1


@pytest.mark.parametrize("text", ["", "\u0301", "\ud800", b"a", None])
def test_what_is_no_text_is_refused_and_nothing_is_counted(
    connection: Connection, index_name: str, text: Any
) -> None:
    index = Completion(index_name, connection=connection)
    with pytest.raises(InvalidInputError):
        index.record_many([("good", 1), (text, 1)])
    assert index.count() == 0


@pytest.mark.parametrize(
    "settings", [{"fade": 2}, {"fade": True}, {"fade": math.nan}, {"scope": 1}]
)
def test_invalid_settings_are_refused(
    connection: Connection, index_name: str, settings: Any
) -> None:
    with pytest.raises(ConfigurationError):
        Completion(index_name, connection=connection, **settings)


async def test_the_async_methods_do_the_same(connection: Connection, index_name: str) -> None:
    index = Completion(index_name, connection=connection)
    assert await index.arecord("a") == 1
    assert await index.arecord_many({"ab": 5}) == [5]
    assert [one.text for one in await index.asuggest("a")] == ["ab", "a"]
    assert await index.afrequencies(["a"]) == [1]
    assert await index.acount() == 2
    assert await index.aremove(["a"]) == 1
    assert (await index.averify()).ok
    assert (await index.arepair()).ok
