"""Train what a recipe says, evaluate what uses it beside the base model, compare and judge."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import config_options, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "fine-tune, evaluate beside the base model, compare and judge"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("name", metavar="NAME", help="the recipe")
    text = "train on these shares of the training queries too, such as 0.25 0.5: the learning curve"
    parser.add_argument("--share", metavar="S", type=float, nargs="+", default=[], help=text)
    parser.add_argument("--seed", metavar="N", type=int, nargs="+", help="instead of the recipe's seeds")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """The loop's verdict; its exit code."""
    from bench.project.api import open_project

    return open_project(options.config).loop(
        options.name, suite=options.suite, shares=options.share or (1.0,), seeds=options.seed, progress=told
    )
