"""Packages that do not work: a sentence with package, entry point and what to do; what does not use them works on."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from bench.base import plugins
from bench.base.registry import listing, module_of
from bench.base.store import Store
from bench.cli.main import main
from bench.config import BenchConfig, load_bench
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.latency import untimed
from bench.project.api import Project
from bench.project.workspace import Workspace
from bench.report import Material
from bench.report.forms import html
from bench.retrieval import systems

SYSTEM = """
    from bench.config import SystemConfig
    from bench.records import Ranked
    from bench.retrieval.search import padded

    class Config(SystemConfig):
        pass

    def build(name, config, context):
        return [Mine(name, config)]

    class Mine:
        kind = "mine"

        def __init__(self, name, config):
            self.name, self.parts, self.roles = name, config.parts, config.roles

        def fingerprint(self):
            return {}

        def search(self, corpus, queries, *, depth, parts):
            return padded_at([[len(text) % len(corpus.ids), 3] for text in queries.texts])

    def padded_at(rows):
        return Ranked(*padded([(sorted(set(row)), [1.0, 0.5][: len(set(row))]) for row in rows]))
"""
"""A system that works: tests break one thing in it."""

CONFIG = """
suites = ["."]

[systems.bm25]
kind = "bm25"

[systems.x]
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """install("systems", "mine", source, …) puts a package with one entry point on the path, as pip would."""
    plugins.offers.cache_clear()

    def put(group, kind, source, *, package="acme-broken", version="1.0", module="acme_broken", target=None):
        site = tmp_path / f"site-{package}"
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        with (info / "entry_points.txt").open("a") as points:
            points.write(f"[bench.{group}]\n{kind} = {target or module}\n")
        (site / f"{module}.py").write_text(dedent(source))
        monkeypatch.syspath_prepend(str(site))
        # What another test, or an earlier version, left under this name is not imported again.
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)
        plugins.offers.cache_clear()
        return site

    yield put
    plugins.offers.cache_clear()


@pytest.fixture
def project(tiny_suite, monkeypatch):
    """project(table of system x, …) → a folder with a config, which is the folder we are in."""
    monkeypatch.chdir(tiny_suite.folder)

    def write(table, more=""):
        (tiny_suite.folder / "bench.toml").write_text(f"{CONFIG}{table}\n{more}\n")
        return tiny_suite.folder

    return write


@pytest.fixture
def told(capsys):
    """told("run", …, code=2) → what the command says as an error."""

    def ask(*words, code=2):
        capsys.readouterr()
        assert main(list(words)) == code
        # Sentences are wrapped on the screen, not in them.
        return " ".join(capsys.readouterr().err.split())

    return ask


ENTRY = r"acme-broken 1\.0 \(bench\.systems: acme_broken\)"
MEND = "Mend or update that package, or remove it: pip uninstall acme-broken"

NOT_LOADED = {
    "import error": (
        "import nowhere_to_be_found",
        "cannot be loaded: ModuleNotFoundError: No module named 'nowhere_to",
    ),
    "exit": ("raise SystemExit('no licence')", "cannot be loaded: SystemExit: no licence"),
    "syntax": ("def build(:", "cannot be loaded: SyntaxError: invalid syntax"),
    "no Config": (SYSTEM.replace("class Config", "class Settings"), "it has no Config"),
    "another Config": (SYSTEM.replace("(SystemConfig)", ""), "its Config is no subclass of bench.config.SystemConfig"),
    "no build": (SYSTEM.replace("def build", "def make"), "it has no function build"),
    "signature": (
        SYSTEM.replace("def build(name, config, context)", "def build(config)"),
        "its build(config) cannot be called as build(name, config, context) (too many positional arguments)",
    ),
    "option": (SYSTEM.replace("pass", 'option = "hybrid"'), "Config.option is no bench.config.DecideOption"),
}


