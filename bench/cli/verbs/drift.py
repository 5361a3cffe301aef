"""Show whether documents, queries, base model or recall have changed: when to re-train."""

from __future__ import annotations

from pathlib import Path

from bench.cli.parser import Answer, Namespace, Parser, Progress, below, keywords


def options(parser: Parser) -> None:
    parser.config()
    parser.option("--system", "N", "the system whose model is examined (default: [gate] system)")
    parser.option("--documents", "F", "the present corpus: JSON lines, or a suite's folder")
    parser.option("--queries", "F", "present queries: one query per line, JSON lines, CSV, TSV, Parquet")
    text = "a snapshot, JSON lines or a suite's folder (default: what the model was trained on, else the suite)"
    parser.option("--reference", "F", text)
    parser.option("--snapshot", "F", "write the reference of this run to a file, for --reference")
    parser.option("--alpha", "A", "error rate of all tests together (default: 0.01)", type=below(0.5), default=0.01)
    parser.option("--seed", "N", "random seed (default: 0)", type=int, default=0)
    parser.forms("json-out", "markdown", "html")
    parser.flag("--private", "no texts or words of documents and queries in any form")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import open_project

    settings = keywords(options, "suite", "system", "alpha", "seed", "private")
    for name in ("documents", "queries", "reference", "snapshot"):
        settings[name] = Path(getattr(options, name)) if getattr(options, name) else None
    return open_project(options.config).drift(**settings, progress=progress)
