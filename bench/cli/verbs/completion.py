"""Completion for shells."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "print the completion script of a shell"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """Print the lines."""
    from bench.project.editor import completion

    return completion(options.shell)
