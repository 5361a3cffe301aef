"""Training pairs: tables of `[pairs]` made, audited, exported and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.base import words
from bench.base.errors import BenchError, PairsError, UsageError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.base.store import write_text
from bench.project.answers import Reply
from bench.project.workspace import Workspace
from bench.records import Suite
from bench.report import tables
from bench.report.audit import Card, audit_page
from bench.report.blocks import Block, Prose
from bench.suites import suite as suites
from bench.train import audit as audits
from bench.train import layouts, origins
from bench.train.filters import RULES, systems_of
from bench.train.loading import read_table
from bench.train.making import PairFile, make, read_removed
from bench.train.pairs import Pair, read_pairs


def named(workspace: Workspace, names: Sequence[str], *, besides: Sequence[str] = ()) -> list[str]:
    """These tables of `[pairs]`, or all of them without names; the first name may be a misspelt word of `besides`.

    Raises:
        UsageError: no such table, or no table at all.
    """
    known = workspace.config.pairs
    for place, name in enumerate(names):
        if name not in known:
            raise UsageError(
                f"{workspace.path} has no table pairs.{name}; expected one of {', '.join(known) or 'none'}."
                f"{did_you_mean(name, known if place else [*known, *besides])}"
            )
    if not known:
        raise UsageError(
            f"{workspace.path} has no table [pairs.NAME]; docs/pairs.md shows one. Query sets of role train need none."
        )
    return list(names or known)


def make_tables(
    workspace: Workspace, names: Sequence[str], *, suite: str | None = None, progress: Progress = no_progress
) -> Reply:
    """Make the pairs of these tables, for `suite` or else each table's own.

    Raises:
        BenchError: any error of `bench.train.making.make`; its `answer` has the tables before.
    """
    documents: list[dict[str, Any]] = []
    blocks: list[Block] = []
    for name in names:
        try:
            result = _make(workspace, name, suite, progress)
        except BenchError as error:
            error.answer = Reply({}, blocks)
            raise
        head = {"name": name, "out": str(result.path), "digest": result.digest}
        documents.append({**head, **result.counts, "this_run": result.this_run})
        blocks += _counts(name, result.counts)
        for origin in result.this_run:
            rows = [[what, f"{n:,.6g}"] for what, n in origin.items() if what not in ("from", "kind")]
            blocks.append(tables.table(f"{name}, {origin['kind']}: this run", ["what", "number"], rows))
        n_pairs = words.count(sum(result.counts["kept"].values()), "pair")
        blocks.append(Prose([f"Wrote {n_pairs} to {result.path}."], "good"))
    return Reply({"format": 1, "made": documents}, blocks, table=documents)


def make_missing(
    workspace: Workspace, names: list[str], suite: Suite, *, progress: Progress = no_progress
) -> list[str]:
    """Make a recipe's tables whose pairs are missing or outdated; returns their names."""
    missing = []
    for name in (name.removeprefix("pairs:") for name in names if name.startswith("pairs:")):
        if name in workspace.config.pairs:
            try:
                read_table(name, base=workspace.base, config=workspace.config, gated=False, suite=suite)
            except PairsError:
                _make(workspace, name, None, progress)
                missing.append(name)
    return missing


def _make(workspace: Workspace, name: str, suite: str | None, progress: Progress) -> PairFile:
    """Make one table, without pairs that hold evaluation texts of a protected suite."""
    table = workspace.config.pairs[name]
    loaded = workspace.suite(suite or table.suite)
    others = table.filters.protect or workspace.config.suites
    protected = [suites.load(suites.find(other, relative_to=workspace.base)) for other in others]
    evaluator = workspace.evaluator(loaded, systems_of(table.filters), progress=progress)
    return make(name, table, evaluator=evaluator, base=workspace.base, protected=protected, progress=progress)


def estimated(
    workspace: Workspace, names: Sequence[str], *, suite: str | None = None, progress: Progress = no_progress
) -> Reply:
    """The estimated cost of language models for these tables; calls none of them."""
    documents: list[dict[str, Any]] = []
    blocks: list[Block] = []
    for name in names:
        table = workspace.config.pairs[name]
        loaded = workspace.suite(suite or table.suite)
        for number, origin in enumerate(table.from_):
            context = origins.Context(loaded, workspace.base, workspace.store, table.seed, progress)
            estimate = origins.estimate(origin, context)
            if estimate is None:
                continue
            documents.append({"name": name, "from": number, "kind": str(origin["kind"]), **estimate})
            flat = {**estimate, **{f"spent so far: {what}": n for what, n in estimate["spent"].items()}}
            del flat["spent"]
            rows = [[what.replace("_", " "), "–" if n in (None, "") else str(n)] for what, n in flat.items()]
            blocks.append(tables.table(f"{name}: {origin['kind']}, estimated", ["what", "number"], rows))
    free = Prose(["These tables ask no language model, so making them costs nothing."])
    return Reply({"format": 1, "dry_run": documents}, blocks or [free], table=documents)


