"""People's word on a batch of pairs: which pairs are looked at, what was answered, and whether the batch is accepted.

The sample is drawn by origin, in proportion, five of each at least; the acceptance rate weighs origins by their size.
Its interval is Wilson's (1927) at Kish's effective sample size, which is the sample size where origins are sampled in
proportion. The record stands beside the pair file and holds only for the very bytes of that file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.base.errors import PairsError, StoreError, excerpt
from bench.base.store import read_json, write_json
from bench.records import digest_of
from bench.train.pairs import Pair

FORMAT = 1
LEVEL = 0.95
Z = 1.959963984540054
"""The normal's 97.5 % point: intervals are two-sided."""

LEAST = 5
"""Pairs of each origin that a sample holds, where there are as many."""

YES = ("accept", "accepted", "yes", "y", "true", "1")
NO = ("reject", "rejected", "no", "n", "false", "0")


@dataclass(frozen=True)
class Rate:
    """Accepted of judged, and the interval of the share at `LEVEL`."""

    accepted: int
    judged: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Audit:
    """A sample of one pair file, and what was answered: id → (accepted, note)."""

    digest: str
    seed: int
    sample: tuple[str, ...]
    answers: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    earlier: tuple[Mapping[str, Any], ...] = ()

    @property
    def open(self) -> list[str]:
        """Ids that nobody has answered."""
        return [one for one in self.sample if one not in self.answers]


def file_digest(path: Path) -> str:
    """32 hex digits over a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def audit_path(pairs: Path) -> Path:
    """Where the audit of a pair file stands."""
    return pairs.with_name(f"{pairs.stem}.audit.json")


def set_aside(path: Path, audit: Audit) -> Path:
    """Where the answers about an earlier file at `path` are kept, should that file come back."""
    return path.with_name(f"{path.stem}.audit-{audit.digest[:12]}.json")


def pair_id(pair: Pair) -> str:
    """12 hex digits that stand for a pair's texts and origin."""
    return digest_of([pair.query, pair.document, pair.corpus, pair.origin])[:12]


def draw(pairs: Sequence[Pair], size: int, *, seed: int) -> list[Pair]:
    """A sample by origin, in a mixed order; all pairs where there are no more than `size`.

    Each pair has a place by the digest of the seed and its id, and the first of each origin are taken: so the sample
    depends on the pairs, not on their order, and a larger one holds a smaller one's pairs as far as shares allow.
    """
    place = {row: digest_of([seed, pair_id(pair)]) for row, pair in enumerate(pairs)}
    strata: dict[str, list[int]] = {}
    for row in sorted(place, key=lambda row: (place[row], row)):
        strata.setdefault(pairs[row].origin, []).append(row)
    wanted = _allocation({origin: len(rows) for origin, rows in strata.items()}, size)
    chosen = [row for origin, rows in strata.items() for row in rows[: wanted[origin]]]
    return [pairs[row] for row in sorted(chosen, key=lambda row: (place[row], row))]


