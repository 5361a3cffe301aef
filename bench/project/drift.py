"""From a workspace to signals of drift: documents and queries of now, the model's data, its base, its recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import __version__
from bench.base.errors import BaselineError, ConfigError, NotComparable, UsageError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.base.store import Store
from bench.evaluation.evaluate import Missing
from bench.project.answers import Answer
from bench.project.gate import judged
from bench.project.workspace import Workspace
from bench.records import Encoder, Suite, System, digest_of
from bench.report import drift as page
from bench.report.blocks import Block
from bench.retrieval.embed import embed
from bench.retrieval.encoders._revisions import base_revision
from bench.retrieval.systems import tables
from bench.suites.snapshot import (
    REFERENCE,
    QueryLog,
    Snapshot,
    documents_of,
    levelled,
    of_suite,
    of_texts,
    read_queries,
    read_snapshot,
    sampled,
    text_digest,
)
from bench.train.models import lineage
from bench.watch.drift import (
    NOT_SHOWN,
    SHOWN,
    UNKNOWN,
    Drift,
    Side,
    Signal,
    conclude,
    far_signal,
    recall_signal,
    too_few,
    vector_signal,
    word_signal,
)
from bench.watch.shift import FEWEST, embedding_shift, new_words

MOST_EXAMPLES = 5


@dataclass(frozen=True)
class Drifted(Answer):
    """Whether anything has drifted, and the reference that it was compared with."""

    drift: Drift
    reference: Snapshot = field(repr=False)

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """1 where drift is shown."""
        return self.drift.exit_code

    def to_json(self) -> dict[str, Any]:
        """The document of `bench drift --json`."""
        return self.drift.to_json()

    def blocks(self) -> list[Block]:
        """The recommendation, every signal, and what was compared."""
        return page.blocks(self.drift)

    def html(self) -> str:
        """The report as a page."""
        return page.render(self.drift, made=datetime.now(UTC).isoformat(timespec="seconds"), version=__version__)

    def markdown(self) -> str:
        """The body of an issue."""
        return page.issue(self.drift)

    def rows(self) -> list[dict[str, Any]]:
        """A row per signal."""
        return [
            {"signal": s.name, "status": s.status, "size": s.size, "floor": s.floor, "p_adjusted": s.p_adjusted}
            for s in self.drift.signals
        ]


@dataclass(frozen=True)
class Evidence:
    """What of a model is held against what is there now.

    `documents` and `queries` are those of now, None where none are given; `source` says where the reference is from.
    """

    reference: Snapshot
    source: str
    documents: Sequence[str] | None = field(default=None, repr=False)
    queries: QueryLog | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Model:
    """The encoder of a system, with what made it; nothing where the system has none."""

    name: str = ""
    encoder: Encoder | None = None
    folder: Path | None = None
    revision: str | None = None
    lineage: Mapping[str, Any] | None = None


def drift(
    workspace: Workspace,
    suite: Suite,
    *,
    system: str | None = None,
    documents: Path | None = None,
    queries: Path | None = None,
    reference: Path | None = None,
    alpha: float = 0.01,
    seed: int = 0,
    endpoint: str | None = None,
    private: bool = False,
    progress: Progress = no_progress,
) -> Drifted:
    """Whether anything has drifted, and what to do.

    Args:
        workspace: config and store; vectors of texts seen before are taken from the store.
        suite: what is measured.
        system: whose model is asked; the config's gated one where None.
        documents: the corpus of now, JSON lines or a suite's folder.
        queries: a log of now.
        reference: a snapshot, JSON lines or a suite's folder, instead of what the model was trained on.
        alpha: the chance that anything is shown where nothing drifts.
        seed: of the permutations.
        endpoint: the hub's address; the library's own where None.
        private: leave out texts and words of documents and queries.
        progress: told of encoding.

    Raises:
        UsageError: an alpha or seed out of range.
        SuiteError: documents, queries or a reference that cannot be read.
        UsageError: no such system.
    """
    name = workspace.gated_system(system)
    tables(workspace.config, [name])  # whatever becomes of its model, it is a system of the config
    model = _model_of(workspace, suite, name)
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha:g}; expected a number between 0 and 0.5.")
    if seed < 0:
        raise UsageError(f"seed is {seed}; expected 0 or more.")
    held, source = reference_of(suite, model.folder if model.lineage else None, reference)
    evidence = Evidence(
        held, source, documents_of(documents) if documents else None, read_queries(queries) if queries else None
    )
    signals: list[Signal] = []
    sides = {"reference": Side(source, held.digest, len(held.digests), len(held.documents), _made_of(held))}
    if evidence.documents is not None:
        found, side = _document_signals(evidence.documents, held, model.encoder, workspace.store, seed, progress)
        signals += found
        sides["documents"] = side
    if evidence.queries is not None:
        found, side = _query_signals(evidence.queries, held, suite, model.encoder, workspace.store, seed, progress)
        signals += found
        sides["queries"] = side
    signals.append(_recall(workspace, suite, name))
    if model.name:
        signals.append(_base(workspace, model, endpoint))
    concluded = conclude(
        signals,
        alpha=alpha,
        fine_tuned=model.lineage is not None,
        system=name,
        suite=suite.name,
        model=model.name,
        sides=sides,
        seed=seed,
    )
    if private:
        concluded = replace(concluded, signals=tuple(replace(one, examples=()) for one in concluded.signals))
    return Drifted(concluded, held)


def reference_of(suite: Suite, trained: Path | None, given: Path | None) -> tuple[Snapshot, str]:
    """What a model knew, and where that was read: as given, else beside the fine-tuned model, else the suite as it is.

    Raises:
        SuiteError: what is given cannot be read.
    """
    if given is not None:
        if given.is_file() and _is_snapshot(given):
            return read_snapshot(given), f"snapshot {given}"
        return of_texts(documents_of(given)), str(given)
    beside = trained / REFERENCE if trained is not None else None
    if beside is not None and beside.is_file():
        return read_snapshot(beside), "what the model was trained on"
    older = " as it is now; the model's own lineage keeps no documents" if trained is not None else " as it is now"
    return of_suite(suite, "held-out"), f"suite {suite.name}{older}"


def _is_snapshot(path: Path) -> bool:
    with path.open("rb") as stream:
        return b'"snapshot"' in stream.readline(4096)[:200]


def _made_of(held: Snapshot) -> str:
    origin = held.header.get("suite")
    if isinstance(origin, Mapping):
        return f"suite {origin.get('name')} version {origin.get('version')}, digest {str(origin.get('digest'))[:12]}"
    return ""


def _model_of(workspace: Workspace, suite: Suite, name: str) -> _Model:
    """The model of a system, or of the first of its parts that has one."""
    try:
        built = workspace.evaluator(suite, [name], make=False).systems
    except ConfigError:
        # A model that is not there: nothing can be embedded, and everything else can still be looked at.
        return _Model()

    def walk(system: System) -> System | None:
        if getattr(system, "encoder", None) is not None:
            return system
        return next((found for part in system.parts if (found := walk(built[part])) is not None), None)

    if name not in built:
        raise UsageError(f'No system "{name}"; expected one of {", ".join(built)}.{did_you_mean(name, built)}')
    found = walk(built[name])
    if found is None:
        return _Model()
    encoder: Any = found.encoder  # type: ignore[attr-defined]
    config, folder = getattr(encoder, "config", None), getattr(encoder, "folder", None)
    label = str(getattr(config, "model", "") or found.name)
    made = lineage(folder) if isinstance(folder, Path) and label.startswith("finetune:") else None
    return _Model(label, encoder, folder, getattr(config, "revision", None), made)


# --- documents and queries -------------------------------------------------------------------------


def _document_signals(
    now: Sequence[str],
    held: Snapshot,
    encoder: Encoder | None,
    store: Store,
    seed: int,
    progress: Progress,
) -> tuple[list[Signal], Side]:
    different = {text_digest(text): text for text in now}
    new = [text for digest, text in different.items() if digest not in held.digests]
    gone = len(held.digests - different.keys())
    looked_at = sampled(new)
    note = f"{len(new)} new, {gone} gone, {len(different) - len(new)} as before"
    side = Side("documents", digest_of(sorted(different)), len(different), len(looked_at), note)
    if not new:
        sentence = f"All {len(different)} documents are among those of the reference; {gone} of these are gone."
        return [Signal("documents: texts", "documents", NOT_SHOWN, sentence, numbers={"new": 0, "gone": gone})], side
    share = len(new) / len(different)
    return shift_signals("documents", looked_at, held.documents, share, encoder, store, seed, progress), side


def _query_signals(
    log: QueryLog,
    held: Snapshot,
    suite: Suite,
    encoder: Encoder | None,
    store: Store,
    seed: int,
    progress: Progress,
) -> tuple[list[Signal], Side]:
    known = held.queries or of_suite(suite, "held-out").queries
    levels = {levelled(query) for query in known}
    new = [query for query in log.queries if levelled(query) not in levels]
    looked_at = sampled(new)
    note = f"{log.n_lines} asked, {len(log.counts)} different, {len(new)} of them new"
    side = Side("query log", digest_of(sorted(map(levelled, log.queries))), len(log.counts), len(looked_at), note)
    if not new:
        sentence = f"All {len(log.counts)} different queries are among those of the reference."
        return [Signal("queries: texts", "queries", NOT_SHOWN, sentence, numbers={"new": 0})], side
    share = len(new) / len(log.counts)
    return shift_signals("queries", looked_at, known, share, encoder, store, seed, progress), side


def shift_signals(
    about: str,
    new: Sequence[str],
    reference: Sequence[str],
    share: float,
    encoder: Encoder | None,
    store: Store,
    seed: int,
    progress: Progress,
) -> list[Signal]:
    """What the tests say of new texts against a reference; nothing that both hold may be among the new ones.

    Args:
        about: "documents" or "queries".
        new: texts.
        reference: texts.
        share: of new ones among all that are there now.
        encoder: whose vectors are compared; None where there are none.
        store: where vectors are kept.
        seed: of the permutations.
        progress: told of encoding.
    """
    if min(len(new), len(reference)) < FEWEST:
        return [too_few(about, len(new), len(reference))]
    stream = {"documents": 0, "queries": 1}[about]
    signals = []
    if encoder is None:
        sentence = "The system has no encoder, or its model is not there: vectors cannot be compared."
        signals.append(Signal(f"{about}: vectors", about, UNKNOWN, sentence))
    else:
        kind = {"documents": "document", "queries": "query"}[about]
        rows = embed(encoder, [*new, *reference], kind=kind, store=store, progress=progress).rows
        rng = np.random.default_rng([seed, stream, 0])
        found = embedding_shift(rows[: len(new)], rows[len(new) :], rng=rng)
        if found is not None:
            examples = [new[i] for i in found.farthest[:MOST_EXAMPLES]]
            signals += [
                vector_signal(about, found, share_new=share),
                far_signal(about, found, share_new=share, examples=examples),
            ]
    words = new_words(new, reference, rng=np.random.default_rng([seed, stream, 1]))
    if words is not None:
        signals.append(word_signal(about, words, share_new=share))
    return signals


# --- recall and the base model ---------------------------------------------------------------------


def _recall(workspace: Workspace, suite: Suite, name: str) -> Signal:
    title = "recall against the baseline"
    try:
        return recall_signal(judged(workspace, suite, system=name).verdict)
    except (Missing, BaselineError, NotComparable, ConfigError) as error:
        return Signal(title, "recall", UNKNOWN, f"Not compared: {error}")


def _base(workspace: Workspace, model: _Model, endpoint: str | None) -> Signal:
    """Whether the base model has a newer revision; a fact and no test."""
    name, revision = model.name, model.revision
    if model.lineage is not None:
        made_from = model.lineage.get("base")
        name = str(made_from.get("name", "")) if isinstance(made_from, Mapping) else ""
        # A recipe may name a system of the config, whose encoder names the model.
        encoder = workspace.config.systems.get(name, {}).get("encoder")
        if isinstance(encoder, Mapping):
            name, revision = str(encoder.get("model", name)), None
    found = base_revision(
        name,
        revision=revision,
        folder=model.folder,
        lineage=model.lineage,
        base=workspace.base,
        models=workspace.store.root / "models",
        endpoint=endpoint,
    )
    numbers = {"declared": found.declared, "newest": found.newest, "source": found.source}
    if found.newer is None:
        sentence = f"Whether {name} has a newer revision is unknown: {found.source}."
        return Signal("base model", "base model", UNKNOWN, sentence, numbers=numbers)
    declared, newest = str(found.declared)[:12], str(found.newest)[:12]
    if found.newer:
        sentence = f"{name} is used at {declared}; {found.source} has {newest}."
        return Signal("base model", "base model", SHOWN, sentence, numbers=numbers)
    sentence = f"{name} is used at {declared}, the newest that {found.source} knows."
    return Signal("base model", "base model", NOT_SHOWN, sentence, numbers=numbers)
