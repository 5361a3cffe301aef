"""Claims about the decision page, its Markdown and its terminal text: what comes first, and what stays dead."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from bench.config import DecideConfig, DecideOption, PriceConfig, PricesConfig
from bench.decide.case import Case
from bench.decide.choose import decide
from bench.decide.costs import Quantities
from bench.decide.curve import Forecast
from bench.decide.options import Facts
from bench.decide.records import Recommendation
from bench.decide.vocabulary import Vocabulary
from bench.project.material import decision_page
from bench.report import Material
from bench.report.blocks import Banner, Bullets, Heading, Table
from bench.report.forms import terminal
from bench.report.forms.html import render
from bench.report.forms.markdown import markdown
from bench.report.sections import decision
from bench.retrieval.systems.rerank import Config as Rerank

HOSTILE = "<script>alert(1)</script>| `x` [l](https://evil.example) @octocat \x1b[31m"


def hits(n, total=400):
    return [1.0] * n + [0.0] * (total - n)


def price(usd):
    return PriceConfig(usd=usd, source="a price list", date=date(2026, 1, 1))


@pytest.fixture
def found(make_result) -> Recommendation:
    """BM25 is chosen, a hybrid fails, a reranker was not measured; all is priced."""
    facts = {
        "base": Facts("base", DecideOption("embedding"), dim=384, precision="float32", weights="b"),
        "base/int8": Facts("base/int8", DecideOption("embedding"), dim=384, precision="int8", weights="b"),
        "bm25": Facts("bm25", DecideOption("bm25", stores="term index")),
        "hybrid": Facts("hybrid", DecideOption("hybrid"), parts=("bm25", "base")),
        "reranked": Facts("reranked", Rerank.option, parts=("base",), reorders=20),
    }
    values = {"base": (200, 300), "base/int8": (200, 300), "bm25": (260, 299), "hybrid": (261, 300)}
    results = {
        name: {
            "home": make_result({"recall@10": hits(home), "ndcg@10": hits(home)}, system=name, query_set="home"),
            "away": make_result(
                {"recall@10": hits(away), "ndcg@10": hits(away)},
                system=name,
                query_set="away",
                role="out-of-distribution",
            ),
        }
        for name, (home, away) in values.items()
    }
    config = DecideConfig(
        documents=250_000_000,
        queries_per_month=1_000_000,
        prices=PricesConfig(storage_gib_month=price(3.8), machine_hour=price(1), answered_query=price(0.1)),
    )
    measured = Quantities(
        documents=1000, index={"bm25": (400_000, 1000)}, encode_rate={"b": 100}, query_rate={"b": 100}, pairs=1200
    )
    curve = Forecast("r", "recall@10", "home", {100: 0.5, 200: 0.6}, 300, refusal="Too few.")
    vocabulary = Vocabulary(1000, 1.3, 0.2, 0.0, 0.5, ("amoxicillin",), 90.0)
    return decide(
        Case(
            "clinic", "base", "said", results, facts, config, measured, {"base": {10: 0.5, 100: 0.8}},
            missing={"reranked": "bench run --system reranked"}, vocabulary=vocabulary, curves=(curve,),
        )
    )  # fmt: skip


def test_answer_comes_first_then_options_reasons_cost_and_doubt(found):
    blocks = decision.build(decision_page(found))
    first = blocks[0]
    assert isinstance(first, Banner)
    assert "".join(map(str, first.title)).startswith("Choose BM25 alone (bm25): recall@10 rises from 0.500 to 0.650")
    assert isinstance(blocks[1], Bullets)
    headings = ["".join(map(str, block.text)) for block in blocks if isinstance(block, Heading) and block.level == 3]
    assert headings == ["Options", "Why", "Cost", "What would change this"]


def test_table_of_options_says_what_becomes_of_each(found):
    table = next(block for block in decision.build(decision_page(found)) if isinstance(block, Table))
    titles = [column.title for column in table.columns]
    rows = {row[1].text: dict(zip(titles, row, strict=True)) for row in table.rows}
    assert rows["bm25"]["Verdict"].text == "chosen"
    assert rows["base"]["Verdict"].text == "in use"
    assert rows["hybrid"]["Verdict"].text == "no better than a part alone"
    assert rows["reranked"]["Verdict"].text == "not measured"
    assert rows["bm25"]["Gain"].text == "+0.150"
    assert rows["bm25"]["Largest drop"].text == "−0.003"
    # 250 million × 1,536 bytes / 2³⁰, and 400 bytes a document of BM25.
    assert rows["base"]["Index"].text == "357.63\u202fGiB"
    assert rows["bm25"]["Index"].text == "93.13\u202fGiB"


def test_rules_stand_with_value_threshold_and_source(found):
    tables = [block for block in decision.build(decision_page(found)) if isinstance(block, Table)]
    rules = next(table for table in tables if table.caption == "Rules of thumb")
    few = next(row for row in rules.rows if row[0].text == "few pairs")
    assert [datum.text for datum in few[1:4]] == ["1,200", "1,000", "no"]
    assert few[4].text.startswith("With fewer labelled pairs, prefer hybrid retrieval to fine-tuning. [Zilliz AI FAQ")
    assert "10.18653/v1/2020.sustainlp-1.14" in few[4].text
    # Markdown and the terminal cut a cell at 200 characters: no source may fall off the end.
    assert all(len(row[4].text) <= 200 for row in rules.rows)


def test_page_is_whole_without_a_recommendation_and_with_one(found):
    assert decision.build(Material("t", (), "")) == []
    page = render(decision_page(found))
    for part in ("Choose BM25 alone", "357.63", "a price list", "2026-01-01", "Under other assumptions", "amoxicillin"):
        assert part in page


def test_hostile_names_stay_dead_in_every_form(found, capsys):
    doubts = (HOSTILE,)
    price_of = {"label": {"usd": 1.0, "source": HOSTILE, "date": "2026-01-01"}}
    options = tuple(replace(one, system=one.system and one.system + HOSTILE, todo=HOSTILE) for one in found.options)
    bad = replace(
        found, suite=HOSTILE, current=HOSTILE, sentences=(HOSTILE, HOSTILE), doubts=doubts, prices=price_of,
        options=options, system="bm25" + HOSTILE, vocabulary=HOSTILE,
    )  # fmt: skip
    page, text = render(decision_page(bad)), markdown(decision.build(decision_page(bad)))
    assert "<script>alert" not in page
    assert "://" not in page
    assert "<script>" not in text
    assert not re.search(r"(?<!&#64;)@octocat", text)
    assert "](" not in text
    terminal.blocks(decision.build(decision_page(bad)))
    assert "\x1b" not in capsys.readouterr().err


def test_without_a_value_no_payback_is_printed(found):
    with_value = markdown(decision.build(decision_page(found)))
    assert "Payback: <strong>" in with_value
    options = tuple(replace(one, benefit=None) for one in found.options)
    without = markdown(decision.build(decision_page(replace(found, options=options))))
    assert "Payback:" not in without
    assert "No payback is stated." in without


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_terminal_breaks_no_word_and_names_what_has_no_room(found, width, monkeypatch, capsys):
    monkeypatch.setattr(terminal, "console_width", lambda: width)
    terminal.blocks(decision.build(decision_page(found)))
    said = capsys.readouterr().err
    assert "RECOMMENDED. Choose BM25 alone" in said
    options = said.split("Options on clinic")[1].split("A gain is the difference")[0]
    assert all(len(line) <= width for line in options.splitlines() if "No room" not in line)
    assert "base/int8" in options
    assert ("No room for" in options) == (width < 100)


def test_config_of_the_documentation_is_valid():
    text = (Path(__file__).parent.parent / "docs" / "decide.md").read_text(encoding="utf-8")
    table = tomllib.loads(text.split("```toml\n")[1].split("```")[0])
    config = DecideConfig.model_validate(table["decide"])
    assert (config.documents, config.prices.storage_gib_month.usd) == (250_000_000, 3.8)
