"""Findings of a suite; 2 where one is an error."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bench.cli.verbs._options import json_option, print_json

HELP = "look for what makes a suite lie"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("suite", metavar="SUITE", help="a suite's folder, a BEIR folder, or a bundled suite's name")
    parser.add_argument("--model", metavar="N", nargs="+", action="extend", help="was it trained on this? (asks mteb)")
    text = "where vectors may be stored that tell how far sets are apart; none is made (default: .bench)"
    parser.add_argument("--store", metavar="DIR", default=".bench", help=text)
    json_option(parser)


def run(options: Namespace) -> int:
    """Findings of a suite; 2 where one is an error."""
    from bench.base.errors import SuiteError
    from bench.base.store import Store
    from bench.records import Finding
    from bench.report.forms import terminal
    from bench.suites import checks, suite
    from bench.suites.distribution import distribution_findings, embedding_findings

    try:
        with terminal.progress(quiet=options.json) as told:
            loaded = suite.load(suite.find(options.suite), progress=told)
            found = checks.check(loaded, progress=told)
        if options.model:
            found += checks.contamination(loaded, options.model)
        found += [*distribution_findings(loaded), *embedding_findings(loaded, Store(options.store))]
        found.sort(key=lambda finding: ("error", "warning", "info").index(finding.severity))
    except SuiteError as error:
        loaded = None
        found = [Finding("error", "unreadable", options.suite, line) for line in str(error).split("\n")]
    failed = any(finding.severity == "error" for finding in found)
    if options.json:
        print_json({"format": 1, "findings": [finding.to_json() for finding in found]})
        return 2 if failed else 0
    if loaded is not None:
        rows = [
            [q.name, q.role, q.corpus, str(len(q.ids)), str(len(loaded.corpora[q.corpus].ids)), q.digest[:12]]
            for q in loaded.query_sets.values()
        ]
        columns = ["query set", "role", "corpus", "queries", "documents", "digest"]
        terminal.table(columns, rows, title=f"{loaded.name} {loaded.version} ({loaded.digest[:12]})", left=3)
    terminal.findings(found)
    counts = {s: sum(f.severity == s for f in found) for s in ("error", "warning", "info")}
    terminal.say(", ".join(f"{n} {s}{'s' if n != 1 and s != 'info' else ''}" for s, n in counts.items()) + ".")
    return 2 if failed else 0
