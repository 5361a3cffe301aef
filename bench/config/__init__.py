"""`bench.toml` (what is under test) and `suite.toml` (what is measured) as typed models.

In: a TOML file. Secrets are environment variables that it names; paths are relative to it.
Out: a config, or all errors of the file in one message; JSON Schema for editors.
Never imports what a kind does: a table is checked by the file of its kind, through the registry.
"""

from __future__ import annotations

from bench.base.registry import KindTable
from bench.config.base import Strict
from bench.config.bench import BenchConfig, DecideOption, Demands, Part, SystemConfig, texts
from bench.config.decide import DecideConfig, PriceConfig, PricesConfig, ThresholdConfig
from bench.config.finetune import CheckConfig, EvalConfig, FinetuneConfig, LoraConfig, NegativesConfig
from bench.config.gate import GateConfig
from bench.config.pairs import ConsistencyConfig, FiltersConfig, PairsConfig, ParaphraseConfig
from bench.config.reading import load_bench, load_demands, load_suite_config
from bench.config.suite import CorpusConfig, QuerySetConfig, SuiteConfig

__all__ = [
    "BenchConfig",
    "CheckConfig",
    "ConsistencyConfig",
    "CorpusConfig",
    "DecideConfig",
    "DecideOption",
    "Demands",
    "EvalConfig",
    "FiltersConfig",
    "FinetuneConfig",
    "GateConfig",
    "KindTable",
    "LoraConfig",
    "NegativesConfig",
    "PairsConfig",
    "ParaphraseConfig",
    "Part",
    "PriceConfig",
    "PricesConfig",
    "QuerySetConfig",
    "Strict",
    "SuiteConfig",
    "SystemConfig",
    "ThresholdConfig",
    "load_bench",
    "load_demands",
    "load_suite_config",
    "texts",
]
