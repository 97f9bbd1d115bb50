"""The filter part of a query for Valkey-Search: tags, numeric ranges, text, ``-``, ``|``, brackets.

A recursive-descent parser of the grammar. It is stricter than the server in one way: a query that the server
accepts but answers differently from the intention (a trailing ``*`` that widens a tag, a ``-`` inside a
word that negates the rest of it) is an error here, too.

Strings are Latin-1, one character for each byte, so that lengths are the server's.
"""

from __future__ import annotations

import math
import re

from dialect_rules import (
    PUNCTUATION,
    STOP_WORDS,
    WHITE_SPACE,
    Dialect,
    DialectError,
    IndexSchema,
    SchemaField,
)

MAX_DEPTH = 1000
MIN_PREFIX = 2

# Punctuation that may stand around words in a text query and is simply left out.
HARMLESS = ",.!?'+/&#"

_NUMBER = re.compile(r"-?[0-9.]*(?:[eE][+-]?[0-9.]*)?")
_PLAIN_NUMBER = re.compile(r"-?[0-9.]*")
_INFINITY = re.compile(r"([+-]?)inf", re.IGNORECASE)
_WORD = re.compile(rf"[^{re.escape(PUNCTUATION + WHITE_SPACE)}]+")
_SAFE_TAG_CHARACTER = re.compile(r"[A-Za-z0-9_\x80-\xff]")


