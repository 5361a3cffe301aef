"""Hard negatives as a file, with a report of what was mined."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import config_options, flat, form_options, json_option, positive

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "mine hard negatives for the training queries"

SETTINGS = (
    *("manual", "per_query", "random_per_query", "skip", "depth", "pick", "reference"),
    *("margin", "relative_margin", "max_score", "corpus"),
)
"""Options that are keys of a recipe's table `negatives`."""


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("name", metavar="NAME", nargs="?", help="a recipe whose table negatives is taken")
    parser.add_argument("--from", dest="from_", metavar="N", nargs="+", help="systems that rank candidates")
    parser.add_argument("--manual", metavar="F", help="negatives that people named, JSON lines or TSV; they go first")
    text = "training sets, pairs:NAME, pair files (default: the recipe's, else all sets of role train)"
    parser.add_argument("--pairs", "--query-set", dest="pairs", metavar="N", nargs="+", help=text)
    parser.add_argument("--per-query", metavar="K", type=positive, help="negatives per query (default: 1)")
    parser.add_argument("--random-per-query", metavar="K", type=positive, help="random ones beside them (default: 0)")
    parser.add_argument("--skip", metavar="K", type=int, help="ranks passed over first (default: 0)")
    parser.add_argument("--depth", metavar="K", type=positive, help="ranks looked at (default: 50)")
    parser.add_argument("--pick", choices=["top", "random"], help="the best of the range, or any (default: top)")
    parser.add_argument("--reference", metavar="N", help="dense system whose similarity margins go by")
    parser.add_argument("--margin", metavar="M", type=float, help="distance from the weakest positive")
    parser.add_argument(
        "--relative-margin", metavar="M", type=float, help="the same as a share of its score (default: 0.05)"
    )
    parser.add_argument("--max-score", metavar="X", type=float, help="no negative scores above it")
    parser.add_argument("--check", metavar="MODEL", help="cross-encoder that rejects what is as good as a positive")
    parser.add_argument("--check-margin", metavar="M", type=float, help="its distance from the weakest positive")
    parser.add_argument("--check-threshold", metavar="X", type=float, help="rejects from this score on")
    parser.add_argument("--corpus", metavar="C", help="where pairs of no corpus get their negatives from")
    parser.add_argument("--seed", metavar="N", type=int, help="for what is drawn (default: the recipe's first, else 0)")
    text = "default: the recipe's file, else negatives-NAME.jsonl beside the config; without a recipe negatives.jsonl"
    parser.add_argument("--out", metavar="F", help=text)
    parser.add_argument("--force", action="store_true", help="replace negatives mined for other pairs or otherwise")
    form_options(parser, "html", "markdown")
    parser.add_argument("--private", action="store_true", help="no texts in report and page; the file has them")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """Hard negatives as a file, with a report of what was mined."""
    from bench.project.api import open_project
    from bench.project.mine import mined

    settings = {key: getattr(options, key) for key in SETTINGS} | {"from": flat(options.from_)}
    reranker = {"kind": "cross-encoder", "model": options.check} if options.check else None
    check = {"reranker": reranker, "margin": options.check_margin, "threshold": options.check_threshold}
    settings["check"] = {key: value for key, value in check.items() if value is not None} or None
    return mined(
        open_project(options.config).workspace,
        options.name,
        suite=options.suite,
        pairs=flat(options.pairs),
        settings={key: value for key, value in settings.items() if value is not None},
        seed=options.seed,
        out=options.out,
        force=options.force,
        private=options.private,
        progress=told,
    )
