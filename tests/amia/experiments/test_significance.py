"""The paired bootstrap against a plain loop over the same draws, and on systems of which the truth is known."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from amia.experiments import significance as bootstrap
from amia.experiments.significance import Difference
from amia.mner.metrics import Counts
from tests.helpers.simulated_results import drawn_counts

GOLD = np.random.default_rng(3).integers(0, 4, 50)


def paired_bootstrap(first: NDArray[np.int64], second: NDArray[np.int64], **how: int) -> Difference:
    (told,) = bootstrap.paired_bootstrap([first, second], [(0, 1)], **how)
    return told


def two_systems(seed: int, seeds: tuple[int, int] = (3, 2)) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return drawn_counts(rng, GOLD, 0.7, seeds[0]), drawn_counts(rng, GOLD, 0.6, seeds[1])


def loop(first: NDArray[np.int64], second: NDArray[np.int64], resamples: int, seed: int) -> Difference:
    """Post by post, with the same generator asked for one resample at a time."""

    def difference(chosen: list[int]) -> float:
        means = []
        for system in (first, second):
            sums = [sum((Counts(*posts[place]) for place in chosen), Counts()) for posts in system.tolist()]
            means.append(statistics.mean(each.f1 for each in sums))
        return means[0] - means[1]

    def quantile(share: float) -> float:
        where = share * (len(ordered) - 1)
        left = int(where)
        right = min(left + 1, len(ordered) - 1)
        return ordered[left] + (where - left) * (ordered[right] - ordered[left])

    rng, posts = np.random.default_rng(seed), first.shape[1]
    ordered = sorted(difference(rng.integers(posts, size=posts).tolist()) for _ in range(resamples))
    below = sum(each <= 1e-12 for each in ordered)
    above = sum(each >= -1e-12 for each in ordered)
    p = min(1.0, 2 * min((below + 1) / (resamples + 1), (above + 1) / (resamples + 1)))
    return Difference(difference(list(range(posts))), quantile(0.025), quantile(0.975), p)


def close(one: Difference, other: Difference) -> bool:
    return all(
        getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9) for name in ("observed", "low", "high", "p")
    )


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_a_plain_loop(seed):
    first, second = two_systems(seed)
    assert close(paired_bootstrap(first, second, resamples=150, seed=seed), loop(first, second, 150, seed))


def test_how_many_resamples_are_held_at_a_time_changes_nothing(monkeypatch):
    first, second = two_systems(0)
    whole = paired_bootstrap(first, second, resamples=101)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 7 * len(GOLD))
    assert paired_bootstrap(first, second, resamples=101) == whole


def test_systems_compared_together_are_compared_as_if_alone():
    (first, second), (third, _) = two_systems(0), two_systems(1, (1, 1))
    systems, pairs = [first, second, third], [(0, 1), (2, 0), (1, 2), (1, 1)]
    told = bootstrap.paired_bootstrap(systems, pairs, resamples=101)
    assert told == [paired_bootstrap(systems[one], systems[other], resamples=101) for one, other in pairs]
    assert bootstrap.paired_bootstrap(systems, [], resamples=101) == bootstrap.paired_bootstrap([], []) == []


counts = st.integers(1, 6).flatmap(
    lambda posts: st.tuples(*(st.lists(_posts(posts), min_size=1, max_size=3) for _ in range(2)))
)


def _posts(posts: int) -> st.SearchStrategy[list[list[int]]]:
    spans = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
    return st.lists(spans.map(lambda each: [min(each), *each[1:]]), min_size=posts, max_size=posts)


@given(both=counts)
def test_of_any_counts(both):
    first, second = (np.array(system, np.int64) for system in both)
    found = paired_bootstrap(first, second, resamples=40)
    assert close(found, loop(first, second, 40, 0))
    assert 2 / 41 <= found.p <= 1
    assert -1 <= found.low <= found.high <= 1
    mirrored = paired_bootstrap(second, first, resamples=40)
    assert close(mirrored, Difference(-found.observed, -found.high, -found.low, found.p))
    again = paired_bootstrap(np.concatenate([first] * 3), second, resamples=40)
    assert close(again, found), "the same trainings thrice over are the same system"


@given(both=counts, times=st.integers(1, 5))
def test_a_system_is_not_better_than_itself(both, times):
    system = np.array(both[0], np.int64)
    assert paired_bootstrap(np.concatenate([system] * times), system, resamples=40) == Difference(0, 0, 0, 1)


def test_without_posts_or_spans_nothing_speaks_against_equality():
    none = Difference(0, 0, 0, 1)
    assert paired_bootstrap(np.zeros((2, 0, 3), np.int64), np.zeros((1, 0, 3), np.int64), resamples=9) == none
    assert paired_bootstrap(np.zeros((2, 4, 3), np.int64), np.zeros((1, 4, 3), np.int64), resamples=9) == none


def test_better_on_every_post_has_the_smallest_p_there_is():
    perfect, useless = np.array([[[1, 1, 1]] * 5]), np.array([[[0, 1, 1]] * 5])
    assert paired_bootstrap(perfect, useless, resamples=199) == Difference(1, 1, 1, 2 / 200)


def trials(count: int, found: float) -> list[Difference]:
    """One training each of a system that finds this share of the spans, and of one that finds 0.7 of them."""
    rng = np.random.default_rng(11)
    gold = rng.integers(0, 4, 200)
    return [
        paired_bootstrap(drawn_counts(rng, gold, found), drawn_counts(rng, gold, 0.7), resamples=300, seed=trial)
        for trial in range(count)
    ]


def test_equal_systems_are_called_different_about_as_often_as_promised():
    same = trials(300, 0.7)
    assert 0.02 < sum(each.p < 0.05 for each in same) / len(same) < 0.09
    assert 0.91 < sum(each.low <= 0 <= each.high for each in same) / len(same) < 0.98


def test_a_better_system_is_found():
    better = trials(50, 0.85)
    assert sum(each.p < 0.05 and each.low > 0 for each in better) > 45