class FilterParser:
    """The part before ``=>``: tags, numeric ranges, text, negation, AND by juxtaposition, OR by ``|``."""

    def __init__(self, text: str, *, schema: IndexSchema | None, dialect: Dialect) -> None:
        self._text = text
        self._schema = schema
        self._dialect = dialect
        self._stop_words = STOP_WORDS if schema is None else schema.stop_words
        self._position = 0
        self._nodes = 0

    def matches_all(self) -> bool:
        """True for ``*``, in brackets or not."""
        return re.fullmatch(r"\s*(?:\*|\(\s*\*\s*\))\s*", self._text, re.ASCII) is not None

    def parse(self) -> bool:
        """Read all of it; False when it holds no condition."""
        found = self._expression(level=0)
        if self._position < len(self._text):
            raise self._error(
                f"Unexpected character {self._peek()!r}",
                reply=f"Unexpected character at position {self._position + 1}: `{self._peek()}`",
            )
        return found

    def _expression(self, level: int) -> bool:
        found = any_term = after_or = False
        while True:
            self._check_size(level)
            self._skip()
            if self._peek() in ("", ")"):
                if after_or and not found:
                    raise self._rejected("Missing OR term")
                return any_term
            negated = self._match("-")
            if self._match("|"):
                if negated or not found:
                    raise self._rejected("Missing OR term")
                # The server descends one level for each alternative.
                level, found, after_or = level + 1, False, True
                continue
            if self._term(level, negated=negated):
                self._nodes += any_term
                found = any_term = True

    def _term(self, level: int, *, negated: bool) -> bool:
        """One condition; False for a stop word, which the server leaves out."""
        if self._match("("):
            if not self._expression(level + 1):
                raise self._error("Empty brackets")
            if not self._match(")"):
                text = f"Expected ')' after expression got '{self._peek()}'."
                raise self._error(text, reply=f"{text} Position: {self._position}")
            return True
        field_name = self._field_name() if self._peek() == "@" else None
        if field_name is not None and self._match("["):
            self._numeric(field_name)
            return True
        if field_name is not None and self._match("{"):
            self._tags(field_name)
            return True
        found = self._text_term(field_name)
        if negated and not found:
            raise self._error("a negated stop word")
        return found

    def _field_name(self) -> str:
        matched = re.compile(r"@([^:\s]*)\s*:", re.ASCII).match(self._text, self._position)
        if matched is None:
            raise self._error("a field is written `@name:`")
        self._position = matched.end()
        return matched[1]

    def _require(self, alias: str, kind: str) -> SchemaField | None:
        if self._schema is None:
            return None
        declared = self._schema.fields.get(alias)
        if declared is None or declared.kind != kind:
            raise self._rejected(f"`{alias}` is not indexed as a {kind.lower()} field")
        return declared

    # Numeric ranges

    def _numeric(self, alias: str) -> None:
        self._require(alias, "NUMERIC")
        low_open = self._match("(")
        low = self._number()
        if not (self._match(" ", skip=False) or self._match(",")):
            text = "Expected space or `,` between start and end values of a numeric field."
            raise self._error(text, reply=f"{text} Position: {self._position}")
        high_open = self._match("(")
        high = self._number()
        if not self._match("]"):
            raise self._error("Expected ']' after a numeric range")
        if low > high or (low == high and (low_open or high_open)):
            text = "Start and end values of a numeric field indicate an empty range."
            raise self._error("an empty range", reply=f"{text} Position: {self._position}")
        self._nodes += 1

    def _number(self) -> float:
        self._skip()
        if matched := _INFINITY.match(self._text, self._position):
            self._position = matched.end()
            return -math.inf if matched[1] == "-" else math.inf
        pattern = _NUMBER if self._dialect.exponents else _PLAIN_NUMBER
        matched = pattern.match(self._text, self._position)
        found = matched[0] if matched else ""
        self._position += len(found)
        try:
            return float(found)
        except ValueError:
            raise self._error(f"Invalid number: {found!r}", reply="Invalid number: ") from None

    # Tags

    def _tags(self, alias: str) -> None:
        declared = self._require(alias, "TAG")
        inside = self._until_brace()
        # Before 1.2 a query is split at the separator that the index was created with.
        separator = "|" if self._dialect.tag_escapes or declared is None else declared.separator
        if separator != "|" and re.search(r"(?<!\\)\|", inside):
            raise self._error(f"before 1.2 alternatives are split at {separator!r}, not at `|`")
        self._nodes += 1
        if not inside.strip(WHITE_SPACE):
            return  # no tag at all: matches nothing, as it says
        for tag in _split_unescaped(inside, separator):
            self._tag(tag.strip(WHITE_SPACE), declared)

    def _tag(self, tag: str, declared: SchemaField | None) -> None:
        if not tag:
            raise self._error("an empty tag among others is dropped silently")
        if tag.endswith("*"):
            short = f"Tag string `{tag}` is too short for prefix wildcard."
            raise self._error(
                f"the tag {tag!r} ends in `*`: a prefix search, escaped or not",
                reply=short if len(tag) <= MIN_PREFIX else None,
            )
        plain = []
        characters = iter(tag)
        for character in characters:
            if character == "\\":
                if not self._dialect.tag_escapes:
                    raise self._error("this version knows no escapes in tags")
                plain.append(next(characters, ""))
            elif _SAFE_TAG_CHARACTER.match(character):
                plain.append(character)
            else:
                raise self._error(f"unescaped {character!r} in the tag {tag!r}")
        value = "".join(plain)
        if value != value.strip(WHITE_SPACE):
            raise self._error(f"stored tags are stripped: {value!r} can never match")
        if declared is not None and declared.separator in value:
            raise self._error(f"stored tags are split at the separator: {value!r} can never match")

    def _until_brace(self) -> str:
        start = position = self._position
        while position < len(self._text) and self._text[position] != "}":
            escaped = self._text[position] == "\\" and self._dialect.tag_escapes
            position += 2 if escaped else 1
        if position >= len(self._text):
            raise self._rejected("Missing closing TAG bracket, '}'")
        self._position = position + 1
        return self._text[start:position]

    # Text

    def _text_term(self, alias: str | None) -> bool:
        self._require_text(alias)
        if alias is None and self._peek() and self._peek() in HARMLESS:
            self._position += 1
            return False
        if self._match('"', skip=False):
            self._phrase()
            return True
        rest = re.compile(r"(%*)(\*?)(.*)", re.DOTALL).match(self._text, self._position)
        fuzzy, star = (rest[1], rest[2]) if rest else ("", "")
        start = self._position + len(fuzzy) + len(star)
        word = _WORD.match(self._text, start)
        if word is None:
            raise self._rejected("Invalid Query Syntax")
        self._position = word.end()
        if fuzzy:
            self._fuzzy_end(fuzzy)
        if star:
            self._check_suffix_search(alias)
        prefix = not fuzzy and self._match("*", skip=False)
        if prefix and star:
            raise self._error("infix search is not supported")
        self._word_end()
        if not (fuzzy or star or prefix) and word[0].lower() in self._stop_words:
            if alias is not None:
                raise self._error(f"{word[0]!r} is a stop word")
            return False
        self._nodes += 1
        return True

    def _require_text(self, alias: str | None) -> None:
        if not self._dialect.text:
            raise self._error("this version has no text search")
        if alias is not None:
            self._require(alias, "TEXT")
        elif self._schema is not None and not self._schema.has_text:
            raise self._rejected("Index does not have any text field")

    def _phrase(self) -> None:
        end = self._text.find('"', self._position)
        inside = self._text[self._position : end]
        if end < 0 or "\\" in inside:
            raise self._error("a phrase is plain words between two quotes")
        words = _WORD.findall(inside)
        if not words or any(word.lower() in self._stop_words for word in words):
            raise self._error("a phrase needs words, and one with a stop word finds nothing")
        if len(words) > 1 and self._schema is not None and not self._schema.offsets:
            raise self._error("Index does not support offsets")
        self._position = end + 1
        self._nodes += len(words) + (len(words) > 1)

    def _fuzzy_end(self, markers: str) -> None:
        if len(markers) > 3 or not self._text.startswith(markers, self._position):
            raise self._error("Invalid fuzzy '%' markers")
        self._position += len(markers)

    def _check_suffix_search(self, alias: str | None) -> None:
        if self._schema is None:
            return
        fields = self._schema.fields
        candidates = fields.values() if alias is None else [fields[alias]]
        if not any(one.suffix_trie for one in candidates):
            raise self._error("No fields support suffix search")

    def _word_end(self) -> None:
        """Check that the characters after a word do not change its meaning."""
        following = self._peek()
        if following == "-":
            raise self._error("`-` after a word negates what follows it")
        if following and following not in WHITE_SPACE + HARMLESS + ')|"':
            raise self._error(f"Unexpected character {following!r} in text")

    # The text itself

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _skip(self) -> None:
        while self._peek() and self._peek() in WHITE_SPACE:
            self._position += 1

    def _match(self, wanted: str, *, skip: bool = True) -> bool:
        if skip:
            self._skip()
        if self._peek() != wanted:
            return False
        self._position += 1
        return True

    def _check_size(self, level: int) -> None:
        if level >= MAX_DEPTH:
            raise self._error("Query string is too complex: nested too deeply")
        if self._nodes > self._dialect.max_nodes:
            raise self._error(
                f"Query string is too complex: more than {self._dialect.max_nodes} terms"
            )

    def _error(self, message: str, *, reply: str | None = None) -> DialectError:
        exact = None if reply is None else f"Invalid filter expression: `{self._text}`. {reply}"
        return DialectError(
            f"{message}, at {self._position} of the filter {self._text[:300]!r}", reply=exact
        )

    def _rejected(self, reply: str) -> DialectError:
        """The error for what the server rejects in just these words."""
        return self._error(reply, reply=reply)


def _split_unescaped(text: str, separator: str) -> list[str]:
    """Split at a separator that no backslash escapes."""
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 2
            continue
        if text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]
