"""List, show, promote and roll back fine-tuned models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.cli.parser import Answer, Command, Namespace, Parser, Progress

_OPTIONS: dict[str, dict[str, Any]] = {
    "target": {"metavar": "MODEL", "help": "a recipe's name, NAME/seed-N, promoted:NAME or a weights digest"},
    "name": {"metavar": "NAME", "help": "a recipe's name, or promoted:NAME"},
    "path": {"metavar": "FILE", "help": "the manifest"},
    "--config": {"metavar": "F", "help": "the config file (default: bench.toml)"},
    "--suite": {"metavar": "S", "help": "a suite of the config, or a path"},
    "--reason": {"metavar": "TEXT", "default": "", "help": "why; required"},
    "--system": {"metavar": "N", "help": "a system that works with the model: to be judged, or for its results"},
    "--baseline": {"metavar": "F", "help": "the baseline file (default: the suite's baseline.json)"},
    "--base-ref": {"metavar": "REF", "help": "take baseline and rules from this git ref"},
    "--corpus": {"metavar": "C", "help": "the indexed corpus; to check a manifest, it must be the same"},
    "--out": {"metavar": "F", "help": "where the manifest goes, beside the index"},
}


def _options(*names: str, required: tuple[str, ...] = ()) -> Callable[[Parser], None]:
    """A function that adds these options to a parser, those of every command, and `required` ones."""

    def add(parser: Parser) -> None:
        for name in (*names, "--config"):
            parser.add_argument(name, **_OPTIONS[name])
        for name in required:
            parser.add_argument(name, required=True, **_OPTIONS[name])
        parser.json()

    return add


def _run(options: Namespace, progress: Progress) -> Answer:
    """Call the function of the command; its options are the function's keywords."""
    from bench.project import models, promote
    from bench.project.api import open_project

    functions: dict[str, Callable[..., Answer]] = {
        "list": models.listed,
        "show": models.shown,
        "promote": promote.promoted,
        "rollback": promote.rolled_back,
        "card": models.card_written,
        "manifest": models.manifest_written,
        "check-manifest": models.manifest_checked,
    }
    names = ("target", "name", "path", "suite", "reason", "system", "baseline", "corpus", "out")
    keywords = {name: getattr(options, name) for name in names if hasattr(options, name)}
    project = open_project(options.config, base_ref=getattr(options, "base_ref", None))
    return functions[options.action](project.workspace, **keywords)


_PROMOTE = _options("target", "--suite", "--reason", "--system", "--baseline", "--base-ref")
_MANIFEST = _options("--suite", "--corpus", required=("--system", "--out"))
_CHECK = _options("path", "--suite", "--corpus", required=("--system",))

COMMANDS = {
    "list": Command("list the fine-tuned models", _options(), _run),
    "show": Command("show the origin of a model, its results and promotions", _options("target"), _run),
    "promote": Command("make a model the one that is served, if the gate passes it", _PROMOTE, _run),
    "rollback": Command("serve the model that was promoted before", _options("name", "--reason"), _run),
    "card": Command("write a model's card beside its weights", _options("target", "--suite", "--system"), _run),
    "manifest": Command("write which model made the vectors of an index", _MANIFEST, _run),
    "check-manifest": Command("check that an index is of a system's model as it is now", _CHECK, _run),
}
