"""Claims about the pytest plug-in: items of the gate, the fixture, what they print, and what they cost."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
from conftest import _write_jsonl, _write_qrels

from bench import pytest_plugin
from bench.cli.main import main
from bench.project.api import Project

ROOT = Path(__file__).parent.parent
PLUGIN = "bench.pytest_plugin"

# 80 and 60 queries, one relevant document each. By what a system loses: all or nothing in recall@10, of 80.
#   same      orders what is not relevant otherwise: no difference, lower bound −2.71 / (n + 2.71) > −.05: pass
#   lower     puts the relevant one third for every other query: ndcg@10 falls by .25, recall@10 stays: one failure
#   worse     loses every fifth held-out query: .20
#   unclear   loses two held-out queries: a drop of .05 is neither shown nor ruled out
#   careless  loses the one pinned query
APP = """
def ranked(text, lost=(), at=0):
    role, number = text.split()
    number = int(number)
    others = [f"d{(number + i) % 80:03}" for i in range(1, 12)]
    if role == "staff" and number in lost:
        return others
    return [*others[:at], f"d{number:03}", *others[at:]]

def good(text):
    return ranked(text)

def same(text):
    first, *others = ranked(text)
    return [first, *others[::-1]]

def lower(text):
    return ranked(text, at=2 if text.startswith("staff") and text.endswith(("0", "2", "4", "6", "8")) else 0)

def worse(text):
    return ranked(text, lost=range(0, 80, 5))

def unclear(text):
    return ranked(text, lost=(3, 40))

def careless(text):
    return ranked(text, lost=(1,))
"""
SYSTEMS = ("good", "same", "lower", "worse", "unclear", "careless")

CONFIG = """
suites = ["suite"]

[gate]
system = "same"

[[gate.rules]]
role = "held-out"
measures = ["recall@10"]
margin = 0.05

[[gate.rules]]
role = "held-out"
measures = ["ndcg@10"]
margin = 0.06

[[gate.rules]]
role = "out-of-distribution"
measures = ["recall@10", "ndcg@10"]
margin = 0.05
""" + "".join(f'\n[systems.{name}]\nkind = "python"\nfunction = "gate_app:{name}"\n' for name in SYSTEMS)

SUITE = """
name = "desk"
measures = ["recall@10", "ndcg@10"]

[corpora.docs]
path = "corpus.jsonl"
""" + "".join(
    f'\n[[query_sets]]\nname = "{name}"\nrole = "{role}"\ncorpus = "docs"\n'
    f'queries = "{name}.jsonl"\nqrels = "{name}.tsv"\n'
    for name, role in (("staff", "held-out"), ("patient", "out-of-distribution"))
)

HOSTILE = "s1\x1b[2J\u202e::error::"
ITEMS = [
    "bench.toml::held-out/staff/recall@10",
    "bench.toml::held-out/staff/ndcg@10",
    "bench.toml::out-of-distribution/patient/recall@10,ndcg@10",
    "bench.toml::pinned",
]


@pytest.fixture(scope="session")
def desk(tmp_path_factory):
    """A folder with a config, a suite, stored results of every system, and a baseline."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "gate_app.py").write_text(APP)
    (folder / "bench.toml").write_text(CONFIG)
    (folder / "suite").mkdir()
    (folder / "suite" / "suite.toml").write_text(SUITE)
    rows = [{"_id": f"d{i:03}", "title": "", "text": f"document {i}"} for i in range(80)]
    _write_jsonl(folder / "suite" / "corpus.jsonl", rows)
    for name, count in (("staff", 80), ("patient", 60)):
        ids = [HOSTILE if (name, i) == ("staff", 1) else f"{name[0]}{i}" for i in range(count)]
        queries = [{"_id": q, "text": f"{name} {i}", "pinned": q == HOSTILE} for i, q in enumerate(ids)]
        _write_jsonl(folder / "suite" / f"{name}.jsonl", queries)
        _write_qrels(folder / "suite" / f"{name}.tsv", [(q, f"d{i:03}", 1) for i, q in enumerate(ids)])
    config = ["--config", str(folder / "bench.toml")]
    assert main(["run", *config, "--json"]) == 0
    assert main(["baseline", "accept", *config, "--system", "good", "--reason", "first"]) == 0
    # A test may have another module of this name.
    sys.modules.pop("gate_app")
    return folder


