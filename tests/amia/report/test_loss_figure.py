"""Tests of the data of the loss chart against scipy and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from amia.matching.gmm import MixtureSettings
from amia.matching.gmm_fit import fit_mixture
from amia.matching.histogram import BINS, LossHistogram
from amia.report.loss_figure import LOSS_BINS, LossFigure, make_loss_figure

HISTOGRAM = LossHistogram(0.1)


def random_losses(seed: int, posts: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    losses = np.concatenate([rng.normal(0.4, 0.08, posts * 2 // 3), rng.normal(1.2, 0.3, posts // 3)])
    return np.clip(losses, 0, 4.2)


def figure_of(losses: np.ndarray, **settings: bool) -> LossFigure:
    fit = fit_mixture(losses, MixtureSettings(**settings))
    return make_loss_figure("train", "train", HISTOGRAM.counts(losses), HISTOGRAM, fit)


@given(st.integers(0, 1000))
def test_bins_count_every_post_once(seed: int) -> None:
    losses = random_losses(seed, 600)
    figure = figure_of(losses)
    low, high = figure.fit.mixture.low, figure.fit.mixture.high
    assert figure.total == len(losses)
    expected, below, above = [0] * LOSS_BINS, 0, 0
    for loss in np.rint(losses / HISTOGRAM.width) * HISTOGRAM.width:  # centers of the histogram's bins
        position = (loss - low) / (high - low)
        expected[min(LOSS_BINS - 1, max(0, int(np.floor(position * LOSS_BINS))))] += 1
        below += loss < low - HISTOGRAM.width / 2
        above += loss > high + HISTOGRAM.width / 2
    assert figure.posts.tolist() == expected
    assert (figure.below, figure.above) == (below, above)
    assert figure.below + figure.above <= 0.02 * len(losses)


def test_curves_equal_normal_densities_of_scipy() -> None:
    figure = figure_of(random_losses(1))
    mixture = figure.fit.mixture
    for curve, weight, mean, variance in zip(
        (figure.matched, figure.mismatched), mixture.weights, mixture.means, mixture.variances, strict=True
    ):
        density = weight * norm.pdf(figure.x, mean, np.sqrt(variance))
        np.testing.assert_allclose(curve, 3000 * density / LOSS_BINS, rtol=1e-9)


def test_curves_fit_the_bins() -> None:
    figure = figure_of(random_losses(2, 30_000))
    x = np.linspace(-2, 3, 5001)
    integral = sum(np.trapezoid(np.exp(joint), x) for joint in figure.fit.mixture.gaussians.log_joint(x))
    assert integral == pytest.approx(1, abs=1e-6)
    centers = (np.arange(LOSS_BINS) + 0.5) / LOSS_BINS
    expected = np.interp(centers, figure.x, figure.matched + figure.mismatched)
    assert np.abs(expected - figure.posts).sum() < 0.2 * figure.total  # EM stops early


@pytest.mark.parametrize("monotone", [False, True])
def test_theta_equals_that_of_the_mixture(monotone: bool) -> None:
    figure = figure_of(random_losses(3), monotone=monotone)
    losses = np.array([figure.loss(x) for x in figure.x])
    np.testing.assert_allclose(figure.theta, figure.fit.mixture.theta(losses), atol=1e-12)
    if monotone:
        assert np.all(np.diff(figure.theta) <= 1e-12)


def test_turning_point_is_between_the_components() -> None:
    figure = figure_of(random_losses(4))
    assert figure.turning_point is not None
    assert 0.5 < figure.loss(figure.turning_point) < 0.9
    neighbors = [figure.turning_point - 0.01, figure.turning_point + 0.01]
    before, after = np.interp(neighbors, figure.x, figure.theta)
    assert before > 0.5 > after


def test_constant_losses() -> None:
    figure = figure_of(np.full(500, 0.25))
    assert (figure.total, figure.posts[0], figure.below, figure.above) == (500, 500, 0, 0)
    assert figure.turning_point is None
    assert figure.fit.rejection_reason is not None


def test_no_losses() -> None:
    fit = fit_mixture(random_losses(5), MixtureSettings())
    figure = make_loss_figure("train", "train", np.zeros(BINS, np.int64), HISTOGRAM, fit)
    assert figure.total == 0
    assert not figure.matched.any()
