"""Fine-tuned models: what they were made from, which one is served, and what may share an index."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import StoreError, UsageError, did_you_mean
from bench.cli.verbs._options import config_options, json_option, print_json

if TYPE_CHECKING:
    from bench.project.workspace import Workspace
    from bench.records import ModelRecord, Result
    from bench.retrieval.manifest import Manifest

HELP = "list, show, promote and roll back fine-tuned models"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    actions = ["list", "show", "promote", "rollback", "card", "manifest", "check-manifest"]
    parser.add_argument("action", choices=actions, help="what to do")
    text = "a recipe's name, NAME/seed-N, promoted:NAME or a weights digest; for check-manifest, the file"
    parser.add_argument("target", metavar="MODEL", nargs="?", help=text)
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; required to promote and to roll back")
    parser.add_argument("--system", metavar="N", help="the system that is judged, or whose vectors are meant")
    parser.add_argument("--baseline", metavar="F", help="the baseline file (default: the suite's baseline.json)")
    parser.add_argument("--base-ref", metavar="REF", help="take baseline and rules from this git ref")
    parser.add_argument("--corpus", metavar="C", help="what is indexed; in check-manifest, it must be the same")
    parser.add_argument("--out", metavar="F", help="where the manifest goes, beside the index")
    json_option(parser)


def run(options: Namespace) -> int:
    """Fine-tuned models: what they were made from, which one is served, and what may share an index."""
    from bench.project.workspace import Workspace

    workspace = Workspace.open(options.config, base_ref=options.base_ref)
    if options.action == "list":
        return _list(options, workspace)
    if options.action == "manifest":
        return _manifest(options, workspace)
    if not options.target:
        what = "the manifest's file" if options.action == "check-manifest" else "a model"
        raise UsageError(f"bench models {options.action}: name {what}. See: bench models list")
    handlers = {"show": _show, "promote": _promote, "rollback": _rollback, "card": _card, "check-manifest": _check}
    return handlers[options.action](options, workspace)


# --- looking ---------------------------------------------------------------------------------------


def _list(options: Namespace, workspace: Workspace) -> int:
    from bench.report.forms import terminal
    from bench.train.registry import records, with_results

    found = with_results(workspace.store, records(workspace.store, workspace.base))
    if options.json:
        print_json({"format": 1, "models": [record.to_json() for record in found]})
        return 0
    if not found:
        terminal.say("No fine-tuned model yet. Make one: bench finetune NAME")
        return 0
    rows = []
    for record in found:
        seed = "" if record.seed is None else str(record.seed)
        suites = len(record.by_suite)
        status = [*record.status, *(["recipe changed since"] if _outdated(record, workspace) else [])]
        row = [record.name, seed, record.id[:12], record.base, ", ".join(status), record.kind]
        pairs = record.data.get("trained_pairs", record.data.get("pairs", ""))
        rows.append([*row, str(pairs), str(suites or "")])
    terminal.table(["name", "seed", "weights", "base", "status", "kind", "pairs", "suites"], rows, left=6)
    return 0


def _found(options: Namespace, workspace: Workspace) -> tuple[ModelRecord, list[ModelRecord]]:
    from bench.train.registry import ancestors, begun_trainings, find_record, records, with_results

    known = records(workspace.store, workspace.base)
    name = options.target.rpartition(":")[2].split("/")[0]
    whole = any(record.name == name for record in known)
    begun = [] if whole or name not in workspace.config.finetune else begun_trainings(workspace.store, name)
    if begun:
        raise UsageError(f"The training of {name} was not finished; it goes on with: bench finetune {name}")
    record = find_record(known, options.target)
    return with_results(workspace.store, [record])[0], ancestors(known, record)


def _show(options: Namespace, workspace: Workspace) -> int:
    from bench.report.forms import terminal
    from bench.retrieval.promotions import PROMOTED, history

    record, chain = _found(options, workspace)
    entries = [one for one in history(workspace.base / PROMOTED) if one.name == record.name]
    if options.json:
        document = {"format": 1, "model": record.to_json(), "ancestors": [one.to_json() for one in chain]}
        print_json(document | {"promotions": [entry.to_json() for entry in entries]})
        return 0
    data = record.data
    rows = [["weights", record.id], ["folder", record.folder], ["status", ", ".join(record.status) or "–"]]
    rows += [["kind", record.kind], ["base", f"{record.base} ({record.base_digest[:12]})"]]
    rows += [["made from", f"{one.name}, seed {one.seed} ({one.id[:12]})"] for one in chain]
    rows += [[f"data: {key.replace('_', ' ')}", _short(data[key])] for key in data if data[key] not in (None, [], {})]
    rows += [[f"recipe: {key}", _short(value)] for key, value in record.recipe.items() if value not in (None, [])]
    rows += [["versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())]]
    rows += [["commit", record.commit or "–"], ["loss", "–" if record.loss is None else f"{record.loss:.4f}"]]
    terminal.table([record.name, f"seed {record.seed}"], rows, left=2)
    if record.results:
        shown = [
            [one.suite, one.suite_digest[:8], one.query_set, one.role, one.system, str(one.n), measure, f"{mean:.3f}"]
            for one in record.results
            for measure, mean in one.means.items()
        ]
        terminal.table(["suite", "digest", "query set", "role", "system", "n", "measure", "mean"], shown, left=5)
    for entry in entries:
        terminal.say(f"{entry.when[:10]} {entry.action} {entry.weights[:12]} by {entry.who}: {entry.reason}")
    return 0


def _outdated(record: ModelRecord, workspace: Workspace) -> bool:
    """Whether the recipe of its name says something else now; unknown, and so no, where a sweep chose for it."""
    from bench.train.models import recipe_settings

    recipe = workspace.config.finetune.get(record.name)
    if recipe is None or recipe.sweep or "current" not in record.status:
        return False
    return recipe_settings(recipe) != record.recipe


def _short(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list, bool)) else str(value)
    text = f"{len(value)} of them" if isinstance(value, list) and len(value) > 6 else shown
    return text if len(text) <= 100 else text[:99] + "…"


# --- promoting -------------------------------------------------------------------------------------


def _promote(options: Namespace, workspace: Workspace) -> int:
    from bench.project.promote import promote
    from bench.report.forms import terminal

    record, _ = _found(options, workspace)
    attempt = promote(
        workspace,
        record,
        reason=options.reason,
        system=options.system,
        suite=options.suite,
        baseline=Path(options.baseline) if options.baseline else None,
    )
    if options.json:
        verdicts = [one.verdict.to_json() for one in attempt.judged]
        entry = attempt.entry.to_json() if attempt.entry else None
        print_json({"format": 1, "promoted": entry, "exit_code": attempt.exit_code, "verdicts": verdicts})
        return attempt.exit_code
    for one in attempt.judged:
        terminal.verdict(one.verdict)
    if attempt.entry is None:
        terminal.say(
            f"{record.name} ({record.id[:12]}) is not promoted: the gate does not pass {attempt.system}.", "red"
        )
        return attempt.exit_code
    for one in attempt.judged:
        if one.verdict.outcome == "inconclusive":
            terminal.say("Promoted on an inconclusive verdict, which [gate] on_inconclusive lets pass.", "yellow")
        elif one.verdict.outcome == "pass":
            text = "Promoted as no worse than the margins allow; a gain is not shown (bench decide says more)."
            terminal.say(text, "yellow")
    name, place = attempt.entry.name, _place(workspace)
    terminal.say(f"promoted:{name} is now {attempt.entry.weights[:12]}. Commit {place}.", "green")
    return 0


def _rollback(options: Namespace, workspace: Workspace) -> int:
    from bench.base.errors import ConfigError
    from bench.project.promote import rollback
    from bench.report.forms import terminal
    from bench.retrieval.encoders import find_model

    entry = rollback(workspace, options.target.removeprefix("promoted:"), reason=options.reason)
    missing = ""
    try:
        find_model(f"promoted:{entry.name}", base=workspace.base, models=workspace.store.root / "models")
    except ConfigError as error:
        # The decision stands all the same: another machine may have the folder.
        missing = str(error)
    if options.json:
        print_json({"format": 1, "promoted": entry.to_json(), "missing": missing or None})
        return 0
    terminal.say(f"promoted:{entry.name} is {entry.weights[:12]} again. Commit {_place(workspace)}.", "green")
    if missing:
        terminal.say(missing, "yellow")
    return 0


def _place(workspace: Workspace) -> Path:
    from bench.retrieval.promotions import PROMOTED

    return workspace.base / PROMOTED


# --- the card --------------------------------------------------------------------------------------


def _card(options: Namespace, workspace: Workspace) -> int:
    from bench.interop.exports._finetuned_card import write_card
    from bench.project.promote import systems_of
    from bench.report.forms import terminal

    record, chain = _found(options, workspace)
    results: list[Result] = []
    licenses = {}
    names = [options.system] if options.system else systems_of(workspace, record.id)
    for suite in workspace.suites(options.suite):
        licenses[suite.name] = _license(Path(suite.path))
        for name in names:
            results += _stored(workspace, suite, name, record)
    path = write_card(
        record, results, licenses=licenses, base_model=_base_model(workspace, record.base), ancestors=chain
    )
    if options.json:
        print_json({"format": 1, "written": str(path), "results": len(results)})
    else:
        terminal.say(f"Written: {path} ({len(results)} results)")
    return 0


def _stored(workspace: Workspace, suite: Any, name: str, record: ModelRecord) -> list[Result]:
    """A system's stored results, where it works with the model and has any."""
    from bench.evaluation.evaluate import Missing
    from bench.train.registry import uses

    evaluator = workspace.evaluator(suite, [name], make=False)
    if name not in evaluator.systems or not uses(evaluator.systems[name], evaluator.systems, record.id):
        raise UsageError(f'System "{name}" does not work with {record.name} (weights {record.id[:12]}).')
    try:
        return evaluator.results([name])
    except Missing:
        return []


