"""A suite, or a system's stored results, in another program's format."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.base.errors import UsageError
from bench.cli.verbs._options import config_options, json_option, print_json, workspace_suite

HELP = "write a suite or stored results in another program's format"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("kind", choices=["beir", "mteb-results", "model-card"], help="the format")
    parser.add_argument("--out", metavar="PATH", required=True, help="a folder; a model card's file")
    parser.add_argument("--system", metavar="N", help="whose results (default: [gate] system); not for beir")
    text = "what it is called there (default: the system's name); not for beir"
    parser.add_argument("--model-name", metavar="M", help=text)
    text = "only these (default: all of them in beir, else all that are evaluated)"
    parser.add_argument("--query-set", metavar="N", nargs="+", action="extend", help=text)
    parser.add_argument(
        "--force", action="store_true", help="replace files that are there; a card keeps its other text"
    )
    json_option(parser)


def run(options: Namespace) -> int:
    """A suite, or a system's stored results, in another program's format."""
    from bench.project.workspace import DEFAULT_CONFIG, Workspace
    from bench.report.forms import terminal
    from bench.suites import suite

    out = Path(options.out)
    notes = []
    if options.kind == "beir":
        from bench.interop.exports.beir import export_beir, left_out

        for option in ("system", "model_name"):
            if getattr(options, option) is not None:
                name = option.replace("_", "-")
                raise UsageError(f"bench export beir: --{name} is about results, and a BEIR folder holds none.")
        # A suite of its own needs no config.
        alone = options.suite and not options.config and not Path(DEFAULT_CONFIG).exists()
        loaded = suite.load(suite.find(options.suite)) if alone else workspace_suite(options)
        written = export_beir(loaded, out, query_sets=options.query_set, force=options.force)
        if n := left_out(loaded, options.query_set):
            notes.append(f"{n} queries without an answer were left out: BEIR has no way to say so.")
    else:
        workspace = Workspace.open(options.config)
        loaded = workspace.suite(options.suite)
        name = workspace.gated_system(options.system)
        if options.kind == "mteb-results":
            from bench.interop.exports.mteb_results import export_mteb_results

            workspace.stored(loaded, name)  # says how to make what is not there
            evaluator = workspace.evaluator(loaded, [name], make=False)
            chosen = {"query_sets": options.query_set, "model_name": options.model_name, "force": options.force}
            written = export_mteb_results(evaluator, name, out, **chosen)
        else:
            from bench.interop.exports.model_card import chosen_results, export_model_card

            results = chosen_results(workspace.stored(loaded, name), options.query_set)
            written = [export_model_card(results, out, model_name=options.model_name)]
    if options.json:
        print_json({"format": 1, "written": [str(path) for path in written], "notes": notes})
    else:
        for note in notes:
            terminal.say(note, "yellow")
        terminal.say("".join(f"Written: {path}\n" for path in written).rstrip())
    return 0
