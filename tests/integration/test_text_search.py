"""Text and hybrid search: as a reference computes it, complete, filtered exactly, and right after every change."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pydoc_data.topics import topics
from typing import Any

import bm25s
import pytest

from round_trips import CommandLog
from servers import start_server
from text_oracle import answers, kept, stem
from valkey_vector import (
    ConfigurationError,
    Connection,
    F,
    FilterError,
    FullText,
    Fuzzy,
    Hit,
    Index,
    IndexMismatchError,
    InvalidInputError,
    Phrase,
    Prefix,
    ReciprocalRank,
    Record,
    Schema,
    SearchModule,
    Term,
    TextField,
    UnsupportedFeatureError,
    Weighted,
)
from valkey_vector.engines.search import reading as search_reading
from valkey_vector.engines.search import text as search_text
from valkey_vector.engines.search import text_rounds

DOCUMENTS = {
    "1": "The quick brown fox jumps over the lazy dog",
    "2": "Running foxes are quick; a fox runs.",
    "3": "New York is a big city in the United States",
    "4": "York, a new city",
    "5": "",
    "6": "the of and",
    "7": "naïve straße",
    "8": "state-of-the-art",
}


@pytest.fixture
def open_index(open_index: Callable[..., Index]) -> Callable[..., Index]:
    """Opens indexes with full text, unless a schema says otherwise."""

    def opened(suffix: str = "", **settings: Any) -> Index:
        return open_index(
            suffix, **({} if "schema" in settings else {"full_text": True}), **settings
        )

    return opened


@pytest.fixture
def small(index: Index) -> Index:
    index.upsert(
        Record(id=id, content=text, vector=[1.0, float(id), 0, 0], metadata={"n": int(id)})
        for id, text in DOCUMENTS.items()
    )
    return index


def ids(hits: Any) -> list[str]:
    return [hit.record.id for hit in hits]


def passages() -> dict[str, str]:
    """Real text: the paragraphs of Python's language reference."""
    found: dict[str, str] = {}
    for topic, text in sorted(topics.items()):
        for number, part in enumerate(re.split(r"\n\s*\n", text)):
            if len(part) > 80:
                found[f"{topic}-{number:03}"] = part
    return dict(list(found.items())[::3])


# What a query finds


@pytest.mark.parametrize(
    ("asked", "match", "found"),
    [
        ("fox", "any", ["2", "1"]),
        ("quick city", "any", ["4", "2", "3", "1"]),
        ("running fox", "all", ["2"]),
        ("run FOX zebra", "all", []),
        ("the of", "any", []),
        ("", "any", []),
        ("NAÏVE STRASSE", "all", ["7"]),
        ("states-of the art", "all", ["8"]),
        ((Phrase("new york"),), "any", ["3"]),
        ((Phrase("New of the YORK"),), "any", ["3"]),
        ((Phrase("york new", in_order=False),), "any", ["4", "3"]),
        ((Phrase("quick fox"),), "any", ["2"]),
        ((Phrase("quick fox", slop=1),), "any", ["2", "1"]),
        ((Phrase("foxes runs"),), "any", []),
        ((Prefix("ru"),), "any", ["2"]),
        ((Prefix("new yo"),), "any", ["3"]),
        ((Prefix("zz"),), "any", []),
        ((Prefix("zz"), Term("fox")), "all", []),
        ((Fuzzy("quikc"),), "any", ["2", "1"]),
        ((Fuzzy("ctiy"), Fuzzy("yorck")), "all", ["4", "3"]),
        ((Fuzzy("cxtxy", distance=2),), "any", ["4", "3"]),
        ((Term("e-mail"),), "any", []),
        ((Term("state-of-the-art"),), "any", ["8"]),
        ((Term("the"), Term("fox")), "all", ["2", "1"]),
        ((), "any", []),
    ],
)
def test_a_query_finds_what_it_says(small: Index, asked: Any, match: Any, found: list[str]) -> None:
    hits = small.search_text(asked, k=10, match=match)
    assert ids(hits) == found
    expected = answers(DOCUMENTS, asked, every=match == "all")
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.record.id])
        assert math.isnan(hit.distance)
        assert math.isnan(hit.similarity)
        assert hit.record.content == DOCUMENTS[hit.record.id]
        assert hit.record.vector is None


