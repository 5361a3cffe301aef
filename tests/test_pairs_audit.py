"""The audit of pairs: which are drawn, what the page does with hostile text, what answers count, what the gate says."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import PairsError
from bench.cli.main import main
from bench.config import load_bench
from bench.report.audit import Card, audit_page
from bench.train.audit import (
    Audit,
    acceptance,
    audit_path,
    draw,
    file_digest,
    pair_id,
    read_answers,
    read_audit,
)
from bench.train.loading import load
from bench.train.pairs import Pair, read_pairs

CONFIG = """\
suites = ["tiny"]

[systems.bm25]
kind = "bm25"

[pairs.p]
from = [{kind = "title"}, {kind = "judgements"}]
accept = ACCEPT
"""


def _pairs(**sizes):
    return [
        Pair("", f"query {origin} {i}", "", f"text {i}", "", origin) for origin, n in sizes.items() for i in range(n)
    ]


# --- the sample ------------------------------------------------------------------------------------


def test_sample_is_drawn_by_origin_in_proportion_with_five_of_each():
    pairs = _pairs(title=900, llm=450, faq=140, expert=10)
    sample = draw(pairs, 100, seed=0)
    # 60, 30, 9.33, 0.67 → 60, 30, 9, 1; expert is raised to 5, which the largest gives.
    assert Counter(pair.origin for pair in sample) == {"title": 56, "llm": 30, "faq": 9, "expert": 5}
    assert len({pair_id(pair) for pair in sample}) == 100
    assert [p.origin for p in sample[:20]] != ["title"] * 20


def test_sample_follows_the_seed_and_not_the_order():
    pairs = _pairs(title=300, llm=100)
    assert draw(pairs, 50, seed=1) == draw(pairs[::-1], 50, seed=1)
    assert draw(pairs, 50, seed=1) != draw(pairs, 50, seed=2)
    assert len(draw(pairs[:30], 50, seed=1)) == 30


# --- the rate --------------------------------------------------------------------------------------


def _audit(pairs, rejected):
    ids = [pair_id(pair) for pair in pairs]
    return Audit("d", 0, tuple(ids), {one: (i not in rejected, "") for i, one in enumerate(ids)})


def test_interval_is_wilsons():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3: 81 of 263 → .2553 to .3662; 15 of 148 → .0624 to
    # .1605; 0 of 20 → 0 to .1611; 1 of 29 → .0061 to .1718.
    for accepted, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        pairs = _pairs(title=n)
        rate = acceptance(_audit(pairs, range(accepted, n)), pairs)["all"]
        assert (rate.accepted, rate.judged) == (accepted, n)
        assert (round(rate.low, 4), round(rate.high, 4)) == (low, high)


def test_rate_weighs_origins_by_their_size():
    # 900 titles of which 10 are judged and 9 accepted, 100 of an LLM of which 10 are judged and 5 accepted.
    pairs = _pairs(title=900, llm=100)
    judged = [*pairs[:10], *pairs[900:910]]
    rates = acceptance(_audit(judged, {0, *range(10, 15)}), pairs)
    assert rates["title"].rate == 0.9
    assert rates["llm"].rate == 0.5
    assert rates["all"].rate == pytest.approx(0.9 * 0.9 + 0.1 * 0.5)
    # Kish: 1 / (.9² / 10 + .1² / 10) = 12.195 effective pairs, so the interval is wider than 20 pairs' would be:
    # with z² = 3.8415, centre (.86 + 3.8415 / 24.390) / (1 + 3.8415 / 12.195) = .77378, half .19115.
    assert (rates["all"].low, rates["all"].high) == pytest.approx((0.5826, 0.9649), abs=1e-3)


# --- the page --------------------------------------------------------------------------------------

HOSTILE = '</script><script>document.title="broken"</script><img src=x onerror="document.title=1">{{ 7*7 }} http://evil.example/?q='


def _cards(n=3, document="An answer.\nIn two lines."):
    return [Card(f"{i:012x}", f"query {i}" if i else HOSTILE, document, "title", 0.5, "document d07") for i in range(n)]


def test_page_holds_no_address_and_hostile_text_is_inert():
    page = audit_page("p", _cards(document=HOSTILE), digest="d" * 32)
    assert "://" not in page
    assert page.count("<script") == 1
    assert "<img" not in page
    assert "{{ 7*7 }}" in page
    assert not re.search(r"""(?:src|href|action)\s*=\s*["'](?!#)""", page)


