"""Models that were trained on what a suite measures, by their own declaration."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from bench.base.errors import MissingExtra
from bench.records import Finding, Suite


def contamination(suite: Suite, models: Sequence[str]) -> list[Finding]:
    """One finding per model: its declared training data names the suite's source, does not, or is not declared.

    Declarations are mteb's (`ModelMeta.training_datasets`). The suite's source is its name, the names of its
    corpora, and the location under `[origin]` in its declaration.

    Raises:
        MissingExtra: mteb is not installed.
    """
    try:
        import mteb
    except ImportError:
        raise MissingExtra("What a model was trained on", "mteb", "mteb") from None
    sources = _sources(suite)
    findings = []
    for model in models:
        try:
            declared = mteb.get_model_meta(model, fetch_from_hf=False).training_datasets
        except KeyError:
            message = f'Model "{model}" is not among those that mteb knows; ask its makers what it was trained on.'
            findings.append(Finding("info", "training-data-unknown", model, message))
            continue
        if declared is None:
            message = f'Model "{model}" does not declare what it was trained on.'
            findings.append(Finding("info", "training-data-unknown", model, message))
            continue
        both = sorted(name for name in declared if any(_same(source, name) for source in sources))
        if both:
            message = (
                f'Model "{model}" declares to be trained on {", ".join(both)}, which this suite comes from: it has '
                "seen what is measured. Compare it with itself only, or measure on other data."
            )
            findings.append(Finding("warning", "contaminated", model, message, len(both)))
        else:
            message = f'Model "{model}" declares {len(declared)} training sets; none is named like this suite.'
            findings.append(Finding("info", "not-contaminated", model, message, len(declared)))
    return findings


def _sources(suite: Suite) -> set[str]:
    names = {suite.name, *suite.corpora}
    path = Path(suite.path) / "suite.toml"
    if path.is_file():
        origin = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("origin", {})
        if isinstance(origin, dict):
            # The last part of a location: "mteb/nfcorpus" is nfcorpus, "/data/scifact.zip" is scifact.
            location = str(origin.get("location", "")).rstrip("/").split("/")[-1]
            names |= {location, location.split(".")[0]}
    return {plain for name in names if (plain := _plain(name))}


def _same(source: str, declared: str) -> bool:
    """Equal but for case, marks, and what mteb adds to a data set's name to make a task's."""
    return source == re.sub(r"(retrieval|reranking|classification|hardnegatives|vn|v\d+)*$", "", _plain(declared)) or (
        source == _plain(declared)
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
