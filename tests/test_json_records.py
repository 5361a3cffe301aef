"""Records as JSON: keys in the order that a class states, and readings that say what does not fit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
import pytest
from typing_extensions import TypedDict

from bench.base.json_records import JsonRecord, as_json, read_record


@dataclass(frozen=True)
class Inner(JsonRecord):
    a: int
    b: tuple[float, ...] = ()


@dataclass(frozen=True)
class Outer(JsonRecord, keys="twice total=a note? inner", format=1):
    a: float
    note: str
    inner: Inner

    @property
    def twice(self) -> float:
        return 2 * self.a


def test_fields_are_keys_in_their_order_unless_the_class_says_otherwise():
    assert list(Inner(1, (0.5,)).to_json().items()) == [("a", 1), ("b", [0.5])]
    made = Outer(2.0, "", Inner(1)).to_json()
    assert json.dumps(made) == '{"format": 1, "twice": 4.0, "total": 2.0, "note": null, "inner": {"a": 1, "b": []}}'
    assert Outer(2.0, "x", Inner(1)).to_json()["note"] == "x"


def test_a_key_that_names_nothing_is_refused_when_the_class_is_made():
    with pytest.raises(TypeError, match='Wrong has no attribute "absent"'):

        class Wrong(JsonRecord, keys="a absent"):
            a: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (np.float64("nan"), None),
        (np.int64(3), 3),
        (np.array([[1.5, np.nan]]), [[1.5, None]]),
        (Path("a") / "b", "a/b"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        ({1: (Inner(2),)}, {"1": [{"a": 2, "b": []}]}),
        (True, True),
    ],
)
def test_every_value_becomes_one_of_jsons_own(value, expected):
    found = as_json(value)
    assert found == expected
    assert json.loads(json.dumps(found, allow_nan=False)) == expected


class Row(TypedDict):
    n: int
    share: NotRequired[float]
    names: list[str]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"names": []}, "n is missing"),
        ({"n": True, "names": []}, "n is True; expected a valid integer"),
        ({"n": 1, "names": ["a", 2]}, r"names\[1\] is 2; expected a valid string"),
        ({"n": 1, "share": "x", "names": []}, "share is 'x'; expected a valid number"),
        ([], r"it is \[\]; expected a JSON object"),
    ],
)
def test_a_document_that_does_not_fit_is_told_by_its_first_misfit(document: Any, message: str):
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_record(document, Row)


def test_a_document_that_fits_is_the_same():
    assert read_record({"n": 1, "share": 1, "names": ["a"]}, Row) == {"n": 1, "share": 1.0, "names": ["a"]}
