"""Hard negatives as a file, with a report of what was mined."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import PairsError, UsageError
from bench.cli.verbs._options import config_options, flat, json_option, positive, print_json

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.config import NegativesConfig
    from bench.project.workspace import Workspace
    from bench.records import Suite
    from bench.train.negatives import Negatives
    from bench.train.pairs import Pairs

HELP = "mine hard negatives for the training queries"

_SETTINGS = [
    *("per_query", "random_per_query", "skip", "depth", "pick", "reference"),
    *("margin", "relative_margin", "max_score", "corpus"),
]


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
    parser.add_argument("--html", metavar="F", help="write what was mined as a page")
    parser.add_argument("--markdown", metavar="F", help="the same as Markdown")
    parser.add_argument("--private", action="store_true", help="no texts in report and page; the file has them")
    json_option(parser)


def run(options: Namespace) -> int:
    """Hard negatives as a file, with a report of what was mined."""
    from bench.project.workspace import Workspace
    from bench.report.forms import terminal
    from bench.train.mine import mine
    from bench.train.negatives import write_negatives

    workspace = Workspace.open(options.config)
    settings, seed = _settings(options, workspace)
    out = _out(options, workspace)
    suite = workspace.suite(options.suite)
    with terminal.progress(quiet=options.json) as told:
        evaluator = workspace.evaluator(suite, settings.systems, progress=told)
        pairs = _pairs(options, workspace, suite, told)
        _refuse_others(out, pairs, settings, options)
        negatives = mine(evaluator, pairs, settings, seed=seed, progress=told)
    header = {
        "suite": {"name": suite.name, "version": suite.version, "digest": suite.digest},
        "settings": _written(settings),
        "seed": seed,
        "systems": {name: evaluator.system_digest(name) for name in settings.systems},
    }
    n_queries = write_negatives(out, negatives, pairs, header)
    report = negatives.report.to_json(texts=not options.private)
    _pages(options, suite, report)
    if options.json:
        document = {"format": 1, "queries": n_queries, "out": str(out), "digest": negatives.digest}
        print_json(document | {"mining": report})
    else:
        _say(negatives, out, options)
    return 0


def _out(options: Namespace, workspace: Workspace) -> Path:
    """Where the negatives go: each recipe has a file of its own, so that none is trained on another's."""
    if options.out:
        return Path(options.out)
    recipe = workspace.config.finetune.get(options.name or "")
    if recipe is None:
        return Path("negatives.jsonl")
    file = recipe.negatives.file if recipe.negatives else None
    return workspace.base / (file or f"negatives-{options.name}.jsonl")


def _refuse_others(out: Path, pairs: Pairs, settings: NegativesConfig, options: Namespace) -> None:
    """Refuse to replace a file that was mined for other pairs, or, by a look with other settings, as a recipe says."""
    from bench.train.negatives import read_negatives

    if options.force or not out.is_file():
        return
    try:
        header = read_negatives(out).header
    except PairsError:
        header = {}
    asked = options.from_ or options.manual or options.check or any(getattr(options, key) for key in _SETTINGS)
    same = header.get("pairs") == pairs.digest
    if not same or (asked and not options.out and header.get("settings") != _written(settings)):
        how = "with other settings" if same else "for other pairs"
        raise UsageError(
            f"{out} is there already and was mined {how}; a recipe may be trained on it. Name another file with "
            "--out F, or replace it with --force."
        )


def _written(settings: NegativesConfig) -> dict[str, Any]:
    """Settings as a file's header has them."""
    return settings.model_dump(mode="json", by_alias=True, exclude_none=True)


def _pairs(options: Namespace, workspace: Workspace, suite: Suite, told: Progress) -> Pairs:
    """The pairs named, else those that the recipe trains on, else the suite's training sets."""
    from bench.train.loading import from_suite, load

    recipe = workspace.config.finetune.get(options.name or "")
    names = flat(options.pairs) or list(getattr(recipe, "pairs", None) or ())
    if names:
        return load(names, suite, base=workspace.base, config=workspace.config, progress=told)
    return from_suite(suite)


