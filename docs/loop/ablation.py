"""What hard negatives, Matryoshka and more seeds are worth on one suite, from stored results, as Markdown.

    python docs/loop/ablation.py OUT/stackfaq

Each recipe has three seeds. Means over seeds are compared query by query, clusters kept together, with a 95 % interval
for the queries; the spread between seeds stands beside it.
"""

import sys
from pathlib import Path

import numpy as np

from bench import stats
from bench.project.workspace import Workspace

RECIPES = ("tuned", "without-negatives", "without-matryoshka")


def signed(value: float) -> str:
    """+.012"""
    return f"{value:+.3f}".replace("0.", ".", 1).replace("-", "−")


def main(folder: Path) -> None:
    """Print both tables."""
    workspace = Workspace.open(folder / "bench.toml")
    suite = workspace.suite()

    def result(system: str):
        evaluator = workspace.evaluator(suite, [system.split("@")[0]], make=False)
        return evaluator.result(system, "held-out")

    for measure in ("recall@10", "ndcg@10"):
        print(f"\n{measure}\n")
        print("| dimensions | base | tuned, seeds 0 1 2 | against the base | without negatives | without Matryoshka |")
        print("| --: | --: | --- | --- | --- | --- |")
        for suffix in ("", "@256", "@128", "@64"):
            base = result(f"minilm{suffix}")
            before = base.scores.column(measure)
            values = {
                recipe: np.stack(
                    [result(f"{recipe}{seed}{suffix}").scores.column(measure) for seed in ("", "-s1", "-s2")]
                )
                for recipe in RECIPES
            }
            cells = []
            for other in (before, values["without-negatives"].mean(axis=0), values["without-matryoshka"].mean(axis=0)):
                found = stats.estimate(values["tuned"].mean(axis=0) - other, clusters=list(base.clusters))
                cells.append(f"{signed(found.mean)} [{signed(found.low or 0.0)}, {signed(found.high or 0.0)}]")
            means = {recipe: found.mean(axis=1) for recipe, found in values.items()}
            seeds = " ".join(f"{mean:.3f}".lstrip("0") for mean in means["tuned"])
            shown = [
                f"{means[recipe].mean():.3f} (seeds {means[recipe].min():.3f}–{means[recipe].max():.3f}); tuned {cell}"
                for recipe, cell in zip(RECIPES[1:], cells[1:], strict=True)
            ]
            row = [suffix.removeprefix("@") or "384", f"{before.mean():.3f}", seeds, cells[0], *shown]
            print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
