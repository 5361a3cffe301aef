"""Results over time, as a log that only grows.

The log is JSON lines, each with a format number. It has every result once, however often it is evaluated; a system
that returns to an earlier state adds a short line that points at the earlier result. Accepting a baseline adds a line
that points at the accepted results.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.base.errors import BaselineError, StoreError, excerpt
from bench.base.store import json_text, parse_json
from bench.records import Finding, Result

FORMAT = 1
EVENTS = ("result", "again", "accepted")


@dataclass(frozen=True)
class Event:
    """One line: a result was made for the first time, again, or accepted as the baseline."""

    kind: str
    time: datetime
    commit: str | None
    digest: str
    reason: str = ""


@dataclass(frozen=True)
class Log:
    """The content of a log: events in their order, results by digest, and a finding for each unreadable line."""

    path: Path
    events: tuple[Event, ...]
    results: Mapping[str, Result] = field(repr=False)
    findings: tuple[Finding, ...] = ()


def append(
    path: Path,
    results: Sequence[Result],
    *,
    when: datetime,
    commit: str | None,
    version: str,
    accepted: str | None = None,
) -> int:
    """Append the new ones of some results, and return the number of lines written.

    A result whose digest the log has already is written as a pointer, and only where the last line of its system and
    query set is of another result. One process appends at a time. A line that a power cut left unfinished stays as it
    is, and the next line begins after it.

    Args:
        path: the log; a new file where there is none.
        results: as evaluated, or as accepted.
        when: time of all lines; with a time zone.
        commit: of the repository, where known.
        version: of this program.
        accepted: the reason, where these results became the baseline.

    Raises:
        OSError: the log cannot be written.
        StoreError: the log has another format.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"format": FORMAT, "time": when.isoformat(timespec="seconds"), "commit": commit, "bench": version}
    with path.open("a+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        known, latest = _known(stream.read(), path)
        lines = []
        for result in results:
            # The variant is the gate's label; the system's own name has dimension and precision.
            document = replace(result, variant="").to_json()
            digest, series = document["digest"], (result.suite, result.query_set, result.system)
            if digest not in known:
                lines.append(head | {"event": "result", "of": list(series), "digest": digest, "result": document})
            elif latest.get(series) != digest:
                lines.append(head | {"event": "again", "digest": digest})
            known[digest] = series
            latest[series] = digest
            if accepted is not None:
                lines.append(head | {"event": "accepted", "digest": digest, "reason": accepted})
        text = "".join(json_text(line, separators=(",", ":")) + "\n" for line in lines).encode()
        if text:
            stream.seek(0, os.SEEK_END)
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                text = text if stream.read(1) == b"\n" else b"\n" + text
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    return len(lines)


def _known(data: bytes, path: Path) -> tuple[dict[str, tuple[str, ...]], dict[tuple[str, ...], str]]:
    """Digest → series of every result in a log, and series → the digest that its last line has.

    Results are not parsed, which would take minutes for a long log: a complete line ends with its own digest.
    """
    known: dict[str, tuple[str, ...]] = {}
    latest = {}
    for _, line in _lines(b"\n".join(map(_head, data.split(b"\n"))), path):
        digest, series = line.get("digest"), line.get("of")
        if line.get("event") == "result" and isinstance(series, list) and isinstance(digest, str):
            known[digest] = tuple(map(str, series))
        if digest in known:
            latest[known[digest]] = str(digest)
    return known, latest


def _head(raw: bytes) -> bytes:
    """A line without its result, as JSON; empty where the result was cut off. Inside a string the mark is escaped."""
    head, mark, rest = raw.partition(b',"result":')
    if not mark:
        return raw
    return head + b"}" if rest.rstrip().endswith(head[head.rfind(b'"digest"') :] + b"}}") else b""


def _lines(data: bytes, path: Path, problems: list[Finding] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, line) of a log; a line that is not JSON is skipped and becomes a finding.

    Raises:
        StoreError: another format number.
    """
    for number, raw in enumerate(data.split(b"\n"), 1):
        place = f"{path}:{number}"
        if not raw.strip():
            continue
        try:
            line = parse_json(raw, Path(place))
        except StoreError:
            line = None
        if not isinstance(line, dict) or "format" not in line:
            message = f"{place} is not a line of a history log and is skipped. Was a write cut off?"
            if problems is not None:
                problems.append(Finding("warning", "damaged-line", place, message))
            continue
        if line["format"] != FORMAT:
            raise StoreError(
                f"{place} has format {excerpt(repr(line['format']))}; this version reads format {FORMAT}. "
                "Use the version that wrote it, or move the log away and start a new one."
            )
        yield place, line


def read_log(path: Path) -> Log:
    """The events and results of a history log.

    Raises:
        StoreError: no such file, or it has another format.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"No history at {path}; bench run starts one. Is it another file? --log F") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from None
    problems: list[Finding] = []
    results: dict[str, Result] = {}
    events = []
    for place, line in _lines(data, path, problems):
        try:
            event = _event(line)
            if event.kind == "result":
                result = Result.from_json(line["result"], where=place)
                if line["result"].get("digest") != event.digest:
                    raise ValueError("the digest beside a result is not the result's own")
                results[event.digest] = result
            elif event.digest not in results:
                raise ValueError(f"no line before it has the result {excerpt(event.digest, 12)}")
            events.append(event)
        except (BaselineError, KeyError, TypeError, ValueError) as error:
            message = str(error)
            if not isinstance(error, BaselineError):
                message = f"{place} is skipped: {excerpt(message, 120)}."
            problems.append(Finding("warning", "damaged-line", place, message))
    return Log(path, tuple(events), results, tuple(problems))


def _event(line: Mapping[str, Any]) -> Event:
    kind = line["event"]
    if kind not in EVENTS:
        raise ValueError(f'event is "{excerpt(str(kind), 40)}"; expected one of {", ".join(EVENTS)}')
    time = datetime.fromisoformat(line["time"])
    if time.tzinfo is None:
        raise ValueError("time has no time zone")
    commit, reason = line.get("commit"), line.get("reason", "")
    if not isinstance(line["digest"], str) or not isinstance(commit, str | None) or not isinstance(reason, str):
        raise TypeError("digest, commit or reason is not a string")
    return Event(kind, time, commit, line["digest"], reason)
