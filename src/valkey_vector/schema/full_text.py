"""How the texts of an index are taken apart: the settings, which are part of its schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from valkey_vector.errors import ConfigurationError
from valkey_vector.records.setting_validation import check_known, check_range

__all__ = ["ENGLISH_STOP_WORDS", "LANGUAGES", "FullText"]

_STOP_WORDS = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they this
to was will with
"""
ENGLISH_STOP_WORDS = tuple(_STOP_WORDS.split())
"""What both search modules leave out unless told otherwise."""

_LANGUAGES = """
arabic armenian basque catalan czech danish dutch english estonian finnish french german greek hindi hungarian
indonesian irish italian lithuanian nepali norwegian persian polish portuguese romanian russian serbian spanish
swedish tamil turkish yiddish
"""
LANGUAGES = frozenset(_LANGUAGES.split())
"""Those with a Snowball stemmer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullText:
    """How texts are taken apart into words. The client does it, so every server finds the same.

    Attributes:
        language: whose forms of a word count as one: ``english``, ``german``, … (Snowball's).
        stop_words: words that are neither stored nor searched. None: for English the servers' own list (``the``,
            ``of``, …), for other languages none.
        punctuation: characters between words, besides white space; by default all that Unicode calls
            punctuation or symbol, but for ``_``. With a set of your own, all others are parts of words.
        stem: whether ``run`` finds ``running``.
        min_stem_size: words with fewer characters are left as they are.
    """

    language: str = "english"
    stop_words: tuple[str, ...] | None = None
    punctuation: str | None = None
    stem: bool = True
    min_stem_size: int = 4

    def __post_init__(self) -> None:
        if not isinstance(self.language, str) or self.language not in LANGUAGES:
            raise ConfigurationError(
                f"language {self.language!r} is not one of {', '.join(sorted(LANGUAGES))}"
            )
        words = self.stop_words
        if words is not None and (
            not isinstance(words, tuple) or not all(isinstance(word, str) for word in words)
        ):
            raise ConfigurationError(f"stop_words must be a tuple of words, not {words!r}")
        if self.punctuation is not None and not isinstance(self.punctuation, str):
            raise ConfigurationError(f"punctuation must be text, not {self.punctuation!r}")
        check_range("min_stem_size", self.min_stem_size, 1, 2**31 - 1)
        if not isinstance(self.stem, bool):
            raise ConfigurationError(f"stem must be True or False, not {self.stem!r}")

    @property
    def left_out(self) -> tuple[str, ...]:
        """The stop words in force."""
        if self.stop_words is not None:
            return self.stop_words
        return ENGLISH_STOP_WORDS if self.language == "english" else ()

    @classmethod
    def of(cls, source: FullText | bool | Mapping[str, Any] | None) -> FullText | None:
        """What True (the default settings), False or None (no full text) or a dict of settings stands for.

        Raises:
            ConfigurationError: a setting is unknown or not acceptable, or it is none of these.
        """
        match source:
            case None | False:
                return None
            case True:
                return cls()
            case FullText():
                return source
            case Mapping():
                return cls._from_settings(source)
            case _:
                raise ConfigurationError(
                    f"full_text must be True, False, a FullText or a dict of its settings, not {source!r}"
                )

    @classmethod
    def _from_settings(cls, settings: Mapping[str, Any]) -> FullText:
        check_known("full_text", settings, {field.name for field in fields(cls)})
        values = dict(settings)
        if isinstance(values.get("stop_words"), list):
            values["stop_words"] = tuple(values["stop_words"])
        return cls(**values)
