"""Shares of matching images against statsmodels' published values and the definition of Wilson's interval."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from amia.experiments.match_shares import MatchShares, Share, sum_shares


@pytest.mark.parametrize(
    ("matched", "total", "expected"),
    [
        (81, 263, (0.2553, 0.3662)),  # Newcombe 1998, Table I, method 3
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (29, 29, (0.8830, 1.0)),
    ],
)
def test_published_intervals(matched: int, total: int, expected: tuple[float, float]) -> None:
    assert Share(matched=matched, total=total).interval == pytest.approx(expected, abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_ends_are_the_shares_at_which_the_score_test_rejects(counts: tuple[int, int]) -> None:
    share = Share(matched=counts[0], total=counts[1])
    low, high = share.interval
    assert 0 <= low <= share.value <= high <= 1
    for end in {low, high} - {0.0, 1.0}:
        z = abs(share.value - end) / math.sqrt(end * (1 - end) / share.total)
        assert z == pytest.approx(1.96, abs=1e-3)


def test_no_images_tell_nothing() -> None:
    share = Share(matched=0, total=0)
    assert math.isnan(share.value)
    assert share.interval == (0.0, 1.0)


def test_refuses_more_matches_than_images() -> None:
    with pytest.raises(ValidationError, match="3 of 2 images match"):
        Share(matched=3, total=2)


def test_sums() -> None:
    scored = MatchShares(original=Share(matched=1, total=4), synthesized=Share(matched=2, total=3))
    unscored = MatchShares(original=Share(matched=5, total=6), synthesized=None)
    assert sum_shares([scored, scored]) == MatchShares(
        original=Share(matched=2, total=8), synthesized=Share(matched=4, total=6)
    )
    assert sum_shares([scored, unscored]) == MatchShares(original=Share(matched=6, total=10), synthesized=None)
