"""Is one system better than another, or were its test posts kind to it? Paired bootstrap over posts (Efron)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Difference", "paired_bootstrap"]

_AT_ONCE = 2**21
"""Drawn posts that are held at a time: 16 MB, and as much again for how often each was drawn."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean F1 of one system minus that of another, in [-1, 1]."""

    observed: float
    low: float
    """95 % percentile interval over the resamples."""
    high: float
    p: float
    """Two-sided: twice the smaller share of resamples on either side of zero, itself counted in; in [2/(R+1), 1]."""


def paired_bootstrap(
    first: NDArray[np.int64], second: NDArray[np.int64], *, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """Compare two systems on the same posts.

    `first` [S, posts, 3] and `second` [S', posts, 3] hold true positives, predicted and gold spans of each post, once a
    seed. A resample draws as many posts as there are, with replacement, the same ones for every seed of both; the
    statistic is the mean of micro-F1 over the seeds of `first` minus that of `second`. So it speaks of other posts of
    the same kind, not of other seeds. The resamples depend on `seed` and the number of posts alone. Without a post, or
    without a span, nothing speaks against equality: all zero, p = 1.
    """
    posts = first.shape[1]
    observed = float(_rounded(_mean_f1(first.sum(1)) - _mean_f1(second.sum(1))))
    if not posts:
        return Difference(0.0, 0.0, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    # [posts, S * 3], in floats: sums of integers stay exact in them, and they multiply fast.
    flat = [np.moveaxis(each, 0, 1).reshape(posts, -1).astype(np.float64) for each in (first, second)]
    chunk = max(1, _AT_ONCE // posts)
    found = []
    for start in range(0, resamples, chunk):
        drawn = _times_drawn(rng, posts, min(chunk, resamples - start))
        means = [_mean_f1((drawn @ each).reshape(len(drawn), -1, 3)) for each in flat]
        found.append(means[0] - means[1])
    differences = _rounded(np.concatenate(found))  # [R]
    below, above = (differences <= 0).sum(), (differences >= 0).sum()
    low, high = np.quantile(differences, [0.025, 0.975])
    return Difference(observed, float(low), float(high), min(1.0, 2 * (1 + int(min(below, above))) / (resamples + 1)))


def _times_drawn(rng: np.random.Generator, posts: int, resamples: int) -> NDArray[np.float64]:
    """[resamples, posts], how often each post is in each resample; a row adds up to `posts`."""
    drawn = rng.integers(posts, size=(resamples, posts))
    drawn += posts * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * posts).reshape(resamples, posts).astype(np.float64)


def _mean_f1(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """[..., S, 3] -> [...]; F1 = 2 right / (predicted + gold), 0 where there is neither."""
    right, spans = 2 * counts[..., 0], counts[..., 1] + counts[..., 2]
    mean: NDArray[np.float64] = np.divide(right, spans, out=np.zeros(spans.shape), where=spans > 0).mean(-1)
    return mean


def _rounded(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equal means over different numbers of seeds differ in their last bit, which must not pass for a difference."""
    rounded: NDArray[np.float64] = np.round(differences, 12) + 0.0  # no -0
    return rounded
