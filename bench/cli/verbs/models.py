"""Fine-tuned models: what they were made from, which one is served, and what may share an index."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.cli.verbs._options import Command, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "list, show, promote and roll back fine-tuned models"

_OPTIONS: dict[str, dict[str, Any]] = {
    "target": {"metavar": "MODEL", "help": "a recipe's name, NAME/seed-N, promoted:NAME or a weights digest"},
    "name": {"metavar": "NAME", "help": "a recipe's name, or promoted:NAME"},
    "path": {"metavar": "FILE", "help": "the manifest"},
    "--config": {"metavar": "F", "help": "the config file (default: bench.toml)"},
    "--suite": {"metavar": "S", "help": "a suite of the config, or a path"},
    "--reason": {"metavar": "TEXT", "default": "", "help": "why; required"},
    "--system": {"metavar": "N", "help": "the system that is judged, or whose results or vectors are meant"},
    "--baseline": {"metavar": "F", "help": "the baseline file (default: the suite's baseline.json)"},
    "--base-ref": {"metavar": "REF", "help": "take baseline and rules from this git ref"},
    "--corpus": {"metavar": "C", "help": "what is indexed; to check a manifest, it must be the same"},
    "--out": {"metavar": "F", "help": "where the manifest goes, beside the index"},
}


def _takes(*names: str, required: tuple[str, ...] = ()) -> Callable[[ArgumentParser], None]:
    """What adds these options to a parser, those of every command, and `required` ones."""

    def add(parser: ArgumentParser) -> None:
        for name in (*names, "--config"):
            parser.add_argument(name, **_OPTIONS[name])
        for name in required:
            parser.add_argument(name, required=True, **_OPTIONS[name])
        json_option(parser)

    return add


def _run(options: Namespace, told: Progress) -> Answer:
    """Ask what the command asks; its options are the function's keywords."""
    from bench.project import models, promote
    from bench.project.api import open_project

    asks: dict[str, Callable[..., Answer]] = {
        "list": models.listed,
        "show": models.shown,
        "promote": promote.promoted,
        "rollback": promote.rolled_back,
        "card": models.card_written,
        "manifest": models.manifest_written,
        "check-manifest": models.manifest_checked,
    }
    names = ("target", "name", "path", "suite", "reason", "system", "baseline", "corpus", "out")
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    project = open_project(options.config, base_ref=getattr(options, "base_ref", None))
    return asks[options.action](project.workspace, **given)


_PROMOTE = _takes("target", "--suite", "--reason", "--system", "--baseline", "--base-ref")
_MANIFEST = _takes("--suite", "--corpus", required=("--system", "--out"))
_CHECK = _takes("path", "--suite", "--corpus", required=("--system",))

COMMANDS = {
    "list": Command("list the fine-tuned models", _takes(), _run),
    "show": Command("show what a model was made from, its results and promotions", _takes("target"), _run),
    "promote": Command("make a model the one that is served, if the gate passes it", _PROMOTE, _run),
    "rollback": Command("serve the model that was promoted before", _takes("name", "--reason"), _run),
    "card": Command("write a model's card beside its weights", _takes("target", "--suite", "--system"), _run),
    "manifest": Command("write which model made the vectors of an index", _MANIFEST, _run),
    "check-manifest": Command("check that an index is of a system's model as it is now", _CHECK, _run),
}