def _counts(name: str, counts: Mapping[str, Any]) -> list[Block]:
    """The numbers of pairs that were read, removed and kept."""
    rows: list[tuple[str, int]] = []
    for origin in counts["read"]:
        rows.append((f"read: {origin['kind']}", origin["pairs"]))
        rows += [(f"{origin['kind']}: {what}", n) for what, n in origin["counts"].items()]
    rows += [(f"removed: {RULES[rule]} ({rule})", n) for rule, n in counts["removed"].items()]
    rows += counts["unchecked"].items()
    rows += [(f"kept: {origin}", n) for origin, n in counts["kept"].items()]
    table = tables.table(f"Pairs of {name}", ["what", "pairs"], [[what, words.integer(n)] for what, n in rows])
    read = dict.fromkeys(origin["kind"] for origin in counts["read"] if origin["pairs"])
    lost = ", ".join(kind for kind in read if kind not in counts["kept"])
    text = f"Every pair of these origins was removed: {lost}. See why: bench pairs show {name} --removed all"
    return [table, Prose([text], "warning")] if lost else [table]


def audited(
    workspace: Workspace,
    name: str,
    *,
    sample: int = 100,
    seed: int | None = None,
    out: Path | str | None = None,
    answers: Path | str | None = None,
) -> Reply:
    """Draw a sample of a table's pairs for people to judge on a page, or read their `answers` back.

    `seed` is the table's where None, `out` is audit-NAME.html among the reports.

    Raises:
        PairsError: no pairs, a damaged record, or answers about other pairs.
    """
    path, pairs = read_table(name, base=workspace.base, config=workspace.config, gated=False)
    digest = audits.file_digest(path)
    audit, notes = _audit_of(path, digest)
    blocks: list[Block] = [Prose([note], "warning") for note in notes]
    if answers is not None:
        if audit is None:
            absent = f"{path} was not audited as it is now. Begin an audit with: bench pairs audit {name}"
            raise PairsError(" ".join([*notes, absent]))
        audit = replace(audit, answers={**audit.answers, **audits.read_answers(Path(answers), audit)})
        answer = _rates(path, name, audit, pairs, workspace.config.pairs[name].accept)
        return replace(answer, shown=[*blocks, *answer.shown])
    seed = workspace.config.pairs[name].seed if seed is None else seed
    drawn = audits.draw(pairs, sample, seed=seed)
    ids = tuple(map(audits.pair_id, drawn))
    if audit is None or audit.sample != ids:
        earlier = audit.earlier if audit else ()
        # A batch that is drawn again and again until it passes proves nothing: earlier rates stay on record.
        if audit and audit.answers:
            rate = audits.acceptance(audit, pairs)["all"]
            earlier = (*earlier, {"seed": audit.seed, "accepted": rate.accepted, "judged": rate.judged})
        audits.write_audit(path, audits.Audit(digest, seed, ids, {}, earlier))
    page = Path(out) if out else workspace.reports / f"audit-{name}.html"
    cards = []
    for pair_id, pair in zip(ids, drawn, strict=True):
        place = " · ".join(f"{key} {value}" for key, value in pair.provenance.items())
        cards.append(Card(pair_id, pair.query, pair.document, pair.origin, pair.weight, place))
    write_text(page, audit_page(name, cards, digest=digest))
    blocks.append(Prose([f"{words.count(len(ids), 'pair')} to judge: {page}"], "good"))
    blocks.append(Prose([f"Then: bench pairs audit {name} --answers FILE"]))
    return Reply({"format": 1, "page": str(page), "sample": list(ids), "digest": digest}, blocks)


def _audit_of(path: Path, digest: str) -> tuple[audits.Audit | None, list[str]]:
    """The audit of the pair file as it is now, if there is one, and a sentence where another file's is set aside.

    Answers are people's time: those about another file are stored aside, and come back with that file.
    """
    audit, notes = audits.read_audit(path), []
    if audit and audit.digest == digest:
        return audit, []
    if audit and audit.answers:
        aside = audits.set_aside(path, audit)
        audits.audit_path(path).replace(aside)
        notes.append(f"The answers about the earlier {path.name} are kept in {aside}.")
    stored = audits.set_aside(path, audits.Audit(digest, 0, ()))
    if not stored.is_file():
        return None, notes
    stored.replace(audits.audit_path(path))
    return audits.read_audit(path), notes


