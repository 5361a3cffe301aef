"""Mine hard negatives for the training queries."""

from __future__ import annotations

from bench.cli.parser import Answer, Namespace, Parser, Progress, flat, keywords, positive

SETTINGS = (
    *("manual", "per_query", "random_per_query", "skip", "depth", "pick", "reference"),
    *("margin", "relative_margin", "max_score", "corpus"),
)
"""Options that are keys of a recipe's table `negatives`."""


def options(parser: Parser) -> None:
    parser.config()
    parser.option("name", "NAME", "a recipe, for the settings in its table negatives", nargs="?")
    parser.option("--from", "N", "systems that rank candidates", dest="from_", nargs="+")
    parser.option("--manual", "F", "negatives that people named, JSON lines or TSV; they go first")
    text = "training sets, pairs:NAME, pair files (default: the recipe's, else all sets of role train)"
    parser.add_argument("--pairs", "--query-set", dest="pairs", metavar="N", nargs="+", help=text)
    parser.option("--per-query", "K", "negatives per query (default: 1)", type=positive)
    parser.option("--random-per-query", "K", "random negatives per query beside them (default: 0)", type=positive)
    parser.option("--skip", "K", "ranks to skip at the top (default: 0)", type=int)
    parser.option("--depth", "K", "ranks to take candidates from (default: 50)", type=positive)
    parser.add_argument(
        "--pick", choices=["top", "random"], help="take the best candidates or random ones (default: top)"
    )
    parser.option("--reference", "N", "dense system whose similarities the margins apply to")
    parser.option("--margin", "M", "least distance from the weakest positive", type=float)
    parser.option("--relative-margin", "M", "the same as a share of its score (default: 0.05)", type=float)
    parser.option("--max-score", "X", "the highest score of a negative", type=float)
    parser.option("--check", "MODEL", "cross-encoder that rejects candidates as good as a positive")
    parser.option("--check-margin", "M", "its distance from the weakest positive", type=float)
    parser.option("--check-threshold", "X", "its score from which a candidate is rejected", type=float)
    parser.option("--corpus", "C", "the corpus of the negatives for pairs that name none")
    parser.option("--seed", "N", "random seed (default: the recipe's first, else 0)", type=int)
    text = "default: the recipe's file, else negatives-NAME.jsonl beside the config; without a recipe negatives.jsonl"
    parser.option("--out", "F", text)
    parser.flag("--force", "replace negatives that were mined for other pairs or with other settings")
    parser.forms("html", "markdown")
    parser.flag("--private", "no texts in report and page; the file has them")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import open_project
    from bench.project.mine import mined

    settings = keywords(options, *SETTINGS) | {"from": flat(options.from_)}
    reranker = {"kind": "cross-encoder", "model": options.check} if options.check else None
    check = {"reranker": reranker, "margin": options.check_margin, "threshold": options.check_threshold}
    settings["check"] = {key: value for key, value in check.items() if value is not None} or None
    return mined(
        open_project(options.config).workspace,
        options.name,
        pairs=flat(options.pairs),
        settings={key: value for key, value in settings.items() if value is not None},
        progress=progress,
        **keywords(options, "suite", "seed", "out", "force", "private"),
    )
