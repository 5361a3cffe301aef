"""One report in four forms: the same numbers in each, and no text in any where texts must stay in the house."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from test_report import a_material, a_result, hits
from test_report_browser import a_whole_material

from bench.report import Fusion, Material, Times, explorer
from bench.report.blocks import Block, Explorer, Figure, Folded, Table
from bench.report.forms.html import STYLES, TEMPLATES, render, sections, whole_json, whole_latex, whole_markdown
from bench.report.forms.latex import escaped
from bench.report.forms.markdown import inert
from bench.report.labels import apart
from bench.report.sections import comparison, depth, fusion, pareto, queries, summary, training


@pytest.fixture(scope="module")
def material() -> Material:
    return a_whole_material()


def tables(blocks: Sequence[Block]) -> Iterator[Table]:
    for block in blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Figure) and block.table:
            yield block.table
        elif isinstance(block, Folded):
            yield from tables(block.blocks)


# --- one family --------------------------------------------------------------------------------------


def test_every_form_holds_every_section_and_every_number(material: Material) -> None:
    page, text, tex = render(material), whole_markdown(material), whole_latex(material)
    parsed = json.loads(json.dumps(whole_json(material), allow_nan=False))
    held = sections(material)
    assert [section["name"] for section in parsed["sections"]] == [section.name for section in held]
    for section in held:
        assert f"\n## {section.title}\n" in text and f'id="{section.name}"' in page
        for table in tables(section.blocks):
            assert escaped(table.caption) in tex and f"<strong>{inert(table.caption)}</strong>" in text
            for row in table.rows:
                for datum in row:
                    if re.fullmatch(r"[−+]?\d\.\d{3}", datum.text):
                        assert inert(datum.text) in text and escaped(datum.text) in tex and datum.text in page
    assert sum(len(list(tables(section.blocks))) for section in held) == tex.count(r"\begin{longtable}") > 8


def test_json_has_numbers_beside_what_is_read(material: Material) -> None:
    found = next(section for section in whole_json(material)["sections"] if section["name"] == "comparison")
    table = next(block for block in found["blocks"] if block["kind"] == "table")
    assert table["columns"][:3] == ["System", "recall@10", "Group"]
    assert table["rows"][0][1] == {
        "text": "0.950",
        "value": 0.95,
        "note": table["rows"][0][1]["note"],
        "tone": "better best",
        "label": "shown to be better; best of this column",
    }
    assert table["rows"][0][1]["note"].startswith("+0.450 [")


# --- LaTeX -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("recall@10", "recall@10"),
        ("a_b & 50% #1 $x", r"a\_b \& 50\% \#1 \$x"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("x^2~y", r"x\textasciicircum{}2\textasciitilde{}y"),
        ("−0.1 [−0.2, +0.0]", "$-$0.1 {[}$-$0.2, +0.0{]}"),
        ("<\u202f0.001", r"\textless{}\,0.001"),
        ("--no-x ---", "-{}-no-x -{}-{}-"),
        ("two\nlines % not a comment", r"two lines \% not a comment"),
    ],
)
def test_latex_shows_text_as_it_is(text: str, written: str) -> None:
    assert escaped(text) == written


def test_latex_tables_are_booktabs_with_intervals_and_even_rows(material: Material) -> None:
    tex = whole_latex(material)
    assert r"\toprule" in tex and r"\hline" not in tex
    assert r"{\scriptsize +0.450 {[}" in tex and r"\underline{0.950}" in tex
    for spec, body in re.findall(r"\\begin\{longtable\}\{@\{\}(.*?)@\{\}\}\n(.*?)\\end\{longtable\}", tex, re.DOTALL):
        width = len(re.sub(r"p\{[^}]*\}", "p", spec))
        rows = [line for line in body.splitlines() if re.search(r"\\\\\*?$", line) and "caption" not in line]
        assert rows and {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {width - 1}


def test_latex_is_set_by_latex(material: Material, tmp_path: Path) -> None:
    if not shutil.which("pdflatex"):
        pytest.skip("pdflatex is not installed")
    (tmp_path / "tables.tex").write_text(whole_latex(material), encoding="utf-8")
    packages = r"\usepackage{booktabs,longtable,textcomp,amssymb}\usepackage[T1]{fontenc}"
    (tmp_path / "t.tex").write_text(
        rf"\documentclass{{article}}{packages}\begin{{document}}\input{{tables}}\end{{document}}", encoding="utf-8"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stdout[-2000:].decode(errors="replace")


# --- privacy -----------------------------------------------------------------------------------------


def test_no_form_of_a_private_report_holds_a_text(material: Material) -> None:
    secret = a_whole_material(
        texts={name: {q: f"confidential question {q}" for q in held} for name, held in material.texts.items()},
        documents={name: {d: f"classified answer {d}" for d in held} for name, held in material.documents.items()},
    )
    forms = (render, whole_markdown, whole_latex, lambda m: json.dumps(whole_json(m), ensure_ascii=False))
    assert "confidential question" in render(secret) and "classified answer" in render(secret)
    private = a_whole_material(texts={}, documents={})
    texts = [text for held in (*material.texts.values(), *material.documents.values()) for text in held.values()]
    for form in forms:
        made = form(private)
        assert not [text for text in texts if text in made]
    # It can still be explored, by ids.
    assert '"home-000"' in render(private)


# --- what the sections say ---------------------------------------------------------------------------


def decoded(packed: str, kind: str, shape: Sequence[int]) -> np.ndarray:
    """An array as the page's script reads it."""
    return np.frombuffer(base64.b64decode(packed), dtype=kind).reshape(shape)


