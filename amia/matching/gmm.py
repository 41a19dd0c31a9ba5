"""Mixture of two Gaussians over the losses: its posterior theta (eq. 8), its likelihood, and weighted EM."""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amia.errors import MixtureError
from amia.utils.config import StrictModel

__all__ = ["FloatArray", "Mixture", "MixtureSettings", "TwoGaussians", "fit_em", "two_means"]

FloatArray = NDArray[np.float64]
_EPSILON = 10 * float(np.finfo(np.float64).eps)
"""Added to the mass of a component as in scikit-learn, so that an empty component does not divide by zero."""


class MixtureSettings(StrictModel):
    """How the two Gaussians are fitted on the losses."""

    fit_on: Literal["train", "per_split", "joint"] = "train"
    """`train`: fit on train, apply to every split. `per_split`, `joint`: other readings of the paper."""
    max_iter: int = Field(default=10, ge=1)
    """Maximum number of EM iterations. Stopping early separates the groups better."""
    tol: float = Field(default=1e-2, ge=0)
    """Stop when the mean log-likelihood changes by less than this."""
    reg_covar: float = Field(default=5e-4, gt=0)
    """Added to the variances, in units of the scaled loss squared. Keeps a component from collapsing on one value."""
    converged: bool = False
    """Run EM to the optimum instead; ignores max_iter and tol."""
    monotone: bool = False
    """Clamp theta so that it never rises with the loss."""
    min_losses: int = Field(default=200, ge=2)
    """Minimum number of losses for a fit to be accepted."""


