"""Words of any length and script are found on both engines: long ones, and those beside emoji and other marks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from valkey_vector import Index, Prefix, Record

LONG = {
    "ascii": "a" * 126 + "bcd",
    "chinese": "数据库" * 40,
    "emoji": "𐐨" * 70,
    "key": "base64" * 60,
    "cyrillic": "безопасность" * 12,
}


@pytest.fixture
def index(open_index: Callable[..., Index]) -> Index:
    return open_index(full_text=True)


@pytest.mark.parametrize("kind", LONG)
def test_a_word_of_any_length_is_found(index: Index, kind: str) -> None:
    index.upsert(
        [Record(id=name, content=f"one {word} of many") for name, word in LONG.items()]
        + [Record(id="short", content="one a of many")]
    )
    assert [hit.record.id for hit in index.search_text(LONG[kind])] == [kind]
    assert [hit.record.id for hit in index.search_text((Prefix(LONG[kind][:50]),))] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "❤️valkey", "valkey❤️", "1️⃣valkey", "👍🏽valkey", "👩‍💻valkey", "🇩🇪valkey", "❤\u0301valkey", "Valkey™", "Valkey®",
        "val\u00adkey", "\ufeffvalkey", "val\u200dkey", "\u202evalkey\u202c", "\uf00cvalkey", "\u3164valkey", "valkey\U000e0100",
        "“valkey”", "#valkey", "valkey…", "valkey\u2063", "•valkey", "valkey\x1f", "＃ｖａｌｋｅｙ",
    ],
)  # fmt: skip
def test_a_word_is_found_whatever_stands_beside_it(index: Index, text: str) -> None:
    index.upsert([Record(id="1", content=f"about {text} here"), Record(id="2", content="other")])
    assert [hit.record.id for hit in index.search_text("valkey")] == ["1"]
    index.upsert([Record(id="1", content="about valkey here")])
    assert [hit.record.id for hit in index.search_text(text)][:1] == ["1"]