def test_explorer_packs_what_it_was_given() -> None:
    material = a_material()
    explorer = next(block for block in queries.build(material) if isinstance(block, Explorer))
    data = explorer.document()
    away = data["sets"][1]
    n_runs, n_queries = len(away["runs"]), len(away["ids"])
    values = decoded(away["values"], "<u2", (n_runs, len(away["measures"]), n_queries)) / away["scale"]
    ranks = decoded(away["ranks"], "<u2", (n_runs, n_queries, 10))
    tuned = away["runs"].index("tuned")
    result = next(r for r in material.results if (r.system, r.query_set) == ("tuned", "away"))
    assert np.allclose(values[tuned].T, result.scores.values, atol=1e-5)
    documents = data["documents"]
    assert [documents[place][0] for place in ranks[tuned, 12] if place != 0xFFFF] == list(result.top_ids[12])
    assert [documents[place][0] for place in away["grades"][12][::2]] == ["d012"]
    # home and away share a corpus: each text is there once.
    assert len({doc for doc, _ in documents}) == len(documents)
    assert data["pair"] == ["home", "base", "tuned"]


def test_explorer_tells_an_accepted_result_from_the_one_measured_now() -> None:
    from bench.gate.verdict import judge
    from bench.records import Policy

    before = [a_result("base", "home", hits(20), run_digest="0" * 32)]
    now = [a_result("base", "home", hits(12), run_digest="1" * 32)]
    verdict = judge(before, now, Policy())
    material = Material("", tuple(now), "base", verdicts=(verdict,), baselines=tuple(before))
    explorer = next(block for block in queries.build(material) if isinstance(block, Explorer))
    data = explorer.document()
    assert data["pair"] == ["home", "base (accepted)", "base"]
    assert data["sets"][0]["runs"] == ["base", "base (accepted)"]


def test_explorer_leaves_out_the_worst_systems_where_the_page_would_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "MOST_RANKINGS", 240)
    data = next(block for block in queries.build(a_material()) if isinstance(block, Explorer)).document()
    # 80 queries: room for three; the smallest copy goes first.
    assert {label for queries_of in data["sets"] for label in queries_of["runs"]} == {"base", "tuned", "base/int8"}


def test_documents_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = {"home": {f"d{i:03}": "long text " * 100 for i in range(40)}}
    block = next(block for block in queries.build(a_material(documents=documents)) if isinstance(block, Explorer))
    assert max(len(text) for _, text in block.document()["documents"]) == explorer.LONGEST_TEXT
    monkeypatch.setattr(explorer, "TEXT_BUDGET", 1_000)
    assert max(len(text) for _, text in block.document()["documents"]) == explorer.SHORTEST_TEXT


def test_answer_names_the_gain_and_what_it_costs(material: Material) -> None:
    def answer(**others: object) -> str:
        (block,) = (b for b in summary.build(a_material(**others)) if getattr(b, "style", "") == "answer")
        return "".join(part if isinstance(part, str) else part.text for part in block.parts)  # type: ignore[attr-defined]

    assert answer() == "tuned is better than base on held-out queries (recall@10 +0.450), but worse on away (−0.450)."
    home = tuple(result for result in material.results if result.role == "held-out")
    assert answer(results=home).endswith("(recall@10 +0.450); no out-of-distribution queries were measured.")
    safe = (
        *material.results,
        a_result("both", "home", hits(30)),
        a_result("both", "away", hits(31), role="out-of-distribution"),
    )
    assert answer(results=safe).endswith(
        "both is also better (recall@10 +0.250) and not shown to be worse on any query set."
    )
    assert answer(reference="tuned") == (
        "No system is shown to be better than tuned on held-out queries; 3 systems are shown to be worse (recall@10)."
    )


