"""Encoders and rerankers behind an address, against a server that misbehaves over real HTTP."""

import asyncio
import json

import numpy as np
import pytest
from fake_time import FakeTime
from hypothesis import given, settings, strategies
from model_server import SIZE, ModelServer, relevance, vector

from bench.base.errors import BenchError, ConfigError, SystemFailed
from bench.base.registry import load_kind
from bench.cli.main import main
from bench.config import load_bench
from bench.retrieval import rerankers
from bench.retrieval.embed import embed, score_pairs
from bench.retrieval.encoders import openai
from bench.retrieval.remote.many import NO_ANSWER
from bench.retrieval.rerankers import cohere

KEY = "sk-test-5d0c81e7aa"
TEXTS = [f"passage number {i} is about topic{i} and oil" for i in range(9)]
PAIRS = [(query, text) for query in ("oil", "topic3?") for text in TEXTS]


@pytest.fixture
def encoder(tmp_path):
    def build(server, **keys):
        table = {"kind": "openai", "base_url": server.base_url, "model": "m", "dim": SIZE, **keys}
        module, config = load_kind("encoders", table, "encoder")
        made = module.build(config, base=tmp_path, models=tmp_path)
        made.server.pace = FakeTime().pace
        return made

    return build


@pytest.fixture
def scorer(tmp_path):
    def build(server, **keys):
        table = {"kind": "cohere", "base_url": server.base_url, "model": "r", **keys}
        made = rerankers.build(table, "reranker", base=tmp_path, models=tmp_path)
        made.server.pace = FakeTime().pace
        return made

    return build


FAULTS = [
    "bad_gateway",
    "error",
    "limited",
    "limited_for",
    "html",
    "reset",
    "truncated",
    "compressed",
    "empty",
    "no_data",
    "nan_vector",
    "ragged",
    "twice",
    "deep",
]

# --- embeddings ---


def test_vectors_are_the_servers_in_the_order_of_the_texts(encoder):
    with ModelServer() as server:
        rows = encoder(server, batch_size=2).encode(TEXTS)
    np.testing.assert_array_equal(rows, np.asarray([vector(text) for text in TEXTS], dtype=np.float32))
    assert rows.dtype == np.float32
    assert sorted(len(request["input"]) for request in server.requests) == [1, 2, 2, 2, 2]
    assert {request["model"] for request in server.requests} == {"m"} and set(server.paths) == {"/v1/embeddings"}


def test_prompts_cuts_and_parameters_reach_the_server(encoder):
    with ModelServer() as server:
        made = encoder(
            server, query_prompt="ask: ", document_prompt="tell: ", max_chars=9, parameters={"truncate": True}
        )
        made.encode(made.prompted(["oil and water", ""], "query") + made.prompted([""], "document"))
        encoder(server).encode(encoder(server).prompted([""], "document"))
    assert server.texts() == ["ask: oil ", "ask: ", "tell: ", " "]
    assert server.requests[0]["truncate"] is True


def test_a_changed_document_costs_one_encoding(encoder, store):
    with ModelServer() as server:
        made = encoder(server)
        embed(made, TEXTS, kind="document", store=store)
        before = len(server.texts())
        found = embed(made, [*TEXTS[1:], "a new one"], kind="document", store=store)
        assert found.n_new == 1
        assert server.texts()[before:] == [made.canary, "a new one"]
        asked = len(server.requests)
        embed(made, TEXTS, kind="document", store=store)
        assert len(server.requests) == asked, "what is kept asks nobody"


def test_another_model_under_the_same_name_is_noticed(encoder, store):
    with ModelServer() as server:
        embed(encoder(server), TEXTS[:5], kind="document", store=store)
        server.weights = "w1"
        with pytest.raises(SystemFailed, match=r"another model has the name now.*revision"):
            embed(encoder(server), TEXTS, kind="document", store=store)
        found = embed(encoder(server, revision="w1"), TEXTS, kind="document", store=store)
    np.testing.assert_array_equal(found.rows[0], np.asarray(vector(TEXTS[0], "w1"), dtype=np.float32))


def test_rounding_is_no_other_model(encoder, store, monkeypatch):
    with ModelServer() as server:
        made = encoder(server)
        embed(made, TEXTS[:5], kind="document", store=store)
        encode = made.encode
        monkeypatch.setattr(made, "encode", lambda texts: encode(texts) * 1.0007 + np.float32(0.0004))
        assert embed(made, TEXTS, kind="document", store=store).n_new == 4


