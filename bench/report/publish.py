"""An answer, or the error in its place, in every form that the command line asks for.

An error is written to every form too: no file may keep an earlier run's answer.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.base.errors import BenchError
from bench.base.store import write_json, write_text
from bench.records import Finding, Verdict
from bench.report import Material
from bench.report.forms import github, html, junit, metrics
from bench.report.forms.comment import comment, error_comment

FILES = ("json", "junit", "markdown", "html", "comment", "metrics")
"""Forms that are files."""


class Publishable(Protocol):
    """An answer that can be written in forms."""

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
        """The verdict, and the results, texts and judgements that its forms may show."""


@dataclass(frozen=True)
class Forms:
    """The file of each form; None if the form is not wanted.

    `github` also writes the job summary, outputs and annotations. `key` separates the comments of several gates on one
    pull request, and `link` is the address of the report.
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
        """The forms of a command line."""
        paths = {form: getattr(options, "json_out" if form == "json" else form, None) for form in FILES}
        return cls(
            **{form: Path(path) for form, path in paths.items() if path},
            github=bool(getattr(options, "github", False)),
            key=getattr(options, "comment_key", None) or "",
            link=getattr(options, "link", None) or "",
        )

    def each(self) -> Iterator[Forms]:
        """Every wanted form, alone."""
        for form in (*FILES, "github"):
            if value := getattr(self, form):
                yield Forms(**{form: value}, key=self.key, link=self.link)


def publish(answer: Publishable | Gated, forms: Forms) -> None:
    """Write every form of an answer; those of a pull request only for a gate's."""
    summary = answer.markdown() if forms.markdown or forms.github else ""
    if forms.json:
        write_json(forms.json, answer.to_json(), indent=1)
    if forms.markdown:
        write_text(forms.markdown, summary)
    verdict: Verdict | None = getattr(answer, "verdict", None)
    if verdict is not None:
        if forms.junit:
            write_text(forms.junit, junit.document(verdict))
        if forms.metrics:
            write_text(forms.metrics, metrics.document(verdict))
        if forms.comment:
            material: Material = answer.material()  # type: ignore[union-attr]
            write_text(forms.comment, comment(material, key=forms.key, link=forms.link))
        if forms.github:
            commands = github.annotation_commands(verdict, getattr(answer, "place", None))
            values = github.outputs(verdict, exit_code=verdict.exit_code, report=forms.html)
            github.write_files(summary, values, commands)
    if forms.html:
        write_text(forms.html, answer.html())


def publish_error(error: BenchError, forms: Forms) -> None:
    """Write an error to every form."""
    message, text = str(error), error_comment(str(error), key=forms.key)
    if forms.json:
        write_json(forms.json, error.to_json() | {"exit_code": error.exit_code}, indent=1)
    for path, content in (
        (forms.junit, junit.error_document(error.code, message)),
        (forms.metrics, f"retrieval_gate_exit_code {error.exit_code}\n# EOF\n"),
        (forms.comment, text),
        (forms.markdown, text),
    ):
        if path:
            write_text(path, content)
    if forms.github:
        commands = [github.command("error", message, title=f"bench gate: {error.code}")]
        github.write_files(text, github.outputs(None, exit_code=error.exit_code, report=forms.html), commands)
    if forms.html:
        finding = Finding("error", error.code, "gate", message)
        html.write(Material("No verdict", (), "", findings=(finding,)), forms.html)
