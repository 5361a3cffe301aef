"""Train the models of a recipe of the config."""

from __future__ import annotations

from bench.cli.parser import Answer, Namespace, Parser, Progress


def options(parser: Parser) -> None:
    parser.config()
    parser.option("name", "NAME", "the recipe")
    parser.option("--seed", "N", "instead of the recipe's seeds", type=int, nargs="+")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer | None:
    from bench.base.progress import no_progress
    from bench.project.api import open_project
    from bench.train.fitting import workers

    project = open_project(options.config)
    # Of several processes, the first one reports.
    first = workers.rank() == 0
    report = progress if first else no_progress
    answer = project.finetune(options.name, suite=options.suite, seeds=options.seed, progress=report)
    return answer if first else None
