"""Bidirectional triplet loss with the hardest negative (eqs. 1-7). A low loss means that text and image match.

`expected_losses` compares each post with a fixed bank and computes the exact expectation over random draws of
negatives. `batch_losses` follows the paper literally: the negatives are the other posts of a batch.

The expectation: let c_1 >= ... >= c_M be the similarities of a post to its M possible negatives. Of K negatives drawn
without replacement, the hardest is the j-th with probability w_j = C(M-j, K-1) / C(M, K). Any function f of the hardest
negative therefore has the expectation sum_j w_j f(c_j).

The post itself and posts with an equal text or an equal image are excluded from its negatives.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amia.errors import MixtureError
from amia.matching.bank import Bank, Embeddings
from amia.utils.config import StrictModel

__all__ = [
    "Losses",
    "TripletSettings",
    "batch_losses",
    "excluded_pairs",
    "expected_losses",
    "filler_rows",
    "hardest_weights",
    "losses",
]

_ROWS = 128
"""Posts per matrix product. Smaller blocks are padded to this size, so that the sums of a row depend neither on the
number of other rows nor on their contents. They may depend on the row's position in the block, in the last bit of
float32: some BLAS kernels (OpenBLAS for AVX2) use other instructions for the last rows of a block."""
_NEGLIGIBLE = 1e-13
"""Total weight that may be dropped: times the largest hinge (margin + 2) it is below 1e-12 for any margin up to 8."""


class TripletSettings(StrictModel):
    """How texts and images are compared."""

    negatives: Literal["expected", "batch"] = "expected"
    """`expected`: exact expectation over draws from the bank (no noise, no order). `batch`: the paper's batches."""
    margin: float = Field(default=0.1, ge=0, le=2)
    """m of eqs. 1 and 4, in units of cosine."""
    hardest_of: int = Field(default=63, ge=1)
    """`expected`: number of negatives per draw; 63 corresponds to the paper's batch of 64."""
    bank: int = Field(default=4096, ge=2)
    """Number of training posts with an image that serve as negatives. More are smoother and slower."""
    batch: int = Field(default=64, ge=2)
    """`batch`: posts per batch."""


@dataclass(frozen=True, eq=False)
class Losses:
    """Losses of n posts, float64 `[n]` each, computed from float32 similarities."""

    i2t: NDArray[np.float64]
    """L^(I->T) of eq. 1, in [0, margin + 2]."""
    t2i: NDArray[np.float64]
    """L^(T->I) of eq. 4, in [0, margin + 2]."""
    total: NDArray[np.float64]
    """L_s of eq. 7, in [0, 2 (margin + 2)]."""
    cosine: NDArray[np.float64]
    """cos(T_s, I_s), eqs. 2 and 5, in [-1, 1]."""


def losses(posts: Embeddings, bank: Bank, settings: TripletSettings) -> Losses:
    """Compute the losses of `posts` as configured. Raises as `expected_losses` and `batch_losses` do."""
    if settings.negatives == "batch":
        return batch_losses(posts, margin=settings.margin, batch=settings.batch, fillers=bank)
    return expected_losses(posts, bank, margin=settings.margin, negatives=settings.hardest_of)


def expected_losses(posts: Embeddings, bank: Bank, *, margin: float = 0.1, negatives: int = 63) -> Losses:
    """Compute the expectation of eqs. 1, 4 and 7 over the hardest of `negatives` posts drawn from `bank`.

    Draws are without replacement. A post is never compared with itself, nor with a bank post of equal text or equal
    image. If fewer than `negatives` posts remain, all of them are drawn. On one machine the losses of a post are
    bit-identical for any other posts, as long as its position in a block of 128 is the same; at another
    position they may differ in the last bit of float32 (below 1e-6).

    Raises MixtureError if the embeddings differ in width, are zero or not finite, or if a post has no negative.
    """
    if posts.texts.shape[1] != bank.texts.shape[1]:
        raise MixtureError(
            f"embeddings of {posts.texts.shape[1]} dimensions against a bank of {bank.texts.shape[1]}: "
            "posts and bank come from different encoders"
        )
    rows, columns = excluded_pairs(posts, bank)
    num_candidates = len(bank) - np.bincount(rows, minlength=len(posts))  # [n]
    _check_candidates(posts, num_candidates)

    def block_losses(block: slice) -> Losses:
        in_block = (rows >= block.start) & (rows < block.stop)
        excluded = rows[in_block] - block.start, columns[in_block]
        texts, images = posts.unit_texts[block], posts.unit_images[block]  # [b, d]
        positive = np.einsum("nd,nd->n", texts, images)  # [b]
        return _sum_directions(
            _expected_hinge(images, bank.unit_texts, excluded, positive, num_candidates[block], margin, negatives),
            _expected_hinge(texts, bank.unit_images, excluded, positive, num_candidates[block], margin, negatives),
            positive,
        )

    return _map_blocks(block_losses, len(posts), _ROWS)


