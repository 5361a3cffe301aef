"""Version control: the commit that is checked out, files of other commits, the lines that a change touched."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bench.base.errors import UsageError

SECONDS = 30
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.MULTILINE)


def _git(folder: Path | None, *arguments: str) -> str | None:
    """The output of git; None where git fails, hangs or is not installed."""
    output = _git_bytes(folder, *arguments)
    return None if output is None else output.decode("utf-8", "replace")


def _git_bytes(folder: Path | None, *arguments: str) -> bytes | None:
    line = ["git", *arguments]
    try:
        run = subprocess.run(line, cwd=folder, capture_output=True, timeout=SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout


def commit(folder: Path | None = None) -> str | None:
    """The commit that is checked out, with "+" where tracked files differ from it; None outside a repository."""
    return (_git(folder, "describe", "--always", "--dirty=+", "--abbrev=40", "--exclude=*") or "").strip() or None


def author(folder: Path | None = None) -> str:
    """The name and address that git would put on a commit, else the account's name."""
    identity = _git(folder, "var", "GIT_AUTHOR_IDENT")
    if identity is not None:
        # "Name <address> 1700000000 +0100"
        return identity.rsplit(">", 1)[0].strip() + ">"
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def resolve(ref: str, folder: Path) -> str:
    """The commit of a ref, 40 hex digits.

    Raises:
        UsageError: no such ref here; a shallow clone often lacks the base branch.
    """
    digits = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if digits is None:
        raise UsageError(
            f'git knows no commit "{ref}" in {folder.resolve()}. A shallow clone lacks other branches: fetch it first, '
            "such as git fetch --depth=1 origin main:refs/remotes/origin/main"
        )
    return digits.strip()


def read(commit: str, path: Path) -> bytes | None:
    """A file as a commit has it; None where the commit has no such file, or the path lies outside the repository.

    The path is taken as it is written: a symbolic link in the working tree does not choose another file of the commit.
    """
    place = _place(path)
    return _git_bytes(place[0], "cat-file", "blob", f"{commit}:{place[1]}") if place else None


def tracked(folder: Path) -> bool:
    """Whether version control has any file of a folder."""
    place = _place(folder)
    return bool(place and (_git(place[0], "ls-files", "--cached", "--", place[1]) or "").strip())


def _place(path: Path) -> tuple[Path, str] | None:
    """A repository's root and a path in it, by names alone; None outside a repository."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow links)
    root = next((folder for folder in absolute.parents if (folder / ".git").exists()), None)
    return None if root is None else (root, absolute.relative_to(root).as_posix())


def changed_lines(since: str, path: Path) -> list[int]:
    """Lines of a file that are new or changed since a commit; empty where git cannot say."""
    patch = _git(path.parent, "diff", "--unified=0", "--no-color", "--no-ext-diff", since, "--", path.name)
    lines: list[int] = []
    for hunk in _HUNK.finditer(patch or ""):
        first, count = int(hunk[1]), int(hunk[2] or 1)
        # Where lines were only removed, the line before them stands for them.
        lines += range(first, first + count) if count else [max(first, 1)]
    return lines
