"""A suite from data in another format."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import UsageError
from bench.cli.verbs._options import json_option, name_values

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "make a suite from data in another format"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("kind", metavar="KIND", help="the format, such as beir, jsonl, trec, table")
    parser.add_argument("source", metavar="SOURCE", help="a folder, a file, or a name that the kind knows")
    parser.add_argument("--out", metavar="DIR", required=True, help="the suite's folder; new or empty")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[], help="options of the kind"
    )
    parser.add_argument("--name", metavar="N", help="the suite's name (default: the source's)")
    text = "what a split is for (default: train, dev and test are train, dev and held-out)"
    parser.add_argument("--role", metavar="SPLIT=ROLE", nargs="+", action="extend", default=[], help=text)
    text = "divide the queries anew, by what must stay together (default: the source's splits)"
    parser.add_argument("--split", choices=["query", "document", "group", "time"], help=text)
    parser.add_argument("--group-by", metavar="REGEX", help="the group in a query's or document's id; implies group")
    parser.add_argument("--held-out", metavar="SHARE", type=float, help="with --split (default: 0.15)")
    parser.add_argument("--dev", metavar="SHARE", type=float, help="with --split (default: 0.1)")
    parser.add_argument("--held-out-from", metavar="TIME", help="by time: where held-out begins, instead of a share")
    parser.add_argument("--dev-from", metavar="TIME", help="by time: where dev begins")
    parser.add_argument("--share-documents", action="store_true", help="splits may be judged on the same documents")
    parser.add_argument("--seed", metavar="N", type=int, help="another seed, another split (default: 0)")
    parser.add_argument("--force", action="store_true", help="replace the suite that is there; keeps its other files")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """A suite from data in another format."""
    from bench.project.suites import imported
    from bench.suites.splits import SplitPlan

    plan = None
    by: Any = options.split or ("group" if options.group_by else None)
    settings = name_values("--set", options.set)
    _no_idle_option(options, by, settings)
    if by is not None:
        names = ("held_out", "dev", "seed", "group_by", "dev_from", "held_out_from")
        given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
        plan = SplitPlan(by, share_documents=options.share_documents, **given)
    return imported(
        options.kind,
        options.source,
        Path(options.out),
        settings=settings,
        name=options.name,
        roles=name_values("--role", options.role),
        split=plan,
        force=options.force,
        progress=told,
    )


def _no_idle_option(options: Namespace, by: str | None, settings: Mapping[str, str]) -> None:
    """Refuse an option of a division where nothing would look at it.

    Raises:
        UsageError: names it and the option that it goes with.
    """

    def given(*names: str) -> str:
        said = [name for name in names if getattr(options, name) is not None and getattr(options, name) is not False]
        return ", ".join(f"--{name.replace('_', '-')}" for name in said)

    if by is None and (idle := given("held_out", "dev", "seed", "held_out_from", "dev_from", "share_documents")):
        raise UsageError(
            f"bench import: {idle} is about a new division, and the source's own splits are kept; add --split."
        )
    if options.held_out_from and (idle := given("held_out", "dev")):
        raise UsageError(
            f"bench import: {idle} is a share, and --held-out-from says where held-out begins; where dev begins says "
            "--dev-from. Give shares or times."
        )
    for key in ("group", "time"):
        # A pattern on ids goes before any field.
        if key in settings and (by != key or (key == "group" and options.group_by)):
            raise UsageError(
                f"bench import: --set {key}={settings[key]} says what a split by {key} goes by; add --split {key}"
                + (", without --group-by." if key == "group" and options.group_by else ".")
            )
    if by == "time" and given("seed"):
        raise UsageError("bench import: --seed is about what is left to chance, and a split by time leaves nothing.")
