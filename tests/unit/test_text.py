"""Texts are split into words without any query syntax; phrases, prefixes and fuzzy words are found exactly."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_oracle import distance, kept, searched, stem, times, words_of
from valkey_vector import ConfigurationError, FullText, InvalidInputError, Schema, TextField
from valkey_vector.query import Fuzzy, HybridQuery, Phrase, Prefix, ReciprocalRank, Term, TextQuery
from valkey_vector.query.hybrid import Weighted
from valkey_vector.schema.full_text import LANGUAGES
from valkey_vector.text.analysis import MAX_WORD_BYTES, MAX_WORD_LENGTH, analyzer
from valkey_vector.text.fields import indexed_texts, text_values
from valkey_vector.text.marks import is_mark
from valkey_vector.text.phrases import occurrences
from valkey_vector.text.stop_words import QUERY_STOP_WORDS, without_stop_words
from valkey_vector.text.vocabulary import Vocabulary

ENGLISH = analyzer(FullText())
SMALL = st.text("ab", min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The quick brown FOX", ["quick", "brown", "fox"]),
        ("state-of-the-art", ["state", "art"]),
        ("don't a@b.com C++ 3.14", ["don", "t", "b", "com", "c", "3", "14"]),
        ("“quoted”—dashes… straße STRASSE", ["quoted", "dashes", "strasse", "strasse"]),
        ("naïve nai\u0308ve ＮＡÏＶＥ", ["naïve", "naïve", "naïve"]),
        ("हिन्दी 日本語。テスト", ["हिन्दी", "日本語", "テスト"]),
        ("good👍 idea", ["good", "👍", "idea"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zerowidth"]),
        ("foo_bar x\ue02dy lone\ud800surrogate", ["foo_bar", "x", "y", "lone", "surrogate"]),
        ("❤️valkey ❤\ufe0evalkey", ["❤", "valkey", "❤", "valkey"]),
        (
            "1️⃣valkey 👍🏽valkey 👩\u200d💻valkey",
            ["1", "valkey", "👍", "valkey", "👩", "💻", "valkey"],
        ),
        ("❤\u0301valkey \u0301valkey", ["❤", "valkey", "valkey"]),
        ("Valkey™ Valkey℠ Valkey®", ["valkey", "tm", "valkey", "sm", "valkey", "®"]),
        ("\uf00cvalkey \U0001fbffvalkey", ["\uf00c", "valkey", "\U0001fbff", "valkey"]),
        ("葛\U000e0100城 x\u034fy \u3164valkey\u3164", ["葛城", "xy", "valkey"]),
        ("val\u00adkey \ufeffvalkey va\u2060lkey", ["valkey", "valkey", "valkey"]),
        ("क्षत्रिय สวัสดี مَرحبا", ["क्षत्रिय", "สวัสดี", "مَرحبا"]),
        ("ab" * 60, ["ab" * 50]),
        ("日" * 41, ["日" * 40]),
        ("𐐨" * 31, ["𐐨" * 30]),
        ("", []),
        ('*** | @ {} "" -', []),
    ],
)
def test_a_text_is_split_into_words(text: str, words: list[str]) -> None:
    assert ENGLISH.words(text) == words


@given(st.text())
def test_words_are_those_of_the_oracle(text: str) -> None:
    assert ENGLISH.all_words(text) == words_of(text)
    assert ENGLISH.stems(ENGLISH.words(text)) == [stem(word) for word in kept(text)]


@given(
    st.text(),
    st.sampled_from(sorted(LANGUAGES)),
    st.none() | st.text(max_size=3),
    st.sampled_from([1, 4]),
)
def test_nothing_in_a_word_or_stem_is_a_mark_or_has_a_meaning_in_a_query(
    text: str, language: str, punctuation: str | None, smallest: int
) -> None:
    settings = FullText(
        language=language, punctuation=punctuation, stop_words=(), min_stem_size=smallest
    )
    taken = analyzer(settings)
    words = taken.all_words(text)
    for word in [*words, *taken.stems(words)]:
        assert not any(is_mark(character) for character in word)
        assert 0 < len(word.encode()) <= MAX_WORD_BYTES
        assert len(word) <= MAX_WORD_LENGTH
        assert not re.search(r"[\x00-/:-@\[-^`{-\x7f\s]", word)
        assert not unicodedata.category(word[0]).startswith("Z")


def test_no_character_becomes_a_mark() -> None:
    for own in (None, ""):
        taken = analyzer(FullText(language="english", punctuation=own, stop_words=()))
        every = map(chr, range(sys.maxunicode + 1))
        text = " ".join(every).encode("utf-8", "ignore").decode()
        assert not re.search("[A-Z]", "".join(taken.all_words(text)))


def test_each_language_has_its_stemmer() -> None:
    for language in LANGUAGES:
        assert analyzer(FullText(language=language)).stems(["something", "другими", "χορούς"])
    german = analyzer(FullText(language="german"))
    assert german.words("der Hund") == ["der", "hund"]
    assert german.stems(["häuser", "hunden"]) == ["haus", "hund"]


def test_custom_punctuation_keeps_all_other_characters_in_words() -> None:
    taken = analyzer(FullText(punctuation=",", stop_words=("OR",)))
    assert len(taken.words("C++,a-b or C#")) == 3
    assert taken.words("c++") != taken.words("c#")
    assert taken.words("C++") == taken.words("c++")


def test_short_words_and_unstemmed_fields_stay_as_they_are() -> None:
    assert ENGLISH.stems(["cat", "cats", "running"]) == ["cat", "cat", "run"]
    assert analyzer(FullText(min_stem_size=5)).stems(["cats", "running"]) == ["cats", "run"]
    schema = Schema(fields=(TextField("title", stem=False), TextField("note")))
    content, title, note = indexed_texts(schema)
    assert (content.words, content.stems, content.length) == ("words", "words", "length")
    assert title.stems == title.words == "words_title"
    assert note.words == "words_note"
    assert (content.is_stemmed, title.is_stemmed, note.is_stemmed) == (True, False, True)
    values = text_values(schema, "running dogs", {"title": "Running"})
    assert values == [
        "words", "running Arun dogs Adog", "length", "2", "words_title", "running", "length_title", "1",
    ]  # fmt: skip
    old = replace(schema, full_text=FullText(layout=1))
    assert text_values(old, "running dogs", {"title": "Running"}) == [
        "words", "running dogs", "length", "2", "stems", "run dog", "words_title", "running", "length_title", "1",
    ]  # fmt: skip
    assert indexed_texts(Schema()) == ()
    assert text_values(Schema(), "text", {}) == []


@given(
    st.lists(SMALL, max_size=8),
    st.lists(st.sets(SMALL, min_size=1, max_size=2), min_size=1, max_size=3),
    st.integers(0, 3),
    st.booleans(),
)
def test_occurrences_are_those_that_trying_everything_finds(
    words: list[str], wanted: list[set[str]], slop: int, in_order: bool
) -> None:
    frozen = [frozenset(choice) for choice in wanted]
    assert occurrences(words, frozen, slop, in_order=in_order) == times(
        words, wanted, slop, in_order
    )


@given(st.sets(st.text("abé😀", min_size=1, max_size=6), max_size=30), st.data())
def test_a_vocabulary_finds_all_words_with_a_prefix_or_within_a_distance(
    words: set[str], data: st.DataObject
) -> None:
    asked = data.draw(st.text("abé😀", min_size=1, max_size=6))
    furthest = data.draw(st.integers(1, 3))
    more = data.draw(st.sets(st.text("ab", min_size=1, max_size=3)))
    vocabulary = Vocabulary(words)
    vocabulary.within(asked, 1)
    vocabulary = vocabulary.with_more(more)
    every = sorted(words | more)
    assert len(vocabulary) == len(every)
    assert list(vocabulary.with_prefix(asked)) == [w for w in every if w.startswith(asked)]
    expected = [word for word in every if distance(word, asked) <= furthest]
    assert list(vocabulary.within(asked, furthest)) == expected


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"language": "klingon"}, "klingon"),
        ({"stop_words": "the"}, "stop_words"),
        ({"stop_words": (1,)}, "stop_words"),
        ({"punctuation": 1}, "punctuation"),
        ({"min_stem_size": 0}, "min_stem_size"),
        ({"stem": 1}, "stem"),
    ],
)
def test_settings_of_text_are_checked(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        FullText(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "settings", "own", "remaining"),
    [
        ("How do I catch an exception?", FullText(), None, ["catch", "exception"]),
        ("I'm stuck, what’s wrong with it?", FullText(), None, ["stuck", "wrong"]),
        ("Is m a unit?", FullText(), None, ["m", "unit"]),
        ("Who are you?", FullText(), None, ["who", "are", "you"]),
        ("HOW DO foxes run", FullText(), ("run", "how do"), ["foxes"]),
        ("do how foxes", FullText(), ("how do",), ["do", "how", "foxes"]),
        ("How do foxes run", FullText(), (), ["how", "do", "foxes", "run"]),
        ("How do foxes run", FullText(stop_words=()), None, ["how", "do", "foxes", "run"]),
        ("How do foxes run", FullText(stop_words=()), ("do",), ["how", "foxes", "run"]),
        ("Wie fängt man eine Ausnahme?", FullText(language="german"), None, ["fängt", "ausnahme"]),
        ("Qu'est-ce que l'exception ?", FullText(language="french"), None, ["exception"]),
        ("¿Cómo captura la excepción?", FullText(language="spanish"), None, ["captura", "excepción"]),
        ("Как поймать исключение?", FullText(language="russian"), None, ["поймать", "исключение"]),
        ("how do", FullText(language="tamil"), None, ["how", "do"]),
        ("", FullText(), None, []),
    ],
)  # fmt: skip
def test_a_question_is_searched_without_its_stop_words(
    question: str, settings: FullText, own: tuple[str, ...] | None, remaining: list[str]
) -> None:
    words = analyzer(settings).all_words(question)
    assert without_stop_words(words, settings, own) == remaining


def test_lists_of_stop_words_are_of_languages_with_a_stemmer() -> None:
    assert set(QUERY_STOP_WORDS) <= LANGUAGES
    assert set(FullText().left_out) <= set(QUERY_STOP_WORDS["english"])
    for language, words in QUERY_STOP_WORDS.items():
        assert len(set(words)) == len(words), language
        assert all(analyzer(FullText(language=language)).all_words(word) for word in words)


@given(
    st.lists(st.text(max_size=3) | st.sampled_from(["how", "do", "I'm", "re", "fox"]), max_size=6),
    st.none() | st.lists(st.text(max_size=3) | st.just("how do"), max_size=3).map(tuple),
)
def test_stop_words_of_a_query_are_those_of_the_oracle(
    pieces: list[str], own: tuple[str, ...] | None
) -> None:
    text = " ".join(pieces)
    left = without_stop_words(ENGLISH.all_words(text), FullText(), own)
    assert ENGLISH.without_stop_words(left) == searched(text, own)


def test_settings_of_text_survive_a_dict() -> None:
    text = FullText(language="german", stop_words=("und",), punctuation=".", stem=False)
    schema = Schema(full_text=text, fields=(TextField("title", stem=False),))
    assert Schema.from_dict(schema.to_dict()) == schema
    assert Schema.from_dict(Schema().to_dict()).full_text is None
    assert Schema.from_dict({}).full_text is None
    assert Schema.from_dict({"full_text": True}).full_text == FullText()
    assert Schema.of(None, full_text=True).full_text == FullText()
    assert Schema.of(Schema(full_text=text), full_text=False).full_text is None
    assert Schema(fields=(TextField("title"),)).full_text == FullText()
    with pytest.raises(ConfigurationError, match="stopwords"):
        Schema.from_dict({"full_text": {"stopwords": []}})
    with pytest.raises(ConfigurationError, match="FullText"):
        Schema(full_text=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: TextQuery(1),  # type: ignore[arg-type]
        lambda: TextQuery(["x"]),  # type: ignore[arg-type]
        lambda: TextQuery(("x",)),  # type: ignore[arg-type]
        lambda: TextQuery("x", k=0),
        lambda: TextQuery("x", match="both"),  # type: ignore[arg-type]
        lambda: TextQuery("x", fields=()),
        lambda: TextQuery("x", fields="content"),  # type: ignore[arg-type]
        lambda: TextQuery("x", stop_words="the"),  # type: ignore[arg-type]
        lambda: TextQuery("x", stop_words=["the"]),  # type: ignore[arg-type]
        lambda: HybridQuery([1.0], "x", stop_words=(1,)),  # type: ignore[arg-type]
        lambda: Term(None),  # type: ignore[arg-type]
        lambda: Prefix(b"x"),  # type: ignore[arg-type]
        lambda: Phrase("x", slop=-1),
        lambda: Phrase("x", slop=True),
        lambda: Phrase("x", in_order=1),  # type: ignore[arg-type]
        lambda: Fuzzy("x", distance=4),
        lambda: Fuzzy("x", distance=0),
        lambda: HybridQuery([1.0], "x", candidates=0),
        lambda: HybridQuery([1.0], "x", ef_runtime=0),
        lambda: HybridQuery([1.0], "x", fusion="rrf"),  # type: ignore[arg-type]
        lambda: ReciprocalRank(0),
        lambda: ReciprocalRank(float("nan")),
        lambda: Weighted(1.1),
        lambda: Weighted(True),
    ],
)
def test_an_invalid_query_is_rejected(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(InvalidInputError):
        wrong()
