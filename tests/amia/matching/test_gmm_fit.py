"""The fit of eq. 8: against scikit-learn, from histograms, and on data without two groups."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amia.errors import MixtureError
from amia.matching.gmm import MixtureSettings
from amia.matching.gmm_fit import MixtureFit, fit_histogram, fit_mixture, rejection_reason
from amia.matching.histogram import BINS, LossHistogram

DEFAULTS = MixtureSettings()


def bimodal(n: int = 2000, seed: int = 0, low: float = 0.05, high: float = 0.3, sd: float = 0.04) -> np.ndarray:
    """Return losses of 70 % matched posts, many of them exactly 0 as with the hinge, and 30 % mismatched ones."""
    rng = np.random.default_rng(seed)
    matched = rng.normal(low, sd, int(0.7 * n))
    return np.maximum(0, np.concatenate([matched, rng.normal(high, 1.5 * sd, n - len(matched))]))


def test_separates_two_groups():
    losses = bimodal()
    fit = fit_mixture(losses, DEFAULTS)
    theta = fit.mixture.theta(losses)
    assert fit.rejection_reason is None
    assert theta.dtype == np.float64
    assert ((theta > 0.5) == (np.arange(2000) < 1400)).mean() > 0.98
    assert fit.mixture.means[0] < fit.mixture.means[1]
    assert fit.mixture.weights[0] == pytest.approx(0.7, abs=0.03)
    assert (fit.mixture.low, fit.mixture.high) == tuple(np.percentile(losses, [0.5, 99.5]))


def test_robust_to_outlier():
    losses = bimodal()
    theta = fit_mixture(losses, DEFAULTS).mixture.theta(losses)
    with_outlier = fit_mixture(np.append(losses, 4.0), DEFAULTS).mixture.theta(losses)
    assert np.abs(theta - with_outlier).max() < 0.02


@pytest.mark.promise(23)
def test_independent_of_order():
    losses = bimodal()
    assert fit_mixture(losses, DEFAULTS) == fit_mixture(losses[::-1], DEFAULTS)


@pytest.mark.promise(26)
@pytest.mark.parametrize("shape", [(0.05, 0.3, 0.04), (0.03, 0.2, 0.03), (0.1, 0.6, 0.12), (0.2, 0.28, 0.05)])
@pytest.mark.parametrize("max_iter", [3, 20])
def test_histogram_gives_close_theta(shape, max_iter):
    losses = bimodal(40_000, 1, *shape)
    settings = MixtureSettings(max_iter=max_iter, tol=0)
    histogram = LossHistogram(0.1)
    direct, binned = fit_mixture(losses, settings), fit_histogram(histogram.counts(losses), histogram, settings)
    assert direct.mixture.iterations == binned.mixture.iterations == max_iter
    assert np.abs(direct.mixture.theta(losses) - binned.mixture.theta(losses)).max() < 1e-3
    assert direct.rejection_reason == binned.rejection_reason
    assert direct.diagnostics["separation"] == pytest.approx(binned.diagnostics["separation"], rel=1e-2)


def test_early_stopping_diagnostics():
    losses = bimodal()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        early = fit_mixture(losses, MixtureSettings(max_iter=1))
    optimum = fit_mixture(losses, MixtureSettings(converged=True))
    difference = np.abs(early.mixture.theta(losses) - optimum.mixture.theta(losses))
    assert early.diagnostics["converged_max"] == pytest.approx(difference.max(), abs=2e-3)
    assert early.diagnostics["converged_mean"] == pytest.approx(difference.mean(), abs=1e-3)
    assert optimum.diagnostics["converged_max"] < 1e-3
    assert early.mixture.iterations == 1 < optimum.mixture.iterations


def test_bic_against_scikit_learn():
    from sklearn.mixture import GaussianMixture

    losses = bimodal()
    fit = fit_mixture(losses, MixtureSettings(converged=True))
    x = fit.mixture.scaled(losses)[:, None]
    one, two = (GaussianMixture(k, reg_covar=5e-4, tol=1e-8, max_iter=1000, random_state=0).fit(x) for k in (1, 2))
    assert fit.diagnostics["bic_one"] == pytest.approx(one.bic(x), rel=1e-6)
    assert fit.diagnostics["bic_two"] == pytest.approx(two.bic(x), rel=1e-4)


@pytest.mark.parametrize("monotone", [False, True])
def test_monotone_clamps_theta(monotone):
    # A wide component of matched posts dominates beyond the upper tail of the other one.
    rng = np.random.default_rng(0)
    losses = np.concatenate([rng.normal(0.4, 0.15, 900).clip(0), rng.normal(0.6, 0.02, 900)])
    fit = fit_mixture(losses, MixtureSettings(monotone=monotone, converged=True))
    theta = fit.mixture.theta(np.sort(losses))
    rising = int((np.diff(theta) > 0).sum())
    assert fit.diagnostics["rising"] > 0
    assert any("rises with the loss" in warning for warning in fit.warnings) is not monotone
    assert (rising == 0) is monotone


@pytest.mark.promise(24)
@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        (np.zeros(500), "equal"),
        (np.full(3, 0.25), "equal"),
        (np.array([0.1]), "equal"),
        (np.append(np.zeros(999), 1.0), "equal"),
        (np.array([0.1, 0.3]), "only 2 losses"),
        (bimodal(150), "only 150 losses"),
        (np.random.default_rng(0).normal(1, 0.1, 5000), "BIC prefers one component"),
    ],
)
def test_rejects_data_without_two_groups(losses, reason):
    histogram = LossHistogram(0.1)
    for fit in (fit_mixture(losses, DEFAULTS), fit_histogram(histogram.counts(losses), histogram, DEFAULTS)):
        assert reason in fit.rejection_reason
        theta = fit.mixture.theta(losses)
        assert np.all((theta >= 0) & (theta <= 1))
        assert MixtureFit.from_json(fit.to_json()) == fit


@pytest.mark.promise(24)
def test_rejects_close_means():
    diagnostics = fit_mixture(bimodal(), DEFAULTS).diagnostics
    assert rejection_reason(diagnostics, DEFAULTS) is None
    assert "within one pooled standard deviation (0.99)" in rejection_reason(
        {**diagnostics, "separation": 0.99}, DEFAULTS
    )


def test_warns_of_light_component():
    losses = np.append(np.random.default_rng(0).normal(1, 0.1, 1000).clip(0), np.full(20, 3.0))
    assert any("holds only 2.0%" in warning for warning in fit_mixture(losses, DEFAULTS).warnings)


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 4.2)), st.booleans())
def test_theta_in_unit_interval(losses, monotone):
    fit = fit_mixture(losses, MixtureSettings(monotone=monotone))
    theta = fit.mixture.theta(np.append(losses, [0, 4.2]))
    assert np.all((theta >= 0) & (theta <= 1))
    assert fit.rejection_reason
    if monotone:
        assert np.all(np.diff(fit.mixture.theta(np.linspace(0, 4.2, 200))) <= 1e-12)


@pytest.mark.promise(24)
def test_rejects_missing_or_infinite_losses():
    for losses in (np.empty(0), np.array([0.1, np.nan])):
        with pytest.raises(MixtureError, match="no losses to fit"):
            fit_mixture(losses, DEFAULTS)
    with pytest.raises(MixtureError, match="no losses"):
        fit_histogram(np.zeros(BINS, np.int64), LossHistogram(0.1), DEFAULTS)
    with pytest.raises(MixtureError, match="not a finite number"):
        fit_mixture(bimodal(), DEFAULTS).mixture.theta(np.array([np.nan]))


@pytest.mark.promise(23)
@given(st.lists(arrays(np.float64, st.integers(0, 30), elements=st.floats(0, 4.2)), max_size=4))
def test_histogram_counts_add_up(shards):
    histogram = LossHistogram(0.1)
    total = histogram.counts(np.concatenate([np.empty(0), *shards]))
    added = sum((histogram.counts(shard) for shard in shards), np.zeros(BINS, np.int64))
    assert total.dtype == np.int64
    assert np.array_equal(total, added)
    assert total.sum() == sum(map(len, shards))


def test_histogram_bin_width():
    histogram = LossHistogram(0.1)
    for loss in itertools.chain(np.linspace(0, 4.2, 50), [4.2 + 1e-9]):
        (bin_,) = np.flatnonzero(histogram.counts(np.array([loss])))
        assert abs(histogram.centers[bin_] - loss) <= histogram.width * 0.51
    assert np.flatnonzero(histogram.counts(np.zeros(1))) == [0]
    for loss in (-0.1, 4.3, np.nan):
        with pytest.raises(ValueError, match="another margin"):
            histogram.counts(np.array([loss]))