def _settings(options: Namespace, workspace: Workspace) -> tuple[NegativesConfig, int]:
    """The recipe's table, or none, with what the command line says instead."""
    from pydantic import ValidationError

    from bench.base.registry import problems_of
    from bench.config import NegativesConfig
    from bench.project.loop import recipe_of

    table: dict[str, Any] = {}
    seed = 0
    if options.name is not None:
        recipe = recipe_of(workspace, options.name)
        seed = recipe.seeds[0]
        if recipe.negatives is None:
            raise UsageError(
                f"{workspace.path}: finetune.{options.name} has no table negatives; there is none to mine."
            )
        table = recipe.negatives.model_dump(by_alias=True, exclude_unset=True)
    elif not options.from_ and not options.manual:
        raise UsageError("bench mine: name a recipe, or systems that rank candidates: --from bm25")
    given = {key: value for key in _SETTINGS if (value := getattr(options, key)) is not None}
    if options.from_ or options.manual:
        table.pop("file", None)  # mined anew, whatever file the recipe takes
    if table.get("file"):
        raise UsageError(
            f"{workspace.path}: finetune.{options.name} takes its negatives from {table['file']}. Say where to mine "
            f"them from: bench mine {options.name} --from bm25 …"
        )
    if options.from_:
        given["from"] = flat(options.from_)
    if options.manual:
        # Named on the command line, so it starts from here and not from the config's folder.
        given["manual"] = str(Path(options.manual).absolute())
    if options.check:
        given["check"] = {"reranker": {"kind": "cross-encoder", "model": options.check}}
    for option, key in (("check_margin", "margin"), ("check_threshold", "threshold")):
        if getattr(options, option) is not None:
            if not given.get("check", table.get("check")):
                raise UsageError(f"bench mine: --{option.replace('_', '-')} belongs to a cross-encoder: --check MODEL")
            given["check"] = {**(given.get("check") or table["check"]), key: getattr(options, option)}
    try:
        settings = NegativesConfig.model_validate(table | given).relative_to(workspace.base)
    except ValidationError as problem:
        raise UsageError("\n".join(problems_of(problem, NegativesConfig, "bench mine"))) from None
    return settings, seed if options.seed is None else options.seed


def _pages(options: Namespace, suite: Suite, report: dict[str, Any]) -> None:
    if not options.html and not options.markdown:
        return
    from bench import __version__
    from bench.base.store import write_text
    from bench.report import Material
    from bench.report.forms.html import render
    from bench.report.forms.markdown import markdown
    from bench.report.sections import mining

    name = options.name or suite.name
    material = Material(
        f"Hard negatives of {name}", (), "", training=({"name": name, "data": {"mining": report}},), version=__version__
    )
    if options.html:
        write_text(Path(options.html), render(material, only="mining"))
    if options.markdown:
        write_text(Path(options.markdown), markdown(mining.build(material)))


def _say(negatives: Negatives, out: Path, options: Namespace) -> None:
    from bench.report.forms import terminal
    from bench.train.mining import REASONS

    report = negatives.report
    rows = [[system, "candidates", f"{counts['candidates']:,}"] for system, counts in report.by_system.items()]
    for system, counts in report.by_system.items():
        rows += [[system, f"left out: {REASONS[key]}", f"{n:,}"] for key, n in counts.items() if key in REASONS]
    rows += [[system, "taken", f"{n:,}"] for system, n in report.from_system.items()]
    if report.random:
        rows.append(["at random", "taken", f"{report.random:,}"])
    terminal.table(["source", "what", "count"], rows, left=2)
    if report.reference is None and report.ranks:
        text = "No dense system among the sources: no margin was applied (--reference N names one)."
        terminal.say(text, "yellow")
    if report.filled_at_random:
        text = (
            f"{report.filled_at_random} places were filled at random: no candidate was left (--depth K looks deeper)."
        )
        terminal.say(text, "yellow")
    if report.suspects:
        where = options.html or options.markdown or "--html F"
        terminal.say(f"{report.suspects:,} suspected false negatives were kept out; read them: {where}")
    terminal.say(f"Negatives of {report.queries:,} queries in {out}")
