"""The comparison report from stored results."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.verbs._options import config_options, json_option, print_json

HELP = "write the model-comparison report from stored results"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("--reference", metavar="N", help="the system that others are compared with")
    parser.add_argument("--private", action="store_true", help="no query or document texts in any of the forms")
    parser.add_argument("--out", metavar="F", help="the page; default: reports/SUITE.html")
    parser.add_argument("--markdown", metavar="F", help="write the same as Markdown, without charts")
    parser.add_argument("--latex", metavar="F", help="write every table for LaTeX, with booktabs")
    json_option(parser)


def run(options: Namespace) -> int:
    """The comparison report from stored results."""
    from bench.base.store import write_text
    from bench.project.report import material
    from bench.project.workspace import Workspace
    from bench.report.forms import html as render
    from bench.report.forms import terminal

    workspace = Workspace.open(options.config)
    suite = workspace.suite(options.suite)
    found, left_out = material(workspace, suite, reference=options.reference, private=options.private)
    path = render.write(found, Path(options.out) if options.out else workspace.reports / f"{suite.name}.html")
    if options.markdown:
        write_text(Path(options.markdown), render.whole_markdown(found))
    if options.latex:
        write_text(Path(options.latex), render.whole_latex(found))
    for name in left_out:
        terminal.say(f"{name} has no stored result and is left out; make it with: bench run --system {name}", "yellow")
    if options.json:
        print_json({"format": 1, "report": str(path), "left_out": left_out, **render.whole_json(found)})
    else:
        terminal.say(f"Report: {path}")
    return 0
