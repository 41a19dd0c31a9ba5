"""Two Gaussians in one dimension: their posterior (eq. 8), their likelihood, and EM over weighted points."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pair", "em", "two_means"]

Floats = NDArray[np.float64]
_TINY = 10 * float(np.finfo(np.float64).eps)
"""What scikit-learn adds to a component's mass, so that an empty one divides by no zero."""


@dataclass(frozen=True)
class Pair:
    """Two weighted Gaussians; k = 0 has the lower mean."""

    weights: tuple[float, float]
    """p(k), of sum 1."""
    means: tuple[float, float]
    variances: tuple[float, float]

    def ordered(self) -> "Pair":
        """The same pair with the lower mean first."""
        if self.means[0] <= self.means[1]:
            return self
        return Pair(self.weights[::-1], self.means[::-1], self.variances[::-1])

    def widened(self, by: float) -> "Pair":
        """The same pair with `by` added to both variances."""
        return Pair(self.weights, self.means, (self.variances[0] + by, self.variances[1] + by))

    def log_joint(self, x: Floats) -> tuple[Floats, Floats]:
        """log p(k) p(x | k) for k = 0 and 1, `[n]` each."""
        joint = [
            math.log(weight) - 0.5 * math.log(2 * math.pi * variance) - (x - mean) ** 2 / (2 * variance)
            if weight > 0
            else np.full_like(x, -np.inf)
            for weight, mean, variance in zip(self.weights, self.means, self.variances, strict=True)
        ]
        return joint[0], joint[1]

    def posterior(self, x: Floats) -> Floats:
        """Eq. 8: p(k = 0 | x) `[n]`, in [0, 1]."""
        low, high = self.log_joint(x)
        return np.asarray(np.exp(-np.logaddexp(0.0, high - low)))

    def log_likelihood(self, x: Floats, counts: Floats) -> float:
        """Sum of the log density over points `x` `[n]` that stand for `counts` `[n]` losses each."""
        return float(counts @ np.logaddexp(*self.log_joint(x)))

    @property
    def separation(self) -> float:
        """Distance of the means in pooled standard deviations."""
        pooled = sum(weight * variance for weight, variance in zip(self.weights, self.variances, strict=True))
        return abs(self.means[1] - self.means[0]) / math.sqrt(pooled)

    @property
    def turn(self) -> float:
        """Where the posterior of k = 0 turns; infinite when the variances are equal and it never does.

        The wider component wins again beyond one tail. With v_0 < v_1 the posterior rises below the turn
        m_0 - (m_1 - m_0) v_0 / (v_1 - v_0), with v_0 > v_1 above it; the turn always lies outside [m_0, m_1].
        """
        (m0, m1), (v0, v1) = self.means, self.variances
        if v0 == v1:
            return -math.inf
        return m0 - (m1 - m0) * v0 / (v1 - v0)

    def rises_at(self, x: Floats) -> NDArray[np.bool_]:
        """Where `[n]` the posterior of k = 0 rises with x."""
        return x < self.turn if self.variances[0] <= self.variances[1] else x > self.turn


def two_means(x: Floats, counts: Floats) -> Pair | None:
    """The split of rising `x` `[n]`, each standing for `counts` `[n]` points, with the least squares around two means.

    Exact: in one dimension the best two clusters are a prefix and a suffix, so prefix sums try every split. Equal
    points stay together. None when all are equal. Weights are shares of the points, variances those inside a cluster.
    """
    ends = np.flatnonzero(x[1:] > x[:-1])  # the last index of each possible prefix
    if not ends.size:
        return None
    mass, sums = np.cumsum(counts), np.cumsum(counts * (x - np.average(x, weights=counts)))
    n0, s0 = mass[ends], sums[ends]
    n1, s1 = mass[-1] - n0, sums[-1] - s0
    best = int(ends[np.argmax(s0**2 / n0 + s1**2 / n1)])  # the most that two means explain
    clusters = (slice(None, best + 1), slice(best + 1, None))
    shares = [float(counts[c].sum() / mass[-1]) for c in clusters]
    means = [float(np.average(x[c], weights=counts[c])) for c in clusters]
    variances = [float(np.average((x[c] - m) ** 2, weights=counts[c])) for c, m in zip(clusters, means, strict=True)]
    return Pair((shares[0], shares[1]), (means[0], means[1]), (variances[0], variances[1]))


def em(x: Floats, counts: Floats, start: Pair, *, max_iter: int, tol: float, reg_covar: float) -> tuple[Pair, int]:
    """Expectation-maximization from `start` over points `x` `[n]` that stand for `counts` `[n]` losses each.

    Step by step what scikit-learn's `GaussianMixture` does: `reg_covar` is added to the variances, and it ends when the
    mean log-likelihood moves by less than `tol` or after `max_iter` iterations. Returns the pair and the iterations.
    """
    total = counts.sum()
    pair, before = start, -math.inf
    for iteration in range(1, max_iter + 1):
        low, high = pair.log_joint(x)
        density = np.logaddexp(low, high)  # [n]
        components = []
        for joint in (low, high):
            mass = counts * np.exp(joint - density)  # [n]
            weight = float(mass.sum()) + _TINY
            mean = float(mass @ x) / weight
            components.append((weight, mean, float(mass @ (x - mean) ** 2) / weight + reg_covar))
        (w0, m0, v0), (w1, m1, v1) = components
        pair = Pair((w0 / (w0 + w1), w1 / (w0 + w1)), (m0, m1), (v0, v1))
        now = float(counts @ density) / total
        if abs(now - before) < tol:
            return pair, iteration
        before = now
    return pair, max_iter