def _allocation(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Pairs of each origin: its share by largest remainder, `LEAST` or all of it at the least."""
    n = sum(sizes.values())
    if n <= total:
        return dict(sizes)
    given = {origin: min(size, total * size // n) for origin, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda origin: (-(total * sizes[origin] % n), origin))
    for origin in by_remainder[: total - sum(given.values())]:
        given[origin] += 1
    for origin in sorted(sizes):
        given[origin] = max(given[origin], min(LEAST, sizes[origin]))
    while sum(given.values()) > total and max(given.values()) > LEAST:
        given[max(given, key=lambda origin: (given[origin], origin))] -= 1
    return given


def acceptance(audit: Audit, pairs: Sequence[Pair]) -> dict[str, Rate]:
    """Rates by origin and, under "all", of the whole batch; judged pairs alone.

    Raises:
        PairsError: nothing is judged yet.
    """
    origin_of = {pair_id(pair): pair.origin for pair in pairs}
    sizes: dict[str, int] = {}
    for pair in pairs:
        sizes[pair.origin] = sizes.get(pair.origin, 0) + 1
    judged: dict[str, list[bool]] = {}
    for one, (accepted, _) in audit.answers.items():
        judged.setdefault(origin_of[one], []).append(accepted)
    if not judged:
        raise PairsError(
            "The audit holds no answer yet. Open the page, judge its pairs, and give the file: --answers F"
        )
    found = {origin: _wilson(sum(said), len(said), sum(said) / len(said)) for origin, said in sorted(judged.items())}
    weight = {origin: sizes[origin] / sum(sizes[o] for o in judged) for origin in judged}
    rate = sum(weight[origin] * found[origin].rate for origin in judged)
    effective = 1 / sum(weight[origin] ** 2 / found[origin].judged for origin in judged)
    low, high = _bounds(rate, effective)
    n = sum(one.judged for one in found.values())
    return {"all": Rate(sum(one.accepted for one in found.values()), n, rate, low, high), **found}


def _wilson(accepted: int, judged: int, rate: float) -> Rate:
    return Rate(accepted, judged, rate, *_bounds(rate, judged))


def _bounds(rate: float, n: float) -> tuple[float, float]:
    """Wilson's score interval. Source: Wilson 1927; Brown, Cai & DasGupta 2001, equation 4."""
    centre = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


# --- the record ------------------------------------------------------------------------------------


def write_audit(path: Path, audit: Audit, rates: Mapping[str, Rate] | None = None) -> Path:
    """Write the record beside the pair file at `path`."""
    document = {
        "format": FORMAT,
        "kind": "pairs-audit",
        "digest": audit.digest,
        "seed": audit.seed,
        "sample": list(audit.sample),
        "answers": {one: {"accept": said, "note": note} for one, (said, note) in audit.answers.items()},
        "rates": {name: asdict(rate) for name, rate in (rates or {}).items()},
        "interval": f"Wilson, two-sided {LEVEL:.0%}, at Kish's effective sample size",
        "earlier": list(audit.earlier),
    }
    return write_json(audit_path(path), document, indent=1)


def read_audit(path: Path) -> Audit | None:
    """The audit of the pair file at `path`, whatever file it was about; None where there is none.

    Raises:
        PairsError: a record that is none.
    """
    record = audit_path(path)
    if not record.exists():
        return None
    try:
        document = read_json(record)
        if document["format"] != FORMAT or document["kind"] != "pairs-audit":
            raise KeyError("format")
        answers = {str(one): (bool(said["accept"]), str(said["note"])) for one, said in document["answers"].items()}
        sample = tuple(map(str, document["sample"]))
        if not set(answers) <= set(sample):
            raise ValueError("answers about pairs that were not sampled")
        earlier = tuple(dict(one) for one in document["earlier"])
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
    from bench.train.pairs import read_pairs

    audit = read_audit(path)
    again = f"Audit it with: bench pairs audit {name}"
    if audit is None:
        raise PairsError(f"pairs:{name} wants an acceptance rate above {accept:g} and has no audit. {again}")
    if audit.digest != file_digest(path):
        raise PairsError(f"pairs:{name}: the audit is about another {path} than stands there now. {again}")
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


# --- answers ---------------------------------------------------------------------------------------


def read_answers(path: Path, audit: Audit) -> dict[str, tuple[bool, str]]:
    """Pair id → (accepted, note), from the page's JSON or from a table with the columns id, answer and note.

    Raises:
        PairsError: not such a file, about another pair file, a pair that was not sampled or stands twice, an answer
            that is neither yes nor no; names file and line where there is one.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise PairsError(f"{path} cannot be read: {problem}.") from None
    rows = _json_answers(path, text, audit) if text.lstrip().startswith(("{", "[")) else _table_answers(path, text)
    sampled, found = set(audit.sample), {}
    for where, row in rows:
        one = row.get("id")
        if not isinstance(one, str) or one not in sampled:
            raise PairsError(
                f"{where}: pair {excerpt(repr(one))} is none of the {len(sampled)} sampled ones; expected the id that "
                "stands beside it on the page."
            )
        if one in found:
            raise PairsError(f'{where}: pair "{one}" is answered twice; expected one answer each.')
        note = row.get("note") or ""
        if not isinstance(note, str):
            raise PairsError(f'{where}: "note" is {excerpt(repr(note))}; expected a text.')
        answer = row.get("answer")
        said = str(answer).strip().lower() if isinstance(answer, (str, bool, int)) else None
        if answer is None or said == "":
            continue
        if said not in (*YES, *NO):
            raise PairsError(f'{where}: "answer" is {excerpt(repr(answer))}; expected accept or reject.')
        found[one] = (said in YES, note.strip())
    return found


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
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        for name in ("id", "answer"):
            if header.count(name) != 1:
                raise PairsError(f'{path}, line 1: expected the columns id, answer, note; "{name}" is not there once.')
        found = []
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if row and len(row) != len(header):
                raise PairsError(f"{where}: {len(row)} fields; expected {len(header)}: {', '.join(header)[:80]}.")
            if row:
                found.append((where, dict(zip(header, (value.strip() for value in row), strict=True))))
        return found
    except csv.Error as problem:
        raise PairsError(f"{path}, line {rows.line_num}: not such a table ({problem}).") from None