async def test_the_async_versions_return_the_same(small: Index) -> None:
    vector = [1.0, 3.0, 0, 0]
    assert await small.asearch_text("fox", k=10) == small.search_text("fox", k=10)
    hybrid = small.search_hybrid(vector, "fox", k=10, with_vectors=True, with_payloads=True)
    again = await small.asearch_hybrid(vector, "fox", k=10, with_vectors=True, with_payloads=True)
    assert ids(again) == ids(hybrid)
    assert again[0].record.vector is not None


def test_long_texts_and_thousands_of_words_are_searched(small: Index) -> None:
    many = " ".join(f"w{n}" for n in range(3_000))
    assert ids(small.search_text(f"fox {many} {'x' * 10_000}", k=10)) == ["2", "1"]
    assert small.search_text(f"fox {many}", k=10, match="all") == []
    assert ids(small.search_text("fox " * 2_500, k=10, match="all")) == ["2", "1"]


def test_an_index_that_does_not_exist_finds_nothing(index: Index) -> None:
    assert index.search_text("fox") == []
    assert index.search_hybrid([1, 0, 0, 0], "fox") == []


def test_arguments_are_checked_before_there_is_anything_to_search(index: Index) -> None:
    with pytest.raises(FilterError):
        index.search_text("fox", filter={"n": {"$near": 1}})
    with pytest.raises(FilterError):
        index.search_hybrid([1, 0, 0, 0], "fox", filter={"n": {"$near": 1}})
    with pytest.raises(InvalidInputError, match="the query"):
        index.search_hybrid([float("nan")], "fox")
    with pytest.raises(InvalidInputError, match="k must be"):
        index.search_text("fox", k=0)


def test_ties_are_in_the_order_of_ids(index: Index) -> None:
    index.upsert(Record(id=f"{n:03}", content="same words") for n in reversed(range(150)))
    assert ids(index.search_text("words", k=120)) == [f"{n:03}" for n in range(120)]


# As others compute it


def test_scores_are_those_of_a_reference_on_real_text(index: Index) -> None:
    texts = passages()
    assert len(texts) > 500
    index.upsert(Record(id=id, content=text) for id, text in texts.items())
    names = list(texts)
    reference = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    stems = [[stem(word) for word in kept(text)] for text in texts.values()]
    reference.index(stems, show_progress=False)
    chosen = random.Random(4)
    for _ in range(40):
        words = kept(texts[chosen.choice(names)])
        query = " ".join(chosen.sample(words, min(len(words), chosen.randint(1, 6))))
        hits = index.search_text(query, k=25, stop_words=())
        # The reference leaves out the constant factor k1 + 1.
        scores = reference.get_scores([stem(word) for word in kept(query)]) * 2.2
        best = sorted(
            zip(scores.tolist(), names, strict=True), key=lambda pair: (-pair[0], pair[1])
        )
        expected = [score for score, _ in best[:25] if score > 0]
        assert [hit.score for hit in hits] == pytest.approx(expected, rel=1e-5), query
        measured = dict(zip(names, scores.tolist(), strict=True))
        for hit in hits:
            assert hit.score == pytest.approx(measured[hit.record.id], rel=1e-5), query


def test_both_engines_give_the_same_hits_to_the_last_bit(
    native_server: Any, search_server: Any, index_name: str
) -> None:
    texts = passages()
    answered = []
    settings: dict[str, Any] = {"dimension": 4, "full_text": True}
    for engine, server in (("native", native_server), ("search", search_server)):
        with Index.open(index_name, url=server.url, engine=engine, **settings) as index:  # type: ignore[arg-type]
            chosen = random.Random(5)
            index.upsert(
                Record(id=id, content=text, vector=[chosen.random() for _ in range(4)])
                for id, text in texts.items()
            )
            queries = [
                " ".join(chosen.sample(kept(text), 3)) for text in list(texts.values())[::40]
            ]
            asked: list[Any] = [
                *queries,
                (Prefix("ex"), Fuzzy("clas")),
                (Phrase("class body", slop=2),),
            ]
            answered.append(
                [
                    [
                        (hit.record.id, hit.score)
                        for hit in index.search_text(query, k=30, match=match)
                    ]
                    for query in asked
                    for match in ("any", "all")
                ]
                + [
                    [
                        (hit.record.id, hit.score)
                        for hit in index.search_hybrid([0.3, 0.9, 0.1, 0.5], query, k=9)
                    ]
                    for query in asked
                ]
            )
    assert answered[0] == answered[1]


