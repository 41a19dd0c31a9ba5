"""Two Gaussians and weighted EM, against plain formulas and scikit-learn."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from amia.matching.gmm import TwoGaussians, fit_em, two_means

points = st.lists(st.integers(0, 40), min_size=2, max_size=30).map(lambda values: np.sort(np.array(values) / 40))
mixtures = st.builds(
    TwoGaussians,
    st.floats(0.05, 0.95).map(lambda weight: (weight, 1 - weight)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.floats(1e-3, 1), st.floats(1e-3, 1)),
)


def squared_error(x: np.ndarray) -> float:
    return float(((x - x.mean()) ** 2).sum())


def within_variance(gaussians: TwoGaussians) -> float:
    return sum(weight * variance for weight, variance in zip(gaussians.weights, gaussians.variances, strict=True))


@given(points)
def test_two_means_against_brute_force(x):
    splits = [squared_error(x[:cut]) + squared_error(x[cut:]) for cut in range(1, len(x)) if x[cut] > x[cut - 1]]
    gaussians = two_means(x, np.ones(len(x)))
    if not splits:
        assert gaussians is None
        return
    assert len(x) * within_variance(gaussians) == pytest.approx(min(splits), abs=1e-9)
    assert gaussians.means[0] < gaussians.means[1]
    assert sum(gaussians.weights) == pytest.approx(1)


@given(points)
def test_two_means_weights_equal_repetition(x):
    values, counts = np.unique(x, return_counts=True)
    repeated, counted = two_means(x, np.ones(len(x))), two_means(values, counts.astype(float))
    assume(repeated is not None)
    # Two splits may be equally good to the last bit, so the splits may differ, but not their error.
    assert within_variance(repeated) == pytest.approx(within_variance(counted), abs=1e-12)


@pytest.mark.promise(24)
@given(mixtures, st.integers(1, 8), st.integers(0, 99))
def test_em_against_scikit_learn(start, iterations, seed):
    x = np.random.default_rng(seed).beta(2, 3, 60)
    ours, _ = fit_em(x, np.ones(60), start, max_iter=iterations, tol=0, reg_covar=5e-4)
    theirs = GaussianMixture(
        2,
        max_iter=iterations,
        tol=0,
        reg_covar=5e-4,
        weights_init=start.weights,
        means_init=np.reshape(start.means, (2, 1)),
        precisions_init=1 / np.reshape(start.variances, (2, 1, 1)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(x[:, None])
    assert np.allclose(ours.weights, theirs.weights_, atol=1e-9)
    assert np.allclose(ours.means, theirs.means_.ravel(), atol=1e-9)
    assert np.allclose(ours.variances, theirs.covariances_.ravel(), atol=1e-9)
    assert np.allclose(ours.posterior(x), theirs.predict_proba(x[:, None])[:, 0], atol=1e-9)
    assert ours.log_likelihood(x, np.ones(60)) == pytest.approx(60 * theirs.score(x[:, None]), abs=1e-6)


def test_em_weights_equal_repetition():
    x = np.sort(np.random.default_rng(0).integers(0, 20, 300) / 20)
    values, counts = np.unique(x, return_counts=True)
    start = two_means(x, np.ones(300)).inflate_variance(5e-4)
    repeated, steps = fit_em(x, np.ones(300), start, max_iter=10, tol=1e-2, reg_covar=5e-4)
    weighted, weighted_steps = fit_em(values, counts.astype(float), start, max_iter=10, tol=1e-2, reg_covar=5e-4)
    assert steps == weighted_steps
    assert np.allclose([*repeated.means, *repeated.variances], [*weighted.means, *weighted.variances], atol=1e-12)


@given(mixtures, st.lists(st.floats(-2, 3), min_size=2, max_size=20).map(np.array))
def test_posterior_range_and_monotonicity(gaussians, x):
    gaussians = gaussians.ordered()
    posterior = gaussians.posterior(np.sort(x))
    assert np.all((posterior >= 0) & (posterior <= 1))
    inside = gaussians.posterior(np.linspace(*gaussians.means, 30))
    assert np.all(np.diff(inside) <= 1e-12)


@given(mixtures)
def test_turning_point(gaussians):
    gaussians = gaussians.ordered()
    assume(
        abs(gaussians.variances[0] - gaussians.variances[1]) > 1e-3 and gaussians.means[1] - gaussians.means[0] > 1e-3
    )
    assert not gaussians.means[0] < gaussians.turning_point < gaussians.means[1]
    x = np.linspace(-2, 3, 400)
    low, high = gaussians.log_joint(x)
    slopes = np.diff(low - high)
    middles = (x[1:] + x[:-1]) / 2
    away = np.abs(middles - gaussians.turning_point) > 0.02
    assert np.array_equal(gaussians.rises_at(middles)[away], (slopes > 0)[away])


def test_empty_component():
    gaussians = TwoGaussians((1.0, 0.0), (0.2, 0.9), (0.01, 0.01))
    assert np.array_equal(gaussians.posterior(np.array([0.0, 0.9])), [1.0, 1.0])
    assert math.isfinite(gaussians.log_likelihood(np.array([0.5]), np.array([1.0])))
