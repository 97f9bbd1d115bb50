"""Compile a text query to the terms of one index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from valkey_vector.errors import ConfigurationError, InvalidInputError
from valkey_vector.query.text import Clause as Asked
from valkey_vector.query.text import Fuzzy, Phrase, Prefix, Term
from valkey_vector.schema.schema import Schema
from valkey_vector.text.analysis import Analyzer, analyzer
from valkey_vector.text.bm25 import Clause, Matching, Place, Sought
from valkey_vector.text.fields import IndexedText, indexed_texts
from valkey_vector.text.stop_words import without_stop_words
from valkey_vector.text.vocabulary import Vocabulary

__all__ = ["compile_text"]


def compile_text(
    text: str | Sequence[Asked],
    *,
    every: bool,
    fields: Sequence[str],
    schema: Schema,
    index: str,
    vocabulary: Callable[[], Vocabulary],
    stop_words: tuple[str, ...] | None = None,
) -> Matching:
    """Return the terms of a query.

    Args:
        text: a user's text, or clauses.
        every: whether all of it must match.
        fields: the texts to look into.
        schema: of the index.
        index: its name, for errors.
        vocabulary: returns the words of the index; called only if a clause needs them.
        stop_words: words that a user's text does not search, unless all of it must match; see `TextQuery`.

    Raises:
        ConfigurationError: the index was made without text.
        InvalidInputError: a field is not a text of the index.
    """
    if schema.full_text is None:
        raise ConfigurationError(
            f"the texts of index {index!r} cannot be searched: it was made without full_text=True, and an index cannot "
            "be altered. Make it anew with full_text=True, and write its records again"
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
        taken_apart_by: Analyzer,
        texts: Sequence[IndexedText],
        fields: Sequence[str],
        index: str,
        vocabulary: Callable[[], Vocabulary],
    ) -> None:
        self.analyzer = taken_apart_by
        self._texts = {text.name: text for text in texts}
        self._index = index
        self._default = [self._text(name) for name in dict.fromkeys(fields)]
        self._vocabulary = vocabulary

    def clause(self, asked: Asked) -> Clause | None:
        """A clause; None if it holds no word."""
        texts = self._default if asked.field is None else [self._text(asked.field)]
        sought = [found for text in texts for found in self._sought(asked, text)]
        return Clause(tuple(sought)) if sought else None

    def word(self, word: str, weight: int) -> Clause:
        """A clause for one word that analysis gave."""
        (stem,) = self.analyzer.stems([word])
        sought = (
            Sought(text, (Place(text.stems, (stem if text.is_stemmed else word,)),), weight=weight)
            for text in self._default
        )
        return Clause(tuple(sought))

    def _sought(self, asked: Asked, text: IndexedText) -> Iterator[Sought]:
        slop, in_order = 0, True
        field, places = text.words, list[tuple[str, ...]]()
        match asked:
            case Term(term):
                words = self.analyzer.words(term)
                field = text.stems
                found = self.analyzer.stems(words) if text.is_stemmed else words
                places = [(word,) for word in found]
            case Phrase(phrase, slop, in_order):
                places = [(word,) for word in self.analyzer.words(phrase)]
            case Prefix(prefix):
                *before, last = self.analyzer.all_words(prefix) or [""]
                places = [(word,) for word in self.analyzer.without_stop_words(before)]
                if last:
                    places.append(self._vocabulary().beginning_with(last))
            case Fuzzy(fuzzy, distance):
                near = self._vocabulary().near
                places = [near(word, distance) for word in self.analyzer.all_words(fuzzy)]
            case _:
                assert_never(asked)
        if places:
            yield Sought(text, tuple(Place(field, words) for words in places), slop, in_order)

    def _text(self, name: str) -> IndexedText:
        if name not in self._texts:
            raise InvalidInputError(
                f"index {self._index!r} has no text field {name!r}, only {', '.join(self._texts)}: texts in "
                "metadata are searched by words if the schema declares them as TextField"
            )
        return self._texts[name]
