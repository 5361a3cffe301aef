"""The loop: what is compared with what, seeds and shares, the verdict; models are tiny and made here."""

from __future__ import annotations

import json

import pytest

from bench.base import words
from bench.base.errors import ConfigError, UsageError
from bench.base.store import read_json
from bench.cli.main import main
from bench.project.loop import loop, systems_of
from bench.project.workspace import Workspace
from bench.report import Material
from bench.report.sections import training

CONFIG = """
suites = ["."]

[systems.bm25]
kind = "bm25"

[systems.base]
kind = "dense"
encoder = {{ kind = "local", model = "{model}" }}
dims = [32, 16]

[systems.fused]
kind = "hybrid"
of = ["bm25", "base@16"]

[systems.tuned]
kind = "dense"
encoder = {{ kind = "local", model = "finetune:tiny" }}
dims = [32, 16, 8]

[systems.tuned-fused]
kind = "hybrid"
of = ["bm25", "tuned@16"]

[systems.tuned-rrf]
kind = "hybrid"
of = ["tuned", "bm25"]

[finetune.tiny]
base = "base"
matryoshka = [32, 16, 8]
negatives = {{ from = ["bm25"] }}
batch_size = 2
learning_rate = 1e-3
seeds = [0, 1]
"""


@pytest.fixture
def workspace(tiny_suite, tiny_model):
    path = tiny_suite.folder / "bench.toml"
    path.write_text(CONFIG.format(model=tiny_model))
    return Workspace.open(path)


def test_systems_of_a_recipe_are_those_that_use_it_even_through_a_part(workspace):
    assert systems_of(workspace, "tiny") == ["tuned", "tuned-fused", "tuned-rrf"]


def test_recipe_that_no_system_uses_is_refused(workspace):
    with pytest.raises(ConfigError, match="nothing would be evaluated"):
        systems_of(workspace, "tin")


def test_each_system_is_compared_with_the_same_on_the_base_model(workspace, tiny_suite):
    found = loop(workspace, tiny_suite.suite, "tiny")
    assert {one.system: one.against for one in found.compared} == {
        "tuned": "base",
        "tuned@16": "base@16",
        # Of the same parts, in the same order, fused alike.
        "tuned-fused": "fused",
        # No hybrid of the base has these parts, so the base itself is what it must beat.
        "tuned-rrf": "base",
    }
    assert found.left_out == {"tuned@8": 'there is no system "base@8"'}
    assert {cell.query_set for one in found.compared for cell in one.cells} == {"shop", "phone"}
    assert found.verdict.candidate == "tuned"


def test_system_whose_other_model_is_not_made_yet_is_left_out_and_named(workspace, tiny_suite):
    text = workspace.path.read_text()
    reranked = """
[systems.reranked]
kind = "rerank"
first = "tuned"
reranker = { kind = "cross-encoder", model = "finetune:later" }
"""
    workspace.path.write_text(text + reranked)
    found = loop(Workspace.open(workspace.path), tiny_suite.suite, "tiny")
    assert "bench finetune later" in found.left_out["reranked"]
    assert "tuned" in {one.system for one in found.compared}


def test_seeds_and_shares_become_points_and_are_kept(workspace, tiny_suite):
    found = loop(workspace, tiny_suite.suite, "tiny", shares=[0.5])
    primary = tiny_suite.suite.protocol.measures[0]
    points = [p for p in found.points if (p.query_set, p.measure) == ("shop", primary)]
    assert [(p.share, p.seed, p.pairs) for p in points] == [(0.5, 0, 1), (0.5, 1, 1), (1.0, 0, 2), (1.0, 1, 2)]
    assert len({p.weights for p in points}) == 4
    (gain,) = [g for g in found.gains if (g.query_set, g.measure) == ("shop", primary)]
    whole = [p.mean for p in points if p.share == 1]
    base = next(c for c in found.compared[0].cells if (c.query_set, c.measure) == ("shop", primary)).baseline
    assert gain.delta == pytest.approx(sum(whole) / 2 - base)
    assert gain.n_seeds == 2
    assert gain.ci is None  # two seeds say too little of their own spread
    kept = read_json(workspace.store.path("loops", "tiny.json"))
    assert kept["format"] == 1
    assert len(kept["points"]) == len(found.points)
    assert kept["suite_digest"] == tiny_suite.suite.digest
    (figure, _) = training.build(Material("", (), "", loops=(kept,)))
    assert f"Before training: shop {words.number(base)}, phone" in figure.caption


