"""Tests of the paired bootstrap against a plain loop over the same draws, and on systems with a known difference."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from amia.experiments import significance
from amia.experiments.significance import Difference
from amia.mner.metrics import SpanCounts
from tests.helpers.simulated_results import random_counts

GOLD = np.random.default_rng(3).integers(0, 4, 50)


def paired_bootstrap(first: NDArray[np.int64], second: NDArray[np.int64], **options: int) -> Difference:
    (difference,) = significance.paired_bootstrap([first, second], [(0, 1)], **options)
    return difference


def two_systems(seed: int, seeds: tuple[int, int] = (3, 2)) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return random_counts(rng, GOLD, 0.7, seeds[0]), random_counts(rng, GOLD, 0.6, seeds[1])


def plain_loop(first: NDArray[np.int64], second: NDArray[np.int64], resamples: int, seed: int) -> Difference:
    """Compute the bootstrap post by post, drawing one resample at a time from the same generator."""

    def difference(sample: list[int]) -> float:
        means = []
        for system in (first, second):
            sums = [sum((SpanCounts(*posts[index]) for index in sample), SpanCounts()) for posts in system.tolist()]
            means.append(statistics.mean(counts.f1 for counts in sums))
        return means[0] - means[1]

    def quantile(fraction: float) -> float:
        position = fraction * (len(ordered) - 1)
        left = int(position)
        right = min(left + 1, len(ordered) - 1)
        return ordered[left] + (position - left) * (ordered[right] - ordered[left])

    rng, posts = np.random.default_rng(seed), first.shape[1]
    ordered = sorted(difference(rng.integers(posts, size=posts).tolist()) for _ in range(resamples))
    below = sum(value <= 1e-12 for value in ordered)
    above = sum(value >= -1e-12 for value in ordered)
    p = min(1.0, 2 * min((below + 1) / (resamples + 1), (above + 1) / (resamples + 1)))
    return Difference(difference(list(range(posts))), quantile(0.025), quantile(0.975), p)


def is_close(actual: Difference, expected: Difference) -> bool:
    return all(
        getattr(actual, name) == pytest.approx(getattr(expected, name), abs=1e-9)
        for name in ("observed", "low", "high", "p")
    )


@pytest.mark.parametrize("seed", range(3))
def test_equals_a_plain_loop(seed):
    first, second = two_systems(seed)
    assert is_close(paired_bootstrap(first, second, resamples=150, seed=seed), plain_loop(first, second, 150, seed))


def test_chunk_size_does_not_change_the_result(monkeypatch):
    first, second = two_systems(0)
    expected = paired_bootstrap(first, second, resamples=101)
    monkeypatch.setattr(significance, "_MAX_DRAWS", 7 * len(GOLD))
    assert paired_bootstrap(first, second, resamples=101) == expected


def test_comparing_several_pairs_at_once():
    (first, second), (third, _) = two_systems(0), two_systems(1, (1, 1))
    systems, pairs = [first, second, third], [(0, 1), (2, 0), (1, 2), (1, 1)]
    differences = significance.paired_bootstrap(systems, pairs, resamples=101)
    assert differences == [paired_bootstrap(systems[left], systems[right], resamples=101) for left, right in pairs]
    assert significance.paired_bootstrap(systems, [], resamples=101) == significance.paired_bootstrap([], []) == []


system_pairs = st.integers(1, 6).flatmap(
    lambda posts: st.tuples(*(st.lists(_post_counts(posts), min_size=1, max_size=3) for _ in range(2)))
)


def _post_counts(posts: int) -> st.SearchStrategy[list[list[int]]]:
    spans = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
    return st.lists(spans.map(lambda counts: [min(counts), *counts[1:]]), min_size=posts, max_size=posts)


@given(systems=system_pairs)
def test_properties_on_arbitrary_counts(systems):
    first, second = (np.array(system, np.int64) for system in systems)
    difference = paired_bootstrap(first, second, resamples=40)
    assert is_close(difference, plain_loop(first, second, 40, 0))
    assert 2 / 41 <= difference.p <= 1
    assert -1 <= difference.low <= difference.high <= 1
    mirrored = paired_bootstrap(second, first, resamples=40)
    assert is_close(mirrored, Difference(-difference.observed, -difference.high, -difference.low, difference.p))
    repeated = paired_bootstrap(np.concatenate([first] * 3), second, resamples=40)
    assert is_close(repeated, difference), "repeating the same seeds must not change the result"


@given(systems=system_pairs, times=st.integers(1, 5))
def test_a_system_equals_itself(systems, times):
    system = np.array(systems[0], np.int64)
    assert paired_bootstrap(np.concatenate([system] * times), system, resamples=40) == Difference(0, 0, 0, 1)


def test_no_posts_or_no_spans_give_no_difference():
    none = Difference(0, 0, 0, 1)
    assert paired_bootstrap(np.zeros((2, 0, 3), np.int64), np.zeros((1, 0, 3), np.int64), resamples=9) == none
    assert paired_bootstrap(np.zeros((2, 4, 3), np.int64), np.zeros((1, 4, 3), np.int64), resamples=9) == none


def test_better_on_every_post_gives_the_minimal_p():
    perfect, useless = np.array([[[1, 1, 1]] * 5]), np.array([[[0, 1, 1]] * 5])
    assert paired_bootstrap(perfect, useless, resamples=199) == Difference(1, 1, 1, 2 / 200)


def simulate_trials(count: int, recall: float) -> list[Difference]:
    """Compare one training of a system with the given recall with one of a system with a recall of 0.7, repeatedly."""
    rng = np.random.default_rng(11)
    gold = rng.integers(0, 4, 200)
    return [
        paired_bootstrap(random_counts(rng, gold, recall), random_counts(rng, gold, 0.7), resamples=300, seed=trial)
        for trial in range(count)
    ]


def test_false_positive_rate_and_coverage():
    trials = simulate_trials(300, 0.7)
    assert 0.02 < sum(trial.p < 0.05 for trial in trials) / len(trials) < 0.09
    assert 0.91 < sum(trial.low <= 0 <= trial.high for trial in trials) / len(trials) < 0.98


def test_power():
    trials = simulate_trials(50, 0.85)
    assert sum(trial.p < 0.05 and trial.low > 0 for trial in trials) > 45
