"""What editors and shells complete from: JSON Schema of both files, and the completion script."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

from bench.base.errors import ConfigError
from bench.base.registry import listing
from bench.cli.main import main
from bench.config import load_bench, load_suite_config
from bench.config.schema import schemas

ROOT = Path(__file__).parent.parent
FOLDERS = ("suites", "docs", "tests/golden/formats")
CONFIGS = [ROOT / "bench.toml", *(path for f in FOLDERS for path in sorted((ROOT / f).rglob("bench.toml")))]
SUITES = [path for f in FOLDERS for path in sorted((ROOT / f).rglob("suite.toml"))]
MINIMAL = """\
suites = ["suite"]
[systems.bm25]
kind = "bm25"
[systems.dense]
kind = "dense"
encoder = { kind = "local", model = "m" }
"""


@pytest.fixture(scope="module")
def schema():
    return {name: jsonschema.Draft202012Validator(found) for name, found in schemas().items()}


def test_schemas_are_schemas(schema):
    for validator in schema.values():
        validator.check_schema(validator.schema)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_configs_of_the_project_satisfy_the_schema(path, schema):
    schema["bench"].validate(tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: str(path.relative_to(ROOT)))
def test_suites_of_the_project_satisfy_the_schema(path, schema):
    load_suite_config(path)
    schema["suite"].validate(tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('suites = ["suite"]', 'suites = ["suite"]\nsuits = ["suite"]'),
        ('suites = ["suite"]', "suites = []"),
        ('suites = ["suite"]', 'suites = "suite"'),
        ('kind = "bm25"', 'kind = "bm26"'),
        ('kind = "bm25"', 'kind = "bm25"\nk2 = 1.2'),
        ('kind = "bm25"', 'kind = "bm25"\nk1 = "high"'),
        ('kind = "bm25"', "k1 = 1.2"),
        ('kind = "local"', 'kind = "lokal"'),
        ('model = "m"', 'modell = "m"'),
        ('kind = "dense"', 'kind = "dense"\nindex = { kind = "exakt" }'),
        ('kind = "dense"', 'kind = "dense"\nsimilarity = "euclid"'),
        ("[systems.bm25]", "[gate]\nalpha = 0.7\n[systems.bm25]"),
        ("[systems.bm25]", '[pairs.shop]\nfrom = [{ kind = "expertise", path = "a.csv" }]\n[systems.bm25]'),
        ("[systems.bm25]", '[finetune.shop]\nbase = "dense"\nepoch = 1\n[systems.bm25]'),
    ],
)
def test_schema_refuses_what_the_program_refuses(old, new, schema, tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    load_bench(path)
    schema["bench"].validate(tomllib.loads(MINIMAL))
    assert old in MINIMAL
    path.write_text(MINIMAL.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError):
        load_bench(path)
    assert list(schema["bench"].iter_errors(tomllib.loads(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("group", ["systems", "encoders", "indexes", "rerankers", "origins"])
def test_every_kind_has_a_branch(group, schema):
    shared = schema["bench"].schema["$defs"]
    branches = [shared[branch["$ref"].rsplit("/", 1)[1]] for branch in shared[group]["anyOf"]]
    assert [branch["properties"]["kind"]["const"] for branch in branches] == listing(group)


def test_schema_is_written_and_printed(tmp_path, capsys, schema):
    assert main(["schema", "--out", str(tmp_path)]) == 0
    for name in ("bench", "suite"):
        assert json.loads((tmp_path / f"{name}.schema.json").read_text(encoding="utf-8")) == schema[name].schema
        assert f"{name}.toml begins with: #:schema ./{name}.schema.json" in capsys.readouterr().err or name == "suite"
    assert main(["schema", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bench"]["title"] == "bench.toml"


def test_project_that_init_begins_names_its_schemas(tmp_path, schema, capsys):
    assert main(["init", str(tmp_path / "handbook")]) == 0
    for path, name in (("bench.toml", "bench"), ("suites/handbook/suite.toml", "suite")):
        file = tmp_path / "handbook" / path
        text = file.read_text(encoding="utf-8")
        named = text.splitlines()[0].removeprefix("#:schema ")
        assert json.loads((file.parent / named).read_text(encoding="utf-8")) == schema[name].schema
        schema[name].validate(tomllib.loads(text))


# --- shells ---


def completed(line: str, folder: Path) -> list[str]:
    """What bash would offer after this line."""
    script = f"""
        eval "$({sys.executable} -m bench completion bash)"
        bench() {{ {sys.executable} -m bench "$@"; }}
        COMP_LINE={line!r}; COMP_POINT={len(line)}; COMP_TYPE=9; COMPREPLY=()
        COMP_WORDS=({line} {"''" if line.endswith(" ") else ""}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _python_argcomplete bench; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    found = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=folder, env=environment, timeout=60, check=True
    )
    return found.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bench ga", ["gate"]),
        ("bench gate --base", ["--baseline", "--baseline-run", "--base-ref"]),
        ("bench models ", ["list", "show", "promote", "rollback", "card", "manifest", "check-manifest"]),
        ("bench models --json sh", ["show"]),
        ("bench run --system ", ["bm25", "dense"]),
        ("bench completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes(line, offered, tmp_path):
    (tmp_path / "bench.toml").write_text(MINIMAL, encoding="utf-8")
    assert {word for word in completed(line, tmp_path) if not word.startswith(("-h", "--help", "--json"))} == {*offered}


def test_no_config_means_no_names(tmp_path):
    assert completed("bench run --system ", tmp_path) in ([], ["bench.toml"])


@pytest.mark.parametrize(("shell", "part"), [("zsh", "#compdef bench"), ("fish", "complete --command bench")])
def test_other_shells_have_their_scripts(shell, part, capsys):
    assert main(["completion", shell]) == 0
    assert part in capsys.readouterr().out


def test_completion_loads_nothing_heavy(tmp_path):
    heavy = ("torch", "transformers", "numba", "ranx", "pandas", "pydantic", "scipy", "matplotlib", "numpy")
    code = (
        "import sys, argcomplete\nfrom bench.cli.main import main\n"
        f"argcomplete.autocomplete = lambda parser: (print([n for n in {heavy!r} if n in sys.modules]), sys.exit())\n"
        "main(['run'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"_ARGCOMPLETE": "1"}, check=True
    )
    assert said.stdout.strip() == "[]"


def test_completion_without_its_library_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "argcomplete.shell_integration", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'retrieval-gate[completion]'" in capsys.readouterr().err
