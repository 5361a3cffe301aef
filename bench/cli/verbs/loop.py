"""Fine-tune, evaluate beside the base model, compare and judge."""

from __future__ import annotations

from bench.cli.parser import Answer, Namespace, Parser, Progress


def options(parser: Parser) -> None:
    parser.config()
    parser.option("name", "NAME", "the recipe")
    text = "train on these shares of the training queries too, such as 0.25 0.5: the learning curve"
    parser.option("--share", "S", text, type=float, nargs="+", default=[])
    parser.option("--seed", "N", "instead of the recipe's seeds", type=int, nargs="+")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import open_project

    return open_project(options.config).loop(
        options.name, suite=options.suite, shares=options.share or (1.0,), seeds=options.seed, progress=progress
    )
