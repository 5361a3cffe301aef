"""Claims about `bench init` and the folder of files that it cuts into documents."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.base.errors import SuiteError, UsageError
from bench.cli.main import main
from bench.config import load_bench, load_suite_config
from bench.suites import suite as suite_module
from bench.suites.checks import check
from bench.suites.scaffold import scaffold
from bench.suites.sources import Query
from bench.suites.sources.folder import CHUNKER, WORD, Options, collection, passages

MANUAL = """\
---
author: nobody
---
What this manual is for.

# Brakes

Clean the rim.

Replace worn pads.

## Disc brakes ##

```sh
# not a heading

bleed --slowly
```

Setext heading
==============

- a list
---
after a rule

## Disc brakes

under another heading
#### Deeper & deeper
deep text
# Brakes
## Disc brakes
again
# Empty
"""


def files(folder, **texts):
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_md", ".md").replace("_txt", ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def cut(folder, **options):
    return {d.doc_id: (d.title, d.text) for d in passages(str(folder), Options(**options)).documents()}


# --- cutting ---


def test_markdown_is_cut_at_its_headings_and_nowhere_else(tmp_path):
    found = cut(files(tmp_path, manual_md=MANUAL))
    assert found == {
        "manual.md": ("manual", "What this manual is for."),
        "manual.md#brakes": ("Brakes", "Clean the rim.\n\nReplace worn pads."),
        "manual.md#brakes/disc-brakes": ("Brakes > Disc brakes", "```sh\n# not a heading\n\nbleed --slowly\n```"),
        "manual.md#setext-heading": ("Setext heading", "- a list\n\nafter a rule"),
        "manual.md#setext-heading/disc-brakes": ("Setext heading > Disc brakes", "under another heading"),
        "manual.md#setext-heading/disc-brakes/deeper-deeper": (
            "Setext heading > Disc brakes > Deeper & deeper",
            "deep text",
        ),
        "manual.md#brakes/disc-brakes~2": ("Brakes > Disc brakes", "again"),
    }


def test_files_are_read_in_the_order_of_their_paths_and_hidden_ones_are_not(tmp_path):
    folder = files(tmp_path, b_md="# B\nb", a__z_txt="# no heading\n\ntext", a_md="a", other_rst="x")
    files(folder / ".git", config_md="hidden")
    (folder / "a b%.md").write_text("# Über uns\nja", encoding="utf-8")
    found = passages(str(folder), Options())
    documents = list(found.documents())
    assert [d.doc_id for d in documents] == ["a%20b%25.md#über-uns", "a.md", "a/z.txt", "b.md#b"]
    assert (documents[2].title, documents[2].text, documents[2].group) == ("z", "# no heading\n\ntext", "a/z.txt")
    assert found.parts == ()
    assert (found.origin["chunker"], found.origin["words"], found.origin["overlap"]) == (CHUNKER, "200", "0")
    assert found.origin["files"] == "4"


def test_paragraphs_are_kept_whole_up_to_the_words_that_a_passage_holds(tmp_path):
    paragraphs = [" ".join(f"{letter}{i}" for i in range(n)) for letter, n in (("a", 6), ("b", 4), ("c", 1), ("d", 25))]
    found = cut(files(tmp_path, x_txt="\n\n".join(paragraphs)), words=10)
    assert [text for _, text in found.values()] == [
        "\n\n".join(paragraphs[:2]),
        "c0",
        " ".join(f"d{i}" for i in range(10)),
        " ".join(f"d{i}" for i in range(10, 20)),
        " ".join(f"d{i}" for i in range(20, 25)),
    ]
    assert list(found) == ["x.txt", "x.txt:2", "x.txt:3", "x.txt:4", "x.txt:5"]
    # Scripts without spaces are counted by the character.
    assert [len(t) for _, t in cut(files(tmp_path / "ja", x_txt="自転車" * 8), words=10).values()] == [10, 10, 4]


def test_editing_one_section_leaves_the_ids_and_texts_of_all_others(tmp_path):
    text = "".join(f"# Part {i}\n\n" + f"word {i} " * 40 + "\n\n" + f"more {i} " * 40 + "\n\n" for i in range(8))
    before = cut(files(tmp_path, a_md=text, b_md=text), words=50)
    after = cut(files(tmp_path, a_md=text.replace("# Part 3\n", "# Part 3\n\nnew " * 70 + "\n")), words=50)
    changed = {doc_id for doc_id in before.keys() | after.keys() if before.get(doc_id) != after.get(doc_id)}
    assert changed
    assert all(doc_id.startswith("a.md#part-3") or doc_id.startswith("a.md#part-2") for doc_id in changed)
    assert {d for d in before if not d.startswith("a.md#part-3")} <= after.keys()


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab 自#=-`~\n"), max_size=300), st.integers(10, 30))
def test_no_word_is_lost_or_told_twice_and_ids_are_unique(tmp_path_factory, text, words):
    folder = tmp_path_factory.mktemp("files")
    (folder / "x.md").write_text("\n" + text, encoding="utf-8")
    (folder / "y.txt").write_text(text + "\nend", encoding="utf-8")
    documents = list(passages(str(folder), Options(words=words)).documents())
    assert len({d.doc_id for d in documents}) == len(documents)
    assert all(d.text.strip() and not any(c.isspace() for c in d.doc_id) for d in documents)
    assert all(len(WORD.findall(d.text)) <= words for d in documents)
    plain = [word for d in documents if d.group == "y.txt" for word in WORD.findall(d.text)]
    assert plain == WORD.findall(text + "\nend")


def test_folder_is_imported_with_queries_and_judgements_that_are_named(tmp_path):
    folder = files(tmp_path / "docs", manual_md=MANUAL)
    with pytest.raises(SuiteError, match=r"--set queries=… --set qrels=….*bench init DIR --from"):
        collection(str(folder), Options())
    (tmp_path / "q.jsonl").write_text('{"_id": "q1", "text": "pads", "pinned": true}\n{"_id": "q2", "text": "rim"}\n')
    (tmp_path / "q.tsv").write_text("q1\tmanual.md#brakes\t2\nq2\tmanual.md#brakes\t1\n")
    found = collection(str(folder), Options(queries=str(tmp_path / "q.jsonl"), qrels=str(tmp_path / "q.tsv")))
    (part,) = found.parts
    assert list(part.queries()) == [Query("q1", "pads", pinned=True), Query("q2", "rim")]
    assert list(part.judgements()) == [("q1", "manual.md#brakes", 2), ("q2", "manual.md#brakes", 1)]
    assert len(list(found.documents())) == 7


def test_folder_that_holds_nothing_to_cut_is_one_sentence(tmp_path):
    with pytest.raises(SuiteError, match="is no folder"):
        passages(str(tmp_path / "nowhere"), Options())
    with pytest.raises(SuiteError, match=r"holds no file whose name ends in \.md"):
        passages(str(tmp_path), Options())
    (tmp_path / "corpus.jsonl").write_text("{}")
    with pytest.raises(SuiteError, match="looks like a BEIR folder: bench import beir"):
        passages(str(tmp_path), Options())
    (tmp_path / "a.md").write_bytes(b"fine\n\xff\n")
    with pytest.raises(SuiteError, match=r"a\.md:2: not UTF-8"):
        list(passages(str(tmp_path), Options()).documents())


# --- scaffolding ---


@pytest.fixture
def manual(tmp_path):
    return files(tmp_path / "Our manual", manual_md=MANUAL, other_txt="Another file.")


def test_init_writes_a_project_that_lacks_nothing_but_queries(tmp_path, manual, capsys, monkeypatch):
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    assert main(["init", "--from", str(manual)]) == 0
    said = capsys.readouterr().err
    suite = Path("suites/Our-manual")
    for name in ("bench.toml", ".gitignore", ".github/workflows/gate.yml", f"{suite}/suite.toml"):
        assert f"wrote {name}" in said
    assert "8 documents from 2 files." in said
    origin = load_suite_config(suite / "suite.toml").origin
    assert (origin["kind"], origin["location"], origin["chunker"], origin["words"]) == (
        "folder",
        "Our manual",
        CHUNKER,
        "200",
    )
    assert load_bench(Path("bench.toml")).suites == ["suites/Our-manual"]
    assert Path(".gitignore").read_text() == ".bench/\nreports/history.jsonl\n"
    example = Path(__file__).parent.parent / "examples" / "ci" / "github.yml"
    assert Path(".github/workflows/gate.yml").read_text() == example.read_text()

    assert main(["check", str(suite), "--json"]) == 2
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["severity"] == "error"
    assert "questions.jsonl holds no query. Write one a line" in finding["message"]

    # What the README of the suite shows is what is missing.
    readme = (suite / "README.md").read_text()
    query = readme.split("```json\n")[1].split("\n```")[0]
    judgement = readme.split("```text\n")[1].split("\n```")[0]
    (suite / "queries" / "questions.jsonl").write_text(query + "\n")
    with (suite / "qrels" / "questions.tsv").open("a") as stream:
        stream.write(judgement + "\n")
    loaded = suite_module.load(suite)
    assert len(loaded.corpora["documents"].ids) == 8
    assert not [finding for finding in check(loaded) if finding.severity == "error"]
    assert main(["check", str(suite)]) == 0


def test_init_overwrites_nothing(tmp_path, manual):
    project = tmp_path / "project"
    (project / ".github" / "workflows").mkdir(parents=True)
    mine = {"bench.toml": "# mine", ".github/workflows/gate.yml": "# mine too", ".gitignore": "dist/"}
    for name, text in mine.items():
        (project / name).write_text(text)
    made = scaffold(project, name="first", source=manual)
    assert made.kept == (project / "bench.toml", project / ".github/workflows/gate.yml")
    assert (project / "bench.toml").read_text() == "# mine"
    assert (project / ".github/workflows/gate.yml").read_text() == "# mine too"
    assert (project / ".gitignore").read_text() == "dist/\n.bench/\nreports/history.jsonl\n"
    assert any('Add "suites/first" to suites' in step for step in made.next_steps)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="first exists already; choose another name"):
        scaffold(project, name="first", source=manual)
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    second = scaffold(project, name="second", source=manual)
    assert project / ".gitignore" in second.kept
    assert (project / ".gitignore").read_text() == "dist/\n.bench/\nreports/history.jsonl\n"


def test_init_that_fails_leaves_no_half_suite(tmp_path, manual):
    (manual / "broken.md").write_bytes(b"\xff")
    with pytest.raises(SuiteError, match=r"broken\.md"):
        scaffold(tmp_path / "project", source=manual)
    assert not [path for path in (tmp_path / "project").rglob("*") if path.is_file()]
    shutil.rmtree(tmp_path / "project")
    empty = files(tmp_path / "empty", a_md="# Only a heading\n")
    with pytest.raises(SuiteError, match="no text in any of them"):
        scaffold(tmp_path / "project", source=empty)


def test_init_without_files_says_that_documents_and_queries_are_missing(tmp_path, capsys):
    assert main(["init", str(tmp_path / "project"), "--name", "support", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["n_documents"] == 0
    assert made["next_steps"][0].startswith("Put documents into")
    assert main(["check", made["suite"]]) == 2
    assert "holds no document" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name", "a b"], '--name is "a b"; expected letters'),
        (["--from", "nowhere", "--words", "3"], "--words is 3; expected 10 or more"),
        (["--words", "50"], "it goes with --from FOLDER"),
        (["--from", "nowhere"], "nowhere is no folder"),
    ],
)
def test_init_with_arguments_that_cannot_be_is_exit_2_and_writes_nothing(tmp_path, capsys, arguments, sentence):
    assert main(["init", str(tmp_path / "project"), *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
