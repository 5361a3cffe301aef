"""Losses against Sentence Transformers' own, what a recipe may say, and trainings that are killed."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from pydantic import ValidationError

from bench.base.errors import ConfigError
from bench.config import BenchConfig, EvalConfig, FinetuneConfig
from bench.evaluation.evaluate import Evaluator
from bench.retrieval.encoders import find_model, weights_digest
from bench.retrieval.systems.bm25 import BM25
from bench.retrieval.systems.bm25 import Config as BM25Config
from bench.suites import suite as suite_module
from bench.train.fitting import losses
from bench.train.fitting.dev import _DevSet
from bench.train.fitting.finetune import finetune
from bench.train.fitting.tokens import like_lengths, tokenised

BM = {"from": ["bm25"]}


@pytest.fixture
def evaluator(tiny_suite, store):
    return Evaluator(tiny_suite.suite, {"bm25": BM25("bm25", BM25Config.model_validate({"kind": "bm25"}))}, store)


def _recipe(folder, **more):
    table = {"base": str(folder), "negatives": BM, "batch_size": 2, "learning_rate": 1e-3, "epochs": 3}
    return FinetuneConfig.model_validate(table | more)


def _trained(evaluator, tiny_suite, name, recipe):
    return finetune(name, recipe, evaluator=evaluator, base=tiny_suite.folder)[0]


# --- losses ----------------------------------------------------------------------------------------


def _columns(n=5, width=3, dim=8, seed=0):
    import torch

    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, dim, generator=generator) for _ in range(width)]


def _library(loss_class, columns, labels=None, dims=None, **options):
    import torch
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    class Model(torch.nn.Module):
        def forward(self, features):
            return {"sentence_embedding": features["sentence_embedding"]}

        def get_embedding_dimension(self):
            return columns[0].shape[1]

    model = Model()
    loss = loss_class(model, **options)
    if dims:
        loss = MatryoshkaLoss(model, loss, matryoshka_dims=dims)
    return float(loss([{"sentence_embedding": column} for column in columns], labels))


@pytest.mark.parametrize("dims", [[], [8, 4, 2]])
@pytest.mark.parametrize("name", ["mnrl", "triplet", "cosent"])
def test_loss_equals_that_of_sentence_transformers(name, dims):
    import torch
    from sentence_transformers.sentence_transformer.losses import (
        CoSENTLoss,
        MultipleNegativesRankingLoss,
        TripletLoss,
    )
    from sentence_transformers.sentence_transformer.losses.triplet import TripletDistanceMetric

    recipe = FinetuneConfig.model_validate({"base": "b", "loss": name, "negatives": BM, "matryoshka": dims})
    columns = _columns(width=2 if name == "cosent" else 3)
    labels = torch.tensor([1.0, 0, 1, 0, 0]) if name == "cosent" else None
    options = {"distance_metric": TripletDistanceMetric.COSINE, "triplet_margin": 0.2} if name == "triplet" else {}
    known = {"mnrl": MultipleNegativesRankingLoss, "triplet": TripletLoss, "cosent": CoSENTLoss}[name]
    wanted = _library(known, columns, labels, dims, **options)
    assert float(losses.build(recipe)(columns, labels, None)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("width", [2, 3])
def test_gist_equals_that_of_sentence_transformers(width):
    import torch
    from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss

    columns, guide = _columns(width=width), _columns(width=width, seed=1)
    loss = GISTEmbedLoss.__new__(GISTEmbedLoss)
    torch.nn.Module.__init__(loss)

    class Taking(torch.nn.Module):
        def __init__(self, key):
            super().__init__()
            self.key = key

        def forward(self, features):
            return {"sentence_embedding": features[self.key]}

    loss.model, loss.guide = Taking("own"), Taking("guide")
    loss.must_retokenize, loss.temperature, loss.margin_strategy, loss.margin = False, 0.01, "absolute", 0.0
    loss.contrast_anchors = loss.contrast_positives = True
    loss.gather_across_devices = False
    loss.similarity_fct, loss.cross_entropy_loss = torch.nn.CosineSimilarity(dim=-1), torch.nn.CrossEntropyLoss()
    features = [{"own": own, "guide": other} for own, other in zip(columns, guide, strict=True)]
    wanted = float(loss(features, None))
    recipe = FinetuneConfig.model_validate({"base": "b", "loss": "gist", "guide": "g"})
    assert float(losses.build(recipe)(columns, None, guide)) == pytest.approx(wanted, rel=1e-5)


def test_cached_loss_has_the_gradients_of_the_whole_batch(evaluator, tiny_suite, tiny_model):
    plain = _trained(evaluator, tiny_suite, "plain", _recipe(tiny_model, dropout=0.0, matryoshka=[32, 16]))
    cached = _recipe(tiny_model, dropout=0.0, matryoshka=[32, 16], loss="cached-mnrl", mini_batch_size=1)
    found = _trained(evaluator, tiny_suite, "cached", cached)
    assert _weights(found.folder) == pytest.approx(_weights(plain.folder), abs=2e-5)
    assert not np.allclose(_weights(plain.folder), _weights(tiny_model), atol=2e-5)


def _weights(folder):
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


@pytest.mark.parametrize(
    "more",
    [
        {"loss": "gist", "guide": "MODEL"},
        {"loss": "triplet", "accumulate": 2},
        {"loss": "cosent"},
        {"lora": {"r": 2, "targets": ["query", "value"]}},
        {"scheduler": "cosine", "weight_decay": 0.1, "precision": "bf16"},
        {"kind": "cross-encoder"},
        {"kind": "cross-encoder", "loss": "mnrl"},
        {"kind": "cross-encoder", "loss": "lambda"},
    ],
)
def test_every_recipe_moves_the_weights_and_saves_a_plain_model(evaluator, tiny_suite, tiny_model, more):
    from sentence_transformers import CrossEncoder, SentenceTransformer

    more = {key: str(tiny_model) if value == "MODEL" else value for key, value in more.items()}
    model = _trained(evaluator, tiny_suite, "m", _recipe(tiny_model, **more))
    assert model.lineage["weights"] == weights_digest(model.folder) != weights_digest(tiny_model)
    assert np.isfinite([row["loss"] for row in model.lineage["history"]]).all()
    if model.lineage["kind"] == "bi-encoder":
        loaded = SentenceTransformer(str(model.folder), device="cpu", local_files_only=True)
        assert not np.allclose(_weights(model.folder), _weights(tiny_model))
        assert loaded.encode(["brake"]).shape == (1, 32)
    else:
        assert CrossEncoder(str(model.folder), device="cpu", local_files_only=True).predict([("a", "b")]).shape == (1,)
    if "lora" in more:
        assert model.lineage["parameters"]["trained"] < model.lineage["parameters"]["all"] / 4


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"accumulate": 2}, "cached-mnrl"),
        ({"loss": "gist"}, "guide"),
        ({"loss": "bce"}, "trains no bi-encoder"),
        ({"loss": "triplet"}, "add a table of negatives"),
        ({"kind": "cross-encoder", "matryoshka": [2]}, "makes scores"),
        ({"loss": "triplet", "negatives": BM, "scale": 3.0}, "has no scale"),
    ],
)
def test_what_does_not_fit_together_is_refused(more, says):
    with pytest.raises(ValidationError, match=says):
        FinetuneConfig.model_validate({"base": "b"} | more)


# --- passes of like length -------------------------------------------------------------------------


def test_tokens_and_vectors_are_the_models_own(tiny_model):
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_model), device="cpu", local_files_only=True)
    texts = ["brake", "how do I patch a hole in the tube", "Größe", "oil " * 200, ""]
    tokens = tokenised(model, texts)
    for row, text in enumerate(texts):
        assert tokens.ids[row].tolist() == model.preprocess([text])["input_ids"][0].tolist()
    with torch.no_grad():
        made = model(tokens.batch(range(len(texts)), "cpu"))["sentence_embedding"].numpy()
    np.testing.assert_allclose(made, model.encode(texts), atol=2e-6)


def test_split_into_passes_is_the_cheapest():
    # By hand: lengths 1 1 1 10 with 3 a pass: one pass 4·10+3 = 43; two 3·1+3 + 10+3 = 19; at 40 a pass one is cheaper.
    lengths = np.array([10, 1, 1, 1])
    assert like_lengths(lengths, pass_tokens=3) == [[1, 2, 3], [0]]
    assert like_lengths(lengths, pass_tokens=40) == [[1, 2, 3, 0]]
    assert [len(rows) for rows in like_lengths(lengths, pass_tokens=3, most=2)] == [2, 1, 1]


# --- dev -------------------------------------------------------------------------------------------


def test_best_weights_on_dev_are_kept_and_training_stops_early(evaluator, tiny_suite, tiny_model, monkeypatch):
    from bench.train.fitting import finetune as module

    values = iter([0.2, 0.5, 0.4, 0.3, 0.9])
    monkeypatch.setattr(module, "dev_measure", lambda *_: lambda: next(values))
    recipe = _recipe(tiny_model, epochs=9, eval={"every": 1, "patience": 2}, keep_checkpoints=True, checkpoint_every=1)
    model = _trained(evaluator, tiny_suite, "m", recipe)
    assert model.lineage["stopped_early"]
    assert model.lineage["best"] == {"step": 2, "dev": 0.5}
    assert model.lineage["steps"] == 4
    models = evaluator.store.root / "models"
    kept = find_model("finetune:m@2", base=tiny_suite.folder, models=models)
    np.testing.assert_array_equal(_weights(kept), _weights(model.folder))
    with pytest.raises(ConfigError, match="there are 1, 2, 3, 4"):
        find_model("finetune:m@7", base=tiny_suite.folder, models=models)


@pytest.mark.parametrize("kind", ["bi-encoder", "cross-encoder"])
def test_dev_curve_is_measured_on_dev_alone(evaluator, tiny_suite, tiny_model, kind):
    recipe = _recipe(tiny_model, kind=kind, eval={"every": 1, "measure": "mrr@10"})
    before = _trained(evaluator, tiny_suite, "m", recipe).lineage
    assert [row["step"] for row in before["history"] if "dev" in row] == list(range(1, before["steps"] + 1))
    assert all(0 <= row["dev"] <= 1 for row in before["history"] if "dev" in row)
    changed = tiny_suite.edit("qrels/shop.tsv", "h7\td18\t1", "h7\td19\t2")
    other = Evaluator(changed, evaluator.systems, evaluator.store)
    assert _trained(other, tiny_suite, "m", recipe).lineage["history"] == before["history"]


def test_model_in_training_that_ranks_no_judged_document_counts_0(evaluator, tiny_model):
    dev = _DevSet(evaluator, EvalConfig(every=1, measure="mrr@10"), "dev")
    unjudged = next(i for i in dev.corpus.ids if not any(i in judged for judged in dev.qrels.values()))
    n = len(dev.query_set.ids)
    values = dev.measured([unjudged], np.zeros((n, 1), np.int64), np.ones((n, 1), np.float32))
    assert values.tolist() == [0.0] * len(values) and len(values)


def test_what_is_learnt_from_dev_is_not_chosen_by_dev(evaluator, tiny_suite, tiny_model):
    config = BenchConfig.model_validate({"suites": ["tiny"], "systems": {"bm25": {"kind": "bm25"}}})
    recipe = _recipe(tiny_model, pairs=["train", "dev"], eval={"every": 1})
    with pytest.raises(ConfigError, match='trains on "dev", of role dev, and eval chooses'):
        finetune("m", recipe, evaluator=evaluator, base=tiny_suite.folder, config=config)


def test_sweep_is_decided_by_dev_and_the_best_trains_all_seeds(evaluator, tiny_suite, tiny_model):
    rates = [1e-6, 3e-3]
    recipe = _recipe(tiny_model, eval={"every": 2}, sweep={"learning_rate": rates, "dropout": [0.0]}, seeds=[0, 1])
    models = finetune("m", recipe, evaluator=evaluator, base=tiny_suite.folder)
    swept = json.loads((evaluator.store.root / "models/m/sweep.json").read_text())
    assert [row["learning_rate"] for row in swept["tried"]] == rates
    best = max(swept["tried"], key=lambda row: row["dev"])
    assert swept["chosen"] == {"dev": best["dev"], "learning_rate": best["learning_rate"], "dropout": 0.0}
    assert [model.lineage["recipe"]["learning_rate"] for model in models] == [best["learning_rate"]] * 2
    assert [model.lineage["seed"] for model in models] == [0, 1]
    # The first seed's model is the one of the sweep, and the recipe without a sweep is the same recipe.
    assert models[0].folder.name == best["folder"]
    plain = _recipe(tiny_model, eval={"every": 2}, learning_rate=best["learning_rate"], dropout=0.0)
    assert not _trained(evaluator, tiny_suite, "m", plain).made


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ({"learning_rates": [1e-5]}, 'Did you mean "learning_rate"?'),
        ({"learning_rate": []}, "expected one or more different values"),
        ({"learning_rate": [1e-5, 1e-5]}, "expected one or more different values"),
        ({"loss": ["mnrl", "triplet"]}, "add a table of negatives"),
        ({"learning_rate": [-1.0]}, "greater than 0"),
    ],
)
def test_sweep_that_cannot_be_trained_is_refused_before_training(tiny_model, sweep, says):
    with pytest.raises(ValidationError, match=re.escape(says)):
        _recipe(tiny_model, negatives=None, eval={"every": 2}, sweep=sweep)


def test_sweep_needs_a_dev_measure(tiny_model):
    with pytest.raises(ValidationError, match="a sweep chooses by the dev sets"):
        _recipe(tiny_model, sweep={"learning_rate": [1e-5]})


# --- kills -----------------------------------------------------------------------------------------

SCRIPT = """
import sys, time
from pathlib import Path
from bench import suite
from bench.config import FinetuneConfig
from bench.evaluation.evaluate import Evaluator
from bench.base.store import Store
from bench.retrieval.systems.bm25 import BM25, Config
from bench.train.fitting.dev import _DevSet
from bench.train.fitting.finetune import finetune
folder, store, recipe, slow = Path(sys.argv[1]), Store(sys.argv[2]), sys.argv[3], float(sys.argv[4])
bm25 = BM25("bm25", Config.model_validate({"kind": "bm25"}))
evaluator = Evaluator(suite.load(folder), {"bm25": bm25}, store)
def told(stage, done, total):
    if stage.startswith("fine-tune") and total:  # without a total: that it goes on from a step
        print(done, flush=True)
        time.sleep(slow)
