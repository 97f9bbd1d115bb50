"""Text search of a large index fetches and counts no more than it must: commands and documents are counted here."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import pytest

from round_trips import CommandLog
from text_oracle import answers
from valkey_vector import Index, Record
from valkey_vector.engines.search import commands as search_commands
from valkey_vector.engines.search import text as search_text
from valkey_vector.engines.search import text_rounds
from valkey_vector.engines.search.support import ServerSupport

RARE, MIDDLE, COMMON = "rare", "middle", "common"


@pytest.fixture
def texts() -> dict[str, str]:
    chosen = random.Random(11)
    words = [COMMON, "usual", MIDDLE, RARE, *(f"word{n}" for n in range(50))]
    weights = [40, 30, 4, 0.3, *[2] * 50]
    return {f"r{n:04}": " ".join(chosen.choices(words, weights, k=10)) for n in range(2_000)}


@pytest.fixture
def index(
    search_server: Any, index_name: str, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterable[Index]:
    """An index of the search engine that is large by lower limits."""
    monkeypatch.setattr(search_text, "_SMALL", 500)
    monkeypatch.setattr(search_text, "_FIRST", 20)
    for limit, value in (("_RARE", 60), ("_LISTED", 200), ("_SAMPLE", 20), ("_ENOUGH", 60)):
        monkeypatch.setattr(text_rounds, limit, value)
    with Index.open(
        index_name, dimension=4, url=search_server.url, engine="search", full_text=True
    ) as opened:
        opened.upsert(Record(id=id, content=text) for id, text in texts.items())
        opened.search_text("usual", k=1)
        yield opened
        opened.drop()


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of documents whose terms were fetched and scored."""
    numbers: list[int] = []
    take = search_text.Collected.take

    def counted(collected: Any, rows: Iterable[Any]) -> list[Any]:
        listed = list(rows)
        numbers.append(len(listed))
        return take(collected, listed)

    monkeypatch.setattr(search_text.Collected, "take", counted)
    return numbers


def check(
    index: Index, texts: dict[str, str], query: str, k: int, match: Literal["any", "all"] = "any"
) -> None:
    expected = answers(texts, query, every=match == "all")
    best = sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
    hits = index.search_text(query, k=k, match=match)
    assert [hit.record.id for hit in hits] == [id for id, _ in best]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in best])


@pytest.mark.parametrize(
    ("query", "most"),
    [
        (f"{RARE} {COMMON}", 150),
        (f"{RARE} {MIDDLE} {COMMON} usual", 500),
        (f"{MIDDLE} word1 word2 {COMMON}", 900),
    ],
)
def test_only_documents_that_can_be_among_the_best_are_fetched(
    index: Index, texts: dict[str, str], fetched: list[int], query: str, most: int
) -> None:
    for k in (1, 4):
        fetched.clear()
        check(index, texts, query, k)
        # Nearly all of the 2,000 have at least one of the terms.
        assert sum(fetched) <= most


def test_a_few_short_texts_do_not_make_a_search_fetch_more_documents(
    index: Index, texts: dict[str, str], fetched: list[int]
) -> None:
    query = f"{COMMON} usual {MIDDLE}"
    check(index, texts, query, 4)
    fetched.clear()
    check(index, texts, query, 4)
    before = sum(fetched)
    texts |= {f"s{n}": f"word{n} word{n + 1}" for n in range(5)}
    texts["s5"] = f"{COMMON} word1"
    index.upsert(Record(id=id, content=texts[id]) for id in texts if id[0] == "s")
    check(index, texts, query, 4)
    fetched.clear()
    check(index, texts, query, 4)
    assert sum(fetched) <= 1.1 * before + 6


