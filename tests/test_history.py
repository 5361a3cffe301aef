"""Claims about the history: a log that only grows and forgets nothing, and trends that say where a question changed."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from conftest import build_result, write_tiny_suite
from test_steps import course

from bench.base.errors import StoreError, UsageError
from bench.cli.main import main
from bench.report.forms.markdown import markdown
from bench.report.history import blocks, render
from bench.watch.history import history
from bench.watch.log import append, read_log

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def on(day):
    return FIRST + timedelta(days=day)


def put(path, results, day=0, **more):
    return append(path, results, when=on(day), commit="c" * 40, version="0", **more)


def planted(path, *, at=12, lost=0.15, days=20, system="one", **more):
    for day, row in enumerate(course(0, n_points=days, step=at, lost=lost)):
        put(path, [build_result({"recall@10": row, "ndcg@10": row * 0.9}, system=system, **more)], day)
    return path


def one(value, **more):
    return build_result({"recall@10": [value] * 10}, **more)


# --- the log ---------------------------------------------------------------------------------------


def test_result_stands_in_the_log_once_however_often_it_is_made(tmp_path):
    path = tmp_path / "reports" / "history.jsonl"
    assert [put(path, [one(1.0)], day) for day in range(3)] == [1, 0, 0]
    assert len(path.read_text().splitlines()) == 1
    line = json.loads(path.read_text())
    assert (line["format"], line["event"], line["time"]) == (1, "result", "2026-01-01T00:00:00+00:00")
    assert read_log(path).results[line["digest"]].to_json() == one(1.0).to_json()


def test_times_of_the_machine_make_no_new_result(tmp_path):
    path = tmp_path / "h.jsonl"
    put(path, [replace(one(1.0), seconds={"total": 1.0}, environment={"host": "a"})])
    assert put(path, [replace(one(1.0), seconds={"total": 2.0}, environment={"host": "b"})], 1) == 0


def test_going_back_is_told_without_the_result_again(tmp_path):
    path = tmp_path / "h.jsonl"
    for day, value in enumerate((1.0, 0.0, 1.0)):
        put(path, [one(value)], day)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["result", "result", "again"]
    assert lines[2]["digest"] == lines[0]["digest"]
    assert "result" not in lines[2]
    (series,) = history(read_log(path)).series
    assert [point.mean.value for point in series.segments[0].points] == [1, 0, 1]


def test_variant_is_the_systems_own_series(tmp_path):
    path = tmp_path / "h.jsonl"
    put(path, [one(1.0, system="m@128")])
    assert put(path, [replace(one(1.0, system="m@128"), variant="@128")], 1) == 0


def test_accepted_baseline_is_marked_on_its_point(tmp_path):
    path = tmp_path / "h.jsonl"
    put(path, [one(0.0)])
    put(path, [one(1.0)], 1)
    assert put(path, [one(1.0)], 2, accepted="in production") == 1
    # A baseline that no run of this log made brings its result along.
    assert put(path, [one(0.5)], 3, accepted="by hand") == 2
    (series,) = history(read_log(path)).series
    assert [point.accepted for point in series.segments[0].points] == [None, "in production", "by hand"]


def test_baseline_accepted_while_another_is_newest_is_a_point_of_its_own(tmp_path):
    path = tmp_path / "h.jsonl"
    put(path, [one(0.0)])
    put(path, [one(1.0)], 1)
    put(path, [one(0.0)], 2, accepted="back")
    (series,) = history(read_log(path)).series
    assert [(p.mean.value, p.accepted) for p in series.segments[0].points] == [(0, None), (1, None), (0, "back")]


def _append_many(path, who):
    for i in range(20):
        append(path, [one(i / 20, system=f"s{who}")], when=on(i), commit=None, version="0")


def test_two_processes_that_append_at_once_lose_and_mix_nothing(tmp_path):
    path = tmp_path / "h.jsonl"
    context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "fork")
    writers = [context.Process(target=_append_many, args=(path, who)) for who in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    log = read_log(path)
    assert (len(log.events), log.findings) == (80, ())


def test_line_that_was_cut_off_is_told_and_the_next_one_stands_on_its_own(tmp_path):
    path = tmp_path / "h.jsonl"
    put(path, [one(0.0)])
    with path.open("ab") as stream:
        stream.write(b'{"format":1,"event":"result","dig')
    put(path, [one(1.0)], 1)
    log = read_log(path)
    assert len(log.events) == 2
    (finding,) = log.findings
    assert (finding.severity, finding.where) == ("warning", f"{path}:2")


def test_result_that_was_cut_off_is_written_again(tmp_path):
    path = tmp_path / "h.jsonl"
    put(path, [one(0.0)])
    whole = path.read_bytes()
    for length in (len(whole) - 2, len(whole) - 40, len(whole) // 2):
        path.write_bytes(whole[:length])
        assert put(path, [one(0.0)], 1) == 1
        assert len(read_log(path).results) == 1


def test_name_that_looks_like_the_end_of_a_head_is_a_name(tmp_path):
    path = tmp_path / "h.jsonl"
    for name in (',"result":{}', '"digest":"x"}}', 'a","digest":"b'):
        assert [put(path, [one(1.0, system=name)], day) for day in range(2)] == [1, 0]
    assert {result.system for result in read_log(path).results.values()} >= {',"result":{}'}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda line: line | {"digest": "0" * 32}, "digest beside a result"),
        (lambda line: line | {"time": "2026-01-01"}, "no time zone"),
        (lambda line: line | {"time": 3}, "is skipped"),
        (lambda line: line | {"event": "forged"}, "expected one of result, again, accepted"),
        (
            lambda line: {k: v for k, v in line.items() if k != "result"} | {"event": "again", "digest": "x"},
            "no line before it has the result",
        ),
        (lambda line: line | {"result": line["result"] | {"left_out": 3}}, "changed after it was written"),
        (lambda line: line | {"result": []}, "not a result"),
    ],
)
def test_line_that_was_edited_is_told_and_left_out(tmp_path, edit, said):
    path = tmp_path / "h.jsonl"
    put(path, [one(0.0)])
    put(path, [one(1.0)], 1)
    first, second = path.read_text().splitlines()
    path.write_text(first + "\n" + json.dumps(edit(json.loads(second))) + "\n")
    log = read_log(path)
    assert len(log.events) == 1
    assert said in log.findings[0].message


def test_another_format_is_refused_and_never_written_into(tmp_path):
    path = tmp_path / "h.jsonl"
    path.write_text('{"format":2}\n')
    for call in (lambda: read_log(path), lambda: put(path, [one(1.0)])):
        with pytest.raises(StoreError, match="has format 2; this version reads format 1"):
            call()
    assert path.read_text() == '{"format":2}\n'


# --- trends ----------------------------------------------------------------------------------------


def test_planted_step_is_found_in_the_log(tmp_path):
    found = history(read_log(planted(tmp_path / "h.jsonl")))
    steps = [(s.measure, g.points[step.at].time, step.delta < 0) for s, g, step in found.steps()]
    assert sorted(steps) == [("ndcg@10", on(12), True), ("recall@10", on(12), True)]


@pytest.mark.parametrize(
    ("more", "began"),
    [
        ({"labels_digest": "other"}, "the judgements changed"),
        ({"corpus_digest": "other"}, "the corpus changed"),
        ({"query_set_digest": "other", "corpus_digest": "other"}, "the corpus, the queries changed"),
    ],
)
def test_changed_question_begins_a_segment_and_is_no_step(tmp_path, more, began):
    path = tmp_path / "h.jsonl"
    for day in range(8):
        rows = course(day, n_points=1) * (1.0 if day < 4 else 0.2)
        put(path, [build_result({"recall@10": rows[0]}, **(more if day >= 4 else {}))], day)
    found = history(read_log(path))
    (series,) = found.series
    assert [len(segment.points) for segment in series.segments] == [4, 4]
    assert [segment.began for segment in series.segments] == ["", began]
    assert found.steps() == []


def test_new_version_of_the_suite_begins_a_segment(tmp_path):
    path = tmp_path / "h.jsonl"
    put(path, [one(1.0)])
    put(path, [replace(one(1.0), suite_version=2, suite_digest="new")], 1)
    (series,) = history(read_log(path)).series
    assert [segment.began for segment in series.segments] == ["", "the suite's version changed"]


def test_suite_that_changed_elsewhere_is_marked_and_the_numbers_still_compare(tmp_path):
    path = tmp_path / "h.jsonl"
    put(path, [one(1.0)])
    put(path, [replace(one(0.5), suite_digest="another set was added")], 1)
    (series,) = history(read_log(path)).series
    (segment,) = series.segments
    assert (len(segment.points), segment.marks) == (2, (1,))
    assert "2026-01-02: another part of the suite changed; numbers of this set stay comparable." in render(
        history(read_log(path))
    )


def test_measure_that_came_later_has_a_shorter_series(tmp_path):
    path = tmp_path / "h.jsonl"
    protocol = build_result({"recall@10": [1.0] * 10}).protocol
    put(path, [build_result({"recall@10": [1.0] * 10}, protocol=protocol)])
    put(path, [build_result({"recall@10": [1.0] * 10, "mrr@10": [0.5] * 10}, protocol=protocol)], 1)
    counts = {s.measure: sum(len(g.points) for g in s.segments) for s in history(read_log(path)).series}
    assert counts == {"recall@10": 2, "mrr@10": 1}


def test_selection_by_system_measure_and_date(tmp_path):
    path = planted(tmp_path / "h.jsonl")
    planted(path, system="two")
    found = history(read_log(path), systems=["two"], measures=["ndcg@10"], since=on(15))
    assert [(s.system, s.measure) for s in found.series] == [("two", "ndcg@10")]
    assert len(found.series[0].segments[0].points) == 5
    with pytest.raises(UsageError, match=r'no system "tow".*Did you mean "two"'):
        history(read_log(path), systems=["tow"])
    with pytest.raises(UsageError, match="no result since 2027-01-01"):
        history(read_log(path), since=on(365))


def test_without_the_library_trends_are_told_and_steps_are_said_to_be_unknown(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    found = history(read_log(planted(tmp_path / "h.jsonl")))
    assert {f.code for f in found.findings} == {"no-steps"}
    assert found.to_json()["series"][0]["segments"][0]["steps"] is None
    assert "retrieval-gate[history]" in render(found)
    assert "No step" not in render(found)


def test_few_queries_have_no_interval_and_no_step(tmp_path):
    path = tmp_path / "h.jsonl"
    for day, value in enumerate((1.0, 0.0)):
        put(path, [build_result({"recall@10": [value] * 4})], day)
    found = history(read_log(path))
    assert found.series[0].latest.mean.low is None
    assert found.steps() == []


def test_mean_has_its_own_interval(tmp_path):
    from scipy import stats

    values = np.linspace(0, 1, 25) ** 2
    path = tmp_path / "h.jsonl"
    put(path, [build_result({"recall@10": values})])
    mean = history(read_log(path)).series[0].latest.mean
    expected = stats.t.interval(0.95, 24, loc=values.mean(), scale=stats.sem(values))
    assert (mean.low, mean.high) == pytest.approx(expected)


# --- the verb and the page -------------------------------------------------------------------------


def test_long_list_keeps_to_the_first_measure_and_says_so(tmp_path, capsys):
    path = tmp_path / "h.jsonl"
    for i in range(16):
        planted(path, system=f"system-{i}", days=2)
    assert main(["history", "--log", str(path)]) == 0
    told = capsys.readouterr().err
    assert "16 more rows by other measures" in told and told.count("recall@10") == 16 and "ndcg@10" not in told
    assert main(["history", "--log", str(path), "--measure", "ndcg@10"]) == 0
    told = capsys.readouterr().err
    assert "more rows" not in told and told.count("ndcg@10") == 16


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A config with the tiny suite and BM25, no result yet."""
    write_tiny_suite(tmp_path / "tiny")
    (tmp_path / "bench.toml").write_text(
        'suites = ["tiny"]\n[systems.bm25]\nkind = "bm25"\n[gate]\nsystem = "bm25"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_and_accepted_baseline_are_remembered_and_shown(project, capsys):
    for _ in range(2):
        assert main(["run"]) == 0
    assert main(["baseline", "accept", "--reason", "first"]) == 0
    lines = [json.loads(line) for line in Path("reports/history.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["result"] * 2 + ["accepted"] * 2
    capsys.readouterr()
    assert main(["history", "--json", "--html", "page.html"]) == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document["format"] == 1
    points = [series["segments"][0]["points"] for series in document["series"]]
    assert all([p["accepted"] for p in each] == ["first"] for each in points)
    assert "<svg" in Path("page.html").read_text()
    assert main(["history"]) == 0
    assert "bm25" in capsys.readouterr().err


def test_log_is_where_the_config_says(project):
    config = Path("bench.toml")
    config.write_text('history = "kept/log.jsonl"\n' + config.read_text())
    assert main(["run"]) == 0
    assert Path("kept/log.jsonl").is_file()
    assert not Path("reports").exists()


def test_log_that_cannot_be_written_stops_no_run(project, capsys):
    Path("reports").write_text("in the way")
    assert main(["run", "--json"]) == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document["results"]
    assert "not in the history" in document["notes"][0]
    assert main(["run"]) == 0
    assert "not in the history" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "No history at"), (["--since", "soon"], "expected a date"), (["--alpha", "2"], "between 0 and 0.5")],
)
def test_what_cannot_be_shown_is_exit_2(project, capsys, arguments, said):
    if arguments:
        main(["run"])
    assert main(["history", *arguments]) == 2
    assert said in capsys.readouterr().err


