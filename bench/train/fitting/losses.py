"""Losses by name: the shape of their rows, and the function of embeddings or scores.

Bi-encoder losses take embeddings, one tensor for each column; cross-encoder losses take scores, one row for each query.
Sentence Transformers' own code computes each one that it offers apart from its model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.config import FinetuneConfig

NO_MODEL: Any = None
"""The library's losses take a model, and need none to compute a loss from embeddings."""

TRIPLET_MARGIN = 0.2
"""Of cosine distances, which lie between 0 and 2; the library's 5 is for Euclidean ones."""


@dataclass(frozen=True)
class Loss:
    """A kind of loss.

    `rows` is the shape of its rows: "group" (query, positive, all its negatives), "triple" (query, positive, one
    negative) or "labelled" (query, document, label). `function` makes the loss from a recipe. `distinct`: other rows'
    documents serve as negatives, so no text may stand twice in a batch. `cached`: every pass runs twice, see `trainee`.
    """

    rows: str
    function: Callable[[FinetuneConfig], Callable[..., Any]]
    distinct: bool = False
    cached: bool = False


def build(recipe: FinetuneConfig) -> Callable[..., Any]:
    """The function of a recipe's loss, summed over Matryoshka dimensions where the recipe has them."""
    function = LOSSES[recipe.loss_name].function(recipe)
    return _matryoshka(function, recipe.matryoshka) if recipe.matryoshka else function


def _matryoshka(function: Callable[..., Any], dims: Sequence[int]) -> Callable[..., Any]:
    """The sum of a loss over embeddings cut to each size and scaled to unit length.

    Source: Kusupati et al. 2022, equation 1, all weights 1, as in Sentence Transformers' MatryoshkaLoss.
    """
    from torch.nn.functional import normalize

    def loss(columns: Sequence[Any], *labels: Any) -> Any:
        return sum(function([normalize(column[..., :dim], dim=-1) for column in columns], *labels) for dim in dims)

    return loss


# --- bi-encoders -----------------------------------------------------------------------------------


def _mnrl(recipe: FinetuneConfig) -> Callable[..., Any]:
    """InfoNCE over the batch's documents. Source: van den Oord et al. 2018; Henderson et al. 2017."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    from bench.train.fitting.workers import world_size

    loss = MultipleNegativesRankingLoss(NO_MODEL, scale=recipe.loss_scale, gather_across_devices=world_size() > 1)
    return lambda columns, *_: loss.compute_loss_from_embeddings(list(columns), NO_MODEL)


def _triplet(recipe: FinetuneConfig) -> Callable[..., Any]:
    """Cosine distance to the positive below that to the negative by a margin. Source: Hermans et al. 2017."""
    from sentence_transformers.sentence_transformer.losses import TripletLoss
    from sentence_transformers.sentence_transformer.losses.triplet import TripletDistanceMetric

    loss = TripletLoss(
        NO_MODEL, distance_metric=TripletDistanceMetric.COSINE, triplet_margin=recipe.margin or TRIPLET_MARGIN
    )
    return lambda columns, *_: loss.compute_loss_from_embeddings(list(columns), NO_MODEL)


def _cosent(recipe: FinetuneConfig) -> Callable[..., Any]:
    """Every pair of higher label above every pair of lower label. Source: Huang et al. 2024."""
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    from bench.train.fitting.workers import gathered

    loss = CoSENTLoss(NO_MODEL, scale=recipe.loss_scale)

    def function(columns: Sequence[Any], labels: Any, *_: Any) -> Any:
        return loss.compute_loss_from_embeddings([gathered(column) for column in columns], gathered(labels))

    return function


def _gist(recipe: FinetuneConfig) -> Callable[..., Any]:
    """InfoNCE over queries and documents without those that a guide scores above the positive.

    Differs from Sentence Transformers' GISTEmbedLoss only in the guide's vectors: they are computed once before
    training, not at every step. Source: Solatorio 2024, equations 1 to 5.
    """
    import torch
    from torch.nn.functional import cross_entropy, normalize

    from bench.train.fitting.workers import gathered, rank

    def loss(columns: Sequence[Any], _labels: Any, guide: Sequence[Any]) -> Any:
        queries = normalize(columns[0], dim=-1), normalize(guide[0], dim=-1)
        # (embeddings, guide's vectors) of each column, over all processes.
        everywhere = [tuple(normalize(gathered(x), dim=-1) for x in pair) for pair in zip(columns, guide, strict=True)]
        n = len(columns[0])
        row = torch.arange(n, device=columns[0].device)
        target = row + rank() * n
        local = slice(rank() * n, rank() * n + n)
        positives = tuple(x[local] for x in everywhere[1])
        threshold = (queries[1] * positives[1]).sum(-1, keepdim=True)

        def part(left: Any, right: Any, *, with_target: bool = False) -> Any:
            similarity, guided = left[0] @ right[0].T, left[1] @ right[1].T
            masked = guided > threshold
            if with_target:
                masked[row, target] = False
            return similarity.masked_fill(masked, -torch.inf)

        # A text compared with itself is above any threshold, so the diagonals of the last two are masked too.
        scores = [part(queries, everywhere[1], with_target=True), part(queries, everywhere[0])]
        scores += [part(positives, everywhere[1]), *(part(queries, negatives) for negatives in everywhere[2:])]
        return cross_entropy(torch.cat(scores, dim=1) * recipe.loss_scale, target)

    return loss


# --- cross-encoders --------------------------------------------------------------------------------


def _bce(recipe: FinetuneConfig) -> Callable[..., Any]:
    """Binary cross-entropy of every pair's score, as Sentence Transformers' BinaryCrossEntropyLoss."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    return lambda scores, labels, *_: binary_cross_entropy_with_logits(scores.view(-1), labels)


