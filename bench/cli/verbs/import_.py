"""Make a suite from data in another format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import UsageError
from bench.cli.parser import Answer, Namespace, Parser, Progress, keywords


def options(parser: Parser) -> None:
    parser.option("kind", "KIND", "the format, such as beir, jsonl, trec, table")
    parser.option("source", "SOURCE", "a folder, a file, or a name that the kind knows")
    parser.option("--out", "DIR", "the suite's folder; new or empty", required=True)
    parser.names("--set", "KEY=VALUE", "options of the kind", default=[])
    parser.option("--name", "N", "the suite's name (default: the source's)")
    text = "role of a split (default: train, dev and test become train, dev and held-out)"
    parser.names("--role", "SPLIT=ROLE", text, default=[])
    text = "divide the queries anew, by what must stay together (default: the source's splits)"
    parser.add_argument("--split", choices=["query", "document", "group", "time"], help=text)
    parser.option("--group-by", "REGEX", "the group in a query's or document's id; implies --split group")
    parser.option("--held-out", "SHARE", "with --split (default: 0.15)", type=float)
    parser.option("--dev", "SHARE", "with --split (default: 0.1)", type=float)
    parser.option("--held-out-from", "TIME", "with --split time: start of held-out, instead of a share")
    parser.option("--dev-from", "TIME", "with --split time: start of dev")
    parser.flag("--share-documents", "splits may be judged on the same documents")
    parser.option("--seed", "N", "random seed of the division (default: 0)", type=int)
    parser.flag("--force", "replace the suite that is there; keeps its other files")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.suites import imported
    from bench.suites.splits import SplitPlan

    plan = None
    by: Any = options.split or ("group" if options.group_by else None)
    settings = _pairs("--set", options.set)
    _check_options(options, by, settings)
    if by is not None:
        names = ("held_out", "dev", "seed", "group_by", "dev_from", "held_out_from")
        values = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
        plan = SplitPlan(by, share_documents=options.share_documents, **values)
    return imported(
        options.kind,
        options.source,
        Path(options.out),
        settings=settings,
        roles=_pairs("--role", options.role),
        split=plan,
        progress=progress,
        **keywords(options, "name", "force"),
    )


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE texts as a mapping."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f'bench import: {option} "{text}"; expected NAME=VALUE.')
        if name in pairs:
            raise UsageError(f'bench import: {option} gives "{name}" twice; expected one value.')
        pairs[name] = value
    return pairs


def _check_options(options: Namespace, by: str | None, settings: Mapping[str, str]) -> None:
    """Refuse options of a division that would have no effect.

    Raises:
        UsageError: names the option and the one that it goes with.
    """

    def among(*names: str) -> str:
        used = [name for name in names if getattr(options, name) is not None and getattr(options, name) is not False]
        return ", ".join(f"--{name.replace('_', '-')}" for name in used)

    if by is None and (idle := among("held_out", "dev", "seed", "held_out_from", "dev_from", "share_documents")):
        raise UsageError(
            f"bench import: {idle} is about a new division, and the source's own splits are kept; add --split."
        )
    if options.held_out_from and (idle := among("held_out", "dev")):
        raise UsageError(
            f"bench import: {idle} is a share, and --held-out-from says where held-out begins; where dev begins says "
            "--dev-from. Give shares or times."
        )
    for key in ("group", "time"):
        # A pattern on ids goes before any field.
        if key in settings and (by != key or (key == "group" and options.group_by)):
            raise UsageError(
                f"bench import: --set {key}={settings[key]} names the field of a split by {key}; add --split {key}"
                + (", without --group-by." if key == "group" and options.group_by else ".")
            )
    if by == "time" and among("seed"):
        raise UsageError("bench import: --seed is for random divisions, and a split by time is not random.")
