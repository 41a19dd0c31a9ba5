"""Tests of Holm's adjustment against its definition, and against the closed test that it is equivalent to."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.experiments.significance import holm

p_values = st.lists(st.floats(0, 1), max_size=7)


@given(p=p_values)
def test_equals_the_closed_test(p):
    """A hypothesis is rejected if Bonferroni rejects every set of hypotheses that contains it."""
    indices = range(len(p))
    expected = [
        max(
            min(1.0, size * min(p[index] for index in subset))
            for size in range(1, len(p) + 1)
            for subset in combinations(indices, size)
            if tested in subset
        )
        for tested in indices
    ]
    assert holm(p) == pytest.approx(expected, abs=1e-12)


@given(p=p_values)
def test_equals_its_definition(p):
    """Reject in increasing order until a value exceeds alpha / (number of remaining values)."""
    for alpha in (0.001, 0.05, 0.3, 0.9):
        rejected = set()
        for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[index] * (len(p) - rank) > alpha:
                break
            rejected.add(index)
        assert {index for index, adjusted in enumerate(holm(p)) if adjusted <= alpha} == rejected


@given(p=p_values, data=st.data())
def test_keeps_order_and_is_equivariant(p, data):
    adjusted = holm(p)
    assert all(raw <= value <= 1 for raw, value in zip(p, adjusted, strict=True))
    ranked = sorted(range(len(p)), key=p.__getitem__)
    assert [adjusted[index] for index in ranked] == sorted(adjusted)
    order = data.draw(st.permutations(range(len(p))))
    assert holm([p[index] for index in order]) == [adjusted[index] for index in order]


def test_known_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
