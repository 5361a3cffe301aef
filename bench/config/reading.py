"""Reading both files: all errors at once, each with its key, its value and the expected value."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.base.errors import BenchError, ConfigError, MeasureError, SuiteError, did_you_mean, excerpt
from bench.base.names import table_of
from bench.base.registry import load_kind, problems_of, table_problems
from bench.config.base import Model
from bench.config.bench import BenchConfig, Demands
from bench.config.suite import SuiteConfig
from bench.records.measures import parse


def load_demands(text: str, where: str) -> Demands:
    """The keys of a config's text that judge a change; systems and recipes in it are not read.

    Raises:
        ConfigError: not TOML, or all errors of these keys, one a line.
    """
    try:
        return Demands.model_validate(tomllib.loads(text.removeprefix("\ufeff")))
    except ValidationError as problem:
        raise ConfigError("\n".join(problems_of(problem, Demands, where))) from None
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"{where}: not TOML: {problem}.") from None


def _read_toml(path: Path, error: type[BenchError]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise error(f"{path} does not exist; expected a TOML file there.") from None
    except IsADirectoryError:
        raise error(f"{path} is a folder; expected a TOML file.") from None
    except (ValueError, RecursionError) as problem:
        raise error(f"{path}: not TOML: {problem}.") from None
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}.") from None


def _parse(path: Path, model: type[Model], error: type[BenchError]) -> tuple[dict[str, Any], Model | None, list[str]]:
    table = _read_toml(path, error)
    try:
        return table, model.model_validate(table), []
    except ValidationError as problem:
        return table, None, problems_of(problem, model, str(path))


def load_suite_config(path: Path) -> SuiteConfig:
    """A suite's declaration.

    Raises:
        SuiteError: all errors of the file, one a line.
    """
    _, suite, problems = _parse(path, SuiteConfig, SuiteError)
    if suite is not None:
        names = [query_set.name for query_set in suite.query_sets]
        for i, query_set in enumerate(suite.query_sets):
            if query_set.corpus not in suite.corpora:
                problems.append(
                    f'{path}: query_sets[{i}].corpus is "{query_set.corpus}"; expected one of '
                    f"{', '.join(suite.corpora)}.{did_you_mean(query_set.corpus, suite.corpora)}"
                )
            if names.index(query_set.name) != i:
                problems.append(f'{path}: query_sets[{i}].name is "{query_set.name}" again; names must be unique.')
            above = [other.name for other in suite.query_sets[:i] if other.corpus == query_set.corpus]
            if query_set.derived_from is not None and query_set.derived_from not in above:
                problems.append(
                    f'{path}: query_sets[{i}].derived_from is "{query_set.derived_from}"; expected a query set of the '
                    f"same corpus that stands above it ({', '.join(above) or 'none does'})."
                    f"{did_you_mean(query_set.derived_from, above)}"
                )
            beir = query_set.corpus in suite.corpora and suite.corpora[query_set.corpus].source == "beir"
            if not beir:
                problems += [
                    f"{path}: query_sets[{i}].{key} is missing."
                    for key in ("queries", "qrels")
                    if getattr(query_set, key) is None
                ]
            elif query_set.split is None and query_set.qrels is None:
                problems.append(f"{path}: query_sets[{i}].split is missing (a BEIR corpus has several).")
    if problems or suite is None:
        raise SuiteError("\n".join(problems))
    return suite


def load_bench(path: Path) -> BenchConfig:
    """A config.

    Raises:
        ConfigError: all errors of the file, one a line.
    """
    table, config, problems = _parse(path, BenchConfig, ConfigError)
    systems = table.get("systems", {})
    systems = systems if isinstance(systems, dict) else {}
    for name, system in systems.items():
        if not isinstance(system, dict):
            continue
        if "@" in name or "/" in name:
            problems.append(f'{path}: systems."{name}": "@" and "/" are kept for dimension and precision.')
        if wrong := table_problems("systems", system, f"{path}: systems.{name}"):
            problems += wrong
            continue
        for part in load_kind("systems", system, name)[1].parts:
            if table_of(part) not in systems:
                problems.append(
                    f'{path}: systems.{name} is made of "{part}", which is no system of this file.'
                    f"{did_you_mean(part, systems)}"
                )
    problems += _pairs_problems(path, table, systems)
    if config is not None:
        problems += _problems_across(path, config)
    if problems or config is None:
        raise ConfigError("\n".join(problems))
    for recipe in config.finetune.values():
        if recipe.negatives is not None:
            recipe.negatives._base = path.parent
    return config


def _problems_across(path: Path, config: BenchConfig) -> Iterator[str]:
    """Errors between tables of the file that are right by themselves."""
    for name, recipe in config.finetune.items():
        if recipe.negatives and recipe.negatives.check:
            place = f"{path}: finetune.{name}.negatives.check.reranker"
            yield from table_problems("rerankers", recipe.negatives.check.reranker, place)
    decide = config.decide
    names = [(f"gate.ceilings[{i}].of is", c.of) for i, c in enumerate(config.gate.ceilings) if c.of != "baseline"]
    names += [("decide.current names", decide.current or "")]
    names += [("decide.systems names", name) for name in decide.systems or ()]
    names += [(f"decide.options.{name} names", name) for name in decide.options]
    for place, name in names:
        if name and table_of(name) not in config.systems:
            hint = did_you_mean(name, config.systems)
            yield f'{path}: {place} "{name}", which is no system of this file.{hint}'
    if config.gate.rules == []:
        yield f"{path}: gate.rules is empty; a gate without a rule would pass everything. Leave it out."
    for i, rule in enumerate(config.gate.rules or ()):
        for measure in rule.measures:
            try:
                parse(measure)
            except MeasureError as error:
                yield f"{path}: gate.rules[{i}].measures: {error}"


def _pairs_problems(path: Path, table: Mapping[str, Any], systems: Mapping[str, Any]) -> Iterator[str]:
    """Errors of `[pairs]` beyond the shape of each table."""
    tables, suites = table.get("pairs", {}), table.get("suites")
    known = list(map(str, suites)) if isinstance(suites, list) else []
    outs: dict[str, str] = {}
    for name, entry in tables.items() if isinstance(tables, dict) else ():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            yield f'{path}: pairs."{excerpt(name)}": a name has letters, digits, ".", "_" and "-" alone.'
        if not isinstance(entry, dict):
            continue
        origins = entry.get("from")
        for i, origin in enumerate(origins if isinstance(origins, list) else ()):
            if isinstance(origin, dict):
                yield from table_problems("origins", origin, f"{path}: pairs.{name}.from[{i}]")
        filters = entry.get("filters")
        for key in ("consistency", "paraphrase"):
            rule = filters.get(key) if isinstance(filters, dict) else None
            system = rule.get("system") if isinstance(rule, dict) else None
            if isinstance(system, str) and table_of(system) not in systems:
                hint = did_you_mean(system, systems)
                yield f'{path}: pairs.{name}.filters.{key}.system is "{system}", no system of this file.{hint}'
        suite = entry.get("suite")
        if suite is not None and suite not in [*known, *(Path(place).name for place in known)]:
            hint = did_you_mean(str(suite), known)
            yield f'{path}: pairs.{name}.suite is "{suite}"; expected one of {", ".join(known)}.{hint}'
        elif suite is None and len(known) > 1:
            yield f"{path}: pairs.{name}.suite is missing; expected one of {', '.join(known)}."
        out = str(entry.get("out") or f"pairs/{name}.jsonl")
        if (other := outs.setdefault(out, name)) != name:
            yield f'{path}: pairs.{name}.out is "{out}", which pairs.{other} writes too.'
