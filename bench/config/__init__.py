"""`bench.toml` (what is under test) and `suite.toml` (what is measured) as typed models.

All errors of a file come in one message, each with its key, what was found, what was expected, and the nearest
known name. Paths are relative to the file that names them. Secrets come from environment variables that the file
names, never from the file.
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
