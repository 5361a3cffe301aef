"""Commands, digests, environments and times: what somebody else needs to get the same numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.base import words
from bench.records import Verdict
from bench.report import Material, datum
from bench.report.blocks import Block, Code, Column, Columns, Folded, Head, Heading, Prose, Table
from bench.report.reading import Task, labelled_results, tasks
from bench.report.text import plain, written

ORDER = 100
TITLE = "Provenance"

MOST_ENVIRONMENTS = 8
STEPS = ("encode_documents", "encode_queries", "index", "search", "total")


def build(material: Material) -> list[Block]:
    """Commands, digests, environments, policies."""
    blocks: list[Block] = []
    if material.commands:
        blocks += [Prose(["These commands produce the numbers again:"]), Code(list(material.commands))]
    # The page of a verdict alone has both of its sides instead.
    sets = tasks(material) or [
        Task(suite, query_set, next(iter(results.values())).role, results)
        for (suite, query_set), results in labelled_results(material).items()
        if results
    ]
    if sets:
        blocks += [_query_sets(sets), _runs(sets), *_environments(sets)]
    policies: Columns[Verdict] = {
        "Verdict": lambda v: datum.name(f"{plain(v.candidate, 60)} against {plain(v.baseline, 60)}", 140),
        "Policy digest": lambda v: datum.digest(v.policy.digest),
        "Level": lambda v: datum.number(v.policy.alpha, f"{v.policy.alpha:g}"),
        "If inconclusive": lambda v: datum.text(v.policy.on_inconclusive, 20),
        "Exit code": lambda v: datum.integer(v.exit_code),
    }
    return [*blocks, Table.of("Policies of the verdicts", material.verdicts, policies)] if material.verdicts else blocks


def _query_sets(sets: Sequence[Task]) -> Table:
    return Table.of(
        "Query sets",
        sets,
        {
            "Suite": lambda task: datum.name(f"{plain(task.suite, 40)} v{task.first.suite_version}"),
            "Query set": lambda task: datum.name(task.name, 40),
            "Role": lambda task: datum.text(words.ROLES.get(task.role, task.role), 40),
            "Queries": lambda task: datum.integer(
                task.n, note=f"{task.first.scores.left_out} left out" if task.first.scores.left_out else ""
            ),
            "Suite digest": lambda task: datum.digest(task.first.suite_digest),
            "Queries digest": lambda task: datum.digest(task.first.query_set_digest),
            "Corpus digest": lambda task: datum.digest(task.first.corpus_digest),
            "Judgements digest": lambda task: datum.digest(task.first.labels_digest),
        },
    )


def _runs(sets: Sequence[Task]) -> Folded:
    rows = []
    for system, result in ((system, result) for task in sets for system, result in task.results.items()):
        digests = map(datum.digest, (result.system_digest, result.run_digest))
        seconds = (datum.seconds(result.seconds.get(step)) for step in STEPS)
        rows.append([datum.name(system), datum.text(result.query_set, 40), *digests, *seconds])
    steps = [Column(step.replace("_", " ").capitalize(), "0 if the store already had it") for step in STEPS]
    columns: list[Head] = ["System", "Query set", "System digest", "Run digest", *steps]
    note = "Times hold for the machine below and for no other."
    return Folded(f"Runs ({len(rows)})", [Table.grid("Runs", columns, rows, sortable=True, note=note)])


def _environments(sets: Sequence[Task]) -> list[Block]:
    """Each environment once."""
    environments = [result.environment for task in sets for result in task.results.values() if result.environment]
    distinct = {json.dumps(each, sort_keys=True, default=str): each for each in environments}
    if not distinct:
        return []
    blocks: list[Block] = [Heading(["Environment"])]
    if len(distinct) > 1:
        blocks.append(Prose([f"The results come from {len(distinct)} different environments."]))
    for environment in list(distinct.values())[:MOST_ENVIRONMENTS]:
        rows = [[datum.text(key), datum.sentence(written(value))] for key, value in environment.items()]
        blocks.append(Table.grid("Environment", ["Part", "Value"], rows))
    return blocks
