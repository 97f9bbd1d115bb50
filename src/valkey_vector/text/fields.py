"""Hash fields of analyzed text: terms, stems and length of each text.

The record's own text has ``words``, ``stems`` and ``length``; a declared `TextField` the same with the
field's name behind. Without stemming there are no stems. A text without words has none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from valkey_vector.records.tokens import escape
from valkey_vector.schema.fields import CONTENT, TextField
from valkey_vector.schema.schema import Schema
from valkey_vector.text.analysis import Analyzer, analyzer

__all__ = ["IndexedText", "indexed_texts", "text_values"]


@dataclass(frozen=True, slots=True)
class IndexedText:
    """One text of every document that is indexed by its words.

    Attributes:
        name: what queries call it: ``content``, or the path of a declared field.
        words: the hash field of its words.
        stems: the hash field of its stems; the same as `words` where none are made.
        length: the hash field of the number of its words.
    """

    name: str
    words: str
    stems: str
    length: str

    @property
    def is_stemmed(self) -> bool:
        """Whether it has stems of its own."""
        return self.stems != self.words


def indexed_texts(schema: Schema) -> tuple[IndexedText, ...]:
    """The texts that documents of a schema are searched by; none if it leaves text out."""
    if schema.full_text is None:
        return ()
    texts = [_indexed(CONTENT, "", stem=schema.full_text.stem)]
    for field in schema.fields:
        if isinstance(field, TextField):
            stem = schema.full_text.stem and field.stem
            texts.append(_indexed(field.path, f"_{escape(field.path)}", stem=stem))
    return tuple(texts)


def _indexed(name: str, suffix: str, *, stem: bool) -> IndexedText:
    words = f"words{suffix}"
    return IndexedText(name, words, f"stems{suffix}" if stem else words, f"length{suffix}")


def text_values(schema: Schema, content: str | None, declared: dict[str, str]) -> list[str]:
    """The flat field-value list of a document's texts.

    Args:
        schema: of the index.
        content: the record's own text; None leaves it as it is stored.
        declared: the texts of declared fields by their path.
    """
    values: list[str] = []
    for field in indexed_texts(schema):
        text = declared.get(field.name) if field.words != "words" else content
        if text and schema.full_text is not None:
            values += _values(field, text, analyzer(schema.full_text))
    return values


def _values(field: IndexedText, text: str, taken_apart_by: Analyzer) -> list[str]:
    words = taken_apart_by.words(text)
    if not words:
        return []
    values = [field.words, " ".join(words), field.length, str(len(words))]
    if field.is_stemmed:
        values += [field.stems, " ".join(taken_apart_by.stems(words))]
    return values
