"""What is fitted on the losses: two Gaussians, the scale they live on, and theta (eq. 8)."""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from amia.errors import MixtureError
from amia.matching.gaussians import Pair
from amia.utils.config import Strict

__all__ = ["Mixture", "MixtureSettings"]


class MixtureSettings(Strict):
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
    def pair(self) -> Pair:
        """The two Gaussians as mathematics."""
        return Pair(self.weights, self.means, self.variances)

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
