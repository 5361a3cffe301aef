"""Write the model-comparison report from stored results."""

from __future__ import annotations

from bench.cli.parser import Answer, Namespace, Parser, Progress, keywords


def options(parser: Parser) -> None:
    parser.config()
    parser.option("--reference", "N", "the system that others are compared with")
    parser.flag("--private", "no query or document texts in any of the forms")
    parser.option("--out", "F", "the page (default: reports/SUITE.html)")
    # Not a form: on an error, an old report may stay.
    parser.option("--markdown", "F", "write the same as Markdown, without charts", dest="as_markdown")
    parser.option("--latex", "F", "write every table for LaTeX, with booktabs")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import open_project

    settings = keywords(options, "suite", "reference", "private", "latex")
    return open_project(options.config).report(options.out, markdown=options.as_markdown, **settings)
