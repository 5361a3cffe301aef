"""Writes formats/: one small file of every format that the program stores and reads back, for test_stored_formats.py.

Run by hand, from the repository's root, with the extras of the tests installed:

    python tests/golden/make_formats.py

The point of these files is that an older version of the program wrote them. They are made anew only where a format
number changes on purpose; whoever does that says in the change which files users lose. A test that fails because a
reader has changed is mended in the reader.

Everything is written by the verbs themselves, in a folder of its own, with a server of embeddings, scores and answers
on this machine, and a model of 1,600 random weights. `expected.json` says what reading them must give.
"""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

from conftest import DOCUMENTS, HELD_OUT, HELD_OUT_QRELS, OTHER_SETS  # noqa: E402
from llm_server import _Handler  # noqa: E402
from model_server import ModelServer, _ModelHandler  # noqa: E402
from test_stored_formats import KEY, READINGS, digests, slices  # noqa: E402

import bench  # noqa: E402
from bench.base.store import RowCache  # noqa: E402
from bench.cli.main import main  # noqa: E402
from bench.project.workspace import Workspace  # noqa: E402
from bench.records import digest_of, digest_texts  # noqa: E402
from bench.train.fitting.finetune import finetune  # noqa: E402

OUT = HERE / "formats"
PORT = 18437
LIBRARIES = ("bm25s", "PyStemmer", "sentence-transformers", "transformers", "torch")
"""Their versions are part of digests; a test that reads these files pretends that they are installed."""

SUITE = """\
name = "bicycles"
version = 3
description = "Questions to a bicycle shop."
license = "CC0-1.0"
measures = ["ndcg@10", "recall@5"]
depth = 15
slices = ["length", "overlap", "field:channel"]

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
why = "Spoken, and by people who do not know the words of the trade."
"""

MORE_DOCUMENTS = {
    "e01": ("Pedal thread", "The left pedal has a left-hand thread: turn it backwards to take it off the crank arm."),
    "e02": ("Bottom bracket", "A creaking bottom bracket wants cleaning and grease on both cups before anything else."),
    "e03": ("Handlebar tape", "Wind the tape from the ends towards the stem, overlapping by a third; pull it tight."),
    "e04": ("Mudguard stays", "Cut the stays so that the mudguard clears the tyre by a finger all the way round it."),
    "e05": ("Bell mounting", "Mount the bell where the thumb reaches it without leaving the brake lever alone there."),
    "e06": ("Tubeless sealant", "Fresh sealant goes into tubeless tyres twice a year, sixty millilitres a wheel."),
}  # fmt: skip

MORE_TRAINING = [
    ("t3", "which way does the left pedal turn", "e01"), ("t4", "creak when pedalling", "e02"),
    ("t5", "new tape for the handlebar", "e03"), ("t6", "mudguard rubs on the tyre", "e04"),
]  # fmt: skip

