import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from amia.matching.gmm import TwoGaussians, em, two_means

points = st.lists(st.integers(0, 40), min_size=2, max_size=30).map(lambda values: np.sort(np.array(values) / 40))
pairs = st.builds(
    TwoGaussians,
    st.floats(0.05, 0.95).map(lambda weight: (weight, 1 - weight)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.floats(1e-3, 1), st.floats(1e-3, 1)),
)


def spread(x: np.ndarray) -> float:
    return float(((x - x.mean()) ** 2).sum())


def within(pair: TwoGaussians) -> float:
    return sum(weight * variance for weight, variance in zip(pair.weights, pair.variances, strict=True))


@given(points)
def test_two_means_against_every_split(x):
    splits = [spread(x[:cut]) + spread(x[cut:]) for cut in range(1, len(x)) if x[cut] > x[cut - 1]]
    pair = two_means(x, np.ones(len(x)))
    if not splits:
        assert pair is None
        return
    assert len(x) * within(pair) == pytest.approx(min(splits), abs=1e-9)
    assert pair.means[0] < pair.means[1]
    assert sum(pair.weights) == pytest.approx(1)


@given(points)
def test_two_means_of_counted_points_is_that_of_repeated_ones(x):
    values, counts = np.unique(x, return_counts=True)
    repeated, counted = two_means(x, np.ones(len(x))), two_means(values, counts.astype(float))
    assume(repeated is not None)
    # Two splits may be equally good to the last bit, so the splits may differ, but not what they leave unexplained.
    assert within(repeated) == pytest.approx(within(counted), abs=1e-12)


@pytest.mark.promise(24)
@given(pairs, st.integers(1, 8), st.integers(0, 99))
def test_em_against_scikit_learn(start, iterations, seed):
    x = np.random.default_rng(seed).beta(2, 3, 60)
    ours, _ = em(x, np.ones(60), start, max_iter=iterations, tol=0, reg_covar=5e-4)
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


def test_em_counts_points_as_often_as_they_stand_there():
    x = np.sort(np.random.default_rng(0).integers(0, 20, 300) / 20)
    values, counts = np.unique(x, return_counts=True)
    start = two_means(x, np.ones(300)).widened(5e-4)
    one, steps = em(x, np.ones(300), start, max_iter=10, tol=1e-2, reg_covar=5e-4)
    other, same_steps = em(values, counts.astype(float), start, max_iter=10, tol=1e-2, reg_covar=5e-4)
    assert steps == same_steps
    assert np.allclose([*one.means, *one.variances], [*other.means, *other.variances], atol=1e-12)


@given(pairs, st.lists(st.floats(-2, 3), min_size=2, max_size=20).map(np.array))
def test_posterior_is_a_share_and_falls_between_the_means(pair, x):
    pair = pair.ordered()
    posterior = pair.posterior(np.sort(x))
    assert np.all((posterior >= 0) & (posterior <= 1))
    inside = pair.posterior(np.linspace(*pair.means, 30))
    assert np.all(np.diff(inside) <= 1e-12)


@given(pairs)
def test_the_turn_is_where_the_posterior_turns(pair):
    pair = pair.ordered()
    assume(abs(pair.variances[0] - pair.variances[1]) > 1e-3 and pair.means[1] - pair.means[0] > 1e-3)
    assert not pair.means[0] < pair.turn < pair.means[1]
    x = np.linspace(-2, 3, 400)
    low, high = pair.log_joint(x)
    slopes = np.diff(low - high)
    middles = (x[1:] + x[:-1]) / 2
    away = np.abs(middles - pair.turn) > 0.02
    assert np.array_equal(pair.rises_at(middles)[away], (slopes > 0)[away])


def test_an_empty_component_is_no_accident():
    pair = TwoGaussians((1.0, 0.0), (0.2, 0.9), (0.01, 0.01))
    assert np.array_equal(pair.posterior(np.array([0.0, 0.9])), [1.0, 1.0])
    assert math.isfinite(pair.log_likelihood(np.array([0.5]), np.array([1.0])))
