"""A text file of questions and answers: a line "Q: …", then a line "A: …"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from bench import SuiteError
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query


class Options(Strict):
    """What `--set` may say."""

    split: str = Field(default="test", description="the split that the questions become")


def collection(location: str, options: Options) -> Collection:
    """Answers are documents; each question is judged on its own answer. The file is read when it is asked for."""
    path = Path(location)
    if not path.is_file():
        raise SuiteError(f"{path} is no file; expected a text file of lines Q: … and A: …")

    def lines(mark: str) -> Iterator[str]:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(mark):
                yield line.removeprefix(mark).strip()

    def documents() -> Iterator[Document]:
        return (Document(f"a{n}", text) for n, text in enumerate(lines("A:"), 1))

    def queries() -> Iterator[Query]:
        return (Query(f"q{n}", text) for n, text in enumerate(lines("Q:"), 1))

    def judgements() -> Iterator[Judgement]:
        return ((f"q{n}", f"a{n}", 1) for n, _ in enumerate(lines("Q:"), 1))

    origin = {"kind": "faq-text", "location": path.name}
    return Collection(path.stem, documents, (Part(options.split, queries, judgements),), origin)