BENCH = f"""\
suites = ["suite"]
store = "store"
history = "history.jsonl"

[systems.bm25]
kind = "bm25"

[systems.bm25-other]
kind = "bm25"
k1 = 1.2
b = 0.5
variant = "bm25+"
language = "german"

[systems.old]
kind = "dense"
encoder = {{ kind = "openai", base_url = "http://127.0.0.1:{PORT}/v1", model = "stand-in", dim = 16, api_key_env = "{KEY}" }}
dims = [16, 8]
precision = ["float32", "int8"]

[systems.remote]
kind = "dense"
encoder = {{ kind = "openai", base_url = "http://127.0.0.1:{PORT}/v1", model = "stand-in", dim = 16, api_key_env = "{KEY}", query_prompt = "query: " }}
dims = [16, 8]
precision = ["float32", "int8"]

[systems.remote-other]
kind = "dense"
encoder = {{ kind = "openai", base_url = "http://127.0.0.1:{PORT}/v1/", model = "stand-in", dim = 16, revision = "2", max_chars = 90, parameters = {{ user = "us" }} }}
dims = [16, 4]
precision = ["float32", "float16", "int8", "int4", "binary", "binary-rescore"]
similarity = "dot"

[systems.small]
kind = "dense"
encoder = {{ kind = "local", model = "./base-model", device = "cpu" }}
dims = [8]
precision = ["float32", "int8"]

[systems.small-other]
kind = "dense"
encoder = {{ kind = "local", model = "./base-model", max_length = 16, query_prompt = "q: ", document_prompt = "d: " }}

[systems.tuned]
kind = "dense"
encoder = {{ kind = "local", model = "finetune:tuned", device = "cpu" }}
dims = [8]
precision = ["float32", "int8"]

[systems.tuned-1]
kind = "dense"
encoder = {{ kind = "local", model = "finetune:tuned/seed-1", device = "cpu" }}
dims = [8]
precision = ["float32", "int8"]

[systems.served]
kind = "dense"
encoder = {{ kind = "local", model = "promoted:tuned", device = "cpu" }}

[systems.fused]
kind = "hybrid"
of = ["bm25", "remote"]
fusion = {{ method = "rrf", k = 10 }}

[systems.mixed]
kind = "hybrid"
of = ["bm25", "remote"]
fusion = {{ method = "convex" }}

[systems.mixed-fixed]
kind = "hybrid"
of = ["bm25", "remote@8/int8"]
fusion = {{ method = "convex", weight = 0.3 }}

[systems.reranked]
kind = "rerank"
first = "bm25"
reranker = {{ kind = "cohere", base_url = "http://127.0.0.1:{PORT}/v1", model = "stand-in-rerank", api_key_env = "{KEY}" }}
depth = 5

[systems.late]
kind = "rerank"
first = "bm25"
reranker = {{ kind = "late-interaction", model = "./base-model", device = "cpu" }}
depth = 5

[systems.crossed]
kind = "rerank"
first = "bm25"
reranker = {{ kind = "cross-encoder", model = "finetune:judge", device = "cpu", max_length = 32 }}
depth = 5

[systems.engine]
kind = "trec-run"
runs = {{ shop = "trec/shop.trec", phone = "trec/phone.trec" }}

[systems.own]
kind = "python"
function = "search:search"
version = "index of May"
roles = ["held-out"]

[pairs.asked]
seed = 0
accept = 0.4
from = [
  {{ kind = "llm", base_url = "http://127.0.0.1:{PORT}/v1", model = "stand-in", api_key_env = "{KEY}", passages = 3, min_passage_chars = 60, price = {{ input = 1.0, output = 10.0, source = "a list of this test", date = "2026-01-01" }} }},
  {{ kind = "title" }},
]

[pairs.asked.filters]
query_words = [2, 40]
paraphrase = {{ system = "remote", similarity = 0.95 }}

[finetune.tuned]
base = "small"
pairs = ["train", "pairs:asked"]
negatives = {{ file = "negatives.jsonl", per_query = 1 }}
matryoshka = [8, 4]
epochs = 2
batch_size = 4
learning_rate = 0.01
device = "cpu"
seeds = [0, 1]

[finetune.swept]
base = "small"
negatives = {{ from = ["bm25"], random_per_query = 1 }}
batch_size = 2
device = "cpu"
eval = {{ every = 1, measure = "ndcg@10" }}
sweep = {{ learning_rate = [0.001, 0.01] }}

[finetune.judge]
kind = "cross-encoder"
base = "small"
epochs = 2
batch_size = 2
learning_rate = 0.01
device = "cpu"

[finetune.broken]
base = "small"
epochs = 3
batch_size = 2
learning_rate = 0.01
checkpoint_every = 1
eval = {{ every = 2, measure = "recall@5" }}
device = "cpu"

[gate]
system = "remote"
alpha = 0.1

[[gate.rules]]
role = "held-out"
measures = ["ndcg@10", "recall@5"]
margin = 0.05
floor = 0.02

[[gate.rules]]
role = "held-out"
measures = ["ndcg@10"]
slice = "*"
margin = 0.3

[[gate.rules]]
role = "held-out"
measures = ["ndcg@10"]
dim = 8
keeps = 0.5

[[gate.rules]]
role = "held-out"
measures = ["ndcg@10"]
precision = "int8"
relative_margin = 0.2

[[gate.rules]]
role = "out-of-distribution"
measures = ["recall@5"]
minimum = 0.05

[[gate.ceilings]]
what = "index_bytes"
at_most = 2
of = "baseline"

[[gate.ceilings]]
what = "latency_ms_p95"
at_most = 1000000
of = "bm25"
"""  # noqa: E501 (an inline table of TOML has no line breaks)

