"""Altered queries: named, seeded, never empty, counted; and the suite that holds them."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.base.errors import SuiteError, UsageError
from bench.cli.main import main
from bench.suites import suite as suites
from bench.suites.checks import check
from bench.suites.perturb import (
    NEIGHBOURS,
    TRANSFORMATIONS,
    Transformation,
    altered,
    parse_transformations,
    perturb_suite,
    read_dictionary,
)

NAMES = list(TRANSFORMATIONS)


def changed(text, name, seed=0, query_id="q"):
    return altered(text, TRANSFORMATIONS[name], query_id=query_id, seed=seed)


@pytest.mark.parametrize("name", NAMES)
@given(text=st.text(min_size=1).filter(str.strip), seed=st.integers(0, 3))
def test_alteration_is_never_empty_and_repeats(name, text, seed):
    found = changed(text, name, seed)
    assert found.strip()
    assert found == changed(text, name, seed)


def test_typing_errors_are_single_edits_and_spare_codes_and_first_letters():
    text = "please check the PA-7 form of patient 12345678 before friday morning"
    found = {changed(text, "typos", seed) for seed in range(50)}
    assert len(found) > 25
    for one in found:
        before, after = text.split(), one.split()
        assert len(before) == len(after)
        moved = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
        assert len(moved) == 1  # one of the six words of four letters and more: .2 × 6, rounded
        assert all(b[0] == a[0] and abs(len(b) - len(a)) <= 1 for b, a in moved)
        assert "PA-7" in one
        assert "12345678" in one


def test_neighbours_of_a_key_lie_around_it():
    assert set(NEIGHBOURS["g"]) == set("fhtyvb")
    assert set(NEIGHBOURS["a"]) == set("sqwz")
    assert all(letter in NEIGHBOURS[other] for letter, others in NEIGHBOURS.items() for other in others)


def test_casing_changes_case_alone():
    text = "When is the MRI ready"
    found = {changed(text, "casing", seed) for seed in range(20)}
    assert found == {"WHEN IS THE MRI READY", "when is the mri ready", "When Is The Mri Ready"}


def test_keywords_are_what_is_left_without_stop_words():
    assert changed("How do I patch a hole in the tube?", "keywords") == "patch hole tube"
    assert changed("Who is it?", "keywords") == "Who is it?"
    assert changed("PA-7, for whom?", "keywords") == "PA-7"


def test_abbreviations_are_initials_and_words_without_vowels():
    assert changed("the Urgent Care desk", "abbreviations") == "the UC desk"
    assert changed("patient", "abbreviations") == "ptnt"
    assert changed("oil it", "abbreviations") == "oil it"


def test_dictionary_replaces_longest_phrases_first_and_whole_words_only(tmp_path):
    path = tmp_path / "es.tsv"
    path.write_text("gold card\ttarjeta dorada\ncard\ttarjeta\nGold\toro\n", encoding="utf-8")
    (made,) = parse_transformations([f"dictionary={path}"])
    assert made.name == "es"
    assert altered("Gold card, cards, CARD and gold", made, query_id="q", seed=0) == (
        "tarjeta dorada, cards, tarjeta and oro"
    )
    (short,) = parse_transformations([f"abbreviations={path}"])
    assert short.name == "abbreviations"


@pytest.mark.parametrize("text", ["one column\n", "a\tb\tc\n", "a\t\n", ""])
def test_dictionary_of_another_shape_is_refused(tmp_path, text):
    path = tmp_path / "d.tsv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SuiteError, match="expected a word or phrase, a tab, and what replaces it"):
        read_dictionary(path)


def test_python_function_may_alter(tmp_path, monkeypatch):
    (tmp_path / "own_alterations.py").write_text(
        "def reverse(text, rng):\n    return text[::-1]\n\ndef nothing(text, rng):\n    return None\n"
        "\ndef broken(text, rng):\n    return 1 / 0\n\ndef half(text, rng):\n    return '\\ud83d'\n\nname = 3\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    names = ("reverse", "nothing", "broken", "half")
    reverse, nothing, broken, half = parse_transformations([f"python=own_alterations:{name}" for name in names])
    assert altered("abc", reverse, query_id="q", seed=0) == "cba"
    for made, cause in [(nothing, "it returned a NoneType"), (broken, "division by zero"), (half, "surrogates")]:
        with pytest.raises(UsageError, match=f'{made.name} failed on query "q" .*{cause}'):
            altered("abc", made, query_id="q", seed=0)
    (tmp_path / "own_broken.py").write_text("raise RuntimeError('no licence')\n", encoding="utf-8")
    for target in ("own_alterations:none", "own_alterations:name", "own_broken:f", "own_alterations", "nowhere:f"):
        with pytest.raises(UsageError, match="cannot be loaded"):
            parse_transformations([f"python={target}"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["typo"], 'no transformation "typo".*Did you mean "typos"'),
        (["typos=3"], 'no transformation "typos=3"'),
        (["typos,typos"], 'two transformations are named "typos"'),
        ([","], "names no transformation"),
    ],
)
def test_transformation_that_is_none_is_refused(given, says):
    with pytest.raises(UsageError, match=says):
        parse_transformations(given)


def test_suite_gets_a_set_for_each_transformation(tiny_suite, tmp_path):
    out = tmp_path / "out"
    made = perturb_suite(
        tiny_suite.folder, out, query_set="shop", transformations=parse_transformations(["typos,casing"]), seed=7
    )
    assert [(one.query_set, one.n_queries, one.unchanged) for one in made] == [
        ("shop-typos", 8, 0),
        ("shop-casing", 8, 0),
    ]
    found, original = suites.load(out), tiny_suite.suite
    assert found.name == "tiny-perturbed"
    assert found.protocol == original.protocol
    for name, query_set in original.query_sets.items():
        assert found.query_sets[name] == query_set
        assert found.labels[name].digest == original.labels[name].digest
    new, labels = found.query_sets["shop-typos"], found.labels["shop-typos"]
    assert new.role == "out-of-distribution"
    assert new.ids == original.query_sets["shop"].ids
    assert labels.qrels == original.qrels("shop")
    assert labels.slices == original.labels["shop"].slices
    assert labels.clusters == original.labels["shop"].clusters == {"h4": "gears", "h5": "gears"}
    assert not labels.pinned
    assert found.derived == {"shop-typos": "shop", "shop-casing": "shop"}
    # A typing error in "gears" or not: the two are still one need of two queries, and the rest are needs of their own.
    needs = [f.value for f in check(found, thorough=False) if (f.code, f.where) == ("clusters", "shop-typos")]
    assert needs == [7]
    assert found.why["shop-typos"].startswith("Queries of shop altered by typos, seed 7: typing errors")


def test_queries_that_stay_are_counted_and_said(tiny_suite, tmp_path):
    path = tmp_path / "d.tsv"
    path.write_text("brake\tfrein\n", encoding="utf-8")
    (one,) = perturb_suite(
        tiny_suite.folder,
        tmp_path / "out",
        query_set="shop",
        transformations=parse_transformations([f"dictionary={path}"]),
    )
    assert one.unchanged == 6
    assert suites.load(tmp_path / "out").why["shop-d"].endswith("; 6 of 8 stay as they were.")


def test_beir_folder_becomes_a_suite(tiny_suite, tmp_path):
    beir = tmp_path / "beir"
    (beir / "qrels").mkdir(parents=True)
    (beir / "corpus.jsonl").write_bytes((tiny_suite.folder / "corpus.jsonl").read_bytes())
    sets = {"train": "train", "test": "shop"}
    lines = [(tiny_suite.folder / "queries" / f"{name}.jsonl").read_text(encoding="utf-8") for name in sets.values()]
    (beir / "queries.jsonl").write_text("".join(lines), encoding="utf-8")
    for split, name in sets.items():
        (beir / "qrels" / f"{split}.tsv").write_bytes((tiny_suite.folder / "qrels" / f"{name}.tsv").read_bytes())
    before = suites.load(beir)
    perturb_suite(beir, tmp_path / "out", query_set="test", transformations=[TRANSFORMATIONS["casing"]])
    after = suites.load(tmp_path / "out")
    assert {name: q.digest for name, q in before.query_sets.items()}.items() <= {
        name: q.digest for name, q in after.query_sets.items()
    }.items()
    assert len(after.query_sets["test-casing"].ids) == 8


def test_same_seed_writes_the_same_files_and_another_does_not(tiny_suite, tmp_path):
    texts = []
    for number, seed in enumerate((1, 1, 2)):
        out = tmp_path / str(number)
        perturb_suite(tiny_suite.folder, out, query_set="shop", transformations=[TRANSFORMATIONS["typos"]], seed=seed)
        texts.append((out / "queries" / "shop-typos.jsonl").read_bytes())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("query_set", "says"),
    [("train", "altered copies of it would leak into evaluation"), ("shpo", 'Did you mean "shop"')],
)
def test_set_that_is_not_for_evaluation_is_refused(tiny_suite, tmp_path, query_set, says):
    with pytest.raises(UsageError, match=says):
        perturb_suite(
            tiny_suite.folder, tmp_path / "out", query_set=query_set, transformations=[TRANSFORMATIONS["typos"]]
        )
    assert not (tmp_path / "out").exists()


def test_transformation_that_alters_nothing_is_refused(tiny_suite, tmp_path):
    same = Transformation("same", "nothing", lambda text, rng: text)
    with pytest.raises(UsageError, match="alters none of 8 queries"):
        perturb_suite(tiny_suite.folder, tmp_path / "out", query_set="shop", transformations=[same])
    assert not (tmp_path / "out").exists()


def test_folder_that_holds_something_is_not_written_to(tiny_suite):
    with pytest.raises(UsageError, match="exists already"):
        perturb_suite(
            tiny_suite.folder, tiny_suite.folder, query_set="shop", transformations=[TRANSFORMATIONS["typos"]]
        )


def test_copies_are_no_repetition_and_other_sets_of_equal_texts_are(tiny_suite, tmp_path):
    out = tmp_path / "out"
    # Casing alone: every copy's text is equal to its original's in all that systems and checks look at.
    perturb_suite(tiny_suite.folder, out, query_set="shop", transformations=parse_transformations(["casing,keywords"]))
    assert "repeated-across-sets" not in {f.code for f in check(suites.load(out), thorough=False)}
    declared = (out / "suite.toml").read_text(encoding="utf-8")
    assert declared.count('derived_from = "shop"\n') == 2

    def repeated():
        found = check(suites.load(out), thorough=False)
        return {f.where: f.value for f in found if f.code == "repeated-across-sets"}

    # A copy under another's id is one more query with that text, whatever the set says of itself.
    path = out / "queries" / "shop-casing.jsonl"
    copies = path.read_text(encoding="utf-8")
    rows = [json.loads(line) for line in copies.splitlines()]
    rows[0]["text"] = rows[1]["text"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert repeated() == {"shop-casing": 1}
    path.write_text(copies, encoding="utf-8")
    # Undeclared: all 8 of casing, and the 2 of keywords that hold no stop word.
    (out / "suite.toml").write_text(declared.replace('derived_from = "shop"\n', ""), encoding="utf-8")
    assert repeated() == {"shop-casing": 8, "shop-keywords": 2}


def test_set_is_derived_from_one_that_stands_above_it(tiny_suite):
    for name in ("shop", "phnoe", "nothing"):
        with pytest.raises(
            SuiteError, match=rf'query_sets\[\d\]\.derived_from is "{name}"; expected a query set of the same'
        ):
            tiny_suite.edit(
                "suite.toml", 'qrels = "qrels/shop.tsv"', f'qrels = "qrels/shop.tsv"\nderived_from = "{name}"'
            )
        text = (tiny_suite.folder / "suite.toml").read_text(encoding="utf-8")
        (tiny_suite.folder / "suite.toml").write_text(text.replace(f'\nderived_from = "{name}"', ""), encoding="utf-8")
    found = tiny_suite.edit(
        "suite.toml", 'qrels = "qrels/phone.tsv"', 'qrels = "qrels/phone.tsv"\nderived_from = "shop"'
    )
    assert (found.origin("phone"), found.origin("shop")) == ("shop", "shop")
    assert found.digest == tiny_suite.suite.digest


def test_folder_appears_whole_or_not_at_all(tiny_suite, tmp_path, monkeypatch):
    out = tmp_path / "new" / "out"
    out.mkdir(parents=True)  # empty is as good as absent

    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("bench.suites.perturb.write_text", full)
    arguments = ["perturb", str(tiny_suite.folder), "--query-set", "shop", "--with", "typos", "--out", str(out)]
    assert main(arguments) == 2
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert not list(out.iterdir())
    monkeypatch.undo()
    assert main(arguments) == 0
    assert suites.load(out).derived == {"shop-typos": "shop"}


def test_copy_of_a_file_from_elsewhere_is_refused(tiny_suite, tmp_path):
    (tmp_path / "elsewhere.jsonl").write_bytes((tiny_suite.folder / "corpus.jsonl").read_bytes())
    tiny_suite.edit("suite.toml", 'path = "corpus.jsonl"', 'path = "../elsewhere.jsonl"')
    with pytest.raises(UsageError, match=r"reads \.\./elsewhere\.jsonl, which lies outside"):
        perturb_suite(tiny_suite.folder, tmp_path / "out", query_set="shop", transformations=[TRANSFORMATIONS["typos"]])


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_declaration_survives_being_written(text):
    config = suites.declaration(suites.find("clinic")).model_copy(update={"description": text})
    assert tomllib.loads(suites.toml_of(config))["description" if text else "name"] == (text or "clinic")


def test_command_line_prints_one_document(tiny_suite, tmp_path, capsys):
    out = str(tmp_path / "out")
    arguments = ["perturb", str(tiny_suite.folder), "--query-set", "shop", "--with", "keywords", "--out", out, "--json"]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["query_sets"] == [  # h4 and h8 hold no stop word
        {"query_set": "shop-keywords", "transformation": "keywords", "seed": 0, "n_queries": 8, "unchanged": 2}
    ]
    assert main(arguments) == 2
    assert "exists already" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_chance_of_one_query_does_not_hang_on_another():
    made = Transformation("drawn", "a number", lambda text, rng: str(rng.random()))
    assert altered("a", made, query_id="q1", seed=0) != altered("a", made, query_id="q2", seed=0)
