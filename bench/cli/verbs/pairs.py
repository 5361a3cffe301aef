"""Training pairs: make the config's tables, audit them, export them, show what is in them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.base.errors import UsageError
from bench.cli.verbs._options import config_options, json_option, positive

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "make, audit, export and show training pairs"

FORMATS = ("sentence-transformers", "flagembedding", "llamaindex", "cohere")

OWN = {
    "make": ("dry_run",),
    "audit": ("answers", "sample", "seed", "out"),
    "export": ("format", "negatives", "out"),
    "show": ("removed",),
}
"""Action → the options that are its own. The first word may also be a table to make, so no sub-parser can take it."""


def options(parser: ArgumentParser) -> None:
    """What it takes; an option of one action is None unless it is given."""
    config_options(parser)
    parser.add_argument(
        "names", metavar=f"[{'|'.join(OWN)}] NAME", nargs="*", help="tables of [pairs] (default: make all)"
    )
    make, audit, export, show = (parser.add_argument_group(action) for action in OWN)
    text = "say what language models would cost, and stop"
    make.add_argument("--dry-run", action="store_true", default=None, help=text)
    audit.add_argument("--answers", metavar="F", help="read the answers back, JSON of the page or CSV")
    audit.add_argument("--sample", metavar="N", type=positive, help="pairs (default: 100)")
    audit.add_argument("--seed", metavar="N", type=int, help="of the sample (default: the table's)")
    export.add_argument("--format", choices=FORMATS, help="whose layout")
    export.add_argument("--negatives", metavar="F", help="a file that bench mine wrote")
    export.add_argument("--out", metavar="F", help="the file; of audit, the page")
    show.add_argument("--removed", metavar="RULE", help="pairs that this rule removed (all: of every rule)")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """Make, audit, export or show training pairs."""
    from bench.project import pairs
    from bench.project.api import open_project

    word = options.names[0] if options.names else ""
    action, names = (word, options.names[1:]) if word in OWN else ("make", options.names)
    for other, own in OWN.items():
        for name in own:
            if name not in OWN[action] and getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} belongs to: bench pairs {other} NAME")
    given = {name: value for name in OWN[action] if (value := getattr(options, name)) is not None}
    workspace = open_project(options.config).workspace
    tables = pairs.named(workspace, names, besides=() if word in OWN else tuple(OWN))
    if action == "make":
        make = pairs.estimated if given else pairs.make_tables
        return make(workspace, tables, suite=options.suite, progress=told)
    if len(tables) != 1:
        raise UsageError(f"bench pairs {action} takes one table: {', '.join(workspace.config.pairs)}.")
    if action == "export" and not {"format", "out"} <= given.keys():
        raise UsageError(f"bench pairs export {tables[0]}: say --format {'|'.join(FORMATS)} and --out F.")
    acts: dict[str, Callable[..., Answer]] = {"audit": pairs.audited, "export": pairs.exported, "show": pairs.shown}
    return acts[action](workspace, tables[0], **given)
