"""Holm's adjustment against its definition, and against the closed test of which it is the shortcut."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amia.experiments.significance import holm

p_values = st.lists(st.floats(0, 1), max_size=7)


@given(p=p_values)
def test_equal_to_the_closed_test(p):
    """A hypothesis falls when Bonferroni rejects every set of hypotheses that it is in."""
    everyone = range(len(p))
    expected = [
        max(
            min(1.0, size * min(p[each] for each in some))
            for size in range(1, len(p) + 1)
            for some in combinations(everyone, size)
            if one in some
        )
        for one in everyone
    ]
    assert holm(p) == pytest.approx(expected, abs=1e-12)


@given(p=p_values)
def test_equal_to_its_definition(p):
    """Reject in rising order until one is above alpha / (how many are left)."""
    for alpha in (0.001, 0.05, 0.3, 0.9):
        rejected = set()
        for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
            if p[place] * (len(p) - rank) > alpha:
                break
            rejected.add(place)
        assert {place for place, each in enumerate(holm(p)) if each <= alpha} == rejected


@given(p=p_values, data=st.data())
def test_never_below_the_raw_one_in_the_same_order_and_wherever_it_stands(p, data):
    adjusted = holm(p)
    assert all(raw <= each <= 1 for raw, each in zip(p, adjusted, strict=True))
    ranked = sorted(range(len(p)), key=p.__getitem__)
    assert [adjusted[place] for place in ranked] == sorted(adjusted)
    order = data.draw(st.permutations(range(len(p))))
    assert holm([p[place] for place in order]) == [adjusted[place] for place in order]


def test_a_known_case():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
