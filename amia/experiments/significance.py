"""Is one system better than another, or were its test posts kind to it? Paired bootstrap over posts (Efron)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Difference", "holm", "paired_bootstrap"]

# MERGED FROM amia.experiments.significance: Many comparisons at once: Holm's step-down adjustment (Holm 1979).
_AT_ONCE = 2**21
"""Drawn posts that are held at a time: 16 MB, and twice that for how often each was drawn."""


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
    systems: Sequence[NDArray[np.int64]], pairs: Sequence[tuple[int, int]], *, resamples: int = 10_000, seed: int = 0
) -> list[Difference]:
    """Compare systems on the same posts: of each pair of `systems`, by their places, the first minus the second.

    A system is [S, posts, 3]: true positives, predicted and gold spans of each post, once a seed; S may differ from
    system to system. A resample draws as many posts as there are, with replacement, the same ones for every seed of
    every system; the statistic is the mean of micro-F1 over the seeds of the first minus that of the second. So it
    speaks of other posts of the same kind, not of other seeds. The resamples depend on `seed` and the number of posts
    alone. Without a post, or without a span, nothing speaks against equality: all zero, p = 1.
    """
    observed = [_mean_f1(system.sum(1)) for system in systems]
    resampled = _resampled_f1(systems, resamples, seed)
    return [
        _difference(observed[one] - observed[other], resampled[:, one] - resampled[:, other]) for one, other in pairs
    ]


def _difference(observed: NDArray[np.float64], resampled: NDArray[np.float64]) -> Difference:
    resampled = _rounded(resampled)
    smaller = int(min((resampled <= 0).sum(), (resampled >= 0).sum()))
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return Difference(float(_rounded(observed)), low, high, min(1.0, 2 * (1 + smaller) / (len(resampled) + 1)))


def _resampled_f1(systems: Sequence[NDArray[np.int64]], resamples: int, seed: int) -> NDArray[np.float64]:
    """[resamples, systems], mean F1 over the seeds of each."""
    posts = systems[0].shape[1] if systems else 0
    means = np.zeros((resamples, len(systems)))
    if not posts:
        return means
    rng = np.random.default_rng(seed)
    # [posts, S * 3], in floats: sums of integers stay exact in them, and they multiply fast.
    flat = [np.moveaxis(system, 0, 1).reshape(posts, -1).astype(np.float64) for system in systems]
    chunk = max(1, _AT_ONCE // posts)
    for start in range(0, resamples, chunk):
        drawn = _times_drawn(rng, posts, min(chunk, resamples - start))
        for place, each in enumerate(flat):
            means[start : start + chunk, place] = _mean_f1((drawn @ each).reshape(len(drawn), -1, 3))
    return means


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


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values, in the order given, in [0, 1].

    Calling those below alpha real keeps the chance of a single false one among all of them below alpha, however they
    hang together. The smallest of m is multiplied by m, the next by m - 1, ...; none falls below one before it.
    """
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = reached
    return adjusted
