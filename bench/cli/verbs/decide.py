"""What to do about retrieval, with evidence and cost."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.verbs._options import config_options, json_option, print_json

HELP = "what to do: leave it, hybrid, rerank or fine-tune, with evidence and cost"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    text = "the system in use (default: [decide] current, else the accepted baseline's)"
    parser.add_argument("--current", metavar="N", help=text)
    parser.add_argument("--html", metavar="F", help="write a page")
    parser.add_argument("--markdown", metavar="F", help="write Markdown")
    parser.add_argument("--private", action="store_true", help="no words of the documents in any form")
    json_option(parser)


def run(options: Namespace) -> int:
    """What to do about retrieval, from stored results; informs, so never fails."""
    from bench.base.store import write_text
    from bench.project.decide import decided
    from bench.project.report import decision_page
    from bench.project.workspace import Workspace
    from bench.report.forms import terminal
    from bench.report.forms.markdown import markdown
    from bench.report.sections import decision

    workspace = Workspace.open(options.config)
    found = decided(workspace, workspace.suite(options.suite), current=options.current, private=options.private)
    page = decision_page(found)
    if options.html:
        from bench.report.forms.html import write

        write(page, Path(options.html))
    if options.markdown:
        write_text(Path(options.markdown), markdown(decision.build(page)))
    if options.json:
        print_json(found.to_json())
    else:
        terminal.blocks(decision.build(page))
    return 0
