"""What made the numbers, so that somebody else can make them again and compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bench.base import words
from bench.report import Material
from bench.report.blocks import Block, Code, Column, Datum, Folded, Heading, Prose, Table, plain
from bench.report.reading import Task, labelled, tasks

ORDER = 100
TITLE = "Provenance"

SHORT = 12
"""Digits of a digest that are shown; the result files hold all."""


def build(material: Material) -> list[Block]:
    """Commands, digests, environments, times."""
    blocks: list[Block] = []
    if material.commands:
        blocks += [Prose(["These commands make the numbers again:"]), Code(list(material.commands))]
    held = tasks(material) or _judged(material)
    if held:
        blocks += [_query_sets(held), _systems(held)]
        blocks += _environments(held)
    if material.verdicts:
        blocks.append(_policies(material))
    return blocks


def _judged(material: Material) -> list[Task]:
    """What a page of a verdict alone rests on: both sides, by labels that tell them apart."""
    return [
        Task(suite, query_set, next(iter(runs.values())).role, runs)
        for (suite, query_set), runs in labelled(material).items()
        if runs
    ]


def _digest(value: str) -> Datum:
    return Datum(plain(value, SHORT + 1) if len(value) <= SHORT else plain(value[:SHORT]), kind="name")


def _query_sets(held: list[Task]) -> Table:
    names = (
        "Suite",
        "Query set",
        "Role",
        "Queries",
        "Suite digest",
        "Queries digest",
        "Corpus digest",
        "Judgements digest",
    )
    columns = [Column(title, numeric=title == "Queries") for title in names]
    rows = [
        [
            Datum(f"{plain(task.suite, 40)} v{task.first.suite_version}", kind="name"),
            Datum(plain(task.name, 40), kind="name"),
            Datum(words.ROLES.get(task.role, plain(task.role, 40))),
            Datum(
                f"{task.n:,}",
                task.n,
                "number",
                note=f"{task.first.scores.left_out} left out" if task.first.scores.left_out else "",
            ),
            *(
                _digest(value)
                for value in (
                    task.first.suite_digest,
                    task.first.query_set_digest,
                    task.first.corpus_digest,
                    task.first.labels_digest,
                )
            ),
        ]
        for task in held
    ]
    return Table("Query sets", columns, rows)


def _systems(held: list[Task]) -> Folded:
    """One row per run."""
    steps = ("encode_documents", "encode_queries", "index", "search", "total")
    columns = [Column("System"), Column("Query set"), Column("System digest"), Column("Run digest")]
    columns += [
        Column(step.replace("_", " ").capitalize(), "0 where the store already held it", numeric=True) for step in steps
    ]
    rows = [
        [
            Datum(plain(system, 60), kind="name"),
            Datum(plain(task.name, 40)),
            _digest(result.system_digest),
            _digest(result.run_digest),
            *(
                Datum(words.seconds(took), -1 if took is None else took, "number")
                for took in map(result.seconds.get, steps)
            ),
        ]
        for task in held
        for system, result in task.results.items()
    ]
    note = "Times are of the machine named below and hold for nothing else."
    return Folded(f"Runs ({len(rows)})", [Table("Runs", columns, rows, sortable=True, note=note)])


def _environments(held: list[Task]) -> list[Block]:
    """Each different environment once."""
    found: dict[str, Mapping[str, Any]] = {}
    for result in (result for task in held for result in task.results.values()):
        if result.environment:
            found.setdefault(json.dumps(result.environment, sort_keys=True, default=str), result.environment)
    if not found:
        return []
    blocks: list[Block] = []
    for environment in list(found.values())[:8]:
        rows = [
            [Datum(plain(key, 60)), Datum(plain(_value(value), 600), kind="sentence")]
            for key, value in environment.items()
        ]
        blocks.append(Table("Environment", [Column("What"), Column("Value")], rows))
    if len(found) > 1:
        blocks.insert(0, Prose([f"The results were made in {len(found)} different environments."]))
    return [Heading(["Environment"]), *blocks]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {held}" for key, held in value.items())
    return str(value)


def _policies(material: Material) -> Table:
    columns = [
        Column("Verdict"),
        Column("Policy digest"),
        Column("Level", numeric=True),
        Column("If it cannot tell"),
        Column("Exit code", numeric=True),
    ]
    rows = [
        [
            Datum(f"{plain(verdict.candidate, 60)} against {plain(verdict.baseline, 60)}", kind="name"),
            _digest(verdict.policy.digest),
            Datum(f"{verdict.policy.alpha:g}", verdict.policy.alpha, "number"),
            Datum(plain(verdict.policy.on_inconclusive, 20)),
            Datum(str(verdict.exit_code), verdict.exit_code, "number"),
        ]
        for verdict in material.verdicts
    ]
    return Table("Policies of the verdicts", columns, rows)
