"""A model of mteb's registry, or any local one, loaded and prompted by mteb."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, MissingExtra
from bench.config import Strict
from bench.retrieval.encoders import find_model, weights_digest
from bench.retrieval.encoders.local import library_version, quiet, read_settings, vector_size

# Between the kind and the text: mteb adds a prompt by kind, so the kind is part of the final text.
_MARK = "\x1f"


class Config(Strict):
    """`encoder = { kind = "mteb", model = … }`.

    `weights` is a folder, `package:NAME` or `finetune:NAME` that a registered model's wrapper loads; `task` the mteb
    task whose prompts are used.
    """

    kind: Literal["mteb"]
    model: str
    revision: str | None = None
    weights: str | None = None
    task: str | None = None
    device: str | None = None
    batch_size: int = 32


class MtebEncoder:
    """Texts to vectors by an mteb model. The model is loaded when the first text is encoded.

    A model of mteb's registry is loaded by its own wrapper at the revision that mteb pins. Any other model is a
    Sentence Transformers model, named as for the kind `local`, in mteb's wrapper for those. mteb chooses the prompt by
    task and by kind of text.
    """

    def __init__(self, config: Config, *, base: Path, models: Path) -> None:
        self.config = config
        self._meta = self._registered()
        place = config.weights if self._meta is not None else config.model
        self._folder = None if place is None else find_model(place, base=base, models=models, revision=config.revision)

    def _registered(self) -> Any:
        """mteb's ModelMeta; None for a model that is not in its registry."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from mteb.models.model_implementations import MODEL_REGISTRY
        except ImportError:
            raise MissingExtra('Encoder "mteb"', "mteb", "mteb") from None
        meta = MODEL_REGISTRY.get(self.config.model)
        if meta is None and self.config.weights is not None:
            raise ConfigError(
                f'Encoder "mteb": "{self.config.model}" is not in mteb\'s registry, so there is no wrapper to load '
                f'"{self.config.weights}" with; name the weights as model and leave weights out.'
            )
        if meta is not None and self.config.revision not in (None, meta.revision):
            raise ConfigError(
                f'Encoder "mteb": revision of "{self.config.model}" is "{self.config.revision}"; mteb '
                f'{version("mteb")} has {meta.revision}. Use that one, or kind = "local".'
            )
        if meta is not None and "dense" not in meta.model_type:
            raise ConfigError(
                f'Encoder "mteb": "{self.config.model}" is a {" and ".join(meta.model_type)} model; expected one '
                "with one vector for each text."
            )
        return meta

    @property
    def folder(self) -> Path:
        """The folder of the weights, from which training starts.

        Raises:
            ConfigError: mteb chooses the folder.
        """
        if self._folder is None:
            raise ConfigError(
                f'Encoder "mteb": mteb chooses the folder of the weights of "{self.config.model}"; '
                "to train from them, name a folder that has them as weights."
            )
        return self._folder

    @cached_property
    def similarity(self) -> str:
        """How mteb compares this model's vectors: "cosine", or "dot" where registry or model say so."""
        if self._meta is None:
            name = read_settings(self.folder, "config_sentence_transformers.json").get("similarity_fn_name")
        else:
            name = getattr(self._meta.similarity_fn_name, "value", None)
        return "dot" if name == "dot" else "cosine"

    @cached_property
    def dim(self) -> int:
        """Columns of a full-size vector: by the registry, else by the model's files, else those of a test vector."""
        known = getattr(self._meta, "embed_dim", None)
        if isinstance(known, int):
            return known
        if self._folder is not None:
            return vector_size(self._folder)
        return int(self._encode(["dimension"], "document").shape[1])

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that changes a vector: the weights, or their revision; wrapper, task, libraries."""
        return {
            "kind": "mteb",
            "model": None if self._meta is None else self.config.model,
            "weights": self._meta.revision if self._folder is None else self._weights,
            "task": self.config.task,
            # A wrapper and its prompts may change with any release.
            "library": ["mteb", version("mteb"), "sentence-transformers", library_version("sentence-transformers")],
        }

    @cached_property
    def _weights(self) -> str:
        return weights_digest(self.folder)

    def prompted(self, texts: Sequence[str], kind: str) -> list[str]:
        """The texts, each with its kind; mteb adds the prompt."""
        return [f"{kind}{_MARK}{text}" for text in texts]

    @cached_property
    def _task(self) -> Any:
        """Metadata of the task whose prompts are used; by default of a retrieval task without a prompt of its own."""
        from mteb.abstasks import AbsTaskRetrieval
        from mteb.abstasks.task_metadata import TaskMetadata

        if self.config.task is not None:
            import mteb

            try:
                return mteb.get_task(self.config.task).metadata
            except KeyError as error:
                raise ConfigError(f'Encoder "mteb": task "{self.config.task}": {error.args[0]}') from None
        return TaskMetadata(
            name="RetrievalGate",
            description="Texts of a suite.",
            dataset={"path": "none", "revision": "1"},
            type="Retrieval",
            category="t2t",
            eval_langs=["und-Zyyy"],
            main_score="ndcg_at_10",
            # mteb looks the prompt up among the task classes by name, and this task has no class.
            prompt=AbsTaskRetrieval.abstask_prompt,
        )

    @cached_property
    def _model(self) -> Any:
        quiet()
        with warnings.catch_warnings():
            # mteb advises on prompts by warnings; the prompts that it uses are in the documentation of this kind.
            warnings.simplefilter("ignore")
            if self._meta is None:
                from mteb.models import SentenceTransformerEncoderWrapper

                return SentenceTransformerEncoderWrapper(str(self.folder), device=self.config.device)
            meta = self._meta
            if self._folder is not None:
                meta = meta.model_copy(update={"name": str(self._folder), "revision": None})
            return meta.load_model(device=self.config.device)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n_texts, dim] of texts from `prompted`, each marked with its kind."""
        marked = [text.partition(_MARK) for text in texts]
        rows: dict[int, Any] = {}
        for kind in ("query", "document"):
            places = [i for i, (mark, _, _) in enumerate(marked) if mark == kind]
            if places:
                rows |= zip(places, self._encode([marked[i][2] for i in places], kind), strict=True)
        return np.asarray([rows[i] for i in range(len(marked))], dtype=np.float32)

    def _encode(self, texts: list[str], kind: str) -> NDArray[np.float32]:
        from datasets import Dataset
        from mteb.types import PromptType
        from torch.utils.data import DataLoader

        # Columns named as by mteb's own loader: models may read a document's body, or a query without instruction.
        columns = {"text": texts, {"query": "query", "document": "body"}[kind]: texts}
        vectors = self._model.encode(
            DataLoader(Dataset.from_dict(columns), batch_size=self.config.batch_size),
            task_metadata=self._task,
            hf_split="test",
            hf_subset="default",
            prompt_type=PromptType(kind),
            batch_size=self.config.batch_size,
            show_progress_bar=False,
        )
        if hasattr(vectors, "detach"):
            vectors = vectors.detach().cpu().float().numpy()
        return np.asarray(vectors, dtype=np.float32)


build = MtebEncoder
