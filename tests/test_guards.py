"""Promises about the package as a whole: light imports, true names, quick help."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import resource
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bench

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "sentence_transformers", "numba", "ranx", "pandas", "pydantic", "scipy", "matplotlib")


def _python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environment
    ).stdout


def test_importing_bench_loads_nothing_heavy():
    code = f"import sys, bench; print([name for name in {HEAVY!r} + ('numpy',) if name in sys.modules])"
    assert _python(code).strip() == "[]"


def test_help_loads_no_torch_numba_pandas_or_pydantic():
    code = (
        "import sys\nfrom bench.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert _python(code).splitlines()[-1] == "[]"


def test_help_takes_at_most_150_ms_more_than_a_bare_interpreter():
    def seconds(*arguments):
        # Of the processor, not of the clock: other tests run beside this one.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    seconds("-m", "bench", "--help")
    extra = [seconds("-m", "bench", "--help") - seconds("-c", "pass") for _ in range(7)]
    assert statistics.median(extra) <= 0.150


def test_every_public_name_is_there():
    for name in bench.__all__:
        assert getattr(bench, name) is not None


def _modules():
    return [m.name for m in pkgutil.walk_packages(bench.__path__, "bench.") if not m.name.endswith("__main__")]


@pytest.mark.parametrize("name", _modules())
def test_all_names_what_the_module_defines(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name}.__all__ names {public}"


def test_every_kind_of_system_says_what_it_is():
    from bench.base.registry import listing, module_of

    assert {"bm25", "dense", "hybrid", "python", "rerank", "trec-run"} <= set(listing("systems"))
    for kind in listing("systems"):
        module = module_of("systems", kind)
        assert module.__doc__.splitlines()[0].endswith(".")
        assert module.Config
        assert module.build


def test_version_stands_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == bench.__version__


def test_constraints_pin_everything_that_the_extras_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {
        re.split(r"==", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    }
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    names = {re.split(r"[\[<>=~! ]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    assert names - pinned == {"retrieval-gate"}
    assert "torch" in pinned


def test_readme_shows_the_help_that_the_program_prints():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("<!-- bench --help -->\n```text\n")[1].split("```")[0]
    printed = subprocess.run(
        [sys.executable, "-m", "bench", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "100"},
    ).stdout
    assert shown == printed


def test_readme_names_only_verbs_that_exist():
    from bench.cli.main import main

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = set(re.findall(r"^\s*(?:\$ )?bench ([a-z]+)", readme, flags=re.MULTILINE))
    assert verbs
    for verb in sorted(verbs):
        with pytest.raises(SystemExit) as ended:
            main([verb, "--help"])
        assert ended.value.code == 0


def test_wheel_carries_the_bundled_suite_and_the_workflow_that_init_writes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"] == {
        "suites": "bench/_suites",
        "examples/ci/github.yml": "bench/_ci/github.yml",
    }


def test_few_rooms_and_each_says_what_goes_in_and_out():
    top = {p.name for p in (ROOT / "bench").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    rooms = top - {"__init__.py", "__main__.py"}
    assert len(rooms) <= 16
    for name in sorted(rooms - {"pytest_plugin.py"}):
        lines = importlib.import_module(f"bench.{name}").__doc__.strip().splitlines()[2:]
        assert [line.split()[0].rstrip(":") for line in lines if line.split()[0] in ("In:", "Out:", "Never")] == [
            "In", "Out", "Never",
        ], name  # fmt: skip
