"""Late interaction (ColBERT): a vector per token; each token of the query is compared with its nearest in the document.

Takes multi-vector models, and embedding models with one vector per text. Of these it uses the token vectors before
pooling: they were not trained for that, but order passages well where the answer is one sentence of many.
Source: Khattab & Zaharia 2020, equation 3 (MaxSim).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, MissingExtra
from bench.retrieval.encoders.local import quiet
from bench.retrieval.rerankers import LocalConfig, LocalScorer

CHUNK_ELEMENTS = 20_000_000
"""Numbers in memory at once while pairs are compared: about 80 MB."""


class Config(LocalConfig):
    """`reranker = { kind = "late-interaction", model = … }`; `max_length` is of documents, in tokens."""

    kind: Literal["late-interaction"]


class LateInteractionScorer(LocalScorer):
    """MaxSim of (query, document) pairs by a local model, which is loaded when the first pair is scored."""

    def __init__(self, config: Config, *, base: Path, models: Path) -> None:
        super().__init__(config, base=base, models=models)
        if self._type == "CrossEncoder":
            raise ConfigError(
                f'{self.folder} is a cross-encoder, which has no token vectors to compare; use kind = "cross-encoder".'
            )

    @cached_property
    def _type(self) -> str:
        """The library's name for the model's kind; "" where its files have none."""
        if "HF_ColBERT" in (self.settings("config.json").get("architectures") or []):
            return "MultiVectorEncoder"
        model_type = str(self.settings("config_sentence_transformers.json").get("model_type") or "")
        return "MultiVectorEncoder" if model_type == "ColBERT" else model_type

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import MultiVectorEncoder, SentenceTransformer
            from sentence_transformers.base.modules import Normalize, Transformer
            from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
        except ImportError:
            raise MissingExtra('Reranker "late-interaction"', "sentence-transformers", "local") from None
        quiet()
        folder = str(self.folder)
        options: dict[str, Any] = {"device": self.config.device, "local_files_only": True}
        if self._type == "MultiVectorEncoder":
            model: Any = MultiVectorEncoder(folder, **options)
        else:
            # Without pooling: the library's default would add a projection of random numbers to an embedding model.
            pooled: Any = SentenceTransformer(folder, **options)
            if not isinstance(pooled[0], Transformer):
                raise ConfigError(
                    f"{folder} begins with a {type(pooled[0]).__name__}; a late-interaction reranker needs a "
                    "Transformer, or a multi-vector model."
                )
            modules = [pooled[0], MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
            model = MultiVectorEncoder(modules=modules, prompts=dict(pooled.prompts), device=self.config.device)
        if self.config.max_length:
            model[0].document_length = self.config.max_length
        return model

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32[n_pairs]; the mean over a query's tokens of the cosine to the nearest token of the document."""
        from sentence_transformers.util.similarity import mean_maxsim_pairwise

        options: dict[str, Any] = {"batch_size": self.config.batch_size, "show_progress_bar": False}
        queries, of_query = _distinct([query for query, _ in pairs])
        documents, of_document = _distinct([document for _, document in pairs])
        query_tokens = self._model.encode_query(queries, **options)
        document_tokens = self._model.encode_document(documents, **options)
        scores = mean_maxsim_pairwise(
            [query_tokens[i] for i in of_query],
            [document_tokens[i] for i in of_document],
            chunk_elements=CHUNK_ELEMENTS,
        )
        return np.asarray(scores.cpu().numpy(), dtype=np.float32).reshape(len(pairs))


build = LateInteractionScorer


def _distinct(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """The distinct texts, and the index of each text among them: a document of many pairs is encoded once."""
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return list(place), [place[text] for text in texts]
