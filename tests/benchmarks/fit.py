"""fit: the mixture from a histogram of the losses, compared with scikit-learn's `GaussianMixture` on the losses."""

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
"""With zero tolerance both sides run all iterations."""
HISTOGRAM = LossHistogram(0.1)
CHUNK = 65_536
"""Losses that are counted at a time. Counts are additive, so the losses are never all in memory."""
THETA = 1e-3
GRID = np.linspace(0, 1.5, 3001)
"""Losses at which theta is compared."""

Theta = np.ndarray
"""`[3001]`: theta of the losses of `GRID`."""


def run(bench: Bench) -> None:
    """Measure memory and time. Counting is part of our time, although in a job it is done by the shards."""
    total = 10**7 if bench.quick else 10**8
    base = _peak_gib()
    counts, seconds = np.zeros(BINS, np.int64), 0.0
    for losses in _chunks(total):
        start = perf_counter()
        counts += HISTOGRAM.counts(losses)
        seconds += perf_counter() - start
    start = perf_counter()
    fit_histogram(counts, HISTOGRAM, SETTINGS)
    seconds += perf_counter() - start
    note = f"including {base:.2f} GiB of the interpreter and its libraries"
    bench.add(figure(f"fit, peak memory at {total:,} losses", _peak_gib(), "GiB", aim=1, less=True, note=note))
    for count in (10**6, 10**7):
        if count == 10**7 and bench.quick:
            continue
        sides = _against_scikit_learn(bench, count, aim=100 if count == 10**7 else None)
        bench.add(sides.line)
    bench.add(
        figure(
            f"fit, {total:,} losses : scikit-learn on {count:,}",
            sides.theirs_s / seconds,
            "x",
            note=f"{total // count} times the losses; counted in chunks, once",
        )
    )


def _against_scikit_learn(bench: Bench, count: int, aim: float | None) -> Sides:
    losses = np.concatenate(list(_chunks(count)))
    low, high = np.percentile(losses, (0.5, 99.5))
    x = np.sort(np.clip((losses.astype(np.float64) - low) / (high - low), 0, 1))
    initial = two_means(x, np.ones(count))
    assert initial is not None

    def ours() -> Theta:
        counts = np.zeros(BINS, np.int64)
        for offset in range(0, count, CHUNK):
            counts += HISTOGRAM.counts(losses[offset : offset + CHUNK])
        fit = fit_histogram(counts, HISTOGRAM, SETTINGS)
        assert fit.mixture.iterations == ITERATIONS
        return fit.mixture.theta(GRID)

    def theirs() -> Theta:
        return _scikit_learn(x, initial.inflate_variance(SETTINGS.reg_covar)).posterior(
            np.clip((GRID - low) / (high - low), 0, 1)
        )

    return compare(
        f"fit, {count:,} losses",
        Side("amia: counts, and the fit on them with its checks", ours),
        Side("scikit-learn's GaussianMixture.fit on scaled losses, from known initial values", theirs),
        check_thetas,
        aim=aim,
        rounds=bench.rounds(3 if count <= 10**6 else 2),
        note=f"{ITERATIONS} iterations on both sides, one thread",
    )


def _scikit_learn(x: np.ndarray, initial: TwoGaussians) -> TwoGaussians:
    model = GaussianMixture(
        2,
        max_iter=ITERATIONS,
        tol=0,
        reg_covar=SETTINGS.reg_covar,
        weights_init=initial.weights,
        means_init=np.reshape(initial.means, (2, 1)),
        precisions_init=1 / np.reshape(initial.variances, (2, 1, 1)),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[:, None])
    assert model.n_iter_ == ITERATIONS
    weights, means, variances = (tuple(values.flat) for values in (model.weights_, model.means_, model.covariances_))
    return TwoGaussians(weights, means, variances).ordered()


def check_thetas(ours: Theta, theirs: Theta) -> str:
    difference = float(np.abs(ours - theirs).max())
    assert difference < THETA, f"theta differs by {difference}"
    return f"theta equal to {difference:.0e}"


def _chunks(count: int) -> Iterator[np.ndarray]:
    """Yield random float32 losses distributed like those of a corpus with 60 % matched posts."""
    for number, offset in enumerate(range(0, count, CHUNK)):
        rng = np.random.default_rng(number)
        size = min(CHUNK, count - offset)
        matched, mismatched = np.abs(rng.normal(0.15, 0.1, size)), rng.normal(0.6, 0.15, size)
        yield np.clip(np.where(rng.random(size) < 0.6, matched, mismatched), 0, 4).astype(np.float32)


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