@pytest.fixture
def inner(pytester, monkeypatch):
    """inner(*arguments) → what an inner pytest did that has this plug-in and no other."""
    monkeypatch.setenv("COLUMNS", "200")
    # Whatever else is installed costs a second a run.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(*arguments):
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *arguments, plugins=[pytest_plugin])

    return run


@pytest.fixture
def gated(desk, pytester, inner):
    """gated(*arguments, system=…, config=…) → what an inner pytest did in a copy of that folder."""
    shutil.copytree(desk, pytester.path, dirs_exist_ok=True)
    (pytester.path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")

    def run(*arguments, system="same", config=lambda text: text, app=lambda text: text):
        (pytester.path / "bench.toml").write_text(config(CONFIG).replace('"same"\n\n[[', f'"{system}"\n\n[['))
        (pytester.path / "gate_app.py").write_text(app(APP))
        return inner(*arguments)

    return run


def text_of(result):
    return "\n".join(result.outlines + result.errlines)


# --- pytest --bench ---


def test_every_rule_and_query_set_is_one_item(gated):
    result = gated("--bench", "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == ITEMS


def test_unharmed_system_passes_every_item(gated):
    result = gated("--bench", "-v")
    result.assert_outcomes(passed=4)
    assert result.ret == 0
    result.stdout.fnmatch_lines([*(f"{item} PASSED*" for item in ITEMS), "bench: pass — 4 of 4 checks passed"])


def test_regression_fails_its_own_item_with_the_findings_sentence_and_no_traceback(gated):
    result = gated("--bench", system="lower")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*_ held-out/staff/ndcg@10 _*",
            "ndcg@10 on staff: 1.000 → 0.750, −0.250 *A drop is shown (p < 0.001, one-sided, after Holm), "
            "and the observed drop is at least 0.03*",
            "bench: fail — 1 of 4 checks failed, 3 passed",
        ]
    )
    assert "Error" not in text_of(result)
    assert ".py" not in text_of(result)


def test_rules_that_are_no_comparison_are_items_of_their_own(gated):
    rule = '[[gate.rules]]\nrole = "held-out"\nmeasures = ["recall@10"]\n'
    more = f'{rule}minimum = 0.95\n\n{rule}minimum = 0.90\nquery_set = "staff"\n\n'
    config = lambda text: text.replace("[systems.good]", f"{more}[systems.good]")  # noqa: E731
    result = gated("--bench", "-v", system="worse", config=config)
    # The rule that names the set outranks the one for its role, which is left without a measure.
    result.stdout.fnmatch_lines(
        [
            "bench.toml::held-out/staff/recall@10 FAILED*",
            "bench.toml::held-out/staff/recall@10/minimum FAILED*",
            "recall@10 on staff: 0.800, required at least 0.9, n = 80. It is shown to be lower*",
        ]
    )
    result.assert_outcomes(passed=2, failed=3)


def test_inconclusive_is_skipped_where_the_policy_warns(gated):
    result = gated("--bench", "-rs", "-v", system="unclear")
    result.assert_outcomes(passed=2, skipped=2)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "bench: inconclusive — 2 of 4 checks inconclusive, 2 passed",
            "SKIPPED [[]1[]] bench.toml:1: recall@10 on staff: 1.000 → 0.975,*Inconclusive: *",
        ]
    )


def test_inconclusive_fails_where_the_policy_blocks(gated):
    block = lambda text: text.replace("[gate]\n", '[gate]\non_inconclusive = "block"\n')  # noqa: E731
    result = gated("--bench", system="unclear", config=block)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["recall@10 on staff: 1.000 → 0.975,*Inconclusive: *"])


def test_lost_pinned_query_fails_its_item_and_its_id_is_inert(gated):
    result = gated("--bench", system="careless")
    assert "FAILED bench.toml::pinned" in text_of(result)
    result.stdout.fnmatch_lines(
        ["1 of 1 pinned queries lost relevant documents: s1 *2J *::error::. Any such loss fails."]
    )
    assert not {"\x1b", "\u202e"} & set(text_of(result))
    assert not any(line.startswith("::") for line in result.outlines)


