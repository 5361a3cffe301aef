"""The client of chat-completions servers and the pairs it brings, against a server that misbehaves over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path

import pytest
from fake_time import FakeTime
from hypothesis import given, settings, strategies
from llm_server import MODEL, LLMServer, completion, queries_for
from pydantic import ValidationError

from bench.base.errors import ConfigError, PairsError
from bench.base.store import Store
from bench.cli.main import main
from bench.records import Corpus, EvalProtocol, Labels, QuerySet, Suite
from bench.retrieval.remote import Endpoint, Fault, Pace, Stopped, api_key
from bench.retrieval.remote.client import retry_after_s
from bench.train.llm.batch import Client
from bench.train.llm.ledger import Budget, Price, Spent, estimated_tokens
from bench.train.origins import Context, llm
from bench.train.pairs import read_pairs

KEY = "sk-test-7f3a9c21d4"
PRICE = {"input": 1.0, "output": 10.0, "source": "a price list of this test", "date": "2026-01-01"}


@pytest.fixture
def fake_time(monkeypatch):
    clock = FakeTime()
    monkeypatch.setattr(
        llm, "pace", lambda config, seed: clock.pace(give_up_after=config.give_up_after, seed=seed), raising=True
    )
    return clock


def corpus_of(n=6):
    return Corpus.build("manual", [(f"d{i:02}", f"{'x' * i} passage {'of words ' * 12} end{i}") for i in range(n)])


class Case:
    """A suite, a store and a config; `run` asks and returns (pairs, counts)."""

    def __init__(self, folder, corpus=None):
        corpus = corpus or corpus_of()
        self.suite = Suite("s", 1, "", EvalProtocol(("ndcg@10",)), {corpus.name: corpus}, {}, {})
        self.folder = folder
        self.said = []

    def config(self, server, **keys):
        base_url = server if isinstance(server, str) else server.base_url
        return llm.Config(
            **{"kind": "llm", "base_url": base_url, "model": "stand-in", "timeout_s": 0.25, "concurrency": 1} | keys
        )

    def context(self, seed=0):
        return Context(
            self.suite, self.folder, Store(self.folder / ".bench"), seed, lambda *said: self.said.append(said)
        )

    def run(self, server, *, seed=0, **keys):
        context = self.context(seed)
        return list(llm.pairs(self.config(server, **keys), context)), context.counts | context.this_run

    def stored(self):
        """Everything in the working folder as one text."""
        return "\n".join(p.read_text() for p in sorted((self.folder / ".bench").rglob("*")) if p.is_file())

    def ledger(self):
        (path,) = (self.folder / ".bench" / "llm").glob("*/ledger.jsonl")
        return [json.loads(line) for line in path.read_text().split("\n") if line]


@pytest.fixture
def case(tmp_path, fake_time):
    return Case(tmp_path)


# --- what comes back --------------------------------------------------------------------------------


def test_every_passage_has_its_queries_with_model_prompt_and_style(case):
    with LLMServer() as server:
        found, counts = case.run(server, per_passage=2)
    assert [pair.doc_id for pair in found] == [d for d in dict.fromkeys(p.doc_id for p in found) for _ in range(2)]
    assert len(found) == 12 and counts["passages chosen"] == 6 and counts["requests"] == 6
    assert {pair.origin for pair in found} == {"llm"} and {pair.provenance["model"] for pair in found} == {MODEL}
    (job,) = (case.folder / ".bench" / "llm").glob("*/job.json")
    assert {pair.provenance["prompt"] for pair in found} == {json.loads(job.read_text())["prompt_digest"]}
    assert all(pair.document == case.suite.corpora["manual"].texts[int(pair.doc_id[1:])] for pair in found)
    assert len({pair.query_id for pair in found}) == 12


def test_styles_are_asked_for_in_equal_shares(tmp_path, fake_time):
    case = Case(tmp_path, corpus_of(40))
    with LLMServer() as server:
        found, _ = case.run(server, per_passage=2, concurrency=4)
    shares = [sum(pair.provenance["style"] == style for pair in found) for style in ("question", "keywords")]
    # 80 queries in 4 styles: 20 each, within what a draw of 40 beginnings gives.
    assert all(10 <= share <= 30 for share in shares)


def test_the_order_of_pairs_does_not_hang_on_which_answer_comes_first(tmp_path, fake_time):
    orders = []
    for concurrency in (1, 4):
        with LLMServer() as server:
            found, _ = Case(tmp_path / str(concurrency)).run(server, concurrency=concurrency)
        orders.append(found)
    assert orders[0] == orders[1]


def test_a_second_run_asks_nothing_and_needs_neither_server_nor_key(case, monkeypatch):
    monkeypatch.setenv("A_KEY", "secret-1")
    with LLMServer() as server:
        first, _ = case.run(server, api_key_env="A_KEY")
    monkeypatch.delenv("A_KEY")
    second, counts = case.run(server, api_key_env="A_KEY")
    assert second == first and counts["passages answered in an earlier run"] == 6 and "requests" not in counts


def test_what_hangs_on_the_run_stands_in_no_pair_file(case):
    with LLMServer(["error"]) as server:
        counts = []
        for _ in range(2):
            context = case.context()
            list(llm.pairs(case.config(server), context))
            counts.append(context.counts)
    assert counts[0] == counts[1] == {"passages chosen": 6}


def test_more_passages_keep_the_earlier_ones(case):
    with LLMServer() as server:
        few, _ = case.run(server, passages=2)
        more, counts = case.run(server, passages=5)
        assert len(server.requests) == 5
    assert [p.query_id for p in more[: len(few)]] == [p.query_id for p in few]
    assert counts["passages answered in an earlier run"] == 2


def test_passages_are_chosen_by_seed_and_stratum_in_proportion():
    # 30 short passages and 10 long ones; ids tell the source.
    texts = [(f"a-{i:02}", "short " * 20) for i in range(30)] + [(f"b-{i:02}", "long " * 90) for i in range(10)]
    corpus = Corpus.build("c", [*texts, ("c-00", "tiny")])
    config = llm.Config(kind="llm", base_url="http://localhost/v1", model="m", passages=12, stratify="id:[a-z]+")
    rows = llm.chosen(corpus, config, 0)
    assert [sum(corpus.ids[row].startswith(s) for row in rows) for s in "abc"] == [9, 3, 0]
    assert rows == llm.chosen(corpus, config, 0) != llm.chosen(corpus, config, 1)
    longest = llm.Config(kind="llm", base_url="http://localhost/v1", model="m", passages=8)
    assert sum(corpus.ids[row].startswith("b") for row in llm.chosen(corpus, longest, 0)) == 2


def test_a_corpus_without_a_passage_is_said(case):
    with pytest.raises(PairsError, match="of 6 none has 5000 characters"):
        case.run("http://localhost/v1", min_passage_chars=5000)


def test_documents_that_evaluation_holds_are_not_paid_for(tmp_path, fake_time):
    corpus = corpus_of(6)
    copy = Corpus.build("manual", [*zip(corpus.ids, corpus.texts, strict=True), ("copy", corpus.texts[2].upper())])
    case = Case(tmp_path, copy)
    judged = QuerySet.build("staff", "held-out", "manual", [("q1", "which one ends?")])
    labels = {"staff": Labels({"q1": {"d02": 1, "d03": 0}})}
    case.suite = Suite("s", 1, "", EvalProtocol(("ndcg@10",)), {"manual": copy}, {"staff": judged}, labels)
    with LLMServer() as server:
        found, counts = case.run(server)
        assert len(server.requests) == 5
    assert {pair.doc_id for pair in found} == {"d00", "d01", "d03", "d04", "d05"}
    assert counts["documents not asked about, because evaluation holds them"] == 2


def test_the_strictest_form_of_json_that_the_server_takes_is_found_once(case):
    for takes, refused in (("json_schema",), 0), (("json_object",), 1), (("none",), 2):
        with LLMServer(takes=takes) as server:
            found, counts = Case(case.folder / takes[0]).run(server, concurrency=4)
        assert len(found) == 18 and counts["requests"] == len(server.requests) == 6 + refused


def test_one_passage_refused_after_the_form_is_settled_does_not_change_it(case):
    with LLMServer(["good", "form"]) as server:
        found, counts = case.run(server)
    assert len(found) == 15
    assert [key for key in counts if key.startswith("passages lost: HTTP 400 (")] and len(server.requests) == 6
    assert all(r["response_format"]["type"] == "json_schema" for r in server.requests)


# --- wrong answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("not_json", "not JSON"),
        ("nan_content", "not JSON"),
        ("json_in_json", "wrong schema"),
        ("wrong_schema", "wrong schema"),
        ("wrong_count", "wrong number of queries"),
    ],
)
def test_an_unusable_answer_is_asked_for_again_with_what_was_wrong_then_given_up(case, fault, reason):
    with LLMServer([fault]) as server:
        found, _ = case.run(server, passages=1)
        assert len(found) == 3 and len(server.requests) == 2
    again = server.requests[1]["messages"]
    assert [m["role"] for m in again] == ["system", "user", "assistant", "user"] and "cannot be used" in again[3][
        "content"
    ]
    with LLMServer([fault] * 3) as server:
        found, counts = Case(case.folder / "b").run(server, asks_again=2)
        assert len(found) == 15 and counts[f"passages lost: unusable answer: {reason}"] == 1
        assert len(server.requests) == 3 + 5


def test_refusals_and_cut_answers_are_told_apart(case):
    def refusal(asked):
        message = {"role": "assistant", "content": None, "refusal": "I cannot"}
        return 200, {}, completion("", choices=[{"message": message, "finish_reason": "stop"}])

    def cut(asked):
        message = {"role": "assistant", "content": '{"queries": ['}
        return 200, {}, completion("", choices=[{"message": message, "finish_reason": "length"}])

    with LLMServer([refusal, cut, cut]) as server:
        found, counts = case.run(server, asks_again=1)
    assert counts["passages lost: the model refused"] == 1
    assert counts["passages lost: unusable answer: cut at the token limit"] == 1 and len(found) == 12


# --- a server that is slow, rude or broken ----------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("html", "the server's answer is not JSON"),
        ("nan_body", "the server's answer is not JSON"),
        ("deep", "the server's answer is not JSON"),
        ("huge", "the server's answer is too large"),
        ("compressed", "the server's answer is compressed"),
        ("truncated", "connection cut"),
        ("reset", "connection cut"),
        ("limited", "rate limited (HTTP 429)"),
        ("error", "HTTP 500"),
        ("bad_gateway", "HTTP 502"),
    ],
)
def test_a_passing_fault_costs_one_more_request_and_no_pair(case, fault, reason):
    with LLMServer([fault]) as server:
        found, counts = case.run(server)
    assert len(found) == 18 and counts["requests"] == 7 and not [key for key in counts if "lost" in key]
    assert [row["outcome"] for row in case.ledger()] == [reason, *["answered"] * 6]


@pytest.mark.parametrize("fault", ["slow", "dripping_headers"])
def test_a_slow_exchange_ends_at_its_deadline(case, fault):
    with LLMServer([fault]) as server:
        found, counts = case.run(server, passages=2)
    assert len(found) == 6 and counts["requests"] == 3
    assert [row["outcome"] for row in case.ledger()] == ["timeout", "answered", "answered"]


def test_a_wrong_content_type_does_no_harm(case):
    with LLMServer(["wrong_type"]) as server:
        found, counts = case.run(server)
    assert len(found) == 18 and counts["requests"] == 6


def test_what_fails_for_one_passage_is_lost_and_counted_and_the_next_run_fills_the_hole(case):
    with LLMServer(["good", *["error"] * 4, "good", *["limited"] * 4]) as server:
        found, counts = case.run(server)
        assert len(found) == 12 and len(server.requests) == 4 + 8
        assert counts["passages lost: HTTP 500"] == 1
        assert counts['passages lost: rate limited (HTTP 429) ({"error": {"message": "slow down"}})'] == 1
        asked, filled = server.passages(), len(server.requests)
        holes = {p for p in asked if asked.count(p) > 1}
        more, _ = case.run(server)
        assert set(server.passages()[filled:]) == holes and len(server.requests) == filled + 2
    assert len(more) == 18


def test_retry_after_is_waited_for_by_everybody(case, fake_time):
    with LLMServer(["limited_for"]) as server:
        found, _ = case.run(server, concurrency=3)
    assert len(found) == 18 and fake_time.t >= 7


def test_a_wait_of_hours_ends_the_batch(case, fake_time):
    with LLMServer(["good", "limited_for_hours"]) as server:
        found, counts = case.run(server)
        assert len(server.requests) == 2
    assert len(found) == 3 and fake_time.t < 60
    assert sum(n for key, n in counts.items() if "not asked: the server demands a wait of 7200 s" in key) == 4


def test_retry_after_takes_seconds_and_dates_and_ignores_the_rest():
    assert retry_after_s("7", 0) == 7 and retry_after_s("1.5", 0) == 1.5 and retry_after_s(None, 0) is None
    assert retry_after_s(formatdate(1_000_030, usegmt=True), 1_000_000.0) == 30
    assert retry_after_s(formatdate(5, usegmt=True), 1_000_000.0) == 0
    for rubbish in ("-3", "soon", "NaN", "1e9", "", "9" * 400, "Wed, 99 Foo 2026 00:00:00 GMT"):
        assert retry_after_s(rubbish, 0) is None


def test_a_server_that_is_down_ends_the_batch_soon(tmp_path, fake_time):
    with LLMServer() as server:
        address = server.base_url
    case = Case(tmp_path, corpus_of(50))
    with pytest.raises(PairsError, match=f"{address}, model .*: not one of 50 passages") as caught:
        case.run(address, concurrency=4, give_up_after=6)
    assert "4 × no connection" in str(caught.value) and "46 × not asked" in str(caught.value)
    assert "6 times in a row" in str(caught.value)
    # 50 passages with 4 attempts each would be 200 requests.
    assert len(case.ledger()) <= 6 + 3 and fake_time.t < 90


def test_a_server_that_goes_down_midway_loses_the_rest_only(tmp_path, fake_time):
    case = Case(tmp_path, corpus_of(30))
    with LLMServer(["good"] * 10, always="error") as server:
        found, counts = case.run(server, concurrency=3)
        assert len(found) == 30 and len(server.requests) < 10 + 8 * 3
        lost = {key: n for key, n in counts.items() if "lost" in key}
        assert sum(lost.values()) == 20 and any("8 times in a row" in key for key in lost)
        server.always, before = "good", len(server.requests)
        more, _ = case.run(server, concurrency=3)
        assert len(more) == 90 and len(server.requests) == before + 20


def test_a_server_that_refuses_every_form_of_request_ends_the_batch(tmp_path, fake_time):
    case = Case(tmp_path, corpus_of(40))
    with LLMServer(always="form") as server, pytest.raises(PairsError, match="HTTP 400"):
        case.run(server, give_up_after=5)
    assert len(server.requests) == 5 * 3


@pytest.mark.parametrize("status", [401, 403, 404, 402])
def test_a_refusal_that_holds_for_all_ends_the_batch_at_once(case, status):
    with (
        LLMServer(always=lambda asked: (status, {}, b"{}")) as server,
        pytest.raises(PairsError, match=f"HTTP {status}"),
    ):
        case.run(server, concurrency=4)
    assert len(server.requests) == 1


def test_an_account_without_quota_ends_the_batch_at_once(case):
    body = b'{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}'
    with LLMServer(always=lambda asked: (429, {"Retry-After": "1"}, body)) as server:
        with pytest.raises(PairsError, match="no quota left"):
            case.run(server)
        assert len(server.requests) == 1


PASSING = (
    "html",
    "bad_gateway",
    "nan_body",
    "deep",
    "truncated",
    "huge",
    "compressed",
    "limited",
    "limited_for",
    "error",
)
UNUSABLE = ("not_json", "json_in_json", "wrong_schema", "wrong_count", "nan_content")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_server_does_every_passage_is_answered_or_lost_by_reason(tmp_path, fake_time, seed):
    case, chance = Case(tmp_path, corpus_of(40)), random.Random(seed)
    kinds = [*PASSING, *UNUSABLE, "reset", "form", *["good"] * 6]
    with LLMServer(["good", *(chance.choice(kinds) for _ in range(90))]) as server:
        found, counts = case.run(server, concurrency=4, attempts=3, asks_again=1, give_up_after=30)
        answered = {pair.doc_id for pair in found}
        lost = {key: n for key, n in counts.items() if key.startswith("passages lost: ")}
        assert len(found) == 3 * len(answered) and sum(lost.values()) == 40 - len(answered) > 0
        assert counts["requests"] == len(server.requests) == len(case.ledger())
        server.script.clear()
        before = len(server.requests)
        more, counts = case.run(server, concurrency=4)
        # One request a hole, and what was answered is what it was.
        assert len(server.requests) - before == sum(lost.values()) == counts["requests"]
        assert len(more) == 120 and [pair for pair in more if pair.doc_id in answered] == found


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.floats() | strategies.integers() | strategies.text(),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(
            strategies.sampled_from(
                ["choices", "message", "content", "usage", "prompt_tokens", "model", "refusal", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON | strategies.fixed_dictionaries({"choices": strategies.lists(JSON, max_size=2), "usage": JSON}))
@settings(max_examples=100, deadline=None)
def test_any_body_is_an_answer_or_a_fault(document):
    client = Client(Endpoint("http://localhost/v1", "m"), KEY)
    for body in (json.dumps(document).encode(), json.dumps(document).encode("utf-16"), repr(document).encode()):
        # Anything else that is raised fails the test.
        with contextlib.suppress(Fault):
            found = client._answer(body)
            assert isinstance(found.text, str) and found.model


def test_many_at_once_count_as_one_failure():
    clock = FakeTime()
    pace = clock.pace(give_up_after=3)
    fault = Fault("HTTP 500", retry=True)
    for began in (0.0, 0.0, 0.0, 0.0):
        clock.t = 1.0
        pace.failed(fault, began)
    assert pace.failures == 1 and not pace.why
    for began in (2.0, 5.0):
        clock.t = began + 1
        pace.failed(fault, began)
    assert pace.why
    with pytest.raises(Stopped, match="3 times in a row"):
        asyncio.run(pace.ready())


def test_backoff_doubles_within_its_jitter_to_a_cap_and_is_seeded():
    waits = [[Pace(seed=seed).backoff_s(n) for n in (1, 2, 3, 4, 20)] for seed in (0, 0, 1)]
    assert waits[0] == waits[1] != waits[2]
    for wait, full in zip(waits[0], (0.5, 1, 2, 4, 30), strict=True):
        assert full / 2 <= wait <= full


# --- budget -----------------------------------------------------------------------------------------


def test_a_budget_of_requests_ends_the_batch_cleanly_and_holds_over_runs(case):
    with LLMServer() as server:
        found, counts = case.run(server, budget={"requests": 4}, concurrency=3)
        assert len(found) == 12 and len(server.requests) == 4
        assert counts["passages lost: not asked: the budget of 4 requests is used up"] == 2
        again, _ = case.run(server, budget={"requests": 4})
        assert again == found and len(server.requests) == 4
        more, _ = case.run(server, budget={"requests": 5})
        assert len(more) == 15 and len(server.requests) == 5


def test_a_budget_of_tokens_or_money_is_never_exceeded(case):
    # The stand-in counts 200 + 50 tokens an answer, which is 700 millionths of a dollar at PRICE; an answer is
    # reserved with 800 completion tokens, more than it takes.
    with LLMServer() as server:
        found, counts = case.run(server, budget={"tokens": 1700}, concurrency=3)
        assert 0 < len(found) < 18 and counts["prompt tokens"] + counts["completion tokens"] <= 1700
    other = Case(case.folder / "usd")
    with LLMServer() as server:
        found, counts = other.run(server, budget={"usd": 0.0105}, price=PRICE, max_tokens=800, concurrency=3)
        assert counts["US dollars"] == pytest.approx(0.0007 * len(server.requests)) and counts["US dollars"] <= 0.0105
        assert 0 < len(found) < 18 and any("budget of 0.0105 US dollars" in key for key in counts)


def test_tokens_that_no_server_counted_are_estimated_and_said_to_be(case):
    def silent(asked):
        return 200, {}, completion(json.dumps({"queries": queries_for(asked["messages"][1]["content"])}), usage=None)

    with LLMServer(always=silent) as server:
        _, counts = case.run(server, passages=2)
    key = "of these tokens, estimated because the server counted none"
    assert counts[key] == counts["prompt tokens"] + counts["completion tokens"] > 0


@pytest.mark.parametrize("usage", [{"prompt_tokens": -5}, {"prompt_tokens": True}, {"prompt_tokens": 10**30}, [], "x"])
def test_a_count_of_tokens_that_is_none_is_estimated(case, usage):
    def odd(asked):
        return 200, {}, completion(json.dumps({"queries": queries_for(asked["messages"][1]["content"])}), usage=usage)

    with LLMServer(always=odd) as server:
        _, counts = case.run(server, passages=1)
    assert 0 < counts["prompt tokens"] < 2000


def test_an_estimate_asks_nothing_and_learns_from_what_was_counted(case):
    with LLMServer() as server:
        config = case.config(server, price=PRICE, budget={"usd": 0.001})
        before = llm.estimate(config, case.context())
        assert (before.requests, before.answered, before.over) == (6, 0, "0.001 US dollars")
        assert "rule of thumb" in before.basis and before.price == "a price list of this test, 2026-01-01"
        assert server.requests == []
        case.run(server, passages=2, price=PRICE)
    after = llm.estimate(config, case.context())
    assert (after.requests, after.answered) == (4, 2) and "2 answers" in after.basis
    # 4 answers at 50 tokens each; prompts at what the server counted for prompts of this length, about 200.
    assert after.completion_tokens == 200 and 600 <= after.prompt_tokens <= 1000
    assert after.price_usd == pytest.approx((after.prompt_tokens + 10 * 200) / 1e6)
    assert after.spent == Spent(2, 400, 100, 0, pytest.approx(0.0014))
    json.dumps(after.to_json(), allow_nan=False)


def test_the_first_limit_that_is_exceeded_is_named():
    assert Budget(requests=3).exceeded_by(Spent(3)) == "" and Budget(requests=3).exceeded_by(Spent(4)) == "3 requests"
    assert Budget(tokens=10).exceeded_by(Spent(1, 6, 5)) == "10 tokens"
    price = Price(input=0.15, output=0.6, source="a price list", date="2026-01-01")
    # 1,000 prompt tokens at 0.15 and 500 at 0.60 dollars a million: 0.00015 + 0.0003.
    assert Spent.of(1000, 500, 0, price).price_usd == pytest.approx(0.00045)
    assert estimated_tokens("abcd efgh") == 3 and estimated_tokens("日本語") == 3 and estimated_tokens("") == 0


# --- what is kept -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_pays_nothing_twice(tmp_path, how):
    case = Case(tmp_path, corpus_of(30))
    code = (
        "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; import test_llm\n"
        "case = test_llm.Case(Path(sys.argv[1]), test_llm.corpus_of(30))\n"
        "case.run(sys.argv[2], concurrency=2, timeout_s=30)"
    )
    with LLMServer(["good"] * 12, always="slow") as server:
        arguments = [sys.executable, "-c", code, str(tmp_path), server.base_url, str(Path(__file__).parent)]
        process = subprocess.Popen(arguments, env=dict(os.environ), stderr=subprocess.PIPE)
        try:
            for _ in range(1500):
                # Two requests wait for answers that do not come: all twelve before them are kept.
                if len(server.requests) == 14 or process.poll() is not None:
                    break
                server.released.wait(0.02)
        finally:
            process.send_signal(how)
            process.communicate()
        kept = set(server.passages()[:12])
        # Who is asked to end has time to write down what may be billed; who is killed has not.
        interrupted = sum(row["outcome"] == "interrupted" for row in case.ledger())
        assert interrupted == (2 if how is signal.SIGINT else 0)
        server.always = "good"
        server.requests.clear()
        found, counts = case.run(server, timeout_s=5)
        assert counts["passages answered in an earlier run"] == 12 and len(found) == 90
        assert len(server.requests) == 18 and not kept & set(server.passages())


def test_a_damaged_answer_or_ledger_line_is_a_hole_and_nothing_worse(case):
    with LLMServer() as server:
        first, _ = case.run(server)
        answers = sorted(p for p in (case.folder / ".bench/llm").glob("*/*.json") if p.name != "job.json")
        answers[0].write_text(answers[0].read_text()[:40])
        answers[1].write_text('{"format": 1, "key": "other", "text": "x", "model": "m"}')
        document = json.loads(answers[2].read_text())
        answers[2].write_text(json.dumps(document | {"text": '{"queries": []}'}))
        (ledger,) = (case.folder / ".bench/llm").glob("*/ledger.jsonl")
        ledger.write_bytes(ledger.read_bytes()[:-10] + b"\n\xff[[[")
        second, counts = case.run(server)
        assert second == first and len(server.requests) == 9 and counts["requests"] == 3
        # Nine requests, of which one line was cut.
        assert llm.estimate(case.config(server), case.context()).spent.requests == 8


def test_failures_are_not_kept_as_answers(case):
    with LLMServer(always="not_json") as server, pytest.raises(PairsError, match="unusable answer: not JSON"):
        case.run(server)
    assert [p.name for p in (case.folder / ".bench/llm").glob("*/*.json")] == ["job.json"]
    # Six passages, each asked three times, and all of that is on the books.
    assert len(case.ledger()) == 18 and {row["prompt_tokens"] for row in case.ledger()} == {200}


def test_another_model_prompt_or_parameter_is_another_question(case):
    with LLMServer() as server:
        for keys in ({}, {"model": "other"}, {"temperature": 0.2}, {"styles": ["broad"]}, {"extra": {"top_p": 0.5}}):
            case.run(server, passages=1, **keys)
        assert len(server.requests) == 5
        # What leaves the answer as it is asks nothing anew.
        case.run(server, passages=1, weight=0.5, concurrency=3, attempts=2, budget={"requests": 9})
        assert len(server.requests) == 5


# --- secrets and addresses --------------------------------------------------------------------------


def test_the_key_reaches_the_server_and_nothing_else(case, monkeypatch, caplog, capfd):
    """Even where the server sends it back: in an error, in a model's name, in the answer, escaped as JSON may be."""
    monkeypatch.setenv("A_KEY", KEY)
    caplog.set_level(logging.DEBUG)

    def echo(asked):
        rows = queries_for(asked["messages"][1]["content"])
        rows[0]["query"] = f"is {KEY} the key of this server?"
        content = json.dumps({"queries": rows})
        body = completion(content, model=f"model-{KEY}")
        return 200, {}, body.replace(b"sk-", b"\\u0073k-")

    def wrong(asked):
        return 500, {}, f"the key {KEY} broke it".encode()

    with LLMServer([wrong, echo, "not_json"], always="unauthorized") as server:
        found, counts = case.run(server, api_key_env="A_KEY", asks_again=0)
        assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    said = [str(found), str(counts), str(case.said), case.stored(), caplog.text, *capfd.readouterr()]
    assert len(found) == 3 and "[key]" in said[0] and "[key]" in said[3]
    assert not any(KEY in text for text in said)
    with LLMServer(always="unauthorized") as server, pytest.raises(PairsError) as caught:
        case.run(server, api_key_env="A_KEY", model="other")
    assert KEY not in str(caught.value) and "Incorrect API key provided: [key]" in str(caught.value)
    assert KEY not in repr(Client(Endpoint("https://h/v1", "m"), KEY))


