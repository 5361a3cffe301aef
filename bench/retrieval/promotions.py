"""Which fine-tuned model a team serves: an append-only history in version control, beside the config.

`models/promoted.json` is `{"format": 1, "kind": "promotions", "history": […]}`. Each entry carries the digest of its
content and of the entry before it, so that an edit, a removal or a change of order by hand is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.base.errors import StoreError, excerpt
from bench.base.json_records import JsonRecord
from bench.base.store import read_json, write_json
from bench.records import digest_of

PROMOTED = Path("models") / "promoted.json"
"""The history's path from the config's folder."""

FORMAT = 1
ACTIONS = ("promote", "rollback")


@dataclass(frozen=True)
class Promotion(JsonRecord):
    """One entry: from now on `promoted:NAME` means the model with these weights.

    `folder` is the model's folder under the store's `models/NAME`. `verdicts` are the gate's, one for each suite, with
    its digest; a rollback needs none. `previous` is the digest of the entry before it in the file, of any name.
    """

    action: str
    name: str
    weights: str
    folder: str
    seed: int | None
    reason: str
    who: str
    when: str
    commit: str | None
    verdicts: tuple[Mapping[str, Any], ...] = ()
    previous: str = ""

    @property
    def digest(self) -> str:
        """32 hex digits over all of it, the digest of the entry before it included."""
        return digest_of(super().to_json())

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return super().to_json() | {"digest": self.digest}


def history(path: Path) -> list[Promotion]:
    """All entries, oldest first; none where there is no file.

    Raises:
        StoreError: the file is no history, or was not changed by `bench models` alone.
    """
    if not path.exists():
        return []
    document = read_json(path)
    if not isinstance(document, dict) or document.get("kind") != "promotions" or document.get("format") != FORMAT:
        raise StoreError(
            f'{path} is no history of promotions: expected {{"format": {FORMAT}, "kind": "promotions"}} and more. '
            "Restore it from version control."
        )
    rows = document.get("history")
    if not isinstance(rows, list):
        raise StoreError(f'{path}: "history" is {excerpt(repr(rows))}; expected a list. Restore it.')
    entries: list[Promotion] = []
    for number, row in enumerate(rows, 1):
        entry = _entry(row)
        if entry is None or entry.previous != (entries[-1].digest if entries else ""):
            problem = "is no entry" if entry is None else "does not follow the one before"
            raise StoreError(
                f"{path}: entry {number} {problem}; entries are appended by bench models promote and rollback, never "
                "edited. Restore the file from version control."
            )
        if row.get("digest") != entry.digest:
            raise StoreError(
                f"{path}: entry {number} ({entry.action} {entry.name}) was changed after it was written. Restore the "
                "file from version control; the model that is served changes only by bench models promote and rollback."
            )
        entries.append(entry)
    return entries


_TEXTS = ("action", "name", "weights", "folder", "reason", "who", "when", "previous")


def _entry(row: Any) -> Promotion | None:
    if not isinstance(row, dict) or row.keys() - {"digest"} != Promotion.__dataclass_fields__.keys():
        return None
    texts = all(isinstance(row[key], str) for key in _TEXTS) and isinstance(row["commit"], str | None)
    seed = row["seed"] is None or type(row["seed"]) is int
    verdicts = isinstance(row["verdicts"], list) and all(isinstance(verdict, dict) for verdict in row["verdicts"])
    if not (texts and seed and verdicts) or Path(row["folder"]).name != row["folder"] or row["action"] not in ACTIONS:
        return None
    fields = {key: value for key, value in row.items() if key != "digest"}
    return Promotion(**fields | {"verdicts": tuple(row["verdicts"])})


def standing(entries: Sequence[Promotion], name: str) -> list[Promotion]:
    """The valid promotions of a name, the newest last: a rollback removes the last one."""
    valid: list[Promotion] = []
    for entry in entries:
        if entry.name == name and entry.action == "promote":
            valid.append(entry)
        elif entry.name == name and valid:
            valid.pop()
    return valid


def append(path: Path, entry: Promotion) -> Promotion:
    """Append an entry to the history, and return it with the digest of the one before it.

    Raises:
        StoreError: see `history`.
    """
    entries = history(path)
    entry = replace(entry, previous=entries[-1].digest if entries else "")
    rows = [row.to_json() for row in [*entries, entry]]
    write_json(path, {"format": FORMAT, "kind": "promotions", "history": rows}, indent=1)
    return entry
