"""From a workspace to signals of drift in documents, queries, recall and the base model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
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
class _Model:
    """The encoder of a system, and its origin; empty where the system has none."""

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
        suite: the suite whose recall is compared, and the reference of a model without its own.
        system: whose model is used; the config's gated one where None.
        documents: the present corpus, JSON lines or a suite's folder.
        queries: a log of present queries.
        reference: a snapshot, JSON lines or a suite's folder, instead of the model's training data.
        alpha: the chance that anything is shown where nothing drifts.
        seed: of the permutations.
        endpoint: the hub's address; the library's own where None.
        private: leave out texts and words of documents and queries.
        progress: called while texts are encoded.

    Raises:
        UsageError: an alpha or seed out of range, or no such system.
        SuiteError: documents, queries or a reference that cannot be read.
    """
    name = workspace.gated_system(system)
    tables(workspace.config, [name])  # refuses a name that is no system, even where the model is missing
    model = _model_of(workspace, suite, name)
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha:g}; expected a number between 0 and 0.5.")
    if seed < 0:
        raise UsageError(f"seed is {seed}; expected 0 or more.")
    snapshot, source = reference_of(suite, model.folder if model.lineage else None, reference)
    sides = {
        "reference": Side(source, snapshot.digest, len(snapshot.digests), len(snapshot.documents), _origin(snapshot))
    }
    shift = functools.partial(shift_signals, encoder=model.encoder, store=workspace.store, seed=seed, progress=progress)
    signals: list[Signal] = []
    if documents:
        more, sides["documents"] = _document_signals(documents_of(documents), snapshot, shift)
        signals += more
    if queries:
        known = snapshot.queries or of_suite(suite, "held-out").queries
        more, sides["queries"] = _query_signals(read_queries(queries), known, shift)
        signals += more
    try:
        signals.append(recall_signal(judged(workspace, suite, system=name).verdict))
    except (Missing, BaselineError, NotComparable, ConfigError) as error:
        signals.append(Signal("recall against the baseline", "recall", UNKNOWN, f"Not compared: {error}"))
    if model.name:
        signals.append(_base_signal(workspace, model, endpoint))
    result = conclude(
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
        result = replace(result, signals=tuple(replace(signal, examples=()) for signal in result.signals))
    return Drifted(result, snapshot)


def reference_of(suite: Suite, trained: Path | None, path: Path | None) -> tuple[Snapshot, str]:
    """The reference and its source: the path, else the file beside the fine-tuned model, else the suite as it is now.

    Raises:
        SuiteError: the file at the path cannot be read.
    """
    if path is not None:
        if path.is_file() and _is_snapshot(path):
            return read_snapshot(path), f"snapshot {path}"
        return of_texts(documents_of(path)), str(path)
    beside = trained / REFERENCE if trained is not None else None
    if beside is not None and beside.is_file():
        return read_snapshot(beside), "what the model was trained on"
    older = "" if trained is None else "; the model's own lineage keeps no documents"
    return of_suite(suite, "held-out"), f"suite {suite.name} as it is now{older}"


def _origin(snapshot: Snapshot) -> str:
    suite = snapshot.header.get("suite")
    if not isinstance(suite, Mapping):
        return ""
    return f"suite {suite.get('name')} version {suite.get('version')}, digest {str(suite.get('digest'))[:12]}"


def _is_snapshot(path: Path) -> bool:
    with path.open("rb") as stream:
        return b'"snapshot"' in stream.readline(4096)[:200]


def _model_of(workspace: Workspace, suite: Suite, name: str) -> _Model:
    """The model of a system, or of the first of its parts that has one."""
    try:
        built = workspace.evaluator(suite, [name], make=False).systems
    except ConfigError:
        # A missing model: no text can be embedded, but recall and texts can be compared.
        return _Model()

    def walk(system: System) -> System | None:
        if getattr(system, "encoder", None) is not None:
            return system
        return next((inner for part in system.parts if (inner := walk(built[part])) is not None), None)

    if name not in built:
        raise UsageError(f'No system "{name}"; expected one of {", ".join(built)}.{did_you_mean(name, built)}')
    owner = walk(built[name])
    if owner is None:
        return _Model()
    encoder: Any = owner.encoder  # type: ignore[attr-defined]
    config, folder = getattr(encoder, "config", None), getattr(encoder, "folder", None)
    label = str(getattr(config, "model", "") or owner.name)
    origin = lineage(folder) if isinstance(folder, Path) and label.startswith("finetune:") else None
    return _Model(label, encoder, folder, getattr(config, "revision", None), origin)


def _document_signals(
    documents: Sequence[str], snapshot: Snapshot, shift: Callable[..., list[Signal]]
) -> tuple[list[Signal], Side]:
    texts = {text_digest(text): text for text in documents}
    new = [text for digest, text in texts.items() if digest not in snapshot.digests]
    gone = len(snapshot.digests - texts.keys())
    sample = sampled(new)
    note = f"{len(new)} new, {gone} gone, {len(texts) - len(new)} as before"
    side = Side("documents", digest_of(sorted(texts)), len(texts), len(sample), note)
    if new:
        return shift("documents", sample, snapshot.documents, len(new) / len(texts)), side
    sentence = f"All {len(texts)} documents are among those of the reference; {gone} of these are gone."
    return [Signal("documents: texts", "documents", NOT_SHOWN, sentence, numbers={"new": 0, "gone": gone})], side


def _query_signals(
    log: QueryLog, known: Sequence[str], shift: Callable[..., list[Signal]]
) -> tuple[list[Signal], Side]:
    levels, n = {levelled(query) for query in known}, len(log.counts)
    new = [query for query in log.queries if levelled(query) not in levels]
    sample = sampled(new)
    note = f"{log.n_lines} queries, {n} different ones, {len(new)} of these new"
    side = Side("query log", digest_of(sorted(map(levelled, log.queries))), n, len(sample), note)
    if new:
        return shift("queries", sample, known, len(new) / n), side
    sentence = f"All {n} different queries are among those of the reference."
    return [Signal("queries: texts", "queries", NOT_SHOWN, sentence, numbers={"new": 0})], side


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
    """The signals of new texts against a reference; the new texts must not contain texts of the reference.

    Args:
        about: "documents" or "queries".
        new: texts; `share` is the share of new texts among all that are there now.
        reference: texts.
        encoder: whose vectors are compared; None where there are none.
    """
    if min(len(new), len(reference)) < FEWEST:
        return [too_few(about, len(new), len(reference))]
    kind, stream = {"documents": ("document", 0), "queries": ("query", 1)}[about]
    signals = []
    if encoder is None:
        sentence = "The system has no encoder, or its model is not there: vectors cannot be compared."
        signals.append(Signal(f"{about}: vectors", about, UNKNOWN, sentence))
    else:
        rows = embed(encoder, [*new, *reference], kind=kind, store=store, progress=progress).rows
        rng = np.random.default_rng([seed, stream, 0])
        shift = embedding_shift(rows[: len(new)], rows[len(new) :], rng=rng)
        if shift is not None:
            examples = [new[i] for i in shift.farthest[:MOST_EXAMPLES]]
            signals.append(vector_signal(about, shift, share_new=share))
            signals.append(far_signal(about, shift, share_new=share, examples=examples))
    words = new_words(new, reference, rng=np.random.default_rng([seed, stream, 1]))
    if words is not None:
        signals.append(word_signal(about, words, share_new=share))
    return signals


def _base_signal(workspace: Workspace, model: _Model, endpoint: str | None) -> Signal:
    """Whether the base model has a newer revision; a fact without a test."""
    name, revision = model.name, model.revision
    if model.lineage is not None:
        base = model.lineage.get("base")
        name = str(base.get("name", "")) if isinstance(base, Mapping) else ""
        # A recipe may name a system of the config, whose encoder names the model.
        encoder = workspace.config.systems.get(name, {}).get("encoder")
        if isinstance(encoder, Mapping):
            name, revision = str(encoder.get("model", name)), None
    state = base_revision(
        name,
        revision=revision,
        folder=model.folder,
        lineage=model.lineage,
        base=workspace.base,
        models=workspace.store.root / "models",
        endpoint=endpoint,
    )
    numbers = {"declared": state.declared, "newest": state.newest, "source": state.source}
    declared, newest = str(state.declared)[:12], str(state.newest)[:12]
    if state.newer is None:
        status, sentence = UNKNOWN, f"Whether {name} has a newer revision is unknown: {state.source}."
    elif state.newer:
        status, sentence = SHOWN, f"{name} is used at {declared}; {state.source} has {newest}."
    else:
        status, sentence = NOT_SHOWN, f"{name} is used at {declared}, the newest that {state.source} knows."
    return Signal("base model", "base model", status, sentence, numbers=numbers)
