"""Text analysis settings of an index: language, stop words, punctuation and stemming."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from valkey_vector.errors import ConfigurationError
from valkey_vector.records.validation import check_known, check_range

__all__ = ["ENGLISH_STOP_WORDS", "LANGUAGES", "FullText"]

_STOP_WORDS = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they this
to was will with
"""
ENGLISH_STOP_WORDS = tuple(_STOP_WORDS.split())
"""Default stop words of both search modules."""

_LANGUAGES = """
arabic armenian basque catalan czech danish dutch english estonian finnish french german greek hindi hungarian
indonesian irish italian lithuanian nepali norwegian persian polish portuguese romanian russian serbian spanish
swedish tamil turkish yiddish
"""
LANGUAGES = frozenset(_LANGUAGES.split())
"""Languages with a Snowball stemmer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullText:
    """Settings for splitting text into terms. The client analyzes text, so all servers return the same matches.

    Attributes:
        language: language of the Snowball stemmer: ``english``, ``german``, …; see `LANGUAGES`.
        stop_words: words that are neither indexed nor searched. None uses the servers' list for English (``the``,
            ``of``, …), and no stop words for other languages.
        punctuation: characters that separate words, in addition to white space. None uses all Unicode punctuation
            and symbols except ``_``. If set, all other characters are parts of words.
        stem: whether ``run`` matches ``running``.
        min_stem_size: minimum length of words that are stemmed, in characters, >= 1.
        layout: form in which terms are stored, 1 or 2. An index keeps its layout, also if it is created again over its
            documents. Settings that differ only in the layout are equal.

    Raises:
        ConfigurationError: a setting is out of range or of the wrong type.
    """

    language: str = "english"
    stop_words: tuple[str, ...] | None = None
    punctuation: str | None = None
    stem: bool = True
    min_stem_size: int = 4
    layout: int = field(default=2, compare=False)

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
        check_range("layout", self.layout, 1, 2)
        if not isinstance(self.stem, bool):
            raise ConfigurationError(f"stem must be True or False, not {self.stem!r}")

    @property
    def left_out(self) -> tuple[str, ...]:
        """The effective stop words."""
        if self.stop_words is not None:
            return self.stop_words
        return ENGLISH_STOP_WORDS if self.language == "english" else ()

    def to_dict(self) -> dict[str, Any]:
        """Convert the settings into JSON-like values. Layout 1 is omitted, as in records from before it had a number."""
        settings = asdict(self)
        if self.layout == 1:
            del settings["layout"]
        return settings

    @classmethod
    def of(cls, source: FullText | bool | Mapping[str, Any] | None) -> FullText | None:
        """Convert a value into full-text settings.

        Args:
            source: True for the default settings, False or None for no text search, or a dict of settings.

        Raises:
            ConfigurationError: a setting is unknown or invalid, or `source` has another type.
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
        check_known("full_text", settings, {each.name for each in fields(cls)})
        values = dict(settings)
        if isinstance(values.get("stop_words"), list):
            values["stop_words"] = tuple(values["stop_words"])
        return cls(**values)
