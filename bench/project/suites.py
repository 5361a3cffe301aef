"""Suites checked, made and exported: `bench check`, `import`, `init`, `perturb` and `export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.base import words
from bench.base.errors import SuiteError, UsageError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.base.registry import is_kind, listing, module_of, plugin_errors
from bench.base.store import Store
from bench.evaluation.evaluate import Evaluator
from bench.interop.exports import Exported
from bench.project.answers import Reply
from bench.project.workspace import DEFAULT_CONFIG, Workspace
from bench.records import Finding, Result, Suite
from bench.report import tables
from bench.report.blocks import Block, Prose
from bench.suites import checks, suite
from bench.suites.distribution import distribution_findings, embedding_findings
from bench.suites.importing import import_collection, open_source
from bench.suites.perturb import parse_transformations, perturb_suite
from bench.suites.scaffold import WORDS, scaffold
from bench.suites.splits import SplitPlan


def checked(
    source: str, *, models: Sequence[str] = (), store: Path | str = ".bench", progress: Progress = no_progress
) -> Reply:
    """Findings on a suite; exit code 2 where one is an error.

    `source` is a suite's folder, a BEIR folder, or a bundled suite's name. mteb says whether `models` were trained on
    the suite's data. Vectors in `store` are used to compare query sets; none are computed.
    """
    blocks: list[Block] = []
    try:
        loaded = suite.load(suite.find(source), progress=progress)
        findings = checks.check(loaded, progress=progress)
        findings += checks.contamination(loaded, models) if models else []
        findings += [*distribution_findings(loaded), *embedding_findings(loaded, Store(store))]
        findings.sort(key=lambda finding: ("error", "warning", "info").index(finding.severity))
        rows = [
            [q.name, q.role, q.corpus, f"{len(q.ids):,}", f"{len(loaded.corpora[q.corpus].ids):,}", q.digest[:12]]
            for q in loaded.query_sets.values()
        ]
        columns = ["query set", "role", "corpus", "queries", "documents", "digest"]
        blocks.append(tables.table(f"{loaded.name} {loaded.version} ({loaded.digest[:12]})", columns, rows, text=3))
    except SuiteError as error:
        findings = [Finding("error", "unreadable", source, line) for line in str(error).split("\n")]
    counts = {s: sum(f.severity == s for f in findings) for s in ("error", "warning", "info")}
    summary = ", ".join(words.count(n, name, name if name == "info" else "") for name, n in counts.items())
    documents = [finding.to_json() for finding in findings]
    blocks += [*tables.findings(findings), Prose([f"{summary}."])]
    exit_code = 2 if counts["error"] else 0
    return Reply({"format": 1, "findings": documents}, blocks, exit_code=exit_code, table=documents)


def imported(
    kind: str,
    source: str,
    out: Path,
    *,
    settings: Mapping[str, str] | None = None,
    name: str | None = None,
    roles: Mapping[str, str] | None = None,
    split: SplitPlan | None = None,
    force: bool = False,
    progress: Progress = no_progress,
) -> Reply:
    """A suite from data in another format.

    Args:
        kind: such as beir, jsonl, trec or table; `settings` are its options, as text.
        source: a folder, a file, or a name that the kind knows.
        out: the suite's folder; new or empty, unless `force` replaces the suite in it.
        roles: split → role; without an entry, train, dev and test become train, dev and held-out.
        split: divide the queries anew; the source's splits where None.

    Raises:
        UsageError: no such kind or setting, or a suite is there.
        SuiteError: data that cannot be used; names file and line.
    """
    data, roles = open_source(kind, source, settings or {}), dict(roles or {})
    report = import_collection(data, out, name=name, roles=roles, split=split, force=force, progress=progress)
    rows = [[q.name, q.role, f"{q.n_queries:,}", f"{q.n_judgements:,}"] for q in report.query_sets]
    caption = f"{report.name}: {words.count(report.n_docs, 'document')}"
    blocks: list[Block] = [tables.table(caption, ["query set", "role", "queries", "judgements"], rows, text=2)]
    blocks += [Prose([sentence], "warning") for sentence in report.sentences()]
    blocks.append(Prose([f"Suite: {report.folder}. Next: bench check {out}"]))
    return Reply(report.to_json(), blocks)


def initialised(
    folder: Path, *, name: str | None = None, source: Path | None = None, most_words: int | None = None
) -> Reply:
    """Scaffold a project: config, suite and workflow.

    The suite's `name` is that of `source` or of the project where None. `source` is a folder of text and Markdown
    files, to be cut into documents of `most_words` words.

    Raises:
        UsageError: an invalid name, or `most_words` without a source.
    """
    if source is None and most_words is not None:
        raise UsageError("bench init: --words is the length of documents that are cut; it goes with --from FOLDER.")
    report = scaffold(folder, name=name, source=source, words=most_words or WORDS)
    blocks: list[Block] = [Prose([f"wrote {path}"], "good") for path in report.written]
    blocks += [Prose([f"kept  {path}, as it was"]) for path in report.kept]
    cut = f"{words.count(report.n_documents, 'document')} from {words.count(report.n_files, 'file')}."
    blocks.append(Prose([cut if source else "No documents yet."]))
    blocks += [Prose([f"{number}. {step}"]) for number, step in enumerate(report.next_steps, 1)]
    return Reply({"format": 1, **report.to_json()}, blocks)


def perturbed(source: str, out: Path, *, query_set: str, transformations: Sequence[str], seed: int = 0) -> Reply:
    """A copy of a suite with altered queries beside the others.

    `transformations` are names such as typos, or dictionary=FILE; they are applied to the queries of `query_set`.

    Raises:
        UsageError: no such set or transformation, or the folder is there.
    """
    changes = parse_transformations(transformations)
    sets = perturb_suite(suite.find(source), out, query_set=query_set, transformations=changes, seed=seed)
    rows = [[s.query_set, s.transformation, f"{s.n_queries:,}", f"{s.unchanged:,}"] for s in sets]
    columns = ["query set", "transformation", "queries", "unchanged"]
    blocks: list[Block] = [tables.table(str(out), columns, rows, text=2)]
    blocks.append(Prose([f"Look at some of them, then: bench check {out}"]))
    return Reply({"format": 1, "suite": str(out), "query_sets": [s.to_json() for s in sets]}, blocks)


@dataclass(frozen=True)
class _Request:
    """An export; results are looked up when a kind needs them."""

    suite: Suite
    system: str
    out: Path
    query_sets: Sequence[str] | None
    model_name: str | None
    force: bool
    workspace: Workspace | None

    def results(self) -> list[Result]:
        """The system's stored results."""
        assert self.workspace is not None  # noqa: S101 (only kinds about results call this)
        return self.workspace.stored(self.suite, self.system)

    def evaluator(self) -> Evaluator:
        """An evaluator of the system that makes nothing."""
        assert self.workspace is not None  # noqa: S101
        return self.workspace.evaluator(self.suite, [self.system], make=False)


