"""Models whose declared training data includes a suite's source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.base.errors import MissingExtra
from bench.config import load_suite_config
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
    names = {suite.name, *suite.corpora}
    declaration = Path(suite.path) / "suite.toml"
    if declaration.is_file():
        # The last part of a location: "mteb/nfcorpus" is nfcorpus, "/data/scifact.zip" is scifact.
        location = load_suite_config(declaration).origin.get("location", "").rstrip("/").split("/")[-1]
        names |= {location, location.split(".")[0]}
    sources = {plain for name in names if (plain := _plain(name))}
    findings = []
    for model in models:
        severity, code, value = "info", "training-data-unknown", None
        message = f'Model "{model}" does not declare its training data. Ask its authors.'
        try:
            declared = mteb.get_model_meta(model, fetch_from_hf=False).training_datasets
        except KeyError:
            declared = None
            message = f'mteb does not know the model "{model}". Ask its authors for its training data.'
        if declared is not None:
            both = sorted(name for name in declared if not sources.isdisjoint({_plain(name), _task_stem(name)}))
            severity, code, value = "info", "not-contaminated", len(declared)
            message = f'Model "{model}" declares {len(declared)} training sets, and none has this suite\'s name.'
            if both:
                severity, code, value = "warning", "contaminated", len(both)
                message = (
                    f'Model "{model}" declares that it was trained on {", ".join(both)}, the source of this suite, and '
                    "so on what is measured. Compare it with itself only, or measure on other data."
                )
        findings.append(Finding(severity, code, model, message, value))
    return findings


def _task_stem(declared: str) -> str:
    """A task's name without the endings that mteb adds to a data set's name."""
    return re.sub(r"(retrieval|reranking|classification|hardnegatives|vn|v\d+)*$", "", _plain(declared))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
