"""A suite, or a system's stored results, in another program's format."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.verbs._options import config_options, json_option, print_json, workspace_suite

__all__ = ["HELP", "options", "run"]

HELP = "write a suite or stored results in another program's format"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("kind", choices=["beir", "mteb-results", "model-card"], help="the format")
    parser.add_argument("--out", metavar="PATH", required=True, help="a folder; a model card's file")
    parser.add_argument("--system", metavar="N", help="whose results (default: [gate] system)")
    parser.add_argument("--model-name", metavar="M", help="what it is called there (default: the system's name)")
    parser.add_argument("--query-set", metavar="N", nargs="+", help="only these, in a BEIR folder (default: all)")
    json_option(parser)


def run(options: Namespace) -> int:
    """A suite, or a system's stored results, in another program's format."""
    from bench import suite, terminal
    from bench.workspace import DEFAULT_CONFIG, Workspace

    out = Path(options.out)
    if options.kind == "beir":
        from bench.exports.beir import export_beir

        # A suite of its own needs no config.
        alone = options.suite and not options.config and not Path(DEFAULT_CONFIG).exists()
        loaded = suite.load(suite.find(options.suite)) if alone else workspace_suite(options)
        written = export_beir(loaded, out, query_sets=options.query_set)
    else:
        workspace = Workspace.open(options.config)
        loaded = workspace.suite(options.suite)
        name = workspace.gated_system(options.system)
        if options.kind == "mteb-results":
            from bench.exports.mteb_results import export_mteb_results

            workspace.stored(loaded, name)  # says how to make what is not there
            evaluator = workspace.evaluator(loaded, [name], make=False)
            written = [export_mteb_results(evaluator, name, out, model_name=options.model_name)]
        else:
            from bench.exports.model_card import export_model_card

            written = [export_model_card(workspace.stored(loaded, name), out, model_name=options.model_name)]
    if options.json:
        print_json({"format": 1, "written": [str(path) for path in written]})
    else:
        terminal.say("".join(f"Written: {path}\n" for path in written).rstrip())
    return 0
