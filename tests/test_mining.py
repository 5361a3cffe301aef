"""Hard negatives: margins worked on paper, planted false negatives, files by hand, and the report of it all."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bench.base.errors import ConfigError, PairsError
from bench.cli.main import main
from bench.config import NegativesConfig, load_bench
from bench.evaluation.evaluate import Evaluator
from bench.records import digest_of
from bench.report import Material
from bench.report.forms.html import render
from bench.report.forms.markdown import markdown
from bench.report.sections import mining as section
from bench.retrieval.systems.bm25 import BM25
from bench.retrieval.systems.bm25 import Config as BM25Config
from bench.suites import suite as suite_module
from bench.train.mining import mine
from bench.train.mining_report import Histogram
from bench.train.negatives import read_negatives, write_negatives
from bench.train.pairs import Pair, Pairs, judged_pairs
from bench.train.positives import KnownPositives

# A document's text ends in its cosine to every query: what a margin lets pass can be read off.
SCORED = {
    "gold": "alpha answer 0.80",
    "second": "bravo answer 0.60",
    "n95": "charlie 0.95",
    "n79": "delta 0.79",
    "n70": "echo 0.70",
    "n59": "foxtrot 0.59",
    "n57": "golf 0.57",
    "n50": "hotel 0.50",
    "n30": "india 0.30",
    "n10": "juliet 0.10",
}


def from_suite(suite):
    """The training pairs as judged; these tests are about negatives, and some suites here are too small for leaks."""
    return Pairs(tuple(judged_pairs(suite, "train")), (), ("train",))


class CosineEncoder:
    """Documents stand at the cosine to every query that their text ends in."""

    dim = 2

    def fingerprint(self):
        return {"kind": "cosine"}

    def prompted(self, texts, kind):
        return list(texts)

    def encode(self, texts):
        def cosine(text):
            try:
                return float(text.rsplit(" ", 1)[-1])
            except ValueError:
                return 1.0

        return np.asarray([[cosine(t), math.sqrt(1 - cosine(t) ** 2)] for t in texts], dtype=np.float32)


def write_suite(folder, documents, queries, qrels):
    folder.mkdir(parents=True)
    rows = [json.dumps({"_id": i, "text": t}) for i, t in documents.items()]
    (folder / "corpus.jsonl").write_text("\n".join(rows) + "\n")
    held = [("held", "h1", "nothing like it", [("h1", next(iter(documents)), 1)], "held-out")]
    sets = [("train", queries, qrels, "train"), *((n, {i: t}, q, r) for n, i, t, q, r in held)]
    toml = 'name = "scored"\nmeasures = ["recall@10"]\ndepth = 100\n[corpora.kb]\npath = "corpus.jsonl"\n'
    for name, texts, judged, role in sets:
        rows = [json.dumps({"_id": i, "text": t}) for i, t in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
        (folder / f"{name}.tsv").write_text("q\td\ts\n" + "".join(f"{q}\t{d}\t{g}\n" for q, d, g in judged))
        toml += f'[[query_sets]]\nname = "{name}"\nrole = "{role}"\ncorpus = "kb"\n'
        toml += f'queries = "{name}.jsonl"\nqrels = "{name}.tsv"\n'
    (folder / "suite.toml").write_text(toml)
    return suite_module.load(folder)


QUERY = "what is asked"


@pytest.fixture
def scored(tmp_path, store, dense_system):
    """An evaluator whose one dense system scores by the numbers in the texts; `second` is a weaker positive."""
    suite = write_suite(tmp_path / "scored", SCORED, {"q": QUERY}, [("q", "gold", 1), ("q", "second", 1)])
    return Evaluator(suite, {"dense": dense_system(CosineEncoder(), store, name="dense")}, store)


def settings(**more):
    return NegativesConfig.model_validate({"from": ["dense"], "per_query": 1, "relative_margin": 0.0} | more)


def mined(evaluator, seed=0, pairs=None, **more):
    found = mine(evaluator, pairs or from_suite(evaluator.suite), settings(**more), seed=seed)
    return list(found.doc_ids["kb", QUERY]), found.report


@pytest.fixture
def bm25():
    return BM25("bm25", BM25Config.model_validate({"kind": "bm25"}))


# --- margins, on paper -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected", "too_close", "over_max"),
    [
        # The weakest positive scores .60: .95, .79 and .70 lie above it, whatever the best positive says.
        ({}, ["n59", "n57", "n50"], 3, 0),
        # .60 × .95 = .57: a candidate at the very margin stays (.57 is no larger than .57, in float32 as well).
        ({"relative_margin": 0.045}, ["n57", "n50", "n30"], 4, 0),
        # .60 × .9 = .54
        ({"relative_margin": 0.1}, ["n50", "n30", "n10"], 5, 0),
        # .60 − .25 = .35
        ({"margin": 0.25}, ["n30", "n10"], 6, 0),
        # Both: the stricter one, min(.54, .55)
        ({"margin": 0.05, "relative_margin": 0.1}, ["n50", "n30", "n10"], 5, 0),
        # .59 and .57 pass the margin and lie above .55.
        ({"max_score": 0.55}, ["n50", "n30", "n10"], 3, 2),
        ({"max_score": 0.95}, ["n59", "n57", "n50"], 3, 0),
    ],
)
def test_margins_are_those_worked_on_paper(scored, given, expected, too_close, over_max):
    found, report = mined(scored, per_query=len(expected), **given)
    assert found == expected
    assert (report.too_close, report.over_max_score, report.known_positives) == (too_close, over_max, 2)
    assert report.candidates == len(SCORED)
    assert report.filled_at_random == 0


def test_rank_range_is_kept(scored):
    # By score: n95 gold n79 n70 second n59 n57 n50 n30 n10
    found, report = mined(scored, skip=6, depth=2, per_query=2)
    assert found == ["n57", "n50"]
    assert report.ranks == (7, 8)
    assert report.candidates == 2


def test_no_rank_left_is_refused(scored):
    with pytest.raises(ConfigError, match="keeps 100 ranks"):
        mined(scored, skip=100)


def test_negative_cosine_margin_goes_down_not_up(tmp_path, store, dense_system):
    # −.20 − .1·|−.20| = −.22: −.21 is too close; (1 − .1)·(−.20) = −.18 would let it pass.
    documents = {"gold": "alpha -0.20", "near": "bravo -0.21", "far": "charlie -0.50"}
    suite = write_suite(tmp_path / "s", documents, {"q": QUERY}, [("q", "gold", 1)])
    evaluator = Evaluator(suite, {"dense": dense_system(CosineEncoder(), store, name="dense")}, store)
    found, report = mined(evaluator, relative_margin=0.1)
    assert found == ["far"]
    assert report.too_close == 1


def test_margin_without_a_model_to_score_by_is_refused(scored, bm25):
    evaluator = Evaluator(scored.suite, {"bm25": bm25}, scored.store)
    for more in ({"margin": 0.1}, {"max_score": 0.5}):
        with pytest.raises(ConfigError, match="expected a dense system"):
            mined(evaluator, **{"from": ["bm25"], **more})


def test_reference_scores_what_another_system_ranked(tmp_path, store, dense_system, bm25):
    suite = write_suite(tmp_path / "s", SCORED, {"q": "charlie or golf"}, [("q", "second", 1)])
    dense = dense_system(CosineEncoder(), store, name="dense")
    evaluator = Evaluator(suite, {"bm25": bm25, "dense": dense}, store)
    found = mine(evaluator, from_suite(suite), settings(**{"from": ["bm25"], "reference": "dense"}))
    # BM25 finds n95 and n57 by their words; .95 lies above the positive's .60.
    assert found.doc_ids["kb", "charlie or golf"] == ("n57",)
    assert (found.report.reference, found.report.candidates, found.report.too_close) == ("dense", 2, 1)
    bare = mine(evaluator, from_suite(suite), settings(**{"from": ["bm25"]}))
    assert bare.report.reference is None and bare.report.too_close == 0


def test_reference_is_found_among_the_parts_of_a_hybrid(tmp_path, store, dense_system, bm25):
    from bench.retrieval.systems.hybrid import Config, Hybrid

    suite = write_suite(tmp_path / "s", SCORED, {"q": "charlie or golf"}, [("q", "second", 1)])
    hybrid = Hybrid("hybrid", Config.model_validate({"kind": "hybrid", "of": ["bm25", "dense"]}))
    dense = dense_system(CosineEncoder(), store, name="dense")
    evaluator = Evaluator(suite, {"bm25": bm25, "dense": dense, "hybrid": hybrid}, store)
    found = mine(evaluator, from_suite(suite), settings(**{"from": ["hybrid"]}))
    assert found.report.reference == "dense"
    assert found.doc_ids["kb", "charlie or golf"] == ("n59",)


# --- what answers the query ------------------------------------------------------------------------


def test_copies_and_near_copies_of_a_positive_are_no_negatives(tmp_path, store, bm25):
    answer = "one two three four five six seven eight nine ten"
    documents = {
        "gold": answer,
        "copy": "  ONE two three four five six seven eight nine TEN ",
        # 9 of 11 words shared: 9/11 = .82
        "near": answer.replace("ten", "eleven"),
        # 8 of 12: .67
        "other": answer.replace("nine ten", "lima mike"),
        "far": "one alone among strangers",
    }
    suite = write_suite(tmp_path / "s", documents, {"q": "one two three"}, [("q", "gold", 1)])
    evaluator = Evaluator(suite, {"bm25": bm25}, store)
    found = mine(evaluator, from_suite(suite), settings(**{"from": ["bm25"], "per_query": 2}))
    assert set(found.doc_ids["kb", "one two three"]) == {"other", "far"}
    assert (found.report.copies_of_positives, found.report.near_copies) == (1, 1)


def test_random_negatives_are_no_copies_either(tmp_path, store, bm25):
    documents = {"gold": "the answer itself", "other": "zulu", **{f"copy{i}": "The  answer itself" for i in range(30)}}
    suite = write_suite(tmp_path / "s", documents, {"q": "answer"}, [("q", "gold", 1)])
    evaluator = Evaluator(suite, {"bm25": bm25}, store)
    for seed in range(5):
        found = mine(evaluator, from_suite(suite), settings(**{"from": ["bm25"]}), seed=seed)
        assert found.doc_ids["kb", "answer"] == ("other",)
    with pytest.raises(ConfigError, match="has only 1 documents"):
        mine(evaluator, from_suite(suite), settings(**{"from": ["bm25"], "per_query": 2}))


def test_positive_of_the_same_question_in_other_case_or_set_is_no_negative(scored):
    pairs = from_suite(scored.suite)
    more = Pair("q9", "WHAT is  asked", "n59", SCORED["n59"], "kb", "expert")
    found, report = mined(scored, pairs=Pairs((*pairs.pairs, more), (), ()))
    # .59 is a positive now, and the weakest one.
    assert found == ["n57"]
    assert report.known_positives == 2 * 3


def test_dev_judgements_count_as_positives_and_held_out_ones_are_not_opened(tiny_suite):
    pairs = from_suite(tiny_suite.suite)
    asked = Pair("x", "rear light battery empty", "d14", "battery", "manual", "expert")
    held = Pair("y", "oil the chain", "d05", "oil", "manual", "expert")
    answers = KnownPositives(tiny_suite.suite, Pairs((*pairs.pairs, asked, held), (), ()))
    corpus = tiny_suite.suite.corpora["manual"]
    assert answers.of("rear light battery empty", corpus).ids == {"d14", "d13"}
    # Held-out h7 says d06 and d18 of "oil the chain"; mining may not know.
    assert answers.of("oil the chain", corpus).ids == {"d05"}


# --- drawing ---------------------------------------------------------------------------------------


def test_pick_at_random_stays_within_the_range_and_margins(scored):
    seen = {mined(scored, seed=seed, pick="random")[0][0] for seed in range(40)}
    # Five pass the margin; each of 40 seeds draws one: all but surely each comes up.
    assert seen == {"n59", "n57", "n50", "n30", "n10"}
    assert mined(scored, seed=7, pick="random", per_query=3)[0] == mined(scored, seed=7, pick="random", per_query=3)[0]


def test_another_query_changes_nobodys_negatives(tiny_suite, store, bm25):
    evaluator = Evaluator(tiny_suite.suite, {"bm25": bm25}, store)
    few = from_suite(tiny_suite.suite)
    more = Pairs((Pair("a", "bent hanger", "d08", "A bent hanger", "manual", "expert"), *few.pairs), (), ())
    wanted = NegativesConfig.model_validate({"from": ["bm25"], "per_query": 2, "random_per_query": 3, "pick": "random"})
    one, other = (mine(evaluator, pairs, wanted, seed=5) for pairs in (few, more))
    assert len(other.doc_ids) == len(one.doc_ids) + 1
    for key, ids in one.doc_ids.items():
        assert other.doc_ids[key] == ids


def test_blocks_of_queries_change_nothing(tiny_suite, store, bm25, hash_encoder, dense_system, monkeypatch):
    systems = {"bm25": bm25, "hash": dense_system(hash_encoder, store)}
    evaluator = Evaluator(tiny_suite.suite, systems, store)
    pairs = from_suite(tiny_suite.suite)
    wanted = NegativesConfig.model_validate({"from": ["bm25", "hash"], "per_query": 3, "pick": "random"})
    whole = mine(evaluator, pairs, wanted)
    monkeypatch.setattr("bench.train.mining.BLOCK", 1)
    parts = mine(evaluator, pairs, wanted)
    assert parts.digest == whole.digest
    assert parts.report.to_json() == whole.report.to_json()


def test_digest_follows_an_edited_negative(scored, tmp_path):
    before = mine(scored, from_suite(scored.suite), settings())
    documents = SCORED | {"n59": "foxtrot, mended 0.59"}
    suite = write_suite(tmp_path / "b", documents, {"q": QUERY}, [("q", "gold", 1), ("q", "second", 1)])
    after = mine(Evaluator(suite, scored.systems, scored.store), from_suite(suite), settings())
    assert before.doc_ids == after.doc_ids
    assert before.digest != after.digest


# --- pairs of no corpus ----------------------------------------------------------------------------


def test_pairs_of_no_corpus_are_refused_unless_told_where_to_mine(scored):
    pairs = Pairs((Pair("f1", QUERY, "", "an answer 0.60", "", "faq"),), (), ())
    with pytest.raises(ConfigError, match=r"1 of no corpus.*negatives\.corpus = \"kb\""):
        mine(scored, pairs, settings())
    found = mine(scored, pairs, settings(corpus="kb"))
    # The positive is in no corpus, and its own text is what margins go by: .60.
    assert found.doc_ids["", QUERY] == ("n59",)
    assert found.texts(("", QUERY)) == [SCORED["n59"]]
    # A document of the corpus with the positive's text answers as well.
    copied = Pairs((Pair("f1", QUERY, "", SCORED["n59"].upper(), "", "faq"),), (), ())
    assert mine(scored, copied, settings(corpus="kb", per_query=1)).doc_ids["", QUERY] == ("n57",)
    with pytest.raises(ConfigError, match='Did you mean "kb"'):
        mine(scored, pairs, settings(corpus="kbb"))


def test_document_that_left_the_corpus_is_a_positive_still(scored):
    pairs = Pairs((Pair("q", QUERY, "gone", "an answer 0.55", "kb", "expert"),), (), ())
    assert mine(scored, pairs, settings()).doc_ids["kb", QUERY] == ("n50",)


# --- the cross-encoder -----------------------------------------------------------------------------


class Reader:
    """Says that what holds the word "answer" or "planted" answers; counts the pairs it reads."""

    read = 0

    def fingerprint(self):
        return {"kind": "reader"}

    def score(self, pairs):
        Reader.read += len(pairs)
        scores = [3.0 if "answer" in d else 2.5 if "planted" in d else -len(d) / 10 for _, d in pairs]
        return np.asarray(scores, dtype=np.float32)


@pytest.fixture
def reader(monkeypatch):
    Reader.read = 0
    monkeypatch.setattr("bench.retrieval.rerankers.cross_encoder.build", lambda config, base, models: Reader())
    return {"reranker": {"kind": "cross-encoder", "model": "./reader"}}


def planted(tmp_path, store, dense_system, n_planted):
    documents = dict(SCORED)
    for i in range(n_planted):
        documents[f"p{i}"] = f"planted hit number {'x' * i} 0.58"
    suite = write_suite(tmp_path / "p", documents, {"q": QUERY}, [("q", "gold", 1), ("q", "second", 1)])
    return Evaluator(suite, {"dense": dense_system(CosineEncoder(), store, name="dense")}, store)


def test_planted_false_negatives_are_found_and_told(tmp_path, store, dense_system, reader):
    evaluator = planted(tmp_path, store, dense_system, 3)
    assert mined(evaluator, per_query=4)[0] == ["n59", "p0", "p1", "p2"], "without a check they are taken"
    # Weakest positive 3.0; planted 2.5 lies within 1 of it, and all others lie below 2.
    found, report = mined(evaluator, per_query=4, check=reader | {"margin": 1.0})
    assert found == ["n59", "n57", "n50", "n30"]
    assert report.by_reranker == 3
    assert {row["doc_id"] for row in report.to_json()["suspected"] if row["reason"] == "by_reranker"} == {
        "p0", "p1", "p2",
    }  # fmt: skip
    # 2 positives, n59 p0 p1 p2 in the first round, then three to take the places of the planted.
    assert Reader.read == 2 + 4 + 3


@pytest.mark.parametrize(
    ("check", "rejected"),
    [({}, 0), ({"margin": 0.5}, 3), ({"margin": 0.49}, 0), ({"threshold": 2.5}, 3), ({"threshold": 2.6}, 0)],
)
def test_check_rejects_from_its_margin_and_its_threshold_on(tmp_path, store, dense_system, reader, check, rejected):
    evaluator = planted(tmp_path, store, dense_system, 3)
    assert mined(evaluator, per_query=4, check=reader | check)[1].by_reranker == rejected


# --- manual negatives and files --------------------------------------------------------------------


def test_manual_negatives_go_first_and_known_positives_among_them_are_refused(scored, tmp_path):
    (tmp_path / "hard.tsv").write_text("query-id\tcorpus-id\nq\tn95\nq\tgold\nq\tn10\n")
    found, report = mined(scored, per_query=3, manual=str(tmp_path / "hard.tsv"))
    # People say that n95 is no answer, and no margin overrules them.
    assert found == ["n95", "n10", "n59"]
    assert report.from_system == {"manual": 2, "dense": 1}
    assert report.by_system["manual"] == {"candidates": 3, "known_positives": 1}


def test_mined_file_gives_back_what_was_written(scored, tmp_path):
    pairs = from_suite(scored.suite)
    first = mine(scored, pairs, settings(per_query=3))
    path = tmp_path / "out/negatives.jsonl"
    assert write_negatives(path, first, pairs, {"seed": 0}) == 1
    header = read_negatives(path).header
    assert header["digest"] == first.digest
    assert header["corpora"] == {"kb": scored.suite.corpora["kb"].digest}
    row = json.loads(path.read_text().splitlines()[1])
    assert row["positive_ids"] == ["gold", "second"]
    assert row["negatives"] == [SCORED[d] for d in row["negative_ids"]]
    again = mine(scored, pairs, NegativesConfig(file=str(path), per_query=3))
    assert again.doc_ids == first.doc_ids
    assert again.digest == first.digest


def test_file_is_topped_up_at_random_and_never_beyond_what_is_asked(scored, tmp_path):
    path = tmp_path / "n.jsonl"
    path.write_text('{"query": "what is asked", "negative_ids": ["second", "n10", "n30"]}\n')
    found = mine(scored, from_suite(scored.suite), NegativesConfig(file=str(path), per_query=1))
    assert found.doc_ids["kb", QUERY] == ("n10",)
    assert found.report.known_positives == 1
    wide = mine(scored, from_suite(scored.suite), NegativesConfig(file=str(path), per_query=4))
    assert wide.doc_ids["kb", QUERY][:2] == ("n10", "n30")
    assert len(set(wide.doc_ids["kb", QUERY])) == 4
    assert wide.report.filled_at_random == 2


def test_recipe_finds_its_file_beside_the_config(scored, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "n.jsonl").write_text('{"query_id": "q", "negative_id": "n30"}\n')
    (folder / "bench.toml").write_text(
        'suites = ["s"]\n[systems.bm25]\nkind = "bm25"\n[finetune.a]\nbase = "m"\nnegatives = { file = "n.jsonl" }\n'
    )
    monkeypatch.chdir(tmp_path)
    recipe = load_bench(folder / "bench.toml").finetune["a"]
    found = mine(scored, from_suite(scored.suite), recipe.negatives)
    assert found.doc_ids["kb", QUERY] == ("n30",)
    assert "base" not in recipe.negatives.model_dump(), "the folder is no part of a recipe's digest"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"file": "f", "from": ["bm25"]}, "leave out from, manual and check"),
        ({"file": "f", "manual": "m"}, "leave out from, manual and check"),
        ({}, "hard negatives need systems"),
        ({"from": ["a"], "margin": -0.1}, "greater than or equal to 0"),
        ({"from": ["a"], "relative_margin": 1.0}, "less than 1"),
        ({"from": ["a"], "pick": "any"}, "'top' or 'random'"),
        ({"from": ["a"], "check": {}}, "Field required"),
        ({"from": ["a"], "chek": {}}, "Extra inputs"),
        ({"per_query": 0}, "both 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given, says):
    with pytest.raises(ValueError, match=says):
        NegativesConfig.model_validate(given)


HEADER = '{"format": 1, "kind": "negatives"}\n'
GOOD = '{"query": "what is asked", "negative_ids": ["n10"]}\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("\n  \n", "is empty"),
        (HEADER, "a header and no negatives"),
        ("nonsense\n", "line 1: expected a JSON object"),
        ("[1, 2]\n", "line 1: expected a JSON object"),
        (GOOD + "{\n", "line 2: expected a JSON object"),
        (GOOD + GOOD[:30], "line 2: expected a JSON object"),
        ('{"format": 2, "kind": "negatives"}\n' + GOOD, "expected the header of a file of negatives"),
        ('{"format": true, "kind": "negatives"}\n' + GOOD, "expected the header of a file of negatives"),
        ('{"format": 1, "kind": "pairs"}\n' + GOOD, "expected the header of a file of negatives"),
        ('{"format": 1}\n' + GOOD, "expected the header of a file of negatives"),
        ('{"format": 1, "kind": "negatives", "corpora": ["kb"]}\n' + GOOD, '"corpora" is'),
        ('{"format": 1, "kind": "negatives", "queries": 7}\n' + GOOD, "announces 7 queries and holds 1"),
        ('{"format": 1, "kind": "negatives", "corpora": {"kb": "00"}}\n' + GOOD, 'from another corpus "kb"'),
        ('{"negative_ids": ["n10"]}\n', "names no query"),
        ('{"query": "  ", "negative_ids": ["n10"]}\n', "names no query"),
        ('{"query": 3, "negative_ids": ["n10"]}\n', '"query" is 3'),
        ('{"query_id": ["q"], "negative_ids": ["n10"]}\n', '"query_id" is'),
        ('{"query": "what is asked", "corpus": 1, "negative_ids": ["n10"]}\n', '"corpus" is 1'),
        ('{"query": "what is asked"}\n', 'expected "negative_ids"'),
        ('{"query": "what is asked", "negative_ids": ["n10"], "negative_id": "n10"}\n', 'expected "negative_ids"'),
        ('{"query": "what is asked", "negative_ids": "n10"}\n', "expected a list of document ids"),
        ('{"query": "what is asked", "negative_ids": []}\n', "expected a list of document ids"),
        ('{"query": "what is asked", "negative_ids": [10]}\n', "expected a list of document ids"),
        ('{"query": "what is asked", "negative_ids": [""]}\n', "expected a list of document ids"),
        ('{"query": "what is asked", "negative_id": null}\n', "expected a list of document ids"),
        ('{"query": "what is asked", "negative_ids": ["n10", "n10"]}\n', '"n10" is listed twice'),
        ('{"query": "what is asked", "negatve_ids": ["n10"]}\n', 'Did you mean "negative_ids"'),
        ('{"query": "what is asked", "negative_ids": ["n01"]}\n', 'not in corpus "kb"'),
        ('{"query": "asked by nobody", "negative_ids": ["n10"]}\n', "none of its 1 lines is of any of the 1"),
        ('{"query": "what is asked", "corpus": "other", "negative_ids": ["n10"]}\n', "none of its 1 lines"),
    ],
)
def test_malformed_file_is_refused_in_one_sentence(scored, tmp_path, text, says):
    path = tmp_path / "n.jsonl"
    path.write_text(text)
    with pytest.raises(PairsError) as caught:
        mine(scored, from_suite(scored.suite), NegativesConfig(file=str(path)))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q n10\n", "line 1: expected query_id and doc_id"),
        ("q\tn10\t1\n", "line 1: expected query_id and doc_id"),
        ("q\tn10\nq\t\n", "line 2: expected query_id and doc_id"),
        ("query-id\tcorpus-id\n", "a heading and no negatives"),
        ("q\tn1\n", "not in corpus"),
        ("z\tn10\n", "none of its 1 lines"),
    ],
)
def test_malformed_table_is_refused_in_one_sentence(scored, tmp_path, text, says):
    (tmp_path / "n.tsv").write_text(text)
    with pytest.raises(PairsError) as caught:
        mine(scored, from_suite(scored.suite), NegativesConfig(file=str(tmp_path / "n.tsv")))
    assert says in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00n", None])
def test_unreadable_file_is_refused(scored, tmp_path, data):
    path = tmp_path / "n.jsonl"
    if data:
        path.write_bytes(data)
    with pytest.raises(PairsError, match=r"cannot be read.*bench mine"):
        mine(scored, from_suite(scored.suite), NegativesConfig(file=str(path)))


def test_id_that_means_two_queries_is_refused(scored, tmp_path):
    pairs = from_suite(scored.suite)
    two = Pairs((*pairs.pairs, Pair("q", "another text", "n30", SCORED["n30"], "kb", "expert")), (), ())
    (tmp_path / "n.tsv").write_text("q\tn10\n")
    with pytest.raises(PairsError, match="means 2 queries of the pairs"):
        mine(scored, two, NegativesConfig(file=str(tmp_path / "n.tsv")))


# --- the report ------------------------------------------------------------------------------------


def test_histograms_share_their_edges_and_lose_no_score(scored):
    report = mined(scored, per_query=3)[1].to_json()
    scores = report["scores"]
    n_bins = len(scores["edges"]) - 1
    assert n_bins <= 40
    assert [sum(scores[kind]) for kind in ("positives", "negatives", "rejected")] == [2, 3, 3]
    assert all(len(scores[kind]) == n_bins for kind in ("positives", "negatives", "rejected"))
    # .80 and .60, each within its bin
    held = [i for i, n in enumerate(scores["positives"]) if n]
    inside = [(scores["edges"][i], scores["edges"][i + 1]) for i in held]
    assert all(low <= x < high for (low, high), x in zip(inside, (0.60, 0.80), strict=True))


def test_histogram_of_a_million_scores_is_small():
    histogram = Histogram()
    rng = np.random.default_rng(0)
    for _ in range(10):
        histogram.add(rng.normal(size=100_000))
    assert sum(histogram.bins.values()) == 1_000_000
    assert len(histogram.bins) < 1_200


def test_report_keeps_texts_to_itself_unless_asked(scored):
    report = mined(scored)[1]
    quiet, loud = json.dumps(report.to_json()), json.dumps(report.to_json(texts=True))
    assert "charlie" in loud and QUERY in loud
    assert "charlie" not in quiet and QUERY not in quiet
    assert "n95" in quiet


def test_section_shows_counts_suspects_and_examples_and_is_inert(scored):
    report = mined(scored, per_query=2)[1].to_json(texts=True)
    report["suspected"][0]["text"] = "<script>alert(1)</script>"
    lineage = {"name": "clinic", "seed": 0, "data": {"mining": json.loads(json.dumps(report))}}
    page = render(Material("Negatives", (), "", training=(lineage,)), only="mining")
    assert "Suspected false negatives" in page and "<svg" in page
    assert "<script>alert" not in page
    assert 'id="training"' not in page
    text = markdown(section.build(Material("x", (), "", training=(lineage,))))
    assert "| <code>dense</code> | 10 | 2 | 0 | 0 | 3 | 0 | 0 | 2 |" in text
    assert section.build(Material("x", (), "", training=({"name": "old", "data": {"mining": {"queries": 3}}},))) == []


# --- the verb --------------------------------------------------------------------------------------


@pytest.fixture
def project(tiny_suite, monkeypatch):
    folder = tiny_suite.folder.parent
    (folder / "bench.toml").write_text(
        'suites = ["tiny"]\n[systems.bm25]\nkind = "bm25"\n[finetune.shop]\nbase = "m"\nseeds = [3]\n'
        'negatives = { from = ["bm25"], per_query = 2, random_per_query = 1 }\n[finetune.plain]\nbase = "m"\n'
    )
    monkeypatch.chdir(folder)
    return folder


def said(capsys):
    return json.loads(capsys.readouterr().out)


def test_verb_writes_the_file_the_report_and_the_pages(project, capsys):
    assert main(["mine", "shop", "--json", "--html", "m.html", "--markdown", "m.md"]) == 0
    document = said(capsys)
    assert document["format"] == 1 and document["queries"] == 2
    assert document["mining"]["by_system"]["bm25"]["candidates"] > 0
    header, *rows = [json.loads(line) for line in (project / "negatives-shop.jsonl").read_text().splitlines()]
    assert header["digest"] == document["digest"] and header["seed"] == 3
    assert header["settings"]["per_query"] == 2
    assert all(len(row["negative_ids"]) == 3 for row in rows)
    assert "Hard negatives" in (project / "m.html").read_text()
    assert "saddle too high" in (project / "m.md").read_text()
    capsys.readouterr()
    # A look with other settings does not take the place of what the recipe is trained on.
    assert main(["mine", "shop", "--json", "--per-query", "1"]) == 2
    assert "was mined with other settings" in said(capsys)["error"]["message"]
    look = ["mine", "shop", "--json", "--per-query", "1", "--private", "--markdown", "p.md"]
    assert main([*look, "--out", "look.jsonl"]) == 0
    assert said(capsys)["mining"]["queries"] == 2
    assert "saddle too high" not in (project / "p.md").read_text()


def test_look_with_another_margin_of_the_check_replaces_nothing_either(project, capsys):
    assert main(["mine", "shop", "--json"]) == 0
    toml = project / "bench.toml"
    check = 'check = {reranker = {kind = "cross-encoder", model = "none"}}'
    toml.write_text(toml.read_text().replace("per_query = 2,", f"per_query = 2, {check},"))
    capsys.readouterr()
    assert main(["mine", "shop", "--json", "--check-margin", "0.1"]) == 2
    assert "was mined with other settings" in said(capsys)["error"]["message"]


def test_negatives_of_other_pairs_are_not_replaced_unasked(project, tiny_suite, capsys):
    assert main(["mine", "--from", "bm25", "--json"]) == 0
    tiny_suite.edit("queries/train.jsonl", "saddle too high", "saddle too low")
    capsys.readouterr()
    assert main(["mine", "--from", "bm25", "--json"]) == 2
    assert "was mined for other pairs" in said(capsys)["error"]["message"]
    assert main(["mine", "--from", "bm25", "--json", "--force"]) == 0


def test_recipe_that_takes_a_file_says_where_to_mine_it_from(project, capsys):
    path = project / "bench.toml"
    path.write_text(path.read_text() + '[finetune.filed]\nbase = "m"\nnegatives = { file = "n.jsonl" }\n')
    assert main(["mine", "filed", "--json"]) == 2
    assert "bench mine filed --from bm25" in said(capsys)["error"]["message"]
    assert main(["mine", "filed", "--from", "bm25", "--json"]) == 0
    assert (project / "n.jsonl").is_file()


def test_verb_says_what_it_did_to_people(project, capsys):
    assert main(["mine", "--from", "bm25", "--out", "n.jsonl"]) == 0
    found = capsys.readouterr()
    assert found.out == ""
    assert "no margin was applied" in found.err
    assert "Negatives of 2 queries in n.jsonl" in found.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name a recipe, or systems"),
        (["shp"], 'Did you mean "shop"'),
        (["plain"], "has no table negatives"),
        (["--from", "bm52"], 'Did you mean "bm25"'),
        (["shop", "--check-margin", "1"], "belongs to a cross-encoder"),
        (["shop", "--margin", "0.1"], "expected a dense system"),
        (["shop", "--relative-margin", "2"], "less than 1"),
        (["shop", "--query-set", "shop"], "training opens only train and dev"),
        (["shop", "--manual", "nowhere.tsv"], "cannot be read"),
    ],
)
def test_verb_refuses_in_a_sentence(project, capsys, arguments, says):
    assert main(["mine", *arguments, "--json"]) == 2
    assert says in said(capsys)["error"]["message"]


def test_same_call_twice_writes_the_same_file(project):
    main(["mine", "shop", "--json", "--out", "a.jsonl"])
    main(["mine", "shop", "--json", "--out", "b.jsonl"])
    assert digest_of((project / "a.jsonl").read_text()) == digest_of((project / "b.jsonl").read_text())


def test_verb_takes_a_file_of_pairs_and_drops_what_evaluation_holds(project, capsys):
    lines = [
        {"query": "new tyre pressure", "document": "seven bar for the road", "origin": "faq"},
        {"query": "oil the chain", "document": "drip it on every link", "origin": "faq"},
    ]
    header = {"format": 1, "kind": "pairs"}
    (project / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [header, *lines]))
    call = ["mine", "shop", "--pairs", "p.jsonl", "--json"]
    assert main(call) == 2
    assert "1 of no corpus" in said(capsys)["error"]["message"], "the held-out query is gone already"
    assert main([*call, "--corpus", "manual"]) == 0
    assert said(capsys)["queries"] == 1
