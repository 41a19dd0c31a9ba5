"""."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amia.matching.gmm_fit import Fit
from amia.matching.histogram import LossHistogram

__all__ = ["BARS", "LossFigure", "loss_figure"]

BARS = 80


POINTS = 4 * BARS + 1


"""Of the curves."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LossFigure:
    """The losses of some posts on a mixture's own scale, from `low` (x = 0) to `high` (x = 1)."""

    name: str
    """Of the mixture: a split's, or `all`."""
    about: str
    """Whose losses these are, in words."""
    fit: Fit
    posts: NDArray[np.int64]
    """Posts in each bar `[BARS]`; what lies outside the scale stands in the outermost, as the fit clips it."""
    below: int
    """How many of them lie below the scale."""
    above: int
    at: NDArray[np.float64]
    """Places of the curves on the scale `[POINTS]`, from 0 to 1."""
    matched: NDArray[np.float64]
    """Posts that the lower component expects in a bar around each place `[POINTS]`."""
    mismatched: NDArray[np.float64]
    theta: NDArray[np.float64]
    """Eq. 8 at each place `[POINTS]`, in [0, 1]."""

    @property
    def total(self) -> int:
        """Posts in all bars."""
        return int(self.posts.sum())

    @property
    def turning(self) -> float | None:
        """The first place where theta falls below 0.5; None where it never does."""
        falls = np.flatnonzero((self.theta[:-1] >= 0.5) & (self.theta[1:] < 0.5))
        return float(self.at[falls[0] + 1]) if falls.size else None

    def loss(self, place: float) -> float:
        """The loss at a place on the scale."""
        mixture = self.fit.mixture
        return mixture.low + place * (mixture.high - mixture.low)


def loss_figure(name: str, about: str, counts: NDArray[np.int64], histogram: LossHistogram, fit: Fit) -> LossFigure:
    """The figure of a mixture over `counts` `[BINS]` of a loss histogram."""
    mixture = fit.mixture
    low, high = mixture.low, mixture.high
    filled = np.flatnonzero(counts)
    losses = histogram.centers[filled]
    bars = np.clip(((losses - low) / (high - low) * BARS).astype(np.int64), 0, BARS - 1)
    slack = histogram.width / 2  # a loss at the very end of the scale may stand in a bin whose center is beyond it
    at = np.linspace(0.0, 1.0, POINTS)
    total = int(counts.sum())
    matched, mismatched = (total / BARS * np.exp(joint) for joint in mixture.pair.log_joint(at))
    return LossFigure(
        name=name,
        about=about,
        fit=fit,
        posts=np.bincount(bars, weights=counts[filled], minlength=BARS).astype(np.int64),
        below=int(counts[filled][losses < low - slack].sum()),
        above=int(counts[filled][losses > high + slack].sum()),
        at=at,
        matched=matched,
        mismatched=mismatched,
        theta=mixture.theta(low + at * (high - low)),
    )
