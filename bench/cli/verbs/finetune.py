"""Train what a recipe says."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bench.base.errors import ConfigError
from bench.cli.verbs._options import config_options, json_option, print_json

HELP = "train what a recipe of the config says"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("name", metavar="NAME", help="the recipe")
    parser.add_argument("--seed", metavar="N", type=int, nargs="+", help="instead of the recipe's seeds")
    json_option(parser)


def run(options: Namespace) -> int:
    """Train what a recipe says."""
    from bench.project.loop import recipe_of, systems_of
    from bench.project.workspace import Workspace
    from bench.report.forms import terminal
    from bench.train.fitting import workers
    from bench.train.fitting.finetune import finetune

    workspace = Workspace.open(options.config)
    recipe = recipe_of(workspace, options.name)
    if options.seed:
        recipe = recipe.model_copy(update={"seeds": options.seed})
    suite = workspace.suite(options.suite)
    with terminal.progress(quiet=options.json or workers.rank() > 0) as told:
        evaluator = workspace.trainer(suite, recipe, progress=told)
        models = finetune(
            options.name, recipe, evaluator=evaluator, base=workspace.base, config=workspace.config, progress=told
        )
    if workers.rank() > 0:
        return 0  # one of several processes speaks
    if options.json:
        rows = [{"folder": str(m.folder), "made": m.made, "lineage": dict(m.lineage)} for m in models]
        print_json({"format": 1, "models": rows})
        return 0
    for model in models:
        state = f"trained in {model.lineage['seconds']:.0f} s" if model.made else "unchanged, not trained again"
        terminal.say(f"{options.name}, seed {model.lineage['seed']}: {state}. {model.folder}")
    try:
        users = systems_of(workspace, options.name)
    except ConfigError as problem:
        terminal.say(str(problem), "yellow")
    else:
        command = f"bench loop {options.name} --config {workspace.path}"
        terminal.say(f"Evaluate {', '.join(users)} beside the base model: {command}")
    return 0
