"""Small, real material for the tests: a suite written by hand, an encoder without a download, runs worked on paper."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import pytest

from bench.base.store import Store
from bench.records import Corpus, EvalProtocol, QuerySet, Result, Run, Scores, Suite
from bench.retrieval.systems import Context
from bench.retrieval.systems.dense import Config, Dense
from bench.suites import suite as suite_module

pytest_plugins = ["pytester"]

# A deadline of milliseconds measures the machine's other work, not ours.
hypothesis.settings.register_profile("bench", deadline=None)
hypothesis.settings.load_profile("bench")

MEASURES = ("recall@10", "ndcg@10", "mrr@10", "recall@100")


# --- tiny_suite: 20 documents, 8 held-out queries, written by hand -----------------------------------

DOCUMENTS = {
    "d01": ("Flat tyre", "Take the wheel out, lever the tyre off the rim and patch the hole in the tube."),
    "d02": ("Tyre pressure", "Road tyres want seven bar, city tyres four; read the number on the tyre wall."),
    "d03": ("Squeaking brake", "Clean the rim with alcohol and sand the brake pads lightly."),
    "d04": ("Worn brake pads", "Replace brake pads when the groove in the rubber is gone."),
    "d05": ("Disc brake bleeding", "Push fresh oil through the brake hose until no bubbles come out."),
    "d06": ("Chain oil", "Drip oil on every link of the chain and wipe the rest off."),
    "d07": ("Chain length", "Measure twelve links; a worn chain is longer by one percent."),
    "d08": ("Derailleur hanger", "A bent hanger makes the gears jump; straighten it or fit another."),
    "d09": ("Gear cable", "A frayed gear cable shifts late. Fit a new cable and grease its ends."),
    "d10": ("Broken spoke", "Fit a spoke of equal length and true the wheel with the nipple key."),
    "d11": ("Wheel truing", "Turn nipples by quarters until the rim runs straight between the brake pads."),
    "d12": ("Saddle height", "With the heel on the pedal the knee must be straight."),
    "d13": ("Front light", "The dynamo cable goes to the front light; check the plug for rust."),
    "d14": ("Rear light battery", "The battery of the rear light lasts forty hours."),
    "d15": ("Lock without key", "Lost the key of the lock? The shop cuts it open if you show a receipt."),
    "d16": ("Carrier load", "The carrier takes twenty five kilograms, a child seat included."),
    "d17": ("Child seat", "Fit the child seat behind the saddle and cover the springs."),
    "d18": ("Winter storage", "Hang the bicycle up, let some air out of the tyres and oil the chain."),
    "d19": ("Größe und Rahmenhöhe", "Die Rahmenhöhe misst man vom Tretlager bis zur Oberkante — 自転車 too."),
    "d20": ("Warranty", "Two years on the frame, none on tyres, tubes, chain and brake pads."),
}

HELD_OUT = [
    {"_id": "h1", "text": "how do I patch a hole in the tube", "slice": "tyres", "pinned": True},
    {"_id": "h2", "text": "brake makes a noise", "slice": "brakes"},
    {"_id": "h3", "text": "when are brake pads worn out", "slice": "brakes"},
    {"_id": "h4", "text": "gears jump under load", "slice": "gears", "cluster": "gears"},
    {"_id": "h5", "text": "late shifts of the gear cable", "slice": "gears", "cluster": "gears"},
    {"_id": "h6", "text": "wheel is not straight after a broken spoke"},
    {"_id": "h7", "text": "oil the chain"},
    {"_id": "h8", "text": "Rahmenhöhe messen"},
]

HELD_OUT_QRELS = [
    ("h1", "d01", 2), ("h1", "d02", 0), ("h1", "d18", 1),
    ("h2", "d03", 2), ("h2", "d04", 1), ("h2", "d11", 0),
    ("h3", "d04", 2), ("h3", "d20", 1), ("h3", "d03", 0),
    ("h4", "d08", 2), ("h4", "d16", 0),
    ("h5", "d09", 2), ("h5", "d08", 1),
    ("h6", "d10", 2), ("h6", "d11", 2), ("h6", "d01", 0),
    ("h7", "d06", 2), ("h7", "d18", 1), ("h7", "d05", 0),
    ("h8", "d19", 1),
]  # fmt: skip

SUITE_TOML = """\
name = "tiny"
version = 1
measures = ["recall@10", "ndcg@10", "mrr@10", "recall@100"]
depth = 100