def test_the_whole_gate_is_judged_once_whatever_is_selected(gated, monkeypatch):
    judged = []
    gate = Project.gate
    monkeypatch.setattr(Project, "gate", lambda project: judged.append(gate(project)) or judged[-1])
    result = gated("--bench", "-k", "staff", "-vv", system="lower")
    result.assert_outcomes(passed=1, failed=1, deselected=2)
    assert len(judged) == 1
    assert len(judged[0].verdict.cells) == 4


@pytest.mark.parametrize(
    ("name", "node_id"),
    [("staff", "staff"), ("a b::c", "a-b-c"), ("x\x1b[31m$(y)\n", "x-31m-y-"), ("größe 自転車", "größe-自転車")],
)
def test_name_of_a_query_set_fits_into_an_id(name, node_id):
    assert pytest_plugin._id(name) == node_id


def test_items_are_chosen_by_their_ids_and_words(gated):
    gated("--bench", ITEMS[2]).assert_outcomes(passed=1)
    gated("--bench", "-k", "held-out and ndcg").assert_outcomes(passed=1, deselected=3)
    gated("--bench", "-k", "pinned").assert_outcomes(passed=1, deselected=3)


def test_other_paths_on_the_command_line_do_not_hide_the_gate(gated, pytester):
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "test_one.py").write_text("def test_one(): pass\n")
    gated("tests", "--bench").assert_outcomes(passed=5)
    gated(".", "bench.toml", "--bench").assert_outcomes(passed=5)
    gated("bench.toml", "--bench").assert_outcomes(passed=4)
    gated("tests").assert_outcomes(passed=1)


def test_config_is_found_where_pytest_starts_and_where_it_is_named(gated, pytester):
    (pytester.path / "pytest.ini").unlink()
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "test_one.py").write_text("def test_one(): pass\n")
    gated("tests", "--bench").assert_outcomes(passed=5)
    gated("tests", "--bench", "--bench-config", "tests/../bench.toml").assert_outcomes(passed=5)


def test_bench_without_a_config_is_a_usage_error(inner):
    result = inner("--bench")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --bench: there is no file */bench.toml. Start pytest in the folder *"])


def test_broken_config_fails_collection_with_its_sentence(gated):
    result = gated("--bench", config=lambda text: text.replace('role = "held-out"', 'role = "heldout"'))
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["*ERROR collecting bench.toml*", '*gate.rules?0?.role is "heldout"; expected one of *']
    )
    assert "Traceback" not in text_of(result)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "suite" / "baseline.json").unlink(), "No baseline at "),
        (lambda folder: (folder / "suite" / "baseline.json").write_text("{"), "is not JSON"),
        (lambda folder: shutil.rmtree(folder / ".bench"), 'No stored result of system "same" on query set "staff"'),
        (
            lambda folder: _write_qrels(folder / "suite" / "patient.tsv", [(f"p{i}", "d001", 1) for i in range(60)]),
            "the judgements differ",
        ),
    ],
)
def test_gate_that_cannot_judge_fails_every_item_with_one_sentence(gated, pytester, spoil, sentence):
    spoil(pytester.path)
    if sentence.startswith("the judgements"):
        assert main(["run", "--config", str(pytester.path / "bench.toml"), "--json"]) == 0
    result = gated("--bench", "-rN")
    result.assert_outcomes(failed=4)
    assert text_of(result).count(sentence) == 4
    assert "Traceback" not in text_of(result)
    assert "bench: error — 4 of 4 checks without a verdict" in text_of(result)


def test_rule_that_fits_no_query_set_does_not_pass(gated):
    result = gated(
        "--bench", config=lambda text: re.sub(r'"(held-out|out-of-distribution)"', r'"\1"\nquery_set = "no"', text)
    )
    assert result.ret == 1
    assert 'names query set "no", which was not evaluated' in text_of(result)


def test_rule_that_names_a_set_takes_its_measures_from_the_roles_rule(gated):
    more = '\n[[gate.rules]]\nrole = "held-out"\nquery_set = "staff"\nmeasures = ["ndcg@10"]\nmargin = 0.9\n'
    result = gated("--bench", "--collect-only", "-q", config=lambda text: text + more)
    assert [line for line in result.outlines if "::" in line] == ITEMS
    gated("--bench", config=lambda text: text + more, system="lower").assert_outcomes(passed=4)


