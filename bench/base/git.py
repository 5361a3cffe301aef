"""What version control knows: the commit at hand, a file as another commit has it, the lines that a change touched."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from bench.base.errors import UsageError

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


def author(folder: Path | None = None) -> str:
    """Who works here: the name and address that git would put on a commit, else the account's name."""
    found = _git(folder, "var", "GIT_AUTHOR_IDENT")
    if found and not found.returncode:
        # "Name <address> 1700000000 +0100"
        return found.stdout.decode("utf-8", "replace").rsplit(">", 1)[0].strip() + ">"
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


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
    """A file as a commit has it; None where the commit has no such file, or the path lies outside the repository.

    The path is taken as it is written: a symbolic link in the working tree does not choose another file of the commit.
    """
    place = _place(path)
    if place is None:
        return None
    found = _git(place[0], "cat-file", "blob", f"{commit}:{place[1]}")
    return found.stdout if found and not found.returncode else None


def tracked(folder: Path) -> bool:
    """Whether version control holds anything in a folder."""
    place = _place(folder)
    if place is None:
        return False
    found = _git(place[0], "ls-files", "--cached", "--", place[1])
    return bool(found and not found.returncode and found.stdout.strip())


def _place(path: Path) -> tuple[Path, str] | None:
    """A repository's root and a path's place in it, by names alone; None outside of any."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow links)
    root = next((folder for folder in absolute.parents if (folder / ".git").exists()), None)
    return None if root is None else (root, absolute.relative_to(root).as_posix())


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
