"""Make, audit, export and show training pairs."""

from __future__ import annotations

from collections.abc import Callable

from bench.base.errors import UsageError
from bench.cli.parser import Answer, Namespace, Parser, Progress, positive

FORMATS = ("sentence-transformers", "flagembedding", "llamaindex", "cohere")

OWN = {
    "make": ("dry_run",),
    "audit": ("answers", "sample", "seed", "out"),
    "export": ("format", "negatives", "out"),
    "show": ("removed",),
}
"""Action → its own options. The first word may also be a table to make, so no sub-parser can take it."""


def options(parser: Parser) -> None:
    """Add the options; an option of one action is None unless it is given."""
    parser.config()
    parser.option("names", f"[{'|'.join(OWN)}] NAME", "tables of [pairs] (default: make all)", nargs="*")
    make, audit, export, show = (parser.add_argument_group(action) for action in OWN)
    text = "only estimate the cost of language models"
    make.add_argument("--dry-run", action="store_true", default=None, help=text)
    audit.add_argument("--answers", metavar="F", help="read the answers back, JSON of the page or CSV")
    audit.add_argument("--sample", metavar="N", type=positive, help="number of pairs (default: 100)")
    audit.add_argument("--seed", metavar="N", type=int, help="random seed of the sample (default: the table's)")
    export.add_argument("--format", choices=FORMATS, help="the layout")
    export.add_argument("--negatives", metavar="F", help="a file that bench mine wrote")
    export.add_argument("--out", metavar="F", help="the file; of audit, the page")
    show.add_argument("--removed", metavar="RULE", help="pairs that this rule removed (all: of every rule)")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project import pairs
    from bench.project.api import open_project

    word = options.names[0] if options.names else ""
    action, names = (word, options.names[1:]) if word in OWN else ("make", options.names)
    for other, own in OWN.items():
        for name in own:
            if name not in OWN[action] and getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} belongs to: bench pairs {other} NAME")
    settings = {name: value for name in OWN[action] if (value := getattr(options, name)) is not None}
    workspace = open_project(options.config).workspace
    tables = pairs.named(workspace, names, besides=() if word in OWN else tuple(OWN))
    if action == "make":
        make = pairs.estimated if settings else pairs.make_tables
        return make(workspace, tables, suite=options.suite, progress=progress)
    if len(tables) != 1:
        raise UsageError(f"bench pairs {action} takes one table: {', '.join(workspace.config.pairs)}.")
    if action == "export" and not {"format", "out"} <= settings.keys():
        raise UsageError(f"bench pairs export {tables[0]}: say --format {'|'.join(FORMATS)} and --out F.")
    acts: dict[str, Callable[..., Answer]] = {"audit": pairs.audited, "export": pairs.exported, "show": pairs.shown}
    return acts[action](workspace, tables[0], **settings)
