"""Schemas: from Python, dicts and YAML, checked by name and range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from strategies import schemas
from valkey_vector import (
    ConfigurationError,
    Flat,
    Hnsw,
    Metric,
    NumericField,
    Schema,
    TagField,
    TextField,
)

FULL = Schema(
    dimension=384,
    metric=Metric.IP,
    algorithm=Hnsw(m=32, ef_construction=400, ef_runtime=150, initial_cap=5000),
    fields=(TagField("city"), NumericField("price"), TextField("title")),
    numeric_slots=3,
)
YAML = """
dimension: 384
metric: ip
algorithm: {name: hnsw, m: 32, ef_construction: 400, ef_runtime: 150, initial_cap: 5000}
fields: {city: tag, price: numeric, title: text}
numeric_slots: 3
"""


@given(schemas)
def test_a_schema_survives_being_a_dict(schema: Schema) -> None:
    assert Schema.from_dict(schema.to_dict()) == schema


def test_python_dict_and_yaml_describe_the_same_schema(tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(YAML, encoding="utf-8")
    written = {
        "dimension": 384,
        "metric": "IP",
        "algorithm": FULL.algorithm,
        "fields": [{"path": "city", "kind": "tag"}, NumericField("price"), TextField("title")],
        "numeric_slots": 3,
    }
    for source in (FULL, FULL.to_dict(), written, path, str(path)):
        assert Schema.of(source) == FULL


def test_single_settings_are_laid_over_a_schema() -> None:
    assert Schema.of(None) == Schema()
    changed = Schema.of(FULL, dimension=2, metric="cosine", algorithm="flat")
    assert (changed.dimension, changed.metric, changed.algorithm) == (2, Metric.COSINE, Flat())
    assert changed.fields == FULL.fields
    assert Schema.of(algorithm=Flat(initial_cap=10)).algorithm == Flat(initial_cap=10)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dimension": 0}, "dimension"),
        ({"dimension": 32_769}, "dimension"),
        ({"dimension": 1.5}, "dimension"),
        ({"dimension": True}, "dimension"),
        ({"metric": "euclid"}, "euclid"),
        ({"algorithm": "ivf"}, "IVF"),
        ({"algorithm": 5}, "5"),
        ({"algorithm": {"name": "HNSW", "M": 4}}, "'M'"),
        ({"algorithm": {"name": "FLAT", "m": 4}}, "'m'"),
        ({"algorithm": {"m": 1}}, "m "),
        ({"algorithm": {"ef_construction": 0}}, "ef_construction"),
        ({"algorithm": {"ef_runtime": 0}}, "ef_runtime"),
        ({"algorithm": {"initial_cap": 0}}, "initial_cap"),
        ({"numeric_slots": -1}, "numeric_slots"),
        ({"numeric_slots": 65}, "numeric_slots"),
        ({"fields": {"n": "number"}}, "'n'"),
        ({"fields": [{"path": "n"}]}, "'n'"),
        ({"fields": [{"kind": "tag"}]}, "path and kind"),
        ({"fields": [{"path": "", "kind": "tag"}]}, "name"),
        ({"fields": [TagField("n"), NumericField("n")]}, "more than once"),
        ({"dimensions": 4}, "'dimensions'"),
        ({"fields": [{"path": "t", "kind": "tag", "separator": "::"}]}, "separator of field 't'"),
        ({"fields": [{"path": "t", "kind": "tag", "separator": "é"}]}, "ASCII"),
        ({"fields": [{"path": "t", "kind": "tag", "case_sensitive": 1}]}, "case_sensitive"),
        ({"fields": [{"path": "n", "kind": "numeric", "separator": ","}]}, "'separator'"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Schema.from_dict(settings)


def test_settings_of_a_tag_field_are_read_from_a_dict() -> None:
    schema = Schema(fields=(TagField("t", separator=";", case_sensitive=False), TagField("u")))
    assert Schema.from_dict(schema.to_dict()) == schema


@pytest.mark.parametrize("wrong", [{"metric": "IP"}, {"algorithm": "HNSW"}, {"fields": ("n",)}])
def test_names_where_objects_belong_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Schema(**wrong)


def test_a_file_that_is_no_schema_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.yaml"):
        Schema.of(tmp_path / "absent.yaml")
    for text in ("- a\n- b\n", "a: [", "5"):
        (tmp_path / "odd.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"odd\.yaml"):
            Schema.of(tmp_path / "odd.yaml")
    with pytest.raises(ConfigurationError, match="not int"):
        Schema.of(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fields": 5}, "fields"),
        ({"vectors": 5}, "vectors"),
        ({"full_text": {"language": ["english"]}}, "language"),
        ({"full_text": "yes"}, "full_text"),
        ({"fields": {"content": "text"}}, "the record's content"),
        ({"fields": [{"path": "a", "kind": "text", "stem": "no"}]}, "stem"),
        ({"fields": {"title": "text"}, "full_text": False}, "'title'.*is a text field"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Schema.from_dict(settings)


def test_full_text_cannot_be_removed_from_declared_texts() -> None:
    with pytest.raises(ConfigurationError, match=r"'title'.*is a text field"):
        Schema.of(FULL, full_text=False)


def test_fields_may_come_as_a_list() -> None:
    listed: Any = [TagField("city")]
    assert Schema(fields=listed) == Schema(fields=(TagField("city"),))
    for name in ("fields", "vectors"):
        with pytest.raises(ConfigurationError, match=f"{name} must be"):
            Schema(**{name: 5})  # type: ignore[arg-type]