def _license(folder: Path) -> str:
    from bench.config import load_suite_config

    path = folder / "suite.toml"
    return load_suite_config(path).license if path.is_file() else ""


def _base_model(workspace: Workspace, base: str) -> str:
    """What the base is called where it was published: the model of a system's table, or the name itself."""
    encoder = workspace.config.systems.get(base, {}).get("encoder")
    return str(encoder.get("model", base)) if isinstance(encoder, dict) else base


# --- manifests -------------------------------------------------------------------------------------


def _of_system(options: Namespace, workspace: Workspace, corpus: str | None) -> Manifest:
    from bench.retrieval.manifest import Manifest

    if not options.system:
        raise UsageError(f"bench models {options.action}: say whose vectors are meant: --system NAME")
    from bench.retrieval import systems

    built = systems.build(workspace.config, systems.Context(workspace.base, workspace.store), only=[options.system])
    if options.system not in built:
        raise UsageError(f'No system "{options.system}".{did_you_mean(options.system, built)}')
    system: Any = built[options.system]
    if system.kind != "dense":
        raise UsageError(f'System "{options.system}" is of kind {system.kind}; only dense ones have vectors.')
    indexed = None
    if corpus is not None:
        corpora = workspace.suite(options.suite).corpora
        if corpus not in corpora:
            hint = did_you_mean(corpus, corpora)
            raise UsageError(f'No corpus "{corpus}" in the suite; expected one of {", ".join(corpora)}.{hint}')
        indexed = corpora[corpus]
    config = getattr(system.encoder, "config", None)
    model = str(getattr(config, "model", options.system))
    more: dict[str, Any] = {"precision": system.precision, "similarity": system.similarity, "corpus": indexed}
    return Manifest.of(system.encoder, dim=system.dim, model=model, **more)