def _cross_mnrl(recipe: FinetuneConfig) -> Callable[..., Any]:
    """Softmax over the positive and the row's own negatives (localised contrastive loss).

    Sentence Transformers adds in-batch negatives, each at the price of one more pass through the cross-encoder; mined
    ones improve a model more for that price.
    Source: Gao, Dai & Callan 2021, "Rethink training of BERT rerankers", equation 3.
    """
    import torch
    from torch.nn.functional import cross_entropy

    return lambda scores, *_: cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long, device=scores.device))


def _lambda(recipe: FinetuneConfig) -> Callable[..., Any]:
    """LambdaLoss with NDCG-Loss2++ over each row's documents. Source: Wang et al. 2018."""
    import torch
    from sentence_transformers.cross_encoder.losses import LambdaLoss

    class Scored(torch.nn.Module):
        """In place of the cross-encoder: returns scores that exist already."""

        num_labels = 1
        scores: Any = None

        @property
        def device(self) -> Any:
            return self.scores.device

        def preprocess(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {}

        def forward(self, _: Any) -> dict[str, Any]:
            return {"scores": self.scores}

    model: Any = Scored()
    loss = LambdaLoss(model, mini_batch_size=-1)

    def function(scores: Any, *_: Any) -> Any:
        n, width = scores.shape
        model.scores = scores.reshape(-1)
        labels = [torch.tensor([1.0] + [0.0] * (width - 1), device=scores.device)] * n
        return loss([[""] * n, [[""] * width] * n], labels)

    return function


LOSSES = {
    "mnrl": Loss("group", _mnrl, distinct=True),
    "cached-mnrl": Loss("group", _mnrl, distinct=True, cached=True),
    "gist": Loss("group", _gist, distinct=True),
    "triplet": Loss("triple", _triplet),
    "cosent": Loss("labelled", _cosent),
    "bce": Loss("labelled", _bce),
    "cross-mnrl": Loss("group", _cross_mnrl),
    "lambda": Loss("group", _lambda),
}
"""Every loss by its name in a recipe; `mnrl` of a cross-encoder is `cross-mnrl`."""
