"""Write or update the gate's comment on a pull request, or an issue."""

from __future__ import annotations

from pathlib import Path

from bench.base.errors import UsageError
from bench.cli.parser import Answer, Namespace, Parser, Progress, positive


def options(parser: Parser) -> None:
    parser.option("file", "F", "written by bench gate --comment, or bench drift --markdown")
    parser.option("--pr", "N", "the pull request (default: the job's own)", type=positive)
    parser.option("--issue", "TITLE", "an issue instead of a comment; opened where none is open")
    parser.flag("--if-open", "with --issue: only update an issue that is open already")
    parser.option("--repo", "R", "owner/name (default: GITHUB_REPOSITORY)")
    text = "the account whose comment may be changed (default: github-actions[bot])"
    parser.option("--author", "A", text, default="github-actions[bot]")


def run(options: Namespace, progress: Progress) -> Answer:
    """Write the comment; a failure is a sentence, not an error, so that it never hides a verdict."""
    import os

    from bench.project.answers import Reply
    from bench.report.blocks import Prose
    from bench.report.forms import github

    def say(sentence: str, style: str = "warning") -> Answer:
        return Reply({"format": 1, "said": sentence}, [Prose([sentence], style)])

    path = Path(options.file)
    if not path.is_file():
        raise UsageError(f"No comment at {path}. Write one with: bench gate --comment {path}")
    if options.issue and options.pr:
        raise UsageError("bench comment: --pr names a pull request and --issue an issue; leave one out.")
    if options.if_open and not options.issue:
        raise UsageError("bench comment: --if-open goes with --issue.")
    number = options.pr or github.pull_request()
    repository = options.repo or os.environ.get("GITHUB_REPOSITORY", "")
    token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN") or ""
    what = "issue" if options.issue else "comment"
    if not number and not options.issue:
        return say("This job runs for no pull request; nothing to comment on (or say which: --pr N).")
    if not token:
        return say(f"GITHUB_TOKEN is not set; no {what} is written. The verdict stands in the job summary.")
    try:
        body = path.read_text(encoding="utf-8")
        if options.issue:
            where = github.post_issue(
                body,
                title=options.issue,
                repository=repository,
                token=token,
                author=options.author,
                begin=not options.if_open,
            )
        else:
            where = github.post(body, repository=repository, number=number or 0, token=token, author=options.author)
    except OSError as error:
        return say(f"No {what} was written: {error}. The verdict stands in the job summary.")
    return say(f"{what.capitalize()}: {where}" if where else "No issue is open, and none is opened.", "text")