def exported(
    kind: str,
    out: Path,
    *,
    config: str | None = None,
    suite_name: str | None = None,
    system: str | None = None,
    query_sets: Sequence[str] | None = None,
    model_name: str | None = None,
    force: bool = False,
) -> Reply:
    """A suite, or a system's stored results, in another program's format.

    `kind` is such as beir, mteb-results or model-card. A suite alone needs no config. The system is the gated one where
    None, and `model_name` its name in the output.

    Raises:
        UsageError: no such kind, or an option that the kind does not take.
    """
    if not is_kind("exports", kind):
        known = listing("exports")
        raise UsageError(f'No kind of export "{kind}"; expected one of {", ".join(known)}.{did_you_mean(kind, known)}')
    module = module_of("exports", kind)
    about_results = module.WHAT == "results"
    for option, value in (("system", system), ("model-name", model_name)):
        if value is not None and not about_results:
            raise UsageError(f"bench export {kind}: --{option} is about results, and this format holds a suite alone.")
    # A suite alone needs no config.
    alone = suite_name and not about_results and not config and not Path(DEFAULT_CONFIG).exists()
    workspace = None if alone else Workspace.open(config)
    loaded = suite.load(suite.find(str(suite_name))) if workspace is None else workspace.suite(suite_name)
    name = workspace.gated_system(system) if workspace is not None and about_results else ""
    with plugin_errors("exports", kind, "failed when it wrote"):
        done = module.export(_Request(loaded, name, out, query_sets, model_name, force, workspace))
        if not isinstance(done, Exported):
            raise TypeError(f"export returned a {type(done).__name__}; expected bench.interop.exports.Exported")
    blocks: list[Block] = [Prose([note], "warning") for note in done.notes]
    blocks += [Prose([f"Written: {path}"]) for path in done.written]
    return Reply({"format": 1, "written": [str(path) for path in done.written], "notes": list(done.notes)}, blocks)