def test_a_redirect_is_not_followed(case, monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    with LLMServer() as elsewhere:
        there = {"Location": f"{elsewhere.base_url}/chat/completions"}
        with LLMServer(always=lambda asked: (307, there, b"")) as server:
            with pytest.raises(PairsError, match="redirect"):
                case.run(server, api_key_env="A_KEY", concurrency=4)
            assert len(server.requests) == 1
        assert elsewhere.requests == []


def test_a_proxy_is_not_told_of_a_server_on_this_machine(case, monkeypatch):
    with LLMServer() as proxy, LLMServer() as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        monkeypatch.setenv("http_proxy", proxy.base_url)
        found, _ = case.run(server)
        assert len(found) == 18 and proxy.requests == []


def test_a_key_does_not_travel_unencrypted_to_another_machine():
    for url in ("http://example.com/v1", "http://10.0.0.5:8000/v1", "http://localhost.example.com/v1"):
        with pytest.raises(ConfigError, match="plain_http"):
            Endpoint(url, "m", "A_KEY")
        Endpoint(url, "m", "A_KEY", plain_http=True)
        Endpoint(url, "m")
    for url in ("http://localhost:8000/v1", "http://127.0.0.9/v1", "http://[::1]:8000/v1", "https://example.com/v1"):
        Endpoint(url, "m", "A_KEY")


@pytest.mark.parametrize("url", ["https://u:hunter2@h/v1", "https://h/v1?key=hunter2", "http://127.0.0.1@h/v1#hunter2"])
def test_an_address_with_a_secret_in_it_is_refused_and_not_shown(url):
    with pytest.raises(ConfigError) as caught:
        Endpoint(url, "m")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "ftp://h", "h/v1", "https://", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match="base_url"):
        Endpoint(url, "m")


