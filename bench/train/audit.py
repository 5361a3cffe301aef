"""An audit of a batch of pairs by people: the sample, the answers, and whether the batch is accepted.

The sample is drawn by origin, in proportion, five of each at least; the acceptance rate weighs origins by their size.
Its interval is Wilson's (1927) at Kish's effective sample size, which is the sample size where origins are sampled in
proportion. The record stands beside the pair file and is valid only for the bytes of that file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.base.errors import PairsError, StoreError, excerpt
from bench.base.store import read_json, write_json
from bench.records import digest_of
from bench.train.pairs import Pair, read_pairs, read_text

FORMAT = 1
LEVEL = 0.95
Z = 1.959963984540054
"""The normal's 97.5 % point: intervals are two-sided."""

LEAST = 5
"""Pairs of each origin in a sample, where there are as many."""

YES = ("accept", "accepted", "yes", "y", "true", "1")
NO = ("reject", "rejected", "no", "n", "false", "0")


@dataclass(frozen=True)
class Rate:
    """Accepted of judged pairs, and the interval of the share at `LEVEL`."""

    accepted: int
    judged: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Audit:
    """A sample of one pair file, and the answers: id → (accepted, note)."""

    digest: str
    seed: int
    sample: tuple[str, ...]
    answers: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    earlier: tuple[Mapping[str, Any], ...] = ()

    @property
    def open(self) -> list[str]:
        """Ids without an answer."""
        return [pair for pair in self.sample if pair not in self.answers]


def file_digest(path: Path) -> str:
    """32 hex digits over a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def audit_path(pairs: Path) -> Path:
    """The path of a pair file's audit."""
    return pairs.with_name(f"{pairs.stem}.audit.json")


def set_aside(path: Path, audit: Audit) -> Path:
    """The path where answers about an earlier file at `path` are kept, in case that file comes back."""
    return path.with_name(f"{path.stem}.audit-{audit.digest[:12]}.json")


def pair_id(pair: Pair) -> str:
    """12 hex digits that stand for a pair's texts and origin."""
    return digest_of([pair.query, pair.document, pair.corpus, pair.origin])[:12]


def draw(pairs: Sequence[Pair], size: int, *, seed: int) -> list[Pair]:
    """A sample by origin, in a mixed order; all pairs where there are no more than `size`.

    A pair's rank is the digest of the seed and its id, and the first of each origin are taken: the sample depends on
    the pairs, not on their order, and a larger one contains a smaller one as far as shares allow.
    """
    rank = {row: (digest_of([seed, pair_id(pair)]), row) for row, pair in enumerate(pairs)}
    rows_of: dict[str, list[int]] = {}
    for row in sorted(rank, key=lambda row: rank[row]):
        rows_of.setdefault(pairs[row].origin, []).append(row)
    sizes = _allocation({origin: len(rows) for origin, rows in rows_of.items()}, size)
    sample = [row for origin, rows in rows_of.items() for row in rows[: sizes[origin]]]
    return [pairs[row] for row in sorted(sample, key=lambda row: rank[row])]