finetune("m", FinetuneConfig.model_validate_json(recipe), evaluator=evaluator, base=folder, progress=told)
"""


def test_training_interrupted_ten_times_ends_with_the_weights_of_an_unbroken_one(evaluator, tiny_suite, tiny_model):
    recipe = _recipe(tiny_model, epochs=30, eval={"every": 7}, checkpoint_every=2)
    whole = _trained(evaluator, tiny_suite, "whole", recipe).lineage
    stops = iter(sorted(random.Random(0).sample(range(2, 30), 10)))
    stop = next(stops)

    def breaks(stage, done, total):
        nonlocal stop
        if stage.startswith("fine-tune") and done == stop:
            stop = next(stops, -1)
            raise KeyboardInterrupt

    while True:
        try:
            (found,) = finetune("cut", recipe, evaluator=evaluator, base=tiny_suite.folder, progress=breaks)
            break
        except KeyboardInterrupt:
            continue
    assert found.lineage["resumed"] >= 9
    for key in ("weights", "history", "best", "steps"):
        assert found.lineage[key] == whole[key]


def test_interruption_of_a_write_is_an_interruption_and_training_goes_on(
    evaluator, tiny_suite, tiny_model, monkeypatch
):
    from bench.train.fitting import fit as module

    recipe = _recipe(tiny_model, epochs=6, checkpoint_every=1)
    whole = _trained(evaluator, tiny_suite, "whole", recipe).lineage
    written, write = [], module.write_state

    def breaks(folder, state):
        write(folder, state)
        written.append(state)
        if len(written) == 3:
            try:
                raise KeyboardInterrupt
            finally:
                raise RuntimeError("unexpected pos 137794112 vs 137794000")

    monkeypatch.setattr(module, "write_state", breaks)
    with pytest.raises(KeyboardInterrupt):
        _trained(evaluator, tiny_suite, "cut", recipe)
    again = _trained(evaluator, tiny_suite, "cut", recipe).lineage
    assert again["resumed"] == 1
    assert again["weights"] == whole["weights"]


@pytest.mark.slow
def test_training_killed_at_ten_random_moments_ends_with_the_same_digest(evaluator, tiny_suite, tiny_model):
    recipe = _recipe(tiny_model, epochs=40, eval={"every": 7}, checkpoint_every=1)
    whole = _trained(evaluator, tiny_suite, "m", recipe).lineage
    store = tiny_suite.folder / "store"
    command = [sys.executable, "-c", SCRIPT, str(tiny_suite.folder), str(store), recipe.model_dump_json(by_alias=True)]
    rng = random.Random(1)
    for _ in range(10):
        process = subprocess.Popen([*command, "0.05"], stdout=subprocess.PIPE, env=dict(os.environ))
        # Some steps on, so that a look at dev, which takes longer than any pause here, is got over in the end.
        for _ in range(rng.randint(1, 4)):
            process.stdout.readline()
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert subprocess.run([*command, "0"], capture_output=True).returncode == 0
    (path,) = (store / "models/m").glob("*/lineage.json")
    found = json.loads(path.read_text())
    assert found["resumed"] >= 5
    for key in ("weights", "history", "best", "steps"):
        assert found[key] == whole[key]
    assert not list((store / "models/m").glob(".training-*"))


@pytest.mark.slow
def test_two_processes_train_what_one_does(evaluator, tiny_suite, tiny_model, tmp_path):
    recipe = _recipe(tiny_model, dropout=0.0, epochs=4, device="cpu")
    alone = _trained(evaluator, tiny_suite, "m", recipe)
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    store = tmp_path / "two"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29611", str(script)]
    command += [str(tiny_suite.folder), str(store), recipe.model_dump_json(by_alias=True), "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = (store / "models/m").glob("*/lineage.json")
    assert json.loads(path.read_text())["processes"] == 2
    assert _weights(path.parent) == pytest.approx(_weights(alone.folder), abs=2e-5)


def test_second_suite_object_finds_the_model(evaluator, tiny_suite, tiny_model):
    recipe = _recipe(tiny_model)
    assert _trained(evaluator, tiny_suite, "m", recipe).made
    again = Evaluator(suite_module.load(tiny_suite.folder), evaluator.systems, evaluator.store)
    assert not _trained(again, tiny_suite, "m", recipe).made
