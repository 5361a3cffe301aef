"""The pairs that a recipe names: query sets of the suite, tables of `[pairs]`, pair files; never evaluation data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.base.errors import PairsError, SuiteError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.base.registry import origin
from bench.config import BenchConfig, PairsConfig
from bench.records import Suite, digest_of
from bench.suites.checks import leaks
from bench.suites.suite import refuse_evaluation_file
from bench.train.audit import refuse_unaccepted
from bench.train.pairs import Pair, Pairs, judged_pairs, read_pairs


def load(
    names: Sequence[str],
    suite: Suite,
    *,
    base: Path,
    config: BenchConfig | None = None,
    progress: Progress = no_progress,
) -> Pairs:
    """The pairs of all names, in their order, each once, without those that the suite's evaluation data has too.

    Args:
        names: query sets of role train or dev, `pairs:NAME` for a table of `[pairs]`, or paths of pair files.
        suite: its evaluation data is protected. `dropped` names those pairs, by query id, else by file and number.
        config: has the tables of `[pairs]`.

    Raises:
        HeldOutError: a query set or a file of evaluation data.
        PairsError: an unknown name; a table that is not made, was made from another table, or whose batch was not
            accepted; a file that cannot be read; nothing left.
    """
    labels: dict[tuple[str, str, str], tuple[Pair, str]] = {}
    for name in names:
        for number, pair in enumerate(_pairs_of(name, suite, base, config), 1):
            key = (pair.corpus, pair.query, pair.document)
            labels.setdefault(key, (pair, pair.query_id or f"{name} {number}"))
    pairs = [pair for pair, _ in labels.values()]
    queries, documents = [pair.query for pair in pairs], [pair.document for pair in pairs]
    places = [(pair.corpus, pair.doc_id) for pair in pairs]
    leaked = {leak.row for leak in leaks([suite], queries, documents, places, progress=progress)}
    clean = tuple(pair for row, pair in enumerate(pairs) if row not in leaked)
    if not clean:
        raise PairsError(
            f"{', '.join(names) or 'No name'}: no pair to train on ({len(leaked)} of {len(pairs)} were dropped because "
            f'the evaluation of suite "{suite.name}" holds them).'
        )
    dropped = {label for row, (_, label) in enumerate(labels.values()) if row in leaked}
    return Pairs(clean, tuple(sorted(dropped)), tuple(names))


def from_suite(suite: Suite, *, progress: Progress = no_progress) -> Pairs:
    """The pairs of the suite's query sets of role train.

    Raises:
        SuiteError: there is no training set.
        PairsError: nothing is left of it.
    """
    names = [query_set.name for query_set in suite.of_role("train")]
    if not names:
        raise SuiteError(f'Suite "{suite.name}" has no query set of role train; there is nothing to learn from.')
    return load(names, suite, base=Path(suite.path), progress=progress)


def _pairs_of(name: str, suite: Suite, base: Path, config: BenchConfig | None) -> Sequence[Pair]:
    if name in suite.query_sets:
        return list(judged_pairs(suite, name))
    if config is not None and name.startswith("pairs:"):
        return read_table(name.removeprefix("pairs:"), base=base, config=config, suite=suite)[1]
    path = base / name
    if not path.is_file():
        known = [q.name for q in suite.of_role("train", "dev")]
        known += [f"pairs:{table}" for table in (config.pairs if config else ())]
        raise PairsError(
            f'Pairs "{name}": no query set of suite "{suite.name}", and {path} is no file; expected one of '
            f"{', '.join(known)}, or a pair file.{did_you_mean(name, known)}"
        )
    refuse_evaluation_file(suite, path)
    return read_pairs(path)[1]


def read_table(
    name: str, *, base: Path, config: BenchConfig, gated: bool = True, suite: Suite | None = None
) -> tuple[Path, list[Pair]]:
    """The pair file of a table of `[pairs]`, and its pairs.

    Args:
        gated: refuse a batch that the table wants accepted and an audit did not accept.
        suite: refuse a batch that was made before this suite's training queries or documents changed.

    Raises:
        PairsError: no such table, not made, made from another table or another state of the suite, or not accepted;
            names the command that mends it.
    """
    table = config.pairs.get(name)
    if table is None:
        hint = did_you_mean(name, config.pairs)
        raise PairsError(
            f"No table pairs.{name} in the config; expected one of {', '.join(config.pairs) or 'none'}.{hint}"
        )
    path, again = table.path(name, base), f"Make it anew with: bench pairs {name}"
    if not path.is_file():
        raise PairsError(f"pairs:{name} is not made: {path} does not exist. Make it with: bench pairs {name}")
    header, pairs = read_pairs(path)
    if header.get("table") != table_digest(table):
        raise PairsError(
            f"{path} was made from another table than pairs.{name} is now, or by another version of a package that has "
            f"an origin of it. {again}"
        )
    of_suite = suite is not None and (header.get("suite") or {}).get("name") == suite.name
    if suite is not None and of_suite and header.get("inputs") not in (None, inputs_digest(suite)):
        raise PairsError(
            f'{path} was made when training queries, judgements or documents of suite "{suite.name}" were others. '
            f"{again}"
        )
    if gated and table.accept is not None:
        refuse_unaccepted(name, path, table.accept)
    return path, pairs


def inputs_digest(suite: Suite) -> str:
    """32 hex digits over the documents, training queries and judgements that pairs are made from."""
    training = {q.name: [q.digest, suite.labels[q.name].digest] for q in suite.of_role("train")}
    return digest_of([{name: corpus.digest for name, corpus in suite.corpora.items()}, training])


def table_digest(table: PairsConfig) -> str:
    """32 hex digits over the settings of a table that change its pairs, packages of its origins included."""
    settings = table.model_dump(mode="json", by_alias=True, exclude={"out", "accept"})
    packages = [origin("origins", str(source["kind"])) for source in table.from_]
    return digest_of({**settings, "packages": packages} if any(packages) else settings)