def test_every_sentence_of_a_verdict_belongs_to_an_item(make_result):
    from bench.gate.verdict import judge
    from bench.pytest_plugin import _Check, _sentences
    from bench.records import Finding, Policy

    results = [make_result({"recall@10": [1.0] * 9, "ndcg@10": [1.0] * 9}, query_set=name) for name in ("a", "a/b")]
    findings = [Finding("error", "x", where, where) for where in ("b", "a", "a/b", "a/b/ndcg@10", "pinned", "latency")]
    verdict = judge(results, results, Policy(), findings=findings)
    checks = [
        _Check("1", "a", ("recall@10",)),
        _Check("2", "a", ("ndcg@10",)),
        _Check("3", "a/b", ("ndcg@10", "recall@10")),
    ]
    told = _sentences(verdict, [*checks, _Check("pinned")])
    assert [[sentence for outcome, sentence in mine if outcome == "fail"] for mine in told] == [
        ["b", "a", "latency"], [], ["a/b", "a/b/ndcg@10"], ["pinned"],
    ]  # fmt: skip
    assert [sum(outcome != "fail" for outcome, _ in mine) for mine in told] == [1, 1, 2, 0]


def test_verdict_that_no_sentence_explains_fails_all_the_same(make_result):
    from dataclasses import replace

    from bench.gate.verdict import judge
    from bench.pytest_plugin import _Check, _sentences
    from bench.records import Policy

    results = [make_result({"recall@10": [1.0] * 9, "ndcg@10": [1.0] * 9}, query_set="a")]
    verdict = replace(judge(results, results, Policy()), outcome="fail", exit_code=1)
    told = _sentences(verdict, [_Check("1", "a", ("recall@10", "ndcg@10"))])
    assert ("fail", "The verdict is fail; see: bench gate") in told[0]


def test_workers_share_the_items_and_tell_the_same(gated, pytester):
    (pytester.path / "bench.toml").write_text(CONFIG.replace('"same"\n\n[[', '"worse"\n\n[['))
    (pytester.path / "test_fixture.py").write_text(
        "import gate_app\n"
        "def test_mine(bench): bench.gate(gate_app.good, baseline='one.json')\n"
        "def test_other(bench): bench.gate(gate_app.good, baseline='one.json')\n"
    )
    result = pytester.runpytest_subprocess(
        "-p", PLUGIN, "-p", "xdist", "--bench", "-n", "2", "-v", "-rN", "--bench-accept", "first"
    )
    result.assert_outcomes(passed=3, failed=3)
    output = text_of(result)
    for item in ITEMS:
        assert len(re.findall(rf"^\[gw\d\] .*{re.escape(item)}\s*$", output, flags=re.MULTILINE)) == 1
    # Of two tests with one baseline, the second to come is refused, whichever worker it runs on.
    assert len(re.findall(r"one\.json was accepted by the test test_fixture\.py::test_(mine|other)", output)) == 1
    result.stdout.fnmatch_lines(["bench: error — 1 of 6 checks without a verdict, 2 failed, 1 accepted, 2 passed"])


def test_a_baseline_is_accepted_by_one_at_a_time(tmp_path):
    order = []

    def second():
        with pytest_plugin._locked(tmp_path):
            order.append("second")

    waiting = threading.Thread(target=second)
    with pytest_plugin._locked(tmp_path):
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


# --- the fixture ---


TEST = """
def test_search(bench):
    from gate_app import {name}
    verdict = bench.gate({name}{more})
    print("returned", verdict.outcome, len(verdict.cells))
"""


@pytest.fixture
def tested(gated, pytester):
    """tested(function, *options, more="") → what a test that gates the function did, `good` being accepted."""

    def run(name, *options, more="", accept="good", **settings):
        path = pytester.path / "test_app.py"
        if accept and not (pytester.path / "baselines").exists():
            path.write_text(TEST.format(name=accept, more=more))
            gated("test_app.py", "--bench-accept", "first", **settings).assert_outcomes(passed=1)
        path.write_text(TEST.format(name=name, more=more))
        return gated("test_app.py", "-rP", *options, **settings)

    return run


def test_function_that_is_no_worse_passes_and_hands_over_its_verdict(tested):
    result = tested("same")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["returned pass 4", "bench: pass — 1 of 1 check passed"])