def batch_losses(posts: Embeddings, *, margin: float = 0.1, batch: int = 64, fillers: Bank) -> Losses:
    """Compute eqs. 1-7 as printed: the negatives of a post are the other posts of its batch.

    Posts are split into batches of `batch` in their order. A short last batch is filled with the first posts of
    `fillers` that equal none of its posts in id, text or image. Fillers are negatives but get no loss. Within a batch,
    posts with equal texts or equal images are not negatives of each other.

    Raises MixtureError if the embeddings differ in width, are zero or not finite, or if a post has no negative.
    """

    def block_losses(block: slice) -> Losses:
        anchors = posts.select(range(block.start, min(block.stop, len(posts))))
        others: Embeddings = anchors
        if len(anchors) < batch:
            chosen = fillers.select(filler_rows(anchors, fillers, batch - len(anchors)))
            others = Bank.of([anchors, chosen], batch)
        rows, columns = excluded_pairs(anchors, others)
        num_candidates = len(others) - np.bincount(rows, minlength=len(anchors))  # [b]
        _check_candidates(anchors, num_candidates)
        texts, images = others.unit_texts, others.unit_images  # [batch, d]
        positive = np.einsum("nd,nd->n", texts, images)[: len(anchors)]  # [b]

        def hardest_hinge(queries: NDArray[np.float32], keys: NDArray[np.float32]) -> NDArray[np.float64]:
            similarities = _matmul(queries, keys)[: len(anchors)]  # [b, batch]
            similarities[rows, columns] = -np.inf
            return _hinge(similarities.max(axis=1), positive, margin)

        return _sum_directions(hardest_hinge(images, texts), hardest_hinge(texts, images), positive)

    return _map_blocks(block_losses, len(posts), batch)


@lru_cache(maxsize=64)
def hardest_weights(candidates: int, draws: int) -> NDArray[np.float64]:
    """Return w_1, ..., w_J `[J]` for M = `candidates` and K = `draws`: non-negative, non-increasing, sum 1 to 1e-13.

    Computed by the recurrence w_1 = K/M, w_(j+1) = w_j (M-j-K+1) / (M-j). With K >= M the hardest candidate is always
    drawn: w = [1]. J is where the remaining weight is negligible: none of the J hardest is drawn with probability
    C(M-J, K) / C(M, K) <= (1 - K/M)**J, so J = log(1e-13) / log(1 - K/M), about 30 M/K, is always enough.

    Raises ValueError if `candidates` or `draws` is less than one.
    """
    if candidates < 1 or draws < 1:
        raise ValueError(f"the hardest of {draws} draws among {candidates} candidates does not exist")
    draws = min(draws, candidates)
    j = np.arange(1, candidates - draws + 1, dtype=np.float64)
    ratios = (candidates - j - draws + 1) / (candidates - j)
    weights = (draws / candidates) * np.cumprod(np.concatenate([[1.0], ratios]))  # [M - K + 1]
    if draws < candidates:
        length = int(np.ceil(np.log(_NEGLIGIBLE) / np.log1p(-draws / candidates)))
        weights = weights[:length]
    weights.flags.writeable = False
    return weights


