"""Every query's numbers as one CSV file."""

from __future__ import annotations

import csv

from bench import UsageError
from bench.interop.exports import Exported, Request

WHAT = "results"


def export(request: Request) -> Exported:
    """The file that `--out` names."""
    if request.out.exists() and not request.force:
        raise UsageError(f"{request.out} is there already; name another file, or replace it with --force.")
    with request.out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["query_set", "query", "measure", "value"])
        for result in request.results():
            for name in result.scores.measures:
                for query, number in zip(result.scores.query_ids, result.scores.column(name).tolist(), strict=True):
                    writer.writerow([result.query_set, query, name, number])
    return Exported([request.out])
