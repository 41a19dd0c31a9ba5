"""Weights of the expected hardest negative, against enumeration and binomials."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.matching.triplet import hardest_weights


@given(st.integers(1, 9), st.integers(1, 9))
def test_against_all_draws(candidates, draws):
    draw_sets = list(itertools.combinations(range(candidates), min(draws, candidates)))
    share = [sum(min(draw) == j for draw in draw_sets) / len(draw_sets) for j in range(candidates)]
    weights = hardest_weights(candidates, draws)
    assert np.allclose(np.pad(weights, (0, candidates - len(weights))), share, atol=1e-12)


@given(st.integers(1, 6000), st.integers(1, 200))
def test_against_binomials(candidates, draws):
    weights = hardest_weights(candidates, draws)
    k = min(draws, candidates)
    for j in {1, len(weights) // 2, len(weights)} - {0}:
        exact = math.comb(candidates - j, k - 1) / math.comb(candidates, k)
        assert weights[j - 1] == pytest.approx(exact, rel=1e-9, abs=1e-300)
    assert np.all(weights >= 0)
    assert np.all(np.diff(weights) <= 1e-18)
    assert abs(1 - weights.sum()) < 2e-13 + 1e-15 * candidates
    assert weights is hardest_weights(candidates, draws)


def test_large_bank_is_truncated():
    assert len(hardest_weights(4096, 63)) < 2000
    assert len(hardest_weights(100_000, 63)) < 50_000


def test_rejects_empty_draw():
    for candidates, draws in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="does not exist"):
            hardest_weights(candidates, draws)
