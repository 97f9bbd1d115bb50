"""Write the tables of the reference that come from the code: engines, errors, settings.

python scripts/reference_tables.py           # write the pages
python scripts/reference_tables.py --check   # exit with 1 if a page is not current
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from valkey_vector import errors
from valkey_vector.connection import (
    Capabilities,
    ConnectionSettings,
    Feature,
    IamSettings,
    SearchModule,
    TlsSettings,
)

PAGES = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by scripts/reference_tables.py. Change that script, not this page. -->"

VERSIONS = {
    "Valkey-Search 1.0": (SearchModule.VALKEY_SEARCH, (1, 0, 0)),
    "Valkey-Search 1.1": (SearchModule.VALKEY_SEARCH, (1, 1, 0)),
    "Valkey-Search 1.2": (SearchModule.VALKEY_SEARCH, (1, 2, 0)),
    "Valkey-Search 1.3": (SearchModule.VALKEY_SEARCH, (1, 3, 0)),
    "RediSearch 2.10": (SearchModule.REDISEARCH, (2, 10, 0)),
}
RAISES = "raises"
# What a user does, the feature that a server needs to do it, and what happens on a server without it.
# None: the library never uses the feature, because it computes the same on every server.
OPERATIONS: dict[Feature, tuple[str, str] | None] = {
    Feature.SEARCH: ("`search`, `VectorQuery` with `k`, MMR", "client"),
    Feature.FILTER_QUERIES: ("`count`, `FilterQuery`, `delete_by_filter`, `facets`", "client"),
    Feature.SORT_BY: ("order of creation, pages", "client"),
    Feature.TEXT: ("`search_text`, `search_hybrid`", RAISES),
    Feature.VECTOR_RANGE: ("`max_distance`, `min_similarity`", "server, in rounds"),
    Feature.SCORES: None,
    Feature.HYBRID: None,
}

CURES = {
    "ValkeyVectorError": "Catch this class to catch all of them.",
    "ConfigurationError": "Correct the setting that the message names.",
    "InvalidInputError": "Correct the argument that the message names. Nothing was written.",
    "FilterError": "Use an operator and a value that [the filter accepts](../filters.md).",
    "UnsupportedFeatureError": "Use a server that the message names, or another engine. See [engines](engines.md).",
    "IndexNotFoundError": "Create the index with `Index.create()`, or write a record.",
    "IndexRecordLostError": "Set `maxmemory-policy` to `noeviction`. Restore the key, or call `drop()` and write again.",
    "IndexMismatchError": "Open the index with its own settings, use another name, or drop it first.",
    "DuplicateIdError": "Use another id, or the policy `OVERWRITE` or `SKIP`.",
    "PartialWriteError": "Write the same records again. Records that were stored are not duplicated.",
    "QueryBatchError": "Read `outcomes`: it has the answers to the other queries.",
    "ServerError": "Read `message`: it is the server's own text.",
    "ConnectionLostError": "Check that the server runs and can be reached. Then repeat the call.",
    "RequestTimeoutError": "Raise `request_timeout`, or send less at once. The command may have run.",
    "ForeignKeyError": "Rename or remove the key, or use another id or index name.",
    "AuthenticationError": "Check user, password and [ACL](../servers.md#keys-that-an-index-owns).",
    "PartialResultWarning": "Repeat the call later, or without `consistency`. Only a [consistency](../queries.md#time-limit-and-consistency) other than `strict` allows it.",
    "UnreadableRecordError": "Run [`Index.verify`](../servers.md#verify-and-repair-an-index).",
}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def summary(text: str | None) -> str:
    """Return the first paragraph of a docstring as one line of Markdown."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def way(
    feature: Feature, module: SearchModule, version: tuple[int, int, int], otherwise: str
) -> str:
    """Return how an operation runs on a server with a search module."""
    capabilities = Capabilities("valkey", (9, 0, 0), False, module, version)
    # RediSearch is not sent range queries: it takes the same way as Valkey-Search 1.2.
    ranged = feature is Feature.VECTOR_RANGE and module is SearchModule.REDISEARCH
    return "server" if capabilities.has(feature) and not ranged else otherwise


