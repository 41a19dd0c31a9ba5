"""Data of the loss chart: histogram of losses, the two fitted Gaussians, and theta."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amia.matching.gmm_fit import MixtureFit
from amia.matching.histogram import LossHistogram

__all__ = ["LOSS_BINS", "LossFigure", "make_loss_figure"]

LOSS_BINS = 80
CURVE_POINTS = 4 * LOSS_BINS + 1


@dataclass(frozen=True, eq=False, kw_only=True)
class LossFigure:
    """Losses of some posts on the scale of a mixture, from `low` (x = 0) to `high` (x = 1)."""

    name: str
    """Name of the mixture: a split, or `all`."""
    about: str
    """Description of the posts."""
    fit: MixtureFit
    posts: NDArray[np.int64]
    """Posts in each bin `[LOSS_BINS]`; losses outside the scale are in the outermost bins, as the fit clips them."""
    below: int
    """Number of posts with a loss below the scale."""
    above: int
    """Number of posts with a loss above the scale."""
    x: NDArray[np.float64]
    """Positions of the curves on the scale `[CURVE_POINTS]`, from 0 to 1."""
    matched: NDArray[np.float64]
    """Posts expected by the lower component in a bin at each position `[CURVE_POINTS]`."""
    mismatched: NDArray[np.float64]
    """Posts expected by the upper component in a bin at each position `[CURVE_POINTS]`."""
    theta: NDArray[np.float64]
    """Theta (eq. 8) at each position `[CURVE_POINTS]`, in [0, 1]."""

    @property
    def total(self) -> int:
        """Posts in all bins."""
        return int(self.posts.sum())

    @property
    def turning_point(self) -> float | None:
        """The first position at which theta falls below 0.5; None if it never does."""
        falls = np.flatnonzero((self.theta[:-1] >= 0.5) & (self.theta[1:] < 0.5))
        return float(self.x[falls[0] + 1]) if falls.size else None

    def loss(self, x: float) -> float:
        """Return the loss at a position on the scale."""
        mixture = self.fit.mixture
        return mixture.low + x * (mixture.high - mixture.low)


def make_loss_figure(
    name: str, about: str, counts: NDArray[np.int64], histogram: LossHistogram, fit: MixtureFit
) -> LossFigure:
    """Compute the figure of a mixture from the `counts` `[BINS]` of a loss histogram."""
    mixture = fit.mixture
    low, high = mixture.low, mixture.high
    nonzero = np.flatnonzero(counts)
    losses = histogram.centers[nonzero]
    bins = np.clip(((losses - low) / (high - low) * LOSS_BINS).astype(np.int64), 0, LOSS_BINS - 1)
    tolerance = histogram.width / 2  # a loss within the scale may be in a bin whose center is outside
    x = np.linspace(0.0, 1.0, CURVE_POINTS)
    total = int(counts.sum())
    matched, mismatched = (total / LOSS_BINS * np.exp(joint) for joint in mixture.gaussians.log_joint(x))
    return LossFigure(
        name=name,
        about=about,
        fit=fit,
        posts=np.bincount(bins, weights=counts[nonzero], minlength=LOSS_BINS).astype(np.int64),
        below=int(counts[nonzero][losses < low - tolerance].sum()),
        above=int(counts[nonzero][losses > high + tolerance].sum()),
        x=x,
        matched=matched,
        mismatched=mismatched,
        theta=mixture.theta(low + x * (high - low)),
    )
