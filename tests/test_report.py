"""Reports: every section on hand-made records, hostile input, one look through a real browser."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bench.base import registry, words
from bench.gate.verdict import judge
from bench.records import Change, EvalProtocol, Finding, Policy, Result, Scores, digest_of
from bench.report import Material, charts, sentences
from bench.report.blocks import Banner, Figure, Folded, Prose, QueryList, Table
from bench.report.forms.html import markdown, render, sections, write
from bench.report.forms.markdown import inert
from bench.report.reading import differences, judged_result, pooled, tasks
from bench.report.sections import (
    checks,
    comparison,
    dimensions,
    glossary,
    pareto,
    provenance,
    queries,
    roles,
    slices,
    summary,
    training,
    verdicts,
)
from bench.report.text import Span, plain

pytestmark = pytest.mark.filterwarnings("error")

N = 40
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></script>{{ 7*7 }} $x_{$ | a | b `code` "
    "[link](https://evil.example/) ![p](http://evil.example/p.png) @octocat #1 www.evil.example "
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07 \u202egnp.exe\u2069 &lt; <!-- --> \x00\x9b"
)
COMMAND = "\n::error::owned\n::set-output name=x::y"
LONG = "w" * 10_000


def a_result(
    system: str,
    query_set: str,
    recall: Sequence[float],
    *,
    role: str = "held-out",
    kind: str = "dense",
    dim: int = 64,
    precision: str = "float32",
    index_bytes: int | None = 1_000,
    query_ids: Sequence[str] = (),
    **others: Any,
) -> Result:
    """A result made directly from per-query recall; ndcg is nine tenths of it, rankings are told apart by digest."""
    ids = tuple(query_ids) or tuple(f"{query_set}-{i:03d}" for i in range(len(recall)))
    values = np.stack([np.asarray(recall, dtype=float), 0.9 * np.asarray(recall, dtype=float)], axis=1)
    n = len(ids)
    vectors = {"encoder": {"weights": "w"}, "similarity": "cosine", "dim": dim, "precision": precision}
    made: dict[str, Any] = {
        "system": system,
        "system_digest": digest_of(system),
        "kind": kind,
        "suite": "tiny",
        "suite_version": 1,
        "suite_digest": digest_of("tiny"),
        "query_set": query_set,
        "role": role,
        "query_set_digest": digest_of(query_set),
        "corpus_digest": digest_of("corpus"),
        "labels_digest": digest_of([query_set, "labels"]),
        "protocol": EvalProtocol(("recall@10", "ndcg@10"), depth=10),
        "run_digest": digest_of([system, query_set]),
        "scores": Scores(
            ("recall@10", "ndcg@10"),
            ids,
            values,
            np.ones(n),
            {measure: digest_of([measure, values.tolist()]) for measure in ("recall@10", "ndcg@10")},
        ),
        "top_ids": tuple(
            (f"d{i:03d}", f"{system}-other") if hit else (f"{system}-other",) for i, hit in enumerate(recall)
        ),
        "clusters": (None,) * n,
        "slices": tuple(("even" if i % 2 == 0 else "odd",) for i in range(n)),
        "pinned": tuple(i < 2 for i in range(n)),
        "recipe": {"fingerprint": vectors if kind == "dense" else {}},
        "seconds": {"encode_documents": 1.5, "encode_queries": 0.2, "index": 0.01, "search": 0.001, "total": 1.711},
        "index_bytes": index_bytes,
        "environment": {"python": "3.11.9", "cores": 2, "packages": {"numpy": "2.4"}},
    }
    return Result(**made | others)


def hits(n_hits: int, n: int = N) -> list[float]:
    """The first `n_hits` of n queries are answered, the others are not."""
    return [1.0] * n_hits + [0.0] * (n - n_hits)


def a_material(**others: Any) -> Material:
    """Three systems on two roles: "tuned" gains at home and loses abroad, "base/int8" changes next to nothing."""
    results = (
        a_result("base", "home", hits(20), index_bytes=4_000),
        a_result("tuned", "home", hits(38), kind="hybrid", index_bytes=8_000),
        a_result("base/int8", "home", [*hits(20)[:-1], 1.0], precision="int8"),
        a_result("base@32", "home", hits(12), dim=32, index_bytes=2_000),
        a_result("base", "away", hits(30), role="out-of-distribution", index_bytes=4_000),
        a_result("tuned", "away", hits(12), role="out-of-distribution", kind="hybrid", index_bytes=8_000),
        a_result("base/int8", "away", hits(30), role="out-of-distribution", precision="int8"),
        a_result("base@32", "away", hits(29), role="out-of-distribution", dim=32, index_bytes=2_000),
    )
    by = {name: [r for r in results if r.system == name] for name in ("base", "tuned", "base/int8")}
    ids = {name: [f"{name}-{i:03d}" for i in range(N)] for name in ("home", "away")}
    made: dict[str, Any] = {
        "title": "Tiny: which retriever?",
        "results": results,
        "reference": "base",
        "verdicts": tuple(judge(by["base"], by[name], Policy()) for name in ("tuned", "base/int8", "base")),
        "findings": (Finding("warning", "few-queries", "home", "Query set home has 40 queries.", 40),),
        "training": (
            {
                "name": "clinic",
                "kind": "matryoshka",
                "base": {"name": "base"},
                "recipe": {"loss": "mnrl"},
                "seed": 0,
                "data": {"pairs": 12, "rows": 24, "dropped_as_leaks": ["q1"]},
                "history": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}, {"step": 3, "loss": float("nan")}],
                "seconds": 93.0,
            },
        ),
        "texts": {name: {q: f"what about {q}" for q in held} for name, held in ids.items()},
        "documents": {name: {f"d{i:03d}": f"Title {i} text" for i in range(N)} for name in ids},
        "qrels": {name: {q: {f"d{i:03d}": 1} for i, q in enumerate(held)} for name, held in ids.items()},
        "commands": ("bench run --suite tiny",),
        "made": "2026-11-20",
        "version": "0.1.0",
    }
    return Material(**made | others)


@pytest.fixture(scope="module")
def material() -> Material:
    return a_material()


@pytest.fixture(scope="module")
def page(material: Material) -> str:
    return render(material)


EMPTY = Material(title="Nothing", results=(), reference="base")


def said(blocks: Sequence[Any]) -> str:
    """Everything that blocks say, in one string."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping):
            walk(list(value.values()))
        elif isinstance(value, (list, tuple)) and any(isinstance(one, Span) for one in value):
            found.append("".join(one if isinstance(one, str) else one.text for one in value))
        elif isinstance(value, (list, tuple)):
            for one in value:
                walk(one)
        elif is_dataclass(value):
            walk([getattr(value, one.name) for one in fields(value) if one.name not in ("tone", "style", "kind")])

    walk(list(blocks))
    return " ".join(" ".join(found).split())