def test_shares_are_of_the_pairs_that_the_recipe_takes(workspace, tiny_suite):
    workspace.path.write_text(workspace.path.read_text().replace("seeds = [0, 1]", "seeds = [0]\nmax_pairs = 2"))
    found = loop(Workspace.open(workspace.path), tiny_suite.suite, "tiny", shares=[0.5])
    assert {(p.share, p.pairs) for p in found.points} == {(0.5, 1), (1.0, 2)}
    assert [model.lineage["data"]["rows"] for model in found.models] == [2, 1]


def test_a_reranker_of_the_models_token_vectors_is_compared_and_is_not_taken_for_the_model(workspace, tiny_suite):
    table = (
        '[systems.late]\nkind = "rerank"\nfirst = "bm25"\ndepth = 3\n'
        'reranker = { kind = "late-interaction", model = "finetune:tiny", device = "cpu" }\n\n[systems.bm25]'
    )
    workspace.path.write_text(workspace.path.read_text().replace("[systems.bm25]", table))
    found = loop(Workspace.open(workspace.path), tiny_suite.suite, "tiny")
    against = {one.system: one.against for one in found.compared}
    assert (against["late"], against["tuned"]) == ("bm25", "base")
    tuned = next(one for one in found.compared if one.system == "tuned")
    means = {(c.query_set, c.measure): c.candidate for c in tuned.cells}
    assert {(p.query_set, p.measure): p.mean for p in found.points if p.seed == 0} == pytest.approx(means)


def test_loop_makes_the_pairs_that_its_recipe_names_and_trains_on_them(workspace, tiny_suite):
    table = (
        '[pairs.made]\nfrom = [{ kind = "title" }, { kind = "judgements" }]\n\n[finetune.tiny]\npairs = ["pairs:made"]'
    )
    workspace.path.write_text(workspace.path.read_text().replace("[finetune.tiny]", table))
    opened = Workspace.open(workspace.path)
    first = loop(opened, tiny_suite.suite, "tiny", seeds=[0])
    assert first.models[0].lineage["data"]["sources"] == ["pairs:made"]
    assert set(first.models[0].lineage["data"]["origins"]) == {"judgements", "title"}
    made = (tiny_suite.folder / "pairs/made.jsonl").stat().st_mtime_ns
    assert not loop(opened, tiny_suite.suite, "tiny", seeds=[0]).models[0].made
    assert (tiny_suite.folder / "pairs/made.jsonl").stat().st_mtime_ns == made


def test_second_loop_trains_and_evaluates_nothing(workspace, tiny_suite):
    first = loop(workspace, tiny_suite.suite, "tiny")
    again = loop(workspace, tiny_suite.suite, "tiny")
    assert [model.made for model in first.models] == [True, True]
    assert [model.made for model in again.models] == [False, False]
    assert again.points == first.points


def test_share_out_of_range_and_unknown_recipe_are_refused(workspace, tiny_suite):
    with pytest.raises(UsageError, match="above 0, at most 1"):
        loop(workspace, tiny_suite.suite, "tiny", shares=[25])
    with pytest.raises(UsageError, match='Did you mean "tiny"'):
        loop(workspace, tiny_suite.suite, "tinny")


def test_loop_prints_one_document_and_exits_as_the_gate_does(workspace, capsys):
    code = main(["loop", "tiny", "--config", str(workspace.path), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == 1
    assert code == document["verdict"]["exit_code"]
    assert main(["loop", "tiny", "--config", str(workspace.path), "--share", "0.5"]) == code
    told = capsys.readouterr().err
    assert "Learning curve" in told
    assert "tuned@8 has no counterpart to compare with" in told