@pytest.mark.parametrize("fault", NOT_LOADED)
def test_kind_that_cannot_be_loaded_is_a_sentence_where_it_is_used_and_a_warning_where_it_is_installed(
    fault, install, project, told
):
    source, wrong = NOT_LOADED[fault]
    install("systems", "mine", source)
    listed = told("doctor", "--config", "none.toml", code=0)
    assert "systems: mine from acme-broken 1.0; does not work" in listed
    assert listed.count(wrong) == 1 and MEND in listed
    project('kind = "mine"')
    said = told("run")
    assert re.search(rf'error: bench\.toml: systems\.x: Kind "mine" of {ENTRY}', said), said
    assert wrong in said and MEND in said


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("acme_broken.nowhere", "ModuleNotFoundError: No module named 'acme_broken.nowhere'"),
        ("acme_broken:nothing", "AttributeError: module 'acme_broken' has no attribute 'nothing'"),
    ],
)
def test_entry_point_that_points_to_nothing(target, wrong, install, project, told):
    install("systems", "mine", SYSTEM, target=target)
    project('kind = "mine"')
    assert f"(bench.systems: {target}) cannot be loaded: {wrong}" in told("run")


def test_what_does_not_use_a_broken_package_works(install, project, told):
    for group in ("systems", "encoders", "indexes", "rerankers", "sources", "measures", "exports", "origins"):
        install(group, "mine", "raise RuntimeError('imported')")
    folder = project('kind = "bm25"\nk1 = 0.9')
    told("check", ".", code=0)
    told("run", code=0)
    told("baseline", "accept", "--reason", "r", "--system", "bm25", code=0)
    told("gate", "--system", "bm25", code=0)
    told("report", code=0)
    told("decide", "--current", "bm25", code=0)
    told("export", "beir", "--out", "beir", code=0)
    told("import", "beir", "beir", "--out", "again", "--role", "train=train", "test=held-out", code=0)
    assert (folder / "again").is_dir()
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0


def test_entry_points_are_read_only_where_a_kind_is_not_ours(project, tiny_suite, monkeypatch):
    project('kind = "hybrid"\nof = ["bm25", "bm25"]')

    def read(**_):
        raise AssertionError("entry points were read")

    plugins.offers.cache_clear()
    monkeypatch.setattr(plugins, "entry_points", read)
    workspace = Workspace.open()
    workspace.evaluator(tiny_suite.suite).results()
    with pytest.raises(AssertionError, match="entry points were read"):
        listing("systems")


# --- names -------------------------------------------------------------------------------------------


def test_name_of_ours_stays_ours(install, project, told):
    install("systems", "bm25", "raise RuntimeError('imported')")
    install("measures", "ndcg", "raise RuntimeError('imported')")
    project('kind = "bm25"\nk1 = 0.9')
    told("run", code=0)
    assert module_of("systems", "bm25").__name__ == "bench.retrieval.systems.bm25"
    listed = told("doctor", code=0)
    assert 'Kind "bm25" of acme-broken 1.0 (bench.systems: acme_broken) is not used: "bm25" is built in.' in listed
    assert 'Kind "ndcg" of acme-broken 1.0 (bench.measures: acme_broken) is not used: "ndcg" is built in.' in listed


def test_name_that_two_packages_have_is_refused_where_it_is_used(install, project, told):
    install("systems", "mine", SYSTEM)
    install("systems", "mine", SYSTEM, package="acme-other", version="2.0", module="acme_other")
    project('kind = "mine"')
    said = told("run")
    assert 'Kind "mine" is offered by acme-' in said and "Uninstall one of them" in said
    for package in ("acme-broken 1.0 (bench.systems: acme_broken)", "acme-other 2.0 (bench.systems: acme_other)"):
        assert package in said
    listed = told("doctor", "--config", "none.toml", code=0)
    assert "from acme-broken 1.0; does not work" in listed and "from acme-other 2.0; does not work" in listed
    assert listed.count("Uninstall one of them") == 1


def test_misspelt_group_is_told_by_doctor(install, told, project):
    install("system", "mine", SYSTEM)
    project('kind = "bm25"')
    listed = told("doctor", code=0)
    assert "acme-broken 1.0: entry points of the group bench.system are not read" in listed
    assert 'Did you mean "bench.systems"?' in listed