[corpora.manual]
source = "jsonl"
path = "corpus.jsonl"

[[query_sets]]
name = "train"
role = "train"
corpus = "manual"
queries = "queries/train.jsonl"
qrels = "qrels/train.tsv"

[[query_sets]]
name = "dev"
role = "dev"
corpus = "manual"
queries = "queries/dev.jsonl"
qrels = "qrels/dev.tsv"

[[query_sets]]
name = "shop"
role = "held-out"
corpus = "manual"
queries = "queries/shop.jsonl"
qrels = "qrels/shop.tsv"

[[query_sets]]
name = "phone"
role = "out-of-distribution"
corpus = "manual"
queries = "queries/phone.jsonl"
qrels = "qrels/phone.tsv"
"""

OTHER_SETS = {
    "train": (
        [{"_id": "t1", "text": "new tyre pressure"}, {"_id": "t2", "text": "saddle too high"}],
        [("t1", "d02", 1), ("t2", "d12", 1)],
    ),
    "dev": (
        [{"_id": "v1", "text": "rear light battery empty"}, {"_id": "v2", "text": "how much may the carrier take"},
         {"_id": "v3", "text": "bubbles in the brake hose"}],
        [("v1", "d14", 2), ("v1", "d13", 1), ("v2", "d16", 1), ("v3", "d05", 1)],
    ),
    "phone": (
        [{"_id": "p1", "text": "my lamp at the front is dark"}, {"_id": "p2", "text": "I cannot open my lock"},
         {"_id": "p3", "text": "bike in winter"}],
        [("p1", "d13", 1), ("p2", "d15", 1), ("p3", "d18", 1)],
    ),
}  # fmt: skip


class TinySuite(NamedTuple):
    """A suite's folder, which a test may edit, and the suite as it was read from it."""

    folder: Path
    suite: Suite

    def edit(self, part: str, old: str, new: str) -> Suite:
        """The suite after one replacement in one of its files."""
        path = self.folder / part
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {part}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return suite_module.load(self.folder)


