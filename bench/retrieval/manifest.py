"""A collection's manifest: which model made the vectors of an index, so that no other model's are added to it.

A team's indexing job writes the manifest beside its index, and checks it before it writes or reads vectors:

    ours = Manifest.of_model("models/clinic", dim=256)
    read_manifest(folder / "manifest.json").require(ours)      # NotComparable says what differs

Models of one base have equal dimensions, so a mix raises no other error: the rankings are merely wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.base.errors import NotComparable, StoreError, excerpt
from bench.base.json_records import JsonRecord
from bench.base.store import read_json, write_json
from bench.records import Corpus, Encoder, digest_of
from bench.retrieval.precisions import PRECISIONS

FORMAT = 1
SIMILARITIES = ("cosine", "dot")
_NAMES = {"weights": "weights digest", "max_length": "maximum length", "dim": "dimension", "kind": "kind of encoder"}


@dataclass(frozen=True)
class Manifest(JsonRecord, keys="digest model encoder dim precision similarity corpus?"):
    """What all vectors of a collection have in common.

    `encoder` is the encoder's fingerprint: digest of the weights, prompts, maximum length, library. `corpus` has
    name, digest and number of documents where they are known. `model` is the model's name; it is shown but not
    compared, because a name may come to mean other weights.
    """

    encoder: Mapping[str, Any] = field(repr=False)
    dim: int
    precision: str = "float32"
    similarity: str = "cosine"
    corpus: Mapping[str, Any] | None = None
    model: str = ""

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        *,
        dim: int | None = None,
        precision: str = "float32",
        similarity: str = "cosine",
        corpus: Corpus | None = None,
        model: str = "",
    ) -> Manifest:
        """The manifest of an encoder's vectors.

        Args:
            encoder: anything with `dim` and `fingerprint()`.
            dim: first columns of a vector that are kept; all where None.
            precision: as in `bench.toml`.
            similarity: `cosine` or `dot`.
            corpus: the indexed documents.
            model: the model's name.
        """
        about = {"name": corpus.name, "digest": corpus.digest, "documents": len(corpus.ids)} if corpus else None
        # As JSON returns it: a tuple becomes a list.
        fingerprint = json.loads(json.dumps(dict(encoder.fingerprint())))
        return cls(fingerprint, dim or encoder.dim, precision, similarity, about, model)

    @classmethod
    def of_model(cls, model: str | Path, *, store: str | Path = ".bench", **more: Any) -> Manifest:
        """The manifest of a Sentence Transformers model's vectors; loads no weights.

        Args:
            model: as `encoder.model` in `bench.toml`; paths start from the current folder.
            store: the working folder of `finetune:` and `promoted:` models.
            more: `max_length`, `query_prompt`, `document_prompt` and `revision` as in `bench.toml`; `dim`,
                `precision`, `similarity` and `corpus` as in `of`.
        """
        from bench.retrieval.encoders.local import Config, build

        keys = [key for key in more if key in Config.model_fields]
        config = Config(kind="local", model=str(model), **{key: more.pop(key) for key in keys})
        return cls.of(build(config, base=Path(), models=Path(store) / "models"), model=str(model), **more)

    @property
    def digest(self) -> str:
        """32 hex digits over what must be equal; usable in an index's name."""
        return digest_of([dict(self.encoder), self.dim, self.precision, self.similarity])

    def differences(self, other: Manifest, *, corpus: bool = False) -> list[str]:
        """What differs, a clause each: this manifest's value first.

        Args:
            other: the manifest of the vectors to be written or read.
            corpus: whether the documents must be the same too.
        """
        rows = [
            (_NAMES.get(key, key), _excerpt(self.encoder.get(key)), _excerpt(other.encoder.get(key)))
            for key in sorted(self.encoder.keys() | other.encoder.keys())
            if self.encoder.get(key) != other.encoder.get(key)
        ]
        rows += [(_NAMES.get(k, k), getattr(self, k), getattr(other, k)) for k in ("dim", "precision", "similarity")]
        if corpus:
            ours, theirs = (_excerpt((manifest.corpus or {}).get("digest")) for manifest in (self, other))
            rows.append(("corpus digest", ours, theirs))
        return [f"{name} {ours} and {theirs}" for name, ours, theirs in rows if ours != theirs]

    def require(self, other: Manifest, *, where: str | Path = "The collection", corpus: bool = False) -> None:
        """Refuse vectors that do not belong to this collection.

        Raises:
            NotComparable: says what differs, and what to do.
        """
        differences = self.differences(other, corpus=corpus)
        if corpus and len(differences) == 1 and not self.differences(other):
            raise NotComparable(
                f"{where} was made of other documents than the corpus has now ({differences[0]}): documents added or "
                "changed since are not in it. Index the corpus as it is now."
            )
        if differences:
            ours, theirs = (f" ({manifest.model})" if manifest.model else "" for manifest in (self, other))
            raise NotComparable(
                f"{where} holds vectors of another kind{ours} than these{theirs}: {'; '.join(differences)}. An index "
                "of two kinds compares them as if they were one, and ranks wrongly without an error. Encode the whole "
                "collection anew with one model, into a new index."
            )

    def to_json(self) -> dict[str, Any]:
        """The document that stands beside an index."""
        return {"format": FORMAT, "kind": "collection", **super().to_json()}


def _excerpt(value: Any) -> str:
    if isinstance(value, str) and len(value) == 32:
        return f"{value[:12]}…"
    return excerpt(json.dumps(value, ensure_ascii=False), 80)


def write_manifest(path: Path | str, manifest: Manifest) -> Path:
    """Write a manifest, whole or not at all.

    Raises:
        NotComparable: the file is a manifest of other vectors; remove it with its index, it is never replaced.
    """
    path = Path(path)
    if path.exists():
        read_manifest(path).require(manifest, where=path)
    return write_json(path, manifest.to_json(), indent=1)


def read_manifest(path: Path | str) -> Manifest:
    """The manifest beside an index.

    Raises:
        StoreError: it is missing, damaged or edited; the model of an index without one is not known.
    """
    path = Path(path)
    document = read_json(path)
    if not isinstance(document, dict) or document.get("kind") != "collection" or document.get("format") != FORMAT:
        raise StoreError(
            f'{path} is no manifest of a collection: expected {{"format": {FORMAT}, "kind": "collection"}} and more. '
            "Write one when the index is made: bench models manifest --system NAME --out F"
        )
    encoder, dim, corpus = document.get("encoder"), document.get("dim"), document.get("corpus")
    valid = document.get("precision") in PRECISIONS and document.get("similarity") in SIMILARITIES
    valid = valid and (corpus is None or isinstance(corpus, dict)) and isinstance(document.get("model"), str)
    if not (valid and isinstance(encoder, dict) and encoder and isinstance(dim, int) and dim > 0):
        raise StoreError(
            f"{path} is not a complete manifest of a collection; encode the collection anew and write another."
        )
    manifest = Manifest(encoder, dim, document["precision"], document["similarity"], corpus, document["model"])
    if manifest.digest != document.get("digest"):
        raise StoreError(
            f"{path} was changed after it was written: its content does not match its digest, so the model of the "
            "index is not known. Encode the collection anew."
        )
    return manifest
