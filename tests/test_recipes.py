"""Claims about workflows and recipes: they parse, name only what exists, and paste no foreign text into a shell."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from bench.cli.main import _parser

ROOT = Path(__file__).parent.parent
ACTION = ROOT / ".github/actions/gate/action.yml"
WORKFLOWS = [*sorted((ROOT / ".github/workflows").glob("*.yml")), *sorted((ROOT / "examples/ci").glob("github*.yml"))]


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps_of(document):
    jobs = document["jobs"].values() if "jobs" in document else [document["runs"]]
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_no_expression_stands_inside_a_script(path):
    # A branch or a title may be named `$(rm -rf ~)`: such text reaches a script through the environment alone.
    scripts = [step["run"] for step in steps_of(load(path)) if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_grants_no_more_than_it_needs_and_never_runs_a_head_with_rights(path):
    document = load(path)
    triggers = document[True]  # YAML reads the key `on` as a truth value
    assert "pull_request_target" not in triggers
    permissions = document["permissions"]
    assert permissions["contents"] == "read"
    assert set(permissions) <= {"contents", "pull-requests", "actions"}
    if "workflow_run" in triggers:
        checkouts = [step for step in steps_of(document) if str(step.get("uses", "")).startswith("actions/checkout")]
        assert checkouts
        assert all("ref" not in step.get("with", {}) for step in checkouts), "the default branch, never the head"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_job_with_rights_of_its_own_checks_nothing_out_and_runs_only_on_a_clock(path):
    document = load(path)
    for job in document["jobs"].values():
        rights = job.get("permissions", {})
        assert set(rights) <= {"issues"}
        if rights:
            assert set(document[True]) == {"schedule", "workflow_dispatch"}
            assert not [step for step in job["steps"] if "checkout" in str(step.get("uses", ""))]


def test_drift_recipe_writes_one_issue_at_a_time_and_ends_with_the_exit_code_of_drift():
    document = load(ROOT / "examples/ci/github-drift.yml")
    assert document["concurrency"]["group"]
    look, tell = document["jobs"]["drift"], document["jobs"]["issue"]
    assert "permissions" not in look and tell["permissions"] == {"issues": "write"}
    # Whatever becomes of the issue, the first job's last step is what drift said.
    last = look["steps"][-1]
    assert last["if"] == "always()" and last["run"].strip().endswith('exit "${CODE:-2}"')
    assert tell["needs"] == "drift"
    assert tell["continue-on-error"] is True


@pytest.mark.parametrize(("code", "ends"), [("0", 0), ("1", 1), ("2", 2), ("", 2)])
def test_last_step_of_the_drift_recipe_hands_the_code_on(code, ends):
    (script,) = [s["run"] for s in steps_of(load(ROOT / "examples/ci/github-drift.yml")) if "exit" in s.get("run", "")]
    assert subprocess.run(["bash", "-e", "-c", script], env={"CODE": code}, check=False).returncode == ends


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_gives_the_action_only_inputs_that_it_has(path):
    known = set(load(ACTION)["inputs"])
    given = [set(step.get("with", {})) for step in steps_of(load(path)) if "actions/gate" in str(step.get("uses", ""))]
    assert all(names <= known for names in given)


def test_action_has_the_promised_outputs_and_hands_every_input_on():
    action = load(ACTION)
    assert list(action["outputs"]) == ["verdict", "exit-code", "report-path", "worst-cell", "mde"]
    text = ACTION.read_text(encoding="utf-8").partition("\nruns:")[2]
    assert not [name for name in action["inputs"] if f"inputs.{name}" not in text]
    environment = {name for step in action["runs"]["steps"] for name in step.get("env", {})}
    script = (ACTION.parent / "gate.sh").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", script))
    assert used <= environment | {"GITHUB_ACTION_PATH"}


@pytest.mark.parametrize("name", ["gate.sh"])
def test_script_parses(name):
    subprocess.run(["bash", "-n", str(ACTION.parent / name)], check=True)


def _lines_of(path):
    text = path.read_text(encoding="utf-8")
    return re.findall(
        r"(?<![\w./-])bench (gate|run|comment|baseline|check|measure|compare|report|history|drift)\b([^\n`|&;]*)", text
    )


@pytest.mark.parametrize(
    "path",
    [
        *WORKFLOWS,
        ROOT / "examples/ci/gitlab.yml",
        ACTION.parent / "gate.sh",
        ROOT / "docs/ci.md",
        ROOT / "docs/watch.md",
    ],
    ids=lambda path: path.name,
)
def test_commands_of_recipes_use_options_that_exist(path):
    verbs = next(action.choices for action in _parser()._actions if isinstance(action.choices, dict))
    for verb, rest in _lines_of(path):
        nested = next((action.choices for action in verbs[verb]._actions if isinstance(action.choices, dict)), {})
        parser = nested.get(rest.split()[0] if rest.split() else "", verbs[verb])
        known = {option for action in parser._actions for option in action.option_strings}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= known, (path.name, verb, rest)


def test_gitlab_recipe_reports_junit_and_metrics_and_keeps_them_when_the_gate_fails():
    (job,) = load(ROOT / "examples/ci/gitlab.yml").values()
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"] == {"junit": "gate.xml", "metrics": "metrics.txt"}
    script = "\n".join(job["script"])
    for name in ("gate.xml", "metrics.txt"):
        assert name in script
    assert job["allow_failure"] == {"exit_codes": 3}
