"""Output for GitHub: workflow commands, step outputs, the job summary, a comment on the pull request, an issue.

Summary, outputs and annotations need no token and are always written. The comment may fail, because a pull request from
a fork has no right to write one; that must not hide the verdict.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base import git
from bench.base.errors import UsageError
from bench.records import Verdict
from bench.report.text import visible

MOST_ANNOTATIONS = 9
"""GitHub shows ten of each kind for a step."""

MOST_PAGES = 30
TIMEOUT_S = 20
BOT = "github-actions[bot]"
_TABLE = re.compile(r"^\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")


# --- workflow commands -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A file and a line of it, from the repository's root."""

    file: str
    line: int | None = None


def command(kind: str, message: str, *, title: str = "", place: Place | None = None) -> str:
    """One workflow command; no text in it can end it or begin another."""

    def escaped(text: str, limit: int) -> str:
        # The runner's own escapes; the percent sign first, since the others are written with it.
        return visible(text, limit).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    values = {"file": place.file, "line": str(place.line or "")} if place else {}
    values = {key: escaped(value, 300) for key, value in (values | {"title": title}).items() if value}
    properties = ",".join(f"{key}={text.replace(':', '%3A').replace(',', '%2C')}" for key, text in values.items())
    return f"::{kind} {properties}".rstrip() + f"::{escaped(message, 2000)}"


def annotation_commands(verdict: Verdict, place: Place | None = None) -> list[str]:
    """Workflow commands for what a reviewer should see beside the code: errors where the gate blocks, else warnings.

    Args:
        verdict: of the gate.
        place: the line that the change touched, where that is known.
    """
    kinds = {"fail": "error", "inconclusive": "error" if verdict.policy.on_inconclusive == "block" else "warning"}
    rows = [("error" if c.softened else kinds.get(c.outcome or ""), c.outcome, c.reason) for c in verdict.cells]
    rows += [(kinds.get(check.outcome or ""), check.outcome, check.reason) for check in verdict.limits]
    rows += [(f.severity, f.code, f.message) for f in verdict.findings if f.severity in ("error", "warning")]
    # Only ten of a kind are shown: what blocks comes first.
    rows = sorted((row for row in rows if row[0]), key=lambda row: row[0] != "error")[:MOST_ANNOTATIONS]
    return [command(kind or "", text, title=f"bench gate: {what}", place=place) for kind, what, text in rows]


def changed_line(config: Path, since: str, tables: Sequence[str]) -> Place | None:
    """The first line of a config that a change touched, preferably one inside the named tables.

    Args:
        config: a TOML file in the working tree.
        since: a git ref that the change started from.
        tables: names such as "systems.hybrid" that the verdict is about.
    """
    lines = git.changed_lines(since, config)
    if not lines:
        return None
    text = config.read_text(encoding="utf-8", errors="replace").split("\n")

    def is_inside(line: int) -> bool:
        headers = [match[1].replace('"', "") for match in map(_TABLE.match, text[:line]) if match]
        return any(f"{header}.".startswith(f"{table}.") for header in headers[-1:] for table in tables)

    line = next(filter(is_inside, lines), lines[0])
    root, path = Path(os.environ.get("GITHUB_WORKSPACE") or ".").resolve(), config.resolve()
    return Place((path.relative_to(root) if path.is_relative_to(root) else config).as_posix(), line)


# --- files of the runner ---------------------------------------------------------------------------


def outputs(verdict: Verdict | None, *, exit_code: int, report: Path | None) -> dict[str, str]:
    """The Action's outputs; the verdict is "error" where there is none."""
    values = {"verdict": verdict.outcome if verdict else "error", "exit-code": str(exit_code)}
    values["report-path"] = str(report) if report else ""
    values["worst-cell"] = visible(verdict.worst.name, 200) if verdict and verdict.worst else ""
    values["mde"] = "" if verdict is None or verdict.mde80 is None else f"{verdict.mde80:.4f}"
    return values


def write_files(summary: str, values: Mapping[str, str], commands: Sequence[str] = ()) -> None:
    """Write commands to standard error, and append to the job summary and the outputs where the runner names files."""
    # Standard output may have a JSON document.
    sys.stderr.write("".join(f"{line}\n" for line in commands))
    sys.stderr.flush()
    # The delimiter cannot be predicted, so no value can end its own text and set another output.
    end = secrets.token_hex(16)
    outputs = "".join(f"{name}<<{end}\n{value}\n{end}\n" for name, value in values.items())
    for variable, text in (("GITHUB_STEP_SUMMARY", summary), ("GITHUB_OUTPUT", outputs)):
        if path := os.environ.get(variable):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(text)


# --- the comment -----------------------------------------------------------------------------------