def a_history(path):
    planted(path)
    planted(path, system="two", at=30)
    put(path, [build_result({"recall@10": course(0, n_points=1)[0]}, system="one", labels_digest="new")], 25)
    put(path, [one(0.5, query_set="phone", role="out-of-distribution")], 26, accepted="why not")
    return history(read_log(path))


def test_page_says_what_is_found_and_reads_the_same_as_markdown(tmp_path):
    found = a_history(tmp_path / "h.jsonl")
    page, text = render(found, made="now", version="1"), markdown(blocks(found))
    for said in ("Step down", "2026-01-13", "shop (tiny)"):
        assert said in page
        assert said in text
    assert "2026-01-26: the judgements changed" in page


def test_page_works_in_a_browser_offline_light_and_dark_and_on_a_phone(tmp_path):
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = Path("/usr/bin/chromium") if Path("/usr/bin/chromium").exists() else shutil.which("chromium")
    if not found:
        pytest.skip("chromium is not installed")
    path = tmp_path / "history.html"
    path.write_text(render(a_history(tmp_path / "h.jsonl")), encoding="utf-8")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(found), args=["--headless", "--no-sandbox"])
        try:
            for width, scheme in ((1280, "light"), (400, "dark")):
                context = browser.new_context(
                    offline=True, viewport={"width": width, "height": 900}, color_scheme=scheme
                )
                tab = context.new_page()
                happened: list[str] = []
                tab.on("console", lambda message, told=happened: told.append(message.text))
                tab.on("pageerror", lambda error, told=happened: told.append(str(error)))
                tab.goto(path.as_uri())
                assert tab.evaluate("document.documentElement.scrollWidth") <= width
                # By keyboard: the first heading of the first table sorts it.
                tab.locator("button.sort").first.focus()
                tab.keyboard.press("Enter")
                assert tab.locator("th[aria-sort]").count() == 1
                assert tab.locator("svg.chart title").count() == 3
                assert happened == []
        finally:
            browser.close()