def test_function_that_is_worse_fails_with_the_findings_and_no_traceback(tested):
    result = tested("worse")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["recall@10 on staff: 1.000 → 0.800,*a regression.", "ndcg@10 on staff: *", "Accepted baseline: *(first, 20*"]
    )
    assert "gate_app" not in text_of(result)


def test_function_is_asked_anew_each_time(tested):
    tested("good").assert_outcomes(passed=1)
    tested(
        "good", app=lambda text: text.replace("return ranked(text)\n", "return ranked(text, range(40))\n")
    ).assert_outcomes(failed=1)


def test_unclear_function_is_skipped_or_fails_as_the_policy_says(tested):
    tested("unclear").assert_outcomes(skipped=1)
    block = lambda text: text.replace("[gate]\n", '[gate]\non_inconclusive = "block"\n')  # noqa: E731
    tested("unclear", config=block).assert_outcomes(failed=1)


def test_missing_baseline_fails_with_the_command_that_accepts_one(tested, pytester):
    result = tested("good", accept=None)
    result.assert_outcomes(failed=1)
    line = next(line for line in result.outlines if line.startswith("No baseline at"))
    command = line.split("commit the file: pytest ")[1]
    assert command == 'test_app.py::test_search --bench-accept "first baseline"'
    assert not (pytester.path / "baselines").exists()


def test_accepting_needs_a_reason_and_a_function_that_is_no_worse(tested, pytester):
    path = pytester.path / "baselines" / "test_search.json"
    tested("good")
    header = json.loads(path.read_text())["baseline"]
    assert (header["reason"], header["test"], header["system"]) == ("first", "test_app.py::test_search", "good")
    before = path.read_bytes()
    result = tested("worse", "--bench-accept", "")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: a baseline changes only with a reason: *"])
    for name in ("worse", "unclear"):
        result = tested(name, "--bench-accept", "why not")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ["recall@10 on staff: *", "Not accepted. To accept it all the same: --bench-allow-worse"]
        )
    assert path.read_bytes() == before
    result = tested("worse", "--bench-accept", "smaller", "--bench-allow-worse")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["Accepted as *baselines/test_search.json.", "bench: accepted — 1 of 1 check accepted"])
    tested("worse").assert_outcomes(passed=1)


def test_another_tests_baseline_is_refused(tested, pytester):
    tested("good")
    (pytester.path / "other").mkdir()
    source = (pytester.path / "test_app.py").read_text()
    (pytester.path / "other" / "test_other.py").write_text(source)
    for options in ((), ("--bench-accept", "again")):
        result = tested("good", "other/test_other.py", *options)
        result.assert_outcomes(failed=1, passed=1)
        result.stdout.fnmatch_lines(
            ["*test_search.json was accepted by the test test_app.py::test_search, and this is other/*"]
        )


def test_suites_own_baseline_serves_and_is_not_overwritten(tested):
    more = ', baseline="suite/baseline.json"'
    tested("same", more=more, accept=None).assert_outcomes(passed=1)
    tested("worse", more=more, accept=None).assert_outcomes(failed=1)
    result = tested("good", "--bench-accept", "mine", more=more, accept=None)
    result.assert_outcomes(failed=1)
    assert "baseline.json was accepted by bench baseline accept" in text_of(result)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (", margin=2", "margin is 2; expected a number between 0 and 1."),
        (', measures="recal@10"', 'Unknown measure "recal@10"'),
        (', query_sets=["stuff"]', 'Did you mean "staff"?'),
        (', suite="nowhere"', 'Suite "nowhere": '),
        (
            '); bench.gate(good, suite="suite"',
            'twice; give each bench.gate(…) its own: baseline="FILE"',
        ),
        (" and 3", "is a int; expected a search function"),
    ],
)
def test_argument_that_makes_no_sense_fails_with_a_sentence(tested, more, sentence):
    tested("good")
    result = tested("good", more=more)
    result.assert_outcomes(failed=1)
    assert sentence in text_of(result)
    assert "Traceback" not in text_of(result)


def test_margin_measures_and_query_sets_are_the_tests_own(tested):
    more = ', measures=["recall@5", "ndcg@10"], query_sets=["staff"], margin=0.5, depth=20'
    result = tested("worse", more=more)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["returned pass 2"])


