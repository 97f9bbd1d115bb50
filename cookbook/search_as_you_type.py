"""Suggestions while a user types, over real titles.

The titles are the headings of the Python language reference, which every Python brings along. How often a title counts is
how often its words occur in the reference. Prints what a search box would show after each key. Needs no search module;
without --url a private Valkey server is started and is gone with this program.

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
    """The headings, and how often the rarest of their words occurs."""
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
    parser.add_argument("--url", help="the server; a private one without it")
    parser.add_argument("--type", default="the wi", help="what the user types")
    parser.add_argument("--fuzzy", action="store_true", help="forgive one mistake")
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
                f"\nThe user chooses {best[0].text!r}: it now counts {completion.record(best[0].text)}."
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
