"""Fit of eq. 8: losses or their histogram in; a mixture, its diagnostics and whether to accept it out.

The fit is specified exactly, since theta depends on where EM stops: losses are scaled by their 0.5 and 99.5 percentiles
and clipped to [0, 1], EM starts from the exact two-means split, and the iterations are those of scikit-learn's
`GaussianMixture`.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from amia.errors import MixtureError
from amia.matching.gmm import FloatArray, Mixture, MixtureSettings, TwoGaussians, fit_em, two_means
from amia.matching.histogram import LossHistogram

__all__ = [
    "DIRECT_LIMIT",
    "OPTIMUM",
    "MixtureFit",
    "diagnose",
    "fit_histogram",
    "fit_mixture",
    "mixture_warnings",
    "rejection_reason",
]

DIRECT_LIMIT = 1_000_000
"""Use `fit_mixture` for up to this many losses, `fit_histogram` for more."""
OPTIMUM = (1000, 1e-8)
"""Maximum number of iterations and tolerance of a fit that counts as converged."""

_PERCENTILES = (0.5, 99.5)
_NOISE = 1e-6
"""Losses are computed from float32 similarities. Losses within a range smaller than this differ only by rounding."""
_CELLS = 2**14
"""Cells of [0, 1] in which the converged comparison is computed if there are more losses than cells."""
_MIN_SHARE = 0.03
"""A component with a smaller share of the posts probably holds outliers and not a group."""


@dataclass(frozen=True)
class MixtureFit:
    """A mixture with its diagnostics."""

    mixture: Mixture
    diagnostics: dict[str, float]
    """Named as in `diagnose`."""
    warnings: list[str]
    """Messages for the user."""
    rejection_reason: str | None
    """Why a run should stop unless the user accepts the mixture explicitly. None if the fit is good."""

    @property
    def summary(self) -> str:
        """The fit in one line, including what running EM to its optimum would change."""
        num_losses = f"{self.diagnostics['losses']:,.0f} losses"
        if "separation" not in self.diagnostics:
            return num_losses
        return (
            f"{num_losses}, {self.mixture.weights[0]:.0%} matched, means {self.diagnostics['separation']:.1f} pooled "
            f"standard deviations apart, {self.mixture.iterations} iterations; the optimum would move theta by at most "
            f"{self.diagnostics['converged_max']:.2f} (mean {self.diagnostics['converged_mean']:.3f})"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain numbers, lists and text."""
        return {
            "mixture": self.mixture.to_json(),
            "diagnostics": self.diagnostics,
            "warnings": self.warnings,
            "refusal": self.rejection_reason,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "MixtureFit":
        """Restore what `to_json` wrote. Raises MixtureError for any other data."""
        try:
            return cls(
                mixture=Mixture.from_json(data["mixture"]),
                diagnostics={str(name): float(value) for name, value in data["diagnostics"].items()},
                warnings=[str(warning) for warning in data["warnings"]],
                rejection_reason=None if data["refusal"] is None else str(data["refusal"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MixtureError(f"not a fit written by amia: {error}") from error


def fit_mixture(losses: NDArray[np.floating[Any]], settings: MixtureSettings) -> MixtureFit:
    """Fit a mixture on `losses` `[n]` (eq. 7) with scikit-learn.

    Data that a mixture cannot describe do not raise: the result has a `rejection_reason`. Raises MixtureError if there
    are no losses or one is not finite.
    """
    ascending = np.sort(np.asarray(losses, np.float64))
    if not ascending.size or not np.all(np.isfinite(ascending)):
        raise MixtureError("no losses to fit, or one that is not a finite number")
    low, high = (float(value) for value in np.percentile(ascending, _PERCENTILES))
    return _fit(ascending, np.ones(ascending.size), (low, high), settings, _fit_with_sklearn)


def fit_histogram(counts: NDArray[np.int64], histogram: LossHistogram, settings: MixtureSettings) -> MixtureFit:
    """Fit a mixture on `counts` `[BINS]` of a `LossHistogram`: any number of losses in constant memory.

    After equally many iterations theta differs from that of `fit_mixture` by less than 1e-3. Raises MixtureError if
    there are no losses.
    """
    filled = np.flatnonzero(counts)
    if not filled.size:
        raise MixtureError("no losses to fit")
    centers = histogram.centers[filled]
    return _fit(centers, counts[filled].astype(np.float64), _percentiles(centers, counts[filled]), settings, fit_em)


def diagnose(
    x: FloatArray, counts: FloatArray, start: TwoGaussians, mixture: Mixture, reg_covar: float
) -> dict[str, float]:
    """Compute diagnostics of `mixture`, fitted from `start` on scaled losses `x` `[n]` with weights `counts` `[n]`.

    - `losses`: posts in the fit
    - `separation`: distance of the means in pooled standard deviations
    - `lightest`: share of the lighter component
    - `rising`: posts whose theta rises with the loss
    - `bic_one`, `bic_two`: Bayesian information criterion of one and of two Gaussians at their optimum; less is better
    - `converged_max`, `converged_mean`: difference of theta between this mixture and the optimum, over the posts
    """
    x, counts = _bin_to_cells(x, counts)
    posts = float(counts.sum())
    max_iter, tol = OPTIMUM
    optimum, _ = fit_em(x, counts, start, max_iter=max_iter, tol=tol, reg_covar=reg_covar)
    gaussians, optimum = mixture.gaussians, optimum.ordered()
    theta_difference = np.abs(gaussians.posterior(x) - optimum.posterior(x))  # [n]
    mean = float(counts @ x) / posts
    variance = float(counts @ (x - mean) ** 2) / posts + reg_covar
    return {
        "losses": posts,
        "separation": gaussians.separation,
        "lightest": min(gaussians.weights),
        "rising": float(counts @ gaussians.rises_at(x)),
        "bic_one": posts * (math.log(2 * math.pi * variance) + 1 - reg_covar / variance) + 2 * math.log(posts),
        "bic_two": -2 * optimum.log_likelihood(x, counts) + 5 * math.log(posts),
        "converged_max": float(theta_difference.max()),
        "converged_mean": float(counts @ theta_difference) / posts,
    }


def mixture_warnings(diagnostics: dict[str, float], settings: MixtureSettings) -> list[str]:
    """Return messages about weaknesses of a mixture that may still be used."""
    messages = []
    if diagnostics["rising"] and not settings.monotone:
        messages.append(
            f"{diagnostics['rising']:,.0f} of {diagnostics['losses']:,.0f} posts have a theta that rises with the loss "
            "(monotone=true clamps them)"
        )
    if diagnostics["lightest"] < _MIN_SHARE:
        messages.append(
            f"one component holds only {diagnostics['lightest']:.1%} of the posts: perhaps outliers, not a group"
        )
    return messages


def rejection_reason(diagnostics: dict[str, float], settings: MixtureSettings) -> str | None:
    """Return why the mixture should not be used without the user's consent, or None if it may be used."""
    reasons = []
    if diagnostics["losses"] < settings.min_losses:
        reasons.append(f"only {diagnostics['losses']:,.0f} losses (min_losses is {settings.min_losses})")
    if diagnostics["bic_one"] <= diagnostics["bic_two"]:
        reasons.append("BIC prefers one component: the losses show no two groups")
    if diagnostics["separation"] < 1:
        reasons.append(f"the two means are within one pooled standard deviation ({diagnostics['separation']:.2f})")
    return "; ".join(reasons) or None


class _FitAlgorithm(Protocol):
    """Signature of `fit_em` and `_fit_with_sklearn`."""

    def __call__(
        self, x: FloatArray, counts: FloatArray, start: TwoGaussians, *, max_iter: int, tol: float, reg_covar: float
    ) -> tuple[TwoGaussians, int]: ...


def _fit(
    losses: FloatArray,
    counts: FloatArray,
    percentiles: tuple[float, float],
    settings: MixtureSettings,
    algorithm: _FitAlgorithm,
) -> MixtureFit:
    """Fit on ascending `losses` `[n]` with weights `counts` `[n]`: the steps that both ways of fitting share."""
    low, high = percentiles
    posts = int(counts.sum())
    x = np.clip((losses - low) / (high - low), 0.0, 1.0) if low + _NOISE < high else np.zeros_like(losses)
    split = two_means(x, counts)
    if split is None:
        # There are no two groups. If the user accepts this mixture, it gives theta = 0.5 for every post.
        variances = (settings.reg_covar, settings.reg_covar)
        flat = Mixture(low, low + 1.0, (0.5, 0.5), (0.0, 0.0), variances, 0, settings.monotone)
        return MixtureFit(flat, {"losses": posts}, [], f"99 % or more of the {posts:,} losses are equal")
    start = split.inflate_variance(settings.reg_covar)
    max_iter, tol = OPTIMUM if settings.converged else (settings.max_iter, settings.tol)
    gaussians, iterations = algorithm(x, counts, start, max_iter=max_iter, tol=tol, reg_covar=settings.reg_covar)
    gaussians = gaussians.ordered()
    mixture = Mixture(low, high, gaussians.weights, gaussians.means, gaussians.variances, iterations, settings.monotone)
    diagnostics = diagnose(x, counts, start, mixture, settings.reg_covar)
    return MixtureFit(
        mixture, diagnostics, mixture_warnings(diagnostics, settings), rejection_reason(diagnostics, settings)
    )


def _fit_with_sklearn(
    x: FloatArray, counts: FloatArray, start: TwoGaussians, *, max_iter: int, tol: float, reg_covar: float
) -> tuple[TwoGaussians, int]:
    """Run `fit_em` with scikit-learn, for points of weight one. Both agree up to float64 rounding."""
    from sklearn.exceptions import ConvergenceWarning  # slow to import, and not needed to read a fit
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(
        2,
        max_iter=max_iter,
        tol=tol,
        reg_covar=reg_covar,
        weights_init=start.weights,
        means_init=np.reshape(start.means, (2, 1)),
        precisions_init=1 / np.reshape(start.variances, (2, 1, 1)),
    )
    with warnings.catch_warnings():
        # Stopping before convergence is intended.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[:, None])  # [n, 1]
    weights, means, variances = (
        (float(values.flat[0]), float(values.flat[1])) for values in (model.weights_, model.means_, model.covariances_)
    )
    return TwoGaussians(weights, means, variances), int(model.n_iter_)


def _percentiles(centers: FloatArray, counts: NDArray[np.int64]) -> tuple[float, float]:
    """Compute `np.percentile` of the losses, with each loss at the center of its bin."""
    cumulative = np.cumsum(counts)
    percentiles = []
    for percentile in _PERCENTILES:
        position = (cumulative[-1] - 1) * percentile / 100  # in the sorted losses, from 0
        lower, upper = centers[np.searchsorted(cumulative, [np.floor(position), np.ceil(position)], side="right")]
        percentiles.append(float(lower + (upper - lower) * (position % 1)))
    return percentiles[0], percentiles[1]


def _bin_to_cells(x: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the points unchanged or, if there are many, one point for each filled cell of [0, 1]."""
    if len(x) <= _CELLS:
        return x, counts
    cells = np.rint(x * _CELLS).astype(np.intp)
    mass = np.bincount(cells, weights=counts, minlength=_CELLS + 1)
    filled = np.flatnonzero(mass)
    return np.asarray(filled / _CELLS), np.asarray(mass[filled], np.float64)
