"""Questions without a config: suites, search functions, runs and results from files, frames or mappings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from bench.base.errors import SuiteError, UsageError
from bench.base.files.frames import texts_of
from bench.base.names import table_of
from bench.base.progress import Progress, no_progress
from bench.base.registry import problems_of
from bench.base.store import Store, write_text
from bench.config import BenchConfig, SuiteConfig
from bench.evaluation.evaluate import Evaluator
from bench.gate import verdict as gate
from bench.gate.rules import changed
from bench.project import compare as files
from bench.project.answers import Judged, Results
from bench.project.compare import Judgements, listed, read_qrels
from bench.records import Policy, Result, Suite, System
from bench.records.measures import parse_list
from bench.retrieval import systems as kinds
from bench.retrieval.systems.python import Python
from bench.suites import suite as suites
from bench.suites.sources.jsonl import read_queries

SearchFunction = Callable[..., Any]
"""`search(text)` or `search(text, depth)` → ids, (id, score) pairs, or id → score."""

Measures = str | Sequence[str] | None
"""Names such as "ndcg@10", also separated by commas."""


def load_suite(
    source: Suite | Path | str | None = None,
    *,
    documents: Any = None,
    queries: Any = None,
    qrels: Judgements | None = None,
    name: str = "suite",
    measures: Measures = None,
    depth: int = 100,
    relevance_level: int = 1,
    progress: Progress = no_progress,
) -> Suite:
    """A suite from its folder, a BEIR folder or a bundled suite's name; or from documents, queries and judgements.

    Args:
        source: the folder, or the name; nothing else is given then.
        documents: a file of JSON lines, a frame (an id, text, optional title), or id → text.
        queries: likewise; optional columns are query_set, role, slice, cluster, pinned, answerable. Without
            query_set all queries are one set "queries", without role they are held-out.
        qrels: a TREC or BEIR file, a frame, or query id → document id → grade.
        name: the suite's.
        measures: what is measured; recall@10, ndcg@10, mrr@10 and recall@100 where None.
        depth: documents asked of each system.
        relevance_level: the lowest grade that is relevant.
        progress: called while documents are read.

    Raises:
        SuiteError: names file and line, or the row.
        UsageError: a part that is missing, or of another type.
    """
    if isinstance(source, Suite):
        return source
    if source is not None:
        return suites.load(suites.find(str(source)), progress=progress)
    if documents is None or queries is None or qrels is None:
        raise UsageError("load_suite: expected a suite's folder or name, or documents=, queries= and qrels=.")
    # Written as the files that they stand for, so that the same checks hold and digests are the same.
    with TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        by_set: dict[str, list[dict[str, Any]]] = {}
        for row in read_queries(text_file(queries, folder / "queries.jsonl")):
            by_set.setdefault(str(row.get("query_set") or "queries"), []).append(row)
        left = dict(read_qrels(qrels))
        entries = []
        for number, (query_set, rows) in enumerate(by_set.items(), 1):
            roles = {row.get("role") or "held-out" for row in rows}
            if len(roles) > 1:
                raise UsageError(f'Query set "{query_set}" has the roles {", ".join(sorted(roles))}; expected one.')
            judged = {row["_id"]: left.pop(row["_id"]) for row in rows if row["_id"] in left}
            entry = {"name": query_set, "role": roles.pop(), "corpus": "documents"}
            entries.append(entry | {"queries": f"queries-{number}.jsonl", "qrels": f"qrels-{number}.tsv"})
            text_file({row["_id"]: row for row in rows}, folder / f"queries-{number}.jsonl")
            # Judgements of unknown queries go to the last set, which refuses them.
            judged |= left if number == len(by_set) else {}
            lines = [f"{query}\t{doc}\t{grade}\n" for query, grades in judged.items() for doc, grade in grades.items()]
            write_text(folder / f"qrels-{number}.tsv", "".join(lines))
        path = str(text_file(documents, folder / "corpus.jsonl").absolute())
        try:
            what = {"name": name, "corpora": {"documents": {"path": path}}, "query_sets": entries}
            how = {"measures": list(parse_list(names_of(measures))), "depth": depth, "relevance_level": relevance_level}
            config = SuiteConfig.model_validate(what | how)
            write_text(folder / "suite.toml", suites.toml_of(config))
            loaded = suites.load(folder, progress=progress)
        except ValidationError as problem:
            raise UsageError("\n".join(problems_of(problem, SuiteConfig, "load_suite"))) from None
        except SuiteError as problem:
            raise SuiteError(str(problem).replace(f"{folder}/", "").replace(str(folder), name)) from None
    return replace(loaded, path=f"<{name}>")


def text_file(value: Any, path: Path) -> Path:
    """The file that holds documents or queries: a path as it is; a frame or mapping is written to `path`."""
    if isinstance(value, str | Path):
        return Path(value)
    return write_text(path, "".join(json.dumps(row, default=str) + "\n" for row in texts_of(value)))


def names_of(names: str | Iterable[str] | None) -> list[str] | None:
    """Names as a list; one name may stand alone."""
    return [names] if isinstance(names, str) else None if names is None else list(names)


def evaluate(
    suite: Suite | Path | str,
    systems: Mapping[str, SearchFunction | Mapping[str, Any]],
    *,
    query_sets: str | Iterable[str] | None = None,
    measures: Measures = None,
    depth: int | None = None,
    store: Path | str | None = None,
    progress: Progress = no_progress,
) -> Results:
    """Results of systems on a suite.

    Args:
        suite: a suite, its folder, or a bundled suite's name.
        systems: name → a search function, or a table as under `[systems]`.
        query_sets: held-out and out-of-distribution sets; all where None.
        measures: beside the suite's own.
        depth: documents asked of each system; the suite's where None.
        store: a folder that keeps encodings and rankings; nothing is kept where None.
        progress: called during slow stages.

    Raises:
        SystemFailed: a system failed; names the query.
        ConfigError: a table that is wrong.
    """
    loaded = load_suite(suite)
    wanted = dict.fromkeys((*loaded.protocol.measures, *(parse_list(names_of(measures)) if measures else ())))
    protocol = replace(loaded.protocol, measures=tuple(wanted), depth=depth or loaded.protocol.depth)
    with TemporaryDirectory(prefix="bench-") as folder:
        place = Store(store or folder)
        evaluator = Evaluator(replace(loaded, protocol=protocol), _built(systems, place), place, progress=progress)
        chosen = [name for name in evaluator.systems if table_of(name) in systems]
        return Results(tuple(evaluator.results(chosen, query_sets=names_of(query_sets))))


def _built(systems: Mapping[str, Any], store: Store) -> dict[str, System]:
    """Systems by name: functions as they are, tables by their kind."""
    if not isinstance(systems, Mapping):
        raise UsageError(
            f'Systems are a {type(systems).__name__}; expected name → search function, as {{"mine": search}}.'
        )
    tables = {name: dict(table) for name, table in systems.items() if isinstance(table, Mapping)}
    built: dict[str, System] = {}
    for name, function in systems.items():
        if name not in tables:
            if not callable(function):
                kind = type(function).__name__
                raise UsageError(f'System "{name}" is a {kind}; expected a search function, or a table with a kind.')
            # Lambdas, closures of one factory and methods of two objects share a qualified name and a file: the name
            # that a function is given here tells them apart, or the second would get the rankings of the first.
            version = "" if name == getattr(function, "__qualname__", None) else name
            built[name] = Python(name, function, version=version)
    if tables:
        config = BenchConfig.model_validate({"suites": ["."], "systems": tables})
        built |= kinds.build(config, kinds.Context(Path(), store))
    return built


def judge(
    candidate: Any,
    *,
    baseline: Any = None,
    suite: Suite | Path | str | None = None,
    qrels: Judgements | None = None,
    policy: Policy | None = None,
    query_sets: str | Iterable[str] | None = None,
    measures: Measures = None,
    margin: float | None = None,
    alpha: float | None = None,
    on_inconclusive: str | None = None,
) -> Judged:
    """The gate's verdict on a search function, on results, or on a run.

    Args:
        candidate: a search function, results or a file of them; with `qrels`, a run.
        baseline: results, a file of them, or another search function; the suite's accepted baseline where None. With
            `qrels`, a run.
        suite: what a search function is evaluated on: a suite, its folder, or a bundled suite's name.
        qrels: judgements, for runs.
        policy: rules; the default ones where None. Rules for variants and ceilings are left out.
        query_sets: held-out and out-of-distribution sets; all where None.
        measures, margin, alpha, on_inconclusive: instead of the policy's.

    Raises:
        BaselineError: no accepted baseline.
        NotComparable: results of different tasks.
        UsageError: a search function without a suite, or no baseline.
    """
    options: dict[str, Any] = {"measures": measures, "margin": margin, "alpha": alpha}
    options["on_inconclusive"] = on_inconclusive
    if qrels is not None:
        if baseline is None:
            raise UsageError("judge: a run is judged against another run; give baseline=.")
        if policy is not None or suite is not None or query_sets is not None:
            raise UsageError("judge: runs with qrels= are one held-out set; leave out policy=, suite= and query_sets=.")
        return files.judged_runs(baseline, candidate, qrels, **options)
    loaded = None if suite is None else load_suite(suite)
    names = names_of(query_sets)
    header: Mapping[str, Any] = {}
    if baseline is not None:
        before = _results(baseline, loaded, names, measures, "baseline")
    elif loaded is not None and Path(loaded.path).is_dir():
        header, before = gate.read_baseline(Path(loaded.path) / "baseline.json")
    else:
        raise UsageError("judge: nothing to judge against; give baseline=, or a suite's folder with a baseline.json.")
    after = _results(candidate, loaded, names, measures, "candidate")
    if names is not None:
        before = [result for result in before if result.query_set in names]
    rules = changed(policy or Policy(), **options)
    # A function has no dimensions, and what it costs was not measured.
    wanted = tuple(
        rule for rule in rules.rules if not rule.variant and (names is None or rule.query_set in (None, *names))
    )
    verdict = gate.judge(before, after, replace(rules, rules=wanted, ceilings=()))
    return Judged(verdict, before, after, accepted=header, suite=loaded)


def _results(
    source: Any, suite: Suite | None, query_sets: Sequence[str] | None, measures: Measures, side: str
) -> list[Result]:
    if isinstance(source, str | Path):
        return gate.read_results(Path(source))
    if not callable(source):
        return listed(source)
    if suite is None:
        raise UsageError(f"judge: the {side} is a search function; say what it is evaluated on: suite=.")
    name = getattr(source, "__qualname__", type(source).__name__)
    return list(evaluate(suite, {name: source}, query_sets=query_sets, measures=measures))
