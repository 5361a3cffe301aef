"""A run's headers with its scores as one JSON document: what baselines and history keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bench.base.errors import BaselineError, excerpt
from bench.records._shape import RESULT_SHAPE, misfits
from bench.records.digests import digest_of
from bench.records.run import frozen
from bench.records.scores import NoAnswer, Scores
from bench.records.suite import ROLES, TIE_RULE, EvalProtocol

RESULT_FORMAT = 1


@dataclass(frozen=True)
class Result:
    """One system on one query set: who, what, how, and every query's numbers. A JSON document.

    `variant` is the dimension and precision that a gate rule asked for ("@128", "/int8", "@128/int8"); "" is the gated
    system as it is named. `measured_by` is measure → package, where another package computes it. The document carries a
    digest of its content, so that an edit by hand is noticed.
    """

    system: str
    system_digest: str
    kind: str
    suite: str
    suite_version: int
    suite_digest: str
    query_set: str
    role: str
    query_set_digest: str
    corpus_digest: str
    labels_digest: str
    protocol: EvalProtocol
    run_digest: str
    scores: Scores = field(repr=False)
    top_ids: tuple[tuple[str, ...], ...] = field(repr=False)
    clusters: tuple[str | None, ...] = field(repr=False)
    slices: tuple[tuple[str, ...], ...] = field(repr=False)
    pinned: tuple[bool, ...] = field(repr=False)
    judged_negative_share: float = 0.0
    recipe: Mapping[str, Any] = field(default_factory=dict, repr=False)
    seconds: Mapping[str, float] = field(default_factory=dict)
    index_bytes: int | None = None
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False)
    variant: str = ""
    no_answer: NoAnswer | None = None
    measured_by: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The document that baselines and history keep; `from_json` reads it back without loss."""
        document = self._document()
        return document | {"digest": _digest_of_numbers(document)}

    def _document(self) -> dict[str, Any]:
        scores = self.scores
        return {
            "format": RESULT_FORMAT,
            "system": {
                "name": self.system,
                "kind": self.kind,
                "digest": self.system_digest,
                "variant": self.variant,
                "recipe": dict(self.recipe),
            },
            "suite": {"name": self.suite, "version": self.suite_version, "digest": self.suite_digest},
            "query_set": {
                "name": self.query_set,
                "role": self.role,
                "digest": self.query_set_digest,
                "corpus_digest": self.corpus_digest,
                "labels_digest": self.labels_digest,
                "judged_negative_share": self.judged_negative_share,
            },
            "protocol": asdict(self.protocol) | {"tie_rule": TIE_RULE, "digest": self.protocol.digest},
            "run_digest": self.run_digest,
            "means": scores.means(),
            "queries": {
                "ids": list(scores.query_ids),
                "values": {m: scores.values[:, i].tolist() for i, m in enumerate(scores.measures)},
                "judged": scores.judged.tolist(),
                "condensed": None if scores.condensed is None else scores.condensed.tolist(),
                "top_ids": [list(ids) for ids in self.top_ids],
                "clusters": list(self.clusters),
                # null, one name, or a list of several: files from before several were possible read as they did.
                "slices": [list(names) if len(names) > 1 else (names or (None,))[0] for names in self.slices],
                "pinned": [i for i, pinned in enumerate(self.pinned) if pinned],
            },
            "lists": dict(scores.lists),
            "left_out": scores.left_out,
            "missing": list(scores.missing),
            "tie_spread": dict(scores.tie_spread),
            "seconds": dict(self.seconds),
            "index_bytes": self.index_bytes,
            "environment": dict(self.environment),
            **({} if self.no_answer is None else {"no_answer": asdict(self.no_answer)}),
            **({"measured_by": dict(self.measured_by)} if self.measured_by else {}),
        }

    @classmethod
    def from_json(cls, document: Any, *, where: str = "result") -> Result:
        """A result from its document.

        Raises:
            BaselineError: another format number or tie rule, a document that is not a result, or one whose numbers
                were changed since it was written; the message names `where`.
        """
        if not isinstance(document, dict) or "format" not in document:
            raise BaselineError(f'{where} is not a result: expected a JSON object with "format": {RESULT_FORMAT}.')
        if document["format"] != RESULT_FORMAT:
            raise BaselineError(
                f"{where} has format {excerpt(repr(document['format']))}; this version reads format {RESULT_FORMAT}. "
                "Use the version that wrote it, or run and accept anew."
            )
        for misfit in misfits(document, RESULT_SHAPE, ""):
            raise BaselineError(f"{where} is not a whole result ({misfit}); run `bench run` anew.")
        try:
            found = cls._from_json(document)
            tie_rule, digest = document["protocol"].get("tie_rule", TIE_RULE), document.get("digest")
            # A file without a digest says at least what its values should average to.
            means, stated = found.scores.means(), document.get("means", found.scores.means())
            changed = means.keys() != stated.keys() or not all(abs(means[m] - stated[m]) <= 1e-9 for m in means)
            changed = changed or (digest is not None and digest != _digest_of_numbers(found._document()))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise BaselineError(
                f"{where} is not a whole result ({type(error).__name__}: {excerpt(str(error), 120)}); run `bench run` "
                "anew."
            ) from error
        if tie_rule != TIE_RULE:
            raise BaselineError(
                f'{where} was measured under the tie rule "{excerpt(tie_rule)}"; expected "{TIE_RULE}". '
                "Run and accept anew."
            )
        if changed:
            raise BaselineError(
                f'{where} ("{excerpt(found.system)}" on "{excerpt(found.query_set)}") was changed after it was '
                "written: what it holds does not fit its own digest or means. Restore it from version control; numbers "
                "change only by bench run and bench baseline accept."
            )
        return found

    @classmethod
    def _from_json(cls, document: Mapping[str, Any]) -> Result:
        system, suite, query_set = document["system"], document["suite"], document["query_set"]
        queries, protocol = document["queries"], document["protocol"]
        measures = tuple(queries["values"])
        n_queries = len(queries["ids"])
        lists = [*queries["values"].values(), *(queries[k] for k in ("judged", "top_ids", "clusters", "slices"))]
        if {len(listed) for listed in lists} != {n_queries}:
            raise ValueError("per-query lists differ in length")
        values = np.asarray([queries["values"][m] for m in measures], dtype=np.float64).reshape(len(measures), -1).T
        judged = np.asarray(queries["judged"], dtype=np.float64)
        if len(set(queries["ids"])) != n_queries:
            raise ValueError("a query stands twice")
        if query_set["role"] not in ROLES:
            raise ValueError(f"role {query_set['role']}")
        if not protocol["measures"] or protocol["measures"][0] not in measures:
            raise ValueError("the first measure of the protocol has no values")
        pinned = set(queries["pinned"])
        condensed = queries.get("condensed")
        if condensed is not None:
            condensed = np.asarray(condensed, dtype=np.float64)
            if condensed.shape != values.shape or not np.isfinite(condensed).all():
                raise ValueError("condensed values differ in shape or are not numbers")
        return cls(
            system=system["name"],
            system_digest=system["digest"],
            kind=system["kind"],
            recipe=system["recipe"],
            suite=suite["name"],
            suite_version=suite["version"],
            suite_digest=suite["digest"],
            query_set=query_set["name"],
            role=query_set["role"],
            query_set_digest=query_set["digest"],
            corpus_digest=query_set["corpus_digest"],
            labels_digest=query_set["labels_digest"],
            judged_negative_share=query_set["judged_negative_share"],
            protocol=EvalProtocol(
                tuple(protocol["measures"]), protocol["depth"], protocol["relevance_level"], protocol["drop_self"]
            ),
            run_digest=document["run_digest"],
            scores=Scores(
                measures,
                tuple(queries["ids"]),
                frozen(values, np.float64),
                frozen(judged, np.float64),
                document["lists"],
                document["left_out"],
                tuple(document["missing"]),
                document["tie_spread"],
                None if condensed is None else frozen(condensed, np.float64),
            ),
            top_ids=tuple(tuple(ids) for ids in queries["top_ids"]),
            clusters=tuple(queries["clusters"]),
            slices=tuple(_slice_names(names) for names in queries["slices"]),
            pinned=tuple(i in pinned for i in range(n_queries)),
            seconds=document["seconds"],
            index_bytes=document["index_bytes"],
            environment=document["environment"],
            variant=system.get("variant", ""),
            no_answer=_no_answer_of(document.get("no_answer")),
            measured_by=document.get("measured_by", {}),
        )


def _digest_of_numbers(document: Mapping[str, Any]) -> str:
    """32 hex digits over a result's document but for times and places: evaluated again, it has the same."""
    return digest_of({key: value for key, value in document.items() if key not in ("seconds", "environment")})


def _no_answer_of(found: Any) -> NoAnswer | None:
    return None if found is None else NoAnswer(**{**found, "chosen_on": tuple(found["chosen_on"])})


def _slice_names(names: Any) -> tuple[str, ...]:
    found = () if names is None else (names,) if isinstance(names, str) else tuple(names)
    if not all(isinstance(name, str) for name in found):
        raise ValueError("slices that are no names")
    return found