def _rates(path: Path, name: str, audit: audits.Audit, pairs: Sequence[Pair], required: float | None) -> Reply:
    """Record an audit's answers, and say whether the batch is accepted."""
    rates = audits.acceptance(audit, pairs)
    audits.write_audit(path, audit, rates)
    low = rates["all"].low
    accepted = None if required is None else not audit.open and low >= required
    document = {
        "format": 1,
        "name": name,
        "rates": {origin: asdict(rate) for origin, rate in rates.items()},
        "level": audits.LEVEL,
        "interval": "wilson",
        "unanswered": len(audit.open),
        "accept": required,
        "accepted": accepted,
        "earlier": list(audit.earlier),
        "record": str(audits.audit_path(path)),
    }
    rows = []
    for origin, rate in rates.items():
        share, least, most = (words.percent(value, 1) for value in (rate.rate, rate.low, rate.high))
        rows.append([origin, str(rate.judged), share, f"[{least}, {most}]"])
    columns = ["origin", "judged", "accepted", f"{words.confidence(1 - audits.LEVEL)} interval (Wilson)"]
    blocks: list[Block] = [tables.table(f"Audit of {name}", columns, rows)]
    if audit.open:
        text = f"{len(audit.open)} of {len(audit.sample)} sampled pairs have no answer yet."
        blocks.append(Prose([text], "warning"))
    for sample in audit.earlier:
        blocks.append(Prose([f"An earlier sample of this file: {sample['accepted']} of {sample['judged']} accepted."]))
    if required is not None:
        verdict = "is accepted" if accepted else "is not accepted, and recipes refuse it"
        bounds = f"the lower bound is {words.percent(low, 1)}, required is {words.percent(required, 1)}"
        blocks.append(Prose([f"The batch {verdict}: {bounds}."], "good" if accepted else "error"))
    return Reply(document, blocks, table=[{"origin": origin, **asdict(rate)} for origin, rate in rates.items()])


def exported(
    workspace: Workspace, name: str, *, format: str, out: Path | str, negatives: Path | str | None = None
) -> Reply:
    """Write a table's pairs in the layout of another program, with the `negatives` that `bench mine` wrote to a file.

    Raises:
        PairsError: no pairs, or pairs that the table requires to be accepted and are not.
    """
    hard = layouts.read_negative_texts(Path(negatives)) if negatives else None
    # A hosted fine-tune learns from a batch as ours does, so it is gated alike.
    _, pairs = read_table(name, base=workspace.base, config=workspace.config)
    counts = layouts.export(pairs, format, Path(out), negatives=hard)
    text = f"Wrote {out} ({', '.join(f'{what} {n}' for what, n in counts.items())})."
    return Reply({"format": 1, "name": name, "out": str(out), "layout": format, **counts}, [Prose([text], "good")])


def shown(workspace: Workspace, name: str, *, removed: str | None = None) -> Reply:
    """A summary and examples of a table's pairs, or the pairs that a rule ("all": any rule) removed from it.

    Raises:
        PairsError: no pairs.
        UsageError: no such rule.
    """
    path, pairs = read_table(name, base=workspace.base, config=workspace.config, gated=False)
    if removed is None:
        header, _ = read_pairs(path)
        texts = [[pair.origin, f"{pair.weight:.3g}", pair.query, pair.document[:200]] for pair in pairs]
        examples = texts[:: max(1, len(pairs) // 5)][:5]
        table = tables.table("Examples", ["origin", "weight", "query", "document"], examples, text=4)
        document = {"format": 1, "name": name, "out": str(path), "header": header}
        document["origins"] = dict(Counter(pair.origin for pair in pairs))
        return Reply(document, [*_counts(name, header), table], table=[asdict(pair) for pair in pairs])
    if removed not in ("all", *RULES):
        hint = did_you_mean(removed, RULES)
        raise UsageError(f'No rule "{removed}"; expected all or one of {", ".join(RULES)}.{hint}')
    all_rows = read_removed(path)
    rows = [row for row in all_rows if removed in ("all", row["rule"])]
    others = ", ".join(dict.fromkeys(row["rule"] for row in all_rows))
    absent = f"No pair was removed by {removed}; rules that removed some: {others}."
    texts = [[row["rule"], row["why"], row["query"], row["document"][:200]] for row in rows]
    table = tables.table(f"Removed from {name}", ["rule", "why", "query", "document"], texts, text=4)
    block = table if rows else Prose([absent if others else "No pair was removed."])
    return Reply({"format": 1, "name": name, "removed": rows}, [block], table=rows)