def test_answer_does_not_take_what_was_not_measured_for_harmless() -> None:
    results = tuple(r for r in a_material().results if (r.system, r.role) != ("tuned", "out-of-distribution"))
    block = summary.build(a_material(results=results, verdicts=()))[0]
    text = "".join(part if isinstance(part, str) else part.text for part in block.parts)  # type: ignore[attr-defined]
    assert text.endswith("(recall@10 +0.450); it was not measured on away.")


def test_glance_tells_what_a_mean_over_several_sets_hides(material: Material) -> None:
    elsewhere = [a_result(s, "other", hits(n), role="out-of-distribution") for s, n in (("base", 5), ("tuned", 40))]
    table = next(tables(summary.build(a_material(results=(*material.results, *elsewhere)))))
    rows = {row[0].text: row for row in table.rows}
    assert [column.title for column in table.columns if not column.minor] == [
        "System", "Held-out recall@10", "Out-of-distribution recall@10", "Worse on", "Index",
    ]  # fmt: skip
    # 30 and 5 of 80 against 12 and 40 of 80: better on both sets together, worse on one of them.
    assert rows["tuned"][3].text == "0.650" and rows["tuned"][3].note.startswith("+0.212")
    assert rows["tuned"][5].text == "away" and rows["base"][5].text == ""
    drawn = rows["tuned"][2].range
    assert drawn is not None and 0 < drawn.low < drawn.middle < drawn.high
    assert drawn.middle == pytest.approx(0.45)


def test_comparison_folds_smaller_copies_away_where_there_are_many() -> None:
    sizes = [a_result(f"base@{dim}", "home", hits(10), dim=dim) for dim in range(1, 16)]
    results = (a_result("base", "home", hits(20)), a_result("words", "home", hits(25)), *sizes)
    blocks = comparison.build(Material(title="", results=results, reference="base"))
    table = next(block for block in blocks if isinstance(block, Table))
    assert [row[0].text for row in table.rows] == ["words", "base"]
    folded = next(block for block in blocks if isinstance(block, Folded))
    assert folded.summary == "All 17 systems on home" and len(next(tables([folded])).rows) == 17
    # A name with a slash is no copy where what stands before it is no system.
    odd = (*results[:2], *(a_result(f"other/{i}", "home", hits(9)) for i in range(20)))
    shown = next(b for b in comparison.build(Material(title="", results=odd, reference="base")) if isinstance(b, Table))
    assert len(shown.rows) == 22


def test_depth_is_drawn_from_runs_or_else_from_the_first_documents(material: Material) -> None:
    (_, figure) = depth.build(material)
    assert isinstance(figure, Figure) and figure.table
    base = next(row for row in figure.table.rows if (row[0].text, row[1].text) == ("base", "home"))
    # hits(20) of 40 queries have their one relevant document first, and the other lists hold nothing relevant.
    assert base[2].text == "0.500"
    stored = a_material(depths={"home": {"base": [0.1, 0.2, 0.3], "tuned": [0.2, 0.3, 0.4]}})
    (_, figure) = depth.build(stored)
    assert isinstance(figure, Figure)
    assert "base: 1 0.100, 2 0.200, 3 0.300" in figure.panels[0].svg


def test_fusion_names_the_share_and_how_little_it_matters() -> None:
    tried = {0.0: 0.70, 0.25: 0.795, 0.5: 0.80, 0.75: 0.791, 1.0: 0.6}
    held = fusion.build(a_material(fusions=(Fusion("both", ("words", "base"), "recall@10", tried, 0.5),)))
    text = "".join(part if isinstance(part, str) else part.text for part in held[0].parts)  # type: ignore[attr-defined]
    assert text.startswith("both gives base a share of 0.5 and words the rest.")
    assert text.endswith("Shares from 0.25 to 0.75 are within 0.01 of the best on dev.")


def test_nothing_beats_an_unbeaten_system_on_all_of_quality_size_and_time() -> None:
    costs = {"a": (-0.9, 9.0, 9.0), "b": (-0.8, 5.0, 9.0), "c": (-0.8, 5.0, 10.0), "d": (-0.1, 9.0, 1.0)}
    assert pareto.unbeaten(costs) == {"a", "b", "d"}
    assert pareto.unbeaten({"a": (-0.5, 1.0), "b": (-0.5, 1.0)}) == {"a", "b"}