# Complete


def test_a_large_index_is_searched_completely(
    open_index: Callable[..., Index],
    commands: CommandLog,
    engine_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = random.Random(6)
    words = [
        "common",
        "frequent",
        *(f"word{n}" for n in range(60)),
        *(f"rare{n}" for n in range(40)),
    ]
    weights = [60, 30, *[6] * 60, *[0.05] * 40]
    texts = {
        f"r{n:04}": " ".join(chosen.choices(words, weights, k=chosen.randint(1, 12)))
        for n in range(1_800)
    }
    index = open_index(schema=Schema(dimension=4, full_text=FullText()))
    index.upsert(
        Record(id=id, content=text, metadata={"n": int(id[1:])}) for id, text in texts.items()
    )
    queries: list[Any] = [
        "rare3 common frequent", "common", "common frequent word7", "rare1 rare2 common word3", (Prefix("word"),),
        (Prefix("ra"), Term("common")), (Phrase("common frequent"), Term("word1")), (Fuzzy("comon"), Term("rare5")),
    ]  # fmt: skip
    for query in queries:
        for match in ("any", "all"):
            expected = answers(texts, query, every=match == "all")
            best = sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))
            for k in (3, 40):
                hits = index.search_text(query, k=k, match=match)
                assert [hit.score for hit in hits] == pytest.approx([s for _, s in best[:k]])
    assert len(index.search_text("common", k=10_000)) == len(answers(texts, "common", every=False))
    if engine_name == "search":
        # The rare word decides: the documents with the common words alone are not gone through.
        monkeypatch.setattr(text_rounds, "_RARE", 100)
        commands.clear()
        index.search_text("rare3 common", k=1)
        # Counts and a first look, which is not enough; ids with the rare word; their words; the records.
        _, listed, scored, records = commands.round_trips
        queries = [command[2] for command in listed if command[0] == b"FT.SEARCH"]
        assert any(b"{rare3" in query for query in queries)
        assert not any(b"{common" in query for query in queries)
        # TIME, in the same round trip: what has expired is no record.
        assert {command[0] for command in records} == {b"HMGET", b"TIME"}
        assert len([command for command in scored if command[0] == b"HMGET"]) <= 60
        # Also where a list of ids is too long, and words are brought in pages.
        monkeypatch.setattr(search_text, "_FIRST", 50)
        monkeypatch.setattr(search_text, "_LARGEST", 50)
        expected = answers(texts, "rare3 common", every=False)
        assert len(index.search_text("rare3 common", k=2_000)) == len(expected)
        both = answers(texts, "frequent common", every=True)
        assert len(index.search_text("frequent common", k=2_000, match="all")) == len(both) > 50


