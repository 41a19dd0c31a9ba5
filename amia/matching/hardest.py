"""The expected hardest of K negatives: what a batch shows by chance, computed exactly.

Let c_1 >= ... >= c_M be a post's similarities to its M possible negatives. Of K drawn without replacement, the hardest
is the j-th with probability w_j = C(M-j, K-1) / C(M, K), so any function of the hardest has the expectation
sum_j w_j f(c_j).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["hardest_weights"]

_NEGLIGIBLE = 1e-13
"""Total weight that may be left out: times the largest hinge (margin + 2) it stays below 1e-12 for any margin to 8."""


@lru_cache(maxsize=64)
def hardest_weights(candidates: int, draws: int) -> NDArray[np.float64]:
    """w_1, ..., w_J `[J]` for M = `candidates` and K = `draws`: non-negative, non-increasing, of sum 1 to 1e-13.

    By recurrence: w_1 = K/M, w_(j+1) = w_j (M-j-K+1) / (M-j). With K >= M the hardest of all is always drawn: w = [1].
    J ends where the weight left over is negligible: none of the J hardest is drawn with probability
    C(M-J, K) / C(M, K) <= (1 - K/M)**J, hence J = log(1e-13) / log(1 - K/M), about 30 M/K, is always enough.

    Raises ValueError when there is no candidate or no draw.
    """
    if candidates < 1 or draws < 1:
        raise ValueError(f"the hardest of {draws} draws among {candidates} candidates does not exist")
    draws = min(draws, candidates)
    j = np.arange(1, candidates - draws + 1, dtype=np.float64)
    steps = (candidates - j - draws + 1) / (candidates - j)
    weights = (draws / candidates) * np.cumprod(np.concatenate([[1.0], steps]))  # [M - K + 1]
    if draws < candidates:
        enough = int(np.ceil(np.log(_NEGLIGIBLE) / np.log1p(-draws / candidates)))
        weights = weights[:enough]
    weights.flags.writeable = False
    return weights