def _write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _write_qrels(path: Path, rows: Sequence[tuple[str, str, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["query-id\tcorpus-id\tscore\n", *(f"{q}\t{d}\t{g}\n" for q, d, g in rows)]
    path.write_text("".join(lines), encoding="utf-8")


def write_tiny_suite(folder: Path) -> Path:
    """The folder of the suite that `tiny_suite` hands out."""
    _write_jsonl(folder / "corpus.jsonl", [{"_id": i, "title": t, "text": x} for i, (t, x) in DOCUMENTS.items()])
    for name, (queries, qrels) in {**OTHER_SETS, "shop": (HELD_OUT, HELD_OUT_QRELS)}.items():
        _write_jsonl(folder / "queries" / f"{name}.jsonl", queries)
        _write_qrels(folder / "qrels" / f"{name}.tsv", qrels)
    (folder / "suite.toml").write_text(SUITE_TOML, encoding="utf-8")
    return folder


@pytest.fixture
def tiny_suite(tmp_path: Path) -> TinySuite:
    """20 documents, 8 held-out queries with grades 0–2, and a few train, dev and out-of-distribution queries."""
    folder = write_tiny_suite(tmp_path / "tiny")
    return TinySuite(folder, suite_module.load(folder))


# --- hash_encoder ------------------------------------------------------------------------------------


class HashEncoder:
    """Words hashed into 64 dimensions: an encoder without weights. `weights` stands for them; `encoded` counts."""

    dim = 64

    def __init__(self, weights: str = "w0", query_prompt: str = "") -> None:
        self.weights, self.query_prompt = weights, query_prompt
        self.encoded = 0

    def fingerprint(self) -> Mapping[str, Any]:
        """The salt of the hash, and the prompt."""
        return {"kind": "hash", "weights": self.weights, "query_prompt": self.query_prompt}

    def prompted(self, texts: Sequence[str], kind: str) -> list[str]:
        """Queries get their prompt."""
        return [(self.query_prompt if kind == "query" else "") + text for text in texts]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32[n_texts, 64]; a zero row for a text without words."""
        self.encoded += len(texts)
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                digest = hashlib.blake2b(f"{self.weights}:{word.strip('.,;?')}".encode(), digest_size=8).digest()
                rows[row, digest[0] % self.dim] += 1 if digest[1] % 2 else -1
        return rows


@pytest.fixture
def hash_encoder() -> HashEncoder:
    """An encoder that hashes words into 64 dimensions and counts the texts it encodes."""
    return HashEncoder()


@pytest.fixture(scope="session")
def new_hash_encoder():
    """Another such encoder: `new_hash_encoder("other weights")`."""
    return HashEncoder


@pytest.fixture(scope="session")
def dense_system():
    """dense_system(encoder, store, …) → one dense system, without a config file."""

    def build(
        encoder: Any,
        store: Store,
        *,
        name: str = "hash",
        dim: int | None = None,
        precision: str = "float32",
        similarity: str = "cosine",
        base: Path = Path(),
    ) -> Dense:
        config = Config.model_validate({"kind": "dense", "encoder": {}, "similarity": similarity})
        return Dense(name, encoder, dim or encoder.dim, precision, config, Context(base, store))

    return build


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty working folder."""
    return Store(tmp_path / ".bench")


# --- runs and results by hand ------------------------------------------------------------------------


def build_run(
    rankings: Mapping[str, Sequence[tuple[str, float]]],
    *,
    system: str = "by hand",
    depth: int = 100,
    doc_ids: Sequence[str] | None = None,
    **more: Any,
) -> Run:
    """A run from query id → [(document id, score), …]."""
    ids = list(doc_ids) if doc_ids is not None else sorted({d for pairs in rankings.values() for d, _ in pairs})
    width = max(1, *(len(pairs) for pairs in rankings.values()))
    docs = np.full((len(rankings), width), -1)
    scores = np.zeros((len(rankings), width))
    for row, pairs in enumerate(rankings.values()):
        docs[row, : len(pairs)] = [ids.index(d) for d, _ in pairs]
        scores[row, : len(pairs)] = [s for _, s in pairs]
    header = {
        "system_digest": "s", "query_set": "by hand", "query_set_digest": "q", "corpus_digest": "c",
    } | more  # fmt: skip
    return Run.build(
        system=system, query_ids=list(rankings), doc_ids=ids, docs=docs, scores=scores, depth=depth, **header
    )


@pytest.fixture(scope="session")
def make_run():
    """make_run({"q1": [("d1", 2.0), …]}) → a Run."""
    return build_run


class KnownRuns(NamedTuple):
    """Judgements, a run, and what every measure must be, worked out on paper."""

    qrels: dict[str, dict[str, int]]
    run: Run
    answers: dict[str, dict[str, float]]
    judged: dict[str, float]


@pytest.fixture(scope="session")
def known_runs() -> KnownRuns:
    """Three judged queries with answers worked out on paper; a and b tie under q1, q4 has no positive."""
    qrels = {"q1": {"a": 2, "b": 1, "c": 0}, "q2": {"a": 1}, "q3": {"b": 1, "z": 1}, "q4": {"a": 0}}
    run = build_run(
        {
            # a and b tie, and ids descend: c b a. Gains 0 1 2.
            "q1": [("c", 3.0), ("a", 2.0), ("b", 2.0)],
            # Gains 0 0 1.
            "q2": [("b", 3.0), ("c", 2.0), ("a", 1.0)],
            # Gains 1; z is never found.
            "q3": [("b", 1.0)],
            "q4": [("a", 1.0)],
        }
    )
    log3 = math.log2(3)
    answers = {
        # dcg 0 + 1/log2(3) + 2/log2(4) = 1.63093; ideal 2 + 1/log2(3) = 2.63093
        # q2: 1/log2(4) = .5; q3: dcg 1, ideal 1 + 1/log2(3)
        "ndcg@10": {"q1": (1 / log3 + 1) / (2 + 1 / log3), "q2": 0.5, "q3": 1 / (1 + 1 / log3)},
        # q1 sees c b: one of two.
        "recall@2": {"q1": 0.5, "q2": 0.0, "q3": 0.5},
        "precision@2": {"q1": 0.5, "q2": 0.0, "q3": 0.5},
        "hit@1": {"q1": 0.0, "q2": 0.0, "q3": 1.0},
        "mrr": {"q1": 1 / 2, "q2": 1 / 3, "q3": 1.0},
        # The first relevant one at rank 3 lies below the cutoff.
        "mrr@2": {"q1": 1 / 2, "q2": 0.0, "q3": 1.0},
        # q1: (1/2 + 2/3) / 2; q3: 1 / 2
        "map": {"q1": 7 / 12, "q2": 1 / 3, "q3": 0.5},
        # Cut at R: q1 c b → 1/2; q2 b → 0; q3 b → 1/2
        "rprec": {"q1": 0.5, "q2": 0.0, "q3": 0.5},
    }
    return KnownRuns(qrels, run, answers, {"q1": 1.0, "q2": 1 / 3, "q3": 1.0})


def build_result(
    values: Mapping[str, Sequence[float]],
    *,
    system: str = "system",
    query_set: str = "shop",
    role: str = "held-out",
    judged: Sequence[float] | float = 1.0,
    condensed: Mapping[str, Sequence[float]] | None = None,
    lists: Mapping[str, str] | None = None,
    query_ids: Sequence[str] | None = None,
    clusters: Sequence[str | None] | None = None,
    pinned: Sequence[int] = (),
    missing: Sequence[str] = (),
    left_out: int = 0,
    tie_spread: Mapping[str, float] | None = None,
    judged_negative_share: float = 0.0,
    environment: Mapping[str, Any] | None = None,
    protocol: EvalProtocol | None = None,
    corpus_digest: str = "corpus",
    query_set_digest: str = "queries",
    labels_digest: str = "labels",
) -> Result:
    """A result with these per-query values; rankings count as different unless `lists` says otherwise."""
    measures = tuple(values)
    table = np.asarray([values[m] for m in measures], dtype=np.float64).T.copy()
    n = len(table)
    ids = tuple(query_ids or (f"q{i:03}" for i in range(n)))
    return Result(
        system=system,
        system_digest=f"digest of {system}",
        kind="dense",
        suite="tiny",
        suite_version=1,
        suite_digest="suite",
        query_set=query_set,
        role=role,
        query_set_digest=query_set_digest,
        corpus_digest=corpus_digest,
        labels_digest=labels_digest,
        protocol=protocol or EvalProtocol(measures),
        run_digest=f"run of {system}",
        scores=Scores(
            measures=measures,
            query_ids=ids,
            values=table,
            judged=np.broadcast_to(np.asarray(judged, dtype=np.float64), (n,)).copy(),
            lists=lists if lists is not None else {m: f"{system} {m}" for m in measures},
            left_out=left_out,
            missing=tuple(missing),
            tie_spread=dict(tie_spread or {}),
            condensed=None if condensed is None else np.asarray([condensed[m] for m in measures], dtype=float).T.copy(),
        ),
        top_ids=tuple(("d1", "d2") for _ in range(n)),
        clusters=tuple(clusters) if clusters is not None else (None,) * n,
        slices=((),) * n,
        pinned=tuple(i in set(pinned) for i in range(n)),
        judged_negative_share=judged_negative_share,
        environment=dict(environment or {}),
    )


@pytest.fixture(scope="session")
def make_result():
    """make_result({"recall@10": [1, 0, …]}, …) → a Result."""
    return build_result


@pytest.fixture(scope="session")
def make_corpus():
    """make_corpus({"d1": "text"}) → a Corpus."""
    return lambda texts, name="corpus": Corpus.build(name, texts.items())


@pytest.fixture(scope="session")
def make_queries():
    """make_queries({"q1": "text"}) → a held-out QuerySet."""
    return lambda texts, name="shop", role="held-out", corpus="corpus": QuerySet.build(
        name, role, corpus, texts.items()
    )


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """The development data sets, read from where BENCH_DATA says."""
    place = os.environ.get("BENCH_DATA")
    if not place:
        pytest.skip("BENCH_DATA is not set: it names the folder of development data sets")
    return Path(place)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A two-layer BERT with random weights and a vocabulary of letters, as a Sentence Transformers folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=64)
    pooling = Pooling(32, pooling_mode="mean")
    model = SentenceTransformer(modules=[transformer, pooling], device="cpu")
    model.save_pretrained(str(folder / "tiny"), create_model_card=False)
    return folder / "tiny"
