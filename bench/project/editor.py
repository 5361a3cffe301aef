"""Completion for shells and JSON Schema for editors: `bench completion` and `bench schema`."""

from __future__ import annotations

from pathlib import Path

from bench.base.errors import MissingExtra
from bench.base.store import write_text
from bench.config.schema import FILES, schema_text, schemas
from bench.project.answers import Reply
from bench.report.blocks import Prose


def completion(shell: str) -> Reply:
    """The lines that make a shell ("bash", "zsh" or "fish") complete `bench`, for its `eval`.

    Raises:
        MissingExtra: argcomplete is not installed.
    """
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise MissingExtra("Shell completion", "argcomplete", "completion") from None
    code = shellcode(["bench", "retrieval-gate"], shell=shell)
    return Reply({"format": 1, "shell": shell, "code": code}, output=code)


def schemas_written(folder: Path) -> Reply:
    """Write JSON Schema of `bench.toml` and `suite.toml` to a folder; replaces files of the same names."""
    documents = schemas()
    paths = {name: write_text(folder / FILES[name], schema_text(schema)) for name, schema in documents.items()}
    lines = [f"{name}.toml begins with: #:schema ./{FILES[name]}" for name in documents]
    blocks = [Prose([f"wrote {path}"], "good") for path in paths.values()]
    return Reply({"format": 1, **documents}, [*blocks, *(Prose([line]) for line in lines)])