class Reader(HTMLParser):
    """What a browser would build: tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.inside.append("/" + tag)

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] not in ("script", "style"):
            self.texts.append(data)


# --- sections --------------------------------------------------------------------------------------


def test_page_holds_every_section_in_order(material: Material) -> None:
    titles = [section.name for section in sections(material)]
    assert titles == [
        "summary",
        "verdicts",
        "comparison",
        "roles",
        "dimensions",
        "depth",
        "pareto",
        "slices",
        "queries",
        "training",
        "checks",
        "provenance",
        "glossary",
    ]


def test_sections_without_material_are_absent() -> None:
    assert sections(EMPTY) == []
    assert "No results." in render(EMPTY)


def test_a_new_section_is_one_new_file(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("bench.report.sections.extra")
    module.ORDER, module.TITLE, module.build = 5, "Extra", lambda material: [Prose(["Hi."])]
    monkeypatch.setitem(sys.modules, "bench.report.sections.extra", module)
    built_in = registry._built_in
    monkeypatch.setattr(
        registry, "_built_in", lambda group: (*built_in(group), "extra") if group == "sections" else built_in(group)
    )
    assert [section.name for section in sections(material)][:3] == ["summary", "extra", "verdicts"]


def test_section_summary_says_who_wins_and_what_hurts(material: Material) -> None:
    text = said(summary.build(material))
    assert "On the 40 held-out queries (home), tuned has the highest recall@10, 0.950" in text
    assert "is shown to be a gain" in text
    assert "the reference base shares the highest recall@10, 0.750" in text
    assert "base/int8 and base@32 are not shown to differ from it" in text
    assert "Better on held-out queries, but worse out of distribution: tuned on away (−0.450 [" in text
    assert "base/int8 needs an index of 1.0 kB instead of 4.0 kB, and a drop in recall@10 of more than" in text


def test_section_summary_never_claims_what_the_interval_leaves_open() -> None:
    results = (a_result("base", "home", hits(20)), a_result("new", "home", hits(21)))
    text = said(summary.build(Material(title="", results=results, reference="base")))
    assert "is not shown to be real: the interval includes 0" in text
    assert "a gain" not in text.split("Words used here")[0]


def test_section_summary_names_no_smaller_index_whose_loss_is_open() -> None:
    # One query of forty lost: nothing is shown, and a drop of a tenth is not ruled out either.
    results = (a_result("base", "home", hits(20)), a_result("small", "home", hits(19), index_bytes=10))
    assert "needs an index" not in said(summary.build(Material(title="", results=results, reference="base")))


def test_section_summary_warns_first_when_the_suite_is_in_doubt(material: Material) -> None:
    doubt = replace(material, findings=(Finding("error", "leak", "home", "Leak."),))
    blocks = summary.build(doubt)
    assert (
        said(blocks[:1]) == "Do not rely on these numbers yet: the check of the suite found 1 error (see Suite check)."
    )


def test_section_verdicts_states_outcome_cells_and_reasons(material: Material) -> None:
    blocks = verdicts.build(material)
    banners = [block for block in blocks if isinstance(block, Banner)]
    assert [banner.label for banner in banners] == ["Regression", "Inconclusive", "Pass"]
    assert [banner.anchor for banner in banners] == ["verdict-1", "verdict-2", "verdict-3"]
    assert "A regression is shown in 2 of 4 comparisons. The largest drop is on away: recall@10 −0.450" in said(
        [banners[0]]
    )
    assert "against its accepted baseline" in said([banners[2]])
    assert "Every ranking is identical" in said([banners[2]])
    table = next(block for block in blocks if isinstance(block, Table))
    assert [row[0].text for row in table.rows] == ["home", "home", "away", "away"]
    drawn = table.rows[2][5].range
    assert drawn is not None and drawn.margin == 0.03 and drawn.low < drawn.middle < drawn.high < 0
    assert any(isinstance(block, Folded) and block.summary == "Reasons for passes and improvements" for block in blocks)


def test_verdict_sentence_names_lost_pinned_queries(material: Material) -> None:
    verdict = material.verdicts[1]
    lost = replace(verdict, outcome="fail", pinned_lost=(("home", Change("home-000", 1.0, 0.0)),), n_pinned=4)
    assert "1 of 4 pinned queries lost relevant documents." in said([sentences.verdict_sentence(lost)])
    assert "home-000" in said(verdicts.verdict_blocks(lost))


def test_section_comparison_marks_what_is_shown_and_the_best(material: Material) -> None:
    blocks = comparison.build(material)
    table = next(block for block in blocks if isinstance(block, Table))
    rows = {row[0].text: row for row in table.rows}
    assert rows["tuned"][1].tone == "better best" and rows["tuned"][1].note.endswith("▲")
    assert rows["base/int8"][1].tone == "" and "▲" not in rows["base/int8"][1].note
    assert rows["base"][1].note == "" and rows["base"][0].note == "reference"
    prose = [said([block]) for block in blocks if isinstance(block, Prose)]
    assert prose[0] == "Highest recall@10: tuned; all 3 other systems are shown to be worse."
    assert "base/int8 and base@32 are not shown to differ from it." in prose[1]


def test_section_comparison_says_why_results_cannot_be_compared() -> None:
    results = (a_result("base", "home", hits(20)), a_result("old", "home", hits(30), labels_digest="f" * 32))
    text = said(comparison.build(Material(title="", results=results, reference="base")))
    assert "Not compared:" in text and "the judgements differ" in text
    assert render(Material(title="", results=results, reference="base"))


def test_section_dimensions_joins_dimensions_of_one_precision(material: Material) -> None:
    blocks = dimensions.build(material)
    figure = next(block for block in blocks if isinstance(block, Figure))
    assert len(figure.panels) == 2 and figure.table is not None
    assert [row[0].text for row in figure.table.rows] == ["base", "base/int8", "base@32"]
    assert "float32: 32 0.300, 64 0.500" in figure.panels[0].svg


def test_section_roles_shows_who_loses_abroad(material: Material) -> None:
    figure = next(block for block in roles.build(material) if isinstance(block, Figure))
    assert figure.table is not None
    tuned = next(row for row in figure.table.rows if row[0].text == "tuned")
    assert [tuned[3].text, tuned[6].text] == ["shown better", "shown worse"]
    assert "better on held-out," in figure.panels[0].svg and "worse out of distribution" in figure.panels[0].svg


def test_section_pareto_keeps_what_nothing_smaller_beats() -> None:
    points = {"a": (1, 0.5), "b": (2, 0.4), "c": (2, 0.6), "d": (9, 0.6), "e": (9, 0.7)}
    assert pareto.frontier(points) == ["a", "c", "e"]


def test_section_pareto_names_systems_without_a_size(material: Material) -> None:
    unsized = replace(material.results[1], index_bytes=None)
    text = said(pareto.build(replace(material, results=(material.results[0], unsized, *material.results[2:4]))))
    assert "no size is known: tuned" in text


def test_section_slices_describes_each_slice(material: Material) -> None:
    table = next(block for block in slices.build(material) if isinstance(block, Table))
    assert [(row[0].text, row[1].text) for row in table.rows] == [("even", "20"), ("odd", "20")]
    assert table.columns[2].title == "base" and {datum.kind for datum in table.rows[0][2:]} == {"heat"}


def test_section_queries_sets_both_rankings_side_by_side(material: Material) -> None:
    explorer = queries.changes(material)
    assert explorer is not None
    group = explorer.groups[0]
    assert (group.n_lost, group.n_gained) == (18, 18)
    entry = next(entry for entry in group.entries if entry.query_id == "away-012")
    assert entry.lost and entry.before == ("d012", "base-other") and entry.after == ("tuned-other",)
    assert [(doc.doc_id, doc.before, doc.after) for doc in entry.relevant] == [("d012", 1, None)]


def test_section_queries_keeps_room_for_gains(monkeypatch: pytest.MonkeyPatch, material: Material) -> None:
    monkeypatch.setattr(queries, "MOST_QUERIES", 10)
    monkeypatch.setattr(queries, "LEAST_GAINED", 4)
    explorer = queries.changes(material)
    assert explorer is not None
    sides = [entry.lost for entry in explorer.groups[0].entries]
    assert (sides.count(True), sides.count(False)) == (6, 4)


def test_section_queries_does_without_texts_and_rankings(material: Material) -> None:
    bare = Material(title="", results=(), reference="base", verdicts=material.verdicts)
    explorer = next(block for block in queries.build(bare) if isinstance(block, QueryList))
    assert {entry.text for group in explorer.groups for entry in group.entries} == {""}
    assert judged_result(bare, material.verdicts[0], "home", "baseline") is None
    assert "away-012" in render(bare)


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"name": "m", "history": "none", "seconds": "long", "recipe": None},
        {"base": "b", "seeds": [0, 1], "history": [1]},
    ],
)
def test_section_training_bears_missing_keys(model: dict[str, Any]) -> None:
    assert any(isinstance(block, Table) for block in training.build(replace(EMPTY, training=(model,))))


def test_section_training_draws_the_loss(material: Material) -> None:
    blocks = training.build(material)
    figure = next(block for block in blocks if isinstance(block, Figure))
    assert "loss: 1 2.000, 2 1.000" in figure.panels[0].svg
    assert [row[6].text for row in blocks[0].rows] == ["1.000"]  # type: ignore[attr-defined]


def test_section_checks_puts_errors_first(material: Material) -> None:
    found = (*material.findings, Finding("info", "i", "x", "A note."), Finding("error", "e", "x", "An error."))
    blocks = checks.build(replace(material, findings=found))
    assert said(blocks).startswith("The check of the suite found 1 error, 1 warning, 1 note.")
    assert [row[0].text for row in blocks[1].rows] == ["Error", "Warning", "Note"]  # type: ignore[attr-defined]


def test_section_provenance_names_digests_commands_and_environments(material: Material) -> None:
    text = said(provenance.build(material))
    assert "bench run --suite tiny" in text and "numpy 2.4" in text
    assert material.results[0].suite_digest[:12] in text and material.results[0].run_digest[:12] in text
    assert Policy().digest[:12] in text


# --- numbers and words -----------------------------------------------------------------------------


def test_numbers_have_three_decimals_and_a_proper_minus() -> None:
    assert words.number(-0.0004) == "0.000"
    assert [words.signed(v) for v in (0.0, 0.0004, -0.0004, -0.12345, None)] == [
        "0.000",
        "+0.000",
        "−0.000",
        "−0.123",
        "–",
    ]
    assert [words.size(n) for n in (None, 0, 999, 23_280, 744_960, 2.5e9)] == [
        "–",
        "0\u202fB",
        "999\u202fB",
        "23.3\u202fkB",
        "745\u202fkB",
        "2.5\u202fGB",
    ]
    assert words.p_value(0.0001) == "<\u202f0.001"
    assert words.count(1, "query") == "1 query" and words.count(1204, "query") == "1,204 queries"
    assert words.meaning("recall@10").endswith("among the first ten") and words.meaning("odd") == ""


def test_difference_is_shown_only_after_holm_over_its_family() -> None:
    # 6 of 40 queries lost and none won: McNemar mid-p, two-sided, is 2 · 0.5⁷ = 0.0156. Alone it is shown,
    # as one of eight equal ones (8 · 0.0156 = 0.125) it is not.
    reference = a_result("base", "home", hits(26))
    alone = (reference, a_result("s0", "home", hits(20)))
    many = (reference, *(a_result(f"s{i}", "home", hits(20)) for i in range(8)))
    for results, shown in ((alone, "worse"), (many, "")):
        material = Material(title="", results=results, reference="base")
        found = differences(material, tasks(material)[0], "base", measures=["recall@10"])
        assert found["s0"]["recall@10"].shown == shown
        assert not found["s0"]["recall@10"].spans_zero


def test_nothing_is_shown_under_five_queries() -> None:
    results = (a_result("base", "home", [0.0] * 4), a_result("new", "home", [0.9, 1.0, 0.9, 1.0]))
    material = Material(title="", results=results, reference="base")
    assert differences(material, tasks(material)[0], "base")["new"]["recall@10"].shown == ""


def test_pooled_difference_counts_every_query_once() -> None:
    results = tuple(
        a_result(system, query_set, recall, role="out-of-distribution")
        for query_set, n in (("small", 10), ("large", 30))
        for system, recall in (("base", hits(0, n)), ("new", hits(n // 2, n)))
    )
    numbers = pooled(Material(title="", results=results, reference="base"), "recall@10", "base")
    new = numbers["out-of-distribution"]["new"]
    assert new.n == 40 and new.mean == pytest.approx(0.5)
    assert new.difference is not None and new.difference.shown == "better"


def test_plain_removes_what_cannot_be_seen() -> None:
    assert plain("\x1b[31mred\x1b[0m\u202e \x00a\n\tb\ud800") == "red ab".replace("ab", "a b")
    assert plain("95\u202f%") == "95\u202f%"
    assert plain(LONG, 20) == "w" * 19 + "…"


# --- charts ----------------------------------------------------------------------------------------


def test_charts_carry_no_style_colour_or_address() -> None:
    marks = [charts.Mark("$a_{$ <b> 漢", 0.1, 0.2, (0.0, 0.2), (0.1, 0.3), "better"), charts.Mark("b", -0.1, 0.1)]
    drawn = [
        charts.forest("f", "Title <i>", marks, axis="x", limits=(-1, 1)),
        charts.scatter("s", "Title", marks, x_axis="x", y_axis="y", corner="corner"),
        charts.lines("l", "Title", [charts.Line("a", [1, 2], [0.1, 0.2])], x_axis="x", y_axis="y", ticks=[1, 2]),
    ]
    for svg in drawn:
        assert svg.startswith("<svg ") and 'role="img"' in svg and "<title" in svg and "<desc" in svg
        assert not re.search(r"style=|#[0-9a-f]{6}|https?:|xmlns|<b>|<i>", svg)
    assert "$a_{$ &lt;b&gt; 漢" in drawn[0]


def test_charts_in_one_page_share_no_id() -> None:
    marks = [charts.Mark("a", 0.1, 0.0, (0.0, 0.2))]
    svg = [charts.forest(uid, "t", marks, axis="x", limits=(-1, 1)) for uid in ("one", "two")]
    ids = [re.findall(r' id="([^"]+)"', text) for text in svg]
    assert ids[0] and not set(ids[0]) & set(ids[1])
    for text, held in zip(svg, ids, strict=True):
        assert set(re.findall(r'href="#([^"]+)"', text)) <= set(held)


# --- the page --------------------------------------------------------------------------------------


def test_page_is_the_same_twice(material: Material, page: str) -> None:
    assert render(material) == page


def test_page_names_no_outside_address(page: str) -> None:
    assert not re.findall(r"https?://(?!www\.w3\.org)|//www\.|@import|url\(", page)
    loads = [attrs for tag, attrs in Reader(page).tags if tag in ("img", "link", "iframe", "object", "embed", "base")]
    assert loads == []
    for _, attrs in Reader(page).tags:
        assert "src" not in attrs and (attrs.get("href") or "#").startswith("#")


def test_page_policy_names_the_very_style_and_script(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    allowed = policy[1].replace("&#39;", "'")
    assert allowed.startswith("default-src 'none';") and "unsafe" not in allowed
    for tag in ("style", "script"):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert text is not None
        assert "sha256-" + base64.b64encode(hashlib.sha256(text[1].encode()).digest()).decode() in allowed
    assert all("style" not in attrs for _, attrs in Reader(page).tags)


def test_page_is_well_built(page: str) -> None:
    tags = Reader(page).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {(attrs["href"] or "")[1:] for tag, attrs in tags if tag in ("a", "use") and "href" in attrs}
    assert links <= set(ids)
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert sum(tag == "table" for tag, _ in tags) == sum(tag == "caption" for tag, _ in tags)
    assert all("scope" in attrs for tag, attrs in tags if tag == "th")


def test_page_is_written_whole(material: Material, page: str, tmp_path: Path) -> None:
    path = write(material, tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8") == page
    assert [found.name for found in path.parent.iterdir()] == ["report.html"]


# --- hostile input ---------------------------------------------------------------------------------


def a_hostile_material() -> Material:
    """Every string that comes from outside carries markup, escape sequences, commands or ten thousand letters."""
    bad = HOSTILE + COMMAND
    ids = [f"{bad}{i}" if i else LONG for i in range(N)]
    others: dict[str, Any] = {
        "query_ids": ids,
        "suite": bad,
        "slices": tuple((f"{bad}{i % 2}",) for i in range(N)),
        "top_ids": ((bad, LONG),) * N,
        "environment": {bad: bad},
    }
    results = (
        a_result("base " + bad, bad, hits(30), **others),
        a_result("new " + bad, bad, hits(5), **others, dim=32),
        a_result("base " + bad, "away" + bad, hits(30), role="out-of-distribution", **others),
        a_result("new " + bad, "away" + bad, hits(5), role="out-of-distribution", **others, dim=32),
    )
    verdict = judge(results[::2], results[1::2], Policy(), findings=[Finding("warning", bad, bad, bad + LONG, bad)])
    return Material(
        title=bad,
        results=results,
        reference="base " + bad,
        verdicts=(verdict,),
        findings=(Finding("error", bad, bad, bad), Finding(bad, bad, bad, LONG)),
        training=({"name": bad, "recipe": {bad: bad}, "history": [{"step": i, "loss": 1.0} for i in range(3)]},),
        texts={bad: dict.fromkeys(ids, bad + LONG)},
        documents={bad: {bad: bad, LONG: LONG}},
        qrels={bad: {query_id: {bad: 1, LONG: 2} for query_id in ids}},
        commands=(bad, LONG),
        made=bad,
        version=bad,
    )


def test_hostile_input_is_inert_in_html() -> None:
    page = render(a_hostile_material())
    reader = Reader(page)
    assert [attrs.get("type") for tag, attrs in reader.tags if tag == "script"] == [None, "application/json"]
    assert not any(tag in ("img", "iframe", "object") for tag, _ in reader.tags)
    assert not any(name.startswith("on") or name == "style" for _, attrs in reader.tags for name in attrs)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    assert not re.findall(r"https?://(?!www\.w3\.org)", page)
    assert "w" * 2_100 not in page
    text = "".join(reader.texts)
    assert "<script>alert(1)</script>" in text and "{{ 7*7 }}" in text and "}} $x_{$ |" in text


def test_hostile_input_is_inert_in_markdown() -> None:
    from markdown_it import MarkdownIt

    material = a_hostile_material()
    text = markdown(material)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert not re.search(r"(?m)::|https?://|www\.|(?<!\w)@|`|^\s*#{3,}\[", text)
    assert "w" * 700 not in text
    html = MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(text)
    tags = {tag for tag, _ in Reader(html).tags}
    assert tags <= {
        "h3",
        "p",
        "ul",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "strong",
        "code",
        "sub",
        "details",
        "summary",
    }
    # A pipe in a name must not add a cell: every row has as many as the heading.
    rows = re.findall(r"<tr>(.*?)</tr>", html.partition("</table>")[0], re.DOTALL)
    assert {len(re.findall(r"<t[hd]", row)) for row in rows} == {6}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("recall@10 on staff: 0.687, −0.1", "recall@10 on staff: 0.687, −0.1"),
        ("@octocat", "&#64;&#8288;octocat"),
        ("a@b.example", "a&#64;&#8288;b.example"),
        ("a|b", "a&#124;b"),
        ("::error::x", "&#58;&#58;error&#58;&#58;x"),
        ("https://x", "https&#58;//x"),
        ("www.evil.example", "www&#46;evil.example"),
        ("1. list", "1&#46; list"),
        ("- list", "&#45; list"),
        ("a\nb\r\n# c", "a b &#35; c"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, written: str) -> None:
    assert inert(text) == written


# --- a verdict as Markdown -------------------------------------------------------------------------


def test_markdown_gives_the_verdict_first(material: Material) -> None:
    text = markdown(material)
    lines = text.splitlines()
    assert lines[0] == "### Regression: <code>tuned</code> against <code>base</code>"
    assert lines[2].startswith(
        "A regression is shown in 2 of 4 comparisons. "
        "The largest drop is on <code>away</code>: recall@10 <strong>−0.450</strong>"
    )
    assert "| <code>away</code> out-of-distribution | recall@10 n = 40 | <strong>Regression</strong> |" in text.replace(
        "&#61;", "="
    )
    assert "what about away-012" in text


def test_markdown_folds_at_most_twenty_queries_a_side() -> None:
    results = [a_result("base", "home", hits(30)), a_result("new", "home", hits(5))]
    text = markdown(Material("", (), "", verdicts=(judge(results[:1], results[1:], Policy()),)))
    _, _, folded = text.partition("<details><summary>25 queries lost (the largest 20)</summary>")
    assert folded.count("\n- <code>home-") == 20
    assert "gained" not in text


def test_glossary_page_holds_the_reports_words(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "glossary.md").read_text(encoding="utf-8")
    shown = "".join(
        f"\n## {group}\n\n" + "".join(f"- **{term}**: {meaning}\n" for term, meaning in terms.items())
        for group, terms in glossary.TERMS.items()
    )
    assert page.endswith("\n" + shown.removeprefix("\n")) and page.startswith("# Glossary")
