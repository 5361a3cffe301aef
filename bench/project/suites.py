"""Suites checked, made and exported: `bench check`, `import`, `init`, `perturb` and `export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.base import words
from bench.base.errors import SuiteError, UsageError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.base.registry import blamed, is_kind, listing, module_of
from bench.base.store import Store
from bench.evaluation.evaluate import Evaluator
from bench.interop.exports import Exported
from bench.project.answers import Told
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
) -> Told:
    """What makes a suite lie; exit code 2 where a finding is an error.

    Args:
        source: a suite's folder, a BEIR folder, or a bundled suite's name.
        models: names; whether they were trained on this is asked of mteb.
        store: where vectors may be stored that tell how far sets are apart.
        progress: told what is being done.
    """
    loaded: Suite | None = None
    try:
        loaded = suite.load(suite.find(source), progress=progress)
        found = checks.check(loaded, progress=progress)
        if models:
            found += checks.contamination(loaded, models)
        found += [*distribution_findings(loaded), *embedding_findings(loaded, Store(store))]
        found.sort(key=lambda finding: ("error", "warning", "info").index(finding.severity))
    except SuiteError as error:
        loaded = None
        found = [Finding("error", "unreadable", source, line) for line in str(error).split("\n")]
    document = {"format": 1, "findings": [finding.to_json() for finding in found]}
    counts = {s: sum(f.severity == s for f in found) for s in ("error", "warning", "info")}
    said = ", ".join(words.count(n, severity, severity if severity == "info" else "") for severity, n in counts.items())
    blocks: list[Block] = [*([_sets(loaded)] if loaded else []), *tables.findings(found), Prose([f"{said}."])]
    rows = [finding.to_json() for finding in found]
    return Told(document, blocks, exit_code=2 if counts["error"] else 0, table=rows)


def _sets(loaded: Suite) -> Block:
    rows = [
        [q.name, q.role, q.corpus, f"{len(q.ids):,}", f"{len(loaded.corpora[q.corpus].ids):,}", q.digest[:12]]
        for q in loaded.query_sets.values()
    ]
    columns = ["query set", "role", "corpus", "queries", "documents", "digest"]
    return tables.table(f"{loaded.name} {loaded.version} ({loaded.digest[:12]})", columns, rows, text=3)


# --- made ---------------------------------------------------------------------------------------------


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
) -> Told:
    """A suite from data in another format.

    Args:
        kind: such as beir, jsonl, trec or table.
        source: a folder, a file, or a name that the kind knows.
        out: the suite's folder; new or empty.
        settings: options of the kind, as text.
        name: the suite's; the source's where None.
        roles: split → role; train, dev and test become train, dev and held-out where nothing is said.
        split: divide the queries anew; the source's splits where None.
        force: replace the suite that is there.
        progress: told of documents and queries.

    Raises:
        UsageError: no such kind or setting, or a suite is there.
        SuiteError: data that cannot be used; names file and line.
    """
    collection = open_source(kind, source, settings or {})
    made = import_collection(
        collection, out, name=name, roles=dict(roles or {}), split=split, force=force, progress=progress
    )
    rows = [[q.name, q.role, f"{q.n_queries:,}", f"{q.n_judgements:,}"] for q in made.query_sets]
    caption = f"{made.name}: {words.count(made.n_docs, 'document')}"
    blocks: list[Block] = [tables.table(caption, ["query set", "role", "queries", "judgements"], rows, text=2)]
    blocks += [Prose([sentence], "warning") for sentence in made.sentences()]
    blocks.append(Prose([f"Suite: {made.folder}. Next: bench check {out}"]))
    return Told(made.to_json(), blocks)


def initialised(
    folder: Path, *, name: str | None = None, source: Path | None = None, most_words: int | None = None
) -> Told:
    """What a project needs to begin with.

    Args:
        folder: the project.
        name: the suite's; that of `source` or of the project where None.
        source: a folder of text and Markdown files, cut into documents.
        most_words: the most that a document holds.

    Raises:
        UsageError: a name that cannot be, or `most_words` without a source.
    """
    if source is None and most_words is not None:
        raise UsageError("bench init: --words is about cutting documents; it goes with --from FOLDER.")
    made = scaffold(folder, name=name, source=source, words=most_words or WORDS)
    blocks: list[Block] = [Prose([f"wrote {path}"], "good") for path in made.written]
    blocks += [Prose([f"kept  {path}, as it was"]) for path in made.kept]
    cut = f"{words.count(made.n_documents, 'document')} from {words.count(made.n_files, 'file')}."
    blocks.append(Prose([cut if source else "No documents yet."]))
    blocks += [Prose([f"{number}. {step}"]) for number, step in enumerate(made.next_steps, 1)]
    return Told({"format": 1, **made.to_json()}, blocks)


def perturbed(source: str, out: Path, *, query_set: str, transformations: Sequence[str], seed: int = 0) -> Told:
    """A copy of a suite with altered queries beside the others.

    Args:
        source: a suite's folder, a BEIR folder, or a bundled suite's name.
        out: a new folder.
        query_set: the evaluation set whose queries are altered.
        transformations: such as typos, or dictionary=FILE.
        seed: of what is left to chance.

    Raises:
        UsageError: no such set or transformation, or the folder is there.
    """
    made = perturb_suite(
        suite.find(source),
        out,
        query_set=query_set,
        transformations=parse_transformations(transformations),
        seed=seed,
    )
    rows = [[one.query_set, one.transformation, f"{one.n_queries:,}", f"{one.unchanged:,}"] for one in made]
    columns = ["query set", "transformation", "queries", "unchanged"]
    blocks: list[Block] = [tables.table(str(out), columns, rows, text=2)]
    blocks.append(Prose([f"Look at some of them, then: bench check {out}"]))
    return Told({"format": 1, "suite": str(out), "query_sets": [one.to_json() for one in made]}, blocks)


# --- in another program's format ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Request:
    """What is exported; results are looked up when a kind asks for them."""

    suite: Suite
    system: str
    out: Path
    query_sets: Sequence[str] | None
    model_name: str | None
    force: bool
    workspace: Workspace | None

    def results(self) -> list[Result]:
        """The system's stored results."""
        assert self.workspace is not None  # noqa: S101 (only kinds about results ask)
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
) -> Told:
    """A suite, or a system's stored results, in another program's format.

    Args:
        kind: such as beir, mteb-results or model-card.
        out: a folder or a file.
        config: the config file; a suite alone needs none.
        suite_name: which suite.
        system: whose results; the gated system's where None.
        query_sets: only these.
        model_name: what the system is called there.
        force: replace what is there.

    Raises:
        UsageError: no such kind, or an option that the kind does not take.
    """
    if not is_kind("exports", kind):
        known = listing("exports")
        raise UsageError(f'No kind of export "{kind}"; expected one of {", ".join(known)}.{did_you_mean(kind, known)}')
    module = module_of("exports", kind)
    about_results = module.WHAT == "results"
    for option, given in (("system", system), ("model-name", model_name)):
        if given is not None and not about_results:
            raise UsageError(f"bench export {kind}: --{option} is about results, and this format holds a suite alone.")
    # A suite of its own needs no config.
    alone = suite_name and not about_results and not config and not Path(DEFAULT_CONFIG).exists()
    workspace = None if alone else Workspace.open(config)
    loaded = suite.load(suite.find(str(suite_name))) if workspace is None else workspace.suite(suite_name)
    name = workspace.gated_system(system) if workspace is not None and about_results else ""
    with blamed("exports", kind, "failed when it wrote"):
        done = module.export(_Request(loaded, name, out, query_sets, model_name, force, workspace))
        if not isinstance(done, Exported):
            raise TypeError(f"export returned a {type(done).__name__}; expected bench.interop.exports.Exported")
    blocks: list[Block] = [Prose([note], "warning") for note in done.notes]
    blocks += [Prose([f"Written: {path}"]) for path in done.written]
    return Told({"format": 1, "written": [str(path) for path in done.written], "notes": list(done.notes)}, blocks)
