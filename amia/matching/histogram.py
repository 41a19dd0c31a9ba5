"""Histograms of losses and of theta: integer counts in fixed bins, which add up exactly over shards."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "THETA_BINS", "LossHistogram", "count_thetas"]

BINS = 2**17
"""Bins between the smallest and the largest possible loss. At margin 0.1 a bin is 3.2e-5 wide. If the losses spread
over 0.08 (real ones: 0.2 and more), binning moves theta by less than 5e-4."""


@dataclass(frozen=True)
class LossHistogram:
    """Bins over the possible losses of eq. 7, [0, 2 (margin + 2)], for one margin.

    Bin k holds the losses nearest to its center k * width, so a loss of exactly 0 (the probability mass of the hinge)
    stays exactly 0. Counts of shards add up: `counts(a) + counts(b) == counts(a and b together)`.
    """

    margin: float
    """m of eqs. 1 and 4."""

    @property
    def width(self) -> float:
        """Width of a bin, in units of loss."""
        return 2 * (self.margin + 2) / (BINS - 1)

    @property
    def centers(self) -> NDArray[np.float64]:
        """Loss at the center of each bin `[BINS]`."""
        return np.arange(BINS, dtype=np.float64) * self.width

    def counts(self, losses: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the number of `losses` `[n]` in each bin `[BINS]`.

        Raises ValueError for a loss that is not finite or is out of range for this margin (up to float rounding).
        """
        bins = np.rint(np.asarray(losses, np.float64) / self.width)
        if not np.all((bins >= 0) & (bins <= BINS)):
            raise ValueError(f"losses outside [0, {2 * (self.margin + 2):g}]: they come from another margin")
        return np.bincount(np.minimum(bins, BINS - 1).astype(np.int64), minlength=BINS)


THETA_BINS = 10
"""Bins of the histogram of theta in a data set card."""


def count_thetas(thetas: Sequence[float] | NDArray[np.float32]) -> dict[str, list[int]]:
    """Return how many of some thetas `[n]`, float32 in [0, 1], are in each bin, and how many are above 0.5."""
    values = np.asarray(thetas, np.float32)
    counts, _ = np.histogram(values, THETA_BINS, (0, 1))
    return {"bins": counts.tolist(), "matched": [int((values > 0.5).sum())]}
