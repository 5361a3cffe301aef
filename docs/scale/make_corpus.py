"""A made-up BEIR folder of any size, for measuring how cost grows: short documents with words by Zipf's law.

    python docs/scale/make_corpus.py FOLDER --documents 1000000

The same seed and sizes give the same files.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

LETTERS = np.array(list("etaoinshrdlucmfwypvbgk"))
VOCABULARY = 50_000
BLOCK = 10_000
SPLITS = {"train": 0.6, "dev": 0.1, "test": 0.3}


def make(folder: Path, *, documents: int, queries: int = 3_000, seed: int = 0) -> Path:
    """Write the folder: documents of 12 to 25 words, queries of 4 to 8 words that stand in their one document."""
    rng = np.random.default_rng(seed)
    vocabulary = _vocabulary(rng)
    weights = 1 / np.arange(1, len(vocabulary) + 1)
    weights /= weights.sum()
    asked = set(rng.choice(documents, size=min(queries, documents), replace=False).tolist())
    pairs = []
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as stream:
        for start in range(0, documents, BLOCK):
            lengths = rng.integers(12, 26, size=min(BLOCK, documents - start))
            words = vocabulary[rng.choice(len(vocabulary), size=int(lengths.sum()), p=weights)]
            for row, part in enumerate(np.split(words, np.cumsum(lengths)[:-1]), start):
                line = {"_id": f"d{row}", "title": "", "text": " ".join(part)}
                stream.write(json.dumps(line) + "\n")
                if row in asked:
                    pairs.append((f"d{row}", " ".join(rng.choice(part, size=rng.integers(4, 9), replace=False))))
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as stream:
        for number, (_, text) in enumerate(pairs):
            stream.write(json.dumps({"_id": f"q{number}", "text": text}) + "\n")
    # Shuffled, because the pairs stand in the documents' order.
    order = rng.permutation(len(pairs))
    ends = np.cumsum([round(share * len(pairs)) for share in SPLITS.values()])[:-1]
    for split, numbers in zip(SPLITS, np.split(order, ends), strict=True):
        lines = [f"q{number}\t{pairs[number][0]}\t1\n" for number in sorted(numbers.tolist())]
        text = "query-id\tcorpus-id\tscore\n" + "".join(lines)
        (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return folder


def _vocabulary(rng: np.random.Generator) -> np.ndarray:
    """Distinct made-up words of 2 to 10 letters, the shorter ones first, as in any language."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        for length in rng.integers(2, 11, size=VOCABULARY):
            words["".join(rng.choice(LETTERS, size=length))] = None
    return np.array(sorted(list(words)[:VOCABULARY], key=len), dtype=object)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=3_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(make(options.folder, documents=options.documents, queries=options.queries, seed=options.seed))