def test_test_without_a_config_takes_the_default_policy_and_its_own_folder(gated, inner, pytester, monkeypatch):
    (pytester.path / "sub").mkdir()
    shutil.copytree(pytester.path / "suite", pytester.path / "sub" / "suite")
    source = TEST.format(name="good", more=', suite="suite"')
    (pytester.path / "sub" / "test_sub.py").write_text(source)
    (pytester.path / "bench.toml").unlink()
    arguments = ("-rP", "--rootdir", "sub", "sub/test_sub.py")
    monkeypatch.syspath_prepend(pytester.path)
    accepted = inner(*arguments, "--bench-accept", "first")
    accepted.assert_outcomes(passed=1)
    assert (pytester.path / "sub" / "baselines" / "test_search.json").exists()
    result = inner(*arguments)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["returned pass 4"])


def test_exception_in_the_function_leads_into_its_code(tested):
    tested("good")
    result = tested("good", app=lambda text: text.replace("number = int(number)", "number = int(number) + 1 // 0"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            'System "good" on query "s0" of "staff" failed: ZeroDivisionError: *',
            '  File "*gate_app.py", line *, in good',
            '  File "*gate_app.py", line *, in ranked',
            "ZeroDivisionError: *",
            "bench: error — 1 of 1 check without a verdict",
        ]
    )
    assert "systems/python.py" not in text_of(result)


# --- the documentation ---


def test_code_of_the_documentation_runs_and_shows_what_is_there(gated, inner, pytester, monkeypatch):
    # Its test file bears a name that this repository has too.
    monkeypatch.delitem(sys.modules, "test_search", raising=False)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8"), re.M | re.S)
    assert {language for language, _ in blocks} == {"python", "sh", "text"}
    assert [text.split() for language, text in blocks if language == "text"] == [ITEMS]
    # Beside the tests: a new file of the application would ask for a new run.
    (pytester.path / "tests").mkdir()
    (pytester.path / "tests" / "app.py").write_text("from gate_app import same as search\n")
    gated("--bench").assert_outcomes(passed=4)
    (pytester.path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\npythonpath = . tests\n")
    ran = 0
    for language, text in blocks:
        if language == "python":
            place, _, code = text.removeprefix("# ").partition("\n")
            (pytester.path / place).write_text(code)
        for line in text.splitlines() if language == "sh" else ():
            program, *arguments = shlex.split(line)
            assert program == "pytest"
            if "-n" in arguments:
                result = pytester.runpytest_subprocess("-p", PLUGIN, "-p", "xdist", *arguments)
            else:
                result = inner(*arguments)
            assert result.ret == 0, line
            assert re.search(r"^bench: (pass|accepted) — ", text_of(result), re.M), line
            ran += 1
    assert ran == 8


# --- cost and registration ---


def test_plugin_is_registered_and_light():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"retrieval_gate": PLUGIN}
    heavy = ("numpy", "scipy", "pydantic", "rich", "ranx", "matplotlib", "jinja2", "bench.records", "bench.base.errors")
    code = f"import sys, pytest; import bench.pytest_plugin; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_pytest_without_bench_loads_nothing_heavy(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        """
        import sys

        def test_nothing():
            assert not {"numpy", "pydantic", "rich", "bench.base.errors"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-p", PLUGIN).assert_outcomes(passed=1)


def test_rule_for_every_slice_is_skipped_where_none_is_large_enough(make_result):
    from dataclasses import replace

    from bench.gate.verdict import judge
    from bench.pytest_plugin import _Check, _sentences
    from bench.records import Policy, Rule

    results = [
        replace(make_result({"recall@10": [1.0] * 40}, system=name), slices=(("a",),) * 20 + (("b",),) * 20)
        for name in ("old", "new")
    ]
    rules = (Rule("held-out", ("recall@10",), 0.1), Rule("held-out", ("recall@10",), 0.1, slice="*"))
    verdict = judge(results[:1], results[1:], Policy(rules))
    told = _sentences(verdict, [_Check(str(rule.slice), "shop", rule.measures, slice=rule.slice) for rule in rules])
    assert [outcome for outcome, _ in told[1]] == ["inconclusive"]
    assert told[1][0][1] == "No slice of shop is large enough to be gated."
