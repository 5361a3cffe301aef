"""Hard negatives as a file: `bench mine`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench import __version__
from bench.base import words
from bench.base.errors import PairsError, UsageError
from bench.base.progress import Progress, no_progress
from bench.base.registry import problems_of
from bench.config import FinetuneConfig, NegativesConfig
from bench.project.answers import Answer
from bench.project.loop import recipe_of
from bench.project.workspace import Workspace
from bench.report import Material, tables
from bench.report.blocks import Block, Prose
from bench.report.sections import mining
from bench.train.loading import from_suite, load
from bench.train.mining import mine
from bench.train.mining_report import REASONS
from bench.train.negatives import Negatives, read_negatives, write_negatives


@dataclass(frozen=True)
class Mined(Answer):
    """Negatives that were written to a file; `name` is the recipe's, or the suite's where there is no recipe."""

    name: str
    out: Path
    n_queries: int
    negatives: Negatives = field(repr=False)
    private: bool = False

    def to_json(self) -> dict[str, Any]:
        """The document of `bench mine --json`."""
        document = {"format": 1, "queries": self.n_queries, "out": str(self.out), "digest": self.negatives.digest}
        return document | {"mining": self._report}

    def blocks(self) -> list[Block]:
        """Counts by source, and warnings."""
        report = self.negatives.report
        rows = [[row["source"], row["what"], words.integer(row["count"])] for row in self.rows()]
        blocks: list[Block] = [
            tables.table(f"Hard negatives of {self.name}", ["source", "what", "count"], rows, text=2)
        ]
        if report.reference is None and report.ranks:
            text = "None of the sources is a dense system, so no margin was applied (--reference N names one)."
            blocks.append(Prose([text], "warning"))
        if report.filled_at_random:
            places = words.count(report.filled_at_random, "place")
            text = f"No candidate was left for {places}, so random documents fill them (--depth K looks deeper)."
            blocks.append(Prose([text], "warning"))
        if report.suspects:
            suspects = words.count(report.suspects, "candidate")
            blocks.append(Prose([f"{suspects} may be answers, and were left out; --html F writes a page of them."]))
        return [*blocks, Prose([f"Negatives of {words.count(report.queries, 'query')} in {self.out}"], "good")]

    def rows(self) -> list[dict[str, Any]]:
        """A row per source and count."""
        report = self.negatives.report
        counts = [(system, "candidates", row["candidates"]) for system, row in report.by_system.items()]
        for system, row in report.by_system.items():
            counts += [(system, f"left out: {REASONS[key]}", n) for key, n in row.items() if key in REASONS]
        counts += [(system, "taken", n) for system, n in report.from_system.items()]
        counts += [("at random", "taken", report.random)] if report.random else []
        return [{"source": source, "what": what, "count": n} for source, what, n in counts]

    def html(self) -> str:
        """The report's section as a page, with scores and suspects."""
        from bench.report.forms.html import render

        return render(self._material, only="mining")

    def markdown(self) -> str:
        """The same as Markdown."""
        from bench.report.forms.markdown import markdown

        return markdown(mining.build(self._material))

    @property
    def _report(self) -> dict[str, Any]:
        return self.negatives.report.to_json(texts=not self.private)

    @property
    def _material(self) -> Material:
        training = ({"name": self.name, "data": {"mining": self._report}},)
        return Material(f"Hard negatives of {self.name}", (), "", training=training, version=__version__)


