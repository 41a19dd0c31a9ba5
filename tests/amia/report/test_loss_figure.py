"""The loss chart's numbers against scipy and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from amia.matching.gmm import MixtureSettings
from amia.matching.gmm_fit import fit_mixture
from amia.matching.histogram import BINS, LossHistogram
from amia.report.loss_figure import BARS, LossFigure, loss_figure

HISTOGRAM = LossHistogram(0.1)


def losses_of(seed: int, posts: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    both = np.concatenate([rng.normal(0.4, 0.08, posts * 2 // 3), rng.normal(1.2, 0.3, posts // 3)])
    return np.clip(both, 0, 4.2)


def figure_of(losses: np.ndarray, **settings: bool) -> LossFigure:
    fit = fit_mixture(losses, MixtureSettings(**settings))
    return loss_figure("train", "train", HISTOGRAM.counts(losses), HISTOGRAM, fit)


@given(st.integers(0, 1000))
def test_bars_hold_every_post_once(seed: int) -> None:
    losses = losses_of(seed, 600)
    figure = figure_of(losses)
    low, high = figure.fit.mixture.low, figure.fit.mixture.high
    assert figure.total == len(losses)
    expected, below, above = [0] * BARS, 0, 0
    for loss in np.rint(losses / HISTOGRAM.width) * HISTOGRAM.width:  # as far as the histogram knows it
        place = (loss - low) / (high - low)
        expected[min(BARS - 1, max(0, int(np.floor(place * BARS))))] += 1
        below += loss < low - HISTOGRAM.width / 2
        above += loss > high + HISTOGRAM.width / 2
    assert figure.posts.tolist() == expected
    assert (figure.below, figure.above) == (below, above)
    assert figure.below + figure.above <= 0.02 * len(losses)


def test_curves_are_scipy_s_normal_densities_in_posts_a_bar() -> None:
    figure = figure_of(losses_of(1))
    mixture = figure.fit.mixture
    for curve, weight, mean, variance in zip(
        (figure.matched, figure.mismatched), mixture.weights, mixture.means, mixture.variances, strict=True
    ):
        density = weight * norm.pdf(figure.at, mean, np.sqrt(variance))
        np.testing.assert_allclose(curve, 3000 * density / BARS, rtol=1e-9)


def test_curves_and_bars_hold_the_same_posts() -> None:
    figure = figure_of(losses_of(2, 30_000))
    wide = np.linspace(-2, 3, 5001)
    whole = sum(np.trapezoid(np.exp(joint), wide) for joint in figure.fit.mixture.pair.log_joint(wide))
    assert whole == pytest.approx(1, abs=1e-6)
    places = (np.arange(BARS) + 0.5) / BARS
    drawn = np.interp(places, figure.at, figure.matched + figure.mismatched)
    assert np.abs(drawn - figure.posts).sum() < 0.2 * figure.total  # a fit that stops early is near the posts


@pytest.mark.parametrize("monotone", [False, True])
def test_theta_is_the_mixture_s_own(monotone: bool) -> None:
    figure = figure_of(losses_of(3), monotone=monotone)
    losses = np.array([figure.loss(place) for place in figure.at])
    np.testing.assert_allclose(figure.theta, figure.fit.mixture.theta(losses), atol=1e-12)
    if monotone:
        assert np.all(np.diff(figure.theta) <= 1e-12)


def test_theta_turns_between_the_two_groups() -> None:
    figure = figure_of(losses_of(4))
    assert figure.turning is not None
    assert 0.5 < figure.loss(figure.turning) < 0.9
    before, after = np.interp([figure.turning - 0.01, figure.turning + 0.01], figure.at, figure.theta)
    assert before > 0.5 > after


def test_losses_that_are_all_alike_have_a_figure_too() -> None:
    figure = figure_of(np.full(500, 0.25))
    assert (figure.total, figure.posts[0], figure.below, figure.above) == (500, 500, 0, 0)
    assert figure.turning is None
    assert figure.fit.refusal is not None


def test_no_losses_are_no_bars() -> None:
    fit = fit_mixture(losses_of(5), MixtureSettings())
    figure = loss_figure("train", "train", np.zeros(BINS, np.int64), HISTOGRAM, fit)
    assert figure.total == 0
    assert not figure.matched.any()
