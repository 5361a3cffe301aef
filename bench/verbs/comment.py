"""One comment on a pull request, written or changed; best effort, so that it never hides a verdict."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.errors import UsageError
from bench.verbs._options import positive

__all__ = ["HELP", "options", "run"]

HELP = "write or change the gate's one comment on a pull request"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("file", metavar="F", help="written by bench gate --comment")
    parser.add_argument("--pr", metavar="N", type=positive, help="the pull request (default: the job's own)")
    parser.add_argument("--repo", metavar="R", help="owner/name (default: GITHUB_REPOSITORY)")
    parser.add_argument("--author", metavar="A", default="github-actions[bot]", help="whose comment may be changed")


def run(options: Namespace) -> int:
    """One comment on a pull request, written or changed; best effort, so that it never hides a verdict."""
    import os

    from bench import github, terminal

    path = Path(options.file)
    if not path.is_file():
        raise UsageError(f"No comment at {path}. Write one with: bench gate --comment {path}")
    number = options.pr or github.pull_request()
    repository = options.repo or os.environ.get("GITHUB_REPOSITORY", "")
    token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN") or ""
    if not number:
        terminal.say("This job runs for no pull request; nothing to comment on (or say which: --pr N).", "yellow")
        return 0
    if not token:
        terminal.say("GITHUB_TOKEN is not set; no comment is written. The verdict stands in the job summary.", "yellow")
        return 0
    try:
        body = path.read_text(encoding="utf-8")
        where = github.post(body, repository=repository, number=number, token=token, author=options.author)
    except OSError as error:
        terminal.say(f"No comment was written: {error}. The verdict stands in the job summary.", "yellow")
        return 0
    terminal.say(f"Comment: {where}")
    return 0
