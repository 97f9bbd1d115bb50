"""Hash fields of analyzed text: terms, stems and length of each text.

The content of a record has ``words``, with its stems as marks (see `valkey_vector.text.marks`), and ``length``, the number
of words. A declared `TextField` has the same fields with its name as a suffix. A text without words has none of the fields.
In layout 1 the stems are in a field of their own, ``stems``, and nothing is marked (see `FullText`).
"""

from __future__ import annotations

from dataclasses import dataclass

from valkey_vector.records.tokens import escape
from valkey_vector.schema.fields import CONTENT, TextField
from valkey_vector.schema.schema import Schema
from valkey_vector.text.analysis import Analyzer, analyzer
from valkey_vector.text.marks import stored_terms

__all__ = ["IndexedText", "indexed_texts", "text_values"]


@dataclass(frozen=True, slots=True)
class IndexedText:
    """Hash fields of one text that is indexed by its terms.

    Attributes:
        name: name in queries: ``content``, or the path of a declared field.
        words: hash field of its words.
        stems: hash field of its stems; equal to `words` without stemming, and if stems are marks.
        length: hash field of its number of words.
        is_stemmed: True if words with the same stem are the same term.
        is_marked: True if stems and repeated terms are marks in `words` (see `valkey_vector.text.marks`), which the
            server indexes as tags. False in layout 1, whose fields it indexes as texts.
    """

    name: str
    words: str
    stems: str
    length: str
    is_stemmed: bool
    is_marked: bool


def indexed_texts(schema: Schema) -> tuple[IndexedText, ...]:
    """Return the searchable texts of a schema; none without `full_text`."""
    if schema.full_text is None:
        return ()
    marked = schema.full_text.layout > 1
    texts = [_indexed(CONTENT, "", stem=schema.full_text.stem, marked=marked)]
    for field in schema.fields:
        if isinstance(field, TextField):
            stem = schema.full_text.stem and field.stem
            suffix = f"_{escape(field.path)}"
            texts.append(_indexed(field.path, suffix, stem=stem, marked=marked))
    return tuple(texts)


def _indexed(name: str, suffix: str, *, stem: bool, marked: bool) -> IndexedText:
    words = f"words{suffix}"
    stems = f"stems{suffix}" if stem and not marked else words
    return IndexedText(name, words, stems, f"length{suffix}", stem, marked)


def text_values(schema: Schema, content: str | None, declared: dict[str, str]) -> list[str]:
    """Return the hash fields of a document's texts as a flat list of fields and values.

    Args:
        schema: schema of the index.
        content: content of the record; None leaves the stored one unchanged.
        declared: texts of the declared fields by path.
    """
    values: list[str] = []
    for field in indexed_texts(schema):
        text = declared.get(field.name) if field.words != "words" else content
        if text and schema.full_text is not None:
            values += _analyzed(field, text, analyzer(schema.full_text))
    return values


def _analyzed(field: IndexedText, text: str, by: Analyzer) -> list[str]:
    words = by.words(text)
    if not words:
        return []
    stems = by.stems(words) if field.is_stemmed else words
    if field.is_marked:
        return [field.words, stored_terms(words, stems), field.length, str(len(words))]
    values = [field.words, " ".join(words), field.length, str(len(words))]
    return [*values, field.stems, " ".join(stems)] if field.is_stemmed else values