def test_page_shows_long_documents_whole_and_says_where_it_cuts():
    page = audit_page("p", _cards(1, "word " * 1000 + "END"), digest="d")
    assert "END" in page
    assert "Cut after" not in page
    assert "Cut after 20000 characters" in audit_page("p", _cards(1, "x" * 20_001), digest="d")


CHROMIUM = Path("/usr/bin/chromium")


def test_page_is_judged_by_keyboard_in_a_browser_without_a_network(tmp_path: Path) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = CHROMIUM if CHROMIUM.exists() else shutil.which("chromium")
    if not found:
        pytest.skip("chromium is not installed")
    path = tmp_path / "audit.html"
    cards = _cards(document=HOSTILE)
    path.write_text(audit_page("p", cards, digest="d" * 32), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(found), args=flags)
        try:
            context = browser.new_context(viewport={"width": 400, "height": 800}, offline=True, accept_downloads=True)
            tab = context.new_page()
            complaints: list[str] = []
            tab.on("console", lambda message: complaints.append(message.text))
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            tab.on(
                "request",
                lambda request: complaints.extend([request.url] * (not request.url.startswith(("file:", "blob:")))),
            )
            tab.goto(path.as_uri())
            assert tab.title() == "Audit of pairs: p"
            assert tab.evaluate("document.documentElement.scrollWidth") == 400
            _judge(tab)
            tab.reload()
            # A browser writes a page's storage a moment later; on a busy machine a reload may come before.
            for _ in range(20):
                if tab.locator("#count").inner_text() == "3 of 3":
                    break
                tab.wait_for_timeout(250)
                tab.reload()
            assert tab.locator("#count").inner_text() == "3 of 3"
            assert tab.locator("progress").evaluate("element => element.value") == 3
            with tab.expect_download() as download:
                tab.locator("#download").click()
            assert "query" not in download.value.url
            answers = tmp_path / "answers.json"
            download.value.save_as(answers)
            assert complaints == []
        finally:
            browser.close()
    audit = Audit("d" * 32, 0, tuple(card.pair_id for card in cards))
    assert read_answers(answers, audit) == {
        cards[0].pair_id: (True, ""), cards[1].pair_id: (False, "jar"), cards[2].pair_id: (True, ""),
    }  # fmt: skip


def _judge(tab: Any) -> None:
    """Accept the first, note and reject the second, go past the end and back, accept the third."""
    tab.keyboard.press("a")
    tab.keyboard.press("n")
    tab.keyboard.type("jar")  # letters that are keys elsewhere
    tab.keyboard.press("Escape")
    tab.keyboard.press("r")
    assert tab.locator("#count").inner_text() == "2 of 3"
    for key in ("j", "ArrowDown", "k", "ArrowUp", "u"):
        tab.keyboard.press(key)
    assert tab.locator("#count").inner_text() == "1 of 3"
    tab.keyboard.press("a")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("a")
    assert tab.locator(".accepted").count() == 2
    assert tab.locator(".rejected").count() == 1


# --- answers and the gate --------------------------------------------------------------------------


@pytest.fixture
def work(tiny_suite, tmp_path, monkeypatch):
    """A folder with made pairs and a begun audit; gives the ids of the sample. work(accept) writes the config."""
    monkeypatch.chdir(tmp_path)

    def write(accept="0.5"):
        Path("bench.toml").write_text(CONFIG.replace("ACCEPT", accept))
        return load_bench(Path("bench.toml"))

    write()
    assert main(["pairs", "--json"]) == 0
    assert main(["pairs", "audit", "p", "--json"]) == 0
    return write


def _sample():
    found = read_audit(Path("pairs/p.jsonl"))
    return found.sample


def _answer(rows, name="answers.csv"):
    Path(name).write_text("id,answer,note\n" + "".join(f"{one},{said},{note}\n" for one, said, note in rows))
    return name


def _load(suite, config):
    return load(["pairs:p"], suite, base=Path(), config=config)