def test_a_key_in_the_place_of_its_variables_name_is_refused_and_not_shown(monkeypatch):
    with pytest.raises(ConfigError, match="api_key_env") as caught:
        Endpoint("https://h/v1", "m", KEY)
    assert KEY not in str(caught.value)
    with pytest.raises(ConfigError, match="NO_SUCH_KEY is not set"):
        api_key(Endpoint("https://h/v1", "m", "NO_SUCH_KEY"))
    monkeypatch.setenv("A_KEY", "two\nlines")
    with pytest.raises(ConfigError, match="no key has"):
        api_key(Endpoint("https://h/v1", "m", "A_KEY"))


def test_another_machine_is_asked_only_within_a_budget(case):
    with pytest.raises(ConfigError, match="budget is missing"):
        case.run("https://example.invalid/v1")


# --- the table --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"styles": ["questoin"]}, 'Did you mean "question"'),
        ({"styles": ["question", "question"]}, "twice"),
        ({"budget": {"usd": 1.0}}, "needs a price"),
        ({"extra": {"messages": []}}, "cannot be set here"),
        ({"extra": {"x": float("nan")}}, "values that JSON has"),
        ({"stratify": "id:("}, "not a regular expression"),
        ({"stratify": "size"}, "expected length"),
        ({"language": "German"}, "language"),
        ({"budget": {"requests": 0}}, "requests"),
        ({"modle": "x"}, "modle"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(keys, said):
    with pytest.raises(ValidationError, match=said):
        llm.Config(**{"kind": "llm", "base_url": "http://localhost/v1", "model": "m"} | keys)


def test_a_corpus_is_named_where_there_are_several(tmp_path):
    case = Case(tmp_path)
    with pytest.raises(ConfigError, match=r'"manul".*Did you mean "manual"'):
        case.run("http://localhost/v1", corpus="manul")


def test_a_template_of_ones_own_is_filled_and_digested(case):
    (case.folder / "mine.txt").write_text("Ask {{n}} things.\n{{styles}}\n<passage x>\n{{passage}}\n</passage x>")
    with LLMServer() as server:
        ours, _ = case.run(server, passages=1)
        mine, _ = case.run(server, passages=1, template="mine.txt", styles=["legal"], wordings={"legal": "as § asks"})
    assert mine[0].provenance["prompt"] != ours[0].provenance["prompt"]
    assert "1. legal: as § asks" in server.requests[1]["messages"][1]["content"]
    (case.folder / "mine.txt").write_text("Ask about {{passage}} {{stiles}}")
    with pytest.raises(ConfigError, match=r"holds \{\{stiles\}\}"):
        case.run("http://localhost/v1", template="mine.txt")
    (case.folder / "mine.txt").write_text("Ask about {{passage}}")
    with pytest.raises(ConfigError, match=r"lacks \{\{styles\}\}"):
        case.run("http://localhost/v1", template="mine.txt")
    with pytest.raises(ConfigError, match="cannot be read"):
        case.run("http://localhost/v1", template="none.txt")


def test_it_works_where_an_event_loop_runs_already(case):
    async def notebook():
        with LLMServer() as server:
            return case.run(server)

    assert len(asyncio.run(notebook())[0]) == 18


# --- bench pairs ------------------------------------------------------------------------------------


def test_bench_pairs_makes_them_end_to_end(tiny_suite, tmp_path, monkeypatch, capsys, fake_time):
    monkeypatch.chdir(tmp_path)
    with LLMServer(["good", *["error"] * 4]) as server:
        Path("bench.toml").write_text(
            f"""
            suites = [{json.dumps(str(tiny_suite.folder))}]
            [systems.bm25]
            kind = "bm25"
            [[pairs.written.from]]
            kind = "llm"
            base_url = "{server.base_url}"
            model = "m"
            concurrency = 1
            min_passage_chars = 20
            price = {{ input = 1, output = 10, source = "here", date = "2026-01-01" }}
            """
        )
        assert main(["pairs", "--dry-run", "--json"]) == 0
        (planned,) = json.loads(capsys.readouterr().out)["dry_run"]
        assert server.requests == [] and planned["requests"] == planned["passages"] > 1 and planned["price_usd"] > 0
        assert main(["pairs", "written", "--json"]) == 0
        (made,) = json.loads(capsys.readouterr().out)["made"]
        (read,) = made["read"]
        assert read["counts"]["passages lost: HTTP 500"] == 1
        assert made["this_run"][0]["requests"] == len(server.requests) == planned["requests"] + 3
        before = len(server.requests)
        assert main(["pairs", "written"]) == 0
        assert len(server.requests) == before + 1 and "US dollars over all runs" in capsys.readouterr().err
        whole = Path(made["out"]).read_bytes()
        assert main(["pairs", "written"]) == 0
        assert len(server.requests) == before + 1 and Path(made["out"]).read_bytes() == whole
    header, pairs = read_pairs(Path(made["out"]))
    assert {pair.origin for pair in pairs} == {"llm"} and header["read"][0]["pairs"] == 3 * planned["passages"]