SEARCH = '''\
"""A search function as users have one: documents whose number is the query's length, modulo."""


def search(text, k=5):
    """Document ids, best first."""
    start = len(text) % 20
    return [f"d{(start + i) % 20 + 1:02}" for i in range(k)]
'''

EVALUATED = ["bm25", "fused", "mixed", "reranked", "late", "engine", "own"]


class _Handled(_ModelHandler):
    """Embeddings and scores, and answers of a language model."""

    def good(self, asked):
        if self.path.endswith("/chat/completions"):
            return _Handler.good(self, asked)
        return super().good(asked)


class Server(ModelServer):
    """The tests' stand-in on a port that is part of what is digested."""

    def __init__(self):
        super().__init__()
        self.RequestHandlerClass = _Handled

    def server_bind(self):
        self.server_address = ("127.0.0.1", PORT)
        super().server_bind()


def bench_says(*arguments, code=0):
    """One verb; its exit code must be this one."""
    print("bench", *arguments, file=sys.stderr)
    found = main([*map(str, arguments)])
    if code is not None and found != code:
        raise SystemExit(f"bench {' '.join(map(str, arguments))}: exit code {found}, expected {code}")


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def judgements(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{g}\n" for q, d, g in rows), encoding="utf-8")


def write_suite(folder):
    """The tests' tiny suite with several slices, clusters, pinned queries and queries that nothing answers."""
    documents = DOCUMENTS | MORE_DOCUMENTS
    lines(folder / "corpus.jsonl", ({"_id": i, "title": t, "text": x} for i, (t, x) in documents.items()))
    shop = [dict(row, channel="counter" if i % 2 else "mail") for i, row in enumerate(HELD_OUT)]
    shop[1]["slice"] = ["brakes", "noise"]
    shop[2]["pinned"] = True
    shop.append({"_id": "h9", "text": "do you sell skateboards", "answerable": False, "channel": "mail"})
    lines(folder / "queries/shop.jsonl", shop)
    judgements(folder / "qrels/shop.tsv", HELD_OUT_QRELS)
    for name, (queries, qrels) in OTHER_SETS.items():
        more = MORE_TRAINING if name == "train" else []
        lines(folder / f"queries/{name}.jsonl", [*queries, *({"_id": i, "text": text} for i, text, _ in more)])
        judgements(folder / f"qrels/{name}.tsv", [*qrels, *((i, doc, 1) for i, _, doc in more)])
    (folder / "suite.toml").write_text(SUITE, encoding="utf-8")


def write_model(folder):
    """A BERT of one layer and eight dimensions with random weights, as a Sentence Transformers folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        (place / "vocab.txt").write_text("\n".join(vocabulary))
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
            max_position_embeddings=64,
        )
        BertModel(config).save_pretrained(place / "bert")
        BertTokenizerFast(str(place / "vocab.txt")).save_pretrained(place / "bert")
        transformer = Transformer(str(place / "bert"), max_seq_length=48)
        model = SentenceTransformer(modules=[transformer, Pooling(8, pooling_mode="mean")], device="cpu")
        model.save_pretrained(str(folder), create_model_card=False)


def write_engine(folder):
    """Run files of another engine."""
    folder.mkdir()
    for name, start, ids in (("shop", 0, [f"h{i}" for i in range(1, 10)]), ("phone", 12, ["p1", "p2", "p3"])):
        rows = []
        for number, query in enumerate(ids):
            rows += [f"{query} Q0 d{start + number + rank + 1:02} {rank} {9 - rank}.5 engine" for rank in range(6)]
        (folder / f"{name}.trec").write_text("\n".join(rows) + "\n")


def answers_for(path, digest, ids, *, rejected=()):
    """The answers as the audit's page gives them to download (templates/audit.js writes them in the browser)."""
    rows = [{"id": one, "answer": "reject" if i in rejected else "accept", "note": ""} for i, one in enumerate(ids)]
    rows[0]["note"] = "good"
    document = {"format": 1, "kind": "pairs-audit-answers", "pairs": "asked", "digest": digest, "answers": rows}
    path.write_text(json.dumps(document, indent=1) + "\n")


def write_pairs(project):
    """Pairs, removed pairs, an audit, and the audit of an earlier file that was set aside."""
    config = project / "bench.toml"
    for seed, rejected in ((1, (0, 1)), (0, (2,))):
        config.write_text(BENCH.replace("seed = 0\naccept", f"seed = {seed}\naccept"), encoding="utf-8")
        bench_says("pairs", "make", "asked")
        bench_says("pairs", "audit", "asked", "--sample", 6, "--out", "audit.html")
        audit = json.loads(Path("pairs/asked.audit.json").read_text())
        answers_for(Path("answers.json"), audit["digest"], audit["sample"], rejected=rejected)
        bench_says("pairs", "audit", "asked", "--answers", "answers.json")
        if seed:
            # Made anew later, the file is another one, and these answers are set aside.
            Path("earlier").mkdir()
            shutil.copy("pairs/asked.jsonl", "earlier/asked.jsonl")
    Path("audit.html").unlink()


def write_history(project):
    """A log with results, one that is back, and accepted baselines."""
    log = project / "history.jsonl"
    log.unlink()
    bench_says("run", "--system", "own")
    shutil.copytree("store", "before")
    (project / "search.py").write_text(SEARCH.replace("len(text)", "3 * len(text)"))
    bench_says("run", "--system", "own")
    (project / "search.py").write_text(SEARCH)
    shutil.rmtree("store")
    shutil.move("before", "store")
    bench_says("run", "--system", "own")
    bench_says("baseline", "accept", "--system", "old", "--reason", "what is in use", "--allow-worse")


def break_training():
    """A training that is broken off after its second checkpoint."""

    def told(stage, done, total):
        if stage == "fine-tune bi-encoder" and done == 3:
            raise KeyboardInterrupt

    workspace = Workspace.open()
    recipe = workspace.config.finetune["broken"]
    evaluator = workspace.trainer(workspace.suite(), recipe)
    try:
        finetune("broken", recipe, evaluator=evaluator, base=workspace.base, config=workspace.config, progress=told)
    except KeyboardInterrupt:
        return
    raise SystemExit("the training was to break")


def write_project(project):
    """A whole project with its working folder."""
    write_suite(project / "suite")
    write_model(project / "base-model")
    write_engine(project / "trec")
    (project / "search.py").write_text(SEARCH)
    (project / "bench.toml").write_text(BENCH, encoding="utf-8")
    bench_says("run", "--gated", "--system", "old", "--out", "merge-base")
    bench_says("baseline", "accept", "--system", "old", "--reason", "what is in use")
    bench_says("run", "--gated", "--out", "gated", "--json-out", "run.json")
    bench_says("gate", code=None)
    bench_says("run", "--system", *EVALUATED, "--out", "results")
    for path in Path("results").iterdir():
        if path.name not in ("bm25.json", "fused.json"):
            path.unlink()
    Path("failing.toml").write_text(
        'suites = ["suite"]\nstore = "store"\n[systems.broken]\nkind = "python"\nfunction = "search:no_such"\n'
        '[systems.failing]\nkind = "python"\nfunction = "math:sqrt"\n'
    )
    bench_says("run", "--config", "failing.toml", "--system", "failing", "--json-out", "failed.json", code=4)
    Path("failing.toml").unlink()
    write_pairs(project)
    bench_says("mine", "tuned", "--from", "bm25")
    bench_says("finetune", "tuned")
    bench_says("loop", "tuned", "--share", 0.5, "--seed", 0, code=None)
    bench_says("finetune", "judge")
    bench_says("finetune", "swept")
    break_training()
    bench_says("run", "--system", "crossed")
    for model, system in (("tuned", "tuned"), ("tuned/seed-1", "tuned-1")):
        shutil.copytree("store", "before")
        # Against itself: random weights would not pass the gate against anything else.
        bench_says("run", "--gated", "--system", system)
        bench_says("baseline", "accept", "--system", system, "--reason", "as it is", "--baseline", "own.json")
        bench_says("models", "promote", model, "--system", system, "--baseline", "own.json", "--reason", f"try {model}")
        Path("own.json").unlink()
        if system == "tuned-1":
            # Its results would be more of the same.
            shutil.rmtree("store")
            shutil.move("before", "store")
        else:
            shutil.rmtree("before")
    bench_says("models", "rollback", "tuned", "--reason", "the first was better")
    bench_says("run", "--system", "served")
    bench_says("models", "manifest", "--system", "tuned/int8", "--corpus", "manual", "--out", "index/manifest.json")
    bench_says("drift", "--system", "remote", "--snapshot", "snapshot.jsonl", code=None)
    bench_says("drift", "--system", "remote", "--markdown", "issue.md", code=None)
    bench_says("gate", "--comment", "comment.md", "--comment-key", "night run / 2", code=None)
    bench_says("export", "model-card", "--system", "bm25", "--out", "card.md")
    write_history(project)


def write_folders(out):
    """Suites as other verbs write them."""
    bench_says("perturb", "project/suite", "--query-set", "shop", "--with", "typos", "--with", "casing", "--seed", 5,
               "--out", "perturbed")  # fmt: skip
    bench_says("export", "beir", "--suite", "project/suite", "--out", "beir")
    bench_says("import", "jsonl", "project/suite", "--out", "imported", "--split", "query", "--held-out", 0.4,
               "--seed", 3, "--set", "queries=queries/train.jsonl", "qrels=qrels/train.tsv")  # fmt: skip
    notes = out / "notes"
    notes.mkdir()
    (notes / "shop.md").write_text("# Opening hours\n\nWe open at nine and close at six.\n\n## Winter\n\nFrom ten.\n")
    (notes / "rent.txt").write_text("A bicycle costs twelve euros a day.\n")
    bench_says("init", "started", "--from", "notes", "--name", "shop-notes")
    shutil.rmtree(notes)


def tidy(out):
    """Nothing but formats: no locks, no caches; a model that no system works with keeps its JSON alone."""
    store = out / "project/store"
    for path in (store / "locks", store / ".gitignore", *out.rglob("__pycache__")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (store / "models").rglob("README.md"):
        path.unlink()  # a card, which no digest covers
    for folder in (store / "models/swept").glob("[!.]*/"):
        for path in folder.iterdir():
            if path.name not in ("lineage.json", "reference.jsonl"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- what reading must give ------------------------------------------------------------------------


def say(*arguments):
    """What a verb prints as JSON, with its exit code."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = main([*map(str, arguments), "--json"])
    return json.loads(printed.getvalue()) | {"code": code}


def readings():
    """What the test's own readings give, of a copy and without the server."""
    os.environ.pop(KEY)
    found = {}
    for name, reading in READINGS.items():
        shutil.copytree("project", "copy")
        os.chdir("copy")
        found[name] = reading(say)
        os.chdir("..")
        shutil.rmtree("copy")
    return found


def started():
    """The digest of the suite that `bench init` began, with one query and its judgement."""
    place = Path(shutil.copytree("started/suites/shop-notes", "copy"))
    (place / "queries/questions.jsonl").write_text('{"_id": "q1", "text": "when do you open"}\n')
    with (place / "qrels/questions.tsv").open("a") as stream:
        stream.write("q1\tshop.md#opening-hours\t1\n")
    found = digests(place)["suite"]
    shutil.rmtree(place)
    return found


def laid_out(value, depth=3, indent=""):
    """JSON with a line for every key of the first levels, and what is below them on one line."""
    if not depth or not isinstance(value, dict | list) or not value:
        return json.dumps(value, ensure_ascii=False)
    pairs = value.items() if isinstance(value, dict) else ((None, one) for one in value)
    inner = f",\n{indent} ".join(
        ("" if key is None else f"{json.dumps(key, ensure_ascii=False)}: ") + laid_out(one, depth - 1, f"{indent} ")
        for key, one in pairs
    )
    left, right = "{}" if isinstance(value, dict) else "[]"
    return f"{left}\n{indent} {inner}\n{indent}{right}"


def half_way(project):
    """Where the broken training stood."""
    import torch

    (path,) = project.glob("store/models/broken/.training-*/state.pt")
    curves = torch.load(path, weights_only=True)["curves"]
    return {key: curves[key] for key in ("step", "steps", "history", "best", "rows_seen")}


def expected():
    """Values as this version has them, of the files as they lie in the current folder."""
    workspace = Workspace.open("project/bench.toml")
    suite = workspace.suite()
    evaluator = workspace.evaluator(suite)
    store = Path("project/store")
    return {
        "written": {
            "by": f"retrieval-gate {bench.__version__}",
            "on": datetime.now(UTC).date().isoformat(),
            "python": sys.version.split()[0],
            "libraries": {name: version(name) for name in LIBRARIES},
        },
        "plain": {
            "digest_of": digest_of({"b": [1, 0.5, None, True, "ä"], "a": {"z": "", "y": -0.25}}),
            "digest_texts": digest_texts([("a", "bc"), ("", "\ud800 half a pair"), ()]),
            "row key of a text": RowCache.key("Rahmenhöhe").hex(),
            "row key of a pair": RowCache.key("query", "document").hex(),
        },
        "suites": {name: digests(Path(name)) for name in ("project/suite", "perturbed", "imported", "beir")},
        "started": started(),
        "slices of shop": slices(Path("project/suite")),
        "policy": workspace.config.gate.policy().digest,
        "systems": {name: evaluator.system_digest(name) for name in evaluator.systems},
        "runs": {
            f"{name} on {query_set.name}": key
            for name in evaluator.systems
            for query_set in suite.query_sets.values()
            if (store / "runs" / (key := evaluator.run_key(name, query_set))).is_dir()
        },
        "results": {
            path.stem: json.loads(path.read_text())["digest"]
            for path in sorted((store / "results").glob("[0-9a-f]*.json"))
        },
        "broken training": half_way(Path("project")),
        "readings": readings(),
    }


def make():
    os.environ.update({KEY: "none", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"})
    os.environ.update({"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_DIR": "/nowhere"})
    with tempfile.TemporaryDirectory() as place, Server():
        out = Path(place)
        project = out / "project"
        project.mkdir()
        os.chdir(project)
        write_project(project)
        os.chdir(out)
        write_folders(out)
        tidy(out)
        found = expected()
        (out / "expected.json").write_text(laid_out(found) + "\n", encoding="utf-8")
        for name in ("project", "perturbed", "imported", "beir", "started"):
            shutil.rmtree(OUT / name, ignore_errors=True)
            shutil.copytree(name, OUT / name)
        shutil.copy("expected.json", OUT / "expected.json")
        os.chdir(HERE)


if __name__ == "__main__":
    make()