def test_batch_is_used_once_its_audit_accepts_it(tiny_suite, work, capsys):
    config = work()
    with pytest.raises(PairsError, match="have no answer"):
        _load(tiny_suite.suite, config)
    ids = _sample()
    _, pairs = read_pairs(Path("pairs/p.jsonl"))
    assert sorted(ids) == sorted(map(pair_id, pairs))
    capsys.readouterr()
    answers = _answer([(one, "accept", "fine") for one in ids])
    assert main(["pairs", "audit", "p", "--answers", answers, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    n = len(ids)
    assert told["rates"]["all"]["judged"] == n
    assert told["rates"]["all"]["low"] == pytest.approx(n / (n + 1.959963984540054**2))
    assert (told["accepted"], told["unanswered"], told["interval"]) == (True, 0, "wilson")
    assert set(told["rates"]) == {"all", "judgements", "title"}
    assert len(_load(tiny_suite.suite, config).pairs) == n
    with pytest.raises(PairsError, match=r"the lower bound must reach 99.0%"):
        _load(tiny_suite.suite, work("0.99"))


def test_answers_may_come_in_parts_and_open_ones_keep_the_gate_shut(tiny_suite, work, capsys):
    ids = _sample()
    assert main(["pairs", "audit", "p", "--answers", _answer([(one, "yes", "") for one in ids[1:]])]) == 0
    assert f"1 of {len(ids)} sampled pairs have no answer" in capsys.readouterr().err
    with pytest.raises(PairsError, match=f"1 of {len(ids)} sampled"):
        _load(tiny_suite.suite, work("0.1"))
    assert main(["pairs", "audit", "p", "--answers", _answer([(ids[0], "n", "wrong")])]) == 0
    assert _load(tiny_suite.suite, work("0.1")).pairs
    assert read_audit(Path("pairs/p.jsonl")).answers[ids[0]] == (False, "wrong")


def test_changed_pair_file_makes_the_audit_invalid(tiny_suite, work, capsys):
    ids = _sample()
    assert main(["pairs", "audit", "p", "--answers", _answer([(one, "accept", "") for one in ids])]) == 0
    path = Path("pairs/p.jsonl")
    path.write_text(path.read_text().replace("Saddle height", "Saddle heights", 1))
    with pytest.raises(PairsError, match="audit is about an earlier"):
        _load(tiny_suite.suite, work())
    capsys.readouterr()
    assert main(["pairs", "audit", "p", "--answers", "answers.csv", "--json"]) == 2
    out, err = capsys.readouterr()
    message = json.loads(out)["error"]["message"]
    assert "are kept in pairs/p.audit-" in message and "was not audited as it is now" in message
    assert err == ""


def test_answers_about_an_earlier_file_stay_and_hold_again_when_it_is_back(tiny_suite, work, capsys):
    config, ids = work(), _sample()
    assert main(["pairs", "audit", "p", "--answers", _answer([(one, "accept", "") for one in ids])]) == 0
    path = Path("pairs/p.jsonl")
    whole = path.read_bytes()
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *rows[1:]]) + "\n")
    assert main(["pairs", "audit", "p"]) == 0
    assert "are kept in" in capsys.readouterr().err
    assert not read_audit(path).answers
    path.write_bytes(whole)
    capsys.readouterr()
    assert main(["pairs", "audit", "p", "--json"]) == 0
    assert capsys.readouterr().err == ""
    assert len(read_audit(path).answers) == len(ids)
    assert _load(tiny_suite.suite, config).pairs


def test_batch_without_an_audit_is_refused(tiny_suite, work):
    audit_path(Path("pairs/p.jsonl")).unlink()
    with pytest.raises(PairsError, match=r"has no audit. Audit it with: bench pairs audit p"):
        _load(tiny_suite.suite, work())


def test_export_is_gated_like_training(work, capsys):
    assert main(["pairs", "export", "p", "--format", "cohere", "--out", "x.jsonl"]) == 2
    assert not Path("x.jsonl").exists()


def test_another_sample_keeps_what_the_first_one_found_on_record(work, capsys):
    ids = _sample()
    assert main(["pairs", "audit", "p", "--answers", _answer([(one, "reject", "") for one in ids[:3]])]) == 0
    assert main(["pairs", "audit", "p"]) == 0  # the same sample: answers stay
    assert len(read_audit(Path("pairs/p.jsonl")).answers) == 3
    assert main(["pairs", "audit", "p", "--sample", "5", "--seed", "9"]) == 0
    found = read_audit(Path("pairs/p.jsonl"))
    # Five titles, which is the least of an origin, and both judgements.
    assert (len(found.sample), found.answers, found.earlier) == (7, {}, ({"seed": 0, "accepted": 0, "judged": 3},))
    capsys.readouterr()
    assert main(["pairs", "audit", "p", "--answers", _answer([(found.sample[0], "accept", "")])]) == 0
    assert "An earlier sample of this file: 0 of 3 accepted" in capsys.readouterr().err


