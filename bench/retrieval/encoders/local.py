"""A Sentence Transformers model from a folder, a Python package, a fine-tuning recipe or the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, MissingExtra
from bench.config import Strict
from bench.retrieval.encoders import find_model, weights_digest


class Config(Strict):
    """`encoder = { kind = "local", model = … }`."""

    kind: Literal["local"]
    model: str
    revision: str | None = None
    max_length: int | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    device: str | None = None
    batch_size: int = 64


def library_version(name: str) -> str | None:
    """A library's major version without importing it; None where it is not installed."""
    try:
        return version(name).split(".")[0]
    except PackageNotFoundError:
        return None


def quiet() -> None:
    """Turn off the libraries' progress bars and advice: progress goes to our callback."""
    import logging

    from transformers.utils import logging as transformers_logging

    chatty: Any = transformers_logging
    chatty.set_verbosity_error()
    chatty.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)


def read_settings(folder: Path, name: str) -> Any:
    """A JSON file of a model's folder; an empty object where there is none."""
    path = folder / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def vector_size(folder: Path) -> int:
    """Columns of a model's full-size vector, read from its own files.

    Raises:
        ConfigError: they do not state it.
    """
    modules = [m for m in (read_settings(folder, "modules.json") or []) if m.get("path")]
    for module in reversed(modules):
        settings = read_settings(folder, f"{module['path']}/config.json")
        for key in ("out_features", "embedding_dimension", "word_embedding_dimension"):
            if settings.get(key):
                return int(settings[key])
    hidden = read_settings(folder, "config.json").get("hidden_size")
    if not hidden:
        raise ConfigError(f"{folder} does not state the size of its vectors (no pooling or hidden_size in its files).")
    return int(hidden)


class LocalEncoder:
    """Texts to vectors by a local model. The model is loaded when the first text is encoded.

    One text alone and the same text in a batch differ by up to 2e-6 a component: padding changes the shape of
    the matrix products. The cache makes a second run equal to the first.
    """

    def __init__(self, config: Config, *, base: Path, models: Path) -> None:
        self.config = config
        self.folder = find_model(config.model, base=base, models=models, revision=config.revision)
        self._refuse_unsupported()

    def _refuse_unsupported(self) -> None:
        """Refuse models whose vectors depend on more than the final text: they would be silently wrong."""
        modules = read_settings(self.folder, "modules.json") or []
        architectures = [str(name) for name in read_settings(self.folder, "config.json").get("architectures") or []]
        kind = str(read_settings(self.folder, "config_sentence_transformers.json").get("model_type") or "")
        scores = not modules and any(name.endswith("ForSequenceClassification") for name in architectures)
        if kind == "CrossEncoder" or scores:
            raise ConfigError(
                f"{self.folder} is a cross-encoder: it scores pairs and has no vectors. Use it as a reranker: "
                'kind = "rerank", reranker = { kind = "cross-encoder", … }.'
            )
        if any(str(module.get("type", "")).endswith(".Router") for module in modules):
            raise ConfigError(
                f"{self.folder} routes queries and documents through different towers; such models are not supported."
            )
        paths = [module["path"] for module in modules if module.get("path")]
        pooling = [read_settings(self.folder, f"{path}/config.json") for path in paths]
        if any(settings.get("include_prompt") is False for settings in pooling) and any(self.prompts.values()):
            raise ConfigError(
                f"{self.folder} leaves its prompt out of pooling; such models are not supported with a prompt. "
                'Set query_prompt = "" and document_prompt = "" to use it without.'
            )

    @cached_property
    def dim(self) -> int:
        """Columns of a full-size vector, read from the model's own files."""
        return vector_size(self.folder)

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The text before a query and before a document: the config's, else the model's own, else none."""
        settings = read_settings(self.folder, "config_sentence_transformers.json")
        own = settings.get("prompts") or {}
        default = own.get(settings.get("default_prompt_name"), "")

        def first(*names: str) -> str:
            return str(next((own[name] for name in names if own.get(name)), default))

        query = self.config.query_prompt
        document = self.config.document_prompt
        return {
            "query": first("query") if query is None else query,
            "document": first("document", "passage", "corpus") if document is None else document,
        }

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that changes a vector; the folder's path does not."""
        return {
            "kind": "local",
            "weights": self._weights,
            "max_length": self.config.max_length,
            "prompts": self.prompts,
            "library": ["sentence-transformers", library_version("sentence-transformers")],
        }

    @cached_property
    def _weights(self) -> str:
        return weights_digest(self.folder)

    def prompted(self, texts: Sequence[str], kind: str) -> list[str]:
        """The final texts, prompt included."""
        prompt = self.prompts[kind]
        return [prompt + text for text in texts] if prompt else list(texts)

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingExtra('Encoder "local"', "sentence-transformers", "local") from None
        quiet()
        model = SentenceTransformer(str(self.folder), device=self.config.device, local_files_only=True)
        if self.config.max_length:
            model.max_seq_length = self.config.max_length
        return model

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n_texts, dim] of final texts."""
        vectors = self._model.encode(
            list(texts),
            prompt="",
            batch_size=self.config.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=False,
        )
        return np.asarray(vectors, dtype=np.float32)


build = LocalEncoder
