"""Stored rankings as MTEB result files: what `mteb.evaluate` would have written, in the layout of mteb's own cache."""

from __future__ import annotations

from pathlib import Path

from bench.errors import UsageError
from bench.evaluate import Evaluator
from bench.interop.mteb_model import model_meta
from bench.interop.mteb_task import SCORE_NAMES, cutoffs, score_name, to_mteb_task
from bench.measure import measure
from bench.records import EVALUATION_ROLES

__all__ = ["export_mteb_results"]


def export_mteb_results(evaluator: Evaluator, name: str, folder: Path, *, model_name: str | None = None) -> Path:
    """The result file; `mteb.cache.ResultCache(folder)` reads it, and a model_meta.json stands beside it.

    All of mteb's measures at all of the task's cutoffs are taken from the stored rankings, not only those of the suite.

    Args:
        evaluator: has the system, and its rankings stored.
        name: the system's expanded name.
        folder: becomes an mteb result cache.
        model_name: "organization/model"; "retrieval-gate/" and the system's name where None.

    Raises:
        UsageError: the model's name has no organization, or see `to_mteb_task`.
        Missing: a ranking would have to be made and the evaluator makes none.
        MissingExtra: mteb is not installed.
    """
    if model_name is not None and "/" not in model_name:
        raise UsageError(f'Model name "{model_name}"; mteb expects organization/model.')
    suite = evaluator.suite
    task = to_mteb_task(suite)
    from mteb.cache import ResultCache
    from mteb.results import TaskResult

    wanted = [f"{measure_name}@{k}" for measure_name in SCORE_NAMES for k in cutoffs(suite)]
    scores, seconds = {}, 0.0
    for query_set in suite.of_role(*EVALUATION_ROLES):
        if not evaluator.takes(name, query_set):
            continue
        run = evaluator.run(name, query_set)
        seconds += run.seconds.get("total", 0.0)
        means = measure(run, suite.qrels(query_set.name), wanted, query_ids=query_set.ids).means()
        # mteb rounds to five digits.
        row = {str(score_name(measure_name)): round(value, 5) for measure_name, value in means.items()}
        scores[query_set.name] = row | {"main_score": row[task.metadata.main_score]}
    made = TaskResult.from_task_results(task, {"test": scores}, evaluation_time=seconds)
    meta = model_meta(
        model_name or f"retrieval-gate/{name}", evaluator.systems[name].kind, evaluator.system_digest(name)
    )
    cache = ResultCache(folder)
    cache.save_to_cache(made, meta)
    return Path(cache.get_task_result_path(made.task_name, meta))
