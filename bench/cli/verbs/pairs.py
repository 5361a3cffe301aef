"""Training pairs: make the config's tables, audit them, export them, show what is in them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import UsageError, did_you_mean
from bench.cli.verbs._options import config_options, json_option, positive, print_json

if TYPE_CHECKING:
    from bench.project.workspace import Workspace
    from bench.train.pairs import Pair

HELP = "make, audit, export and show training pairs"

ACTIONS = ("make", "audit", "export", "show")
FORMATS = ("sentence-transformers", "flagembedding", "llamaindex", "cohere")


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument(
        "names", metavar="[make|audit|export|show] NAME", nargs="*", help="tables of [pairs] (default: make all)"
    )
    parser.add_argument("--dry-run", action="store_true", help="make: say what language models would cost, and stop")
    parser.add_argument("--answers", metavar="F", help="audit: read the answers back, JSON of the page or CSV")
    parser.add_argument("--sample", metavar="N", type=positive, default=100, help="audit: pairs (default: 100)")
    parser.add_argument("--seed", metavar="N", type=int, help="audit: of the sample (default: the table's)")
    parser.add_argument("--format", choices=FORMATS, help="export: whose layout")
    parser.add_argument("--negatives", metavar="F", help="export: a file that bench mine wrote")
    parser.add_argument("--out", metavar="F", help="export: the file; audit: the page")
    parser.add_argument("--removed", metavar="RULE", help="show: pairs that this rule removed (all: of every rule)")
    json_option(parser)


def run(options: Namespace) -> int:
    """Make, audit, export or show training pairs."""
    from bench.project.workspace import Workspace

    action, names = "make", list(options.names)
    if names and names[0] in ACTIONS:
        action, names = names[0], names[1:]
    belongs = {"dry_run": "make", "answers": "audit", "format": "export", "negatives": "export", "removed": "show"}
    for option, of in belongs.items():
        if getattr(options, option) and action != of:
            raise UsageError(f"--{option.replace('_', '-')} belongs to: bench pairs {of} NAME")
    workspace = Workspace.open(options.config)
    tables = workspace.config.pairs
    for name in names:
        if name not in tables:
            known = [*tables, *(ACTIONS if names.index(name) == 0 and action == "make" else ())]
            raise UsageError(
                f"{workspace.path} has no table pairs.{name}; expected one of {', '.join(tables) or 'none'}."
                f"{did_you_mean(name, known)}"
            )
    if not tables:
        raise UsageError(
            f"{workspace.path} has no table [pairs.NAME]; docs/pairs.md shows one. Query sets of role train need none."
        )
    if action == "make":
        return (_dry_run if options.dry_run else _make)(workspace, names or list(tables), options)
    if not names and len(tables) == 1:
        names = list(tables)
    if len(names) != 1:
        raise UsageError(f"bench pairs {action} takes one table: {', '.join(tables)}.")
    return {"audit": _audit, "export": _export, "show": _show}[action](workspace, names[0], options)


# --- make ------------------------------------------------------------------------------------------


def _make(workspace: Workspace, names: Sequence[str], options: Namespace) -> int:
    from bench.project.pairs import make_pairs
    from bench.report.forms import terminal

    documents = []
    for name in names:
        suite = workspace.suite(options.suite) if options.suite else None
        with terminal.progress(quiet=options.json) as told:
            made = make_pairs(workspace, name, suite=suite, progress=told)
        documents.append(
            {"name": name, "out": str(made.path), "digest": made.digest, **made.counts, "this_run": made.this_run}
        )
        if not options.json:
            _tell(name, made.counts)
            for one in made.this_run:
                rows = [[what, f"{n:,.6g}"] for what, n in one.items() if what not in ("from", "kind")]
                terminal.table([f"{one['kind']}: this run", "number"], rows)
            terminal.say(f"{sum(made.counts['kept'].values())} pairs in {made.path}")
    if options.json:
        print_json({"format": 1, "made": documents})
    return 0


def _dry_run(workspace: Workspace, names: Sequence[str], options: Namespace) -> int:
    from bench.report.forms import terminal
    from bench.train import origins

    documents = []
    for name in names:
        table = workspace.config.pairs[name]
        suite = workspace.suite(options.suite or table.suite)
        for number, one in enumerate(table.from_):
            with terminal.progress(quiet=options.json) as told:
                context = origins.Context(suite, workspace.base, workspace.store, table.seed, told)
                found = origins.estimate(one, context)
            if found is None:
                continue
            documents.append({"name": name, "from": number, "kind": str(one["kind"]), **found})
            if not options.json:
                flat = {**found, **{f"spent so far: {what}": n for what, n in found["spent"].items()}}
                del flat["spent"]
                rows = [[what.replace("_", " "), "–" if n in (None, "") else str(n)] for what, n in flat.items()]
                terminal.table([f"{name}: {one['kind']}, estimated", "number"], rows)
    if options.json:
        print_json({"format": 1, "dry_run": documents})
    elif not documents:
        terminal.say("Nothing in these tables asks a language model; making them costs nothing.")
    return 0


def _tell(name: str, counts: dict[str, Any]) -> None:
    """Tables of what was read, removed and kept."""
    from bench.report.forms import terminal
    from bench.train.filters import RULES

    rows = []
    for one in counts["read"]:
        rows.append([f"read: {one['kind']}", str(one["pairs"])])
        rows += [[f"  {what}", str(n)] for what, n in one["counts"].items()]
    rows += [[f"removed: {RULES[rule]} ({rule})", str(n)] for rule, n in counts["removed"].items()]
    rows += [[what, str(n)] for what, n in counts["unchecked"].items()]
    rows += [[f"kept: {origin}", str(n)] for origin, n in counts["kept"].items()]
    terminal.table([name, "pairs"], rows)
    lost = dict.fromkeys(one["kind"] for one in counts["read"] if one["pairs"] and one["kind"] not in counts["kept"])
    if lost:
        terminal.say(f"Nothing is left of: {', '.join(lost)}. Why: bench pairs show {name} --removed all", "yellow")


# --- audit -----------------------------------------------------------------------------------------


def _audit(workspace: Workspace, name: str, options: Namespace) -> int:
    from bench.report.forms import terminal
    from bench.train.audit import (
        Audit,
        acceptance,
        audit_path,
        draw,
        file_digest,
        pair_id,
        read_audit,
        set_aside,
        write_audit,
    )
    from bench.train.loading import made

    path, pairs = made(name, base=workspace.base, config=workspace.config, gated=False)
    table, digest, found = workspace.config.pairs[name], file_digest(path), read_audit(path)
    if found and found.answers and found.digest != digest:
        # Answers are people's time: they stay, and hold again when their file is back.
        aside = set_aside(path, found)
        audit_path(path).replace(aside)
        terminal.say(f"The answers about the earlier {path.name} are kept in {aside}.", "yellow")
        found = None
    elsewhere = found is None or found.digest != digest
    if elsewhere and (kept := set_aside(path, Audit(digest, 0, (), {}, ()))).is_file():
        kept.replace(audit_path(path))
        found = read_audit(path)
    if options.answers:
        return _answers(workspace, name, options)
    seed = table.seed if options.seed is None else options.seed
    sample = draw(pairs, options.sample, seed=seed)
    ids = tuple(pair_id(pair) for pair in sample)
    if found is None or (found.digest, found.sample) != (digest, ids):
        earlier = found.earlier if found else ()
        # A batch that is drawn again and again until it passes proves nothing: what was found before stays on record.
        if found and found.answers and found.digest == digest:
            rate = acceptance(found, pairs)["all"]
            earlier = (*earlier, {"seed": found.seed, "accepted": rate.accepted, "judged": rate.judged})
        write_audit(path, Audit(digest, seed, ids, {}, earlier if found and found.digest == digest else ()))
    return _page(workspace, name, sample, digest, options)


def _page(workspace: Workspace, name: str, sample: Sequence[Pair], digest: str, options: Namespace) -> int:
    from bench.base.store import write_text
    from bench.report.audit import Card, audit_page
    from bench.report.forms import terminal
    from bench.train.audit import pair_id

    cards = [
        Card(
            pair_id(pair),
            pair.query,
            pair.document,
            pair.origin,
            pair.weight,
            " · ".join(f"{key} {value}" for key, value in pair.provenance.items()),
        )
        for pair in sample
    ]
    out = Path(options.out) if options.out else workspace.reports / f"audit-{name}.html"
    write_text(out, audit_page(name, cards, digest=digest))
    if options.json:
        print_json({"format": 1, "page": str(out), "sample": [card.pair_id for card in cards], "digest": digest})
    else:
        terminal.say(f"{len(cards)} pairs to judge: {out}\nThen: bench pairs audit {name} --answers FILE")
    return 0


def _answers(workspace: Workspace, name: str, options: Namespace) -> int:
    from dataclasses import asdict, replace

    from bench.base.errors import PairsError
    from bench.report.forms import terminal
    from bench.train.audit import LEVEL, acceptance, audit_path, file_digest, read_answers, read_audit, write_audit
    from bench.train.loading import made

    path, pairs = made(name, base=workspace.base, config=workspace.config, gated=False)
    audit = read_audit(path)
    if audit is None or audit.digest != file_digest(path):
        raise PairsError(f"{path} has no audit that is about it as it stands. Begin one with: bench pairs audit {name}")
    audit = replace(audit, answers={**audit.answers, **read_answers(Path(options.answers), audit)})
    rates = acceptance(audit, pairs)
    write_audit(path, audit, rates)
    wanted, whole = workspace.config.pairs[name].accept, rates["all"]
    accepted = None if wanted is None else not audit.open and whole.low >= wanted
    if options.json:
        document = {
            "format": 1,
            "name": name,
            "rates": {origin: asdict(rate) for origin, rate in rates.items()},
            "level": LEVEL,
            "interval": "wilson",
            "unanswered": len(audit.open),
            "accept": wanted,
            "accepted": accepted,
            "earlier": list(audit.earlier),
            "record": str(audit_path(path)),
        }
        print_json(document)
        return 0
    rows = [
        [origin, str(rate.judged), f"{rate.rate:.1%}", f"[{rate.low:.1%}, {rate.high:.1%}]"]
        for origin, rate in rates.items()
    ]
    terminal.table(["origin", "judged", "accepted", f"{LEVEL:.0%} interval (Wilson)"], rows)
    if audit.open:
        terminal.say(f"{len(audit.open)} of {len(audit.sample)} sampled pairs have no answer yet.", "yellow")
    for before in audit.earlier:
        terminal.say(f"An earlier sample of this file: {before['accepted']} of {before['judged']} accepted.")
    if wanted is not None:
        verdict = "accepted" if accepted else "not accepted: recipes will refuse this batch"
        terminal.say(f"Lower bound {whole.low:.1%} against {wanted:.1%}: {verdict}.", "green" if accepted else "red")
    return 0


# --- export, show ----------------------------------------------------------------------------------


def _export(workspace: Workspace, name: str, options: Namespace) -> int:
    from bench.report.forms import terminal
    from bench.train.layouts import export, read_negatives
    from bench.train.loading import made

    if not options.format or not options.out:
        raise UsageError(f"bench pairs export {name}: say --format {'|'.join(FORMATS)} and --out F.")
    negatives = read_negatives(Path(options.negatives)) if options.negatives else None
    # A hosted fine-tune learns from a batch as ours does, so it is gated alike.
    _, pairs = made(name, base=workspace.base, config=workspace.config)
    counts = export(pairs, options.format, Path(options.out), negatives=negatives)
    if options.json:
        print_json({"format": 1, "name": name, "out": options.out, "layout": options.format, **counts})
    else:
        told = ", ".join(f"{what} {n}" for what, n in counts.items())
        terminal.say(f"Written: {options.out} ({told})")
    return 0


def _show(workspace: Workspace, name: str, options: Namespace) -> int:
    from bench.report.forms import terminal
    from bench.train.filters import RULES
    from bench.train.loading import made
    from bench.train.making import read_removed
    from bench.train.pairs import read_pairs

    path, pairs = made(name, base=workspace.base, config=workspace.config, gated=False)
    if options.removed:
        if options.removed != "all" and options.removed not in RULES:
            hint = did_you_mean(options.removed, RULES)
            raise UsageError(f'No rule "{options.removed}"; expected all or one of {", ".join(RULES)}.{hint}')
        removed = read_removed(path)
        rows = [row for row in removed if options.removed in ("all", row["rule"])]
        if options.json:
            print_json({"format": 1, "name": name, "removed": rows})
        elif not removed:
            terminal.say("No pair was removed.")
        elif not rows:
            others = ", ".join(dict.fromkeys(row["rule"] for row in removed))
            terminal.say(f"No pair was removed by {options.removed}; rules that removed some: {others}.")
        else:
            cut = [[row["rule"], row["why"], row["query"], row["document"][:200]] for row in rows]
            terminal.table(["rule", "why", "query", "document"], cut, left=4)
        return 0
    header, _ = read_pairs(path)
    if options.json:
        origins = dict(Counter(pair.origin for pair in pairs))
        print_json({"format": 1, "name": name, "out": str(path), "header": header, "origins": origins})
        return 0
    _tell(name, {key: header[key] for key in ("read", "removed", "unchecked", "kept")})
    step = max(1, len(pairs) // 5)
    examples = [[pair.origin, f"{pair.weight:.3g}", pair.query, pair.document[:200]] for pair in pairs[::step][:5]]
    terminal.table(["origin", "weight", "query", "document"], examples, left=4)
    return 0