def pull_request() -> int | None:
    """The number of the pull request that this job runs for; None where it runs for none."""
    try:
        event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        number = event.get("pull_request", {}).get("number") or event.get("issue", {}).get("number")
        return int(number) if number else None
    except (KeyError, OSError, ValueError, AttributeError, TypeError):
        return None


def post(body: str, *, repository: str, number: int, token: str, author: str = BOT, api: str | None = None) -> str:
    """Write a comment, or change the one that begins with the same marker.

    Returns:
        The comment's address.

    Args:
        body: the comment; its first line is the marker.
        repository: "owner/name".
        number: of the pull request.
        token: with the right to write comments.
        author: whose comments may be changed; somebody else may have copied the marker.
        api: the API's address; GITHUB_API_URL, else GitHub's own, where None.

    Raises:
        OSError: GitHub could not be reached, or refused.
        UsageError: a repository, an address or a body that cannot be right.
    """
    address, mark = _checked(body, repository, api)
    comment = _first(_pages(f"{address}/{number}/comments", token), mark, author)
    method, place = ("PATCH", f"comments/{int(comment['id'])}") if comment else ("POST", f"{number}/comments")
    return str(_call(method, f"{address}/{place}", token, {"body": body}).get("html_url", ""))


def post_issue(
    body: str, *, title: str, repository: str, token: str, author: str = BOT, begin: bool = True, api: str | None = None
) -> str:
    """Change the open issue that begins with the same marker, or open an issue.

    Two jobs at once could each open an issue: let the workflow run one job at a time (`concurrency`). A closed issue
    stays closed, and the next finding opens another.

    Returns:
        The issue's address; "" where there is none.

    Args:
        body: the issue; its first line is the marker.
        title: of a new issue; an existing issue keeps its title, which people may have changed.
        repository: "owner/name".
        token: with the right to write issues.
        author: whose issues may be changed; somebody else may have copied the marker.
        begin: open an issue where there is none.
        api: the API's address; GITHUB_API_URL, else GitHub's own, where None.

    Raises:
        OSError: GitHub could not be reached, or refused.
        UsageError: a repository, an address or a body that cannot be right.
    """
    address, mark = _checked(body, repository, api)
    # GitHub lists pull requests among the issues. The oldest issue is changed, should there be two.
    listed = _pages(f"{address}?state=open&sort=created&direction=asc", token)
    issue = _first((row for row in listed if "pull_request" not in row), mark, author)
    if issue is not None:
        answer = _call("PATCH", f"{address}/{int(issue['number'])}", token, {"body": body})
    elif begin:
        answer = _call("POST", address, token, {"title": visible(title, 200), "body": body})
    else:
        return ""
    return str(answer.get("html_url", ""))


def _checked(body: str, repository: str, api: str | None) -> tuple[str, str]:
    """(address of the repository's issues, the body's marker), checked before a token is sent anywhere.

    Raises:
        UsageError: a repository, an address or a body that cannot be right.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", repository):
        raise UsageError(f'"{repository}" is no repository; expected owner/name.')
    root = (api or os.environ.get("GITHUB_API_URL") or "https://api.github.com").rstrip("/")
    address = urllib.parse.urlsplit(root)
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost"):
        raise UsageError(f"{root} is no https address; a token is not sent there.")
    mark = body.split("\n", 1)[0]
    if not mark.startswith("<!-- retrieval-gate"):
        raise UsageError("The text does not begin with the gate's marker; expected a file written by bench.")
    return f"{root}/repos/{repository}/issues", mark


def _first(rows: Iterable[dict[str, Any]], mark: str, author: str) -> dict[str, Any] | None:
    """The first comment or issue of the author that begins with the marker."""
    of_author = (row for row in rows if (row.get("user") or {}).get("login") == author)
    return next((row for row in of_author if str(row.get("body") or "").split("\n", 1)[0].strip() == mark), None)


def _pages(address: str, token: str) -> Iterator[dict[str, Any]]:
    """Every row of a paged list."""
    joint = "&" if "?" in address else "?"
    for page in range(1, MOST_PAGES + 1):
        rows = _call("GET", f"{address}{joint}per_page=100&page={page}", token)
        yield from rows
        if len(rows) < 100:
            return


def _call(method: str, address: str, token: str, body: Mapping[str, Any] | None = None) -> Any:
    request = urllib.request.Request(  # noqa: S310 (the scheme was checked)
        address,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "User-Agent": "retrieval-gate",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return json.loads(answer.read().decode("utf-8"))
    except urllib.error.HTTPError as error:
        with error:
            detail = visible(error.read(2000).decode("utf-8", "replace"), 200)
        raise OSError(
            f"GitHub answered {error.code} to {method} {urllib.parse.urlsplit(address).path}: {detail}"
        ) from None
    except ValueError as error:
        raise OSError(f"GitHub's answer is not JSON ({error})") from None
