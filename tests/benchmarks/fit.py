"""fit: the mixture from a histogram of the losses against scikit-learn's `GaussianMixture` on the losses themselves."""

import resource
import warnings
from collections.abc import Iterator
from time import perf_counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from amia.matching.gmm import MixtureSettings, TwoGaussians, two_means
from amia.matching.gmm_fit import fit_histogram
from amia.matching.histogram import BINS, LossHistogram
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Side, Sides, compare, figure

ITERATIONS = 10
SETTINGS = MixtureSettings(max_iter=ITERATIONS, tol=0)
"""With no tolerance neither side stops before the other."""
HISTOGRAM = LossHistogram(0.1)
CHUNK = 65_536
"""Losses that are counted at once: counts add up, so nobody has to hold all of them."""
THETA = 1e-3
GRID = np.linspace(0, 1.5, 3001)
"""Losses whose theta is compared."""

Theta = np.ndarray
"""`[3001]`: theta of the losses of `GRID`."""


def run(bench: Bench) -> None:
    """Counting is in our time, though in a job the shards have done it before the fit."""
    many = 10**7 if bench.quick else 10**8
    base = _peak_gib()
    counts, spent = np.zeros(BINS, np.int64), 0.0
    for losses in _chunks(many):
        begun = perf_counter()
        counts += HISTOGRAM.counts(losses)
        spent += perf_counter() - begun
    begun = perf_counter()
    fit_histogram(counts, HISTOGRAM, SETTINGS)
    spent += perf_counter() - begun
    note = f"of which the interpreter and its libraries {base:.2f} GiB"
    bench.add(figure(f"fit, peak memory at {many:,} losses", _peak_gib(), "GiB", aim=1, less=True, note=note))
    for count in (10**6, 10**7):
        if count == 10**7 and bench.quick:
            continue
        sides = _against_scikit_learn(bench, count, aim=100 if count == 10**7 else None)
        bench.add(sides.line)
    bench.add(
        figure(
            f"fit, {many:,} losses : scikit-learn on {count:,}",
            sides.theirs_s / spent,
            "x",
            note=f"{many // count} times the losses; counted in chunks, once",
        )
    )


def _against_scikit_learn(bench: Bench, count: int, aim: float | None) -> Sides:
    losses = np.concatenate(list(_chunks(count)))
    low, high = np.percentile(losses, (0.5, 99.5))
    x = np.sort(np.clip((losses.astype(np.float64) - low) / (high - low), 0, 1))
    start = two_means(x, np.ones(count))
    assert start is not None

    def ours() -> Theta:
        counts = np.zeros(BINS, np.int64)
        for begin in range(0, count, CHUNK):
            counts += HISTOGRAM.counts(losses[begin : begin + CHUNK])
        fit = fit_histogram(counts, HISTOGRAM, SETTINGS)
        assert fit.mixture.iterations == ITERATIONS
        return fit.mixture.theta(GRID)

    def theirs() -> Theta:
        return _scikit_learn(x, start.widened(SETTINGS.reg_covar)).posterior(np.clip((GRID - low) / (high - low), 0, 1))

    return compare(
        f"fit, {count:,} losses",
        Side("amia, counts and the fit on them, with its diagnosis", ours),
        Side("scikit-learn's GaussianMixture.fit, on losses already scaled, from a start already known", theirs),
        thetas_alike,
        aim=aim,
        rounds=bench.rounds(3 if count <= 10**6 else 2),
        note=f"{ITERATIONS} iterations on both sides, one thread",
    )


def _scikit_learn(x: np.ndarray, start: TwoGaussians) -> TwoGaussians:
    model = GaussianMixture(
        2,
        max_iter=ITERATIONS,
        tol=0,
        reg_covar=SETTINGS.reg_covar,
        weights_init=start.weights,
        means_init=np.reshape(start.means, (2, 1)),
        precisions_init=1 / np.reshape(start.variances, (2, 1, 1)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[:, None])
    assert model.n_iter_ == ITERATIONS
    weights, means, variances = (tuple(each.flat) for each in (model.weights_, model.means_, model.covariances_))
    return TwoGaussians(weights, means, variances).ordered()


def thetas_alike(ours: Theta, theirs: Theta) -> str:
    worst = float(np.abs(ours - theirs).max())
    assert worst < THETA, f"theta differs by {worst}"
    return f"theta equal to {worst:.0e}"


def _chunks(count: int) -> Iterator[np.ndarray]:
    """Losses like a corpus': six in ten matched, float32, drawn chunk by chunk."""
    for number, begin in enumerate(range(0, count, CHUNK)):
        chance = np.random.default_rng(number)
        size = min(CHUNK, count - begin)
        matched, mismatched = np.abs(chance.normal(0.15, 0.1, size)), chance.normal(0.6, 0.15, size)
        yield np.clip(np.where(chance.random(size) < 0.6, matched, mismatched), 0, 4).astype(np.float32)


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