def test_kind_that_is_not_installed_says_where_it_may_come_from(project, told):
    project('kind = "cascade"')
    assert "If it is a kind of another package, install that package." in told("run")


# --- systems that fail -------------------------------------------------------------------------------

FAILS_BUILT = {
    "raises": (("return [Mine(name, config)]", "raise ValueError('no such thing')"), "ValueError: no such thing"),
    "none": (("return [Mine(name, config)]", "return []"), "build returned systems []; expected one or more"),
    "kind": (('kind = "mine"', 'kind = "my own"'), "Mine.kind is 'my own'; its table says 'mine'"),
    "roles": (("self.roles = name, config.parts, config.roles", "_ = name, config.parts, 0"), "Mine.roles is None"),
    "name": (("name, config)]", "'y', config)]"), 'a system\'s name is "y"; expected "x"'),
    "search": (("def search", "def look"), "Mine has no method search"),
}


@pytest.mark.parametrize("fault", FAILS_BUILT)
def test_system_that_fails_when_it_is_built(fault, install, project, told):
    change, wrong = FAILS_BUILT[fault]
    install("systems", "mine", SYSTEM.replace(*change))
    project('kind = "mine"\nroles = ["held-out"]')
    said = told("run", "--system", "x")
    assert re.search(rf'Kind "mine" of {ENTRY} failed when systems\.x was built: ', said), said
    assert wrong in said and MEND in said
    told("run", "--system", "bm25", code=0)
    assert "x has no stored result and is left out" in told("report", code=0)
    decision = Project(Workspace.open()).decide(current="bm25").to_json()
    assert wrong in decision["missing"]["x"]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (("return {}", "raise ValueError('no weights')"), "ValueError: no weights"),
        (("return {}", "return {'a': object()}"), "TypeError: Object of type object is not JSON serializable"),
    ],
)
def test_fingerprint_that_fails(change, wrong, install, project, told):
    install("systems", "mine", SYSTEM.replace(*change))
    project('kind = "mine"')
    said = told("run", "--system", "x")
    assert re.search(rf'Kind "mine" of {ENTRY} failed when it computed the fingerprint of "x": ', said), said
    assert wrong in said


SEARCH = "return padded_at([[len(text) % len(corpus.ids), 3] for text in queries.texts])"


def test_search_that_fails_names_query_and_package(install, project, told):
    broken = "[1 // 0 for text in queries.texts if text == 'gears jump under load']; " + SEARCH
    install("systems", "mine", SYSTEM.replace(SEARCH, broken))
    project('kind = "mine"')
    said = told("run", "--system", "x", code=4)
    assert (
        'System "x" (kind mine of acme-broken 1.0) failed on query "h4" of "shop": '
        "ZeroDivisionError: integer division or modulo by zero" in said
    )


def test_search_of_parts_that_fails_names_the_query_on_which_it_fails_with_its_parts(install, project, told):
    source = SYSTEM.replace(
        "class Config(SystemConfig):\n        pass", "class Config(SystemConfig):\n        of: Part"
    )
    source = source.replace("import SystemConfig", "import Part, SystemConfig")
    broken = "assert not any('h6' == q and r.docs[i, 0] >= 0 for r in parts for i, q in enumerate(r.query_ids)); "
    install("systems", "mine", source.replace(SEARCH, broken + SEARCH))
    project('kind = "mine"\nof = "bm25"')
    assert 'failed on query "h6" of "shop": AssertionError' in told("run", "--system", "x", code=4)


def test_search_that_fails_on_all_queries_together_names_none(install, project, told):
    install("systems", "mine", SYSTEM.replace(SEARCH, "assert len(queries.ids) < 5; " + SEARCH))
    project('kind = "mine"')
    assert '(kind mine of acme-broken 1.0) failed on query set "shop": AssertionError' in told(
        "run", "--system", "x", code=4
    )


@pytest.mark.parametrize(
    ("returned", "wrong"),
    [
        ("None", "search returned a NoneType; expected bench.records.Ranked"),
        ("Ranked([['d01']] * len(queries.ids), [[1.0]] * len(queries.ids))", "invalid literal for int()"),
    ],
)
def test_search_that_returns_no_ranking(returned, wrong, install, project, told):
    install("systems", "mine", SYSTEM.replace(SEARCH, f"return {returned}"))
    project('kind = "mine"')
    said = told("run", "--system", "x", code=4)
    assert 'System "x" (kind mine of acme-broken 1.0) failed on' in said and wrong in said


