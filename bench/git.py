"""What version control knows: the commit at hand, a file as another commit has it, the lines that a change touched."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from bench.errors import UsageError

__all__ = ["changed_lines", "commit", "read", "resolve"]

SECONDS = 30
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)


def _git(folder: Path | None, *arguments: str) -> subprocess.CompletedProcess[bytes] | None:
    """What git says; None where there is no git, or it hangs."""
    try:
        return subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=folder,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None


def commit(folder: Path | None = None) -> str | None:
    """The commit that is checked out, with "+" where tracked files differ from it; None outside a repository."""
    found = _git(folder, "describe", "--always", "--dirty=+", "--abbrev=40", "--exclude=*")
    return found.stdout.decode().strip() or None if found and not found.returncode else None


def resolve(ref: str, folder: Path) -> str:
    """The commit that a ref names, 40 hex digits.

    Raises:
        UsageError: no such ref here; a shallow clone often lacks the base branch.
    """
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if found is None or found.returncode:
        raise UsageError(
            f'git knows no commit "{ref}" in {folder.resolve()}. A shallow clone lacks other branches: fetch it first, '
            "such as git fetch --depth=1 origin main:refs/remotes/origin/main"
        )
    return found.stdout.decode().strip()


def read(commit: str, path: Path) -> bytes | None:
    """A file as a commit has it; None where that commit has no such file, or the path lies outside the repository."""
    folder = path.parent
    while not folder.is_dir():
        # A folder that only the other commit has.
        folder = folder.parent
    inside = path.resolve().relative_to(folder.resolve())
    found = _git(folder, "show", f"{commit}:./{inside.as_posix()}")
    return found.stdout if found and not found.returncode else None


def changed_lines(since: str, path: Path) -> list[int]:
    """Lines of a file, as it is now, that are new or changed since a commit; empty where that cannot be known."""
    found = _git(path.parent, "diff", "--unified=0", "--no-color", "--no-ext-diff", since, "--", path.name)
    if found is None or found.returncode:
        return []
    lines: list[int] = []
    for hunk in _HUNK.finditer(found.stdout.decode("utf-8", "replace")):
        first, count = int(hunk[1]), int(hunk[2] or 1)
        # Where lines were only taken away, the one before them is what a reader can be shown.
        lines += range(first, first + count) if count else [max(first, 1)]
    return lines