def excluded_pairs(posts: Embeddings, others: Embeddings) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns `[p]` of the matrix `[len(posts), len(others)]` whose posts are not negatives.

    Each pair occurs once; pairs are ordered by row.
    """
    ids, text_keys, image_keys = others.row_index
    keys = zip(posts.ids, posts.text_keys.tolist(), posts.image_keys.tolist(), strict=True)
    pairs = [
        (row, column)
        for row, (post_id, text_key, image_key) in enumerate(keys)
        for column in {*ids.get(post_id, ()), *text_keys.get(text_key, ()), *image_keys.get(image_key, ())}
    ]
    table = np.array(pairs, np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def filler_rows(posts: Embeddings, others: Embeddings, count: int) -> NDArray[np.intp]:
    """Return the first `count` rows of `others` that equal none of `posts`, or all such rows if there are fewer."""
    _, columns = excluded_pairs(posts, others)
    usable = np.ones(len(others), bool)
    usable[columns] = False
    return np.flatnonzero(usable)[:count]


def _expected_hinge(
    anchors: NDArray[np.float32],
    negatives: NDArray[np.float32],
    excluded: tuple[NDArray[np.intp], NDArray[np.intp]],
    positive: NDArray[np.float32],
    num_candidates: NDArray[np.intp],
    margin: float,
    draws: int,
) -> NDArray[np.float64]:
    """Return the expected hinge `[b]` of anchors `[b, d]` against negatives `[M, d]`.

    `num_candidates` `[b]` counts the negatives of each anchor that are not `excluded`.
    """
    similarities = _matmul(anchors, negatives)  # [b, M]
    similarities[excluded] = -np.inf
    weights = {int(count): hardest_weights(int(count), draws) for count in np.unique(num_candidates)}  # [J] each
    max_weights = max(map(len, weights.values()))
    # Negated, so that ascending order is descending similarity and the excluded come last. Values beyond the last
    # weight need no order. In place, since the matrix of a block does not fit the fast caches.
    np.negative(similarities, out=similarities)
    if max_weights < similarities.shape[1]:
        similarities.partition(max_weights, axis=1)
    hardest = similarities[:, :max_weights]
    hardest.sort(axis=1)
    expected = np.empty(len(anchors), np.float64)
    for count, count_weights in weights.items():
        rows = num_candidates == count
        hinges = (
            _margin_minus_positive(positive[rows], margin)[:, None] - hardest[rows, : len(count_weights)]
        )  # [b', J]
        np.maximum(0.0, hinges, out=hinges)
        hinges *= count_weights
        expected[rows] = hinges.sum(axis=1)
    return expected


def _hinge(negative: NDArray[np.float32], positive: NDArray[np.float32], margin: float) -> NDArray[np.float64]:
    """Compute eqs. 1 and 4: max(0, m - pos + neg)."""
    return np.maximum(0.0, _margin_minus_positive(positive, margin) + negative)


def _margin_minus_positive(positive: NDArray[np.float32], margin: float) -> NDArray[np.float64]:
    """Compute m - pos of eqs. 1 and 4."""
    return margin - positive.astype(np.float64)


def _matmul(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute left right^T `[n, m]` on a multiple of `_ROWS` rows."""
    padded = np.zeros((-(-len(left) // _ROWS) * _ROWS, left.shape[1]), np.float32)
    padded[: len(left)] = left
    return np.ascontiguousarray((padded @ right.T)[: len(left)])


def _check_candidates(posts: Embeddings, num_candidates: NDArray[np.intp]) -> None:
    without = np.flatnonzero(num_candidates < 1)
    if without.size:
        raise MixtureError(
            f"post {posts.ids[int(without[0])]!r} has nothing to be compared with: every other post has the same text "
            "or the same image. At least two different posts with an image are needed"
        )


def _sum_directions(i2t: NDArray[np.float64], t2i: NDArray[np.float64], positive: NDArray[np.float32]) -> Losses:
    """Compute eq. 7."""
    return Losses(i2t=i2t, t2i=t2i, total=i2t + t2i, cosine=positive.astype(np.float64))


def _map_blocks(block_losses: Callable[[slice], Losses], n: int, size: int) -> Losses:
    parts = [block_losses(slice(start, start + size)) for start in range(0, n, size)]
    return Losses(
        **{f.name: np.concatenate([np.empty(0), *(getattr(p, f.name) for p in parts)]) for f in fields(Losses)}
    )