def test_documents_with_a_common_term_are_listed_only_among_those_with_a_rare_one(
    index: Index, texts: dict[str, str], commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, value in (("_ENOUGH", 1), ("_SAMPLE", 4), ("_COMPARED", 0.01)):
        monkeypatch.setattr(text_rounds, limit, value)
    for n in range(40):
        beside = "other" if n % 10 else COMMON
        texts[f"m{n:02}"] = f"{MIDDLE} {RARE} {beside} word1 word2 word3 word4 word5 word6 word7"
    index.upsert(Record(id=id, content=texts[id]) for id in texts if id[0] == "m")
    query = f"{RARE} {MIDDLE} {COMMON}"
    check(index, texts, query, 4)
    commands.clear()
    check(index, texts, query, 4)
    sent = [each for trip in commands.round_trips for each in trip if b"NOCONTENT" in each]
    lists = [each[2] for each in sent if b"{common" in each[2]]
    assert lists
    assert all(b"rare" in each for each in lists)


def test_the_best_are_those_of_the_formula_with_any_mixture_of_terms(
    index: Index, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_rounds, "_ENOUGH", 5)
    monkeypatch.setattr(text_rounds, "_SAMPLE", 5)
    chosen = random.Random(5)
    words = [COMMON, "usual", MIDDLE, RARE, *(f"word{n}" for n in range(12))]
    for length in (1, 2, 3, 30, 31, 60):
        text = " ".join(chosen.choices(words, k=length))
        texts |= {f"n{length}-{n}": text for n in range(4)}
    index.upsert(Record(id=id, content=texts[id]) for id in texts if id[0] == "n")
    for _ in range(25):
        query = " ".join(chosen.sample(words, chosen.randrange(2, 7)))
        for match in ("any", "all"):
            check(index, texts, query, chosen.choice((1, 3, 10)), match)


def test_a_search_for_all_terms_fetches_only_documents_that_have_them(
    index: Index, texts: dict[str, str], fetched: list[int]
) -> None:
    query = f"{COMMON} usual {MIDDLE}"
    matching = answers(texts, query, every=True)
    check(index, texts, query, 4, "all")
    fetched.clear()
    check(index, texts, query, 4, "all")
    assert sum(fetched) <= len(matching)


def test_common_terms_alone_fetch_no_document_twice_or_in_pages(
    index: Index, texts: dict[str, str], fetched: list[int], commands: CommandLog
) -> None:
    commands.clear()
    check(index, texts, f"{COMMON} usual", 4)
    assert len(commands.round_trips) <= 10
    assert not [each for trip in commands.round_trips for each in trip if b"SORTBY" in each]
    assert sum(fetched) <= len(texts) / 4


@pytest.mark.parametrize(("match", "pages"), [("any", 0), ("all", 1)])
def test_a_page_of_documents_is_fetched_only_if_few_can_match(
    index: Index, commands: CommandLog, monkeypatch: pytest.MonkeyPatch, match: Any, pages: int
) -> None:
    monkeypatch.setattr(search_text, "_SMALL", 10_000)
    commands.clear()
    assert index.search_text(f"{RARE} {COMMON}", k=2, match=match)
    assert len([each for each in commands.round_trips[0] if b"RETURN" in each]) == pages


def test_counts_are_sent_again_only_after_a_write_that_is_not_noted(
    index: Index, texts: dict[str, str], commands: CommandLog
) -> None:
    def counts() -> list[bytes]:
        sent = (each for trip in commands.round_trips for each in trip)
        listed = {b"RETURN", b"NOCONTENT"}
        return [each[2] for each in sent if each[0] == b"FT.SEARCH" and listed.isdisjoint(each)]

    capabilities = index.connection.capabilities
    notes = "Valkey-Search" in capabilities.description and not capabilities.cluster
    query = f"{RARE} {COMMON}"
    commands.clear()
    check(index, texts, query, 3)
    assert [count for count in counts() if b"rare" in count]
    assert [count for count in counts() if b"common" in count]
    commands.clear()
    check(index, texts, query, 5)
    assert not [count for count in counts() if b"rare" in count or b"common" in count]
    for change in range(3):
        match change:
            case 0:
                texts["r0000"] = f"{RARE} {RARE} once more"
                index.upsert([Record(id="r0000", content=texts["r0000"])])
            case 1:
                index.delete(["r0000"])
                del texts["r0000"]
            case _:
                index.connection.execute("DEL", f"{index.name}:r0001")
                del texts["r0001"]
        commands.clear()
        check(index, texts, query, 5)
        is_noted = notes and change < 2
        assert (not [count for count in counts() if b"rare" in count]) == is_noted
        assert (not [count for count in counts() if b"length" in count]) == is_noted
        assert "FT.AGGREGATE" not in commands.names()
        commands.clear()
        check(index, texts, query, 4)
        assert not [count for count in counts() if b"rare" in count]
        assert "FT.AGGREGATE" not in commands.names()


def test_another_client_sees_a_write_in_its_counts(
    index: Index, texts: dict[str, str], search_server: Any, index_name: str
) -> None:
    query = f"{RARE} {COMMON}"
    opened: Callable[..., Index] = Index.open
    with opened(
        index_name, url=search_server.url, engine="search", full_text=True, dimension=4
    ) as other:
        check(other, texts, query, 4)
        texts |= {f"new{n}": f"{RARE} new text {n}" for n in range(30)}
        index.upsert(Record(id=id, content=text) for id, text in texts.items() if id[0] == "n")
        check(other, texts, query, 4)
        check(index, texts, query, 4)


def test_hashes_that_are_not_records_change_no_score(index: Index, texts: dict[str, str]) -> None:
    query = f"{RARE} {COMMON}"
    check(index, texts, query, 4)
    keys = [f"{index.name}:other{n}" for n in range(40)]
    for key in keys:
        index.connection.execute("HSET", key, "words", f"{RARE} {COMMON} B{COMMON}", "length", "2")
    check(index, texts, query, 4)
    texts["r0000"] = f"{RARE} {RARE} once more"
    index.upsert([Record(id="r0000", content=texts["r0000"])])
    check(index, texts, query, 4)
    index.connection.execute("UNLINK", *keys)
    check(index, texts, query, 4)


def test_expired_texts_do_not_count(index: Index, texts: dict[str, str]) -> None:
    query = f"{RARE} {COMMON}"
    index.upsert([Record(id=f"t{n}", content=f"{RARE} gone {n}") for n in range(5)], ttl=0.05)
    time.sleep(0.1)
    check(index, texts, query, 4)


def test_texts_of_new_lengths_count_in_the_average(index: Index, texts: dict[str, str]) -> None:
    for length in (1, 17, 300, 5_000):
        texts[f"n{length}"] = " ".join([RARE, *["long"] * (length - 1)])
        index.upsert([Record(id=f"n{length}", content=texts[f"n{length}"])])
        check(index, texts, f"{RARE} {COMMON} long", 4)


def test_more_records_than_the_server_counts_are_counted_in_parts(
    index: Index, texts: dict[str, str], commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    support = ServerSupport.of(index.connection)
    monkeypatch.setattr(support, "cap", 1_020)  # RediSearch has no limit
    monkeypatch.setattr(ServerSupport, "_learn_cap", lambda *_: None)
    assert support.safe_total == 1_000
    total = search_commands.total
    monkeypatch.setattr(search_commands, "total", lambda reply: min(1_000, total(reply)))
    for n in range(2):
        texts["r0000"] = f"{RARE} {RARE} once more {n}"
        # More records than a batch notes.
        index.upsert(Record(id=id, content=texts[id]) for id in sorted(texts)[:20])
        commands.clear()
        check(index, texts, f"{RARE} {MIDDLE}", 4)
        sent = [each for trip in commands.round_trips for each in trip if each[0] == b"FT.SEARCH"]
        assert [each for each in sent if b"@created:[" in each[2]]
        assert not [each for each in sent if each[2].startswith(b"-@tags:{_r")]