@pytest.mark.parametrize(
    "fault",
    FAULTS,
)
def test_a_fault_that_passes_costs_a_repetition(encoder, scorer, fault):
    if fault not in ("nan_vector", "ragged"):
        with ModelServer([fault]) as server:
            scores = scorer(server).score(PAIRS)
        np.testing.assert_allclose(scores, [relevance(*pair) for pair in PAIRS])
    with ModelServer([fault]) as server:
        rows = encoder(server, batch_size=4).encode(TEXTS)
    np.testing.assert_array_equal(rows, np.asarray([vector(text) for text in TEXTS], dtype=np.float32))
    assert len(server.requests) == 4


def test_a_server_that_is_down_ends_the_run_with_a_sentence_and_keeps_what_was_made(encoder, store, monkeypatch):
    monkeypatch.setattr("bench.retrieval.embed.CHUNK", 4)
    with ModelServer(["good", "good"], always="error") as server:
        with pytest.raises(SystemFailed, match=r'did not answer for model "m": HTTP 500.*run the command again'):
            embed(encoder(server), TEXTS, kind="document", store=store)
        server.always = "good"
        before = len(server.texts())
        assert embed(encoder(server), TEXTS, kind="document", store=store).n_new == 5
        assert len(server.texts()[before:]) == 6, "five that were missing, and the canary"
    with pytest.raises(SystemFailed, match=r"did not answer.*no connection"):
        encoder(server).encode(TEXTS)


def test_a_slow_server_is_given_up_at_the_deadline(encoder):
    with ModelServer(always="slow") as server, pytest.raises(SystemFailed, match="timeout"):
        encoder(server, timeout_s=0.05).encode(TEXTS[:1])


@pytest.mark.parametrize("fault", ["unauthorized", "nowhere"])
def test_a_wrong_key_costs_one_request_and_is_never_shown(encoder, monkeypatch, fault, capsys):
    monkeypatch.setenv("A_KEY", KEY)
    always = fault if fault == "unauthorized" else lambda asked: (404, {}, b"{}")
    with ModelServer(always=always) as server, pytest.raises(SystemFailed) as caught:
        encoder(server, api_key_env="A_KEY", batch_size=1).encode(TEXTS)
    assert len(server.requests) == 1
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(caught.value) and ("HTTP 401" in str(caught.value) or "HTTP 404" in str(caught.value))


def test_no_key_is_asked_for_until_something_is_sent(encoder, store, monkeypatch):
    """A gate that reads stored results runs where no key is."""
    monkeypatch.delenv("A_KEY", raising=False)
    with ModelServer() as server:
        made = encoder(server, api_key_env="A_KEY")
        made.fingerprint()
        with pytest.raises(ConfigError, match="A_KEY is not set"):
            made.encode(["x"])


def test_vectors_of_another_size_are_refused(encoder):
    with ModelServer() as server, pytest.raises(SystemFailed, match=r"16 numbers for 9 texts; expected.*dim = 8"):
        encoder(server, dim=8).encode(TEXTS)


def test_encoding_works_under_a_running_event_loop(encoder):
    with ModelServer() as server:

        async def notebook():
            return encoder(server).encode(TEXTS[:2])

        assert asyncio.run(notebook()).shape == (2, SIZE)


def test_the_address_and_the_revision_are_part_of_what_a_vector_is(encoder):
    with ModelServer() as server:
        prints = [
            json.dumps(encoder(server, **keys).fingerprint(), sort_keys=True)
            for keys in ({}, {"model": "n"}, {"revision": "2"}, {"max_chars": 5}, {"parameters": {"a": 1}})
        ] + [json.dumps(encoder(server, query_prompt="q").fingerprint(), sort_keys=True)]
        assert len(set(prints)) == 6
        same = encoder(server, batch_size=3, concurrency=9, timeout_s=5).fingerprint()
        assert json.dumps(same, sort_keys=True) == prints[0]


