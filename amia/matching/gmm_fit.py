"""Fitting eq. 8: losses, or their histogram, in; a mixture, what it is worth, and whether to trust it, out.

The fit is defined to the letter, since theta depends on where EM stops: losses scaled by their 0.5 and 99.5 percentiles
and clipped to [0, 1]; the exact two-means split as the start; scikit-learn's `GaussianMixture` from there.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from amia.errors import MixtureError
from amia.matching.gmm import Floats, Mixture, MixtureSettings, TwoGaussians, em, two_means
from amia.matching.histogram import LossHistogram

__all__ = ["DIRECT_LIMIT", "OPTIMUM", "Fit", "diagnose", "fit_histogram", "fit_mixture", "refusal_of", "warnings_of"]

# MERGED FROM amia.matching.gmm_fit: Is this mixture to be trusted? Figures, and what they say in words.
DIRECT_LIMIT = 1_000_000
"""Up to so many losses `fit_mixture` is meant; beyond, `fit_histogram`."""

_PERCENTILES = (0.5, 99.5)
_NOISE = 1e-6
"""Losses are made from float32 similarities: those that spread over less than this differ by rounding alone."""


@dataclass(frozen=True)
class Fit:
    """A mixture and what is known about it."""

    mixture: Mixture
    diagnostics: dict[str, float]
    """As `amia.matching.gmm_fit.diagnose` names them."""
    warnings: list[str]
    """What the person should read."""
    refusal: str | None
    """Why a run should stop here unless the person accepts the mixture."""

    @property
    def summary(self) -> str:
        """The fit in one line, with what running EM to its optimum would change."""
        told = f"{self.diagnostics['losses']:,.0f} losses"
        if "separation" not in self.diagnostics:
            return told
        return (
            f"{told}, {self.mixture.weights[0]:.0%} matched, means {self.diagnostics['separation']:.1f} pooled "
            f"standard deviations apart, {self.mixture.iterations} iterations; the optimum would move theta by at most "
            f"{self.diagnostics['converged_max']:.2f} (mean {self.diagnostics['converged_mean']:.3f})"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, lists and text."""
        return {
            "mixture": self.mixture.to_json(),
            "diagnostics": self.diagnostics,
            "warnings": self.warnings,
            "refusal": self.refusal,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Fit":
        """What `to_json` wrote. Raises MixtureError for anything else."""
        try:
            return cls(
                mixture=Mixture.from_json(data["mixture"]),
                diagnostics={str(name): float(value) for name, value in data["diagnostics"].items()},
                warnings=[str(warning) for warning in data["warnings"]],
                refusal=None if data["refusal"] is None else str(data["refusal"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MixtureError(f"this is no fit written by amia: {error}") from error


class _Algorithm(Protocol):
    """`em`, or scikit-learn's."""

    def __call__(
        self, x: Floats, counts: Floats, start: TwoGaussians, *, max_iter: int, tol: float, reg_covar: float
    ) -> tuple[TwoGaussians, int]: ...


def fit_mixture(losses: NDArray[np.floating[Any]], settings: MixtureSettings) -> Fit:
    """The mixture of `losses` `[n]` (eq. 7), by scikit-learn.

    Data that no mixture can describe do not raise: they come back with a `refusal`. Raises MixtureError when there is
    no loss at all, or one that is not finite.
    """
    rising = np.sort(np.asarray(losses, np.float64))
    if not rising.size or not np.all(np.isfinite(rising)):
        raise MixtureError("no losses to fit, or one that is not a finite number")
    low, high = (float(value) for value in np.percentile(rising, _PERCENTILES))
    return _fit(rising, np.ones(rising.size), (low, high), settings, _scikit_learn)


def fit_histogram(counts: NDArray[np.int64], histogram: LossHistogram, settings: MixtureSettings) -> Fit:
    """The same fit from `counts` `[BINS]` of a `LossHistogram`: any number of losses in constant memory.

    theta differs from `fit_mixture`'s by less than 1e-3 after equally many iterations. Raises MixtureError when there
    is no loss.
    """
    filled = np.flatnonzero(counts)
    if not filled.size:
        raise MixtureError("no losses to fit")
    centers = histogram.centers[filled]
    return _fit(centers, counts[filled].astype(np.float64), _percentiles(centers, counts[filled]), settings, em)


def _fit(
    losses: Floats, counts: Floats, ends: tuple[float, float], settings: MixtureSettings, algorithm: _Algorithm
) -> Fit:
    """The steps that both ways share: `losses` `[n]` rise, and each stands for `counts` `[n]` posts."""
    low, high = ends
    posts = int(counts.sum())
    x = np.clip((losses - low) / (high - low), 0.0, 1.0) if low + _NOISE < high else np.zeros_like(losses)
    split = two_means(x, counts)
    if split is None:
        # Nothing to tell apart: a mixture that says theta = 0.5 of every post, for whoever accepts it.
        variances = (settings.reg_covar, settings.reg_covar)
        flat = Mixture(low, low + 1.0, (0.5, 0.5), (0.0, 0.0), variances, 0, settings.monotone)
        return Fit(flat, {"losses": posts}, [], f"99 % or more of the {posts:,} losses are equal")
    start = split.widened(settings.reg_covar)
    max_iter, tol = OPTIMUM if settings.converged else (settings.max_iter, settings.tol)
    pair, iterations = algorithm(x, counts, start, max_iter=max_iter, tol=tol, reg_covar=settings.reg_covar)
    pair = pair.ordered()
    mixture = Mixture(low, high, pair.weights, pair.means, pair.variances, iterations, settings.monotone)
    diagnostics = diagnose(x, counts, start, mixture, settings.reg_covar)
    return Fit(mixture, diagnostics, warnings_of(diagnostics, settings), refusal_of(diagnostics, settings))


def _scikit_learn(
    x: Floats, counts: Floats, start: TwoGaussians, *, max_iter: int, tol: float, reg_covar: float
) -> tuple[TwoGaussians, int]:
    """`em` by scikit-learn, for points that stand for one loss each."""
    from sklearn.exceptions import ConvergenceWarning  # here: whoever only reads a fit does not wait for it
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
        # Stopping before convergence is what the settings ask for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[:, None])  # [n, 1]
    weights, means, variances = (
        (float(values.flat[0]), float(values.flat[1])) for values in (model.weights_, model.means_, model.covariances_)
    )
    return TwoGaussians(weights, means, variances), int(model.n_iter_)


def _percentiles(centers: Floats, counts: NDArray[np.int64]) -> tuple[float, float]:
    """What `np.percentile` says of the losses, with each at its bin's center."""
    upto = np.cumsum(counts)
    ends = []
    for percentile in _PERCENTILES:
        place = (upto[-1] - 1) * percentile / 100  # among the losses in rising order, from 0
        below, above = centers[np.searchsorted(upto, [np.floor(place), np.ceil(place)], side="right")]
        ends.append(float(below + (above - below) * (place % 1)))
    return ends[0], ends[1]


OPTIMUM = (1000, 1e-8)
"""Iterations at most and tolerance of a fit that counts as converged."""

_CELLS = 2**14
"""Cells of [0, 1] that the converged comparison is computed on when there are more losses than that."""
_LIGHT = 0.03
"""A component with less of the posts than this is probably outliers and no group."""


def diagnose(x: Floats, counts: Floats, start: TwoGaussians, mixture: Mixture, reg_covar: float) -> dict[str, float]:
    """Figures about `mixture`, fitted from `start` on scaled losses `x` `[n]` that stand for `counts` `[n]` posts.

    - `losses`: posts in the fit
    - `separation`: distance of the means in pooled standard deviations
    - `lightest`: share of the lighter component
    - `rising`: posts whose theta rises with the loss
    - `bic_one`, `bic_two`: Bayesian information criterion of one and of two Gaussians at their optimum; less is better
    - `converged_max`, `converged_mean`: difference of theta between this mixture and the optimum, over the posts
    """
    x, counts = _in_cells(x, counts)
    posts = float(counts.sum())
    max_iter, tol = OPTIMUM
    best, _ = em(x, counts, start, max_iter=max_iter, tol=tol, reg_covar=reg_covar)
    pair, best = mixture.pair, best.ordered()
    apart = np.abs(pair.posterior(x) - best.posterior(x))  # [n]
    mean = float(counts @ x) / posts
    variance = float(counts @ (x - mean) ** 2) / posts + reg_covar
    return {
        "losses": posts,
        "separation": pair.separation,
        "lightest": min(pair.weights),
        "rising": float(counts @ pair.rises_at(x)),
        "bic_one": posts * (math.log(2 * math.pi * variance) + 1 - reg_covar / variance) + 2 * math.log(posts),
        "bic_two": -2 * best.log_likelihood(x, counts) + 5 * math.log(posts),
        "converged_max": float(apart.max()),
        "converged_mean": float(counts @ apart) / posts,
    }


def warnings_of(diagnostics: dict[str, float], settings: MixtureSettings) -> list[str]:
    """What a person should know of a mixture that may be used."""
    said = []
    if diagnostics["rising"] and not settings.monotone:
        said.append(
            f"{diagnostics['rising']:,.0f} of {diagnostics['losses']:,.0f} posts have a theta that rises with the loss "
            "(monotone=true clamps them)"
        )
    if diagnostics["lightest"] < _LIGHT:
        said.append(
            f"one component holds only {diagnostics['lightest']:.1%} of the posts: perhaps outliers, not a group"
        )
    return said


def refusal_of(diagnostics: dict[str, float], settings: MixtureSettings) -> str | None:
    """Why the mixture should not be used unasked; None when it may be."""
    reasons = []
    if diagnostics["losses"] < settings.min_losses:
        reasons.append(f"only {diagnostics['losses']:,.0f} losses (min_losses is {settings.min_losses})")
    if diagnostics["bic_one"] <= diagnostics["bic_two"]:
        reasons.append("BIC prefers one component: the losses show no two groups")
    if diagnostics["separation"] < 1:
        reasons.append(f"the two means lie within one pooled standard deviation ({diagnostics['separation']:.2f})")
    return "; ".join(reasons) or None


def _in_cells(x: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """The points themselves, or, of very many, one for each filled cell of [0, 1]."""
    if len(x) <= _CELLS:
        return x, counts
    cells = np.rint(x * _CELLS).astype(np.intp)
    mass = np.bincount(cells, weights=counts, minlength=_CELLS + 1)
    filled = np.flatnonzero(mass)
    return np.asarray(filled / _CELLS), np.asarray(mass[filled], np.float64)
