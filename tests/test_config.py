"""Claims about bench.config: all errors of a file at once, with the nearest known name; gate.md's defaults."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.base.errors import BenchError, ConfigError, SuiteError
from bench.base.registry import listing, table_problems
from bench.config import BenchConfig, GateConfig, load_bench, load_suite_config
from bench.records import Policy, Rule

SUITE = """
name = "clinic"

[corpora.sops]
path = "corpus.jsonl"

[[query_sets]]
name = "staff"
role = "held-out"
corpus = "sops"
queries = "q.jsonl"
qrels = "q.tsv"
"""

BENCH = """
suites = ["suites/clinic"]

[systems.bm25]
kind = "bm25"

[systems.both]
kind = "hybrid"
of = ["bm25", "bm25"]
"""


def suite_of(tmp_path, text):
    path = tmp_path / "suite.toml"
    path.write_text(text, encoding="utf-8")
    return load_suite_config(path)


def bench_of(tmp_path, text):
    path = tmp_path / "bench.toml"
    path.write_text(text, encoding="utf-8")
    return load_bench(path)


def suite_error(tmp_path, text):
    with pytest.raises(SuiteError) as found:
        suite_of(tmp_path, text)
    return str(found.value)


def bench_error(tmp_path, text):
    with pytest.raises(ConfigError) as found:
        bench_of(tmp_path, text)
    return str(found.value)


# --- suite.toml ---


def test_smallest_suite_has_the_stated_defaults(tmp_path):
    suite = suite_of(tmp_path, SUITE)
    assert suite.measures == ["recall@10", "ndcg@10", "mrr@10", "recall@100"]
    assert (suite.version, suite.depth, suite.relevance_level, suite.drop_self) == (1, 100, 1, False)
    assert suite.corpora["sops"].source == "jsonl"


def test_all_errors_of_a_suite_come_at_once_each_with_its_place(tmp_path):
    text = SUITE.replace('name = "clinic"', 'name = "clinic"\nversion = 0\nmeasure = ["recall@10"]\ndepth = "many"')
    text = text.replace('role = "held-out"', 'role = "heldout"').replace('queries = "q.jsonl"', "queries = 3")
    lines = suite_error(tmp_path, text).splitlines()
    path = tmp_path / "suite.toml"
    assert len(lines) == 5
    assert all(line.startswith(f"{path}: ") for line in lines)
    text = "\n".join(lines)
    assert "unknown key measure; expected one of name, version" in text
    assert 'Did you mean "measures"?' in text
    assert (
        'query_sets[0].role is "heldout"; expected one of train, dev, held-out, out-of-distribution. '
        'Did you mean "held-out"?'
    ) in text
    assert "version is '0'; input should be greater than or equal to 1" in text
    assert "depth is 'many'; input should be a valid integer" in text
    assert "query_sets[0].queries is '3'; input should be a valid string" in text


def test_unknown_nested_key_names_the_nearest_of_its_own_table(tmp_path):
    text = suite_error(tmp_path, SUITE.replace("path =", 'sorce = "jsonl"\npath ='))
    assert "unknown key corpora.sops.sorce; expected one of source, path." in text
    assert 'Did you mean "source"?' in text
    text = suite_error(tmp_path, SUITE.replace("qrels =", 'qrel = "x"\nqrels ='))
    assert "unknown key query_sets[0].qrel" in text
    assert 'Did you mean "qrels"?' in text


def test_missing_key_is_named(tmp_path):
    assert "query_sets[0].role is missing" in suite_error(tmp_path, SUITE.replace('role = "held-out"\n', ""))
    assert "query_sets[0].qrels is missing" in suite_error(tmp_path, SUITE.replace('qrels = "q.tsv"\n', ""))


def test_corpus_that_is_none_is_named_with_the_nearest(tmp_path):
    text = suite_error(tmp_path, SUITE.replace('corpus = "sops"', 'corpus = "sop"'))
    assert 'query_sets[0].corpus is "sop"; expected one of sops. Did you mean "sops"?' in text


def test_repeated_query_set_is_refused(tmp_path):
    again = SUITE + SUITE[SUITE.index("[[query_sets]]") :]
    assert 'query_sets[1].name is "staff" again' in suite_error(tmp_path, again)


def test_beir_corpus_demands_a_split(tmp_path):
    text = SUITE.replace("path =", 'source = "beir"\npath =')
    text = text.replace('queries = "q.jsonl"\n', "").replace('qrels = "q.tsv"\n', "")
    assert "query_sets[0].split is missing" in suite_error(tmp_path, text)
    assert suite_of(tmp_path, text + 'split = "test"\n').query_sets[0].split == "test"


@pytest.mark.parametrize("name", ["", "a b", "../up", "-dash", "a/b"])
def test_suite_name_is_safe_as_a_file_name(tmp_path, name):
    assert "name is" in suite_error(tmp_path, SUITE.replace('"clinic"', f'"{name}"'))


@pytest.mark.parametrize("key", ["measures = []", "query_sets = []", "corpora = {}"])
def test_empty_tables_are_refused(tmp_path, key):
    text = 'name = "x"\n' + key
    assert f"{key.split()[0]} is " in suite_error(tmp_path, text)


# --- bench.toml ---


def test_smallest_config_is_read(tmp_path):
    config = bench_of(tmp_path, BENCH)
    assert config.store == ".bench"
    assert config.gate.policy() == Policy()


def test_all_errors_of_a_config_come_at_once(tmp_path):
    text = """
