"""The element type of vectors as a setting: parsed, compared, and absent from the record of a float32 index."""

from __future__ import annotations

import json
from typing import Any

import pytest

from valkey_vector import ConfigurationError, Flat, IndexMismatchError, Metric, Schema, VectorField
from valkey_vector.index.settings import IndexSettings
from valkey_vector.operations import estimate_size
from valkey_vector.records.metadata import indexed_items
from valkey_vector.records.vectors import packed_vectors
from valkey_vector.storage.catalog import CatalogEntry
from valkey_vector.storage.layout import Prepared
from valkey_vector.storage.prepared_vectors import dimension_of, in_types_of


def opened(schema: Any) -> IndexSettings:
    return IndexSettings.of(
        dimension=None, metric=None, algorithm=None, schema=schema,
        engine="auto", full_text=None, embedding_model=None,
    )  # fmt: skip


def entry(schema: Schema) -> CatalogEntry:
    return CatalogEntry("articles", "g", "native", schema, None, {}, "l")


def test_the_record_of_a_float32_index_is_the_one_of_earlier_versions() -> None:
    schema = Schema(dimension=3, vectors=(VectorField("title", 2, Metric.L2, Flat()),))
    assert json.dumps(schema.to_dict(), sort_keys=True) == (
        '{"algorithm": {"ef_construction": 200, "ef_runtime": 100, "initial_cap": null, "m": 16, "name": "HNSW"}, '
        '"dimension": 3, "fields": [], "metric": "COSINE", "numeric_slots": 10, "vectors": [{"algorithm": '
        '{"initial_cap": null, "name": "FLAT"}, "dimension": 2, "metric": "L2", "name": "title"}]}'
    )
    assert Schema.from_dict(schema.to_dict()) == schema
    assert schema.data_types == {"vector": "FLOAT32", "title": "FLOAT32"}


def test_a_schema_with_other_types_survives_a_round_trip_through_a_dict() -> None:
    title = VectorField("title", 2, data_type="BFLOAT16")
    schema = Schema(dimension=3, data_type="FLOAT16", vectors=(title,))
    settings = json.loads(json.dumps(schema.to_dict()))
    assert settings["data_type"] == "FLOAT16"
    assert settings["vectors"][0]["data_type"] == "BFLOAT16"
    assert Schema.from_dict(settings) == schema
    assert schema.vector_field(None).data_type == "FLOAT16"
    assert schema.data_types == {"vector": "FLOAT16", "title": "BFLOAT16"}


def test_a_type_is_accepted_in_any_case_and_an_unknown_one_is_refused() -> None:
    assert Schema.of({"data_type": "bfloat16"}).data_type == "BFLOAT16"
    assert Schema.of({"data_type": "bfloat16"}, data_type="FLOAT16").data_type == "FLOAT16"
    assert VectorField("a", 2, data_type="float16").data_type == "FLOAT16"  # type: ignore[arg-type]
    for wrong in ("FLOAT64", "half", 16, None):
        with pytest.raises(ConfigurationError, match="is not one of FLOAT32, FLOAT16, BFLOAT16"):
            Schema.from_dict({"data_type": wrong})
        with pytest.raises(ConfigurationError, match="is not one of FLOAT32, FLOAT16, BFLOAT16"):
            VectorField("a", 2, data_type=wrong)  # type: ignore[arg-type]


def test_an_index_of_another_type_is_refused_if_a_schema_is_passed() -> None:
    half = entry(Schema(dimension=3, data_type="FLOAT16"))
    opened(None).check(half)
    opened({"dimension": 3, "data_type": "float16"}).check(half)
    with pytest.raises(IndexMismatchError, match=r"data_type.*FLOAT16.*FLOAT32"):
        opened({"dimension": 3}).check(half)
    with pytest.raises(IndexMismatchError, match="vectors"):
        opened(Schema(dimension=3, vectors=(VectorField("a", 2),))).check(
            entry(Schema(dimension=3, vectors=(VectorField("a", 2, data_type="FLOAT16"),)))
        )


def prepared(vector: list[float], schema: Schema) -> Prepared:
    (packed,) = packed_vectors([vector], None, ["record 'a'"], data_type=schema.data_type)
    return Prepared("a", b"", b"{}", packed, indexed_items({}), ())


def test_records_are_rounded_for_an_index_that_another_client_created_meanwhile() -> None:
    ours, half = Schema(), entry(Schema(dimension=2, data_type="BFLOAT16"))
    document = prepared([1.0, 0.1], ours)
    assert dimension_of(document, ours) == 2
    (stored,) = in_types_of(half, [document], ours)
    assert stored.vector == prepared([1.0, 0.1], half.schema).vector
    assert dimension_of(stored, half.schema) == 2
    assert document.vector is not None
    assert len(document.vector) == 8  # a second attempt begins with the exact numbers
    assert in_types_of(entry(ours), [document], ours) == [document]


def test_rounded_records_are_not_written_to_an_index_of_another_type() -> None:
    ours = Schema(data_type="FLOAT16")
    for other in ("FLOAT32", "BFLOAT16"):
        its = entry(Schema.of({"dimension": 2, "data_type": other}))
        with pytest.raises(IndexMismatchError, match=rf"data_type.*{other}.*FLOAT16"):
            in_types_of(its, [prepared([1.0, 2.0], ours)], ours)


@pytest.mark.parametrize("engine", ["search", "native"])
@pytest.mark.parametrize("data_type", ["FLOAT16", "bfloat16"])
def test_the_estimate_of_a_size_halves_the_vectors(engine: Any, data_type: Any) -> None:
    whole = estimate_size(1000, 384, engine=engine, m=0)
    half = estimate_size(1000, 384, engine=engine, m=0, data_type=data_type)
    assert half.vectors == pytest.approx(whole.vectors / 2, abs=1)
    assert half.total == pytest.approx(whole.total - half.vectors, abs=2)
    assert (half.client, half.data_type) == (whole.client, data_type.upper())


def test_the_type_that_is_passed_alone_must_be_that_of_an_existing_index() -> None:
    settings = IndexSettings.of(
        dimension=None, metric=None, algorithm=None, schema=None,
        engine="auto", full_text=None, embedding_model=None, data_type="FLOAT16",
    )  # fmt: skip
    assert settings.schema == Schema(data_type="FLOAT16")
    settings.check(entry(Schema(dimension=2, data_type="FLOAT16", metric=Metric.L2)))
    with pytest.raises(IndexMismatchError, match="data_type"):
        settings.check(entry(Schema(dimension=2)))
