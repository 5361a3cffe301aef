"""Claims about GitHub's surfaces: one comment, changed and not repeated; commands and outputs no text can forge."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from bench.base.errors import BaselineError, UsageError
from bench.cli.main import main
from bench.gate.verdict import judge
from bench.project.answers import Judged
from bench.records import Finding, Policy, Rule
from bench.report import Material
from bench.report.forms import github, metrics
from bench.report.forms.comment import LONGEST, comment, error_comment, marker
from bench.report.publish import Forms, publish, publish_error

POLICY = Policy((Rule("held-out", ("recall@10",), 0.02),))


def a_verdict(make_result, lost=30, n=200, policy=POLICY, **more):
    after = np.ones(n)
    after[:lost] = 0
    before = make_result({"recall@10": np.ones(n)}, system="old", **more)
    return judge([before], [make_result({"recall@10": after}, system="new", **more)], policy)


def a_material(verdict, **more):
    return Material("", (), "", verdicts=(verdict,), **more)


# --- a comment on a server that behaves like GitHub's -------------------------------------------------


class Api(BaseHTTPRequestHandler):
    """Comments of one pull request, in pages of 100."""

    comments: list[dict]
    status: int | None = None
    calls: list[str]

    def _answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _handle(self):
        cls = type(self)
        cls.calls.append(f"{self.command} {self.path} {self.headers['Authorization']}")
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if cls.status:
            return self._answer(cls.status, {"message": "Resource not accessible by integration"})
        if self.command == "GET":
            page = int(re.search(r"[?&]page=(\d+)", self.path)[1])
            return self._answer(200, cls.comments[100 * (page - 1) : 100 * page])
        if self.command == "POST":
            made = {"id": len(cls.comments) + 1, "user": {"login": github.BOT}, "html_url": "https://x/1"} | body
            cls.comments.append(made)
            return self._answer(201, made)
        (found,) = [c for c in cls.comments if str(c["id"]) == self.path.rsplit("/", 1)[1]]
        found.update(body)
        return self._answer(200, found)

    do_GET = do_POST = do_PATCH = _handle

    def log_message(self, *_):
        pass


@pytest.fixture
def api(monkeypatch):
    handler = type("Fresh", (Api,), {"comments": [], "calls": [], "status": None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GITHUB_TOKEN", "secret-token")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/search")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def bodies(api):
    return [c["body"] for c in api.comments]


def test_second_comment_replaces_the_first(api, make_result, tmp_path):
    path = tmp_path / "comment.md"
    for lost in (30, 0):
        path.write_text(comment(a_material(a_verdict(make_result, lost=lost))))
        assert main(["comment", str(path), "--pr", "7"]) == 0
    assert len(api.comments) == 1
    assert "Regression" not in bodies(api)[0]
    assert [call.split()[0] for call in api.calls] == ["GET", "POST", "GET", "PATCH"]
    assert all(call.endswith("Bearer secret-token") for call in api.calls)


def test_comment_is_found_behind_many_others(api, make_result, tmp_path):
    mark = marker("")
    api.comments += [{"id": i, "user": {"login": "somebody"}, "body": "hello"} for i in range(1000, 1230)]
    api.comments.append({"id": 5000, "user": {"login": github.BOT}, "body": f"{mark}\nold"})
    path = tmp_path / "comment.md"
    path.write_text(comment(a_material(a_verdict(make_result))))
    assert main(["comment", str(path), "--pr", "7"]) == 0
    assert len(api.comments) == 231
    assert bodies(api)[-1] == path.read_text()


def test_marker_that_somebody_copied_is_left_alone(api, make_result, tmp_path):
    api.comments.append({"id": 1, "user": {"login": "mallory"}, "body": f"{marker('')}\nmine"})
    path = tmp_path / "comment.md"
    path.write_text(comment(a_material(a_verdict(make_result))))
    assert main(["comment", str(path), "--pr", "7"]) == 0
    assert bodies(api)[0].endswith("mine")
    assert len(api.comments) == 2


def test_two_gates_have_two_comments(api, make_result, tmp_path):
    path = tmp_path / "comment.md"
    for key in ("law", "medicine", "law"):
        path.write_text(comment(a_material(a_verdict(make_result)), key=key))
        assert main(["comment", str(path), "--pr", "7"]) == 0
    assert [body.split("\n")[0] for body in bodies(api)] == [marker("law"), marker("medicine")]


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_refused_comment_never_hides_the_verdict(api, make_result, tmp_path, capsys, status):
    api.status = status
    path = tmp_path / "comment.md"
    path.write_text(comment(a_material(a_verdict(make_result))))
    assert main(["comment", str(path), "--pr", "7"]) == 0
    told = capsys.readouterr().err
    assert f"GitHub answered {status}" in told
    assert "secret-token" not in told


def test_no_token_and_no_pull_request_are_told(tmp_path, monkeypatch, capsys):
    path = tmp_path / "comment.md"
    path.write_text(error_comment("x"))
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_EVENT_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert main(["comment", str(path)]) == 0
    assert "for no pull request" in capsys.readouterr().err
    assert main(["comment", str(path), "--pr", "3"]) == 0
    assert "GITHUB_TOKEN is not set" in capsys.readouterr().err


# --- one issue --------------------------------------------------------------------------------------


class Issues(Api):
    """Issues of one repository, pull requests among them, in pages of 100."""

    def _handle(self):
        cls = type(self)
        cls.calls.append(f"{self.command} {self.path}")
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if cls.status:
            return self._answer(cls.status, {"message": "Resource not accessible by integration"})
        if self.command == "GET":
            assert "state=open" in self.path
            page = int(re.search(r"[?&]page=(\d+)", self.path)[1])
            there = [issue for issue in cls.comments if issue["state"] == "open"]
            return self._answer(200, there[100 * (page - 1) : 100 * page])
        if self.command == "POST":
            number = len(cls.comments) + 1
            user, link = {"login": github.BOT}, f"https://x/{number}"
            made = {"number": number, "state": "open", "user": user, "html_url": link} | body
            cls.comments.append(made)
            return self._answer(201, made)
        (found,) = [issue for issue in cls.comments if str(issue["number"]) == self.path.rsplit("/", 1)[1]]
        found.update(body)
        return self._answer(200, found)

    do_GET = do_POST = do_PATCH = _handle


@pytest.fixture
def issues(api, monkeypatch):
    handler = type("FreshIssues", (Issues,), {"comments": [], "calls": [], "status": None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{server.server_port}")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def an_issue(number, body, *, login=github.BOT, state="open", **more):
    return {"number": number, "state": state, "user": {"login": login}, "html_url": "x", "body": body, **more}


def tell(tmp_path, text, *more):
    path = tmp_path / "drift.md"
    path.write_text(f"{marker('drift')}\n{text}")
    return main(["comment", str(path), "--issue", "Retrieval has drifted", *more])


def test_second_night_changes_the_issue_of_the_first(issues, tmp_path):
    for text in ("re-train", "nothing to do"):
        assert tell(tmp_path, text) == 0
    (issue,) = issues.comments
    assert issue["title"] == "Retrieval has drifted"
    assert issue["body"].endswith("nothing to do")
    assert [call.split()[0] for call in issues.calls] == ["GET", "POST", "GET", "PATCH"]


def test_title_that_people_gave_an_issue_stays(issues, tmp_path):
    issues.comments.append(an_issue(1, f"{marker('drift')}\nold", title="Ours"))
    tell(tmp_path, "new")
    assert (issues.comments[0]["title"], issues.comments[0]["body"].split("\n")[1]) == ("Ours", "new")


def test_issue_is_found_behind_many_others_and_closed_copied_and_pull_requests_are_left_alone(issues, tmp_path):
    mark = f"{marker('drift')}\n"
    issues.comments += [an_issue(i, "hello", login="somebody") for i in range(1000, 1150)]
    issues.comments += [
        an_issue(1, mark + "closed", state="closed"),
        an_issue(2, mark + "copied", login="mallory"),
        an_issue(3, mark + "pull", pull_request={}),
        an_issue(4, f"{marker('')}\nanother marker"),
        an_issue(5, None),
        an_issue(6, mark + "ours"),
    ]
    tell(tmp_path, "new")
    assert len(issues.comments) == 156
    assert [issue["body"] for issue in issues.comments if issue["body"] and issue["body"].endswith("new")] == [
        mark + "new"
    ]
    assert issues.comments[-1]["body"] == mark + "new"


def test_quiet_night_opens_no_issue_and_updates_one_that_is_open(issues, tmp_path, capsys):
    assert tell(tmp_path, "nothing to do", "--if-open") == 0
    assert issues.comments == []
    assert "none is opened" in capsys.readouterr().err
    tell(tmp_path, "re-train")
    tell(tmp_path, "nothing to do", "--if-open")
    assert [issue["body"].split("\n")[1] for issue in issues.comments] == ["nothing to do"]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
def test_refused_issue_never_hides_the_finding(issues, tmp_path, capsys, status):
    issues.status = status
    assert tell(tmp_path, "re-train") == 0
    told = capsys.readouterr().err
    assert f"GitHub answered {status}" in told
    assert "secret-token" not in told


def test_issue_and_pull_request_are_told_apart(tmp_path, capsys):
    assert tell(tmp_path, "x", "--pr", "3") == 2
    assert "leave one out" in capsys.readouterr().err
    assert main(["comment", str(tmp_path / "drift.md"), "--if-open", "--pr", "3"]) == 2


@pytest.mark.parametrize(("repository", "body"), [("a/b/c", marker("drift")), ("team/search", "hello")])
def test_issue_that_cannot_be_right_is_refused_before_a_token_leaves(issues, repository, body):
    with pytest.raises(UsageError):
        github.post_issue(body, title="t", repository=repository, token="t")
    assert issues.calls == []


def test_unreachable_api_is_told(make_result, tmp_path, monkeypatch, capsys):
    path = tmp_path / "comment.md"
    path.write_text(error_comment("x"))
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    monkeypatch.setenv("GITHUB_REPOSITORY", "team/search")
    assert main(["comment", str(path), "--pr", "3"]) == 0
    assert "No comment was written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("repository", "api", "body", "sentence"),
    [
        ("team/search/../x", "https://api.example.org", error_comment("x"), "no repository"),
        ("team/search", "http://api.example.org", error_comment("x"), "no https address"),
        ("team/search", "https://api.example.org", "hello", "gate's marker"),
    ],
)
def test_what_cannot_be_right_is_refused_before_a_token_leaves(repository, api, body, sentence):
    with pytest.raises(UsageError, match=sentence):
        github.post(body, repository=repository, number=1, token="t", api=api)


def test_number_comes_from_the_event(tmp_path, monkeypatch):
    event = tmp_path / "event.json"
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    for text, number in (('{"pull_request": {"number": 12}}', 12), ("[]", None), ('{"pull_request": "x"}', None)):
        event.write_text(text)
        assert github.pull_request() == number


# --- the comment itself ----------------------------------------------------------------------------


def rows_of(text):
    return [line for line in text.split("\n") if line.startswith("| ") and "---" not in line][1:]


def test_comment_has_the_verdict_first_and_at_most_six_rows_worst_first(make_result):
    measures = ("recall@10", "ndcg@10", "mrr@10", "recall@100")
    before, after = np.ones(200), np.ones(200)
    after[:30] = 0
    results = [
        [
            make_result(dict.fromkeys(measures, values), system=system, query_set=name)
            for name, values in (("one", before), ("two", before if system == "old" else after))
        ]
        for system in ("old", "new")
    ]
    verdict = judge(*results, Policy((Rule("held-out", measures, 0.02),)))
    text = comment(a_material(verdict))
    lines = text.split("\n")
    assert lines[0] == marker("")
    assert lines[1].startswith("### Regression: ")
    rows = rows_of(text)
    assert len(rows) == 6
    assert ["Regression" in row for row in rows] == [True] * 4 + [False] * 2
    assert "2 more comparisons, none of them worse than these, in the job summary." in text


def test_comment_tells_texts_and_ranks_of_lost_queries(make_result):
    from dataclasses import replace

    before, after = np.ones(40), np.ones(40)
    after[3] = 0
    old, new = make_result({"recall@10": before}, system="old"), make_result({"recall@10": after}, system="new")
    tops = [list(ids) for ids in new.top_ids]
    tops[3] = ["d8", "d9"]
    new = replace(new, top_ids=tuple(map(tuple, tops)))
    verdict = judge([old], [new], POLICY)
    material = a_material(
        verdict,
        baselines=(old, new),
        texts={"shop": {"q003": "how do I patch a tube"}},
        qrels={"shop": {"q003": {"d2": 1}}},
    )
    assert "how do I patch a tube (recall&#64;10" not in comment(material)
    assert "how do I patch a tube (recall@10 1.000 → 0.000); rank of <code>d2</code> 2 → below 10" in comment(material)


def test_comment_stays_below_githubs_limit_however_long_the_texts_are(make_result):
    ids = [f"{i:03}" + "<" * 300 for i in range(200)]
    verdict = a_verdict(make_result, lost=150, query_ids=ids)
    material = a_material(verdict, texts={"shop": dict.fromkeys(ids, "&" * 10_000)})
    assert len(comment(material)) <= LONGEST
    assert rows_of(comment(material))


def test_link_is_only_ever_an_https_address(make_result):
    material = a_material(a_verdict(make_result))
    assert "[Whole report](https://github.com/a/b/actions/runs/1)" in comment(
        material, link="https://github.com/a/b/actions/runs/1"
    )
    for link in ("javascript:alert(1)", "https://x/)](https://y", "http://x", "https://x/ y"):
        assert "Whole report" not in comment(material, link=link)


@pytest.mark.parametrize("key", ["-->", "a\n<script>", "x" * 500, "::error::"])
def test_marker_is_one_comment_whatever_the_key(key):
    mark = marker(key)
    assert re.fullmatch(r"<!-- retrieval-gate( [A-Za-z0-9._/@-]+)? -->", mark)
    assert len(mark) < 120


def test_error_comment_says_that_nothing_was_judged():
    text = error_comment("No baseline at x.json.\nsecond", key="k")
    assert text.startswith(f"{marker('k')}\n### No verdict: the systems could not be compared")
    assert "No baseline at x.json." in text


# --- commands and outputs --------------------------------------------------------------------------

FORGED = [
    "a\n::error::forged",
    "a\r\n::set-output name=x::y",
    "%0A::error::x",
    "##[error]x",
    "a,line=3::b",
    "\x1b[31mred",
    "x" * 10_000,
]


@pytest.mark.parametrize("text", FORGED)
def test_command_is_one_line_that_no_text_ends_or_begins_anew(text):
    line = github.command("error", text, title=text, place=github.Place(text, 3))
    assert "\n" not in line
    assert "\r" not in line
    assert "\x1b" not in line
    head, _, message = line.removeprefix("::error ").partition("::")
    properties = dict(part.split("=", 1) for part in head.split(","))
    assert set(properties) == {"file", "line", "title"}
    assert properties["line"] == "3"
    assert "%0A::" not in message.replace("%250A", "")
    assert len(line) < 4000


@pytest.mark.parametrize("text", FORGED)
def test_output_keeps_its_value_to_itself(text, tmp_path, monkeypatch, make_result):
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "out"))
    verdict = a_verdict(make_result, query_set=text)
    github.write_files("", github.outputs(verdict, exit_code=1, report=Path("r.html")))
    lines = (tmp_path / "out").read_text().split("\n")
    names = []
    while lines and lines[0]:
        name, delimiter = lines.pop(0).split("<<")
        names.append(name)
        while lines.pop(0) != delimiter:
            pass
    assert names == ["verdict", "exit-code", "report-path", "worst-cell", "mde"]


@pytest.mark.parametrize(
    ("lost", "policy", "kind"),
    [(30, POLICY, "error"), (3, POLICY, "warning"), (3, Policy(POLICY.rules, on_inconclusive="block"), "error")],
)
def test_annotation_is_an_error_where_the_gate_blocks(make_result, lost, policy, kind):
    verdict = a_verdict(make_result, lost=lost, n=60 if lost == 3 else 200, policy=policy)
    assert verdict.outcome == ("fail" if lost == 30 else "inconclusive")
    (line,) = github.annotation_commands(verdict)
    assert line.startswith(f"::{kind} ")


def test_at_most_nine_annotations_and_errors_first(make_result):
    findings = [Finding("warning", "w", "x", f"warning {i}") for i in range(30)]
    after = np.ones(200)
    after[:30] = 0
    old, new = (make_result({"recall@10": v}, system=s) for v, s in ((np.ones(200), "old"), (after, "new")))
    verdict = judge([old], [new], POLICY, findings=findings)
    lines = github.annotation_commands(verdict)
    assert len(lines) == 9
    assert lines[0].startswith("::error ")


# --- every form, and none left over ----------------------------------------------------------------


def forms_in(folder, **more):
    names = {
        "json": "v.json",
        "junit": "j.xml",
        "markdown": "m.md",
        "html": "r.html",
        "comment": "c.md",
        "metrics": "o",
    }
    return Forms(**{key: folder / name for key, name in names.items()}, github=True, **more)


def test_error_overwrites_every_form_of_an_earlier_pass(make_result, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "out"))
    forms = forms_in(tmp_path)
    publish(Judged(a_verdict(make_result, lost=0), [], []), forms)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    publish_error(BaselineError("No baseline at <there>."), forms)
    after = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert before.keys() == after.keys()
    for name in ("v.json", "j.xml", "m.md", "r.html", "c.md"):
        assert "No baseline at" in after[name], name
        assert "<there>" not in after[name] or name == "v.json", name
    assert "retrieval_gate_exit_code 2" in after["o"]
    assert "retrieval_gate_outcome" not in after["o"]
    assert json.loads(after["v.json"])["exit_code"] == 2
    assert after["out"].count("\nerror\n") == 1
    assert "::error title=bench gate%3A baseline::No baseline at <there>." in capsys.readouterr().err


def test_mistyped_option_overwrites_an_earlier_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("gate.xml").write_text("passed")
    assert main(["gate", "--junit", "gate.xml", "--qrel", "x"]) == 2
    assert 'errors="1"' in Path("gate.xml").read_text()


def test_metrics_are_one_number_a_line_and_labels_cannot_end(make_result):
    text = metrics.document(a_verdict(make_result, query_set='a"} 1\nfake 2', lost=30))
    lines = text.rstrip().split("\n")
    assert lines[-1] == "# EOF"
    label = r'\w+="(?:[^"\\]|\\.)*"'
    for line in lines[:-1]:
        assert re.fullmatch(rf"retrieval_gate_\w+(\{{{label}(,{label})*\}})? -?[0-9.e+-]+", line), line
    assert not any(line.startswith("fake") for line in lines)