suites = []
stores = ".bench"

[systems.one]
kind = "bm52"

[systems.two]
kind = "bm25"
k1 = -1
stopwords = "en"

[systems.three]
kind = "hybrid"
of = ["bm25", "tow"]

[gate]
on_inconclusive = "wran"
alpha = 0.7

[[gate.rules]]
role = "held-out"
margin = 0
"""
    message = bench_error(tmp_path, text)
    lines = message.splitlines()
    assert all(line.startswith(str(tmp_path / "bench.toml")) for line in lines)
    for sentence in (
        "suites is empty",
        "unknown key stores; expected one of suites, store, reports, history, systems, pairs, finetune, gate, decide.",
        'Did you mean "store"?',
        'systems.one.kind is "bm52"; expected one of bm25, dense, ',
        'rerank, trec-run. Did you mean "bm25"?',
        "systems.two: k1 is '-1'",
        "systems.two: unknown key stopwords",
        'systems.three is made of "tow", which is no system of this file. Did you mean "two"?',
        'gate.on_inconclusive is "wran"; expected one of warn, block. Did you mean "warn"?',
        "gate.alpha is '0.7'; input should be less than 0.5",
        "gate.rules[0].margin is '0'; input should be greater than 0",
    ):
        assert sentence in message


def test_unknown_key_of_a_rule_names_the_nearest(tmp_path):
    text = BENCH + '[[gate.rules]]\nrole = "held-out"\nmargin = 0.02\nmeasure = ["recall@10"]\n'
    message = bench_error(tmp_path, text)
    assert "unknown key gate.rules[0].measure; expected one of role, measures, query_set, slice, dim, " in message
    assert 'Did you mean "measures"?' in message


def test_unknown_key_of_a_recipe_names_the_nearest(tmp_path):
    text = BENCH + '[finetune.x]\nbase = "m"\nnegatives = { from = ["bm25"], per_qery = 1 }\nepoch = 2\n'
    message = bench_error(tmp_path, text)
    assert 'Did you mean "epochs"?' in message
    assert "finetune.x.negatives.per_qery" in message
    assert 'Did you mean "per_query"?' in message


@pytest.mark.parametrize("role", ["train", "dev"])
def test_a_rule_for_training_data_is_refused(tmp_path, role):
    text = BENCH + f'[[gate.rules]]\nrole = "{role}"\nmargin = 0.02\n'
    assert f'gate.rules[0].role is "{role}"; expected one of held-out, out-of-distribution.' in bench_error(
        tmp_path, text
    )


def test_gate_without_a_rule_is_refused(tmp_path):
    assert "gate.rules is empty; a gate without a rule would pass everything" in bench_error(
        tmp_path, BENCH + "[gate]\nrules = []\n"
    )


def test_system_names_keep_their_separators_free(tmp_path):
    message = bench_error(tmp_path, BENCH + '[systems."a@64"]\nkind = "bm25"\n')
    assert '"@" and "/" are kept for dimension and precision' in message


def test_systems_of_the_wrong_shape_are_no_traceback(tmp_path):
    assert "systems" in bench_error(tmp_path, 'suites = ["x"]\nsystems = 3\n')
    assert "systems.bm25" in bench_error(tmp_path, 'suites = ["x"]\n[systems]\nbm25 = "bm25"\n')
    assert "systems.x.kind is missing" in bench_error(tmp_path, 'suites = ["x"]\n[systems.x]\nk = 1\n')
    assert "systems.x.kind is" in bench_error(tmp_path, 'suites = ["x"]\n[systems.x]\nkind = ["bm25"]\n')


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('kind = "hybrid"\nof = ["bm25"]', "of is"),
        ('kind = "hybrid"\nof = ["bm25", "bm25"]\nfusion = { method = "convex", weight = 1.5 }', "between 0 and 1"),
        ('kind = "hybrid"\nof = ["bm25", "bm25"]\nfusion = { method = "convex", weight = 2 }', "between 0 and 1"),
        ('kind = "hybrid"\nof = ["bm25", "bm25", "bm25"]\nfusion = { method = "convex" }', "exactly two systems"),
        ('kind = "bm25"\nroles = []', "roles is"),
        ('kind = "bm25"\nroles = ["train"]', "roles[0]"),
        ('kind = "dense"\ndims = [64]', "encoder is missing"),
        ('kind = "dense"\nencoder = {}\nprecision = ["int9"]', 'Did you mean "int8"?'),
        ('kind = "trec-run"\nruns = {}', "runs is"),
    ],
)
def test_tables_of_systems_are_checked_by_their_kind(tmp_path, table, sentence):
    message = bench_error(tmp_path, BENCH + f"[systems.x]\n{table}\n")
    assert "systems.x" in message
    assert sentence in message


# --- the gate's policy ---


def test_policy_defaults_are_those_of_the_gate_document():
    policy = GateConfig().policy()
    assert policy.alpha == 0.05
    assert policy.on_inconclusive == "warn"
    assert policy.rules == (
        Rule("held-out", ("recall@10", "ndcg@10"), 0.02),
        Rule("out-of-distribution", ("recall@10", "ndcg@10"), 0.03),
    )
    assert policy.system is None


def test_policy_takes_what_the_file_states(tmp_path):
    text = (
        BENCH
        + """
