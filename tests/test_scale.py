"""What a suite costs grows with its size and no faster: memory by default, a million documents behind `slow`."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from bench.base.files import lines
from bench.base.files.lines import read_lines
from bench.suites import checks, suite

SCALE = Path(__file__).parent.parent / "docs" / "scale" / "make_corpus.py"
DOCUMENTS = 20_000

BYTES_PER_DOCUMENT = 380
"""Measured 357 at the peak of load and check, 192 of them ids and texts."""


def make(folder: Path, documents: int, **more: int) -> Path:
    spec = importlib.util.spec_from_file_location("make_corpus", SCALE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(folder, documents=documents, **more)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    # Once beforehand: what the first check imports is no cost of the corpus.
    checks.check(suite.load(make(tmp_path_factory.mktemp("scale") / "first", 200, queries=20)), thorough=False)
    return make(tmp_path_factory.mktemp("scale") / "made", DOCUMENTS, queries=500)


def peak_bytes(folder: Path) -> int:
    tracemalloc.start()
    try:
        # Near-duplicates and BM25 have costs of their own: docs/decisions/0008.
        checks.check(suite.load(folder), thorough=False)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_made_corpus_is_the_same_for_the_same_seed_and_another_for_another(tmp_path):
    one, same, other = (make(tmp_path / str(i), 200, queries=20, seed=seed) for i, seed in enumerate((0, 0, 1)))
    assert (one / "corpus.jsonl").read_bytes() == (same / "corpus.jsonl").read_bytes()
    assert (one / "qrels" / "test.tsv").read_bytes() == (same / "qrels" / "test.tsv").read_bytes()
    assert (one / "corpus.jsonl").read_bytes() != (other / "corpus.jsonl").read_bytes()


def test_memory_of_load_and_check_is_bounded_per_document(made):
    assert peak_bytes(made) / DOCUMENTS < BYTES_PER_DOCUMENT


def test_memory_grows_no_faster_than_the_corpus(made, tmp_path):
    quarter = peak_bytes(make(tmp_path / "quarter", DOCUMENTS // 4, queries=500)) / (DOCUMENTS // 4)
    assert peak_bytes(made) / DOCUMENTS < 1.1 * quarter


def test_only_ids_and_texts_outlive_the_reading(tmp_path):
    # A field that no one reads is ten times the text; it must be gone once its line is.
    rows = [{"_id": f"d{i}", "text": "some words", "metadata": "x" * 10_000} for i in range(2_000)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "words"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("q\td0\t1\n")
    assert peak_bytes(tmp_path) < 3_000_000


def test_progress_is_told_of_every_stage_and_ends_at_its_total(made):
    said: dict[str, list[tuple[int, int]]] = {}
    checks.check(
        suite.load(made, progress=lambda stage, done, total: said.setdefault(stage, []).append((done, total))),
        progress=lambda stage, done, total: said.setdefault(stage, []).append((done, total)),
    )
    assert "read corpus.jsonl" in said
    for told in said.values():
        assert all(done < total for done, total in told[:-1])
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1][0] == told[-1][1]
    assert said["read corpus.jsonl"][-1] == said["check made"][-1] == said["words made"][-1] == (DOCUMENTS, DOCUMENTS)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_total_is_estimated_from_what_is_read_so_far(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(lines, "BLOCK_LINES", 1_000)
    path = tmp_path / "lines"
    text = b"".join(b"line %07d\n" % i for i in range(200_000))
    path.write_bytes(gzip.compress(text) if packed else text)
    said = []
    assert sum(1 for _ in read_lines(path, progress=lambda *told: said.append(told))) == 200_000
    assert all(0.7 < total / 200_000 < 1.4 for _, done, total in said if done > 100_000)


def test_short_files_are_read_without_a_word(tiny_suite):
    def told(*words):
        pytest.fail(f"said {words}")

    checks.check(suite.load(tiny_suite.folder, progress=told), progress=told)


def test_pipe_is_read_as_a_file_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"a line\n" * 50_000))
    writer.start()
    assert sum(1 for _ in read_lines(pipe, progress=lambda *told: None)) == 50_000
    writer.join()


@pytest.mark.slow
def test_a_million_documents_are_checked_in_bounded_memory_and_time(tmp_path):
    folder = make(tmp_path / "million", 1_000_000)
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "bench", "check", folder], capture_output=True, text=True)
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    assert "read corpus.jsonl: 1000000 in" in done.stderr
    assert memory < 1.5e9
    assert seconds < 600