def _allocation(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Pairs of each origin: its share by largest remainder, at least `LEAST` or all of it."""
    n = sum(sizes.values())
    if n <= total:
        return dict(sizes)
    shares = {origin: min(size, total * size // n) for origin, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda origin: (-(total * sizes[origin] % n), origin))
    for origin in by_remainder[: total - sum(shares.values())]:
        shares[origin] += 1
    for origin in sorted(sizes):
        shares[origin] = max(shares[origin], min(LEAST, sizes[origin]))
    while sum(shares.values()) > total and max(shares.values()) > LEAST:
        shares[max(shares, key=lambda origin: (shares[origin], origin))] -= 1
    return shares


def acceptance(audit: Audit, pairs: Sequence[Pair]) -> dict[str, Rate]:
    """Rates by origin and, under "all", of the whole batch, from judged pairs.

    Raises:
        PairsError: nothing is judged yet.
    """
    origin_of = {pair_id(pair): pair.origin for pair in pairs}
    sizes = Counter(pair.origin for pair in pairs)
    answers: dict[str, list[bool]] = {}
    for pair, (accepted, _) in audit.answers.items():
        answers.setdefault(origin_of[pair], []).append(accepted)
    if not answers:
        raise PairsError(
            "The audit holds no answer yet. Open the page, judge its pairs, and give the file: --answers F"
        )

    def rate_of(accepted: int, judged: int, rate: float, n: float) -> Rate:
        # Wilson's score interval. Source: Wilson 1927; Brown, Cai & DasGupta 2001, equation 4.
        centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * math.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
        return Rate(accepted, judged, rate, max(0.0, centre - half), min(1.0, centre + half))

    rates = {
        origin: rate_of(sum(rows), len(rows), sum(rows) / len(rows), len(rows))
        for origin, rows in sorted(answers.items())
    }
    weight = {origin: sizes[origin] / sum(sizes[o] for o in answers) for origin in answers}
    mean = sum(weight[origin] * rates[origin].rate for origin in answers)
    effective = 1 / sum(weight[origin] ** 2 / rates[origin].judged for origin in answers)
    accepted, judged = (sum(getattr(rate, name) for rate in rates.values()) for name in ("accepted", "judged"))
    return {"all": rate_of(accepted, judged, mean, effective), **rates}


def write_audit(path: Path, audit: Audit, rates: Mapping[str, Rate] | None = None) -> Path:
    """Write the record beside the pair file at `path`."""
    document = {
        "format": FORMAT,
        "kind": "pairs-audit",
        "digest": audit.digest,
        "seed": audit.seed,
        "sample": list(audit.sample),
        "answers": {pair: {"accept": accepted, "note": note} for pair, (accepted, note) in audit.answers.items()},
        "rates": {name: asdict(rate) for name, rate in (rates or {}).items()},
        "interval": f"Wilson, two-sided {LEVEL:.0%}, at Kish's effective sample size",
        "earlier": list(audit.earlier),
    }
    return write_json(audit_path(path), document, indent=1)


def read_audit(path: Path) -> Audit | None:
    """The audit beside the pair file at `path`, even if it is about another file; None where there is none.

    Raises:
        PairsError: a record that cannot be read.
    """
    record = audit_path(path)
    if not record.exists():
        return None
    try:
        document = read_json(record)
        if document["format"] != FORMAT or document["kind"] != "pairs-audit":
            raise KeyError("format")
        answers = {str(pair): (bool(row["accept"]), str(row["note"])) for pair, row in document["answers"].items()}
        sample = tuple(map(str, document["sample"]))
        if not set(answers) <= set(sample):
            raise ValueError("answers about pairs that were not sampled")
        earlier = tuple(dict(rate) for rate in document["earlier"])
        return Audit(str(document["digest"]), int(document["seed"]), sample, answers, earlier)
    except (StoreError, KeyError, TypeError, ValueError, AttributeError) as problem:
        raise PairsError(
            f"{record} is no audit that this version reads ({problem}). Remove it and audit anew."
        ) from None


def refuse_unaccepted(name: str, path: Path, accept: float) -> None:
    """Refuse a pair file whose audit is missing, about another file, unfinished, or below the table's `accept`.

    Raises:
        PairsError: says which, and the command that mends it.
    """
    audit = read_audit(path)
    again = f"Audit it with: bench pairs audit {name}"
    if audit is None:
        raise PairsError(f"pairs:{name} wants an acceptance rate above {accept:g} and has no audit. {again}")
    if audit.digest != file_digest(path):
        raise PairsError(f"pairs:{name}: the audit is about an earlier {path}; the file has changed since. {again}")
    if audit.open:
        raise PairsError(
            f"pairs:{name}: {len(audit.open)} of {len(audit.sample)} sampled pairs have no answer. {again} --answers F"
        )
    rate = acceptance(audit, read_pairs(path)[1])["all"]
    if rate.low < accept:
        raise PairsError(
            f"pairs:{name} is not accepted: {rate.accepted} of {rate.judged} pairs, {rate.rate:.1%} "
            f"[{rate.low:.1%}, {rate.high:.1%}]; the lower bound must reach {accept:.1%} (pairs.{name}.accept). Filter "
            f"harder or drop an origin, make the pairs anew, and audit them."
        )


def read_answers(path: Path, audit: Audit) -> dict[str, tuple[bool, str]]:
    """Pair id → (accepted, note), from the page's JSON or from a table with the columns id, answer and note.

    Raises:
        PairsError: a file of another form or about another pair file, a pair that was not sampled or is answered
            twice, an answer that is neither yes nor no; names file and line where there is one.
    """
    text = read_text(path, "Give the file that the audit's page downloads.")
    rows = _json_answers(path, text, audit) if text.lstrip().startswith(("{", "[")) else _table_answers(path, text)
    sample = set(audit.sample)
    answers: dict[str, tuple[bool, str]] = {}
    for where, row in rows:
        pair, answer, note = row.get("id"), row.get("answer"), row.get("note") or ""
        if not isinstance(pair, str) or pair not in sample:
            raise PairsError(
                f"{where}: pair {excerpt(repr(pair))} is none of the {len(sample)} sampled ones; expected an id from "
                "the page."
            )
        if pair in answers:
            raise PairsError(f'{where}: pair "{pair}" is answered twice; expected one answer each.')
        if not isinstance(note, str):
            raise PairsError(f'{where}: "note" is {excerpt(repr(note))}; expected a text.')
        word = str(answer).strip().lower() if isinstance(answer, (str, bool, int)) else None
        if answer is None or word == "":
            continue
        if word not in (*YES, *NO):
            raise PairsError(f'{where}: "answer" is {excerpt(repr(answer))}; expected accept or reject.')
        answers[pair] = (word in YES, note.strip())
    return answers


def _json_answers(path: Path, text: str, audit: Audit) -> list[tuple[str, dict[str, Any]]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise PairsError(f"{path}: not JSON ({problem}); it may be cut off.") from None
    if not isinstance(document, dict) or document.get("kind") != "pairs-audit-answers" or document.get("format") != 1:
        raise PairsError(f"{path}: expected the answers that the audit's page gives to download.")
    if document.get("digest") != audit.digest:
        raise PairsError(
            f"{path}: these answers are about another pair file (digest {excerpt(str(document.get('digest')), 12)}, "
            f"expected {audit.digest[:12]}). Judge the page of this one."
        )
    answers = document.get("answers")
    if not isinstance(answers, list) or not all(isinstance(row, dict) for row in answers):
        raise PairsError(f'{path}: "answers" is {excerpt(repr(answers))}; expected a list of objects.')
    return [(f"{path}: answers[{i}]", row) for i, row in enumerate(answers)]


def _table_answers(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    answers: list[tuple[str, dict[str, Any]]] = []
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        for name in ("id", "answer"):
            if header.count(name) != 1:
                raise PairsError(f'{path}, line 1: expected the columns id, answer, note; "{name}" is not there once.')
        for row in filter(None, rows):
            where = f"{path}, line {rows.line_num}"
            if len(row) != len(header):
                raise PairsError(f"{where}: {len(row)} fields; expected {len(header)}: {', '.join(header)[:80]}.")
            answers.append((where, dict(zip(header, map(str.strip, row), strict=True))))
    except csv.Error as problem:
        raise PairsError(f"{path}, line {rows.line_num}: not such a table ({problem}).") from None
    return answers
