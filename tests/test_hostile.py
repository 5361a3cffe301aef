"""Hostile text is inert on every surface: one table of texts, one of surfaces, and for each kind what inert means.

The oracle is a comparison: whatever the text, the parsed output has the elements and attributes that it has for a
harmless one. A new surface is one entry in `SURFACES`; a new text is one entry in `TEXTS`.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from conftest import build_result

from bench.gate.verdict import judge
from bench.records import Finding, Policy, Verdict
from bench.report import Fusion, Material, Times, tables
from bench.report.drift import blocks as drift_blocks
from bench.report.drift import issue as drift_issue
from bench.report.drift import render as drift_page
from bench.report.forms import github, metrics, terminal
from bench.report.forms.comment import comment, error_comment
from bench.report.forms.html import markdown, render, whole_json, whole_latex, whole_markdown
from bench.report.forms.junit import document, error_document
from bench.report.forms.markdown import markdown as blocks_as_markdown
from bench.report.history import blocks as history_blocks
from bench.report.history import render as history_page
from bench.report.sections.verdicts import verdict_blocks
from bench.watch.drift import Drift, Side, Signal, conclude
from bench.watch.history import History, history
from bench.watch.log import Event, Log

HARMLESS = "plain words"

TEXTS = {
    "script": "<script>alert(1)</script>",
    "closing script": "</script><script>alert(1)</script>",
    "closing everything": "\"'></td></table></title></style></code></details><b onclick=alert(1)>",
    "image": "<img src=x onerror=alert(1)>",
    "entity": "&lt;b&gt; &#60;b&#62; &amp;",
    "comment": "<!-- <!ENTITY x SYSTEM 'file:///etc/passwd'> --> <?php ?> <!DOCTYPE a>",
    "cdata": "]]><failure/><![CDATA[",
    "template": "{{ 7*7 }} {% raw %} ${7*7}",
    "link": "[text](https://evil.example/a) <https://evil.example/b> https://evil.example/c www.evil.example",
    "reference": "[text][1]\n\n[1]: https://evil.example/",
    "address": "javascript:alert(1) data:text/html,x a@evil.example",
    "image in Markdown": "![pixel](https://evil.example/p.png)",
    "table": "a | b |\n| --- | --- |\n| c | d |",
    "heading": "# top\n## second\n===\n---",
    "fence": "```\nfenced\n```\n~~~\n`code` ``two``",
    "list": "- one\n1. two\n> quote\n* * *",
    "mention": "@org/team @octocat #1 org/repo#2 :tada:",
    "emphasis": "**bold** _it_ ~~gone~~ $x_{1}$ [^1]",
    "colour": "\x1b[31mred\x1b[0m \x1b[2J\x1b[H \x1b]0;title\x07",
    "terminal link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "eight-bit control": "\x9b31m \x9d8;; \x90q \x85",
    "carriage return": "fine\rFORGED\b\b\b\x7f\v\f",
    "direction": "\u202egnp.exe \u2066a\u2069 \u200f \u061c",
    "newline": "fine\nFORGED PASS\n\n",
    "separators": "a\u2028FORGED\u2029FORGED\x1c\x1d\x1e",
    "error command": "::error file=a,line=1::owned",
    "command on a line": "fine\n::error::owned\n  ::set-output name=x::y\n::add-mask::a\n:::stop-commands::x",
    "old command": "fine\n##[error]owned ##[set-env name=PATH]x\n##[group]",
    "command far away": "w" * 119 + "::error::owned " + "v" * 100 + "##[error]x",
    "console markup": "[bold red]x[/] [link=https://evil.example]y[/link] [/]",
    "long": "w" * 10_000,
    "long commands": "::error::" * 2_000,
    "NUL": "a\x00b\x00",
    "surrogates": "\ud800 \udfff \udc80",
    "not characters": "\ufffe\uffff\ufdd0",
    "empty": "",
}


# --- records in which every free string is the text --------------------------------------------------


def a_verdict(text: str, *, blocked: bool = False) -> Verdict:
    """Cells that fail, pass and cannot tell; pinned losses, ties and findings; every name and id is the text."""
    ids = [f"{text}{i}" for i in range(40)]
    more: dict[str, Any] = {
        "query_ids": ids, "pinned": range(3), "tie_spread": {"recall@10": 0.2}, "missing": (ids[-1],), "left_out": 1,
    }  # fmt: skip
    better, worse = [1.0] * 36 + [0.0] * 4, [0.0] * 6 + [1.0] * 28 + [0.0] * 6
    unclear = [1.0, 0.0] * 18 + [0.0] * 4

    def results(system: str, held_out: list[float], other: list[float], where: str) -> list[Any]:
        name, values = f"{system} {text}", {"recall@10": held_out, "ndcg@10": [0.9 * x for x in held_out]}
        others = {"recall@10": other, "ndcg@10": other}
        return [
            build_result(values, system=name, query_set=f"home {text}", environment={"where": where}, **more),
            build_result(others, system=name, query_set=f"away {text}", role="out-of-distribution", **more),
        ]

    policy = Policy(on_inconclusive="block") if blocked else Policy()
    notes = [
        Finding(severity, "code", f"at {text}", f"found {text}", text) for severity in ("error", "warning", "info")
    ]
    before = results("old", better, unclear, f"there {text}")
    after = results("new", worse, [*unclear[:-2], 1.0, 0.0], f"here {text}")
    return judge(before, after, policy, findings=notes)


def a_material(text: str, *, whole: bool) -> Material:
    """What `bench gate --html` shows, or (`whole`) a report with texts, documents and lineage."""
    verdict = a_verdict(text)
    ids = [f"{text}{i}" for i in range(40)]
    sets = [f"home {text}", f"away {text}"]
    values = {"recall@10": [1.0, 0.0] * 20, "ndcg@10": [0.5] * 40}
    results = [
        build_result(values, system=f"{who} {text}", query_set=name, query_ids=ids, role=role, environment={text: text})
        for name, role in zip(sets, ("held-out", "out-of-distribution"), strict=True)
        for who in ("old", "new")
    ]
    return Material(
        title=f"Title {text}",
        results=tuple(results) if whole else (),
        reference=f"old {text}",
        verdicts=(verdict,),
        findings=(Finding("error", "code", f"at {text}", f"found {text}", text),),
        training=({"name": f"m {text}", "recipe": {"loss": text}, "base": {"name": text}, "seed": 0},) if whole else (),
        texts={name: dict.fromkeys(ids, f"asked {text}") for name in sets},
        documents={name: {"d1": f"one {text}", "d2": f"two {text}"} for name in sets},
        qrels={name: {query_id: {"d1": 1} for query_id in ids} for name in sets},
        commands=(f"bench run {text}",),
        made=f"now {text}",
        version=f"0 {text}",
    )


# --- what inert means for each kind of output --------------------------------------------------------


class Skeleton(HTMLParser):
    """Elements with their attributes' names, and the values that lead somewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[tuple[str, ...]] = Counter()
        self.comments = 0
        self.leads: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = sorted(name for name, _ in attrs)
        self.elements[tag, *names] += 1
        self.leads |= {f"{name}={value}" for name, value in attrs if name in ("href", "src", "action", "srcset")}

    def handle_comment(self, data: str) -> None:
        self.comments += 1

    def handle_pi(self, data: str) -> None:
        self.comments += 1


INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]"
)


def inert_html(made: str, harmless: str) -> None:
    """The page's elements are the template's, and nothing leads out of it."""
    assert not INVISIBLE.search(made)
    assert "w" * 2_100 not in made
    found, expected = Skeleton(made), Skeleton(harmless)
    assert found.elements == expected.elements
    assert found.comments == expected.comments
    assert all(lead.startswith("href=#") for lead in found.leads)
    assert not re.search(r"https?://(?!www\.w3\.org)", made)
    for data in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', made, re.DOTALL):
        json.loads(data)


def inert_markdown(made: str, harmless: str) -> None:
    """Rendered as GitHub does, the elements are those of a harmless text; no line is a command, nobody is called."""
    from markdown_it import MarkdownIt

    assert not INVISIBLE.search(made)
    assert "w" * 700 not in made
    assert not re.search(r"(?m)::|##\[|https?://|www\.|(?<!\w)@|`", made)
    rendered, expected = (
        Skeleton(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(t)) for t in (made, harmless)
    )
    assert rendered.elements == expected.elements
    assert not rendered.leads and not rendered.comments
    # GitHub reads mentions once more after entities: what remains must not look like one.
    assert "@org" not in made and "&#64;org" not in made


def inert_xml(made: str, harmless: str) -> None:
    """Well-formed, with the elements and attributes of a harmless text."""

    def skeleton(text: str) -> Counter[tuple[str, ...]]:
        return Counter((one.tag, *sorted(one.attrib)) for one in ElementTree.fromstring(text.encode()).iter())

    assert not INVISIBLE.search(made)
    assert "w" * 5_000 not in made
    assert skeleton(made) == skeleton(harmless)
    assert not re.search(r"(?m)^\s*(::|##\[)", made)


