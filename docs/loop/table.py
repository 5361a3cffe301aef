"""The table of docs/loop: every stored system on the held-out and the out-of-distribution set, as Markdown.

    python docs/loop/table.py OUT/stackfaq [SYSTEM …]

Differences are against the base model at the same dimension, paired by query, with a 95 % interval each taken alone;
an interval that excludes 0 is printed in bold.
"""

import re
import sys
from pathlib import Path

from bench.evaluation.evaluate import Missing
from bench.gate.compare import compare
from bench.project.workspace import Workspace
from bench.retrieval.systems import selected

MEASURES = ("recall@10", "ndcg@10")


def signed(value: float) -> str:
    """+.012"""
    return f"{value:+.3f}".replace("0.", ".", 1).replace("-", "−")


def main(folder: Path, tables: list[str]) -> None:
    """Print one table."""
    workspace = Workspace.open(folder / "bench.toml")
    suite = workspace.suite()
    results = {}
    for table in tables or workspace.config.systems:
        try:
            evaluator = workspace.evaluator(suite, [table], make=False)
            for result in evaluator.results(selected(evaluator.systems, [table])):
                results[result.system, result.query_set] = result
        except Missing:
            continue
    sets = {r.query_set: (r.role, len(r.scores.query_ids)) for r in results.values()}
    heads = [f"{name} ({role}, n={n}) {measure}" for name, (role, n) in sets.items() for measure in MEASURES]
    print("| system | " + " | ".join(heads) + " |")
    print("| --- |" + " --- |" * len(heads))
    for system in dict.fromkeys(name for name, _ in results):
        dim = re.search("[@-](256|128|64)(-late)?$", system)
        base = f"minilm@{dim[1]}" if dim else "minilm"
        cells = []
        for name in sets:
            for measure in MEASURES:
                mine, before = results[system, name], results[base, name]
                (cell,) = compare(before, mine, measures=[measure], margin=0.02).cells
                text = f"{cell.candidate:.3f}".lstrip("0")
                if system != base and cell.ci:
                    low, high = cell.ci
                    text += f" {signed(cell.delta)} [{signed(low)}, {signed(high)}]"
                    text = f"**{text}**" if low > 0 or high < 0 else text
                cells.append(text)
        print(f"| {system} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
