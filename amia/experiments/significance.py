"""Statistical significance: paired bootstrap over posts (Efron), and Holm's adjustment for multiple comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Difference", "holm", "paired_bootstrap"]

_MAX_DRAWS = 2**21
"""Resampled posts held in memory at a time: 16 MB of indices, and twice that while they are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean F1 of one system minus that of another, in [-1, 1]."""

    observed: float
    low: float
    """Lower end of the 95 % percentile interval over the resamples."""
    high: float
    p: float
    """Two-sided p value, in [2/(R+1), 1]: twice the smaller share of resamples on either side of zero, where the
    observed sample counts as one of them."""


def paired_bootstrap(
    systems: Sequence[NDArray[np.int64]], pairs: Sequence[tuple[int, int]], *, resamples: int = 10_000, seed: int = 0
) -> list[Difference]:
    """Compare systems on the same posts: for each pair of indices into `systems`, the first minus the second.

    A system is an array [S, posts, 3]: true positives, predicted and gold spans of each post for each of S seeds; S may
    differ between systems. A resample draws as many posts as there are, with replacement, and the same posts for every
    seed of every system. The statistic is the mean of micro-F1 over the seeds of the first system minus that of the
    second, so the result generalizes to other posts of the same kind, not to other seeds. The resamples depend only on
    `seed` and the number of posts. Without posts or spans, the difference is 0 and p is 1.
    """
    observed = [_mean_f1(system.sum(1)) for system in systems]
    resampled = _resampled_f1(systems, resamples, seed)
    return [
        _difference(observed[first] - observed[second], resampled[:, first] - resampled[:, second])
        for first, second in pairs
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm's step-down procedure (Holm 1979), in the given order, in [0, 1].

    Rejecting where the adjusted value is below alpha keeps the family-wise error rate below alpha under any dependence
    of the tests. The smallest of m values is multiplied by m, the next by m - 1, ...; adjusted values never decrease.
    """
    adjusted = [0.0] * len(p_values)
    running_max = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running_max = max(running_max, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running_max
    return adjusted


def _difference(observed: NDArray[np.float64], resampled: NDArray[np.float64]) -> Difference:
    resampled = _round(resampled)
    smaller = int(min((resampled <= 0).sum(), (resampled >= 0).sum()))
    low, high = np.quantile(resampled, [0.025, 0.975]).tolist()
    return Difference(float(_round(observed)), low, high, min(1.0, 2 * (1 + smaller) / (len(resampled) + 1)))


def _resampled_f1(systems: Sequence[NDArray[np.int64]], resamples: int, seed: int) -> NDArray[np.float64]:
    """Return the mean F1 over the seeds of each system, [resamples, systems]."""
    posts = systems[0].shape[1] if systems else 0
    means = np.zeros((resamples, len(systems)))
    if not posts:
        return means
    rng = np.random.default_rng(seed)
    # [posts, S * 3] as floats: sums of integers stay exact, and matrix products are fast.
    flat = [np.moveaxis(system, 0, 1).reshape(posts, -1).astype(np.float64) for system in systems]
    chunk = max(1, _MAX_DRAWS // posts)
    for start in range(0, resamples, chunk):
        multiplicity = _resample_counts(rng, posts, min(chunk, resamples - start))
        for index, counts in enumerate(flat):
            sums = (multiplicity @ counts).reshape(len(multiplicity), -1, 3)
            means[start : start + chunk, index] = _mean_f1(sums)
    return means


def _resample_counts(rng: np.random.Generator, posts: int, resamples: int) -> NDArray[np.float64]:
    """Return how often each post is in each resample, [resamples, posts]; each row sums to `posts`."""
    indices = rng.integers(posts, size=(resamples, posts))
    indices += posts * np.arange(resamples)[:, None]
    return np.bincount(indices.ravel(), minlength=resamples * posts).reshape(resamples, posts).astype(np.float64)


def _mean_f1(counts: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean F1 over seeds, [..., S, 3] -> [...]; F1 = 2 TP / (predicted + gold), 0 without any span."""
    true_positives, spans = 2 * counts[..., 0], counts[..., 1] + counts[..., 2]
    mean: NDArray[np.float64] = np.divide(true_positives, spans, out=np.zeros(spans.shape), where=spans > 0).mean(-1)
    return mean


def _round(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to 12 digits: equal means over different numbers of seeds may differ in their last bit."""
    rounded: NDArray[np.float64] = np.round(differences, 12) + 0.0  # avoids -0
    return rounded
