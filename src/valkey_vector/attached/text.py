"""Queries for terms in text attributes of an attached index. The server stems them by the settings of the index.

User text is never query syntax: it is split at the punctuation of the index, which must include all characters with a
meaning in queries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from valkey_vector.attached.attributes import TextAttribute, attribute_name
from valkey_vector.attached.definition import IndexDefinition
from valkey_vector.errors import InvalidInputError, UnsupportedFeatureError
from valkey_vector.records.tokens import is_unicode

__all__ = ["terms_query"]

_PUNCTUATION = ",.<>{}[]\"':;!@#$%^&*()-+=~/\\|?"
"""Default punctuation of both search modules. It includes all characters with a meaning in queries."""

_STOP_WORDS = frozenset(
    """
    a is the an and are as at be but by for if in into it no not of on or such that their then there these they this to
    was will with
    """.split()  # noqa: SIM905 - a list of 33 words is read more easily so
)
"""Default stop words of both search modules."""

_MAX_TERMS = 100


def terms_query(words: Mapping[str, str], definition: IndexDefinition) -> str | None:
    """Create the query for documents that contain all terms of the texts.

    Args:
        words: text attribute -> text.
        definition: definition of the index.

    Returns:
        The query; None if a text has no terms, so that no document matches.

    Raises:
        InvalidInputError: the index has no such text attribute, or there are more than 100 terms.
        UnsupportedFeatureError: the punctuation of the index lacks a character with a meaning in queries.
    """
    parts: list[str] = []
    for name, text in words.items():
        attribute = definition.attribute(name)
        if not isinstance(attribute, TextAttribute) or not re.fullmatch(r"\w+", name):
            names = [
                attribute_name(each)
                for each in definition.attributes
                if isinstance(each, TextAttribute)
            ]
            raise InvalidInputError(
                f"index {definition.name!r} has no text attribute {name!r}; it has {', '.join(names) or 'none'}"
            )
        if not isinstance(text, str) or not is_unicode(text):
            raise InvalidInputError(f"the words of {name!r} must be text, not {text!r}")
        if not attribute.indexed:
            raise InvalidInputError(
                f"the text attribute {name!r} of index {definition.name!r} is not indexed (NOINDEX): filter on it instead"
            )
        found = _terms(text, definition)
        if not found:
            return None
        parts += [f"@{name}:{word}" for word in found]
    if len(parts) > _MAX_TERMS:
        raise InvalidInputError(
            f"a query can contain at most {_MAX_TERMS} words, not {len(parts)}: shorten the text"
        )
    return f"({' '.join(parts)})" if len(parts) > 1 else next(iter(parts), None)


def _terms(text: str, definition: IndexDefinition) -> list[str]:
    settings = definition.text
    punctuation = _PUNCTUATION if settings.punctuation is None else settings.punctuation
    if not set(_PUNCTUATION) <= set(punctuation):
        raise UnsupportedFeatureError(
            "a search for words",
            f"index {definition.name!r} with the punctuation {punctuation!r}",
            f"an index whose punctuation includes all of {_PUNCTUATION!r}",
        )
    stop_words = _STOP_WORDS if settings.stop_words is None else frozenset(settings.stop_words)
    found = re.split(rf"[\s\x00-\x1f\x7f{re.escape(punctuation)}]+", text.lower())
    return list(dict.fromkeys(word for word in found if word and word not in stop_words))
