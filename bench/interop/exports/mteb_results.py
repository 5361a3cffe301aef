"""Stored rankings as MTEB result files: what `mteb.evaluate` would have written, in the layout of mteb's own cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import UsageError, did_you_mean
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.measure import measure
from bench.interop.exports import Exported, Request
from bench.interop.mteb_model import model_meta
from bench.interop.mteb_task import SCORE_NAMES, cutoffs, score_name, to_mteb_task
from bench.records import EVALUATION_ROLES

WHAT = "results"


def export(request: Request) -> Exported:
    """The system's rankings as result files."""
    request.results()  # says how to make what is not there
    options = {"query_sets": request.query_sets, "model_name": request.model_name, "force": request.force}
    return Exported(export_mteb_results(request.evaluator(), request.system, request.out, **options))  # type: ignore[arg-type]


def export_mteb_results(
    evaluator: Evaluator,
    name: str,
    folder: Path,
    *,
    query_sets: Sequence[str] | None = None,
    model_name: str | None = None,
    force: bool = False,
) -> list[Path]:
    """The result files; `mteb.cache.ResultCache(folder)` reads them, and a model_meta.json stands beside them.

    All of mteb's measures at all of the task's cutoffs are taken from the stored rankings, not only those of the suite.
    Where query sets are named, each is a task of its own, as `to_mteb_task(suite, query_set)` makes it.

    Args:
        evaluator: has the system, and its rankings stored.
        name: the system's expanded name.
        folder: becomes an mteb result cache.
        query_sets: names; one task of all evaluation sets where None.
        model_name: "organization/model"; "retrieval-gate/" and the system's name where None.
        force: replace result files that are there.

    Raises:
        UsageError: the model's name has no organization, a result file is there, or see `to_mteb_task`.
        Missing: a ranking would have to be made and the evaluator makes none.
        MissingExtra: mteb is not installed.
    """
    if model_name is not None and "/" not in model_name:
        raise UsageError(f'Model name "{model_name}"; mteb expects organization/model.')
    suite = evaluator.suite
    evaluated = [q.name for q in suite.of_role(*EVALUATION_ROLES) if evaluator.takes(name, q)]
    for one in query_sets or ():
        if one not in evaluated:
            raise UsageError(
                f'"{name}" is not evaluated on a query set "{one}"; expected one of {", ".join(evaluated)}.'
                f"{did_you_mean(one, evaluated)}"
            )
    tasks = [to_mteb_task(suite, one) for one in dict.fromkeys(query_sets)] if query_sets else [to_mteb_task(suite)]
    from mteb.cache import ResultCache

    meta = model_meta(
        model_name or f"retrieval-gate/{name}", evaluator.systems[name].kind, evaluator.system_digest(name)
    )
    cache = ResultCache(folder)
    paths = [Path(cache.get_task_result_path(task.metadata.name, meta)) for task in tasks]
    for path in paths:
        if path.exists() and not force:
            raise UsageError(
                f"{path} is there already; expected a folder without. Name another, or replace it by --force."
            )
    for task in tasks:
        cache.save_to_cache(_task_result(evaluator, name, task), meta)
    return paths


def _task_result(evaluator: Evaluator, name: str, task: Any) -> Any:
    """What mteb would have found: the task's query sets that the system takes, measured from stored rankings."""
    from mteb.results import TaskResult

    suite = evaluator.suite
    wanted = [f"{measure_name}@{k}" for measure_name in SCORE_NAMES for k in cutoffs(suite)]
    scores, seconds = {}, 0.0
    for query_set in [suite.query_sets[subset] for subset in task.metadata.eval_langs]:
        if not evaluator.takes(name, query_set):
            continue
        run = evaluator.run(name, query_set)
        seconds += run.seconds.get("total", 0.0)
        means = measure(run, suite.qrels(query_set.name), wanted, query_ids=query_set.ids).means()
        # mteb rounds to five digits.
        row = {str(score_name(measure_name)): round(value, 5) for measure_name, value in means.items()}
        scores[query_set.name] = row | {"main_score": row[task.metadata.main_score]}
    return TaskResult.from_task_results(task, {"test": scores}, evaluation_time=seconds)
