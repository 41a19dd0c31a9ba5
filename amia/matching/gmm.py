"""Two Gaussians in one dimension: their posterior (eq. 8), their likelihood, and EM over weighted points."""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amia.errors import MixtureError
from amia.utils.config import StrictModel

__all__ = ["Mixture", "MixtureSettings", "TwoGaussians", "em", "two_means"]

# MERGED FROM amia.matching.gmm: What is fitted on the losses: two Gaussians, the scale they live on, and theta (eq. 8).
Floats = NDArray[np.float64]
_TINY = 10 * float(np.finfo(np.float64).eps)
"""What scikit-learn adds to a component's mass, so that an empty one divides by no zero."""


@dataclass(frozen=True)
class TwoGaussians:
    """Two weighted Gaussians; k = 0 has the lower mean."""

    weights: tuple[float, float]
    """p(k), of sum 1."""
    means: tuple[float, float]
    variances: tuple[float, float]

    def ordered(self) -> "TwoGaussians":
        """The same pair with the lower mean first."""
        if self.means[0] <= self.means[1]:
            return self
        return TwoGaussians(self.weights[::-1], self.means[::-1], self.variances[::-1])

    def widened(self, by: float) -> "TwoGaussians":
        """The same pair with `by` added to both variances."""
        return TwoGaussians(self.weights, self.means, (self.variances[0] + by, self.variances[1] + by))

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


def two_means(x: Floats, counts: Floats) -> TwoGaussians | None:
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
    return TwoGaussians((shares[0], shares[1]), (means[0], means[1]), (variances[0], variances[1]))


def em(
    x: Floats, counts: Floats, start: TwoGaussians, *, max_iter: int, tol: float, reg_covar: float
) -> tuple[TwoGaussians, int]:
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
        pair = TwoGaussians((w0 / (w0 + w1), w1 / (w0 + w1)), (m0, m1), (v0, v1))
        now = float(counts @ density) / total
        if abs(now - before) < tol:
            return pair, iteration
        before = now
    return pair, max_iter


class MixtureSettings(StrictModel):
    """How the two Gaussians are fitted on the losses."""

    fit_on: Literal["train", "per_split", "joint"] = "train"
    """`train`: fit on train, apply to every split. `per_split`, `joint`: other readings of the paper."""
    max_iter: int = Field(default=10, ge=1)
    """Iterations of expectation-maximization at most; stopping early separates better."""
    tol: float = Field(default=1e-2, ge=0)
    """Stop when the mean log-likelihood moves by less than this."""
    reg_covar: float = Field(default=5e-4, gt=0)
    """Added to the variances, in units of the scaled loss squared; keeps a component from collapsing on one value."""
    converged: bool = False
    """Run to the optimum instead (max_iter and tol do not count)."""
    monotone: bool = False
    """Clamp theta so that it never rises with the loss."""
    min_losses: int = Field(default=200, ge=2)
    """Below so many losses the fit is refused."""


@dataclass(frozen=True)
class Mixture:
    """Two Gaussians over scaled losses; component 0, of the lower mean, holds the matched posts."""

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
    """Iterations of expectation-maximization that led here."""
    monotone: bool = False
    """Whether theta is clamped where it would rise with the loss."""

    @property
    def pair(self) -> TwoGaussians:
        """The two Gaussians as mathematics."""
        return TwoGaussians(self.weights, self.means, self.variances)

    def scaled(self, losses: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Losses `[n]` on the mixture's scale, clipped to [0, 1], so that one outlier moves nothing."""
        wide = np.asarray(losses, np.float64)
        return np.clip((wide - self.low) / (self.high - self.low), 0.0, 1.0)

    def theta(self, losses: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Eq. 8: theta = p(k = 0 | L_s) `[n]`, in [0, 1]: how well image and text match.

        Clamped, theta beyond the turn of the posterior is the theta at the turn. Raises MixtureError for a loss that is
        not finite.
        """
        x = self.scaled(losses)
        if not np.all(np.isfinite(x)):
            raise MixtureError("theta of a loss that is not a finite number")
        if self.monotone:
            x = np.where(self.pair.rises_at(x), self.pair.turn, x)
        return self.pair.posterior(x)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists; `from_json` gives back the same mixture to the bit."""
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
        """The mixture that `to_json` wrote. Raises MixtureError for anything else."""
        try:
            mixture = cls(
                low=float(data["low"]),
                high=float(data["high"]),
                weights=_two(data["weights"]),
                means=_two(data["means"]),
                variances=_two(data["variances"]),
                iterations=int(data["iterations"]),
                monotone=bool(data["monotone"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MixtureError(f"this is no mixture written by amia: {json.dumps(data)[:200]}") from error
        if not (mixture.low < mixture.high and mixture.means[0] <= mixture.means[1] and min(mixture.variances) > 0):
            raise MixtureError(f"this mixture cannot be: {json.dumps(data)[:200]}")
        return mixture


def _two(values: Any) -> tuple[float, float]:
    first, second = (float(value) for value in values)
    if not (math.isfinite(first) and math.isfinite(second)):
        raise ValueError("not finite")
    return first, second
