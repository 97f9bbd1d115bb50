"""Hash fields of analyzed text: terms, stems and length of each text.

The content of a record has ``words``, ``stems`` and ``length``. A declared `TextField` has the same fields with its
name as a suffix. Without stemming there are no stems. A text without words has none of the fields.
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
    """Hash fields of one text that is indexed by its terms.

    Attributes:
        name: name in queries: ``content``, or the path of a declared field.
        words: hash field of its words.
        stems: hash field of its stems; equal to `words` without stemming.
        length: hash field of its number of words.
    """

    name: str
    words: str
    stems: str
    length: str

    @property
    def is_stemmed(self) -> bool:
        """True if the text has a field of stems."""
        return self.stems != self.words


def indexed_texts(schema: Schema) -> tuple[IndexedText, ...]:
    """Return the searchable texts of a schema; none without `full_text`."""
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
    values = [field.words, " ".join(words), field.length, str(len(words))]
    if field.is_stemmed:
        values += [field.stems, " ".join(by.stems(words))]
    return values
