"""Document frequencies of text queries are counted again only after a change, on one node and in a cluster."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import pytest

from round_trips import CommandLog
from text_oracle import answers
from valkey_vector import Index, Record
from valkey_vector.connection.pipelines import Request
from valkey_vector.engines.search.reading import SearchReading
from valkey_vector.engines.search.support import ServerSupport

RARE, COMMON = "rare", "common"
QUERY = f"{RARE} {COMMON}"


@pytest.fixture
def texts() -> dict[str, str]:
    chosen = random.Random(7)
    words = [COMMON, RARE, *(f"word{n}" for n in range(20))]
    weights = [30, 1, *[3] * 20]
    return {f"r{n:03}": " ".join(chosen.choices(words, weights, k=8)) for n in range(400)}


@pytest.fixture
def index(open_index: Callable[..., Index], texts: dict[str, str]) -> Iterable[Index]:
    opened = open_index(full_text=True)
    opened.upsert(Record(id=id, content=text) for id, text in texts.items())
    for _ in range(2):
        opened.search_text("word1", k=1)
    yield opened
    opened.drop()


def check(index: Index, texts: dict[str, str]) -> None:
    expected = answers(texts, QUERY, every=False)
    best = sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))[:5]
    hits = index.search_text(QUERY, k=5)
    assert [hit.record.id for hit in hits] == [id for id, _ in best]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in best])


def counted(index: Index, texts: dict[str, str], commands: CommandLog) -> bool:
    """Search, check the hits, and return whether the terms were counted."""
    commands.clear()
    check(index, texts)
    sent = (each for trip in commands.round_trips for each in trip)
    listed = {b"RETURN", b"NOCONTENT"}
    counts = (each[2] for each in sent if each[0] == b"FT.SEARCH" and listed.isdisjoint(each))
    return any(b"rare" in query or b"common" in query for query in counts)


def keeps_counts(index: Index) -> bool:
    capabilities = index.connection.capabilities
    return "Valkey-Search" in capabilities.description


def warm(index: Index, texts: dict[str, str]) -> None:
    """Search as often as it takes to keep counts: in a cluster, the signs of a change must be read before them."""
    for _ in range(2):
        check(index, texts)


def test_terms_are_counted_again_only_after_a_change_that_is_not_noted(
    index: Index, texts: dict[str, str], commands: CommandLog, engine_name: str
) -> None:
    warm(index, texts)
    if keeps_counts(index):
        assert not counted(index, texts, commands)
    for change in range(5):
        match change:
            case 0:
                texts["r000"] = f"{RARE} {RARE} once more"
                index.upsert([Record(id="r000", content=texts["r000"])])
            case 1:
                texts["new"] = f"{RARE} and new"
                index.upsert([Record(id="new", content=texts["new"])])
            case 2:
                index.delete(["r000"])
                del texts["r000"]
            case 3:
                index.connection.execute("DEL", f"{index.name}:new")
                del texts["new"]
            case _:
                # What a search learns after a restart, after which the server may have lost writes and their count.
                if engine_name == "search":
                    ServerSupport.of(index.connection).run = object()
        first = counted(index, texts, commands)
        second = counted(index, texts, commands)
        third = counted(index, texts, commands)
        if keeps_counts(index):
            # On one node, the writes of this library note what they change.
            assert first == (change > 2 or index.connection.capabilities.cluster)
            assert not third
            assert not (second and not index.connection.capabilities.cluster)


def test_a_write_of_another_client_changes_the_counts_at_once(
    index: Index, texts: dict[str, str], server_url: str, engine_name: Literal["search", "native"]
) -> None:
    warm(index, texts)
    with Index.open(
        index.name, url=server_url, engine=engine_name, full_text=True, dimension=4
    ) as other:
        for turn in range(3):
            texts |= {f"n{turn}{n}": f"{RARE} text {n}" for n in range(20)}
            other.upsert(Record(id=id, content=text) for id, text in texts.items() if id[0] == "n")
            check(index, texts)
            check(other, texts)


def test_counts_are_not_kept_while_a_writer_of_a_cluster_holds_locks(
    index: Index, texts: dict[str, str], commands: CommandLog
) -> None:
    if not index.connection.capabilities.cluster:
        return
    warm(index, texts)
    assert not counted(index, texts, commands)
    locks = f"{{{index.name}}}:locks"
    index.connection.execute("HSET", locks, "r001", "token 1")
    for number in range(3):
        # A writer that was killed before it counted its batch leaves its locks.
        texts["r001"] = f"{RARE} {'often ' * number}"
        index.connection.execute("HDEL", locks, "r001")
        index.upsert([Record(id="r001", content=texts["r001"])])
        index.connection.execute("HSET", locks, "r001", "token 1")
        assert counted(index, texts, commands)
        assert counted(index, texts, commands)
    index.connection.execute("UNLINK", locks)
    warm(index, texts)
    assert not counted(index, texts, commands)


def test_counts_are_not_kept_if_replicas_may_answer(
    index: Index, texts: dict[str, str], commands: CommandLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("signs", "text_counts"):
        name = f"valkey_vector.engines.search.{module}.are_replicas_allowed"
        monkeypatch.setattr(name, bool)
    warm(index, texts)
    for _ in range(2):
        if keeps_counts(index):
            assert counted(index, texts, commands)


def test_lengths_that_were_compared_with_an_older_number_of_texts_are_not_kept(
    index: Index,
    texts: dict[str, str],
    server_url: str,
    engine_name: Literal["search", "native"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not index.connection.capabilities.cluster or engine_name == "native":
        return
    attempt = SearchReading.attempt
    late: list[SearchReading] = []

    def attempted(self: SearchReading, requests: Sequence[Request]) -> Any:
        """A write reaches the nodes that count after the counts, and the node of the signs before these."""
        answered = attempt(self, requests)
        first = requests[0].commands
        if self in late and first[0][0] == "HMGET":
            late.clear()
            texts["long"] = f"{RARE} {COMMON} {'more ' * 40}"
            index.upsert([Record(id="long", content=texts["long"])])
            answered[0][:3] = attempt(self, [Request(first[:3])])[0]
        return answered

    with Index.open(index.name, url=server_url) as reader:
        reader.search_text(QUERY, k=5)
        engine = reader._handle.existing()
        assert isinstance(engine, SearchReading)
        late.append(engine)
        monkeypatch.setattr(SearchReading, "attempt", attempted)
        reader.search_text(QUERY, k=5)
        assert not late
        for _ in range(2):
            check(reader, texts)
