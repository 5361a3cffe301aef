"""What shells and editors complete from: `bench completion` and `bench schema`."""

from __future__ import annotations

from pathlib import Path

from bench.base.errors import MissingExtra
from bench.base.store import write_text
from bench.config.schema import FILES, schema_text, schemas
from bench.project.answers import Told
from bench.report.blocks import Prose


def completion(shell: str) -> Told:
    """The lines that make a shell complete `bench`; its own `eval` takes them.

    Args:
        shell: "bash", "zsh" or "fish".

    Raises:
        MissingExtra: argcomplete is not installed.
    """
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise MissingExtra("Shell completion", "argcomplete", "completion") from None
    code = shellcode(["bench", "retrieval-gate"], shell=shell)
    return Told({"format": 1, "shell": shell, "code": code}, output=code)


def schemas_written(folder: Path) -> Told:
    """JSON Schema of `bench.toml` and `suite.toml`, written beside the config.

    Args:
        folder: where the files go; what is there under their names is replaced.
    """
    found = schemas()
    paths = {name: write_text(folder / FILES[name], schema_text(schema)) for name, schema in found.items()}
    lines = [f"{name}.toml begins with: #:schema ./{FILES[name]}" for name in found]
    blocks = [Prose([f"wrote {path}"], "good") for path in paths.values()]
    return Told({"format": 1, **found}, [*blocks, *(Prose([line]) for line in lines)])