[gate]
system = "both"
alpha = 0.1
on_inconclusive = "block"

[[gate.rules]]
role = "held-out"
margin = 0.05
query_set = "staff"
"""
    )
    policy = bench_of(tmp_path, text).gate.policy()
    assert policy == Policy((Rule("held-out", ("recall@10", "ndcg@10"), 0.05, "staff"),), 0.1, "block", "both")


# --- reading ---


def test_file_that_is_absent_or_a_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist; expected a TOML file"):
        load_bench(tmp_path / "bench.toml")
    with pytest.raises(SuiteError, match="is a folder; expected a TOML file"):
        load_suite_config(tmp_path)


def test_byte_order_mark_is_passed_over(tmp_path):
    assert suite_of(tmp_path, "\ufeff" + SUITE).name == "clinic"


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"a = 1\na = 2\n", b"\x00", b"a = " + b"[" * 5000])
def test_file_that_is_no_toml_is_an_error_with_its_place(tmp_path, content):
    path = tmp_path / "bench.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not TOML"):
        load_bench(path)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_random_bytes_never_give_anything_but_a_bench_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "random.toml"
    path.write_bytes(data)
    for load in (load_bench, load_suite_config):
        with pytest.raises(BenchError):
            load(path)


_VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.floats(0, 1), st.sampled_from(["", "bm25", "dense"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["kind", "of", "first", "fusion", "encoder", "reranker", "runs"]), inner, max_size=3
        ),
    ),
    max_leaves=6,
)


@given(_VALUE)
def test_any_table_of_a_system_gives_sentences_and_no_traceback(tmp_path_factory, table):
    if not isinstance(table, dict):
        table = {"kind": table}
    problems = table_problems("systems", table, "bench.toml: systems.x")
    assert all(isinstance(problem, str) for problem in problems)


# --- folders as registries ---


def test_kinds_are_the_files_of_their_folder():
    assert listing("systems") == ["bm25", "dense", "hybrid", "python", "rerank", "trec-run"]
    assert listing("encoders") == ["local", "mteb", "openai"]
    assert listing("rerankers") == ["cohere", "cross-encoder", "late-interaction"]
    assert {"beir", "clicks", "folder", "hf", "jsonl", "mteb", "table", "trec"} <= set(listing("sources"))


def test_fields_of_the_config_are_those_of_the_design():
    tables = {"suites", "store", "reports", "history", "systems", "pairs", "finetune", "gate", "decide"}
    assert set(BenchConfig.model_fields) == tables
