"""Eqs. 1-7: the bidirectional triplet loss with the hardest negative.

A low loss means that text and image belong together. `expected_losses` compares each post with a fixed bank and takes
the exact expectation over draws of negatives; `batch_losses` reads the paper literally: the negatives are the other
posts of a batch.
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

# MERGED FROM amia.matching.triplet: The expected hardest of K negatives: what a batch shows by chance, computed exactly.
#
# Let c_1 >= ... >= c_M be a post's similarities to its M possible negatives. Of K drawn without replacement, the hardest
# is the j-th with probability w_j = C(M-j, K-1) / C(M, K), so any function of the hardest has the expectation
# sum_j w_j f(c_j).
# MERGED FROM amia.matching.triplet: Which posts may not be a post's negative: itself, an equal text, an equal image.
_ROWS = 128
"""Posts a matrix product takes at once. Always this many (fewer are padded), so that a row's sums do not depend on how
many others there are, nor on which. On its place among them they may, in float32's last bit: some BLAS kernels
(OpenBLAS's for AVX2) multiply the last rows of a block by other instructions than the first."""


class TripletSettings(StrictModel):
    """How texts and images are compared."""

    negatives: Literal["expected", "batch"] = "expected"
    """`expected`: exact expectation over draws from the bank (no noise, no order). `batch`: the paper's batches."""
    margin: float = Field(default=0.1, ge=0, le=2)
    """m of eqs. 1 and 4, in units of cosine."""
    hardest_of: int = Field(default=63, ge=1)
    """`expected`: how many negatives are thought to be drawn; 63 is the paper's batch of 64."""
    bank: int = Field(default=4096, ge=2)
    """How many training posts with an image serve as negatives; more are smoother and slower."""
    batch: int = Field(default=64, ge=2)
    """`batch`: posts a batch."""


@dataclass(frozen=True, eq=False)
class Losses:
    """Losses of n posts, float64 `[n]` each, made from float32 similarities."""

    i2t: NDArray[np.float64]
    """L^(I->T) of eq. 1, in [0, margin + 2]."""
    t2i: NDArray[np.float64]
    """L^(T->I) of eq. 4, in [0, margin + 2]."""
    total: NDArray[np.float64]
    """L_s of eq. 7, in [0, 2 (margin + 2)]."""
    cosine: NDArray[np.float64]
    """cos(T_s, I_s), eqs. 2 and 5, in [-1, 1]."""


def losses(posts: Embeddings, bank: Bank, settings: TripletSettings) -> Losses:
    """The losses of `posts` as the settings say. Raises as `expected_losses` and `batch_losses` do."""
    if settings.negatives == "batch":
        return batch_losses(posts, margin=settings.margin, batch=settings.batch, fillers=bank)
    return expected_losses(posts, bank, margin=settings.margin, negatives=settings.hardest_of)


def expected_losses(posts: Embeddings, bank: Bank, *, margin: float = 0.1, negatives: int = 63) -> Losses:
    """The expectation of eqs. 1, 4 and 7 over the hardest of `negatives` posts drawn from `bank` without replacement.

    A post is never compared with itself, nor with a bank post of equal text or equal image; when fewer than `negatives`
    are left, all are drawn. On one machine a post's losses are the same to the bit whatever posts stand beside it, as
    long as it keeps its place in a block of 128; in another they may differ by float32's last bit (below 1e-6).

    Raises MixtureError when the embeddings differ in width, are zero or not finite, or leave a post without a negative.
    """
    if posts.texts.shape[1] != bank.texts.shape[1]:
        raise MixtureError(
            f"embeddings of {posts.texts.shape[1]} dimensions against a bank of {bank.texts.shape[1]}: "
            "posts and bank come from different encoders"
        )
    rows, columns = excluded_pairs(posts, bank)
    candidates = len(bank) - np.bincount(rows, minlength=len(posts))  # [n]
    _need_candidates(posts, candidates)

    def part(block: slice) -> Losses:
        inside = (rows >= block.start) & (rows < block.stop)
        pairs = rows[inside] - block.start, columns[inside]
        texts, images = posts.unit_texts[block], posts.unit_images[block]  # [b, d]
        positive = np.einsum("nd,nd->n", texts, images)  # [b]
        return _sums(
            _expectation(images, bank.unit_texts, pairs, positive, candidates[block], margin, negatives),
            _expectation(texts, bank.unit_images, pairs, positive, candidates[block], margin, negatives),
            positive,
        )

    return _by_blocks(part, len(posts), _ROWS)


def batch_losses(posts: Embeddings, *, margin: float = 0.1, batch: int = 64, fillers: Bank) -> Losses:
    """Eqs. 1-7 as printed: the posts, in their order, are cut into batches of `batch`, each other's negatives.

    A short last batch is filled with the first posts of `fillers` that equal none of its own in id, text or image;
    fillers are negatives but get no loss. Inside a batch equal texts and equal images are no negatives.

    Raises MixtureError when the embeddings differ in width, are zero or not finite, or leave a post without a negative.
    """

    def part(block: slice) -> Losses:
        own = posts.select(range(block.start, min(block.stop, len(posts))))
        others: Embeddings = own
        if len(own) < batch:
            chosen = fillers.select(filler_rows(own, fillers, batch - len(own)))
            others = Bank.of([own, chosen], batch)
        rows, columns = excluded_pairs(own, others)
        candidates = len(others) - np.bincount(rows, minlength=len(own))  # [b]
        _need_candidates(own, candidates)
        texts, images = others.unit_texts, others.unit_images  # [batch, d]
        positive = np.einsum("nd,nd->n", texts, images)[: len(own)]  # [b]

        def hinge(anchors: NDArray[np.float32], negatives: NDArray[np.float32]) -> NDArray[np.float64]:
            similarities = _product(anchors, negatives)[: len(own)]  # [b, batch]
            similarities[rows, columns] = -np.inf
            return _hinge(similarities.max(axis=1), positive, margin)

        return _sums(hinge(images, texts), hinge(texts, images), positive)

    return _by_blocks(part, len(posts), batch)


def _expectation(
    anchors: NDArray[np.float32],
    negatives: NDArray[np.float32],
    excluded: tuple[NDArray[np.intp], NDArray[np.intp]],
    positive: NDArray[np.float32],
    candidates: NDArray[np.intp],
    margin: float,
    draws: int,
) -> NDArray[np.float64]:
    """Expected hinge `[b]` of anchors `[b, d]` against negatives `[M, d]`; `candidates` `[b]` counts those allowed."""
    similarities = _product(anchors, negatives)  # [b, M]
    similarities[excluded] = -np.inf
    weights = {int(count): hardest_weights(int(count), draws) for count in np.unique(candidates)}  # [J] each
    hardest = max(map(len, weights.values()))
    # Sorted as negative numbers, so that rising order is falling similarity and the excluded come last. What lies
    # beyond the last weight need not be in order. In place: a block's matrix is too large for the fast caches.
    np.negative(similarities, out=similarities)
    if hardest < similarities.shape[1]:
        similarities.partition(hardest, axis=1)
    falling = similarities[:, :hardest]
    falling.sort(axis=1)
    expected = np.empty(len(anchors), np.float64)
    for count, those in weights.items():
        rows = candidates == count
        hinges = _base(positive[rows], margin)[:, None] - falling[rows, : len(those)]  # [b', J]
        np.maximum(0.0, hinges, out=hinges)
        hinges *= those
        expected[rows] = hinges.sum(axis=1)
    return expected


def _hinge(negative: NDArray[np.float32], positive: NDArray[np.float32], margin: float) -> NDArray[np.float64]:
    """Eqs. 1 and 4: max(0, m - pos + neg)."""
    return np.maximum(0.0, _base(positive, margin) + negative)


def _base(positive: NDArray[np.float32], margin: float) -> NDArray[np.float64]:
    """m - pos of eqs. 1 and 4."""
    return margin - positive.astype(np.float64)


def _product(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """left right^T `[n, m]`, computed on a whole multiple of `_ROWS` rows."""
    padded = np.zeros((-(-len(left) // _ROWS) * _ROWS, left.shape[1]), np.float32)
    padded[: len(left)] = left
    return np.ascontiguousarray((padded @ right.T)[: len(left)])


def _need_candidates(posts: Embeddings, candidates: NDArray[np.intp]) -> None:
    alone = np.flatnonzero(candidates < 1)
    if alone.size:
        raise MixtureError(
            f"post {posts.ids[int(alone[0])]!r} has nothing to be compared with: every other post has the same text or "
            "the same image. At least two different posts with an image are needed"
        )


def _sums(i2t: NDArray[np.float64], t2i: NDArray[np.float64], positive: NDArray[np.float32]) -> Losses:
    """Eq. 7."""
    return Losses(i2t=i2t, t2i=t2i, total=i2t + t2i, cosine=positive.astype(np.float64))


def _by_blocks(part: Callable[[slice], Losses], n: int, size: int) -> Losses:
    parts = [part(slice(start, start + size)) for start in range(0, n, size)]
    return Losses(
        **{f.name: np.concatenate([np.empty(0), *(getattr(p, f.name) for p in parts)]) for f in fields(Losses)}
    )


_NEGLIGIBLE = 1e-13
"""Total weight that may be left out: times the largest hinge (margin + 2) it stays below 1e-12 for any margin to 8."""


@lru_cache(maxsize=64)
def hardest_weights(candidates: int, draws: int) -> NDArray[np.float64]:
    """w_1, ..., w_J `[J]` for M = `candidates` and K = `draws`: non-negative, non-increasing, of sum 1 to 1e-13.

    By recurrence: w_1 = K/M, w_(j+1) = w_j (M-j-K+1) / (M-j). With K >= M the hardest of all is always drawn: w = [1].
    J ends where the weight left over is negligible: none of the J hardest is drawn with probability
    C(M-J, K) / C(M, K) <= (1 - K/M)**J, hence J = log(1e-13) / log(1 - K/M), about 30 M/K, is always enough.

    Raises ValueError when there is no candidate or no draw.
    """
    if candidates < 1 or draws < 1:
        raise ValueError(f"the hardest of {draws} draws among {candidates} candidates does not exist")
    draws = min(draws, candidates)
    j = np.arange(1, candidates - draws + 1, dtype=np.float64)
    steps = (candidates - j - draws + 1) / (candidates - j)
    weights = (draws / candidates) * np.cumprod(np.concatenate([[1.0], steps]))  # [M - K + 1]
    if draws < candidates:
        enough = int(np.ceil(np.log(_NEGLIGIBLE) / np.log1p(-draws / candidates)))
        weights = weights[:enough]
    weights.flags.writeable = False
    return weights


def excluded_pairs(posts: Embeddings, others: Embeddings) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns `[p]` of the matrix `[len(posts), len(others)]` where the two are no negatives of each other.

    Each pair once, ordered by row.
    """
    ids, text_keys, image_keys = others.places
    mine = zip(posts.ids, posts.text_keys.tolist(), posts.image_keys.tolist(), strict=True)
    pairs = [
        (row, column)
        for row, (post_id, text_key, image_key) in enumerate(mine)
        for column in {*ids.get(post_id, ()), *text_keys.get(text_key, ()), *image_keys.get(image_key, ())}
    ]
    table = np.array(pairs, np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def filler_rows(posts: Embeddings, others: Embeddings, count: int) -> NDArray[np.intp]:
    """The first `count` (or as many as there are) rows of `others` that equal none of `posts`."""
    _, columns = excluded_pairs(posts, others)
    free = np.ones(len(others), bool)
    free[columns] = False
    return np.flatnonzero(free)[:count]