def _manifest(options: Namespace, workspace: Workspace) -> int:
    from bench.report.forms import terminal
    from bench.retrieval.manifest import write_manifest

    if not options.out:
        raise UsageError("bench models manifest: say where it goes, beside the index: --out F")
    found = _of_system(options, workspace, options.corpus)
    path = write_manifest(Path(options.out), found)
    if options.json:
        print_json({"format": 1, "written": str(path), "manifest": found.to_json()})
    else:
        terminal.say(f"Written: {path}. The indexing job asks it: bench models check-manifest {path} --system NAME")
    return 0


def _check(options: Namespace, workspace: Workspace) -> int:
    from bench.report.forms import terminal
    from bench.retrieval.manifest import read_manifest

    path = Path(options.target)
    if not path.is_file():
        raise StoreError(f"{path} does not exist: an index without a manifest cannot be trusted to be of one model.")
    theirs = read_manifest(path)
    corpus = options.corpus or _named_corpus(theirs, options, workspace)
    ours = _of_system(options, workspace, corpus)
    theirs.require(ours, where=path, corpus=corpus is not None)
    if options.json:
        print_json({"format": 1, "same": True, "manifest": theirs.to_json()})
    else:
        about = f", from corpus {corpus} as it is now" if corpus else "; which corpus, it does not say"
        terminal.say(f"{path}: made by the model of {options.system}, as it is now{about}.", "green")
    return 0


def _named_corpus(manifest: Manifest, options: Namespace, workspace: Workspace) -> str | None:
    """The corpus that a manifest was made of, where the suite has one of its name."""
    name = (manifest.corpus or {}).get("name")
    return name if name is not None and name in workspace.suite(options.suite).corpora else None
