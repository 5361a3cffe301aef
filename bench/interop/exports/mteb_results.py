"""Stored rankings as MTEB result files, as `mteb.evaluate` writes them, in the layout of mteb's own cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import UsageError
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.measure import measure
from bench.interop.exports import Exported, Request, refuse_unknown
from bench.interop.mteb_model import model_meta
from bench.interop.mteb_task import SCORE_NAMES, cutoffs, score_name, to_mteb_task
from bench.records import EVALUATION_ROLES

WHAT = "results"


def export(request: Request) -> Exported:
    """The system's rankings as result files, with a model_meta.json; `mteb.cache.ResultCache(out)` reads them.

    The stored rankings give all of mteb's measures at all of the task's cutoffs, not only those of the suite. Each
    named query set is a task of its own, as from `to_mteb_task(suite, query_set)`; without names there is one task of
    all evaluation sets. The model's name is "organization/model"; by default "retrieval-gate/" and the system's name.

    Raises:
        UsageError: the model's name has no organization, a result file exists, or see `to_mteb_task`.
        Missing: a ranking is not stored.
        MissingExtra: mteb is not installed.
    """
    request.results()  # its error says how to make missing results
    model_name = request.model_name
    if model_name is not None and "/" not in model_name:
        raise UsageError(f'Model name "{model_name}"; mteb expects organization/model.')
    suite, evaluator, name = request.suite, request.evaluator(), request.system
    evaluated = [q.name for q in suite.of_role(*EVALUATION_ROLES) if evaluator.takes(name, q)]
    refuse_unknown(request.query_sets, evaluated, f'"{name}" is not evaluated on a query set')
    names: Sequence[str | None] = request.query_sets or [None]
    tasks = [to_mteb_task(suite, query_set) for query_set in dict.fromkeys(names)]
    from mteb.cache import ResultCache

    meta = model_meta(
        model_name or f"retrieval-gate/{name}", evaluator.systems[name].kind, evaluator.system_digest(name)
    )
    cache = ResultCache(request.out)
    paths = [Path(cache.get_task_result_path(task.metadata.name, meta)) for task in tasks]
    for path in paths:
        if path.exists() and not request.force:
            raise UsageError(
                f"{path} exists already; expected a folder without this file. Name another, or replace it by --force."
            )
    for task in tasks:
        cache.save_to_cache(_task_result(evaluator, name, task), meta)
    return Exported(paths)


def _task_result(evaluator: Evaluator, name: str, task: Any) -> Any:
    """mteb's result of the task's query sets that the system takes, measured on stored rankings."""
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