def test_what_a_system_has_says_what_it_is(install, project, told, tiny_suite):
    files = SYSTEM.replace("config.roles\n", "config.roles\n            self.files = {'shop': None}\n")
    install("systems", "mine", files)
    project('kind = "mine"')
    evaluator = Workspace.open().evaluator(tiny_suite.suite)
    assert evaluator.reads_run_files("x") and not evaluator.reads_run_files("bm25")
    assert "another engine's run file" in untimed(evaluator, ["x"], "shop")["x"]


# --- other groups ------------------------------------------------------------------------------------

ENCODER = """
    import numpy as np
    from bench.config import Strict

    class Config(Strict):
        kind: str

    def build(config, *, base, models):
        return Encoder()

    class Encoder:
        dim = 4

        def fingerprint(self):
            return {"kind": "mine"}

        def prompted(self, texts, kind):
            return list(texts)

        def encode(self, texts):
            return np.asarray([[len(t), t.count("e"), t.count("a"), 1] for t in texts], dtype=np.float32)
"""
INDEX = """
    from bench.config import Strict
    from bench.retrieval.search import top_k

    class Config(Strict):
        kind: str

    def build(config, rows, precision):
        return Index(rows)

    class Index:
        bytes = 1

        def __init__(self, rows):
            self.rows = rows

        def search(self, queries, k):
            return top_k(queries @ self.rows.T, k)
"""
RERANKER = """
    import numpy as np
    from bench.config import Strict

    class Config(Strict):
        kind: str

    def build(config, *, base, models):
        return Scorer()

    class Scorer:
        def fingerprint(self):
            return {"kind": "mine"}

        def score(self, pairs):
            return np.asarray([len(d) for _, d in pairs], dtype=np.float32)
"""
DENSE = 'kind = "dense"\nencoder = { kind = "mine" }'
RERANK = 'kind = "rerank"\nfirst = "bm25"\nreranker = { kind = "mine" }'

PARTS = {
    "encoder built": ("encoders", ENCODER, "return Encoder()", DENSE, 2, "failed when systems.x.encoder was built: "),
    "encoder": ("encoders", ENCODER, "return np.asarray", DENSE, 4, "failed in encode: "),
    "prompts": ("encoders", ENCODER, "return list(texts)", DENSE, 4, "failed in prompted: "),
    "reranker built": (
        "rerankers",
        RERANKER,
        "return Scorer()",
        RERANK,
        2,
        "failed when systems.x.reranker was built: ",
    ),
    "reranker": ("rerankers", RERANKER, "return np.asarray", RERANK, 4, "failed in score: "),
}


@pytest.mark.parametrize("fault", PARTS)
def test_part_of_a_system_that_fails_names_its_package(fault, install, project, told):
    group, source, line, table, code, wrong = PARTS[fault]
    install(group, "mine", source.replace(line, "raise ValueError('out of cheese'); " + line))
    project(table)
    said = told("run", "--system", "x", code=code)
    assert f'Kind "mine" of acme-broken 1.0 (bench.{group}: acme_broken) {wrong}ValueError: out of cheese' in said, said


@pytest.mark.parametrize(("line", "code"), [("return Index(rows)", 2), ("return top_k", 4)])
def test_index_that_fails_names_its_package(line, code, install, project, told):
    install("encoders", "mine", ENCODER, module="acme_encoder")
    install("indexes", "mine", INDEX.replace(line, "raise ValueError('out of cheese'); " + line))
    project(DENSE + '\nindex = { kind = "mine" }')
    said = told("run", "--system", "x", code=code)
    assert 'Kind "mine" of acme-broken 1.0 (bench.indexes: acme_broken) failed' in said, said
    assert "ValueError: out of cheese" in said