def inert_json(made: str, harmless: str) -> None:
    """A document with the same keys, whose strings hold nothing invisible and are short."""

    def strings(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return [text for held in found for text in strings(held)]

    assert all(not INVISIBLE.search(text) and "\n" not in text for text in strings(json.loads(made)))
    assert "w" * 2_100 not in made
    assert set(json.loads(made)) == set(json.loads(harmless))


def inert_latex(made: str, harmless: str) -> None:
    """The commands, environments and cells are those of a harmless text; no line is a comment that was none."""
    escape = re.compile(r"\\(?:text[a-z]+(?=\{\})|[{}$&#%_,]|ldots(?=\{\}))")

    def bare(text: str) -> str:
        return escape.sub("", text)

    def shape(text: str) -> list[tuple[int, int, int]]:
        lines = [line for line in bare(text).split("\n") if not line.startswith("%")]
        return [(line.count("&"), line.count("\\\\"), line.count("{") - line.count("}")) for line in lines]

    assert not INVISIBLE.search(made)
    assert shape(made) == shape(harmless)
    assert set(re.findall(r"\\[a-zA-Z]+", bare(made))) <= OUR_COMMANDS
    assert not any(set("%#_^") & set(line) for line in bare(made).split("\n") if not line.startswith("% "))


OUR_COMMANDS = {
    *(r"\begin", r"\end", r"\caption", r"\toprule", r"\midrule", r"\bottomrule", r"\endfirsthead", r"\endhead"),
    *(r"\linewidth", r"\texttt", r"\underline", r"\scriptsize", r"\footnotesize", r"\par", r"\usepackage", r"\small"),
    *(r"\rightarrow", r"\times", r"\blacktriangle", r"\blacktriangledown"),
}


def inert_lines(made: str, harmless: str) -> None:
    """No control characters, no command to a log's reader, no line that somebody else wrote."""
    assert not INVISIBLE.search(made)
    assert all(c.isprintable() or c in "\n\u200b" for c in made)
    # GitHub obeys "::" at the start of a line, and "##[" anywhere in it.
    assert "##[" not in made and not re.search(r"(?m)^\s*::", made)
    assert max(map(len, made.splitlines()), default=0) < 4_500


def inert_log(made: str, harmless: str) -> None:
    """Inert lines, and none that somebody else wrote; a terminal may break ours anywhere."""
    inert_lines(made, harmless)
    assert not re.search(r"(?m)^\s*FORGED", made)


# --- surfaces ----------------------------------------------------------------------------------------


class Surface(NamedTuple):
    """What is made of a text, and what it must not become."""

    make: Callable[[str], str]
    inert: Callable[[str, str], None]


def printed(call: Callable[[], Any], *, terminal_width: int | None = None) -> str:
    """What a call writes to standard error: a log's, or a terminal's of so many columns that knows no colours."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return terminal_width is not None

    screen = Screen()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(screen):
        patch.setenv("TERM", "dumb")
        patch.setenv("COLUMNS", str(terminal_width or 80))
        call()
    return screen.getvalue()


def shown(blocks: Sequence[Any], *, terminal_width: int | None = None) -> str:
    """What blocks print."""
    return printed(lambda: terminal.blocks(blocks), terminal_width=terminal_width)


def a_table(text: str) -> None:
    rows = [[text, text], ["w" * 150 + text, text]]
    terminal.blocks([tables.table(f"title {text}", [f"first {text}", "second"], rows)])


def alone(text: str, **more: Any) -> Material:
    """A material with the verdict and nothing else."""
    return Material("", (), "", verdicts=(a_verdict(text),), **more)


def with_texts(text: str) -> Material:
    whole = a_material(text, whole=False)
    return alone(text, texts=whole.texts, qrels=whole.qrels)


def a_comment(text: str) -> str:
    return comment(with_texts(text), key=text, link=text)


def inert_comment(made: str, harmless: str) -> None:
    """One line that is the marker, then inert Markdown."""
    (mark, rest), (_, expected) = (t.split("\n", 1) for t in (made, harmless))
    assert re.fullmatch(r"<!-- retrieval-gate( [A-Za-z0-9._/@-]+)? -->", mark)
    assert len(made) < 65_536
    inert_markdown(rest, expected)


def commands(text: str) -> str:
    place = github.Place(text, 3)
    lines = [
        *github.annotation_commands(a_verdict(text), place),
        github.command("error", text, title=text, place=place),
    ]
    return "\n".join(lines)


def inert_commands(made: str, harmless: str) -> None:
    """As many commands as for a harmless text, of the same kinds, each a line whose properties are ours."""

    def heads(lines: str) -> list[tuple[str, str]]:
        return [(m[1], m[2]) for line in lines.split("\n") if (m := re.match(r"::(\w+) ([^:]*)::", line))]

    assert not INVISIBLE.search(made)
    assert len(made.split("\n")) == len(harmless.split("\n")) == len(heads(made))
    assert [kind for kind, _ in heads(made)] == [kind for kind, _ in heads(harmless)]
    for _, properties in heads(made):
        names = [part.split("=")[0] for part in properties.split(",")]
        # An empty one is left out.
        assert names == [name for name in ("file", "line", "title") if name in names]
        assert "line=3" in properties.split(",")


def step_outputs(text: str) -> str:
    return "".join(f"{k}={v}\n" for k, v in github.outputs(a_verdict(text), exit_code=1, report=None).items())


def one_line_each(made: str, harmless: str) -> None:
    """No text adds a line."""
    assert not INVISIBLE.search(made)
    assert [line.partition("=")[0].partition("{")[0] for line in made.split("\n")] == [
        line.partition("=")[0].partition("{")[0] for line in harmless.split("\n")
    ]


def a_history(text: str) -> History:
    """Two systems over time with a step, an accepted baseline and a new question; every name is the text."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    events, results = [], {}
    better, worse = [1.0] * 40, [1.0] * 20 + [0.0] * 20
    for who in ("old", "new"):
        for day, values in enumerate((better, better, worse, worse)):
            more = {"system": f"{who} {text}", "query_set": f"home {text}", "labels_digest": "ab"[day == 3]}
            made = replace(build_result({f"recall@10 {text}": values}, **more), suite=f"suite {text}")
            events.append(Event("result", began + timedelta(days=day), f"c {text}", f"{who}{day}"))
            results[f"{who}{day}"] = made
        events.append(Event("accepted", began + timedelta(days=3), None, f"{who}3", f"why {text}"))
    notes = (Finding("warning", "damaged-line", f"at {text}", f"found {text}"),)
    return history(Log(Path("h.jsonl"), tuple(events), results, notes))


def a_drift(text: str) -> Drift:
    """Signals of every status; every sentence, example, name and source is the text."""
    signals = [
        Signal(f"{about}: words {text}", about, status, f"said {text}", 0.2, 0.01, p, examples=(text, f"x {text}"))
        for about, status, p in (
            ("documents", "not shown", 0.0005),
            ("queries", "not shown", 0.5),
            ("recall", "doubtful", 0.5),
            ("base model", "unknown", None),
        )
    ]
    sides = {"documents": Side(f"from {text}", "d" * 32, 3, 3, f"note {text}")}
    return conclude(
        signals, alpha=0.01, fine_tuned=False, system=f"s {text}", suite=f"t {text}", model=text, sides=sides
    )


SURFACES = {
    "page of a history": Surface(lambda text: history_page(a_history(text), title=f"t {text}", made=text), inert_html),
    "Markdown of a history": Surface(lambda text: blocks_as_markdown(history_blocks(a_history(text))), inert_markdown),
    "history in a log": Surface(lambda text: shown(history_blocks(a_history(text))), inert_log),
    "page of drift": Surface(lambda text: drift_page(a_drift(text), made=text), inert_html),
    "issue of drift": Surface(lambda text: drift_issue(a_drift(text), key=text), inert_comment),
    "drift in a log": Surface(lambda text: shown(drift_blocks(a_drift(text))), inert_log),
    "page of a verdict": Surface(lambda text: render(a_material(text, whole=False)), inert_html),
    "Markdown": Surface(lambda text: markdown(alone(text)), inert_markdown),
    "Markdown with texts": Surface(lambda text: markdown(with_texts(text)), inert_markdown),
    "whole report as Markdown": Surface(lambda text: whole_markdown(a_material(text, whole=True)), inert_markdown),
    "whole report as JSON": Surface(lambda text: json.dumps(whole_json(a_material(text, whole=True))), inert_json),
    "whole report as LaTeX": Surface(lambda text: whole_latex(a_material(text, whole=True)), inert_latex),
    "comment": Surface(a_comment, inert_comment),
    "comment of an error": Surface(
        lambda text: error_comment(" ".join(f"{text} at {text}".split("\n")), key=text), inert_comment
    ),
    "annotations": Surface(commands, inert_commands),
    "step outputs": Surface(step_outputs, one_line_each),
    "metrics": Surface(lambda text: metrics.document(a_verdict(text)), one_line_each),
    "JUnit": Surface(lambda text: document(a_verdict(text)), inert_xml),
    "JUnit of a policy that blocks": Surface(lambda text: document(a_verdict(text, blocked=True)), inert_xml),
    "JUnit of an error": Surface(lambda text: error_document(text, f"{text} at\n{text}"), inert_xml),
    "verdict in a log": Surface(lambda text: shown(verdict_blocks(a_verdict(text))), inert_log),
    "verdict in a terminal": Surface(
        lambda text: shown(verdict_blocks(a_verdict(text)), terminal_width=80), inert_lines
    ),
    "findings": Surface(lambda text: shown(tables.findings(a_verdict(text).findings)), inert_log),
    "table in a log": Surface(lambda text: printed(lambda: a_table(text)), inert_log),
    "table in a terminal": Surface(lambda text: printed(lambda: a_table(text), terminal_width=60), inert_lines),
}


@pytest.fixture(scope="module")
def harmless() -> dict[str, str]:
    """What each surface makes of harmless words, made once."""
    return {}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("surface", SURFACES)
def test_hostile_text_is_inert(surface: str, text: str, harmless: dict[str, str]) -> None:
    make, inert = SURFACES[surface]
    if surface not in harmless:
        harmless[surface] = make(HARMLESS)
    inert(make(text), harmless[surface])


@pytest.mark.parametrize("inert", [inert_html, inert_markdown, inert_xml, inert_lines, inert_log])
def test_the_checks_notice_what_they_are_for(inert: Callable[[str, str], None]) -> None:
    live = {
        inert_html: [
            "<p><b>x</b></p>",
            '<p><a href="/x">y</a></p>',
            "<p>\x1b</p>",
            "<p onclick=x>y</p>",
            "<p><!--x--></p>",
        ],
        inert_markdown: ["**bold**", "a\n\n# b", "@org/team", "[a](b)", "<img src=x>", "::error::x", "\u202e"],
        inert_xml: ["<p><q/></p>", "<p a='1'/>", "<p>\x9b</p>", "<p>\n::error::x</p>"],
        inert_lines: ["\x1b[31m", "a\n ::error::x", "a ##[error]x", "\u2028", "w" * 5_000],
        inert_log: ["\x1b[31m", "fine\nFORGED"],
    }[inert]
    harmless = "words\n" if inert in (inert_markdown, inert_lines, inert_log) else "<p>words</p>"
    inert(harmless, harmless)
    for text in live:
        with pytest.raises(AssertionError):
            inert(text, harmless)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_said_text_keeps_its_lines_and_nothing_else(text: str) -> None:
    said = printed(lambda: terminal.say(f"error: {text}"))
    assert all(c.isprintable() or c in "\n\u200b" for c in said)
    assert "##[" not in said and not re.search(r"(?m)^\s*::", said)
    assert said.count("\n") == text.count("\n") + 1


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_json_document_is_one_line_that_reads_back(
    text: str, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    from bench.base.store import read_json, write_json
    from bench.cli.main import print_json

    verdict = a_verdict(text)
    print_json(verdict.to_json())
    out = capsysbinary.readouterr().out
    assert out.count(b"\n") == 1 and not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", out)
    assert json.loads(out)["cells"][0]["query_set"] == f"home {text}"
    written = write_json(tmp_path / "verdict.json", verdict.to_json(), indent=1)
    assert read_json(written) == json.loads(out)


@pytest.mark.parametrize("name", ["closing everything", "link", "colour", "long", "surrogates"])
def test_names_of_fusions_times_and_loops_are_inert(name: str) -> None:
    # Where labels find room depends on their length, so elements are not counted here as they are for pages.
    text = TEXTS[name]
    whole = a_material(text, whole=True)
    old, new, home = whole.results[0].system, whole.results[1].system, whole.results[0].query_set
    points = [
        {"pairs": n, "seed": text, "query_set": home, "measure": f"m {text}", "mean": n / 10, "share": 1}
        for n in (1, 2)
    ]
    gains = [{"query_set": text, "role": text, "measure": text, "n_seeds": 2, "delta": 0.1, "seed_sd": 0.1, "ci": None}]
    made = replace(
        whole,
        fusions=(Fusion(f"h {text}", (old, new), f"m {text}", {0.0: 0.1, 1.0: 0.2}, 1.0),),
        times=(Times(home, 5, {old: (1.0, 2.0), new: (2.0, 3.0)}),),
        loops=({"recipe": f"r {text}", "points": points, "gains": gains},),
        depths={home: {old: [0.1, 0.2], new: [0.2, 0.3]}},
    )
    page = render(made)
    found = Skeleton(page)
    assert not INVISIBLE.search(page) and not found.comments and "w" * 2_100 not in page
    assert all(lead.startswith("href=#") for lead in found.leads)
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    tags = {names[0] for names in found.elements}
    assert (
        not tags & {"img", "iframe", "b", "failure"}
        and sum(n for k, n in found.elements.items() if k[0] == "script") == 2
    )
    assert not any(name.startswith("on") or name == "style" for names in found.elements for name in names[1:])
    json.dumps(whole_json(made), allow_nan=False)
    assert not INVISIBLE.search(whole_markdown(made)) and not INVISIBLE.search(whole_latex(made))


def test_whole_report_of_all_texts_is_inert_in_a_browser(tmp_path: Path) -> None:
    every = " ".join(text[:300] for text in TEXTS.values())
    page = render(a_material(every, whole=True))
    inert_html(page, render(a_material(HARMLESS, whole=True)))
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = Path("/usr/bin/chromium") if Path("/usr/bin/chromium").exists() else shutil.which("chromium")
    if not found:
        pytest.skip("chromium is not installed")
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(found), args=["--headless", "--no-sandbox"])
        try:
            tab = browser.new_context(offline=True).new_page()
            happened: list[str] = []
            tab.on("dialog", lambda dialog: (happened.append(dialog.message), dialog.dismiss()))
            tab.on("console", lambda message: happened.append(message.text))
            tab.on("pageerror", lambda error: happened.append(str(error)))
            tab.on("request", lambda request: happened.extend([request.url] * (not request.url.startswith("file:"))))
            tab.goto(path.as_uri())
            tab.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
            tab.select_option("#explorer-side", "all")
            for query in tab.locator("button.query").all()[:8]:
                query.click()
            assert "onerror=alert(1)" in tab.locator(".opened .passage, .queries .words").first.inner_text()
            assert tab.locator("img, iframe, object, embed, form, base, meta[http-equiv=refresh]").count() == 0
            assert happened == []
        finally:
            browser.close()