@dataclass(frozen=True)
class Mixture:
    """Two Gaussians over scaled losses. Component 0, with the lower mean, holds the matched posts."""

    low: float
    """The loss that scales to 0: the 0.5 percentile."""
    high: float
    """The loss that scales to 1: the 99.5 percentile."""
    weights: tuple[float, float]
    """p(k) of eq. 8."""
    means: tuple[float, float]
    """In units of the scaled loss."""
    variances: tuple[float, float]
    """In units of the scaled loss squared."""
    iterations: int
    """Number of EM iterations that were run."""
    monotone: bool = False
    """Whether theta is clamped where it would rise with the loss."""

    @property
    def gaussians(self) -> "TwoGaussians":
        """The two Gaussians without the scale."""
        return TwoGaussians(self.weights, self.means, self.variances)

    def scaled(self, losses: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return losses `[n]` on the scale of the mixture, clipped to [0, 1] so that outliers have no leverage."""
        wide = np.asarray(losses, np.float64)
        return np.clip((wide - self.low) / (self.high - self.low), 0.0, 1.0)

    def theta(self, losses: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Compute eq. 8: theta = p(k = 0 | L_s) `[n]`, in [0, 1], how well image and text match.

        If `monotone`, theta beyond the turning point of the posterior is theta at the turning point. Raises
        MixtureError for a loss that is not finite.
        """
        x = self.scaled(losses)
        if not np.all(np.isfinite(x)):
            raise MixtureError("cannot compute theta of a loss that is not a finite number")
        if self.monotone:
            x = np.where(self.gaussians.rises_at(x), self.gaussians.turning_point, x)
        return self.gaussians.posterior(x)

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers and lists. `from_json` restores the same mixture bit for bit."""
        return {
            "low": self.low,
            "high": self.high,
            "weights": list(self.weights),
            "means": list(self.means),
            "variances": list(self.variances),
            "iterations": self.iterations,
            "monotone": self.monotone,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Restore the mixture that `to_json` wrote. Raises MixtureError for any other data."""
        try:
            mixture = cls(
                low=float(data["low"]),
                high=float(data["high"]),
                weights=_finite_pair(data["weights"]),
                means=_finite_pair(data["means"]),
                variances=_finite_pair(data["variances"]),
                iterations=int(data["iterations"]),
                monotone=bool(data["monotone"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MixtureError(f"not a mixture written by amia: {json.dumps(data)[:200]}") from error
        if not (mixture.low < mixture.high and mixture.means[0] <= mixture.means[1] and min(mixture.variances) > 0):
            raise MixtureError(
                f"not a valid mixture (low < high, rising means, positive variances): {json.dumps(data)[:200]}"
            )
        return mixture


@dataclass(frozen=True)
class TwoGaussians:
    """Two weighted Gaussians in one dimension. Component k = 0 has the lower mean."""

    weights: tuple[float, float]
    """p(k), of sum 1."""
    means: tuple[float, float]
    variances: tuple[float, float]

    def ordered(self) -> "TwoGaussians":
        """Return the same Gaussians with the lower mean first."""
        if self.means[0] <= self.means[1]:
            return self
        return TwoGaussians(self.weights[::-1], self.means[::-1], self.variances[::-1])

    def inflate_variance(self, by: float) -> "TwoGaussians":
        """Return the same Gaussians with `by` added to both variances."""
        return TwoGaussians(self.weights, self.means, (self.variances[0] + by, self.variances[1] + by))

    def log_joint(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log p(k) p(x | k) for k = 0 and 1, `[n]` each."""
        joint = [
            math.log(weight) - 0.5 * math.log(2 * math.pi * variance) - (x - mean) ** 2 / (2 * variance)
            if weight > 0
            else np.full_like(x, -np.inf)
            for weight, mean, variance in zip(self.weights, self.means, self.variances, strict=True)
        ]
        return joint[0], joint[1]

    def posterior(self, x: FloatArray) -> FloatArray:
        """Compute eq. 8: p(k = 0 | x) `[n]`, in [0, 1]."""
        low, high = self.log_joint(x)
        return np.asarray(np.exp(-np.logaddexp(0.0, high - low)))

    def log_likelihood(self, x: FloatArray, counts: FloatArray) -> float:
        """Return the sum of the log density over points `x` `[n]` with weights `counts` `[n]`."""
        return float(counts @ np.logaddexp(*self.log_joint(x)))

    @property
    def separation(self) -> float:
        """Distance of the means in pooled standard deviations."""
        pooled = sum(weight * variance for weight, variance in zip(self.weights, self.variances, strict=True))
        return abs(self.means[1] - self.means[0]) / math.sqrt(pooled)

    @property
    def turning_point(self) -> float:
        """The x at which the posterior of k = 0 changes direction; -inf if the variances are equal and it never does.

        The wider component dominates beyond one of the tails. With v_0 < v_1 the posterior rises below
        m_0 - (m_1 - m_0) v_0 / (v_1 - v_0), with v_0 > v_1 above it. This point is always outside [m_0, m_1].
        """
        (m0, m1), (v0, v1) = self.means, self.variances
        if v0 == v1:
            return -math.inf
        return m0 - (m1 - m0) * v0 / (v1 - v0)

    def rises_at(self, x: FloatArray) -> NDArray[np.bool_]:
        """Return a mask `[n]`, True where the posterior of k = 0 rises with x."""
        return x < self.turning_point if self.variances[0] <= self.variances[1] else x > self.turning_point


def two_means(x: FloatArray, counts: FloatArray) -> TwoGaussians | None:
    """Return the exact two-means clustering of ascending `x` `[n]` with weights `counts` `[n]`.

    In one dimension the best two clusters are a prefix and a suffix, so prefix sums try every split. Equal points stay
    together. Weights are shares of the points, variances those within a cluster. Returns None if all points are equal.
    """
    ends = np.flatnonzero(x[1:] > x[:-1])  # the last index of each possible prefix
    if not ends.size:
        return None
    mass, sums = np.cumsum(counts), np.cumsum(counts * (x - np.average(x, weights=counts)))
    n0, s0 = mass[ends], sums[ends]
    n1, s1 = mass[-1] - n0, sums[-1] - s0
    best = int(ends[np.argmax(s0**2 / n0 + s1**2 / n1)])  # maximizes the variance between the clusters
    clusters = (slice(None, best + 1), slice(best + 1, None))
    shares = [float(counts[c].sum() / mass[-1]) for c in clusters]
    means = [float(np.average(x[c], weights=counts[c])) for c in clusters]
    variances = [float(np.average((x[c] - m) ** 2, weights=counts[c])) for c, m in zip(clusters, means, strict=True)]
    return TwoGaussians((shares[0], shares[1]), (means[0], means[1]), (variances[0], variances[1]))


def fit_em(
    x: FloatArray, counts: FloatArray, start: TwoGaussians, *, max_iter: int, tol: float, reg_covar: float
) -> tuple[TwoGaussians, int]:
    """Run expectation-maximization from `start` over points `x` `[n]` with weights `counts` `[n]`.

    The steps are those of scikit-learn's `GaussianMixture`: `reg_covar` is added to the variances, and iteration stops
    when the mean log-likelihood changes by less than `tol` or after `max_iter` iterations. Returns the Gaussians and
    the number of iterations.
    """
    total = counts.sum()
    gaussians, previous = start, -math.inf
    for iteration in range(1, max_iter + 1):
        low, high = gaussians.log_joint(x)
        density = np.logaddexp(low, high)  # [n]
        components = []
        for joint in (low, high):
            mass = counts * np.exp(joint - density)  # [n]
            weight = float(mass.sum()) + _EPSILON
            mean = float(mass @ x) / weight
            components.append((weight, mean, float(mass @ (x - mean) ** 2) / weight + reg_covar))
        (w0, m0, v0), (w1, m1, v1) = components
        gaussians = TwoGaussians((w0 / (w0 + w1), w1 / (w0 + w1)), (m0, m1), (v0, v1))
        log_likelihood = float(counts @ density) / total
        if abs(log_likelihood - previous) < tol:
            return gaussians, iteration
        previous = log_likelihood
    return gaussians, max_iter


def _finite_pair(values: Any) -> tuple[float, float]:
    first, second = (float(value) for value in values)
    if not (math.isfinite(first) and math.isfinite(second)):
        raise ValueError("not finite")
    return first, second
