"""A collection's manifest: which model made the vectors of an index, so that no other's are put among them.

A team's indexing job writes the manifest beside its index, and asks it before it writes or reads vectors:

    ours = Manifest.of_model("models/clinic", dim=256)
    read_manifest(folder / "manifest.json").require(ours)      # NotComparable says what differs

Two models of one base share dimensions, so nothing else would notice: the rankings are merely wrong.
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


@dataclass(frozen=True)
class Manifest(JsonRecord, keys="digest model encoder dim precision similarity corpus?"):
    """What every vector of a collection has in common.

    `encoder` is the encoder's fingerprint: digest of the weights, prompts, maximum length, library. `corpus` has
    name, digest and number of documents where they are known. `model` is what people call the model; it is told and
    not compared, because a name may come to mean other weights.
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
        """The manifest of vectors that an encoder makes.

        Args:
            encoder: anything with `dim` and `fingerprint()`.
            dim: columns that are kept; all where None.
            precision: as in `bench.toml`.
            similarity: `cosine` or `dot`.
            corpus: what is indexed.
            model: what people call the model.
        """
        about = {"name": corpus.name, "digest": corpus.digest, "documents": len(corpus.ids)} if corpus else None
        # As it reads back: a tuple becomes a list in JSON.
        fingerprint = json.loads(json.dumps(dict(encoder.fingerprint())))
        return cls(fingerprint, dim or encoder.dim, precision, similarity, about, model)

    @classmethod
    def of_model(cls, model: str | Path, *, store: str | Path = ".bench", **more: Any) -> Manifest:
        """The manifest of vectors of a Sentence Transformers model; loads no weights.

        Args:
            model: as `encoder.model` in `bench.toml`; paths start from here.
            store: the working folder that `finetune:` and `promoted:` models are in.
            more: `max_length`, `query_prompt`, `document_prompt` and `revision` as in `bench.toml`; `dim`,
                `precision`, `similarity` and `corpus` as in `of`.
        """
        from bench.retrieval.encoders.local import Config, build

        keys = [key for key in more if key in Config.model_fields]
        config = Config(kind="local", model=str(model), **{key: more.pop(key) for key in keys})
        return cls.of(build(config, base=Path(), models=Path(store) / "models"), model=str(model), **more)

    @property
    def digest(self) -> str:
        """32 hex digits over what must be equal; a handy key for an index's name."""
        return digest_of([dict(self.encoder), self.dim, self.precision, self.similarity])

    def differences(self, other: Manifest, *, corpus: bool = False) -> list[str]:
        """What differs, a clause each: this one's first.

        Args:
            other: the manifest of what is to be written or read.
            corpus: whether the documents must be the same too.
        """
        found = []
        for key in sorted(self.encoder.keys() | other.encoder.keys()):
            mine, theirs = self.encoder.get(key), other.encoder.get(key)
            if mine != theirs:
                found.append(f"{_NAMES.get(key, key)} {_shown(mine)} and {_shown(theirs)}")
        for key in ("dim", "precision", "similarity"):
            mine, theirs = getattr(self, key), getattr(other, key)
            if mine != theirs:
                found.append(f"{_NAMES.get(key, key)} {mine} and {theirs}")
        if corpus:
            mine, theirs = ((one.corpus or {}).get("digest") for one in (self, other))
            if mine != theirs:
                found.append(f"corpus digest {_shown(mine)} and {_shown(theirs)}")
        return found

    def require(self, other: Manifest, *, where: str | Path = "The collection", corpus: bool = False) -> None:
        """Refuse vectors that do not belong to this collection.

        Raises:
            NotComparable: says what differs, and what to do.
        """
        found = self.differences(other, corpus=corpus)
        if corpus and len(found) == 1 and not self.differences(other):
            raise NotComparable(
                f"{where} was made of other documents than the corpus has now ({found[0]}): what was added or changed "
                "since is not in it. Index the corpus as it is now."
            )
        if found:
            names = f" ({self.model})" if self.model else "", f" ({other.model})" if other.model else ""
            raise NotComparable(
                f"{where} holds vectors of another kind{names[0]} than these{names[1]}: {'; '.join(found)}. Vectors of "
                "two kinds in one index are compared as if they were one, and ranked wrongly without a word. Encode "
                "the whole collection anew with one model, into a new index."
            )

    def to_json(self) -> dict[str, Any]:
        """The document that stands beside an index."""
        return {"format": FORMAT, "kind": "collection", **super().to_json()}


_NAMES = {"weights": "weights digest", "max_length": "maximum length", "dim": "dimension", "kind": "kind of encoder"}


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) == 32:
        return f"{value[:12]}…"
    return excerpt(json.dumps(value, ensure_ascii=False), 80)


def write_manifest(path: Path | str, manifest: Manifest) -> Path:
    """Write a manifest, whole or not at all.

    Raises:
        NotComparable: a manifest of other vectors is there already; it is removed with its index, never replaced.
    """
    path = Path(path)
    if path.exists():
        read_manifest(path).require(manifest, where=path)
    return write_json(path, manifest.to_json(), indent=1)


def read_manifest(path: Path | str) -> Manifest:
    """The manifest beside an index.

    Raises:
        StoreError: there is none, or it is damaged or was edited; an index without one cannot be trusted to be of one
            model.
    """
    path = Path(path)
    document = read_json(path)
    if not isinstance(document, dict) or document.get("kind") != "collection" or document.get("format") != FORMAT:
        raise StoreError(
            f'{path} is no manifest of a collection: expected {{"format": {FORMAT}, "kind": "collection"}} and more. '
            "Write one when the index is made: bench models manifest --system NAME --out F"
        )
    encoder, dim, corpus = document.get("encoder"), document.get("dim"), document.get("corpus")
    known = document.get("precision") in PRECISIONS and document.get("similarity") in SIMILARITIES
    known = known and (corpus is None or isinstance(corpus, dict)) and isinstance(document.get("model"), str)
    if known and isinstance(encoder, dict) and encoder and isinstance(dim, int) and dim > 0:
        found = Manifest(encoder, dim, document["precision"], document["similarity"], corpus, document["model"])
        if found.digest == document.get("digest"):
            return found
        raise StoreError(
            f"{path} was changed after it was written: what it says does not fit its digest. Nobody knows now which "
            "model made the index; encode the collection anew."
        )
    raise StoreError(f"{path} is not a whole manifest of a collection; encode the collection anew and write another.")