def test_a_key_that_the_server_puts_into_its_answer_is_not_shown(encoder, monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    body = json.dumps({"data": [{"index": 0, "embedding": [KEY] * SIZE}]}).encode()
    with ModelServer(always=lambda asked: (200, {}, body)) as server, pytest.raises(SystemFailed) as caught:
        encoder(server, api_key_env="A_KEY").encode(TEXTS[:1])
    assert "could not convert" in str(caught.value) and KEY not in str(caught.value)


# --- rerank ---


def test_a_query_is_asked_once_with_all_its_documents(scorer, store):
    with ModelServer() as server:
        found = score_pairs(scorer(server), PAIRS[::2] + PAIRS[1::2], store=store)
        queries = [request["query"] for request in server.requests]
    np.testing.assert_allclose(found.rows[:, 0], [relevance(*pair) for pair in PAIRS[::2] + PAIRS[1::2]])
    assert sorted(queries[1:]) == ["oil", "topic3?"] and queries[0] == scorer(server).canary[0]


def test_long_lists_are_divided(scorer):
    with ModelServer() as server:
        scorer(server, batch_size=4).score(PAIRS)
    assert sorted(len(request["documents"]) for request in server.requests) == [1, 1, 4, 4, 4, 4]


def test_a_parameter_that_cuts_the_answer_is_named(scorer):
    with ModelServer() as server, pytest.raises(SystemFailed, match=r"scored 3 of a query's 9 documents.*top_n"):
        scorer(server, parameters={"top_n": 3}).score(PAIRS)


def test_another_reranker_under_the_same_name_is_noticed(scorer, store):
    with ModelServer() as server:
        score_pairs(scorer(server), PAIRS[:4], store=store)
        server.weights = "w1"
        with pytest.raises(SystemFailed, match="another model has the name now"):
            score_pairs(scorer(server), PAIRS, store=store)


# --- whatever comes back ---

JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.floats()
    | strategies.integers()
    | strategies.text(max_size=4),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(
            strategies.sampled_from(["data", "results", "index", "embedding", "relevance_score", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON | strategies.fixed_dictionaries({"data": strategies.lists(JSON, max_size=2)}))
@settings(max_examples=200, deadline=None)
def test_any_document_is_an_answer_or_a_fault(document):
    for read in (openai.rows_of, cohere.scores_of):
        try:
            found = read(document)
        except NO_ANSWER:
            continue
        values = found if read is openai.rows_of else np.asarray(list(found.values()))
        assert np.isfinite(values).all() and len(found)


def test_tables_are_checked_with_the_config(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(
        'suites = ["s"]\n[systems.a]\nkind = "dense"\nencoder = { kind = "openai", base_url = "http://h/v1" }\n'
        '[systems.b]\nkind = "rerank"\nfirst = "a"\n'
        'reranker = { kind = "cohere", base_url = "http://h", modell = "m" }\n'
    )
    with pytest.raises(BenchError) as caught:
        load_bench(path)
    told = str(caught.value)
    assert "systems.a.encoder: model is missing" in told and "systems.a.encoder: dim is missing" in told
    assert "systems.b.reranker: unknown key modell" in told and 'Did you mean "model"?' in told


def test_hosted_models_go_through_run_and_gate_and_the_gate_asks_nobody(tiny_suite, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with ModelServer() as server:
        (tmp_path / "bench.toml").write_text(
            f'suites = ["{tiny_suite.folder}"]\n[systems.hosted]\nkind = "dense"\ndims = [16, 8]\n'
            f'encoder = {{ kind = "openai", base_url = "{server.base_url}", model = "m", dim = 16 }}\n'
            '[systems.reranked]\nkind = "rerank"\nfirst = "hosted@8"\ndepth = 3\n'
            f'reranker = {{ kind = "cohere", base_url = "{server.base_url}", model = "r" }}\n'
            '[gate]\nsystem = "reranked"\n'
        )
        assert main(["run"]) == 0
    asked = len(server.requests)
    assert asked > 4 and server.paths.count("/v1/rerank") > 1
    # The server is gone: what is stored is enough.
    assert main(["run"]) == 0
    assert main(["baseline", "accept", "--reason", "first"]) == 0
    assert main(["gate"]) == 0
    assert main(["report"]) == 0
    assert main(["decide", "--current", "hosted"]) == 0
    assert main(["models", "manifest", "--system", "hosted@8", "--corpus", "manual", "--out", "m.json"]) == 0
    assert main(["models", "check-manifest", "m.json", "--system", "hosted@8"]) == 0
    assert len(server.requests) == asked
    assert "identical" in capsys.readouterr().err
