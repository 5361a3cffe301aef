"""Train what a recipe says, evaluate what uses it beside the base model, compare and judge."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.base import words
from bench.cli.verbs._options import config_options, json_option, print_json

if TYPE_CHECKING:
    from bench.project.loop import Loop

HELP = "fine-tune, evaluate beside the base model, compare and judge"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("name", metavar="NAME", help="the recipe")
    text = "train on these shares of the training queries too, such as 0.25 0.5: the learning curve"
    parser.add_argument("--share", metavar="S", type=float, nargs="+", default=[], help=text)
    parser.add_argument("--seed", metavar="N", type=int, nargs="+", help="instead of the recipe's seeds")
    json_option(parser)


def run(options: Namespace) -> int:
    """The loop's verdict; its exit code."""
    from bench.project.loop import loop
    from bench.project.workspace import Workspace
    from bench.report.forms import terminal

    workspace = Workspace.open(options.config)
    suite = workspace.suite(options.suite)
    with terminal.progress(quiet=options.json) as told:
        found = loop(workspace, suite, options.name, shares=options.share or (1.0,), seeds=options.seed, progress=told)
    if options.json:
        print_json(found.to_json())
    else:
        _tell(found)
        terminal.say(f"Report: bench report --config {workspace.path} --suite {suite.name}")
    return found.verdict.exit_code


def _tell(found: Loop) -> None:
    """Models, comparisons, seeds and shares, the verdict."""
    from bench.report.forms import terminal

    for model in found.models:
        state = f"trained in {model.lineage['seconds']:.0f} s" if model.made else "unchanged, not trained again"
        terminal.say(f"{model.lineage['name']}, seed {model.lineage['seed']}: {state}")
    measure = found.compared[0].cells[0].measure
    rows = []
    for one in found.compared:
        for cell in one.cells:
            if cell.measure == measure:
                interval = "–" if cell.ci is None else f"[{words.signed(cell.ci[0])}, {words.signed(cell.ci[1])}]"
                means = [words.number(cell.baseline), words.number(cell.candidate)]
                rows.append([one.system, one.against, cell.query_set, *means, words.signed(cell.delta), interval])
    columns = ["system", "against", "query set", "base", "tuned", "difference", "95 % interval"]
    terminal.table(columns, rows, title=f"{measure}, each taken alone", left=3)
    for system, why in found.left_out.items():
        terminal.say(f"{system} is compared with nothing: {why.rstrip('.')}.", "yellow")
    _tell_seeds(found, measure)
    terminal.verdict(found.verdict)
    terminal.say(f"{found.verdict.baseline} is {'the accepted baseline' if found.accepted else 'the counterpart'}.")
    if found.verdict.outcome == "pass":
        terminal.say("Pass: no worse than the margins allow. That it is better is not shown (bench decide says more).")


def _tell_seeds(found: Loop, measure: str) -> None:
    from bench.report.forms import terminal
    from bench.stats import MINIMUM_SEEDS

    rows = []
    for gain in found.gains:
        if gain.measure == measure and gain.n_seeds > 1:
            interval = "–" if gain.ci is None else f"[{words.signed(gain.ci[0])}, {words.signed(gain.ci[1])}]"
            spread = words.number(gain.seed_sd)
            rows.append([gain.query_set, str(gain.n_seeds), words.signed(gain.delta), spread, interval])
    if rows:
        columns = ["query set", "seeds", "gain", "spread between seeds", "95 % interval"]
        terminal.table(columns, rows, title=f"{measure}: the recipe against its base, over seeds", left=1)
        if any(row[-1] == "–" for row in rows):
            terminal.say(f"Under {MINIMUM_SEEDS} seeds the spread is too poorly known for an interval of the recipe.")
    shares = sorted({point.share for point in found.points})
    if len(shares) > 1:
        rows = []
        for share in shares:
            for name in dict.fromkeys(point.query_set for point in found.points):
                mine = [p for p in found.points if (p.share, p.query_set, p.measure) == (share, name, measure)]
                mean = sum(point.mean for point in mine) / len(mine)
                rows.append([name, f"{share:.0%}", str(mine[0].pairs), str(len(mine)), words.number(mean)])
        rows.sort(key=lambda row: row[0])
        columns = ["query set", "share", "pairs", "seeds", measure]
        terminal.table(columns, rows, title="Learning curve", left=1)
