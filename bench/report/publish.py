"""An answer, or why there is none, in every form asked for. No form may be left as an earlier run wrote it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from bench.base.errors import BenchError
from bench.base.store import write_json, write_text
from bench.records import Finding, Verdict
from bench.report import Material
from bench.report.forms import github


class Publishable(Protocol):
    """An answer that can be written in forms; `verdict`, `material` and `place` only where it is a gate's."""

    def to_json(self) -> dict[str, Any]:
        """The document."""

    def html(self) -> str:
        """A page."""

    def markdown(self) -> str:
        """Markdown."""


class Gated(Publishable, Protocol):
    """A verdict that can be written in forms; `place` is the line that annotations point at."""

    verdict: Verdict
    place: github.Place | None

    def material(self) -> Material:
        """The verdict, with the results, texts and judgements that its forms may show."""


@dataclass(frozen=True)
class Forms:
    """Where each form goes; None where it was not asked for.

    `key` tells apart the comments of several gates on one pull request, `link` is where a reader finds the report,
    `github` also writes job summary, outputs and annotations.
    """

    json: Path | None = None
    junit: Path | None = None
    markdown: Path | None = None
    html: Path | None = None
    comment: Path | None = None
    metrics: Path | None = None
    github: bool = False
    key: str = ""
    link: str = ""

    @classmethod
    def of(cls, options: Namespace) -> Forms:
        """The forms that a command line asks for."""

        def path(name: str) -> Path | None:
            given = getattr(options, name, None)
            return Path(given) if given else None

        return cls(
            path("json_out"),
            path("junit"),
            path("markdown"),
            path("html"),
            path("comment"),
            path("metrics"),
            bool(getattr(options, "github", False)),
            getattr(options, "comment_key", None) or "",
            getattr(options, "link", None) or "",
        )

    def each(self) -> Iterator[Forms]:
        """Every form asked for, alone."""
        for field in fields(self):
            if field.name not in ("key", "link") and getattr(self, field.name):
                yield Forms(**{field.name: getattr(self, field.name)}, key=self.key, link=self.link)


def publish(answer: Publishable | Gated, forms: Forms) -> None:
    """Write every form of an answer; those of a pull request only where it is a gate's."""
    if forms.json:
        write_json(forms.json, answer.to_json(), indent=1)
    summary = answer.markdown() if forms.markdown or forms.github else ""
    if forms.markdown:
        write_text(forms.markdown, summary)
    verdict: Verdict | None = getattr(answer, "verdict", None)
    if verdict is not None:
        if forms.junit:
            from bench.report.forms import junit

            write_text(forms.junit, junit.document(verdict))
        if forms.metrics:
            from bench.report.forms import metrics

            write_text(forms.metrics, metrics.document(verdict))
        if forms.comment:
            from bench.report.forms.comment import comment

            material: Material = answer.material()  # type: ignore[union-attr]
            write_text(forms.comment, comment(material, key=forms.key, link=forms.link))
        if forms.github:
            _tell(github.annotated(verdict, getattr(answer, "place", None)))
            github.write_files(summary, github.outputs(verdict, exit_code=verdict.exit_code, report=forms.html))
    if forms.html:
        write_text(forms.html, answer.html())


def publish_error(error: BenchError, forms: Forms) -> None:
    """Write every form for a question that was not answered, so that none is left over from an earlier run."""
    message = str(error)
    if forms.json:
        write_json(forms.json, error.to_json() | {"exit_code": error.exit_code}, indent=1)
    if forms.junit:
        from bench.report.forms import junit

        write_text(forms.junit, junit.error_document(error.code, message))
    if forms.metrics:
        write_text(forms.metrics, f"retrieval_gate_exit_code {error.exit_code}\n# EOF\n")
    if forms.comment or forms.markdown or forms.github:
        from bench.report.forms.comment import error_comment

        text = error_comment(message, key=forms.key)
        for path in (forms.comment, forms.markdown):
            if path:
                write_text(path, text)
        if forms.github:
            _tell([github.command("error", message, title=f"bench gate: {error.code}")])
            github.write_files(text, github.outputs(None, exit_code=error.exit_code, report=forms.html))
    if forms.html:
        from bench.report.forms.html import write

        finding = Finding("error", error.code, "gate", message)
        write(Material("Not judged", (), "", findings=(finding,)), forms.html)


def _tell(commands: list[str]) -> None:
    """Workflow commands, each on a line of its own; standard output may hold a JSON document."""
    for line in commands:
        sys.stderr.write(line + "\n")
    sys.stderr.flush()
