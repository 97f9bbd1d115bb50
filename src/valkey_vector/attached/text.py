"""Words asked of an index's own text attributes, which the server reads and stems as it was told when the index was made.

User text is never query syntax: it is cut at whatever the index takes for punctuation, and at all that means
something in a query.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from valkey_vector.attached.definition import IndexDefinition, TextAttribute, attribute_name
from valkey_vector.errors import InvalidInputError, UnsupportedFeatureError
from valkey_vector.records.tokens import is_unicode

__all__ = ["words_query"]

_PUNCTUATION = ",.<>{}[]\"':;!@#$%^&*()-+=~/\\|?"
"""What ends a word in both modules unless an index says otherwise; all of a query's syntax is among it."""

_STOP_WORDS = frozenset(
    """
    a is the an and are as at be but by for if in into it no not of on or such that their then there these they this to
    was will with
    """.split()  # noqa: SIM905 - a list of 33 words is read more easily so
)
"""What both modules leave out unless an index says otherwise."""

_MOST_WORDS = 100


def words_query(words: Mapping[str, str], definition: IndexDefinition) -> str | None:
    """The query for documents that have all the words.

    Args:
        words: text by text attribute.
        definition: of the index.

    Returns:
        The query; None where a text has no word that the index knows as one, so that no document has it.

    Raises:
        InvalidInputError: the index has no such text attribute, or there are more than 100 words.
        UnsupportedFeatureError: the index has punctuation of its own without all that means something in a query.
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
        found = _words(text, definition)
        if not found:
            return None
        parts += [f"@{name}:{word}" for word in found]
    if len(parts) > _MOST_WORDS:
        raise InvalidInputError(f"at most {_MOST_WORDS} words can be asked for, not {len(parts)}")
    return f"({' '.join(parts)})" if len(parts) > 1 else next(iter(parts), None)


def _words(text: str, definition: IndexDefinition) -> list[str]:
    told = definition.text
    punctuation = _PUNCTUATION if told.punctuation is None else told.punctuation
    if not set(_PUNCTUATION) <= set(punctuation):
        raise UnsupportedFeatureError(
            "a search for words",
            f"index {definition.name!r} with the punctuation {punctuation!r}",
            f"an index whose punctuation has all of {_PUNCTUATION!r} in it",
        )
    stop_words = _STOP_WORDS if told.stop_words is None else frozenset(told.stop_words)
    found = re.split(rf"[\s\x00-\x1f\x7f{re.escape(punctuation)}]+", text.lower())
    return list(dict.fromkeys(word for word in found if word and word not in stop_words))
