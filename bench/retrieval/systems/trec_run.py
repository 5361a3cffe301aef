"""Another engine's rankings from TREC run files, one for each query set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.base.errors import RunError
from bench.config import SystemConfig
from bench.records import Corpus, QuerySet, Ranked, Run
from bench.records.run_files import read_run
from bench.retrieval.systems import Context


class Config(SystemConfig):
    """`kind = "trec-run"`: `runs` maps a query set's name to a file."""

    runs: dict[str, str] = Field(min_length=1)


def build(name: str, config: Config, context: Context) -> list[TrecRun]:
    """One system."""
    return [TrecRun(name, config, context)]


class TrecRun:
    """Another engine's rankings. Every query must be ranked: a missing one is an error, not a zero."""

    kind = "trec-run"
    parts: tuple[str, ...] = ()

    def __init__(self, name: str, config: Config, context: Context) -> None:
        self.name, self.roles = name, config.roles
        self.files: dict[str, Path] = {query_set: context.base / path for query_set, path in config.runs.items()}

    def fingerprint(self) -> Mapping[str, Any]:
        """Digests of the files' contents."""
        digests = {}
        for query_set, path in sorted(self.files.items()):
            try:
                digests[query_set] = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
            except OSError as error:
                raise RunError(f'System "{self.name}": {path} cannot be read: {error.strerror}.') from None
        return {"kind": self.kind, "files": digests}

    def search(self, corpus: Corpus, queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
        """The file's rankings, in the query set's order."""
        path = self.files.get(queries.name)
        if path is None:
            raise RunError(
                f'System "{self.name}" has no run file for query set "{queries.name}" (has: {", ".join(self.files)}). '
                "Name one under `runs`, or leave this set's role out with `roles`."
            )
        run = read_run(path)
        row_of_query = {query_id: row for row, query_id in enumerate(run.query_ids)}
        missing = [query_id for query_id in queries.ids if query_id not in row_of_query]
        if missing:
            raise RunError(
                f'{path} lacks {len(missing)} of {len(queries.ids)} queries of "{queries.name}" (first: '
                f'"{missing[0]}"); a missing query would count as a loss. Complete the run.'
            )
        unknown = [doc_id for doc_id in run.doc_ids if doc_id not in corpus.row_of]
        if unknown:
            raise RunError(
                f'{path} ranks {len(unknown)} documents that corpus "{corpus.name}" lacks (first: "{unknown[0]}"). '
                "Was it made on another version of the corpus?"
            )
        order = [row_of_query[query_id] for query_id in queries.ids]
        return Ranked(run.rows(corpus)[order], run.scores[order])
