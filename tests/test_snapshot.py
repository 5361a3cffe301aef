"""Claims about snapshots and logs: what a model knew can be written, read back unchanged, and told from what is new."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from bench.base.errors import SuiteError
from bench.suites.snapshot import (
    documents_of,
    levelled,
    of_suite,
    of_texts,
    read_queries,
    read_snapshot,
    sampled,
    text_digest,
    write_snapshot,
)


def test_snapshot_reads_back_as_it_was(tmp_path, tiny_suite):
    made = of_suite(tiny_suite.suite, "train")
    found = read_snapshot(write_snapshot(tmp_path / "s.jsonl", made))
    assert found == made
    assert found.digest == made.digest
    assert len(found.documents) == len(found.digests) == 20
    assert set(found.queries) == {"new tyre pressure", "saddle too high"}
    assert found.header["suite"]["digest"] == tiny_suite.suite.digest


def test_same_texts_in_another_order_give_the_same_file(tmp_path):
    texts = [f"document {i}" for i in range(3_000)]
    first = write_snapshot(tmp_path / "a", of_texts(texts, texts)).read_bytes()
    random.Random(0).shuffle(texts)
    assert write_snapshot(tmp_path / "b", of_texts(texts, texts)).read_bytes() == first


def test_sample_is_spread_over_the_texts_and_stays_when_some_are_added():
    texts = [f"document {i}" for i in range(4_000)]
    kept = sampled(texts)
    assert len(kept) == 1_000
    assert 400 < sum(int(text.split()[1]) < 2_000 for text in kept) < 600
    assert len(set(kept) & set(sampled([*texts, *(f"more {i}" for i in range(200))]))) > 900


def test_paraphrases_of_one_need_and_unanswerable_queries_are_left_out(tiny_suite):
    queries = of_suite(tiny_suite.suite, "held-out").queries
    # Of h4 and h5, which are one need, the first.
    assert len(queries) == 7
    assert "gears jump under load" in queries and "late shifts of the gear cable" not in queries


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: lines[:-1], "changed or cut off"),
        (lambda lines: [lines[0], lines[2], *lines[3:]], "changed or cut off"),
        (lambda lines: lines[1:], "no snapshot"),
        (lambda lines: [lines[0].replace('"format":1', '"format":9'), *lines[1:]], "has format 9"),
        (lambda lines: [*lines, '{"other":1}'], "neither document, query nor digests"),
        (lambda lines: [*lines, '{"document":1}'], "expected"),
    ],
)
def test_snapshot_that_was_changed_is_refused(tmp_path, tiny_suite, edit, said):
    path = write_snapshot(tmp_path / "s.jsonl", of_suite(tiny_suite.suite, "train"))
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")
    with pytest.raises(SuiteError, match=said):
        read_snapshot(path)


def test_documents_of_json_lines_and_of_a_suite_are_the_texts_that_systems_see(tiny_suite):
    own = documents_of(tiny_suite.folder)
    assert sorted(documents_of(tiny_suite.folder / "corpus.jsonl")) == sorted(own)
    assert {text_digest(text) for text in own} == of_suite(tiny_suite.suite, "train").digests


def log(tmp_path, name, text):
    path = tmp_path / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return read_queries(path)


LINES = ["how do I  patch a hole", "How do I patch a hole", "oil the chain"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.txt", "\n".join([*LINES, "", "  "])),
        ("log", "\r\n".join(LINES)),
        ("log.jsonl", "\n".join(json.dumps({"query": line}) for line in LINES)),
        ("log.jsonl.gz", "\n".join(json.dumps({"text": line}) for line in LINES)),
        ("clicks.jsonl", "\n".join(json.dumps({"query": q, "shown": ["a"], "clicked": []}) for q in LINES)),
        ("clicks.csv", "query,shown\n" + "\n".join(f"{line},d1" for line in LINES)),
        ("log.tsv", "text\n" + "\n".join(LINES)),
    ],
)
def test_log_is_read_whatever_its_format(tmp_path, name, text):
    found = log(tmp_path, name, text)
    assert dict(found.counts) == {"how do I patch a hole": 2, "oil the chain": 1}
    assert found.n_lines == 3


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", " \n", "no query"),
        ("a.jsonl", '{"question": "x"}', 'expected "query" or "text"'),
        ("a.jsonl", '{"query": 3}', "expected"),
        ("a.jsonl", "{", "not JSON"),
    ],
)
def test_log_that_cannot_be_read_is_refused(tmp_path, name, text, said):
    with pytest.raises(SuiteError, match=said):
        log(tmp_path, name, text)


def test_missing_log_is_told(tmp_path):
    with pytest.raises(SuiteError, match="does not exist"):
        read_queries(tmp_path / "no.txt")


def test_level_is_form_case_and_space():
    assert levelled("  ﬁt A\tTube ") == "fit a tube"