MEASURE = """
    ORDERED = True
    NEEDS_CUTOFF = False

    def value(query, *, cutoff, relevance_level):
        return 0.5
"""


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (("return 0.5", "return 1 / 0"), "failed when it computed mine@10: ZeroDivisionError: division by zero"),
        (("return 0.5", "return 'high'"), "failed when it computed mine@10: ValueError: could not convert string"),
        (("return 0.5", "return 2"), 'Measure "mine@10" of acme-broken 1.0 gave [2.0'),
        (("return 0.5", "return float('nan')"), 'Measure "mine@10" of acme-broken 1.0 gave [nan'),
        (("ORDERED = True", "ORDERED = 'yes'"), "its ORDERED is 'yes', and no bool"),
        (
            ("*, cutoff, relevance_level", "cutoff"),
            "its value(query, cutoff) cannot be called as value(query, *, cutoff,",
        ),
    ],
)
def test_measure_that_fails(change, wrong, install, tmp_path, told):
    install("measures", "mine", MEASURE.replace(*change))
    (tmp_path / "q").write_text("q1 0 d1 1\n")
    (tmp_path / "r").write_text("q1 Q0 d1 1 1.0 x\n")
    said = told("measure", "--qrels", str(tmp_path / "q"), "--run", str(tmp_path / "r"), "--measures", "mine@10")
    assert wrong in said and "acme-broken 1.0" in said


def test_measure_of_a_suite_that_cannot_be_loaded_is_a_finding(install, tiny_suite, told):
    install("measures", "mine", "import nowhere")
    tiny_suite.edit("suite.toml", 'measures = ["recall@10"', 'measures = ["mine", "recall@10"')
    said = told("check", str(tiny_suite.folder))
    assert 'Kind "mine" of acme-broken 1.0 (bench.measures: acme_broken) cannot be loaded: ModuleNotFoundError' in said
    assert "1 error" in said


SOURCE = """
    from bench.config import Strict
    from bench.suites.sources import Collection, Document, Part, Query

    class Options(Strict):
        pass

    def collection(location, options):
        one = Part("test", lambda: [Query("q", "text")], lambda: [("q", "d", 1)])
        return Collection("mine", lambda: iter([Document("d", "text")]), (one,))
"""


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (("one = Part", "1 / 0; one = Part"), "failed when it opened here: ZeroDivisionError"),
        (("return Collection(", "return ("), "failed when it opened here: TypeError: collection returned a tuple"),
        (('Document("d", "text")', 'Document(*"d")'), "failed while it was read: TypeError"),
        (('[("q", "d", 1)]', "[1 / 0]"), "failed while it was read: ZeroDivisionError"),
    ],
)
def test_source_that_fails(change, wrong, install, tmp_path, told):
    install("sources", "mine", SOURCE.replace(*change))
    said = told("import", "mine", "here", "--out", str(tmp_path / "out"))
    assert f'Kind "mine" of acme-broken 1.0 (bench.sources: acme_broken) {wrong}' in said, said
    assert not (tmp_path / "out").exists()


def test_source_with_an_underscore_in_its_name_is_taken_by_it(install, tmp_path, told):
    install("sources", "my_own", SOURCE)
    told("import", "my_own", "here", "--out", str(tmp_path / "out"), code=0)


EXPORT = """
    from bench.interop.exports import Exported

    WHAT = "suite"

    def export(request):
        return Exported([request.out])
"""


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (("return Exported", "1 / 0; return Exported"), "failed when it wrote: ZeroDivisionError"),
        (("return Exported(", "return ("), "failed when it wrote: TypeError: export returned a list"),
        (('"suite"', '"all"'), "its WHAT is 'all', and not 'suite' or 'results'"),
    ],
)
def test_export_that_fails(change, wrong, install, project, told):
    install("exports", "mine", EXPORT.replace(*change))
    project('kind = "bm25"')
    said = told("export", "mine", "--out", "out")
    assert 'Kind "mine" of acme-broken 1.0 (bench.exports: acme_broken)' in said and wrong in said, said


