"""The shape of a result's document, and what in a JSON value is not of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from bench.base.errors import excerpt


class Each(NamedTuple):
    """A JSON object whose keys are free and whose values are of one shape."""

    shape: Any


class Between(NamedTuple):
    """A JSON number within bounds."""

    low: float
    high: float


# A measure that is 1 by its formula may be a rounding above it.
_SHARE = Between(0, 1 + 1e-9)
# No count or time comes near a million; a number beyond it is damage, and its square no longer a sum's business.
_AMOUNT = Between(0, 1e6)
_SCORE = Between(-3.4e38, 3.4e38)

# What a result's document holds: a type, a union of types, bounds, {key: shape}, a list's shape in brackets, or
# `Each`. A whole number is 0 or more; a key that ends in "?" may be absent.
RESULT_SHAPE: dict[str, Any] = {
    "system": {"name": str, "kind": str, "digest": str, "recipe": dict, "variant?": str},
    "suite": {"name": str, "version": int, "digest": str},
    "query_set": {
        "name": str,
        "role": str,
        "digest": str,
        "corpus_digest": str,
        "labels_digest": str,
        "judged_negative_share": _SHARE,
    },
    "protocol": {"measures": [str], "depth": int, "relevance_level": int, "drop_self": bool, "tie_rule?": str},
    "run_digest": str,
    "means?": Each(_SCORE),
    "queries": {
        "ids": [str],
        "values": Each([_SHARE]),
        "judged": [_SHARE],
        "top_ids": [[str]],
        "clusters": [str | None],
        "slices": [str | list | None],
        "pinned": [int],
    },
    "lists": Each(str),
    "left_out": int,
    "missing": [str],
    "tie_spread": Each(_AMOUNT),
    "seconds": Each(_AMOUNT),
    "index_bytes": int | None,
    "measured_by?": Each(str),
    "environment": dict,
    "no_answer?": {
        "chosen_on": [str],
        "keeps": _SHARE,
        "threshold": _SCORE,
        "n_unanswerable": int,
        "false_positive_rate": _SHARE,
        "n_answerable": int,
        "answered": _SHARE,
        "measure": str,
        "value": _SHARE,
        "value_at_threshold": _SHARE,
    },
    "digest?": str,
}
_TYPES = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    dict: "an object",
    str | None: "a string or null",
    int | None: "a whole number or null",
    str | list | None: "a string, a list of them or null",
}


def misfits(value: Any, shape: Any, place: str) -> Iterator[str]:
    """What in a JSON value is not of a shape, in words: the place, what is there, what was expected."""
    wanted = ""
    if isinstance(shape, Between):
        # True is an int to Python, and no comparison holds of NaN.
        if type(value) not in (int, float) or not shape.low <= value <= shape.high:
            wanted = f"a number from {shape.low:g} to {shape.high:g}"
    elif isinstance(shape, dict | Each):
        if not isinstance(value, dict):
            wanted = "an object"
        elif isinstance(shape, Each):
            for key, inner in value.items():
                yield from misfits(inner, shape.shape, f"{place}.{excerpt(key, 40)}")
        else:
            for key, inner in shape.items():
                name = key.removesuffix("?")
                inside = f"{place}.{name}".removeprefix(".")
                if name in value:
                    yield from misfits(value[name], inner, inside)
                elif name == key:
                    yield f"{inside} is missing"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            wanted = "a list"
        else:
            for i, inner in enumerate(value):
                yield from misfits(inner, shape[0], f"{place}[{i}]")
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
        wanted = _TYPES[shape]
    elif isinstance(value, int) and value < 0:
        wanted = "0 or more"
    if wanted:
        yield f"{place} is {excerpt(repr(value), 40)}; expected {wanted}"
