"""Compile a text query to the terms of one index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.query.text import Clause as QueryClause
from valkey_vector.query.text import Fuzzy, Phrase, Prefix, Term
from valkey_vector.schema.schema import Schema
from valkey_vector.text.analysis import Analyzer, analyzer
from valkey_vector.text.bm25 import Clause, FieldClause, Matching, Position
from valkey_vector.text.fields import IndexedText, indexed_texts
from valkey_vector.text.marks import stem_mark
from valkey_vector.text.stop_words import without_stop_words
from valkey_vector.text.vocabulary import Vocabulary

__all__ = ["compile_text"]


def compile_text(
    text: str | Sequence[QueryClause],
    *,
    every: bool,
    fields: Sequence[str],
    schema: Schema,
    index: str,
    vocabulary: Callable[[], Vocabulary],
    stop_words: tuple[str, ...] | None = None,
) -> Matching:
    """Compile a text query to the terms of one index.

    Args:
        text: a user's text, or clauses.
        every: require all terms or clauses, not just one.
        fields: text fields to search.
        schema: schema of the index.
        index: name of the index, for errors.
        vocabulary: returns the words of the index; called only if a clause needs them.
        stop_words: words of a user's text that are not searched unless `every`; see `TextQuery`.

    Raises:
        ConfigurationError: the index was created without full text.
        InvalidInputError: a field is not a text field of the index.
    """
    if schema.full_text is None:
        raise ConfigurationError(
            f"the texts of index {index!r} cannot be searched: it was created without full_text=True, and an index "
            "cannot be altered. Create it again with full_text=True, and write its records again"
        )
    compiler = _Compiler(
        analyzer(schema.full_text), indexed_texts(schema), fields, index, vocabulary
    )
    if isinstance(text, str):
        split = compiler.analyzer.all_words(text)
        searched = split if every else without_stop_words(split, schema.full_text, stop_words)
        words = Counter(compiler.analyzer.without_stop_words(searched))
        clauses = [compiler.word(word, count) for word, count in words.items()]
    else:
        clauses = [compiled for clause in text if (compiled := compiler.clause(clause)) is not None]
    return Matching(tuple(clauses), every)


class _Compiler:
    def __init__(
        self,
        text_analyzer: Analyzer,
        texts: Sequence[IndexedText],
        fields: Sequence[str],
        index: str,
        vocabulary: Callable[[], Vocabulary],
    ) -> None:
        self.analyzer = text_analyzer
        self._texts = {text.name: text for text in texts}
        self._index = index
        self._default = [self._text(name) for name in dict.fromkeys(fields)]
        self._vocabulary = vocabulary

    def clause(self, requested: QueryClause) -> Clause | None:
        """Compile a clause; None if it contains no word."""
        texts = self._default if requested.field is None else [self._text(requested.field)]
        fields = [found for text in texts for found in self._field_clauses(requested, text)]
        return Clause(tuple(fields)) if fields else None

    def word(self, word: str, weight: int) -> Clause:
        """Return the clause of one analyzed word, with its number of occurrences in the query."""
        return Clause(
            tuple(
                FieldClause(text, (self._term(text, word),), weight=weight)
                for text in self._default
            )
        )

    def _term(self, text: IndexedText, word: str) -> Position:
        """Return the position of a word or any other word with its stem."""
        (stem,) = self.analyzer.stems([word]) if text.is_stemmed else (word,)
        if not text.is_marked:
            return Position(text.stems, (stem,))
        if not text.is_stemmed:
            return Position(text.words, (stem,), True, stem)
        # A word that is not its own stem, but the stem of others, is another term than these.
        own = [stem] if self.analyzer.stems([stem]) == [stem] else []
        return Position(text.words, (*own, stem_mark(stem)), True, stem)

    def _field_clauses(self, requested: QueryClause, text: IndexedText) -> Iterator[FieldClause]:
        slop, in_order = 0, True
        stemmed = isinstance(requested, Term)
        positions: list[tuple[str, ...]] = []
        sequence: list[Position] = []
        match requested:
            case Term(term):
                sequence = [self._term(text, word) for word in self.analyzer.words(term)]
            case Phrase(phrase, slop, in_order):
                positions = [(word,) for word in self.analyzer.words(phrase)]
            case Prefix(prefix):
                *before, last = self.analyzer.all_words(prefix) or [""]
                positions = [(word,) for word in self.analyzer.without_stop_words(before)]
                if last:
                    positions.append(self._vocabulary().with_prefix(last))
            case Fuzzy(fuzzy, distance):
                within = self._vocabulary().within
                positions = [within(word, distance) for word in self.analyzer.all_words(fuzzy)]
            case _:
                assert_never(requested)
        sequence += [Position(text.words, words, text.is_marked) for words in positions]
        if sequence:
            yield FieldClause(text, tuple(sequence), slop, in_order, stemmed=stemmed)

    def _text(self, name: str) -> IndexedText:
        if name not in self._texts:
            raise InvalidInputError(
                f"index {self._index!r} has no text field {name!r}, only {', '.join(self._texts)}: text in "
                "metadata is searchable if the schema declares it as TextField"
            )
        return self._texts[name]