def engines_page() -> str:
    """Return the page that says what runs where."""
    rows = [
        [
            operation[0],
            "client",
            *(way(feature, *server, operation[1]) for server in VERSIONS.values()),
        ]
        for feature, operation in OPERATIONS.items()
        if operation is not None
    ]
    unused = ", ".join(feature.value for feature, use in OPERATIONS.items() if use is None)
    return f"""{NOTE}

# Engines and servers

An index uses the engine `search` if the server has a search module, otherwise the engine `native`. You can insist with
`engine="search"` or `engine="native"`. Results and scores are the same.

{table(["operation", "native", *VERSIONS], rows)}

- **server**: the search module answers.
- **server, in rounds**: the search module is queried for 100, 400, … nearest neighbors until one is too far.
- **client**: the client answers, exactly. The native engine searches its replica in memory. On a search server the client
  reads the records that the server selects.
- **raises**: the call raises `UnsupportedFeatureError`, which names the required version.

The library computes BM25, fusion, facets and groups itself, so they are equal on every server. It does not use the
servers' own {unused}.

| | native | search |
| --- | --- | --- |
| one server | yes | yes |
| cluster | names with a hash tag only | Valkey-Search only |
| vector index | none: exact | HNSW (approximate) or FLAT (exact) |
| types of vectors | FLOAT32, FLOAT16, BFLOAT16 | FLOAT32; FLOAT16 and BFLOAT16 where the server has them (RediSearch) |
| needs | Valkey or Redis 7 or newer | Valkey-Search 1.0 or newer, RediSearch 2.10 |
"""


def errors_page() -> str:
    """Return the page that lists every error."""
    rows = []
    for name in sorted(errors.__all__, key=lambda name: len(getattr(errors, name).__mro__)):
        error = getattr(errors, name)
        parents = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
        rows.append([f"[`{name}`](api/errors.md)", parents, summary(error.__doc__), CURES[name]])
    return f"""{NOTE}

# Errors

Every error of this library is a `ValkeyVectorError`. Import it from `valkey_vector`. Facts such as ids and keys are attributes.
No message contains a password. All errors can be pickled.

{table(["error", "is a", "meaning", "what to do"], rows)}

Adapters raise the errors that their framework documents where it documents any. For example, Haystack's
`DuplicateDocumentError` is raised for `DuplicatePolicy.FAIL`.
"""


def attributes(kind: type[Any]) -> dict[str, str]:
    """Return the texts of a docstring's section `Attributes`, by name."""
    section = inspect.getdoc(kind) or ""
    section = section.partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def settings_rows(kind: type[Any], prefix: str, left_out: set[str]) -> list[list[str]]:
    """Return a row for each setting of a class."""
    texts, rows = attributes(kind), []
    for field in fields(kind):
        if field.name in left_out:
            continue
        option = "db" if field.name == "database" else prefix + field.name
        default = "required" if field.default is MISSING else f"`{field.default!r}`"
        text = texts[field.name].replace("``", "`").replace("|", "\\|")
        rows.append(
            [
                f"`{prefix}{field.name}`" if prefix else f"`{field.name}`",
                f"`{option}`",
                default,
                text,
            ]
        )
    return rows


def settings_page() -> str:
    """Return the page of all settings."""
    in_the_url = {
        "addresses",
        "unix_socket",
        "embedded",
        "embedded_directory",
        "password",
        "tls",
        "iam",
    }
    head = ["setting", "option of the URL", "default", "meaning"]
    return f"""{NOTE}

# Settings

## Where the server is

| URL | server |
| --- | --- |
| `valkey://user:password@host:6379/0` | one server; the path is the database |
| `valkeys://host` | the same with TLS |
| `redis://…`, `rediss://…` | the same two |
| `valkey://host1:6379,host2:6379` | a cluster |
| `valkey+unix:///path/to/socket` | a unix socket |
| `embedded://` | a private server that ends with the program |
| `embedded:///path/to/directory` | a private server that keeps its data |

Without `url=`, the environment variable `VALKEY_URL` is read. Without that, a private server is started (extra `embedded`). The
Haystack document store then connects to `localhost:6379` instead, as `valkey-haystack` does.

## Connection

Pass a setting to `Connection.open(url, …)`, or as an option of the URL: `valkey://host?request_timeout=10`.

{table(head, settings_rows(ConnectionSettings, "", in_the_url))}

## TLS

Options of a `valkeys://` URL, or attributes of `TlsSettings`, passed as `tls=`.

{table(head, settings_rows(TlsSettings, "tls_", set()))}

## AWS IAM

Options of the URL, or attributes of `IamSettings`, passed as `iam=`.

{table(head, settings_rows(IamSettings, "iam_", set()))}

## Index

The settings of an index are the arguments of [`Index.open`](api/core.md) and the attributes of
[`Schema`](api/core.md). They are fixed when the index is created.

## Environment

| variable | meaning |
| --- | --- |
| `VALKEY_URL` | the server, where no `url=` is given |
"""


def pages() -> dict[Path, str]:
    """Return the text of each page."""
    return {
        PAGES / "engines.md": engines_page(),
        PAGES / "errors.md": errors_page(),
        PAGES / "settings.md": settings_page(),
    }


def main() -> None:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description="The tables of the reference.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if not current")
    check = parser.parse_args().check
    stale = [path for path, text in pages().items() if path.read_text(encoding="utf-8") != text]
    for path in stale if not check else ():
        path.write_text(pages()[path], encoding="utf-8")
    if check and stale:
        sys.exit(
            f"not current: {', '.join(path.name for path in stale)}; run {Path(__file__).name}"
        )


if __name__ == "__main__":
    main()
