"""JSON Schema of `bench.toml` and `suite.toml`, for editors that complete and check TOML.

A table with a `kind` has one branch for each kind that is installed, so another package's kinds are in it too. What
pydantic's validators say beyond types and bounds, such as "exactly one of", is left to `bench check`.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bench.base.errors import ConfigError
from bench.base.registry import GROUPS, listing, module_of
from bench.config.bench import BenchConfig
from bench.config.suite import SuiteConfig

FILES = {"bench": "bench.schema.json", "suite": "suite.schema.json"}
"""Name of each schema → the file that it is written to."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CONFIGURED = [group for group, of in GROUPS.items() if "Config" in of.shape.names()]


def schemas() -> dict[str, dict[str, Any]]:
    """Both schemas, by name: "bench" and "suite". A kind of another package that cannot be loaded is left out."""
    kinds = {group: _kinds(group) for group in _CONFIGURED}
    models: list[type[BaseModel]] = [BenchConfig, *(config for found in kinds.values() for config in found.values())]
    places, definitions = models_json_schema([(model, "validation") for model in models])
    shared = definitions["$defs"]
    for group, found in kinds.items():
        branches = [_branch(shared, places[config, "validation"]["$ref"], kind) for kind, config in found.items()]
        shared[group] = {"type": "object", "required": ["kind"], "anyOf": branches}
    root = shared.pop(places[BenchConfig, "validation"]["$ref"].rsplit("/", 1)[1])
    return {
        "bench": {"$schema": _DIALECT, **_referred(root), "title": "bench.toml", "$defs": _referred(shared)},
        "suite": {"$schema": _DIALECT, **SuiteConfig.model_json_schema(), "title": "suite.toml"},
    }


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as its file has it."""
    return json.dumps(schema, indent=1) + "\n"


def _referred(schema: Any) -> Any:
    """The schema with a reference in place of what `KindTable` leaves."""
    if isinstance(schema, list):
        return [_referred(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "kinds-of" in schema:
        return {"$ref": f"#/$defs/{schema['kinds-of']}"}
    return {key: _referred(value) for key, value in schema.items()}


def _kinds(group: str) -> dict[str, type[BaseModel]]:
    found = {}
    for kind in listing(group):
        try:
            found[kind] = module_of(group, kind).Config
        except ConfigError:
            continue
    return found


def _branch(shared: dict[str, Any], reference: str, kind: str) -> dict[str, str]:
    """A kind's definition, in which `kind` has this one value."""
    definition = shared[reference.rsplit("/", 1)[1]]
    definition["properties"]["kind"] = {"const": kind}
    definition["title"] = kind
    return {"$ref": reference}