HEAD = '{"format": 1, "kind": "pairs-audit-answers", "digest": "DIGEST"'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: expected the columns id, answer, note"),
        ("id,note\nID,x\n", '"answer" is not there once'),
        ("id,answer,note\nID,accept\n", "line 2: 2 fields; expected 3"),
        ("id,answer\nnobody,accept\n", "none of the"),
        ("id,answer\nID,accept\nID,reject\n", "line 3: pair"),
        ("id,answer\nID,maybe\n", "expected accept or reject"),
        ('id,answer\n"ID,accept\n', "not such a table"),
        ("{", "not JSON"),
        ("[]", "expected the answers that the audit's page gives"),
        ('{"format": 2, "kind": "pairs-audit-answers"}', "expected the answers"),
        (HEAD.replace("DIGEST", "other") + "}", "about another pair file"),
        (HEAD + ', "answers": [1]}', "expected a list of objects"),
        (HEAD + ', "answers": [{"id": 3}]}', "answers[0]: pair"),
        (HEAD + ', "answers": [{"id": "ID", "answer": []}]}', "accept or reject"),
        (HEAD + ', "answers": [{"id": "ID", "note": 3}]}', '"note" is'),
        ("id,answer\nID,\n", "holds no answer yet"),
    ],
)  # fmt: skip
def test_answers_that_are_none_are_exit_2_in_one_sentence(work, capsys, text, says):
    text = text.replace("DIGEST", file_digest(Path("pairs/p.jsonl"))).replace("ID", _sample()[0])
    Path("answers").write_text(text)
    capsys.readouterr()
    assert main(["pairs", "audit", "p", "--answers", "answers", "--json"]) == 2
    message = json.loads(capsys.readouterr().out)["error"]["message"]
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1, "kind": "pairs-audit", "digest": "d", "seed": "x"}'])
def test_damaged_record_is_refused_in_a_sentence(work, capsys, text):
    audit_path(Path("pairs/p.jsonl")).write_text(text)
    capsys.readouterr()
    assert main(["pairs", "audit", "p"]) == 2
    assert "audit anew" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["audti", "p"], 'Did you mean "audit"?'),
        (["make", "q"], "no table pairs.q"),
        (["audit", "p", "p"], "takes one table"),
        (["export", "p", "--out", "f"], "say --format"),
        (["show", "p", "--removed", "verbatm"], 'Did you mean "verbatim"?'),
    ],
)
def test_command_line_that_makes_no_sense_is_exit_2(work, capsys, arguments, says):
    capsys.readouterr()
    assert main(["pairs", *arguments]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "option", "of"),
    [
        (["--sample", "5"], "--sample", "audit"),
        (["p", "--seed", "0"], "--seed", "audit"),
        (["make", "p", "--answers", "f"], "--answers", "audit"),
        (["p", "--out", "f"], "--out", "audit"),
        (["audit", "p", "--dry-run"], "--dry-run", "make"),
        (["audit", "p", "--format", "cohere"], "--format", "export"),
        (["export", "p", "--format", "cohere", "--out", "f", "--sample", "5"], "--sample", "audit"),
        (["show", "p", "--negatives", "f"], "--negatives", "export"),
        (["show", "p", "--out", "f"], "--out", "audit"),
        (["audit", "p", "--removed", "all"], "--removed", "show"),
    ],
)
def test_option_of_another_action_is_refused(work, capsys, arguments, option, of):
    capsys.readouterr()
    assert main(["pairs", *arguments, "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["message"] == f"{option} belongs to: bench pairs {of} NAME"
    assert err == ""


def test_options_may_stand_before_the_action(work, capsys):
    capsys.readouterr()
    assert main(["pairs", "--json", "--sample", "5", "--config", "bench.toml", "audit", "p"]) == 0
    assert len(json.loads(capsys.readouterr().out)["sample"]) == 7, "two of judgements, five of titles"


def test_tables_that_were_made_before_one_fails_are_shown(work, capsys):
    with Path("bench.toml").open("a") as config:
        config.write('[pairs.q]\nfrom = [{kind = "title"}]\nfilters = {query_words = [50, 60]}\n')
    capsys.readouterr()
    assert main(["pairs"]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "to pairs/p.jsonl" in err and err.index("pairs/p.jsonl") < err.index("pairs.q: no pair is left")


def test_show_tells_what_was_made_and_what_was_removed(work, capsys):
    capsys.readouterr()
    assert main(["pairs", "show", "--json"]) == 0
    header = json.loads(capsys.readouterr().out)["header"]
    assert header["removed"]["judged-document"] > 0
    assert main(["pairs", "show", "p", "--removed", "judged-document", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["removed"]
    assert len(rows) == header["removed"]["judged-document"]
    assert main(["pairs", "show", "p"]) == 0
    assert main(["pairs", "show", "p", "--removed", "all"]) == 0
    assert "kept: title" in capsys.readouterr().err
