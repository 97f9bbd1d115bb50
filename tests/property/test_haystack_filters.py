"""Haystack's filters mean here what they mean in Haystack itself, on both engines."""

from __future__ import annotations

from typing import Any

import pytest
from haystack import Document
from haystack.errors import FilterError
from haystack.utils.filters import document_matches_filter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haystack_integrations.document_stores.valkey import ValkeyDocumentStore
from haystack_integrations.document_stores.valkey.filters import to_filter
from servers import Server
from valkey_vector.filters import matches
from valkey_vector.index.settings import EngineChoice

EXAMPLES = 60
FILTERS = 12

keys = st.sampled_from(["a", "b", "n.x", "n.y"])
scalars: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([0.0, 1.0, 0.5, -1.5, 10**20, 1e300]),
    # Not "1": to order it, Haystack guesses that it is a day of this month.
    st.sampled_from(["", "x", "X", "1x", "acme", "acme*", "a|b", " ", "é", "None", "True"]),
    st.sampled_from(["2024-01-31", "2024-01-31T00:00:00", "2024-02-01T12:30:00", "2023-12-31"]),
)
# Within lists Python takes True for 1; that is left out, see docs/filters.md.
elements = st.sampled_from(["x", "", 2, 0.5, "2024-01-31", None])
values = scalars | st.lists(elements, max_size=3)
metadata = st.fixed_dictionaries(
    {},
    optional={
        "a": values | st.none(),
        "b": values,
        "n": st.fixed_dictionaries({}, optional={"x": scalars, "y": values}),
    },
)
documents = st.builds(
    lambda number, meta, content: Document(id=f"d{number}", content=content, meta=meta),
    st.integers(0, 9),
    metadata,
    st.sampled_from(["", "x", "some text", "2024-01-31"]),
)

fields = keys.map(lambda key: f"meta.{key}") | st.sampled_from(["id", "content", "a", "b"])
literals = scalars | st.none() | st.lists(elements, max_size=3) | st.sampled_from(["d1", "d2"])
comparisons = st.one_of(
    st.fixed_dictionaries(
        {"field": fields, "operator": st.sampled_from(["==", "!="]), "value": literals}
    ),
    st.fixed_dictionaries(
        {
            "field": fields,
            "operator": st.sampled_from([">", ">=", "<", "<="]),
            "value": scalars | st.none(),
        }
    ),
    st.fixed_dictionaries(
        {
            "field": fields,
            "operator": st.sampled_from(["in", "not in"]),
            "value": st.lists(literals, max_size=4),
        }
    ),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.fixed_dictionaries(
        {
            "operator": st.sampled_from(["AND", "OR", "NOT"]),
            "conditions": st.lists(inner, min_size=1, max_size=3),
        }
    ),
    max_leaves=5,
)


def of_haystack(chosen: dict[str, Any], document: Document) -> bool | None:
    """Return Haystack's result; None where it raises, which there depends on the document."""
    try:
        return document_matches_filter(chosen, document)
    except (FilterError, TypeError):
        return None


def of_ours(chosen: dict[str, Any], document: Document) -> bool | None:
    try:
        filter = to_filter(chosen)
    except FilterError:
        return None
    assert filter is not None
    return matches(filter, document.meta, id=document.id, content=document.content or "")


@settings(max_examples=1500)
@given(filters, documents)
def test_a_filter_means_what_it_means_in_haystack(
    chosen: dict[str, Any], document: Document
) -> None:
    expected, found = of_haystack(chosen, document), of_ours(chosen, document)
    if expected is not None and found is not None:
        assert found is expected


@given(comparisons)
def test_a_filter_that_is_refused_is_one_that_haystack_refuses(chosen: dict[str, Any]) -> None:
    """For some document, that is: Haystack looks at the value only when a document has one, too."""
    if of_ours(chosen, Document()) is not None:
        return
    field = chosen["field"].removeprefix("meta.")
    meta = {"n": {field[2:]: 1}} if field.startswith("n.") else {field: 1}
    assert of_haystack(chosen, Document(id="x", content="x", meta=meta)) is None


@pytest.mark.timeout(600)
def test_both_engines_filter_as_haystack_does(
    native_server: Server, search_server: Server, index_name: str
) -> None:
    engines: list[tuple[Server, EngineChoice]] = [
        (native_server, "native"),
        (search_server, "search"),
    ]
    stores = [
        ValkeyDocumentStore(url=server.url, index_name=index_name, engine=engine, embedding_dim=4)
        for server, engine in engines
    ]
    evaluations = telling = 0

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(
        st.data(),
        st.lists(documents, min_size=3, max_size=12, unique_by=lambda document: document.id),
    )
    def check(data: st.DataObject, written: list[Document]) -> None:
        nonlocal evaluations, telling
        for store in stores:
            store.delete_all_documents()
            store.write_documents(written)
        for _ in range(FILTERS):
            chosen = data.draw(filters)
            answers = [of_haystack(chosen, document) for document in written]
            if None in answers or of_ours(chosen, written[0]) is None:
                continue
            expected = [
                document for document, answer in zip(written, answers, strict=True) if answer
            ]
            evaluations += 1
            telling += 0 < len(expected) < len(written)
            for store in stores:
                assert store.filter_documents(chosen) == expected
                assert store.count_documents_by_filter(chosen) == len(expected)

    check()
    for store in stores:
        store.close()
    assert evaluations >= 200
    assert telling >= 50