ORIGIN = """
    from bench.config import Strict
    from bench.train.origins import Pair

    class Config(Strict):
        kind: str

    def pairs(config, context):
        yield Pair("", "how loud is a bell", "", "A bell sounds clear.", "", "mine")
"""


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (("yield Pair", "1 / 0; yield Pair"), "failed when it made pairs: ZeroDivisionError"),
        (('"mine")', '"yours")'), 'expected bench.train.origins.Pair of origin "mine"'),
        (("yield Pair(", "yield ("), 'expected bench.train.origins.Pair of origin "mine"'),
        (("kind: str", "path: str"), "its Config has no field kind (kind: str)"),
    ],
)
def test_origin_of_pairs_that_fails(change, wrong, install, project, told):
    install("origins", "mine", ORIGIN.replace(*change))
    project('kind = "bm25"', '[pairs.p]\nfrom = [{ kind = "mine" }]')
    said = told("pairs", "p")
    assert 'Kind "mine" of acme-broken 1.0 (bench.origins: acme_broken)' in said and wrong in said, said


SECTION = """
    from bench.report.blocks import Prose

    ORDER = -1
    TITLE = "Mine"

    def build(material):
        return [Prose(["Here I am."])]
"""


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (("return [", "1 / 0; return ["), "(bench.sections: acme_broken) failed: ZeroDivisionError: division by zero"),
        (('[Prose(["Here I am."])]', '["Here I am."]'), "(bench.sections: acme_broken) failed: AttributeError"),
        (('Prose(["Here I am."])', "Prose(7)"), "(bench.sections: acme_broken) failed: TypeError"),
        (("return [", "raise __import__('bench').UsageError('no data'); return ["), "of acme-broken 1.0: no data"),
        (("ORDER = -1", "ORDER = 'first'"), "its ORDER is 'first', and no int"),
        (("from bench.report.blocks import Prose", "import nowhere"), "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_section_that_fails_is_a_sentence_at_the_end_of_a_whole_page(change, wrong, install, make_result):
    material = Material("t", (make_result({"recall@10": [1.0, 0.0]}),), "system")
    whole = [section.name for section in html.sections(material)]
    install("sections", "mine", SECTION.replace(*change))
    found = html.sections(material)
    assert [section.name for section in found] == [*whole, "mine"]
    (sentence,) = found[-1].blocks[0].parts
    assert wrong in sentence and "acme-broken 1.0" in sentence
    assert "acme-broken 1.0" in html.render(material) and "acme-broken 1.0" in html.whole_markdown(material)


def test_section_stands_where_its_order_says(install, make_result):
    material = Material("t", (make_result({"recall@10": [1.0, 0.0]}),), "system")
    install("sections", "my-own", SECTION)
    first = html.sections(material)[0]
    assert (first.name, first.title) == ("my_own", "Mine")


# --- versions ----------------------------------------------------------------------------------------


def _evaluator(suite, table, folder: Path) -> Evaluator:
    plugins.offers.cache_clear()
    config = BenchConfig.model_validate({"suites": ["."], "systems": {"bm25": {"kind": "bm25"}, "x": table}})
    store = Store(folder / ".bench")
    return Evaluator(suite, systems.build(config, systems.Context(folder, store)), store)


@pytest.mark.parametrize(
    ("group", "source", "table", "cache"),
    [
        ("systems", SYSTEM, {"kind": "mine"}, ""),
        ("encoders", ENCODER, {"kind": "dense", "encoder": {"kind": "mine"}}, "embeddings"),
        ("indexes", INDEX, {"kind": "dense", "encoder": {"kind": "ours"}, "index": {"kind": "mine"}}, ""),
        ("rerankers", RERANKER, {"kind": "rerank", "first": "bm25", "reranker": {"kind": "mine"}}, "pairs"),
    ],
)
def test_another_version_of_a_package_is_another_system(group, source, table, cache, install, tiny_suite, tmp_path):
    if group == "indexes":
        install("encoders", "ours", ENCODER, package="acme-encoder", module="acme_encoder")
    digests, caches = [], []
    for version in ("1.0", "1.0", "1.1"):
        install(group, "mine", source, version=version)
        (tmp_path / "site-acme-broken" / "acme_broken-1.0.dist-info" / "entry_points.txt").write_text(
            f"[bench.{group}]\nmine = acme_broken\n"
        )
        evaluator = _evaluator(tiny_suite.suite, table, tmp_path)
        evaluator.results(["x"], query_sets=["shop"])
        digests.append(evaluator.system_digest("x"))
        caches.append(len(list((tmp_path / ".bench" / cache).iterdir())) if cache else 0)
    assert digests[0] == digests[1] != digests[2]
    # What one version encoded or scored is no other version's.
    assert caches == ([1, 1, 2] if cache else [0, 0, 0])


def test_another_version_of_a_measure_is_measured_anew_and_not_compared(install, project, told):
    rules = '[gate]\nsystem = "bm25"\n[[gate.rules]]\nrole = "held-out"\nmeasures = ["mine"]\nmargin = 0.1'
    folder = project('kind = "bm25"\nk1 = 0.9', rules)
    suite = folder / "suite.toml"
    suite.write_text(suite.read_text().replace('measures = ["recall@10"', 'measures = ["mine", "recall@10"'))
    site = install("measures", "mine", MEASURE)
    told("run", "--gated", code=0)
    told("baseline", "accept", "--reason", "r", code=0)
    told("gate", code=0)
    (site / "acme_broken-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.1\n"
    )
    plugins.offers.cache_clear()
    # Rankings are there still, and are measured without being made.
    said = told("gate")
    assert (
        'mine was computed by acme-broken 1.0 for the baseline "bm25" and by acme-broken 1.1 for the candidate' in said
    )


def test_another_version_of_an_origin_makes_pairs_anew(install, project, told):
    site = install("origins", "mine", ORIGIN)
    project('kind = "bm25"', '[pairs.p]\nfrom = [{ kind = "mine" }]')
    told("pairs", "p", code=0)
    told("pairs", "show", "p", code=0)
    (site / "acme_broken-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-broken\nVersion: 1.1\n"
    )
    plugins.offers.cache_clear()
    assert "by another version of a package that has an origin of it" in told("pairs", "show", "p")


# --- tables ------------------------------------------------------------------------------------------

NESTED = """
    from typing import Annotated, Any
    from bench.config import KindTable, Part, Strict, SystemConfig

    class Stage(Strict):
        system: Part
        share: float = 1.0

    class Config(SystemConfig):
        stages: list[Stage] = []
        by_language: dict[str, Part] = {}
        fallback: Part | None = None
        first: Part | list[Part] = []
        models: list[Annotated[dict[str, Any], KindTable("rerankers")]] = []

    def build(name, config, context):
        return []
"""


def test_parts_and_tables_of_kinds_may_stand_at_any_depth(install, project):
    install("systems", "mine", NESTED)
    folder = project(
        'kind = "mine"\nfallback = "bm25"\nfirst = ["a", "b@8"]\nby_language = { de = "c" }\n'
        'stages = [{ system = "d", share = 0.5 }, { system = "bm25" }]',
        "".join(f'[systems.{name}]\nkind = "bm25"\n' for name in "abcd"),
    )
    config = load_bench(folder / "bench.toml").system("x")
    assert config.parts == ("d", "bm25", "c", "bm25", "a", "b@8")
    assert config.rebuilt(str.upper) == {
        "kind": "mine",
        "fallback": "BM25",
        "first": ["A", "B@8"],
        "by_language": {"de": "C"},
        "stages": [{"system": "D", "share": 0.5}, {"system": "BM25"}],
    }


def test_mistakes_in_parts_and_tables_are_told_wherever_they_stand(install, project, told):
    install("systems", "mine", NESTED)
    project(
        'kind = "mine"\nstages = [{ system = "bm52" }]\nmodels = [{ kind = "cohere", base_url = "u", model = "m" }, '
        '{ kind = "coher" }]'
    )
    said = told("run")
    assert 'bench.toml: systems.x.models[1].kind is "coher"; expected one of cohere' in said
    project('kind = "mine"\nstages = [{ system = "bm52" }]')
    assert 'systems.x is made of "bm52", which is no system of this file. Did you mean "bm25"?' in told("run")