def test_latency_stands_in_chart_and_table_where_it_was_measured() -> None:
    times = (Times("home", 20, {"base": (3.0, 4.5), "tuned": (5.0, 120.0)}),)
    blocks = pareto.build(a_material(times=times))
    table = next(tables(blocks))
    assert [column.title for column in table.columns][:5] == ["System", "home recall@10", "Index", "p50", "p95"]
    tuned = next(row for row in table.rows if row[0].text == "tuned")
    assert [datum.text for datum in tuned[3:5]] == ["5.0\u202fms", "120\u202fms"]
    figures = [block for block in blocks if isinstance(block, Figure)]
    assert len(figures) == 2 and "tuned at 120, 0.950" in figures[1].panels[0].svg


def test_training_draws_a_line_for_each_seed_and_what_more_pairs_bring(material: Material) -> None:
    points = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    models = tuple({"name": "clinic", "seed": seed, "history": points} for seed in (0, 1))
    figures = [b for b in training.build(a_whole_material(training=models)) if isinstance(b, Figure)]
    assert "seed 0: 1 2.000, 2 1.000; seed 1: 1 2.000" in figures[0].panels[0].svg
    # Two seeds at each of three sizes, averaged: 0.5 + n/400 + 0.005.
    assert "home: 25 0.568, 50 0.630, 100 0.755" in figures[1].panels[0].svg


def test_training_rings_the_step_that_dev_chose() -> None:
    history = [{"step": step, "dev": dev} for step, dev in ((10, 0.5), (20, 0.7), (30, 0.6))]
    model = {"name": "clinic", "history": history, "recipe": {"eval": {"measure": "ndcg@10"}}}

    def drawn(**more: object) -> str:
        blocks = training.build(a_whole_material(training=(model | more,), loops=()))
        (figure,) = (block for block in blocks if isinstance(block, Figure))
        return figure.panels[0].svg

    svg = drawn(best={"step": 20, "dev": 0.7})
    assert "ndcg@10: 10 0.500, 20 0.700, 30 0.600" in svg
    # The ring is one more mark.
    assert svg.count("<use ") == drawn(best=None).count("<use ") + 1


@pytest.mark.parametrize("loop", [{}, {"points": "none", "gains": [1]}, {"points": [{"pairs": 1}], "gains": [{}]}])
def test_training_bears_loops_with_missing_keys(loop: dict[str, object]) -> None:
    assert isinstance(training.build(a_whole_material(loops=(loop,), training=())), list)


# --- labels ------------------------------------------------------------------------------------------


def test_labels_move_apart_and_no_farther() -> None:
    assert apart([0.0, 5.0], gap=1.0, least=-9.0, most=9.0) == [0.0, 5.0]
    # Three at one place: spread around it.
    assert apart([1.0, 1.0, 1.0], gap=1.0, least=-9.0, most=9.0) == [0.0, 1.0, 2.0]
    # Against the upper end they are pushed down; the lower one that has room stays.
    assert apart([-5.0, 9.0, 9.0], gap=1.0, least=-9.0, most=9.0) == [-5.0, 8.0, 9.0]


# --- colours -----------------------------------------------------------------------------------------


def colours() -> dict[str, tuple[str, str]]:
    """Variable, or class of a heat cell → (light, dark)."""
    css = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in STYLES)
    found = re.findall(
        r"(?:--([\w-]+):|td\.(heat-\d) \{ background:) light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", css
    )
    return {variable or heat: (light, dark) for variable, heat, light, dark in found}


def contrast(one: str, other: str) -> float:
    """Of two colours, 1 to 21. Source: WCAG 2.1, relative luminance and contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_every_text_can_be_read_on_what_is_behind_it_in_both_themes() -> None:
    known = colours()
    series = [f"series-{i}" for i in range(1, 9)]
    pairs = [(text, "paper") for text in ("ink", "quiet", "accent", "better", "worse", "unsure", "good", *series)]
    pairs += [(text, f"{text}-wash") for text in ("better", "worse", "unsure", "good")]
    pairs += [("ink", f"heat-{i}") for i in range(7)] + [("quiet", "info-wash"), ("ink", "raised"), ("quiet", "raised")]
    pairs += [("ink", "good-wash"), ("quiet", "good-wash"), ("worse", "worse-wash"), ("ink", "worse-wash")]
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    weak = [
        (text, behind, theme, round(ratio, 2))
        for text, behind in pairs
        for theme, i in (("light", 0), ("dark", 1))
        if (ratio := contrast(known[text][i], known[behind][i])) < 4.5
    ]
    assert weak == []
