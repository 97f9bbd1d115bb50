"""Suggest titles while a user types.

The titles are the headings of the Python language reference, which is part of every Python. The frequency of a title is that
of its rarest word in the reference. The program prints what a search box would show after each key. It needs no search
module. Without --url it starts a private Valkey server, which ends with it.

    python cookbook/search_as_you_type.py
    python cookbook/search_as_you_type.py --url valkey://localhost:6379 --type "asign" --fuzzy
"""

from __future__ import annotations

import argparse
import re
import uuid
from collections import Counter
from pydoc_data.topics import topics

from valkey_vector.secondary import Completion, LexicalIndex

HEADING = re.compile(r'^([^\n]+)\n([*=~\-^"+])\2{3,}$', re.MULTILINE)


def titles() -> dict[str, int]:
    """Return the headings, each with the frequency of its rarest word."""
    texts = topics.values()
    words = Counter(word for text in texts for word in re.findall(r"\w+", text.lower()))
    found: dict[str, int] = {}
    for text in texts:
        for heading, _ in HEADING.findall(text):
            title = heading.strip().replace('"', "")
            known = [words[word] for word in re.findall(r"\w+", title.lower())]
            found[title] = min(known, default=1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a Valkey server; by default a private one")
    parser.add_argument("--type", default="the wi", help="what the user types")
    parser.add_argument("--fuzzy", action="store_true", help="accept one mistake")
    arguments = parser.parse_args()

    name = f"cookbook-{uuid.uuid4().hex}"
    with Completion(name, scope="docs", url=arguments.url) as completion:
        found = titles()
        completion.record_many(found)
        print(f"{completion.count()} titles")
        for end in range(1, len(arguments.type) + 1):
            typed = arguments.type[:end]
            print(f"\n> {typed}▏")
            for suggestion in completion.suggest(typed, 5, fuzzy=arguments.fuzzy):
                print(f"    {suggestion.text}  ({suggestion.frequency})")

        best = completion.suggest(arguments.type, 1, fuzzy=arguments.fuzzy)
        if best:
            print(
                f"\nThe user chooses {best[0].text!r}; its frequency is now {completion.record(best[0].text)}."
            )

        # The same titles in alphabetical order, for a page that lists them.
        index = LexicalIndex(name, normalize=True, connection=completion.connection)
        index.add_many(found)
        page = index.page(prefix="c", limit=5)
        print(f"\nTitles under C: {index.count(prefix='c')}; the first: {', '.join(page.items)}")
        assert completion.verify().ok
        index.clear()
        completion.clear()


if __name__ == "__main__":
    main()
