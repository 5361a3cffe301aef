"""Three suites from real data, each with a held-out set of its own domain and an out-of-distribution set of another.

    python docs/loop/make_suites.py DATA OUT

DATA holds folders in BEIR's layout: stackfaq, medquad, covidqa, cranfield. Documents are read from there; OUT gets
queries, judgements and declarations. Evaluation sets are cut to 300 queries (100 out of distribution), whole clusters
at a time, drawn with a seed, so that rerankers can be afforded on two cores; medquad is cut to 1,200 training queries
and 3,000 documents, those that are judged among them. Each folder also gets `bench.toml`.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

OUT_OF_DISTRIBUTION = {"stackfaq": "cranfield", "medquad": "covidqa", "covidqa": "stackfaq"}
MOST = {"train": None, "dev": 200, "held-out": 300, "out-of-distribution": 100}
MOST_IN = {("medquad", "train"): 1200}
MOST_DOCUMENTS = {"medquad": 3000}
SPLIT = {"train": "train", "dev": "dev", "held-out": "test", "out-of-distribution": "test"}


def rows(path: Path) -> list[dict]:
    """JSON lines."""
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def judgements(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Query id → (document id, grade)."""
    found = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        query_id, doc_id, grade = line.split("\t")
        found[query_id].append((doc_id, grade))
    return found


def cluster(data: str, query_id: str, doc_id: str, titles: dict[str, str]) -> str:
    """What paraphrases or neighbours share: the thread, the page's title, the article; in cranfield nothing."""
    if data == "medquad":
        return titles[doc_id].strip().lower()
    return {"stackfaq": query_id, "covidqa": doc_id}.get(data, "").split("-")[0]


def write_set(source: Path, role: str, out: Path, name: str) -> set[str]:
    """Queries with their clusters, and judgements; returns the judged documents."""
    texts = {row["_id"]: row["text"] for row in rows(source / "queries.jsonl")}
    titles = {row["_id"]: row.get("title", "") for row in rows(source / "corpus.jsonl")}
    judged = judgements(source / "qrels" / f"{SPLIT[role]}.tsv")
    clusters = {q: cluster(source.name, q, docs[0][0], titles) for q, docs in judged.items()}
    chosen = list(judged)
    most = MOST_IN.get((source.name, role), MOST[role])
    if most is not None and len(chosen) > most:
        groups = defaultdict(list)
        for query_id in chosen:
            groups[clusters[query_id] or query_id].append(query_id)
        names = sorted(groups)
        drawn: set[str] = set()
        for i in np.random.default_rng(0).permutation(len(names)):
            if len(drawn) + len(groups[names[i]]) <= most:
                drawn.update(groups[names[i]])
        chosen = [query_id for query_id in chosen if query_id in drawn]
    lines = []
    for query_id in chosen:
        row = {"_id": query_id, "text": texts[query_id]}
        lines.append(json.dumps(row | ({"cluster": clusters[query_id]} if clusters[query_id] else {})))
    (out / "queries").mkdir(parents=True, exist_ok=True)
    (out / "qrels").mkdir(exist_ok=True)
    (out / "queries" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = [f"{q}\t{doc_id}\t{grade}" for q in chosen for doc_id, grade in judged[q]]
    header = "query-id\tcorpus-id\tscore"
    (out / "qrels" / f"{name}.tsv").write_text("\n".join([header, *table]) + "\n", encoding="utf-8")
    return {doc_id for q in chosen for doc_id, _ in judged[q]}


def corpus_path(source: Path, out: Path, judged: set[str]) -> str:
    """The corpus where it lies, or a part of it: what is judged, filled up with documents drawn by a seed."""
    whole = source / "corpus.jsonl"
    most = MOST_DOCUMENTS.get(source.name)
    if most is None or not judged:
        return str(whole.resolve())
    documents = rows(whole)
    others = [i for i, row in enumerate(documents) if row["_id"] not in judged]
    drawn = np.random.default_rng(0).permutation(others)[: most - len(judged)]
    kept = judged | {documents[i]["_id"] for i in drawn}
    lines = [json.dumps(row) for row in documents if row["_id"] in kept]
    (out / "corpus.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "corpus.jsonl"


def main(data: Path, out: Path) -> None:
    """Write the suites."""
    for home, abroad in OUT_OF_DISTRIBUTION.items():
        folder = out / home
        sets = [(role, home, role) for role in ("train", "dev", "held-out")]
        sets.append(("out-of-distribution", abroad, abroad))
        judged: dict[str, set[str]] = {home: set(), abroad: set()}
        text = ""
        for role, corpus, name in sets:
            judged[corpus] |= write_set(data / corpus, role, folder, name)
            text += (
                f'\n[[query_sets]]\nname = "{name}"\nrole = "{role}"\ncorpus = "{corpus}"\n'
                f'queries = "queries/{name}.jsonl"\nqrels = "qrels/{name}.tsv"\n'
            )
            if role == "out-of-distribution":
                text += f'why = "Questions and documents of another field ({abroad})."\n'
        head = f'name = "{home}"\nmeasures = ["recall@10", "ndcg@10", "mrr@10", "recall@100"]\ndepth = 100\n'
        for corpus, documents in judged.items():
            path = corpus_path(data / corpus, folder, documents)
            head += f'\n[corpora.{corpus}]\nsource = "jsonl"\npath = {json.dumps(path)}\n'
        text = head + text
        (folder / "suite.toml").write_text(text, encoding="utf-8")
        (folder / "bench.toml").write_text((Path(__file__).parent / "bench.toml").read_text(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
