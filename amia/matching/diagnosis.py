"""Is this mixture to be trusted? Figures, and what they say in words."""

import math

import numpy as np

from amia.matching.gaussians import Floats, Pair, em
from amia.matching.mixture import Mixture, MixtureSettings

__all__ = ["OPTIMUM", "diagnose", "refusal_of", "warnings_of"]

OPTIMUM = (1000, 1e-8)
"""Iterations at most and tolerance of a fit that counts as converged."""

_CELLS = 2**14
"""Cells of [0, 1] that the converged comparison is computed on when there are more losses than that."""
_LIGHT = 0.03
"""A component with less of the posts than this is probably outliers and no group."""


def diagnose(x: Floats, counts: Floats, start: Pair, mixture: Mixture, reg_covar: float) -> dict[str, float]:
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
