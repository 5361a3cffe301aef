"""Writes golden/documents: what every verb prints as JSON, for tests/test_documents.py. And the run files it reads.

Run by hand, where a document is meant to change, with the versions of constraints.txt:

    python tests/golden/make_documents.py [default] [model]

Not another program's numbers, as the other golden files are: what `bench` itself printed at the commit in header.json.
"""

import gzip
import json
import random
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

import test_documents as documents  # noqa: E402 (found by the line above)

LIBRARIES = ("numpy", "scipy", "ranx", "bm25s", "PyStemmer", "torch", "sentence-transformers")
LARGE = 8_000
"""Characters from which on a document is packed."""

DEPTH = 20


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def four_letters(text: str) -> Counter:
    text = f" {text.lower()} "
    return Counter(text[i : i + 4] for i in range(len(text) - 3))


def ranked(corpus: str, queries: str, *, seed: int | None = None) -> str:
    """A TREC run of another engine: shared sequences of four letters, in whole numbers, so that some tie.

    With a seed it leaves out a third of what it finds, by chance.
    """
    clinic, chance = documents.CLINIC, random.Random(seed)
    index = defaultdict(dict)
    for row in rows(clinic / corpus):
        for letters, n in four_letters(f"{row.get('title', '')} {row['text']}").items():
            index[letters][row["_id"]] = n
    lines = []
    for row in rows(clinic / f"queries/{queries}.jsonl"):
        scores = Counter()
        for letters in four_letters(row["text"]):
            for doc_id, n in index.get(letters, {}).items():
                scores[doc_id] += 300 * n // ((n + 1) * (10 + len(index[letters])))
        found = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        if seed is not None:
            found = [item for item in found if chance.random() > 1 / 3]
        lines += [f"{row['_id']} Q0 {d} {rank} {score} four" for rank, (d, score) in enumerate(found[:DEPTH], 1)]
    return "\n".join(lines) + "\n"


def pack(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def write_runs() -> None:
    folder = documents.GOLDEN / "default" / "runs"
    for name in ("staff", "patient", "chart", "depot"):
        pack(folder / f"{name}.run.gz", ranked("depot/corpus.jsonl" if name == "depot" else "corpus.jsonl", name))
    pack(folder / "staff-worse.run.gz", ranked("corpus.jsonl", "staff", seed=0))
    # Half of one set's queries and half of another's: some judged ones are missing, some have no judgement.
    dev, chart = ranked("corpus.jsonl", "dev").splitlines(), ranked("corpus.jsonl", "chart").splitlines()
    pack(folder / "mixed.run.gz", "\n".join(dev[: len(dev) // 2] + chart[: len(chart) // 2]) + "\n")


def write_documents(part: str) -> dict:
    folder = documents.GOLDEN / part / "printed"
    for old in folder.glob("*.json*"):
        old.unlink()
    commands = {}
    with TemporaryDirectory() as scratch:
        for name, found in documents.printed(part, Path(scratch)).items():
            commands[name] = {"command": found.line, "exit": found.exit}
            packed = len(found.out) > LARGE
            pack(folder / f"{name}.json.gz", found.out) if packed else _write(folder / f"{name}.json", found.out)
            print(f"{part}/{name}: exit {found.exit}, {len(found.out)} characters {found.err[-300:]}")
    return commands


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main(parts: list[str]) -> None:
    header_path = documents.GOLDEN / "header.json"
    header = json.loads(header_path.read_text()) if header_path.exists() else {}
    if "default" in parts:
        write_runs()
    git = ["git", "log", "-1", "--format=%h", "--", ":/bench"]
    commit = subprocess.run(git, capture_output=True, text=True, cwd=HERE, check=True).stdout.strip()
    for part in parts:
        header[part] = {
            "command": f"python tests/golden/make_documents.py {part}",
            "date": date.today().isoformat(),
            "commit": commit,
            "python": sys.version.split()[0],
            "versions": {name: version(name) for name in LIBRARIES},
            "documents": write_documents(part),
            "kernels": documents.kernels(),
        }
    header_path.write_text(json.dumps(header, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or ["default", "model"])