def mined(
    workspace: Workspace,
    name: str | None = None,
    *,
    suite: str | None = None,
    pairs: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    out: Path | str | None = None,
    force: bool = False,
    private: bool = False,
    progress: Progress = no_progress,
) -> Mined:
    """Mine hard negatives for training queries, and write them to a file.

    Args:
        workspace: config and store.
        name: a recipe, for the settings in its table `negatives`; `settings` are keys in place of its own.
        pairs: training sets, pairs:NAME or files; the recipe's where None, else all sets of role train.
        seed: the recipe's first where None, else 0.
        out: the file; the recipe's where None, else negatives.jsonl.
        force: replace a file that was mined for other pairs, or with other settings.
        private: leave texts of queries and documents out of every form but the file.

    Raises:
        UsageError: no such recipe, nothing to mine, settings that make no sense, or a file that is not to be replaced.
        PairsError: pairs or negatives that cannot be read.
    """
    recipe = None if name is None else recipe_of(workspace, name)
    chosen = _settings(workspace, name, recipe, settings or {})
    seed = (recipe.seeds[0] if recipe else 0) if seed is None else seed
    path = Path(out or "negatives.jsonl")
    if recipe and not out:
        # Each recipe has a file of its own, so that none is trained on another's.
        file = recipe.negatives.file if recipe.negatives else None
        path = workspace.base / (file or f"negatives-{name}.jsonl")
    loaded = workspace.suite(suite)
    evaluator = workspace.evaluator(loaded, chosen.systems, progress=progress)
    names = list(pairs or (recipe.pairs if recipe else None) or ())
    base, config = workspace.base, workspace.config
    wanted = load(names, loaded, base=base, config=config, progress=progress) if names else from_suite(loaded)
    written = chosen.model_dump(mode="json", by_alias=True, exclude_none=True)
    if not force and path.is_file():
        # Without --force, options may not replace a recipe's own file.
        _check_replaced(path, wanted.digest, written if settings and not out else None)
    negatives = mine(evaluator, wanted, chosen, seed=seed, progress=progress)
    header = {
        "suite": {"name": loaded.name, "version": loaded.version, "digest": loaded.digest},
        "settings": written,
        "seed": seed,
        "systems": {system: evaluator.system_digest(system) for system in chosen.systems},
    }
    n_queries = write_negatives(path, negatives, wanted, header)
    return Mined(name or loaded.name, path, n_queries, negatives, private)


def _settings(
    workspace: Workspace, name: str | None, recipe: FinetuneConfig | None, settings: Mapping[str, Any]
) -> NegativesConfig:
    """The recipe's table, empty where there is no recipe, with these settings in place of its own."""
    changes, where = dict(settings), f"{workspace.path}: finetune.{name}"
    sources = bool({"from", "manual"} & changes.keys())
    table: dict[str, Any] = {}
    if recipe and recipe.negatives:
        table = recipe.negatives.model_dump(by_alias=True, exclude_unset=True)
    elif recipe:
        raise UsageError(f"{where} has no table negatives; there is none to mine.")
    elif not sources:
        raise UsageError("bench mine: name a recipe, or systems that rank candidates: --from bm25")
    if sources:
        table.pop("file", None)
    if table.get("file"):
        advice = f"Say where to mine them from: bench mine {name} --from bm25 …"
        raise UsageError(f"{where} takes its negatives from {table['file']}. {advice}")
    if "manual" in changes:
        # An option's path starts from the present folder, not from the config's.
        changes["manual"] = str(Path(changes["manual"]).absolute())
    check = changes.get("check")
    if check and "reranker" not in check:
        if not table.get("check"):
            raise UsageError(f"bench mine: --check-{next(iter(check))} belongs to a cross-encoder: --check MODEL")
        changes["check"] = {**table["check"], **check}
    try:
        return NegativesConfig.model_validate(table | changes).relative_to(workspace.base)
    except ValidationError as problem:
        raise UsageError("\n".join(problems_of(problem, NegativesConfig, "bench mine"))) from None


def _check_replaced(path: Path, pairs: str, settings: Mapping[str, Any] | None) -> None:
    """Refuse to replace a file that was mined for other pairs, or with other settings than these."""
    try:
        header = read_negatives(path).header
    except PairsError:
        header = {}
    same = header.get("pairs") == pairs
    if not same or (settings is not None and header.get("settings") != settings):
        how = "with other settings" if same else "for other pairs"
        raise UsageError(
            f"{path} is there already and was mined {how}; a recipe may be trained on it. Name another file with "
            "--out F, or replace it with --force."
        )
