"""Train what a recipe says."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import config_options, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "train what a recipe of the config says"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("name", metavar="NAME", help="the recipe")
    parser.add_argument("--seed", metavar="N", type=int, nargs="+", help="instead of the recipe's seeds")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer | None:
    """Train what a recipe says."""
    from bench.base.progress import no_progress
    from bench.project.api import open_project
    from bench.train.fitting import workers

    project = open_project(options.config)
    alone = workers.rank() == 0
    trained = project.finetune(
        options.name, suite=options.suite, seeds=options.seed, progress=told if alone else no_progress
    )
    return trained if alone else None  # one of several processes speaks