@pytest.mark.parametrize("pieces", [64, 1])
def test_a_prefix_stands_for_more_words_than_a_server_expands(
    index: Index, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With one piece, more words than all queries together can hold.
    monkeypatch.setattr(search_reading, "_PIECES", pieces)
    index.upsert(Record(id=f"r{n:04}", content=f"prefix{n} other") for n in range(1_500))
    assert len(index.search_text((Prefix("prefix"),), k=5_000)) == 1_500
    assert len(index.search_text((Fuzzy("prefix", distance=3),), k=5_000)) == 1_000
    both = index.search_text((Prefix("prefix1"), Term("other")), k=5_000, match="all")
    assert len(both) == 1 + 10 + 100 + 500


# Filters


def test_filters_are_exact_whoever_decides_them(index: Index) -> None:
    index.upsert(
        Record(id=f"r{n:03}", content=f"fox number {n}", metadata={"n": n, "s": f"name {n % 7}"})
        for n in range(300)
    )
    everything = index.search_text("fox number", k=300)
    assert len(everything) == 300
    named = [f"r{n:03}" for n in (5, 250, 17)]
    filters = [
        F("n") >= 250,
        F("s") == "name 3",
        F("s").like("%3"),
        ~F("s").like("%3") & (F("n") < 200),
        F.id.in_([*named, "nobody"]),
        F.id.in_(named) & F("s").like("%3"),
        F.content.like("%number 2%"),
        F("n").in_([]),
    ]
    from valkey_vector.filters.evaluate import matches

    for filter in filters:
        expected = [
            hit
            for hit in everything
            if matches(filter, hit.record.metadata, id=hit.record.id, content=hit.record.content)
        ]
        for k in (2, 300):
            assert index.search_text("fox number", k=k, filter=filter) == expected[:k], filter
            both = index.search_hybrid([1, 0, 0, 0], "fox number", k=k, filter=filter)
            assert ids(both) == ids(expected[:k])


def test_a_filter_of_more_than_a_query_holds_is_still_exact(index: Index) -> None:
    index.upsert(
        Record(
            id=f"r{n:04}", content="fox " + "dog " * (n % 3), metadata={"s": f"value number {n}"}
        )
        for n in range(1_200)
    )
    values = [f"value number {n}" for n in range(0, 1_200, 2)]
    expected = [
        hit for hit in index.search_text("fox dog", k=1_200) if hit.record.metadata["s"] in values
    ]
    assert index.search_text("fox dog", k=1_200, filter=F("s").in_(values)) == expected
    assert len(expected) == 600


# Changes


def test_text_search_sees_every_change_at_once(
    open_index: Callable[..., Index],
) -> None:
    index = open_index(
        schema=Schema(dimension=4, fields=(TextField("title"), TextField("plain", stem=False)))
    )
    other = open_index()  # another process, in effect: it knows nothing of what the first one wrote
    texts = dict(DOCUMENTS)

    def check(query: str = "fox city zebra new") -> None:
        expected = answers(texts, query, every=False)
        for each in (index, other):
            hits = each.search_text(query, k=20)
            assert {hit.record.id: pytest.approx(hit.score) for hit in hits} == expected

    index.upsert(Record(id=id, content=text) for id, text in texts.items())
    check()
    texts["1"] = "zebra"
    index.upsert([Record(id="1", content="zebra")])
    check()
    del texts["2"]
    other.delete(["2"])
    check()
    texts["9"] = "A fox for a moment"
    other.upsert([Record(id="9", content=texts["9"])], ttl=1.0)
    check()
    assert ids(other.search_text((Prefix("mom"),))) == ["9"]
    assert ids(index.search_text((Prefix("mom"),))) == ["9"]
    index.update_metadata(["3"], {"title": "Foxes of the city", "plain": "running"})
    check()
    for each in (index, other):
        assert ids(each.search_text("fox", fields=("title",))) == ["3"]
        assert ids(each.search_text((Prefix("foxe", field="title"),))) == ["3"]
        assert ids(each.search_text("run", fields=("plain",))) == []
        assert ids(each.search_text("running", fields=("plain",))) == ["3"]
    index.update_metadata(["3"], {"title": None})
    assert index.search_text("fox", fields=("title",)) == []
    check()
    time.sleep(1.2)
    del texts["9"]
    check()
    index.connection.execute("DEL", f"{index.name}:4")
    del texts["4"]
    index.count()
    assert "4" not in ids(index.search_text("city", k=10))
    index.delete_all()
    texts.clear()
    check()


def test_several_fields_are_searched_together(open_index: Callable[..., Index]) -> None:
    index = open_index(schema=Schema(dimension=4, fields=(TextField("title"),)))
    index.upsert(
        [
            Record(id="both", content="a fox", metadata={"title": "The fox"}),
            Record(id="title", content="an animal", metadata={"title": "Foxes"}),
            Record(id="content", content="one fox"),
        ]
    )
    assert ids(index.search_text("fox", fields=("content", "title"))) == [
        "both",
        "content",
        "title",
    ]
    assert ids(index.search_text((Term("fox", field="title"), Term("fox")), match="all")) == [
        "both"
    ]
    assert ids(index.search_text("animal fox", fields=("title", "content"), match="all")) == [
        "title"
    ]
    with pytest.raises(InvalidInputError, match=r"'summary'.*content, title"):
        index.search_text("fox", fields=("summary",))
    with pytest.raises(InvalidInputError, match="summary"):
        index.search_text((Term("fox", field="summary"),))


# Hybrid


def test_fusion_by_reciprocal_rank_is_as_defined(small: Index) -> None:
    vector = [1.0, 3.0, 0, 0]
    near = ids(small.search(vector, k=10))
    text = ids(small.search_text("fox city", k=10))
    for constant in (60.0, 1.0):
        expected = {
            id: sum(
                1 / (constant + ranked.index(id) + 1) for ranked in (near, text) if id in ranked
            )
            for id in near
        }
        hits = small.search_hybrid(vector, "fox city", k=10, fusion=ReciprocalRank(constant))
        assert {hit.record.id: hit.score for hit in hits} == pytest.approx(expected)
        assert [(-hit.score, hit.record.id) for hit in hits] == sorted(
            (-hit.score, hit.record.id) for hit in hits
        )
    similar = {hit.record.id: hit.similarity for hit in small.search(vector, k=10)}
    assert all(hit.similarity == pytest.approx(similar[hit.record.id]) for hit in hits)


def test_fusion_by_weight_is_as_defined(small: Index) -> None:
    vector = [1.0, 3.0, 0, 0]
    near = {hit.record.id: hit.similarity for hit in small.search(vector, k=10)}
    text = {hit.record.id: hit.score for hit in small.search_text("fox city", k=10)}

    def share(scores: dict[str, float], id: str) -> float:
        low, high = min(scores.values()), max(scores.values())
        return (scores[id] - low) / (high - low) if id in scores else 0.0

    for alpha in (0.0, 0.3, 1.0):
        hits = small.search_hybrid(vector, "fox city", k=10, fusion=Weighted(alpha))
        expected = {id: alpha * share(near, id) + (1 - alpha) * share(text, id) for id in near}
        assert {hit.record.id: hit.score for hit in hits} == pytest.approx(expected, abs=1e-6)


def test_each_ranking_has_the_requested_number_of_candidates(small: Index) -> None:
    vector = [1.0, 8.0, 0, 0]
    near = ids(small.search(vector, k=20))
    text = ids(small.search_text("fox city", k=20))
    assert not set(text[:2]) & set(near[:3])
    for nearest, by_text in ((3, 1), (1, 3), (4, 2), (100, 1)):
        hits = small.search_hybrid(
            vector, "fox city", k=20, candidates=nearest, text_candidates=by_text
        )
        assert set(ids(hits)) == set(near) | set(
            text[:by_text]
        )  # never fewer than k of the nearest
        few = small.search_hybrid(
            vector, "fox city", k=1, candidates=nearest, text_candidates=by_text
        )
        fused = {id: 1 / (61 + at) for at, id in enumerate(near[:nearest])}
        for at, id in enumerate(text[:by_text]):
            fused[id] = fused.get(id, 0.0) + 1 / (61 + at)
        assert few[0].score == pytest.approx(max(fused.values()))
    with pytest.raises(InvalidInputError, match="text_candidates"):
        small.search_hybrid(vector, "fox", text_candidates=0)


def test_a_hit_of_one_ranking_alone_has_only_what_that_one_knows(small: Index) -> None:
    small.upsert([Record(id="0", content="fox without a vector")])
    hits = small.search_hybrid([1.0, 3.0, 0, 0], "fox", k=20)
    (alone,) = (hit for hit in hits if hit.record.id == "0")
    assert math.isnan(alone.similarity)
    assert math.isnan(alone.distance)
    assert len(hits) == len(DOCUMENTS) + 1
    assert ids(small.search_hybrid([1.0, 3.0, 0, 0], "the", k=3)) == ids(
        small.search([1.0, 3.0, 0, 0], k=3)
    )
    assert ids(small.search_hybrid([1.0, 3.0, 0, 0], "fox", k=3, candidates=3))[0] in (
        "1",
        "2",
        "3",
        "0",
    )
    with pytest.raises(InvalidInputError, match="the query"):
        small.search_hybrid([1.0], "fox")


def test_searches_take_the_documented_round_trips(
    index: Index, commands: CommandLog, engine_name: str
) -> None:
    index.upsert(
        Record(id=f"r{n:03}", content=f"fox number {n}", vector=[1, n, 0, 0], metadata={"n": n})
        for n in range(200)
    )
    index.search_text("fox", k=4)
    index.search_hybrid([1, 0, 0, 0], "fox", k=4)
    # Both rankings in one, and one more for the records that are among the best of both.
    searches: list[Callable[[], list[Hit]]] = [
        lambda: index.search_text("fox number 7", k=4, filter=F("n") < 100),
        lambda: index.search_hybrid([1, 0, 0, 0], "fox number 7", k=4, filter=F("n") < 100),
    ]
    for search in searches:
        commands.clear()
        assert len(search()) == 4
        assert len(commands.round_trips) == 2
        assert not [1 for trip in commands.round_trips[:1] for each in trip if b"content" in each]
    if engine_name == "search":
        assert "FT.AGGREGATE" not in commands.names()


# What cannot be


def test_an_index_without_full_text_raises_with_the_cure(open_index: Callable[..., Index]) -> None:
    index = open_index(schema=Schema(dimension=4, full_text=None))
    index.upsert([Record(id="1", content="fox", vector=[1, 0, 0, 0])])
    assert ids(index.search([1, 0, 0, 0])) == ["1"]
    searches: list[Callable[[], list[Hit]]] = [
        lambda: index.search_text("fox"),
        lambda: index.search_hybrid([1, 0, 0, 0], "fox"),
    ]
    for search in searches:
        with pytest.raises(ConfigurationError, match="Create it again with full_text=True"):
            search()
    stored = index.connection.execute("HKEYS", f"{index.name}:1")
    assert b"words" not in stored


def test_an_index_without_full_text_is_not_opened_with_it(
    open_index: Callable[..., Index],
) -> None:
    open_index(schema=Schema(dimension=4)).create()
    with pytest.raises(IndexMismatchError, match="full_text"):
        open_index().count()


def test_an_index_is_not_opened_with_other_settings_of_text(
    open_index: Callable[..., Index],
) -> None:
    open_index().create()
    with pytest.raises(IndexMismatchError, match="full_text"):
        open_index(schema=Schema(dimension=4, full_text=FullText(language="german"))).count()


def test_a_server_without_text_says_which_version_has_it(
    search_server: Any, index_name: str
) -> None:
    with Connection.open(search_server.url) as connection:
        connection._capabilities = replace(
            connection.capabilities, module=SearchModule.VALKEY_SEARCH, module_version=(1, 1, 0)
        )
        index = Index.open(index_name, dimension=4, connection=connection, engine="search")
        index.create()
        with pytest.raises(UnsupportedFeatureError, match=r"Valkey-Search 1\.2"):
            index.search_text("fox")
        with pytest.raises(UnsupportedFeatureError, match=r"Valkey-Search 1\.2"):
            index.search_hybrid([1, 0, 0, 0], "fox")
        with pytest.raises(UnsupportedFeatureError, match=r"Valkey-Search 1\.2"):
            Index.open(
                f"{index_name}c", connection=connection, dimension=4, full_text=True
            ).create()
        titled = Schema(dimension=4, fields=(TextField("title"),))
        with pytest.raises(UnsupportedFeatureError, match=r"Valkey-Search 1\.2"):
            Index.open(
                f"{index_name}b", connection=connection, schema=titled, engine="search"
            ).create()


def test_the_vocabulary_goes_with_the_documents(index: Index) -> None:
    key = f"{{{index.name}}}:vocabulary"
    index.upsert([Record(id="1", content="the fox")])
    assert index.connection.execute("ZRANGE", key, "0", "-1") == [b"fox"]
    index.drop(documents=False)
    assert index.connection.execute("EXISTS", key) == 1
    index.create()
    index.wait_until_indexed()
    assert ids(index.search_text((Prefix("f"),))) == ["1"]
    index.drop()
    assert index.connection.execute("EXISTS", key) == 0


def test_documents_move_from_one_engine_to_the_other_with_their_words(index_name: str) -> None:
    with start_server(search=True) as server, Connection.open(server.url) as connection:
        settings: dict[str, Any] = {"dimension": 4, "connection": connection, "full_text": True}
        native = Index.open(index_name, engine="native", **settings)
        native.upsert(Record(id=id, content=text) for id, text in DOCUMENTS.items())
        queries: list[Any] = ["quick fox", (Prefix("ci"), Fuzzy("fix"))]
        before = [native.search_text(query, k=9) for query in queries]
        native.drop(documents=False)
        search = Index.open(index_name, engine="search", **settings)
        search.create()
        search.wait_until_indexed()
        assert [search.search_text(query, k=9) for query in queries] == before


def test_records_that_are_overwritten_many_times_leave_no_words_behind(index: Index) -> None:
    chosen = random.Random(7)
    vocabulary = [f"word{n}" for n in range(40)]
    texts: dict[str, str] = {}
    for turn in range(3):
        texts = {
            f"r{n:04}": " ".join(chosen.choices(vocabulary, k=chosen.randint(1, 9)))
            for n in range(1_100 if turn < 2 else 300)
        }
        index.upsert(Record(id=id, content=text) for id, text in texts.items())
        # A process that saw all turns: the native engine's replica packs its rows.
        index.search_text("word1", k=1)
    index.delete([f"r{n:04}" for n in range(300, 1_100)])
    queries: list[Any] = ["word1 word7", (Prefix("word3"),), (Phrase("word1 word2", slop=2),)]
    for query in queries:
        for match in ("any", "all"):
            expected = answers(texts, query, every=match == "all")
            hits = index.search_text(query, k=1_000, match=match)
            assert {hit.record.id: hit.score for hit in hits} == pytest.approx(expected)


@pytest.mark.parametrize("vector", [[1.0, math.nan], "1234", [[1.0]], None])
def test_what_cannot_be_asked_is_refused_also_where_there_is_no_index(
    index: Index, vector: Any
) -> None:
    with pytest.raises(InvalidInputError, match="the query"):
        index.search_hybrid(vector, "fox")
    for search in (index.search_text, lambda text, **more: index.search_hybrid([1], text, **more)):
        with pytest.raises(FilterError, match="near"):
            search("fox", filter={"n": {"$near": 1}})
    assert not index.exists()


def test_a_word_is_counted_without_its_other_forms(small: Index) -> None:
    small.upsert(
        [Record(id=f"run{n}", content="run") for n in range(8)]
        + [Record(id="runs", content="runs")]
    )
    texts = {**DOCUMENTS, **{f"run{n}": "run" for n in range(8)}, "runs": "runs"}
    query = (Phrase("runs"),)
    expected = answers(texts, query, every=False)
    hits = small.search_text(query, k=20)
    assert {hit.record.id: hit.score for hit in hits} == pytest.approx(expected)


@pytest.mark.parametrize("clause", [Term, Phrase, Prefix, Fuzzy])
def test_the_field_of_a_clause_is_a_name(clause: Any) -> None:
    with pytest.raises(InvalidInputError, match="field must be"):
        clause("a", field=["content"])


def test_switches_are_true_or_false(index: Index) -> None:
    searches: list[Callable[..., list[Hit]]] = [
        index.search_text,
        lambda text, **more: index.search_hybrid([1], text, **more),
    ]
    for search in searches:
        with pytest.raises(InvalidInputError, match="with_vectors must be True or False"):
            search("fox", with_vectors="no")


def test_a_client_of_a_dropped_index_finds_the_words_of_the_new_one(
    open_index: Callable[..., Index],
) -> None:
    one, other = open_index(), open_index()
    one.upsert([Record(id="1", content="alpha beta gamma delta", vector=[1, 0, 0, 0])])
    assert ids(one.search_text((Prefix("alp"),))) == ["1"]
    other.drop()
    other.upsert([Record(id="2", content="zebra", vector=[1, 0, 0, 0])])
    for clause in (Prefix("zeb"), Fuzzy("zebrs")):
        assert ids(one.search_text((clause,))) == ["2"]
